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

from fluent_krone.reading.records import compile_bytes, python_regex

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

_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d(?::?\d\d)?)?"
_CLOCK = r"\d\d:\d\d:\d\d"
_FRACTION = r"(?:[.,:]\d{1,9})?"
# (pattern, strptime formats to try); without a format RecordReader reads the time as it is.
_TIMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (rf"(?<time>{_ISO})", ()),
    (rf"(?<time>\d{{4}}/\d\d/\d\d {_CLOCK}){_FRACTION}", ("%Y/%m/%d %H:%M:%S",)),
    (
        rf"(?<time>\d\d/\d\d/\d\d {_CLOCK}){_FRACTION}",
        ("%y/%m/%d %H:%M:%S", "%m/%d/%y %H:%M:%S", "%d/%m/%y %H:%M:%S"),
    ),
    (
        rf"(?<time>\d\d/\d\d/\d{{4}},? {_CLOCK}){_FRACTION}",
        ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"),
    ),
    (rf"(?<time>\d\d?\.\d\d?\.\d{{4}} {_CLOCK}){_FRACTION}", ("%d.%m.%Y %H:%M:%S",)),
    (rf"(?<time>\d\d/[A-Z][a-z]{{2}}/\d{{4}}:{_CLOCK} [+-]\d{{4}})", ("%d/%b/%Y:%H:%M:%S %z",)),
    (rf"(?<time>\d\d? [A-Z][a-z]{{2}} \d{{4}} {_CLOCK}){_FRACTION}", ("%d %b %Y %H:%M:%S",)),
    (rf"(?<time>\d\d?-[A-Z][a-z]{{2}}-\d{{4}} {_CLOCK}){_FRACTION}", ("%d-%b-%Y %H:%M:%S",)),
    (
        rf"(?<time>[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d {_CLOCK} \d{{4}})",
        ("%a %b %d %H:%M:%S %Y",),
    ),
    (
        rf"(?<time>[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d {_CLOCK}\.\d+ \d{{4}})",
        ("%a %b %d %H:%M:%S.%f %Y",),
    ),
    (rf"(?<time>[A-Z][a-z]{{2}} [ \d]\d \d{{4}} {_CLOCK}){_FRACTION}", ("%b %d %Y %H:%M:%S",)),
    (r"(?<time>[A-Z][a-z]{2} \d\d?, \d{4} \d\d?:\d\d:\d\d [AP]M)", ("%b %d, %Y %I:%M:%S %p",)),
    (r"(?<time>\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d)(?:\.\d+)?", ("%Y-%m-%d-%H.%M.%S",)),
    (
        r"(?<time>\d{8}[-_ ]\d\d?:\d\d?:\d\d?)" + _FRACTION,
        ("%Y%m%d-%H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%d_%H:%M:%S"),
    ),
    (r"(?<time>\d{6} \d{6})(?:\.\d+)?", ("%y%m%d %H%M%S",)),
    (r"(?<time>1\d{9}(?:\.\d{1,9})?)(?!\d)", ()),
    # milliseconds since 1970
    (r"(?<time>1\d{9})\d{3}(?!\d)", ()),
)
# Without a year, or a date: no `time` group, so that the door's own time counts (`inputs.py`
# knows the common ones).
_YEARLESS = (
    rf"[A-Z][a-z]{{2}} [ \d]?\d {_CLOCK}{_FRACTION}",
    rf"[IWEF]\d{{4}} {_CLOCK}\.\d+",
    rf"\d\d[-./]\d\d {_CLOCK}{_FRACTION}",
    rf"{_CLOCK}{_FRACTION}",
)
_ZONES = (r" (?:UTC|GMT|CET|[A-Z]{1,3}[SD]T|[+-]\d{4})(?= |\])", "")
_ENDS = (r"\]:? +- +", r"\]:? *", r" +- +", r", *", r" *\| *", r": +", r"\" +", r" +", "")
_LEVEL = (
    r"(?i:trace|debug|info|information|notice|note|warn|warning|error|err|crit|critical|fatal|severe|alert|"
    r"emerg|fine|finest|log|panic|verbose)"
)
_LOGGER = r"[A-Za-z_][\w.$/@*#()-]*"
_DOTTED = r"[A-Za-z_][\w$]*(?:\.[\w$-]+)+"

# Kinds of which a header has one, each in the spellings that are tried in turn. A header ends
# with a `closing` kind.
_ELEMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "level",
        (
            rf"\[ *(?<level>{_LEVEL}) *\](?:: | *- +| *)",
            rf"\((?<level>{_LEVEL})\) *",
            rf"<(?<level>{_LEVEL})> *",
            rf"level=\"?(?<level>{_LEVEL})\"?,? +",
            rf"(?<level>{_LEVEL}) *\| *",
            rf"(?<level>{_LEVEL})/[\w-]+\] *",
            rf"(?<level>{_LEVEL})(?: +-+ +:? *| *:? +|:(?=[\w.]+:))",
            r"(?<level>[VDIWEF]) +(?=[\w.$-]+ *:)",
        ),
    ),
    (
        "component",
        (
            r"(?<host>[^\s\[\]]+) +(?<component>[^\s\[\]:]+)(?:\[(?<pid>\d+)\])?: +",
            r"\[.*:(?<component>[\w$]+)@\d+\] - ",
            rf"\[(?<component>[\w-]*):{_LEVEL}\] *",
            r"\{(?<component>[\w.-]+):\d+\} *",
            rf"\[ *(?<component>{_DOTTED}) *\] *",
            r"(?<component>[A-Za-z_][\w.-]*):\d+\] ",
            r"(?<component>[A-Za-z_][\w./-]*):\d+(?: -|:)? +",
            rf"(?<component>{_LOGGER})\[(?<pid>\d+)\]: +",
            rf"(?<component>{_LOGGER}) *\| *",
            rf"(?<component>{_LOGGER}) *: +",
            rf"(?<component>{_LOGGER}):(?=\S)",
            rf"(?<component>{_LOGGER}) - ",
            rf"(?<component>{_DOTTED}) +",
            rf"(?<component>{_LOGGER})(?:  +|\t)",
        ),
    ),
    (
        "process",
        (
            r"(?<pid>\d+) +--- +",
            r"(?<pid>\d+) +(?<tid>\d+) +",
            r"(?<pid>\d+) *\| *",
            r"(?<pid>\d+)#\d+: +",
            r"(?<pid>\d+):? +",
            r"\[pid (?<pid>\d+)(?::tid (?<tid>\d+))?\] *",
            r"\[(?<pid>\d+)\]:? +",
            r"\((?<pid>\d+)\) +",
        ),
    ),
    ("thread", (r"\[(?<thread>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\] *(?:- +)?",)),
)
_CLOSING = ("time", "stamp", "level", "component")
_SURELY_PROCESS = (r"(?<pid>\d+)#", r"(?<pid>\d+) *\|", r"\[pid ")
_HOST_FIRST = _ELEMENTS[1][1][0]
_CONTINUED = re.compile(r"\s|\Z|Caused by: |Traceback \(|\.\.\. \d+ more")


@cache
def _python(pattern: str) -> re.Pattern[str]:
    return re.compile(python_regex(pattern))


_STAMPS = [
    (kind, text, _python(text))
    for kind, text in [*(("time", t) for t, _ in _TIMES), *(("stamp", t) for t in _YEARLESS)]
]
_SPELLINGS = [
    (kind, [(text, _python(text)) for text in spellings]) for kind, spellings in _ELEMENTS
]
_LEADS = [
    (text, _python(text))
    for text in ("", r"<\d+>(?:1 +)?", r"\[ *", r"(?:time|ts|timestamp|date)=\"?")
]
_WORD = re.compile(r"\S+ +")
_TIME_ONLY = ({"time"}, {"stamp"})
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
    session = compile_bytes("session_key", session_pattern) if session_pattern else None
    chains = Counter(chain for line in heads for chain in _chains(line))
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
            if _closes(chain[n - 1]) and chain[0][0] not in ("process", "thread"):
                yield tuple(chain[:n])


def _closes(element: _Element) -> bool:
    """Whether a header may end here; a bare number or bracket may be the message's own."""
    kind, text = element
    return kind in _CLOSING or any(sign in text for sign in _SURELY_PROCESS)


def _starts(line: str) -> Iterator[tuple[list[_Element], int]]:
    """Where a header may begin to be read.

    Behind each time near the front, or at the line's first word.
    """
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
        if opened := lead.match(line, at):
            for kind, stamp, pattern in _STAMPS:
                if found := pattern.match(line, opened.end()):
                    yield kind, opening + stamp, found.end()


def _closed(line: str, at: int) -> tuple[str, int]:
    """What closes a time: its zone, and the sign and blanks behind it."""
    zone, at = _first(_ZONES, line, at)
    end, at = _first(_ENDS, line, at)
    return zone + end, at


def _first(patterns: Iterable[str], line: str, at: int) -> tuple[str, int]:
    """The first of `patterns` that matches, and where it ends."""
    return next(
        (text, found.end()) for text in patterns if (found := _python(text).match(line, at))
    )


def _follow(line: str, at: int, chain: list[_Element]) -> list[_Element]:
    """Read on from `at`, one element after the other, each kind once."""
    kinds = {kind for kind, _ in chain}
    found = None
    for kind, spellings in _SPELLINGS:
        if kind not in kinds:
            found = next(
                (
                    ((kind, text), match.end())
                    for text, pattern in spellings
                    if (text != _HOST_FIRST or kinds in _TIME_ONLY)
                    and (match := pattern.match(line, at))
                ),
                None,
            )
        if found:
            break
    if found is None:
        return chain
    return _follow(line, found[1], [*chain, found[0]])


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
    kinds = [kind for kind, _ in chain]
    richness = 4 * ("time" in kinds) + 3 * ("component" in kinds) + len(kinds)
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
        formats = next(formats for text, formats in _TIMES if text in chain[0][1])
        times = [group["time"] for group in groups[:500]]
        time_format = max(
            formats, key=lambda f: sum(_reads(text, f) for text in times), default=None
        )
        if time_format and not any(_reads(text, time_format) for text in times):
            return None
    share = len(groups) / len(lines)
    example = {name: value for name, value in groups[0].items() if value is not None}
    return LineFormat(_text(chain), time_format, bool(components), share, example)


def _reads(text: str, time_format: str) -> bool:
    try:
        datetime.strptime(text, time_format)
    except ValueError:
        return False
    return True
