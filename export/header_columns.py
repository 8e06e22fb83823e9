"""Headers that no known shape fits, found as columns that all lines of a log have in common.

`guess.py` knows the parts of many headers, but not every order and bracket that somebody may have
configured. A header has one property that no message has: it is built alike in every line. So all
lines are read side by side, column after column:

1. A column is a time, a level, something in brackets, a word with a sign behind it (`name: `,
   `name | `), a pair `key=value`, or a bare word. The first of these forms that nearly all lines
   have at this place is taken.
2. The header ends behind its last anchor. Anchors are what a message does not begin with: a time, a
   level, a name of few values with a sign of its own. Bare words and numbers are columns only where
   an anchor follows them.
3. What the values look like decides what a column is: component, thread, process, request.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from . import header_shapes as shapes
from . import header_stamps
from .header_roles import SHARE, Column, give_roles, is_anchor, joined
from .header_times import compiled, stamps

# Words before a time that are no part of the message.
MAX_LEAD = 2
# Columns that are looked for; no header has more.
_MOST_COLUMNS = 14
# Lines that are needed to see what all have in common.
_FEWEST_LINES = 5
_FILE = shapes.FILE
_NAME = r"[^\s\[\](){}<>\"'|,;=]+?"
# The line and the function behind a name of a file or a logger; they are no part of the component.
_LINE = r"(?:(?<!:):(?![\d:])[\w<>.$-]+)?(?:[:@]\d+|\(\d+\))?(?:->\w+:\d+|(?<=\d):[A-Za-z_]\w*)?"
# PostgreSQL's lines that belong to a statement before them are a level of their own.
_WORDS = rf"(?:{shapes.LEVEL_WORDS}|DETAIL|HINT|STATEMENT|CONTEXT|QUERY)"
_LETTERS = r"(?:[VDTIWEFCNvdtiwefn]|D[fb]|E[r]|F[a]|I[n])"
# A level in each of its spellings, with what must follow a word that stands by itself.
_BARE_LEVEL = rf"(?<level>{_WORDS})(?=[\s:|\[\],;/>!])!?"
_BARE_LETTER = rf"(?<level>{_LETTERS})(?=[\s:|/!>])!?"
_LEVELS = (
    rf"\[ *(?<level>{_WORDS}) *\]",
    rf"\( *(?<level>{_WORDS}) *\)",
    rf"< *(?<level>{_WORDS}) *>",
    rf"\[(?<level>{_LETTERS})\]",
    rf"(?:level|lvl|severity|loglevel|pri)=\"?(?<level>{_WORDS}|[0-7])\"?(?=[\s,|;\]])",
    _BARE_LEVEL,
    _BARE_LETTER,
    rf"\[ *{_BARE_LEVEL}",
    rf"\[ *{_BARE_LETTER}",
)
# A level together with a name.
_WITH_LEVEL = (
    rf"\[(?<thread>[^\[\]/]+)/(?<level>{_WORDS})\]",
    rf"\[(?:[^\[\]]*[\s:])?(?<component>[\w.$-]+)[#/:](?<level>{_WORDS})(?:\]|(?=,))",
    rf"<(?<level>{_WORDS})[/:](?<component>[\w.$-]+)>",
    # syslog with the facility by its name
    r"(?:kern|user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local[0-7])\."
    rf"(?<level>{_WORDS})(?=\s)",
    rf"\[(?<level>{_WORDS})[#/:](?<component>[\w.$-]+)\]",
    rf"(?<level>{_WORDS}|{_LETTERS})/(?<component>[^\s:()/]+) *\( *(?<pid>\d+)\)(?=:)",
    rf"(?<level>{_WORDS}|{_LETTERS})/(?<component>[\w.$-]+)(?=[\s:(])",
    rf"(?<component>[\w.$-]+)[#/](?<level>{_WORDS})(?=[\s:])",
    rf"(?<component>[\w.$-]+) \((?<level>{_WORDS})\)(?=:)",
    rf"(?<component>[\w.$/-]+)\[(?<level>{_WORDS})\](?=:)",
    # dmesg -x
    rf"(?<component>[\w.$-]+) *:(?<level>{_WORDS}) *(?=:)",
    rf"(?<component>[\w.$/-]+)\[(?<pid>\d+)\]\((?<level>{_WORDS})\)(?=:)",
    r"%(?<component>[A-Z][A-Z0-9_]*)-(?<level>\d)-(?=\w+:)",
    # logrus: seconds since the start
    rf"(?<level>{_WORDS})\[(?<uptime>\d+)\]",
    # PostgreSQL on Azure: the session
    rf"-(?<session>[\w.]+)-(?<level>{_WORDS})(?=:)",
)
_WRAPPED = (
    rf"\[ *(?<value>{_NAME})\((?<pid>\d+)\) *\]",
    r"[\[(](?i:pid|process)[:= ] *(?<pid>\d+)(?:[|,;][^\[\]()]*)?[\])]",
    r"\[ *(?<value>[A-Za-z_][\w.:<>~]*)@\d+ *\]",
    rf"\[ *(?<value>{_FILE})(?:[:(]\d+\)?|{_LINE}) *\]",
    rf"\( *(?<value>{_FILE}):(?:\d+|\w+\(\d+\)) *\)",
    rf"\{{ *(?<value>{_FILE}):\d+ *\}}",
    r"\[ *(?<value>[\w$-]+(?:\.[\w$-]+)+) *:\d+ *\]",
    r"\[[^\[\]]*:(?<value>[\w$]+)@\d+\]",
    r"\[ *(?<value>[A-Za-z_$][\w$]+) *:\d+ *\]",
    r"\[ *(?<value>[^\[\]]*?(?:\[[^\[\]]*\][^\[\]]*)*?) *\]",
    r"\( *(?<value>[^()]*?) *\)",
    r"< *(?<value>[^<>]*?) *>",
    r"\{ *(?<value>[^{}]*?) *\}",
)
# What may stand behind a bracket or a level.
_BEHIND = (
    r" *\t+",
    rf" *:? +{header_stamps.SEPARATOR}:? +",
    r">+ +",
    r" *\| *",
    r" *: +",
    r":(?=\S)",
    r"[,;] *",
    r" *(?=\[)",
    r" *\]:? *",
    r" *",
)
# Words with a sign behind them, the clearest sign first.
_SIGNED = (
    r"(?<pid>\d+)#\d+:? +",
    r"(?<pid>\d+)/[A-Za-z]\w* +",
    rf"(?<value>{_FILE})\(\d+\)(?: *: +| +)",
    rf"(?<value>{_NAME})[\[(] *(?<pid>\d+)(?::\w+)? *[\])]:? +",
    rf"(?<value>{_NAME}){_LINE}(?:[\[(] *(?<pid>\d+)(?::\w+)? *[\])])?: +",
    rf"(?<value>{_NAME})(?:[(<][^\s()<>]*[)>])*: +",
    rf"(?<value>{_NAME}){_LINE} *\](?: *:)? *",
    rf"(?<value>{_NAME}){_LINE} +:+ +",
    rf"(?<value>{_NAME})(?:[:@]\d+ [A-Za-z_][\w.:<>]*|{_LINE}) +{header_stamps.SEPARATOR} +",
    rf"(?<value>{_NAME}(?: {_NAME})?){_LINE} *\| *",
    rf"(?<value>{_NAME}){_LINE}\t+",
    rf"(?<value>{shapes.DOTTED}):\d+ {{2,}}",
    rf"(?<value>{_NAME})> *",
    rf"(?<value>{_NAME})[,;] *",
    r"(?<value>[^\s\[\](){}<>\"'|,;=:]+(?:\(\d+\))?):(?=[^\s\d:])",
    r"(?<value>\d+):(?=\S)",
)
# What stands behind a pair.
_BEHIND_PAIR = r"(?: *[,;|] *|: +| +|\t)"
_PAIR = re.compile(rf"(?P<key>[A-Za-z_][\w.-]*)=(?:\"[^\"]*\"|[^\s\"|,;\]]*){_BEHIND_PAIR}")
_PAIR_OF = r"{key}=(?:\"(?:[^\"]*)\"|(?<value>[^\s\"|,;\]]*))" + _BEHIND_PAIR
# The keys of a logger's name, or of the place in the source.
_CALLER_KEYS = ("caller", "source", "src")
_LOGGER_KEYS = (*_CALLER_KEYS, "logger", "component", "module", "subsystem", "class")
_LOGGER_PAIR = r"{key}=\"?(?<value>[^\s\",:]+)(?::\d+)?\"?" + _BEHIND_PAIR
# Keys of the process.
_PROCESS_KEYS = ("p", "pid", "process")
_BARE = r"(?<value>[^\s\"'=|]+) +"

# A time is read as far as it goes, with its fraction.
_WHOLE = r"(?![.,]\d|:\d{1,6}\b(?![.\w]))"
_BEHIND_TIME = (*header_stamps.ENDS[:-2], r":(?=\S)", *header_stamps.ENDS[-2:])


def learned_headers(lines: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Two patterns, a header as far as its time and what follows it, and whether its last column
    has no name.

    Nothing where the lines have no header in common, or none that says more than a time.
    """
    if len(lines) < _FEWEST_LINES:
        return
    columns = _columns(lines)
    last = max((n for n in range(len(columns)) if is_anchor(columns, n)), default=-1)
    columns = columns[: last + 1]
    give_roles(columns)
    at = next((n for n, column in enumerate(columns) if column.kind == "time"), None)
    unnamed = (
        len(columns) > 0 and columns[-1].kind in ("wrapped", "signed") and not columns[-1].role
    )
    named: set[str] = set()
    if at is None:
        first = joined(columns, named)
        if "level" in named and not named.isdisjoint({"component", "thread", "uptime"}):
            yield r" *" + first, "", unnamed
        return
    if sum(column.kind == "bare" for column in columns[:at]) > MAX_LEAD:
        return
    first = joined(columns[: at + 1], named)
    rest = joined(columns[at + 1 :], named)
    # A time without a year has no name of its own.
    if len(named - {"time", "date"}) > 0:
        yield r" *" + first, rest, unnamed


def _columns(lines: Sequence[str]) -> list[Column]:
    """The columns that nearly all lines have, from the left."""
    found: list[Column] = []
    places = {number: len(line) - len(line.lstrip(" ")) for number, line in enumerate(lines)}
    has_time = has_level = False
    while len(found) < _MOST_COLUMNS:
        column: Column | None = None
        forms: list[Callable[[Sequence[str], dict[int, int]], Column | None]] = []
        if not has_time:
            forms.append(_time)
        if not has_level:
            forms.append(_level)
        forms += [_wrapped, _pair, _signed, _bare]
        for form in forms:
            column = form(lines, places)
            if column is not None:
                break
        if column is None:
            return found
        places = _behind(column, lines, places)
        if "(?<pid>" in column.pattern and not column.has_pid:
            column.pattern = column.pattern.replace("(?<pid>", "(?:")
        has_time = has_time or column.kind == "time"
        has_level = has_level or column.kind == "level"
        found.append(column)
    return found


def _behind(column: Column, lines: Sequence[str], places: dict[int, int]) -> dict[int, int]:
    """Where lines go on behind a column; those without it are left out. Fills in its values."""
    pattern = compiled(column.pattern)
    on: dict[int, int] = {}
    for number, at in places.items():
        if match := pattern.match(lines[number], at):
            on[number] = match.end()
            column.widths.add(match.end() - match.start())
            if "value" in pattern.groupindex:
                column.values.append(match["value"] or "")
            if "pid" in pattern.groupindex and match["pid"]:
                column.has_pid = True
    return on


def _fits(pattern: str, lines: Sequence[str], places: dict[int, int]) -> bool:
    form = compiled(pattern)
    missing = (1 - SHARE) * len(places)
    for number, at in places.items():
        if not form.match(lines[number], at):
            missing -= 1
            if missing < 0:
                return False
    return bool(places)


def _first(
    patterns: Iterable[str], kind: str, lines: Sequence[str], places: dict[int, int]
) -> Column | None:
    fitting = (Column(text, kind) for text in patterns if _fits(text, lines, places))
    return next(fitting, None)


def _time(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    """The time that most lines have here, with what opens and closes it."""
    counts: Counter[str] = Counter()
    reach: dict[str, int] = {}
    for number, at in places.items():
        for _, stamp, end in stamps(lines[number], at):
            if compiled(stamp).groupindex.keys() <= {"time", "date"}:
                counts[stamp] += 1
                reach[stamp] = max(reach.get(stamp, 0), end - at)
    most = [text for text, count in counts.items() if count >= SHARE * len(places)]
    if not most:
        return None
    stamp = max(most, key=lambda text: ("(?<time>" in text, reach[text])) + _WHOLE
    if "UTC" not in stamp:
        zones = (text for text in header_stamps.ZONES if _fits(stamp + text, lines, places))
        zone = next(zones, None)
        if zone is None:
            # It goes on in a way that is no time's.
            return None
        stamp += zone
    return _first((stamp + text for text in _BEHIND_TIME), "time", lines, places)


def _level(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    for text in (*_WITH_LEVEL, *_LEVELS):
        for behind in _BEHIND:
            column = _first([text + behind], "level", lines, places)
            if column is None:
                continue
            if _is_one_letter(text, lines, places):
                break
            return column
    return None


def _is_one_letter(text: str, lines: Sequence[str], places: dict[int, int]) -> bool:
    """Whether all lines have the same single letter, as in sentences that begin with I."""
    form = compiled(text)
    found = {match["level"] for n, at in places.items() if (match := form.match(lines[n], at))}
    return len(found) == 1 and len(next(iter(found))) == 1


def _wrapped(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    return _first(
        (text + behind for text in _WRAPPED for behind in _BEHIND if _fits(text, lines, places)),
        "wrapped",
        lines,
        places,
    )


def _pair(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    """`key=value` with the same key in all lines."""
    keys: Counter[str] = Counter()
    for number, at in places.items():
        if match := _PAIR.match(lines[number], at):
            keys[match["key"]] += 1
    for key, count in keys.most_common(1):
        if count >= SHARE * len(places) and key.lower() not in ("msg", "message"):
            pattern = _PAIR_OF.format(key=re.escape(key))
            role = re.sub(r"\W", "_", key)
            if key.lower() in _LOGGER_KEYS:
                pattern = _LOGGER_PAIR.format(key=re.escape(key))
                role = "caller"
                if key.lower() not in _CALLER_KEYS:
                    role = "component"
            elif key.lower() in _PROCESS_KEYS:
                role = "pid"
            barred = pattern.replace(_BEHIND_PAIR, r" *\| *")
            column = _first([barred, pattern], "pair", lines, places)
            if column is not None:
                column.role = role
            return column
    return None


def _signed(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    return _first(_SIGNED, "signed", lines, places)


def _bare(lines: Sequence[str], places: dict[int, int]) -> Column | None:
    return _first([_BARE], "bare", lines, places)
