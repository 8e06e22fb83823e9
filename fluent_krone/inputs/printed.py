"""Maps as programs print them: Python's dicts, Ruby's hashes, objects of JavaScript, Java's maps.

They look like JSON and are none: `{'id': 7, 'error': None}`, `{:id=>7, :error=>nil}`,
`{ id: 7, error: undefined }`, `{id=7, error=null}`. Logstash's `rubydebug` and Node's console print
them over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .files import unreadable

Record = dict[str, Any]
_BLANK = re.compile(r"[\s,]*")
_STRING = re.compile(r"[bu]?('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`(?:[^`\\]|\\.)*`)", re.DOTALL)
# A key with its sign: `'id': `, `:id=>`, `id: `, `"id" => `.
_KEY = re.compile(
    r"(?:[bu]?'((?:[^'\\]|\\.)*)'|:?\"((?:[^\"\\]|\\.)*)\"|:?([A-Za-z_$][\w$?!]*))\s*(?:=>|:)\s*"
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?=[\s,\]}]|\Z)")
# Java's maps have bare keys with `=`; so begins one, and so does each further entry of it.
_JAVA = re.compile(r"\{[A-Za-z_@][\w.@-]*=(?!>).*, [A-Za-z_@][\w.@-]*=", re.DOTALL)
_SIGN_OF_JAVA = re.compile(r"[{}]|, (?=[A-Za-z_@][\w.@-]*=)")
# The place of an entry, which rubydebug prints before it.
_PLACE = re.compile(r"\[\d+\] ")
# A value of any other type, with what it has in brackets: `datetime.datetime(2024, 1, 1)`.
_OTHER = re.compile(r"(?:[^,(){}\[\]\s]|\([^()]*(?:\([^()]*\)[^()]*)*\)|(?<=\S) (?=[^\s}\]]))+")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("None", "nil", "null", "undefined", "NaN", "<nil>")),
    **dict.fromkeys(("True", "true"), True),
    **dict.fromkeys(("False", "false"), False),
}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
# `datetime.datetime(2024, 10, 15, 13, 0, 0, 123000, tzinfo=…)`, as a time is printed by Python.
_DATETIME = re.compile(r"datetime\.datetime\(([\d, ]+)(?:, tzinfo=.*)?\)")
# `UUID('…')`, `Decimal('…')`
_OF_TEXT = re.compile(r"[A-Za-z_.]+\((?:'([^']*)'|\"([^\"]*)\")\)")
# Objects inside one another, and characters of one, that are read.
_DEEPEST = 20
_LONGEST = 1 << 20


def printed_map(text: str) -> Record | None:
    """The map that a text is, or None.

    >>> printed_map("{'id': 7, 'error': None, 'at': ['a']}"), printed_map('{:id=>7}')
    ({'id': 7, 'error': None, 'at': ['a']}, {'id': 7})
    >>> printed_map("{ id: 7, user: { name: 'ann' } }"), printed_map("{started} pump 7")
    ({'id': 7, 'user': {'name': 'ann'}}, None)
    """
    text = text.strip()
    if not text.startswith("{") or not text.endswith("}"):
        return None
    if _JAVA.match(text) and (entries := _entries_of_java(text[1:-1])):
        return _of_java(entries)
    try:
        value, end = _value(text, 0, 0)
    except ValueError:
        return None
    if end < len(text) or not value:
        return None
    return dict(value)


def _entries_of_java(text: str) -> list[str]:
    """The entries of a map of Java, each with its key; none where the text is several maps.

    Nothing is quoted in it: a text goes on to the next key that stands in no inner map.
    """
    entries: list[str] = []
    begin = depth = 0
    for sign in _SIGN_OF_JAVA.finditer(text):
        if sign[0] == "}":
            depth -= 1
        elif sign[0] == "{" and depth < 0:
            # The map was closed, and another one begins.
            return []
        elif sign[0] == "{":
            depth += 1
        elif depth <= 0:
            entries.append(text[begin : sign.start()])
            begin, depth = sign.end(), 0
    return [*entries, text[begin:]]


def _of_java(entries: Iterable[str]) -> Record:
    """The record of a map of Java. Numbers stay texts, as nothing tells an id, `007`, from them."""
    pairs = (entry.partition("=") for entry in entries)
    return {name: _WORDS.get(value, value) for name, _, value in pairs}


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins here, and where it ends. Raises ValueError where there is none."""
    if depth > _DEEPEST:
        raise ValueError
    if text[at : at + 1] == "{":
        return _map(text, at + 1, depth)
    if text[at : at + 1] in ("[", "("):
        return _list(text, at + 1, depth)
    if found := _STRING.match(text, at):
        return _unescaped(found[1][1:-1]), found.end()
    if found := _NUMBER.match(text, at):
        if found[0].lstrip("-").isdigit():
            return int(found[0]), found.end()
        return float(found[0]), found.end()
    found = _OTHER.match(text, at)
    if found is None:
        raise ValueError
    return _other(found[0].strip()), found.end()


def _map(text: str, at: int, depth: int) -> tuple[Record, int]:
    found: Record = {}
    while True:
        at = _after_blanks(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        key = _KEY.match(text, at)
        if key is None:
            raise ValueError
        name = next(group for group in key.groups() if group is not None)
        found[name], at = _value(text, key.end(), depth + 1)


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while True:
        at = _after_blanks(text, at)
        if text[at : at + 1] in ("]", ")"):
            return found, at + 1
        if place := _PLACE.match(text, at):
            at = place.end()
        value, at = _value(text, at, depth + 1)
        found.append(value)


def _after_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    assert blank
    return blank.end()


def _other(text: str) -> Any:
    """What a value is that is no text, no number and no list."""
    if text in _WORDS:
        return _WORDS[text]
    if found := _DATETIME.fullmatch(text):
        year, month, day, *clock = (*map(int, found[1].split(",")), 0, 0, 0, 0)[:7]
        hour, minute, second, micros = (*clock, 0, 0, 0, 0)[:4]
        zone = "Z" if "utc" in text.lower() else ""
        return (
            f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{micros:06d}"
            f"{zone}"
        )
    if found := _OF_TEXT.fullmatch(text):
        return found[1] or found[2] or ""
    return text


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text)


def is_printed_map(line: str) -> bool:
    """Whether a line is such a map."""
    return printed_map(line) is not None


def map_rows(lines: Iterable[str]) -> Iterator[Record]:
    """A record a line; one that can't be read is a record `unreadable`."""
    for line in lines:
        if line.strip():
            yield _record(line)


def holds_maps_over_lines(lines: Sequence[str]) -> bool:
    """Whether the first lines are maps of which each key stands on a line of its own."""
    if len(lines) < 3 or lines[0].strip() != "{" or not _KEY.match(lines[1].strip()):
        return False
    end = next((n for n, line in enumerate(lines) if _is_end(line)), len(lines))
    return printed_map("\n".join(lines[: end + 1])) is not None


def map_over_lines_rows(lines: Iterable[str]) -> Iterator[Record]:
    """The maps of a file in which each begins and ends with a bracket on a line of its own."""
    text = ""
    for line in lines:
        if line.startswith("{"):
            text = ""
        text += line
        if _is_end(line) or len(text) > _LONGEST:
            yield _record(text)
            text = ""


def _record(text: str) -> Record:
    record = printed_map(text)
    if record is None:
        return unreadable(text)
    return record


def _is_end(line: str) -> bool:
    return line.rstrip("\r\n, ") == "}"
