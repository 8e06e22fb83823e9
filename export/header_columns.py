"""Headers of whatever form, found as columns that the lines of a log have in common.

A header has one property that no message has: it is built alike in every line. So all lines are
read side by side, column after column, and no order and no bracket that somebody may have
configured has to be known. Lines that seem to have no header are left out.

1. A column is a time, a level, something in brackets, a word with a sign behind it (`name: `,
   `name | `), a pair `key=value`, or a bare word. The first of these forms that nearly all lines
   have at this place is taken.
2. The header ends behind its last anchor. Anchors are what a message does not begin with: a time, a
   level, a name of few values with a sign of its own. Bare words and numbers are columns only where
   an anchor follows them.
3. What the values look like decides what a column is: component, thread, process, request
   (`header_roles.py`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from . import header_forms as forms
from .header_roles import (
    LEVELS,
    OUTCOME,
    SHARE,
    SURE_SIGN,
    Column,
    give_roles,
    is_anchor,
    is_status,
    joined,
)
from .header_times import ZONES, compiled, stamps

# Lines, each with the place from which it is read on.
_Rests = Sequence[tuple[str, int]]
# Words before a time that are no part of the message.
MAX_LEAD = 2
# The first word of a message, as far as it is of letters; and how many of them are noted.
_FIRST_WORD = re.compile(r"[^\W\d_]*")
_MOST_WORDS = 10
# A number behind a name: the place in a source, or an id.
_NUMBER_BEHIND = re.compile(r":(\d+)(?!\w)")
# This many words that are the same in all lines are no header, where there is no time. Those with a
# capital letter name a program, as in `Gateway Worker INFO …`.
_WORD = re.compile(r"[a-z]+\Z")
_WORDS_OF_SENTENCE = 2
# Where more of them stand in a row, the first may have a capital letter.
_SMALL_WORD = re.compile(r"[A-Z]?[a-z]+\Z")
# A level is a header of its own where there are this many of them.
_SEVERAL = 2
# Columns that are looked for; no header has more.
_MOST_COLUMNS = 14
# A log may have lines of something else between those with the header. The header is looked for in
# the lines that have a clock, or else a level, near their begin, if this share of them has one.
_ENOUGH = 0.6
_HAS_CLOCK = re.compile(
    r".{0,60}?(?<!\d)(?:\d\d?[:.]\d\d[:.]\d\d|1\d{9}|\d{6,8}[T_ -]?\d{6})(?!\d{7})"
)
_HAS_LEVEL = re.compile(rf".{{0,80}}?(?<!\w)(?i:{b'|'.join(sorted(LEVELS)).decode()})(?!\w)")


def learned_headers(lines: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Two patterns, a header up to its time and what follows, and whether its last column has no
    name.

    Nothing where the lines have no header in common, or none that says more than a time. Where a
    program writes lines of its own between those of a logger, the logger's have one in common.
    """
    lines = _with_header(lines)
    yield from _in_common(lines)
    with_level = [line for line in lines if _HAS_LEVEL.match(line)]
    if _ENOUGH * len(lines) <= len(with_level) < SHARE * len(lines):
        yield from _in_common(with_level)


def _in_common(lines: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """What `learned_headers` gives, of lines that all have the same header."""
    columns = list(itertools.takewhile(lambda column: not is_status(column), _columns(lines)))
    columns = _before_sentence(columns)
    last = max((n for n in range(len(columns)) if is_anchor(columns, n)), default=-1)
    columns = columns[: last + 1]
    _find_sole_level(columns)
    give_roles(columns)
    at = next((n for n, column in enumerate(columns) if column.kind == "time"), None)
    unnamed = (
        len(columns) > 0 and columns[-1].kind in ("wrapped", "signed") and not columns[-1].role
    )
    named: set[str] = set()
    if at is None:
        first = joined(columns, named)
        if _is_sure_without_time(columns, named) and not _is_sentence(columns):
            yield r" *" + first, "", unnamed
        return
    if sum(column.kind == "bare" for column in columns[:at]) > MAX_LEAD:
        return
    first = joined(columns[: at + 1], named)
    rest = joined(columns[at + 1 :], named)
    # A time without a year has no name of its own.
    if len(named - forms.OF_TIME) > 0:
        yield r" *" + first, rest, unnamed


def _before_sentence(columns: list[Column]) -> list[Column]:
    """The columns before several words in a row that are the same in all lines: there, messages of
    one kind begin.
    """
    said = 0
    for number, column in enumerate(columns):
        said = said + 1 if column.is_same(_SMALL_WORD) else 0
        if said > MAX_LEAD:
            return columns[: number + 1 - said]
    return columns


def _is_sure_without_time(columns: Sequence[Column], named: set[str]) -> bool:
    """Whether columns are a header although none is a time; a pair such as level=info is one."""
    if any(column.pattern.startswith(forms.LEVEL_PAIR) for column in columns):
        return True
    with_level = "level" in named and not named.isdisjoint({"component", "thread", "uptime"})
    return with_level or named >= {"component", "pid"} or _is_marked_level(columns)


def _is_marked_level(columns: Sequence[Column]) -> bool:
    """Whether the header is but a level, in brackets, before a bar or filled up with blanks.

    With a mere blank or colon behind it, it is a message's first word as often as not. Words that
    all say how a step ended, as Success and Error, are of the message, and single letters may be
    those of drives and gates.
    """
    if len(columns) != 1 or not columns[0].levels:
        return False
    level = columns[0]
    if len(level.levels) < _SEVERAL:
        # Hardly anything happened: all lines have the same one.
        return (
            level.pattern.startswith(forms.IN_BRACKETS)
            and {word.lower().encode() for word in level.levels} <= LEVELS
        )
    if all(len(word) == 1 for word in level.levels) and not _are_levels(level.levels):
        return False
    if all(map(OUTCOME.match, level.levels)):
        return False
    is_aligned = len(level.widths) == 1 and len({len(word) for word in level.levels}) > 1
    is_bare = level.pattern.startswith((forms.BARE_LEVEL, forms.BARE_LETTER))
    return not is_bare or is_aligned or SURE_SIGN.search(level.pattern) is not None


def _are_levels(letters: Collection[str]) -> bool:
    """Whether single letters are levels, and not those of drives or of points of the compass."""
    found = {letter.upper() for letter in letters}
    return "I" in found or ("W" in found and "N" not in found)


def _is_sentence(columns: Sequence[Column]) -> bool:
    """Whether messages begin with the same words, before one that only looks like a level: `this is
    a warning`."""
    return sum(column.is_same(_WORD) for column in columns) >= _WORDS_OF_SENTENCE


def _find_sole_level(columns: list[Column]) -> None:
    """Where one letter stands before a further column in all lines, it is a level.

    A message may begin with I in all lines, but then nothing of a header follows.
    """
    if any(column.kind == "level" for column in columns):
        return
    for number, column in enumerate(columns[:-1]):
        if column.kind == "bare" and column.distinct <= forms.SOLE_LEVELS:
            columns[number] = Column(forms.BARE_LETTER + " *", "level")
            return


def _with_header(lines: Sequence[str]) -> Sequence[str]:
    """The lines that seem to have a header; all where it is not clear which ones do."""
    for sign in (_HAS_CLOCK, _HAS_LEVEL):
        found = [line for line in lines if sign.match(line)]
        if len(found) >= _ENOUGH * len(lines):
            return found
    return lines


def _columns(lines: Sequence[str]) -> list[Column]:
    """The columns that nearly all lines have, from the left."""
    found: list[Column] = []
    rests: _Rests = [(line, len(line) - len(line.lstrip(" "))) for line in lines]
    while len(found) < _MOST_COLUMNS:
        column = (
            _time(rests, found)
            or _level(rests, found)
            or _pair(rests)
            or _wrapped(rests)
            or _first(forms.SIGNED, "signed", rests)
            or _first([forms.BARE], "bare", rests)
        )
        if column is None:
            break
        rests = _behind(column, rests)
        if "(?<pid>" in column.pattern and not column.has_pid:
            column.pattern = column.pattern.replace("(?<pid>", "(?:")
        found.append(column)
    return found


def _behind(column: Column, rests: _Rests) -> _Rests:
    """How lines go on behind a column; those without it are left out. Fills in its values."""
    pattern = compiled(column.pattern)
    on = []
    for line, at in rests:
        if match := pattern.match(line, at):
            on.append((line, match.end()))
            column.widths.add(match.end() - match.start())
            word = _FIRST_WORD.match(line, match.end())
            if word and len(column.behind) < _MOST_WORDS:
                column.behind.add(word[0])
            if "value" in pattern.groupindex:
                column.values.append(match["value"] or "")
                number = _NUMBER_BEHIND.match(line, match.end("value"), match.end())
                if number and word:
                    column.numbered[number[1]].append(word[0])
            if "level" in pattern.groupindex:
                column.levels.add(match["level"])
            if "pid" in pattern.groupindex and match["pid"]:
                column.has_pid = True
    return on


def _fits(pattern: str, rests: _Rests) -> bool:
    form = compiled(pattern)
    missing = (1 - SHARE) * len(rests)
    for line, at in rests:
        if not form.match(line, at):
            missing -= 1
            if missing < 0:
                return False
    return bool(rests)


def _first(patterns: Iterable[str], kind: str, rests: _Rests) -> Column | None:
    fitting = (Column(text, kind) for text in patterns if _fits(text, rests))
    return next(fitting, None)


def _has_begun(columns: Sequence[Column]) -> bool:
    """Whether messages of one kind have begun: the last column is a word that is the same in all
    lines, behind a name with a colon, as in `login: authentication error for …`, or behind other
    such words.
    """
    words = [*itertools.takewhile(lambda column: column.kind == "bare", reversed(columns))]
    if not words or len(words[0].distinct) > 1:
        return False
    is_named = any(column.pattern.endswith(": +") for column in columns if column.kind == "signed")
    return is_named or len(words) > MAX_LEAD


def _time(rests: _Rests, before: Sequence[Column]) -> Column | None:
    """The time that most lines have here.

    A program may write a further one behind the header of syslog, but a number there is an id.
    """
    if not any(column.kind == "time" for column in before):
        return _stamp(rests)
    column = None if before[-1].kind == "bare" else _stamp(rests)
    if column is None or r"1\d{9}" in column.pattern:
        return None
    return column


def _stamp(rests: _Rests) -> Column | None:
    """A time, with what opens and closes it."""
    counts: Counter[str] = Counter()
    reach: dict[str, int] = {}
    for line, at in rests:
        for _, stamp, end in stamps(line, at):
            if compiled(stamp).groupindex.keys() <= forms.OF_TIME:
                counts[stamp] += 1
                reach[stamp] = max(reach.get(stamp, 0), end - at)
    most = [text for text, count in counts.items() if count >= SHARE * len(rests)]
    if not most:
        return None
    ranks = {
        text: ("(?<time>" in text, reach[text], counts[text], "(?<time_zone>" in text)
        for text in most
    }
    stamp = max(most, key=ranks.__getitem__) + forms.WHOLE
    if "UTC" not in stamp:
        zones = (text for text in ZONES if _fits(stamp + text, rests))
        zone = next(zones, None)
        if zone is None:
            # It goes on in a way that is no time's.
            return None
        stamp += zone
    return _first((stamp + text for text in forms.BEHIND_TIME), "time", rests)


def _level(rests: _Rests, before: Sequence[Column]) -> Column | None:
    if any(column.kind == "level" for column in before):
        return None
    for text in (*forms.WITH_LEVEL, *forms.LEVELS):
        for behind in forms.BEHIND:
            column = _first([text + behind], "level", rests)
            if column is None:
                continue
            if text in forms.DOUBTED_LEVELS and _is_said(text, rests, before):
                break
            return column
    return None


def _is_said(text: str, rests: _Rests, before: Sequence[Column]) -> bool:
    """Whether a sentence has what looks like a level: all lines have the same letter, as in those
    that begin with I, or the same small word, where their messages have begun.
    """
    form = compiled(text)
    found = {match["level"] for line, at in rests if (match := form.match(line, at))}
    if len(found) > 1:
        return False
    word = next(iter(found))
    return len(word) == 1 or (word.islower() and _has_begun(before))


def _wrapped(rests: _Rests) -> Column | None:
    return _first(
        (text + behind for text in forms.WRAPPED if _fits(text, rests) for behind in forms.BEHIND),
        "wrapped",
        rests,
    )


def _pair(rests: _Rests) -> Column | None:
    """`key=value` with the same key in nearly all lines."""
    keys: Counter[str] = Counter()
    for line, at in rests:
        if match := forms.PAIR.match(line, at):
            keys[match["key"] or match["inner"]] += 1
    key, count = next(iter(keys.most_common(1)), ("", 0))
    if count < SHARE * len(rests) or key.lower() in ("", "msg", "message"):
        return None
    pattern = forms.PAIR_OF
    role = re.sub(r"\W", "_", key)
    if role.lower() in forms.TAKEN:
        # It is a name of the reader's own, and the value has not been read as such.
        role = f"{role}_"
    if key.lower() in forms.LOGGER_KEYS:
        pattern = forms.LOGGER_PAIR
        role = "component"
        if key.lower() in forms.CALLER_KEYS:
            role = "caller"
    elif key.lower() in forms.PROCESS_KEYS:
        role = "pid"
    pattern = pattern.replace("{key}", re.escape(key))
    barred = pattern.replace(forms.BEHIND_PAIR, r" *\| *")
    wrapped = rf"\[{pattern.replace(forms.BEHIND_PAIR, '')}{forms.BEHIND_WRAPPED_PAIR}"
    column = _first([barred, pattern, wrapped], "pair", rests)
    if column is not None:
        column.role = role
    return column
