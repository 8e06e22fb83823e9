"""Guess how the lines of an unknown log are built, and what tells its sessions apart.

A header is a chain of elements: what leads up to the time, the time, then level, process, thread
and logger in whatever order. Each sampled line is read by that grammar; each chain found, and
each beginning of one, is a candidate, and the candidate that tells most about most lines wins. So
a header that nobody foresaw is understood as long as its elements are known. What follows the
time may be absent from a line: then the rest of that line is its message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import pairwise

from fluent_krone.reading.records import compile_bytes, python_regex

from . import header_shapes as shapes

# The share of the lines that a header must be found in; below it the whole line is the message.
MIN_SHARE = 0.6
# Words before the time that are no part of the message …
_MAX_LEAD = 2
# … and words before a time that is read although the message begins with the line.
_FAR = 6
# With more distinct loggers than this share of the lines, what looks like a logger is none.
_MANY_COMPONENTS = 0.1
# So many distinct loggers are believed in however short the sample is.
_FEW_COMPONENTS = 50

# Lines whose chains are looked for; each chain found is then tried on all lines.
_READ = 300
_CONTINUED = re.compile(
    r"\s+at |\s*\Z|\s{4,}[^\s\d\[]|\t\S|Caused by: |Traceback \(|\.\.\. \d+ more"
)


@cache
def _python(pattern: str) -> re.Pattern[str]:
    return re.compile(python_regex(pattern))


_STAMPS = [(shape, formats, _python(shape)) for shape, formats in shapes.TIMES]
_YEARLESS = [(shape, _python(shape)) for shape in shapes.YEARLESS]
_KNOWN = [(text, _python(text)) for text in shapes.KNOWN]
_ELEMENTS = [(kind, [(text, _python(text)) for text in texts]) for kind, texts in shapes.ELEMENTS]
_LEADS = [(text, _python(text)) for text in shapes.LEADS]
# A time's pattern in a chain → the formats that may read it.
_FORMATS: dict[str, tuple[str, ...]] = {}
_WORD = re.compile(r"\S+ +")
_TIME_ONLY = ({"time"}, {"stamp"})
# The end of a level's pattern that takes a mere blank behind the word.
_LOOSE_LEVEL = r"|:? *- +| +|:(?=[\w.]+:))"
# Times that are read to choose between formats.
_TIMES_READ = 2_000
# Candidates that are tried on all sampled lines, the commonest first; a log with more of them has
# no header that most of its lines share.
_TRIED = 80


@dataclass(frozen=True, slots=True)
class LineFormat:
    """A guessed header.

    Settings for RecordReader, the share of lines that it matches, and one line's fields.
    """

    line_format: str
    time_format: str | None
    has_component: bool
    share: float
    example: Mapping[str, str]


# kind, pattern
_Element = tuple[str, str]
_Chain = tuple[_Element, ...]


def guess_line_format(
    lines: Sequence[str], session_pattern: str | None = None
) -> LineFormat | None:
    """The header that most of `lines` share, or None: then a line is a message.

    What `session_pattern` finds must stay in the message. Lines that go on from the one before
    don't count.

    >>> guess = guess_line_format(["2024-05-01 10:00:00,123 INFO [main] a.b.Pump: started"] * 9)
    >>> guess.example["component"], guess.example["message"]
    ('a.b.Pump', 'started')
    """
    heads = [line for line in lines if not _CONTINUED.match(line)]
    read = heads[:: max(1, len(heads) // _READ)]
    session = compile_bytes("session_key", session_pattern) if session_pattern else None
    chains = Counter(chain for line in read for chain in _chains(line))
    tried = [(_worth(chain, heads, session), chain) for chain, _ in chains.most_common(_TRIED)]
    for worth, chain in sorted(tried, key=lambda entry: (-entry[0], str(entry[1]))):
        if worth and (found := _line_format(chain, heads)):
            return found
    return None


def _chains(line: str) -> Iterator[_Chain]:
    """The chains of elements that the line may begin with: whole ones and their beginnings."""
    for start, at in _starts(line):
        chain = _follow(line, at, start)
        for n in range(len(chain), 0, -1):
            if _closes(chain[n - 1]) and _is_header(chain[:n]):
                yield tuple(chain[:n])


def _closes(element: _Element) -> bool:
    """Whether a header may end here; a bare number or bracket may be the message's own."""
    kind, text = element
    return kind in shapes.CLOSING or any(sign in text for sign in shapes.SURELY_PROCESS)


def _is_header(chain: Sequence[_Element]) -> bool:
    """Whether the chain says more than how grave the message is.

    A level in front of a message is the message's own first word as often as not; it is a header
    only with a logger behind it whose form leaves no doubt.
    """
    kind, text = chain[0]
    if kind in ("process", "thread", "known"):
        return False
    if kind != "level":
        return True
    return len(chain) > 1 and (not text.endswith(_LOOSE_LEVEL) or r"(?:\.[\w$-]+)+" in chain[1][1])


def _starts(line: str) -> Iterator[tuple[list[_Element], int]]:
    """Where a header may begin: behind each time near the front, or at the line's first word."""
    yield [], 0
    at = 0
    for words in range(_FAR + 1):
        skipped = {0: "", 1: r"\S+ +"}.get(words, rf"(?:\S+ +){{{words}}}")
        for kind, stamp, end in _stamps(line, at):
            if words <= _MAX_LEAD:
                closed, at_end = _closed(line, end)
                yield [(kind, skipped + stamp + closed)], at_end
            elif kind == "time":
                yield [(kind, f"(?={skipped}{stamp})")], 0
        space = _WORD.match(line, at)
        if space is None:
            return
        at = space.end()


def _stamps(line: str, at: int) -> Iterator[tuple[str, str, int]]:
    """Times that stand here: kind, pattern with what opens it, where it ends."""
    for opening, lead in _LEADS:
        opened = lead.match(line, at)
        if opened is None:
            continue
        for shape, formats, pattern in _STAMPS:
            if found := pattern.match(line, opened.end()):
                stamp, end = _time_group(line, found.end(), shape, formats)
                yield "time", opening + stamp, end
        for shape, pattern in _YEARLESS:
            if found := pattern.match(line, opened.end()):
                yield "stamp", opening + shape, found.end()


def _time_group(line: str, at: int, shape: str, formats: tuple[str, ...]) -> tuple[str, int]:
    """A time as the group of a chain, with the fraction and the offset that the line has."""
    if not formats:
        stamp = shape
        if "(?<time>" not in shape:
            stamp = f"(?<time>{shape})"
        _FORMATS[stamp] = ()
        return stamp, at
    fraction, end = _first([text for text, _ in shapes.FRACTIONS], line, at)
    digits = len(line[end:]) - len(line[end:].lstrip("0123456789"))
    offset = ""
    at = end + digits
    if digits == 0:
        offset, at = _first([text for text, _ in shapes.OFFSETS], line, end)
    stamp = f"(?<time>{shape}{fraction}{offset})"
    if fraction and not offset:
        stamp += r"\d*"
    ending = dict(shapes.FRACTIONS)[fraction] + dict(shapes.OFFSETS)[offset]
    _FORMATS[stamp] = tuple(text + ending for text in formats)
    return stamp, at


def _closed(line: str, at: int) -> tuple[str, int]:
    """What closes a time: its zone, and the sign and blanks behind it."""
    zone, at = _first(shapes.ZONES, line, at)
    end, at = _first(shapes.ENDS, line, at)
    return zone + end, at


def _first(patterns: Iterable[str], line: str, at: int) -> tuple[str, int]:
    """The first of `patterns` that matches, and where it ends."""
    return next(
        (text, found.end()) for text in patterns if (found := _python(text).match(line, at))
    )


def _follow(line: str, at: int, chain: list[_Element]) -> list[_Element]:
    """Read on from `at`, one element after the other, each kind once."""
    used = {name for _, text in chain for name in _python(text).groupindex}
    kinds = {kind for kind, _ in chain}
    if kinds in _TIME_ONLY:
        known = _known(line, at, chain, used)
        if known:
            return [*chain, ("known", known)]
    for kind, spellings in _ELEMENTS:
        if kind in kinds:
            continue
        for text, pattern in spellings:
            if used & pattern.groupindex.keys():
                continue
            if text == shapes.HOST_FIRST and kinds not in _TIME_ONLY:
                continue
            if match := pattern.match(line, at):
                return _follow(line, match.end(), [*chain, (kind, text)])
    return chain


def _known(line: str, at: int, chain: list[_Element], used: set[str]) -> str | None:
    """The rest of a well-known program's header, which ends the chain."""
    for lead, text in shapes.BEHIND_LEAD:
        opened = chain[0][1].startswith(lead)
        new = used.isdisjoint(_python(text).groupindex)
        if opened and new and _python(text).match(line, at):
            return text
    for text, pattern in _KNOWN:
        if not used & pattern.groupindex.keys() and pattern.match(line, at):
            return text
    return None


def _text(chain: _Chain) -> str:
    """The regular expression; what follows the time is optional."""
    first = chain[0][1]
    rest = "".join(text for _, text in chain[1:])
    if rest:
        rest = f"(?:{rest})?"
    return f"{first}{rest}(?<message>(?s:.*))"


def _worth(chain: _Chain, lines: Sequence[str], session: re.Pattern[bytes] | None) -> float:
    """How much the chain tells about how many lines.

    It is 0 where too few lines have it, or where it takes the session key away from the message.
    Lines count most, then what is learnt of each: a time four times, a logger three times as much
    as another element. Words before the time speak against the chain.
    """
    whole = _python("".join(text for _, text in chain) + r"(?<message>\S(?s:.*))")
    begins = _python(_text(chain))
    all_of_it = begun = 0
    for line in lines:
        found = begins.match(line)
        if found is None or not found["message"].strip():
            continue
        begun += 1
        if session and session.search(line.encode(errors="replace")):
            all_of_it += session.search(found["message"].encode(errors="replace")) is not None
        else:
            all_of_it += whole.match(line) is not None
    if min(begun, all_of_it) < MIN_SHARE * len(lines):
        return 0.0
    names = {name for _, text in chain for name in _python(text).groupindex}
    richness = len(chain) + len(names) + 4 * ("time" in names) + 3 * ("component" in names)
    cost_of_word = 0.1
    if chain[0][1].startswith("(?="):
        cost_of_word = 2.0
    return (
        20 * begun / len(lines)
        + richness * all_of_it / len(lines)
        - chain[0][1].count(r"\S+ +") * cost_of_word
    )


def _line_format(chain: _Chain, lines: Sequence[str]) -> LineFormat | None:
    """The chain as settings.

    None where its time can't be read or its logger takes too many values.
    """
    pattern = _python(_text(chain))
    groups = [found.groupdict() for line in lines if (found := pattern.match(line))]
    components = {group["component"] for group in groups if group.get("component")}
    if len(components) > max(_FEW_COMPONENTS, _MANY_COMPONENTS * len(groups)):
        return None
    time_format: str | None = None
    if "time" in pattern.groupindex:
        formats = next(formats for text, formats in _FORMATS.items() if text in chain[0][1])
        times = [group["time"] for group in groups[:_TIMES_READ]]
        if formats:
            time_format = max(formats, key=lambda text: _fit(times, text))
            if not any(_reads(text, time_format) for text in times):
                return None
    share = len(groups) / len(lines)
    example = {name: value for name, value in groups[0].items() if value is not None}
    return LineFormat(_text(chain), time_format, bool(components), share, example)


def _fit(times: Sequence[str], time_format: str) -> tuple[int, int]:
    """How well a format reads times: how many of them, then how rarely they step back.

    So the order of a whole log tells days from months where each date alone could be read both
    ways.
    """
    moments = [moment for text in times if (moment := _moment(text, time_format)) is not None]
    steps_back = sum(later < earlier for earlier, later in pairwise(moments))
    return len(moments), -steps_back


def _moment(text: str, time_format: str) -> datetime | None:
    try:
        return datetime.strptime(text, time_format).replace(tzinfo=None)
    except ValueError:
        return None


def _reads(text: str, time_format: str) -> bool:
    return _moment(text, time_format) is not None
