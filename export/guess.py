"""Guess how the lines of an unknown log are built, and what tells its sessions apart.

Candidates for the header come from two sides:

1. The columns that the lines have in common (`header_columns.py`), which takes several lines that
   are built alike.
2. A chain of elements: what leads up to the time, the time, then level, process, thread and logger
   in whatever order, or a known rest (`header_shapes.py`). Each sampled line is read by that
   grammar; each chain found, and each beginning of one, is a candidate.

The candidate that tells most about most lines wins. What follows the time may be absent from a
line: then the rest of that line is its message.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fluent_krone.reading.line_formats import GOES_ON, compile_bytes

from . import header_shapes as shapes
from .header_columns import MAX_LEAD, learned_headers
from .header_products import are_security_events, product_headers
from .header_roles import ANNOUNCING, are_levels
from .header_times import FORMATS, best_formats, closed, compiled, stamps
from .spread import spread

# The share of the lines that a header must be found in; below it the whole line is the message.
MIN_SHARE = 0.6
# Where a smaller share of the lines can be the first of their records, records have several lines.
_MANY_HEADS = 0.5
# Words before a time that is read although the message begins with the line.
_FAR = 6
# What stands before such a time; there may be more words than in the lines that were looked at.
_BEFORE_TIME = rf"(?:\S+ +){{{MAX_LEAD + 1},{2 * _FAR}}}?"
# With more distinct loggers than this share of the lines, what looks like a logger is none.
_MANY_COMPONENTS = 0.1
# This many distinct loggers are believed in however short the sample is.
_FEW_COMPONENTS = 50

# Names of months and days, which begin a line of many logs.
_CALENDAR = (*calendar.month_abbr, *calendar.month_name, *calendar.day_abbr, *calendar.day_name)
_NO_LOGGERS = ANNOUNCING.union(_CALENDAR)

# Lines whose chains are looked for; each chain found is then tried on all lines.
_READ = 300
_CONTINUED = re.compile(rf"\s+at |\s*\Z|\s{{4,}}[^\s\d\[]|\t\S|\s*(?:{GOES_ON})")


_KNOWN = [(text, compiled(text)) for text in shapes.KNOWN]
_ELEMENTS = [(kind, [(text, compiled(text)) for text in texts]) for kind, texts in shapes.ELEMENTS]
_WORD = re.compile(r"\S+ +")
_TIME_ONLY = ({"time"}, {"stamp"})
# Times that are read to choose between formats.
_TIMES_READ = 2_000
# What each part of a header is worth; a time and a logger tell most.
# A zone of its own counts only where all lines have it: the others would be of another one.
_VALUE_OF = {
    "time": 6.0,
    "component": 5.0,
    "level": 3.0,
    "pri": 3.0,
    "host": 1.0,
    "message": 0.0,
    "time_zone": 1e-6,
}
_VALUE_OF_OTHERS = 2.0
# Of two headers that say the same, the one counts that somebody described, then the one of columns,
# which ends where lines begin to differ; more so where its last column has no name.
_KNOWN_WORTH = 1.5
_GRAMMAR_WORTH = -0.1
_TIDY = 1.6
# … where at least this share of the lines says it.
_SAID = 0.05
# Letters that English has not; the sign of a micro is none of them.
_FOREIGN = re.compile(r"[^\W\d_\x00-\xbf]")
# What stands behind the header; and a logger at its end: in brackets, perhaps with the number of
# the line, as Kafka writes it, or behind a bar and before the thread, as ActiveMQ does.
MESSAGE = "(?<message>(?s:.*))"
_LOGGER = r"[A-Za-z_][\w$-]*(?:\.[\w$-]+)+"
_IN_BRACKETS = rf"\((?={_LOGGER}(?::\d+)?\)\s*\Z)"
_BEHIND_BAR = rf"\| (?={_LOGGER} \| [^|]+\Z)"
_BEHIND = (
    rf"(?<! ) *+(?:{_IN_BRACKETS}|{_BEHIND_BAR})"
    rf"(?<component>{_LOGGER})(?:(?::\d+)?\)| \| [^|]+)\s*\Z"
)
_NOT_YET = rf"(?! *+(?:{_IN_BRACKETS}|{_BEHIND_BAR}))"
_UP_TO_IT = rf"(?<message>(?>(?:[^ ]++|{_NOT_YET} ++)*))(?:{_BEHIND})?"
# The share of messages that end so.
_MOSTLY = 0.8
# The kind of an element that was found as columns.
LEARNED = "learned"
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
    # The format of times that reads the sample as well, with day and month the other way round.
    other_time_format: str | None = None
    # What takes only lines with all of the header.
    whole: str = ""


# kind, pattern
_Element = tuple[str, str]
_Chain = tuple[_Element, ...]


def guess_line_format(
    lines: Sequence[str], session_pattern: str | None = None, written_ns: int | None = None
) -> LineFormat | None:
    """The header that most of `lines` share, or None: then a line is a message.

    Where headers take what `session_pattern` finds, all of the header is a group named `header`, in
    which the record reader looks for it. `written_ns` is when the log was last written, which tells
    days from months where its times do not. Lines that go on from the one before don't count.

    >>> guess = guess_line_format(["2024-05-01 10:00:00,123 INFO [main] a.b.Pump: started"] * 9)
    >>> guess.example["component"], guess.example["message"]
    ('a.b.Pump', 'started')
    """
    return _guess(tuple(lines), session_pattern, written_ns)


# The same lines are asked for where a text has data beside it, and then for its header.
@lru_cache(maxsize=1)
def _guess(
    lines: Sequence[str], session_pattern: str | None, written_ns: int | None
) -> LineFormat | None:
    heads = heads_of(lines)
    if not heads:
        return None
    read = spread(heads, _READ)
    session = compile_bytes("session_key", session_pattern) if session_pattern else None
    chains = Counter(chain for line in read for chain in _chains(line))
    candidates = [chain for chain, _ in chains.most_common(_TRIED)]
    if sum(map(_has_time, read)) >= _SAID * len(read):
        # Where some lines have a time, names such as `PID :` begin the lines between them.
        candidates = [chain for chain in candidates if {kind for kind, _ in chain} != {"component"}]
    products: list[_Chain] = [(header,) for header in product_headers(read)]
    candidates += products
    unnamed = {
        tuple((LEARNED, part) for part in (first, rest) if part): is_unnamed
        for first, rest, is_unnamed in learned_headers(read)
    }
    if are_security_events(read):
        # Their first columns say how all of them are built.
        candidates, unnamed = products, {}
    tried = [
        (_worth(chain, heads, unnamed.get(chain, False)), chain)
        for chain in (*candidates, *unnamed)
    ]
    for worth, chain in sorted(tried, key=lambda entry: (-entry[0], str(entry[1]))):
        if worth and (found := _line_format(chain, heads, session, written_ns)):
            return found
    return None


def heads_of(lines: Sequence[str]) -> list[str]:
    """The lines that records begin with.

    Where most lines go on from others, as in stack traces, these are none but those with a time.
    """
    heads = [line for line in lines if not _CONTINUED.match(line)]
    if len(heads) < _MANY_HEADS * len(lines):
        return [line for line in heads if _has_time(line)] or heads
    return heads


def _has_time(line: str) -> bool:
    """Whether a time stands near the front of the line."""
    return any(chain[0][0] in ("time", "stamp") for chain, _ in _starts(line) if chain)


def share_of_further_lines(lines: Sequence[str]) -> float:
    """Of lines, the share that go on from the one before."""
    return sum(_CONTINUED.match(line) is not None for line in lines) / max(len(lines), 1)


def why_no_header(lines: Sequence[str]) -> str:
    """Why lines are taken as they are, in words: those without a time may go on from others."""
    share = sum(map(_has_time, lines)) / max(len(lines), 1)
    if _SAID <= share < MIN_SHARE:
        return (
            f"only {share:.0%} of the lines begin with a time, as where records go over several "
            "lines (Fluentd's multiline parser makes one of them)"
        )
    return "most of the lines have no known header"


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
    return kind in shapes.LAST_KINDS or any(sign in text for sign in shapes.SURELY_PROCESS)


def _is_header(chain: Sequence[_Element]) -> bool:
    """Whether the chain says more than how grave the message is.

    A level in front of a message is the message's own first word as often as not. With a mere blank
    or colon behind it, it is a header only where a logger with points in its name follows.
    """
    kind, text = chain[0]
    if kind in ("process", "thread", "known"):
        return False
    if kind != "level":
        return True
    return len(chain) > 1 and (text != shapes.LOOSE_LEVEL or shapes.DOTTED in chain[1][1])


def _starts(line: str) -> Iterator[tuple[list[_Element], int]]:
    """Where a header may begin: behind each time near the front, or at the line's first word."""
    yield [], 0
    at = 0
    for words in range(_FAR + 1):
        skipped = {0: "", 1: r"\S+ +"}.get(words, rf"(?:\S+ +){{{words}}}")
        for kind, stamp, end in stamps(line, at):
            if words <= MAX_LEAD:
                ending, at_end = closed(line, end)
                yield [(kind, skipped + stamp + ending)], at_end
            elif kind == "time":
                yield [(kind, f"(?={_BEFORE_TIME}{stamp})")], 0
        space = _WORD.match(line, at)
        if space is None:
            return
        at = space.end()


def _follow(line: str, at: int, chain: list[_Element]) -> list[_Element]:
    """Read on from `at`, one element after the other, each kind once."""
    used = {name for _, text in chain for name in compiled(text).groupindex}
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
        new = used.isdisjoint(compiled(text).groupindex)
        if opened and new and compiled(text).match(line, at):
            return text
    for text, pattern in _KNOWN:
        if not used & pattern.groupindex.keys() and pattern.match(line, at):
            return text
    return None


def _text(
    chain: _Chain, *, is_keyed: bool = False, message: str = MESSAGE, is_whole: bool = False
) -> str:
    """The regular expression; unless the header must be whole, what follows the time is optional.

    A header that `is_keyed` is a group of its own, as it has the session key.
    """
    first = chain[0][1]
    rest = "".join(text for _, text in chain[1:])
    if rest and not is_whole:
        rest = f"(?:{rest})?"
    header = f"{first}{rest}"
    if is_keyed:
        header = f"(?<header>{header})"
    return f"{header}{message}"


def _is_keyed(
    pattern: re.Pattern[str], lines: Sequence[str], session: re.Pattern[bytes] | None
) -> bool:
    """Whether headers have the session keys that messages lack."""
    if session is None:
        return False
    in_messages = in_headers = 0
    for line in lines:
        found = pattern.match(line)
        if found is None:
            continue
        if session.search(found["message"].encode(errors="replace")):
            in_messages += 1
        elif session.search(line.encode(errors="replace")):
            in_headers += 1
    return in_headers > in_messages


def _worth(chain: _Chain, lines: Sequence[str], unnamed: bool) -> float:
    """How much the chain tells about how many lines.

    It is 0 where too few lines have it.
    Lines count most, then what is learnt of each. Words before the time speak against the chain.
    """
    whole = compiled("".join(text for _, text in chain) + r"(?<message>\S(?s:.*))")
    begins = compiled(_text(chain))
    all_of_it = begun = 0
    said: Counter[str] = Counter()
    for line in lines:
        found = begins.match(line)
        if found is None or not found["message"].strip():
            continue
        begun += 1
        said.update(name for name, value in found.groupdict().items() if value)
        all_of_it += whole.match(line) is not None
    if min(begun, all_of_it) < MIN_SHARE * len(lines):
        return 0.0
    names = [name for name, count in said.items() if count >= _SAID * begun]
    richness = sum(_VALUE_OF.get(name, _VALUE_OF_OTHERS) for name in names)
    if chain[0][0] == LEARNED:
        # A last column without a name is yet a part of the header.
        richness += _TIDY * unnamed
    elif any(kind == "known" for kind, _ in chain):
        richness += _KNOWN_WORTH
    else:
        richness += _GRAMMAR_WORTH
    cost_of_word = 0.1
    if chain[0][1].startswith("(?="):
        cost_of_word = 2.0
    return (
        20 * begun / len(lines)
        + richness * all_of_it / len(lines)
        - chain[0][1].count(r"\S+ +") * cost_of_word
    )


def _line_format(
    chain: _Chain,
    lines: Sequence[str],
    session: re.Pattern[bytes] | None,
    written_ns: int | None,
) -> LineFormat | None:
    """The chain as settings.

    None where its time can't be read or its logger takes too many values.
    """
    message = MESSAGE
    if _have_logger_behind(chain, lines):
        message = _UP_TO_IT
    pattern = compiled(_text(chain, message=message))
    groups = [found.groupdict() for line in lines if (found := pattern.match(line))]
    named = [group["component"] for group in groups if group.get("component")]
    components = set(named)
    if components and components <= _NO_LOGGERS:
        # `Mar  2 10:00:00`: the name of a month is no logger, though two blanks follow it.
        return None
    if are_levels(named) or _are_too_many(components, groups):
        return None
    time_format: str | None = None
    other: str | None = None
    if "time" in pattern.groupindex:
        formats = next(formats for text, formats in FORMATS.items() if text in _text(chain))
        if formats:
            times = [
                " ".join(filter(None, (group.get("date"), group["time"])))
                for group in groups[:_TIMES_READ]
            ]
            time_format, other = best_formats(formats, times, _is_foreign(lines), written_ns)
            if time_format is None:
                return None
    share = len(groups) / len(lines)
    example = {name: value for name, value in groups[0].items() if value is not None}
    # With the session key in it.
    is_keyed = _is_keyed(pattern, lines, session)
    text = _text(chain, is_keyed=is_keyed, message=message)
    whole = _text(chain, is_keyed=is_keyed, message=message, is_whole=True)
    return LineFormat(text, time_format, bool(components), share, example, other, whole)


def _are_too_many(components: Collection[str], lines: Sequence[object]) -> bool:
    """Whether lines have more components than a program has loggers: these are values."""
    return len(components) > max(_FEW_COMPONENTS, _MANY_COMPONENTS * len(lines))


def _have_logger_behind(chain: _Chain, lines: Sequence[str]) -> bool:
    """Whether messages end with their logger; the name of a file there takes too many values."""
    pattern = compiled(_text(chain))
    if "component" in pattern.groupindex:
        return False
    messages = [found["message"] for line in lines if (found := pattern.match(line))]
    ends = filter(None, map(compiled(_BEHIND).search, messages))
    loggers = [end["component"] for end in ends]
    return len(loggers) >= _MOSTLY * len(messages) and not _are_too_many(set(loggers), loggers)


def _is_foreign(lines: Sequence[str]) -> bool:
    """Whether lines are in another language than English, by its letters."""
    foreign = sum(not line.isascii() and _FOREIGN.search(line) is not None for line in lines)
    return foreign > _SAID * len(lines)
