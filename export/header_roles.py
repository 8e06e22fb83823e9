"""Decides which columns a header ends behind, and what each of them is: level, logger, thread, …

A column is judged by its values alone: the names of loggers, threads, processes and requests look
different, and only few of each occur, unlike the words of messages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, takewhile

from fluent_krone.reading.levels import level_word

from . import header_shapes as shapes
from .header_forms import BAR, BEFORE_BRACKET, BEHIND_WRAPPED_PAIR, COLON, COMMA, WORDS
from .header_times import compiled

# The share of the values that must have a form.
SHARE = 0.9
# A name is a component where it takes at most this many values, and this share of the lines, or a
# larger one where its form leaves no doubt. In a short log, up to _FEW_OF_SHORT values are allowed
# as well, where there are three lines for each of them on average.
_FEW = 50
_FEW_SHARE, _FEW_SHARE_OF_LOGGERS = 0.25, 0.5
_FEW_OF_SHORT = 5
# Messages that begin with this many different words are of several kinds.
_KINDS = 3
# Bare words between the level and a name; with more of them the message has begun.
_WORDS_OF_MESSAGE = 3
# A sign behind a column with which no message goes on: a dash, a bar, a tab.
SURE_SIGN = re.compile(rf"(?:{re.escape(shapes.SEPARATOR)}(?::\?)? \+|\\\|\+? \*|\\t\+(?: \*)?)\Z")
# A comma behind quotes, which stands between columns and not within a sentence.
_BEHIND_QUOTES = rf"\"{COMMA}"

_NUMBER = re.compile(r"#?\d+\Z")
_SOURCE = re.compile(rf"{shapes.FILE}(?:[:(]\d+\)?)?(?:->\w+:\d+)?\Z")
# A message's own number, as ORA-00600 and WFLYSRV0025.
_CODE = re.compile(r"[A-Z]{2,}[A-Z_]*-?\d{3,}[A-Z]?\Z")
_STATUS = re.compile(r"[1-5]\d\d\Z")
_METHOD = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)\Z")
OUTCOME = re.compile(
    r"(?i:ok|pass(?:ed)?|success(?:ful|fully)?|succeeded|fail(?:ed|ure)?|error|denied|accept(?:ed)?"
    r"|reject(?:ed)?|allow(?:ed)?|block(?:ed)?|permit(?:ted)?|deny|drop(?:ped)?|skipped)\Z"
)
# Names of pairs that say what happened.
_SAYS_WHAT = frozenset(
    (
        *("action", "act", "event", "event_type", "event_name", "operation", "op", "command"),
        *("cmd", "method", "result", "status", "outcome", "decision"),
    )
)
# Words before a message that say no more than that it is one.
ANNOUNCING = frozenset(("msg", "message", "Message"))
_NUMBERED = re.compile(r"[A-Za-z_-]+\d+\Z")
_LETTER = re.compile(r".\Z")
_LOGGER = re.compile(r"#?[A-Za-z_][\w$-]*(?:(?:\.|::|/|\\)[\w$*#<>-]+)+\Z")
_OF_PARTS = re.compile(r"[^./]+/[^./]+\Z")
# A class of Java with its package.
_CLASS = re.compile(r"[a-z]\w*(?:\.\w+)*\.[A-Z][\w$]*\Z")
# Names that only a logger has: `com.acme.Pump`, `app::api`, `OrderService`.
_SURE_LOGGER = re.compile(
    r"(?:[a-z]\w*\.)+[A-Z][\w$]*\Z|[A-Za-z_]\w*(?:::\w+)+\Z|(?:[A-Z][a-z]+){2,}\Z"
)
_IDENTIFIER = re.compile(r"#?[^\W\d][\w.$:/#*+\\-]*\Z")
_OF_THREADS = "thread|worker|pool|executor|dispatcher|qtp"
# A class that dispatches or executes, as JobDispatcher, is a logger.
_THREAD = re.compile(
    r"(?!(?:[A-Z][a-z]+)+(?:Dispatcher|Executor|Worker)\Z)"
    rf"(?i:main|.*(?:{_OF_THREADS}|exec(?![a-z])).*|\d\.\d+\.\d+)\Z"
)
_NUMBERED_THREAD = re.compile(rf"(?=.*\d\Z)(?i:.*(?:{_OF_THREADS}).*)\Z")
_ID = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f-]{27}|(?=[0-9a-z]*\d)[0-9a-f]{12,})\Z", re.IGNORECASE)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:[:(]\d+\)?)?\Z")

# What a column that is no component is by the form of its values, the likeliest first.
_ROLES_OF_FORMS = (
    (_NUMBER, ("pid", "tid")),
    (_ID, ("request", "trace_id", "span_id")),
    (_ADDRESS, ("client", "peer")),
    (_THREAD, ("thread",)),
)

# Words that are levels wherever they stand, unlike `success` and `default`.
LEVELS = frozenset(
    b"trace debug debu dbg info information inf notice warn wrn warning error erro err critical"
    b" crit fatal fata severe".split()
)
# The share of the values that are such words where a column has levels of the program's own too.
_LEVELS_SHARE = 0.5
# Levels in capitals. Where all values are such words, and not all the same, none is a logger.
_IN_CAPITALS = re.compile(rf"(?=[A-Z\d]+\Z){WORDS}\Z")
_CAPITALS = re.compile(r"[A-Z]{3,}\Z")
# All that PostgreSQL writes as long as nothing fails.
_SOLE = {"LOG"}


def are_levels(values: Sequence[str]) -> bool:
    """Whether values are levels; some may be the program's own, such as `STATUS`.

    >>> are_levels(["INFO", "STATUS", "ERROR"]), are_levels(["pump", "INFO", "cart"])
    (True, False)
    >>> are_levels(["LOG", "STATEMENT", "DETAIL"]), are_levels(["LIFECYCLE", "LIFECYCLE", "ERROR"])
    (True, True)
    """
    if all(_IN_CAPITALS.match(value) for value in values):
        return len(set(values)) > 1 or set(values) == _SOLE
    words = (level_word(value).rstrip(b"0123456789") for value in values)
    known = [word for word in words if word in LEVELS]
    if known and all(map(_CAPITALS.match, values)):
        # Gradle's usual level is LIFECYCLE.
        return 2 * len(set(known)) >= len(set(values)) > 1
    return len(known) > _LEVELS_SHARE * len(values) and len(set(known)) > 1


@dataclass(slots=True)
class Column:
    """One column: its pattern with the group `value`, and the values that lines have in it."""

    pattern: str
    kind: str
    values: list[str] = field(default_factory=list)
    role: str = ""
    # How many characters lines have in it.
    widths: set[int] = field(default_factory=set)
    # The levels that lines have in it, as they are written.
    levels: set[str] = field(default_factory=set)
    # The words that follow it.
    behind: set[str] = field(default_factory=set)
    # Whether any line has a process behind the name.
    has_pid: bool = False
    # The numbers behind names, as in `cart:17 - `, each with the words that follow it.
    numbered: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def distinct(self) -> set[str]:
        return set(self.values)

    @property
    def is_aligned(self) -> bool:
        """Whether names of several lengths are filled up with blanks to the same width."""
        return len(self.widths) == 1 and len({len(value) for value in self.values}) > 1

    def is_same(self, form: re.Pattern[str]) -> bool:
        """Whether it is one and the same bare word in all lines, of this form."""
        return self.kind == "bare" and len(self.distinct) == 1 and self.share(form)

    @property
    def is_of_all(self) -> bool:
        """Whether one and the same word stands before messages of several kinds.

        It is no part of them then.
        """
        return len(self.distinct) == 1 and len(self.behind) >= _KINDS

    @property
    def has_ids(self) -> bool:
        """Whether the numbers behind names are ids: messages of several kinds follow the same one.

        A place in a source writes always the same message, as a rule.
        """
        if self.share(_SOURCE) or self.share(_LOGGER):
            return False
        again = [words for words in self.numbered.values() if len(words) > 1]
        several = sum(len(set(words)) > 1 for words in again)
        return several >= _KINDS and 2 * several > len(again)

    @property
    def is_few(self) -> bool:
        """Whether it has as few values as loggers, threads or hosts have."""
        distinct = self.distinct
        count = len(self.values)
        fewest = max(3, min(_FEW_OF_SHORT, count // 3))
        if len(distinct) <= max(fewest, min(_FEW, int(_FEW_SHARE * count))):
            return True
        if len(distinct) > min(_FEW, _FEW_SHARE_OF_LOGGERS * count):
            return False
        loggers = sum(_SURE_LOGGER.match(value) is not None for value in distinct)
        is_in_brackets = self.kind == "wrapped" and self.share(_LOGGER)
        return is_in_brackets or loggers >= len(distinct) / 2

    def share(self, form: re.Pattern[str]) -> bool:
        """Whether nearly all values have this form."""
        fitting = sum(form.match(value) is not None for value in self.values)
        return fitting >= SHARE * max(len(self.values), 1)


def is_anchor(columns: Sequence[Column], n: int) -> bool:
    """Whether the header may end behind a column, since no message begins with one like it."""
    column = columns[n]
    if column.kind in ("time", "level") or are_levels(column.values):
        return True
    if column.share(_NUMBER):
        return n > 0 and _is_anchored_number(column, columns[n - 1])
    if column.kind == "pair":
        is_closed = column.pattern.endswith((r"\| *", BEHIND_WRAPPED_PAIR))
        # `src=10.1.2.3` is said of who sent something.
        names_logger = column.role in ("component", "caller") and not column.share(_ADDRESS)
        return names_logger or is_closed
    if column.kind == "bare":
        return _is_bare_anchor(column, columns[:n])
    if (column.share(_CODE) and column.values) or column.has_ids:
        return False
    return _is_anchored_name(column, columns[:n])


def _is_bare_anchor(column: Column, before: Sequence[Column]) -> bool:
    """Whether a bare word is a part of the header: a logger behind a level, or one with its package
    behind brackets that follow a level, or names that are filled up to the same width.
    """
    if not column.is_few:
        return False
    kinds = [one.kind for one in before]
    if column.share(_LOGGER) and kinds[-1:] == ["level"]:
        return column.is_of_all or len(column.distinct) > 1
    if column.share(_CLASS) and kinds[-2:] == ["level", "wrapped"]:
        return True
    return column.is_aligned and column.share(_IDENTIFIER)


def is_status(column: Column) -> bool:
    """Whether a column has the methods or the results of requests, or another pair that says what
    happened, or a word that announces the message.
    """
    if column.distinct and column.distinct <= ANNOUNCING:
        return True
    if column.kind == "pair" and column.role.lower() in _SAYS_WHAT:
        return True
    if column.share(_METHOD) or column.share(OUTCOME):
        return True
    return column.share(_STATUS) and "200" in column.distinct


def _is_anchored_number(column: Column, before: Column) -> bool:
    """Numbers of few values beside one another are process and thread."""
    if not column.is_few:
        return False
    if column.kind == before.kind == "signed" and column.pattern == before.pattern:
        # Columns with one sign between all of them.
        return True
    if column.kind == "wrapped":
        if before.kind == "time" and column.pattern.endswith(COLON):
            return True
        return before.pattern.endswith(BEFORE_BRACKET)
    return column.kind == before.kind == "bare" and before.share(_NUMBER)


def _is_anchored_name(column: Column, before: Sequence[Column]) -> bool:
    has_sign = SURE_SIGN.search(column.pattern) is not None
    if _is_surely_of_header(column, before, has_sign):
        return True
    if not column.is_few:
        return False
    is_sure = has_sign or (column.kind == "wrapped" and column.pattern.startswith(r"\["))
    if _is_behind_words(before) and not is_sure:
        return False
    if column.kind == "wrapped" and column.share(_THREAD):
        return True
    if column.share(_SOURCE) or column.share(_LOGGER):
        return True
    if not column.share(_IDENTIFIER) or any(map(_is_name, before)):
        return column.kind == "wrapped" and has_sign
    # One word, behind words: nothing says that it is not the message's own.
    since_anchor = takewhile(lambda one: one.kind not in ("time", "level"), reversed(before))
    is_behind_words = any(earlier.kind == "bare" for earlier in since_anchor)
    has_comma = column.pattern.endswith(COMMA) and not column.pattern.endswith(_BEHIND_QUOTES)
    if has_comma or len(column.distinct) == 1:
        return column.kind == "signed" and not is_behind_words
    return True


def _is_surely_of_header(column: Column, before: Sequence[Column], has_sign: bool) -> bool:
    """Whether no message begins with such a column, however many values it has."""
    if "(?<trace>" in column.pattern:
        return True
    if "(?<pid>" in column.pattern and (not column.values or column.kind == "wrapped"):
        return True
    if column.distinct == {""}:
        return True
    if has_sign and (column.share(_ID) or column.share(_THREAD)):
        return True
    if column.kind == "wrapped" and _is_of_thread(column, before):
        return True
    if _is_between_bars(column, before) and column.share(_IDENTIFIER):
        return True
    is_behind_level = len(before) > 0 and before[-1].kind == "level"
    is_closed = has_sign or (column.kind == "wrapped" and is_behind_level)
    return is_closed and column.is_of_all and column.share(_IDENTIFIER)


def _is_of_thread(column: Column, before: Sequence[Column]) -> bool:
    """Whether brackets have the number of a thread, or stand before a colon.

    But for `unknown[10.1.2.3]: `, which is said of a client.
    """
    if column.share(_NUMBERED_THREAD):
        return True
    is_client = column.share(_ADDRESS) and before[-1].pattern.endswith(BEFORE_BRACKET)
    return column.pattern.endswith(COLON) and not is_client and not _is_behind_words(before)


def _is_behind_words(columns: Sequence[Column]) -> bool:
    """Whether the message has begun: several bare words stand behind something but the time."""
    words = len([*takewhile(lambda column: column.kind == "bare", reversed(columns))])
    header = columns[: len(columns) - words]
    return words >= _WORDS_OF_MESSAGE and len(header) > 0 and header[-1].kind != "time"


def _is_between_bars(column: Column, before: Sequence[Column]) -> bool:
    """Whether a bar stands on both sides of a column, as in a table; behind bare words, it is the
    message that has bars.
    """
    cells = dropwhile(lambda one: not one.pattern.endswith(BAR), before)
    if any(one.kind == "bare" for one in cells):
        return False
    return bool(before) and all(one.pattern.endswith(BAR) for one in (before[-1], column))


def _is_name(column: Column) -> bool:
    """Whether a column has the names of loggers for sure, so that no other one is needed."""
    groups = compiled(column.pattern).groupindex
    if "component" in groups:
        return True
    if not column.values or not column.is_few or column.share(_THREAD) or column.share(_CODE):
        return False
    if column.share(_LOGGER) or column.share(_SOURCE):
        return column.kind in ("signed", "wrapped")
    return column.kind == "signed" and column.share(_IDENTIFIER)


def give_roles(columns: Sequence[Column]) -> None:
    """Say what each column is, by what its values look like."""
    taken = {name for column in columns for name in compiled(column.pattern).groupindex}
    taken.update(column.role for column in columns)
    for role, find in (("level", _level), ("component", _logger)):
        if role not in taken and (column := find(columns)):
            column.role = role
            taken.add(role)
    free = [column for column in columns if column.values and not column.role]
    # First what is sure, then what is likely.
    for roles in (_sure_roles, _likely_roles):
        for column in free:
            if not column.role:
                column.role = next((name for name in roles(column) if name not in taken), "")
                taken.add(column.role)


def _logger(columns: Sequence[Column]) -> Column | None:
    """The column of the logger: one that says who called, else one whose values look like it."""
    for column in columns:
        if column.role == "caller" and not column.share(_ADDRESS):
            return column
    free = [column for column in columns if column.values and not column.role]
    best = max(free, key=lambda column: _component_worth(column, columns), default=None)
    if best is not None and _component_worth(best, columns)[0] > 0:
        return best
    return None


def _level(columns: Sequence[Column]) -> Column | None:
    """The first column that has the levels of a program, with some of its own."""
    free = (column for column in columns if not column.role)
    return next((column for column in free if are_levels(column.values)), None)


def _component_worth(column: Column, columns: Sequence[Column]) -> tuple[float, int]:
    """How much a column looks like the name of a logger; the later one of two."""
    place = columns.index(column)
    is_other = any(column.share(form) for form in (_NUMBER, _ADDRESS, _ID, _LETTER, _CODE))
    # Where threads are numbered, main is a logger.
    numbered = any(other.share(_NUMBER) for other in columns[:place] if other.values)
    is_thread = column.share(_THREAD) and not (numbered and column.distinct == {"main"})
    # A word before the time is a host, a file or a container.
    leads = column.kind == "bare" and any(other.kind == "time" for other in columns[place:])
    # Behind a level, it is the logger.
    leads = leads and not any(other.kind == "level" for other in columns[:place])
    if not column.is_few or is_other or is_thread or leads:
        return 0.0, place
    return _worth_of_name(column), place


def _worth_of_name(column: Column) -> float:
    """How much the values look like names of loggers."""
    worth = 0.0
    if column.share(_SOURCE):
        worth = 1.5
    elif column.share(_LOGGER):
        # `shop/3a` is rather an instance.
        worth = 3.0 if column.share(_OF_PARTS) else 4.0
    elif column.share(_IDENTIFIER):
        worth = 2.0
    if len(column.distinct) == 1:
        worth *= 0.4
    if column.share(_NUMBERED):
        # Hosts and threads have numbers, loggers seldom.
        worth *= 0.7
    if worth and column.kind == "signed":
        worth += 1.0
    return worth


def _sure_roles(column: Column) -> tuple[str, ...]:
    return next((roles for form, roles in _ROLES_OF_FORMS if column.share(form)), ())


def _likely_roles(column: Column) -> tuple[str, ...]:
    if column.kind == "wrapped" and len(column.distinct) > 1:
        return ("thread", "context")
    if column.kind == "bare" and column.share(_IDENTIFIER) and column.is_few:
        return ("host",)
    return ()


def _text(column: Column) -> str:
    """The column's pattern, its value named after its role; what has none stays unnamed."""
    group = "(?:"
    if column.role:
        group = f"(?<{column.role}>"
    return column.pattern.replace("(?<value>", group)


def joined(columns: Sequence[Column], used: set[str]) -> str:
    """The columns as one pattern, in which each name stands for one group."""
    texts = []
    for column in columns:
        text = _text(column)
        for name in compiled(text).groupindex.keys() & used:
            text = text.replace(f"(?<{name}>", "(?:")
        used.update(compiled(text).groupindex)
        texts.append(text)
    return "".join(texts)
