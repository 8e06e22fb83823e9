"""Records as elements of XML, one after the other, as XML layouts of loggers write them.

What is written so grows at its end, and is often no whole document: there is no root, or one that
is never closed, and prefixes are not declared. So the elements are found by their tags, and each is
parsed on its own.

- The attributes of the element are fields, and so are the elements in it. An element that has
  attributes itself is an object; one that consists of a name and a value is a field of that name.
- CMTrace's records (`<![LOG[…]LOG]!><time="…" …>`), as Configuration Manager writes them, only look
  like XML. They have the same fields.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

from .files import UNREADABLE, unreadable

Record = dict[str, Any]

# The tag with which a line begins.
_OPENED = re.compile(r"\s*<(?P<tag>[A-Za-z][\w.:-]*)(?=[\s>/]|\Z)")
# What stands before the first record: a declaration. A document type could define entities.
_DECLARED = re.compile(r"\s*<[?!]")
# Prefixes say nothing, and where they are not declared nothing can be parsed.
_PREFIX = re.compile(r"(</?)[\w.-]+:(?=[\w.-]+[\s/>])")
_PREFIX_OF_ATTRIBUTE = re.compile(r"(\s)[\w.-]+:(?=[\w.-]+=[\"'])")
# Characters of a record without an end; a file of another kind must not fill the memory.
_LONGEST = 1 << 20
# Attributes of an element that is a field by itself.
_PAIRS = ({"name", "value"}, {"key", "value"})

_CMTRACE = "<![LOG["
_CMTRACE_ENDS = "]LOG]!>"
_CMTRACE_RECORD = re.compile(
    r"<!\[LOG\[(?P<message>.*?)\]LOG\]!><(?P<fields>time=\"[^<>]*)>", re.DOTALL
)
_CMTRACE_FIELD = re.compile(r"(\w+)=\"([^\"]*)\"")
# The clock, and how many minutes UTC is ahead of it; then the date.
_CMTRACE_TIME = re.compile(r"(\d\d:\d\d:\d\d\.\d+)(?:([+-]{1,2})(\d+))?")
_CMTRACE_DATE = re.compile(r"(\d\d?)-(\d\d?)-(\d{4})")
_CMTRACE_LEVELS = {"1": "info", "2": "warning", "3": "error"}


def holds_elements(lines: Sequence[str]) -> bool:
    """Whether a file is made of elements of one name that can be parsed."""
    return any(UNREADABLE not in record for record in element_rows(lines))


def element_rows(lines: Iterable[str]) -> Iterator[Record]:
    """The records of a file; one that cannot be read is a record `unreadable`."""
    lines = iter(lines)
    head: list[str] = []
    tag = None
    for line in lines:
        head.append(line)
        tag = _tag_of(head)
        if tag is not None:
            break
    if tag is None:
        return
    begin = re.compile(rf"\s*<{re.escape(tag)}(?:[\s/>]|\Z)")
    end = f"</{tag}>"
    record = _Gathered()
    for line in itertools.chain(head, lines):
        if begin.match(line):
            if record.lines:
                # The one before has no end.
                yield unreadable(record.text)
            record = _Gathered()
        elif not record.lines:
            continue
        record.add(line)
        closed = line.rstrip()
        if closed.endswith(end) or (closed.endswith("/>") and record.tags == 1):
            yield _record(record.text)
            record = _Gathered()
        elif record.is_too_long:
            yield unreadable(record.text)
            record = _Gathered()


class _Gathered:
    """The lines of a record so far. Nothing is looked for in all of them until it is whole."""

    __slots__ = ("lines", "size", "tags")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.size = 0
        # How many tags are opened or closed in it.
        self.tags = 0

    def add(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line)
        self.tags += line.count("<")

    @property
    def text(self) -> str:
        return "".join(self.lines)

    @property
    def is_too_long(self) -> bool:
        return self.size > _LONGEST


def _tag_of(lines: Sequence[str]) -> str | None:
    """The tag of the records: the first one with which several lines begin.

    The root of a document stands there once, and what is in a record stands behind its own tag.
    """
    heads = [line for line in lines if line.strip() and not _DECLARED.match(line)]
    if not heads or _OPENED.match(heads[0].lstrip("\ufeff")) is None:
        return None
    found = [opened["tag"] for line in heads if (opened := _OPENED.match(line.lstrip("\ufeff")))]
    counts = Counter(found)
    return next((tag for tag in found if counts[tag] > 1), None)


def _record(raw: str) -> Record:
    text = _PREFIX_OF_ATTRIBUTE.sub(r"\1", _PREFIX.sub(r"\1", raw.strip()))
    try:
        # A byte that is no UTF-8 would not be taken.
        element = ElementTree.fromstring(text.encode("utf-8", "replace"))
        fields = _fields(element)
    except (ElementTree.ParseError, RecursionError):
        return unreadable(raw)
    record: Record = dict(element.attrib)
    if own := (element.text or "").strip():
        record["message"] = own
    return record | fields


def _fields(element: ElementTree.Element) -> Record:
    """The elements in an element, as fields."""
    fields: Record = {}
    for part in element:
        text = (part.text or "").strip()
        name = part.tag.rpartition("}")[2]
        inner = _fields(part)
        if part.attrib.keys() in _PAIRS:
            fields[part.get("name") or part.get("key") or name] = part.attrib["value"]
        elif part.attrib:
            fields[name] = dict(part.attrib) | inner | ({"text": text} if text else {})
        elif inner:
            fields[name] = inner
        elif text:
            fields[name] = text
    return fields


def holds_cmtrace(lines: Sequence[str]) -> bool:
    """Whether a file has records of CMTrace."""
    return bool(lines) and lines[0].lstrip("\ufeff").startswith(_CMTRACE)


def cmtrace_rows(lines: Iterable[str]) -> Iterator[Record]:
    """The records of a file; lines that belong to none are records `unreadable`.

    >>> line = (
    ...     '<![LOG[Done]LOG]!><time="13:00:00.123-120" date="10-15-2024" component="Ccm" type="3">'
    ... )
    >>> next(cmtrace_rows([line]))["time"]
    '2024-10-15T13:00:00.123+02:00'
    """
    record = _Gathered()
    for line in lines:
        if line.startswith(_CMTRACE):
            if record.lines:
                # The one before has no end.
                yield unreadable(record.text)
            record = _Gathered()
        elif not record.lines and _CMTRACE not in line:
            if line.strip():
                yield unreadable(line)
            continue
        record.add(line)
        if _CMTRACE_ENDS in line and (found := [*_CMTRACE_RECORD.finditer(record.text)]):
            yield from map(_cmtrace, found)
            record = _Gathered()
        elif record.is_too_long:
            yield unreadable(record.text)
            record = _Gathered()


def _cmtrace(found: re.Match[str]) -> Record:
    fields = dict(_CMTRACE_FIELD.findall(found["fields"]))
    clock = _CMTRACE_TIME.match(fields.pop("time", ""))
    day = _CMTRACE_DATE.match(fields.pop("date", ""))
    record: Record = {"message": found["message"], "level": fields.pop("type", "")}
    record["level"] = _CMTRACE_LEVELS.get(record["level"], record["level"])
    if clock and day:
        record["time"] = f"{day[3]}-{int(day[1]):02d}-{int(day[2]):02d}T{clock[1]}{_offset(clock)}"
    return record | {name: value for name, value in fields.items() if value}


def _offset(clock: re.Match[str]) -> str:
    """The zone of a clock, whose sign is that of UTC as seen from there."""
    if not clock[3]:
        return ""
    hours, minutes = divmod(int(clock[3]), 60)
    sign = {"-": "+", "+": "-"}[clock[2][-1]]
    return f"{sign}{hours:02d}:{minutes:02d}"
