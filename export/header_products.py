"""Whole headers, of lines that have no time before anything else.

Lines of pairs (logfmt) have their time and level wherever their program puts them. Where all lines
have the same pairs before these, `header_columns.py` finds a header; else the line is the message.

Events of security products, CEF (ArcSight) and LEEF (QRadar), perhaps behind the header of syslog:
their message is the name of the event, with the pairs behind it. A time stands before the header,
or among the pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .header_shapes import CLOCK, DAY, LEVEL_NAMES, LEVEL_WORDS, MONTH, PRIORITY
from .header_times import FORMATS, ISO, compiled

_EVENT = r"[^|]{0,120}?(?:CEF:\d|LEEF:\d)"
# The share of the lines that must be such events.
_MOST = 0.6
_PART = r"(?:[^|\\]|\\.)*"
# The time of an event among its pairs: a number, or as Java prints it.
# The first of these names counts that most events have: others may say when something else was.
_OF_CEF = ("rt|end|start|deviceReceiptTime", "[A-Z]*[Ee]vent[Tt]ime", "endTime", "startTime")
_OF_LEEF = ("devTime",)
_IN_PAIRS = (
    r"(?<time>\d{10}(?:\.\d+|\d{3}|\d{6}|\d{9})?\b"
    rf"|{MONTH} \d\d \d{{4}} {CLOCK}(?:\.\d{{1,9}})?"
    rf"|{DAY} {MONTH} [ \d]?\d {CLOCK} \d{{4}}|{ISO})"
)
_CEF = (
    rf"CEF:\d(?:\.\d)?\|(?<vendor>{_PART})\|(?<component>{_PART})\|{_PART}\|(?<event_id>{_PART})\|"
    rf"(?={_PART}\|(?<cef_severity>[^|]*)\|)"
)
_LEEF = (
    rf"LEEF:\d(?:\.\d)?\|(?<vendor>{_PART})\|(?<component>{_PART})\|{_PART}\|"
    r"(?=(?:.*[|\t^ ;]sev=(?<cef_severity>\d+))?)"
)


# Headers without any time.
_TIMELESS = (
    # the kernel's and systemd's, as programs write it to their standard error
    r"<(?<pri>\d{1,3})>",
    # Android's brief forms: level, process and thread; the tag may stand at the end
    r"(?<level>[VDIWEFA])\( *(?<pid>\d+)(?:: *(?<tid>\w+))?\) +"
    r"(?:(?=.*  \((?<component>[^()]+)\)\s*\Z)|)",
)


# Amazon's flow logs: version, account, interface, and seven columns before the time; none of it is
# stripped.
_SECONDS = r"1\d{9}(?= )"
_FLOW = rf"(?=\d{{1,2}} \d{{12}} eni-\w+ (?:\S+ ){{7}}(?<time>{_SECONDS}))"

# AWS Lambda: the lines that it writes around those of a function, which have no time; and those of
# functions in JavaScript and in Python, and of calls that took too long. All name the request.
_STARTED = r"(?:START|END|REPORT) RequestId: "
_AROUND = (
    rf"(?:{_STARTED}|(?:INIT_START|INIT_REPORT|RESTORE_REPORT|EXTENSION|TELEMETRY)[ \t]+[A-Z])"
)
_REQUEST = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LEVEL_AND_TAB = rf"\[{LEVEL_WORDS}\]\t"
# The share of the lines that must name the start or the end of a request.
_SOME_STARTED = 0.1
# What `aws logs tail` puts before each line.
_SHOWN = rf"(?<time>{ISO}) +(?:\d{{4}}/\d\d/\d\d/\[[^\s\]]*\][0-9a-f]+ +)?"

_PAIR = r"[A-Za-z@_][\w.-]*+=(?:\"(?>(?:[^\"\\]|\\.)*)\"|[^\s\"]*+)"
_PAIRS = rf"{_PAIR}(?: +{_PAIR}){{2}}"
_BEFORE = rf"(?:{_PAIR} +)*?"
_TIME_OF_PAIR = rf"{ISO}|1\d{{9}}(?:\.\d{{1,9}}|(?:\d{{3}}){{1,3}})?(?=\s|\Z)"


def product_headers(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Headers that most of the lines may have, each with its kind."""
    yield from (("pairs", header) for header in _of_pairs(lines))
    yield from (("known", header) for header in _of_products(lines))


def are_security_events(lines: Sequence[str]) -> bool:
    """Whether most lines are events of security products."""
    return _most_have(_EVENT, lines)


def _of_pairs(lines: Sequence[str]) -> Iterator[str]:
    if not _most_have(_PAIRS, lines):
        return
    pair = rf"(?i:time|timestamp|@timestamp|ts|t)=\"?(?<time>{_TIME_OF_PAIR})"
    time = _with_time(_TIME_OF_PAIR, rf"{pair}\"?(?: +|\Z)")
    if not _most_have(time, lines):
        time = rf"(?={_BEFORE}{pair})"
    level = rf"(?={_BEFORE}{LEVEL_NAMES}=\"?(?<level>{LEVEL_WORDS})\b)"
    logger = rf"(?:(?={_BEFORE}(?:logger|component|module)=\"?(?<component>[\w.:/-]+))|)"
    yield from (time + level + logger, time + level, time, level + logger, level)


def _of_products(lines: Sequence[str]) -> Iterator[str]:
    yield from _TIMELESS
    if _most_have(rf"(?:{_SHOWN})?{_STARTED}", lines, _SOME_STARTED):
        yield _with_time(ISO, _of_lambda())
        yield _with_time(ISO, _SHOWN + _of_lambda(is_timed=True))
    if _most_have(_FLOW, lines):
        yield _with_time(_SECONDS, _FLOW)
    if not are_security_events(lines):
        return
    before = rf"(?:{PRIORITY})?"
    for event, names in ((_CEF, _OF_CEF), (_LEEF, _OF_LEEF)):
        yield rf"{before}[^|]*?{event}"
        yield _with_time(ISO, rf"{before}(?<time>{ISO})[^|]*?{event}")
        # Some events have no time.
        yield _with_time(_IN_PAIRS, rf"{before}[^|]*?{event}(?:{_time_among(lines, names)}|)")


def _of_lambda(*, is_timed: bool = False) -> str:
    """The header of a function's line, or nothing before one of Lambda's own; `is_timed` says that
    a time stands before both.
    """
    time = ISO if is_timed else rf"(?<time>{ISO})"
    before = rf"(?:{_LEVEL_AND_TAB})?{ISO}[ \t]"
    request = rf"(?=(?:{_STARTED}|{before})(?<request>{_REQUEST})|)"
    level = rf"(?=(?:\[|{before}{_REQUEST}\t)(?<level>{LEVEL_WORDS})[\]\t]|)"
    own = rf"(?:{_LEVEL_AND_TAB})?{time}[ \t]{_REQUEST}[ \t](?:{LEVEL_WORDS}\t)?"
    return rf"{request}{level}(?:(?={_AROUND})|{own}|\[{LEVEL_WORDS}\] +)"


def _time_among(lines: Sequence[str], names: Sequence[str]) -> str:
    """The pair of the first of these names that most of the lines have; else that of the first."""
    pairs = [rf"(?=.*[|\t^ ;](?:{name})={_IN_PAIRS})" for name in names]
    return next((pair for pair in pairs if _most_have(pair, lines)), pairs[0])


def _most_have(pattern: str, lines: Sequence[str], share: float = _MOST) -> bool:
    return sum(map(bool, map(compiled(pattern).match, lines))) >= share * max(len(lines), 1)


def _with_time(time: str, header: str) -> str:
    """The header, whose time the record reader reads as it is."""
    FORMATS[time] = ()
    return header
