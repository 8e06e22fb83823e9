"""What may tell the executions of a log apart.

Fields and ids in messages that come back a few times each.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fluent_krone.reading.accessor import is_path, path_steps

from .header_shapes import FILE
from .session_ids import HYPHENED, LONG_MIXTURE, NOUNS, ONE_EXECUTION, TYPED, labelled
from .session_sample import NEAR, Sample, Seen

# What `--session-key auto` gives: the log decides.
AUTO = ("auto",)
# What a value is worth that links no messages of different kinds: each may still be an execution
# of its own, as in an access log.
_UNLINKED = 0.3
# A candidate makes at least this many sessions of the sample …
MIN_SESSIONS = 3
# Session keys that are suggested.
_MOST = 3
# … is in at least this share of the records …
_MIN_COVERAGE = 0.2
# … and comes back this often on average: an id that occurs once tells nothing of an execution.
_MIN_REPEATS = 1.5
# Names of fields that hold the id of an execution, in whatever spelling: they come first.
_EXECUTIONS = re.compile(
    rf"(?:x[-_])?(?:{ONE_EXECUTION}|conn(?:ection)?)[-_.]?(?:id|uuid|key)\Z|trace|traceid|spanid",
    re.I,
)
# Values that say what they are, as `conn5001` and `job-17`, whatever their field is called.
_NUMBERED_EXECUTION = re.compile(rf"(?:{ONE_EXECUTION}|conn(?:ection)?)[-_#/: ]?\d+", re.I)
# Names of ids of a part of an execution, and of the whole: a span is a part of a trace.
_SPANS = re.compile(r"(?:parent[-_.]?)?span(?:[-_.]?id)?", re.I)
_TRACES = re.compile(r"trace(?:[-_.]?id)?", re.I)
# The share of the records of a part that are also records of the whole.
_IN_WHOLE = 0.9
# Fields that say who asked: what one client does is an execution where nothing better is known.
_CLIENTS = re.compile(
    r"client|(?:\w+[-_.])?(?:client|remote|source|src|peer|c)[-_.]?"
    r"(?:ip|host|addr(?:ess)?|ip[-_]?address)|x[-_]forwarded[-_]for|user(?:[-_]?(?:id|name))?",
    re.I,
)
# Fields that say what was asked for.
ROUTES = re.compile(r"(?:.*[-_.a-z])?(?:uri|url|path|route|endpoint|query|stem)", re.I)
# Other fields that hold an id. They are better than the same id in a message.
_IDS = re.compile(r"(?:(?:^|[_.-])(?i:id|uid|uuid|guid)|[a-z](?:Id|ID|Uid|UID|Uuid|UUID))\Z")
# A session key that is a word, a blank and an id; and the share of the messages that must have it
# where the word is no known noun.
_BLANK_BEFORE = re.compile(r"/(?P<word>[^\s()\[\]]+?):? (?:[\"'<]|\\[(\[])?\((?P<form>.*)\)/")
_NEARLY_ALL = 0.8
# Names of numbers that say which one it was: of things, processes and users, of ports, of places in
# a source and in a row, and parts of a date, which are others on the next day; but not those that
# say how something went, as `error_id` does.
_IDENTITIES = re.compile(
    r"(?:.*[-_. ])?(?:(?:pp?|t|e?u|e?g|login_?u|uu|gu)?id|[sd]?port"
    r"|seq(?:uence)?(?:[-_. ]?(?:no|nr|num(?:ber)?))?)"
    r"|(?:(?:code|source|src|file)[-_. ])?line(?:[-_. ]?(?:no|nr|num(?:ber)?))?"
    r"|year|month|week|(?:week)?day|hour",
    re.I,
)
_OUTCOMES = re.compile(
    r"(?:.*[-_. ])?(?:status|state|err(?:or)?|result|reason|code|type|fault|alarm|message|msg|rule"
    r"|signature|category|class|kind|cause|level)[-_. ]?id",
    re.I,
)
# An execution of a program: a session key where nothing better tells executions apart; and what it
# is worth. It is worth more where all records of each process lie together, as where each
# connection has a process of its own.
PROCESS = ("pid", "tid", "thread")
_OF_PROCESS = 0.5
_OF_SHORT_PROCESS = 0.7
# … and what a field of other executions is worth that only its values name.
_OF_NUMBERED = 2.5
# At least so many processes are no restarts of one service.
_MANY_PROCESSES = 30
_ID_WORD = re.compile(
    r"id|req|request|trace|span|session|sess|txn|transaction|order|job|task|blk|block|conn|call",
    re.I,
)
# Names of measures, results and methods in whatever spelling: no execution has them.
_MEASURED = re.compile(
    r"(?:.*[-_.])?(?:method|verb|proto(?:col)?|scheme|action|state|history|error|reason|result"
    r"|outcome)|(?:.*[-_.])?(?:duration|elapsed|latency|taken|status|size|length|bytes|time|rt|substatus|retr(?:y|ies)|attempts?|tries|count"
    r"|(?:response|return|exit)[-_.]?code)"
    r"(?:[-_.]?(?:code|ms|us|ns|s|sec|seconds|millis))?",
    re.I,
)
_MEASURE = re.compile(
    r"(?:.*[-_.])?(?:port|p|ttl|pkts|packets)|size|len|length|bytes|count|took|line|code|status|total|version|[mun]?s|time|at|in|of"
    r"|to",
    re.I,
)
# The place in a source that a line comes from, as `pump.go:42`.
_SOURCE = re.compile(FILE)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# What an expression looks around for, and its classes of characters.
_NOT_A_NAME = re.compile(r"\(\?<?[=!][^()]*\)|(?<!\\)\[[^\]]*\]")
_LABEL_OF = re.compile(r"[A-Za-z_][\w./@-]*")
# A name as it stands before a value in a message.
_LABEL = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value for `--session-key`, the share of records that have it, and what sessions it makes
    of a sample.
    """

    option: str
    coverage: float
    sessions: int
    repeats: float

    def __str__(self) -> str:
        quoted = self.option
        if quoted.startswith("/"):
            quoted = f"'{quoted}'"
        return f"--session-key {quoted} ({self._share})"

    @property
    def words(self) -> str:
        """The key as it stands in a configuration, and why it was chosen."""
        return f"{self.option} ({self._share})"

    @property
    def _share(self) -> str:
        repeats = f"{self.repeats:.1f}"
        if self.repeats >= 100:
            repeats = f"{self.repeats:,.0f}"
        return f"in {self.coverage:.0%} of the records, {repeats} records per session"


def suggest_session_keys(
    records: Iterable[tuple[str, Mapping[str, str]]], *, are_lines: bool = False
) -> list[Candidate]:
    """Candidates from a sample of (message, other fields), best first.

    `are_lines` is as for `Sample`.

    >>> words = ("packed", "sent", "paid")
    >>> sample = [(f"{word} order={n}", {}) for n in range(40) for word in words]
    >>> [candidate.option for candidate in suggest_session_keys(sample)]
    ['/order=(-?[0-9]+)/']
    """
    sample = Sample(records, are_lines=are_lines)
    total = sample.size
    ranked = sorted(
        (
            # Of two that find the same, a field is plainer than an expression, and the longer
            # expression says more exactly where.
            (
                _score(_candidate(option, seen, total), total, are_lines=are_lines)
                * max(_weight(one, seen, total) for one in sample.spellings(option))
                * _links(seen.shapes)
                * _singleness(option, seen),
                not option.startswith("/"),
                len(option),
                option,
            )
            for option, seen in sample.options.items()
            if _may_be_key(sample.spellings(option), seen, total)
        ),
        reverse=True,
    )
    options: list[str] = []
    for score, *_, option in ranked:
        # Of one word, its longest beginning is enough, and so is the key of all spellings.
        is_part = option.startswith("/") and any(better.endswith(option[1:]) for better in options)
        is_part |= any(option in sample.spellings(better) for better in options)
        if score > 0 and not is_part:
            options.append(option)
    best = _wholes_first(options, sample.options)[:_MOST]
    return [_candidate(option, sample.options[option], total) for option in best]


def labelled_key(name: str, messages: Sequence[str]) -> Candidate | None:
    """The expression for a name that most messages have as a label, as in `call_id=7a@b`.

    >>> labelled_key("call", ["bye call=7a@b", "ok, call: 7a@b"]).option
    '/\\\\bcall"?[=:] ?"?([^\\\\s",;}]+)/'
    """
    if not _LABEL.fullmatch(name):
        return None
    expression = labelled(name)
    found = [match[1] for message in messages if (match := re.search(expression, message))]
    if len(found) * 2 < len(messages):
        return None
    values = Counter(found)
    return Candidate(
        f"/{expression}/", len(found) / len(messages), len(values), len(found) / len(values)
    )


def _wholes_first(options: Sequence[str], of: Mapping[str, Seen]) -> list[str]:
    """The options with spans behind their trace, of which they are parts.

    There are more spans than traces, and where a record stands for each start and each end, or for
    each line within a span, they come back as well.
    """
    names = {option: _own_name(option) for option in options}
    trace = next((option for option in options if _TRACES.fullmatch(names[option])), None)
    if trace is None:
        return list(options)
    whole = of[trace].records
    parts = [
        option
        for option in options[: options.index(trace)]
        if _SPANS.fullmatch(names[option])
        and len(of[option].records & whole) >= _IN_WHOLE * len(of[option].records)
    ]
    others = [option for option in options if option not in parts]
    at = others.index(trace) + 1
    return [*others[:at], *parts, *others[at:]]


def _own_name(option: str) -> str:
    """The name of an id, wherever it stands: `span_id` for `$.span.id` and `/span_id=([0-9]+)/`."""
    if option.startswith("/"):
        return _name(option)
    if not is_path(option):
        return option
    above, last = ["", *map(str, path_steps(option))][-2:]
    return f"{above}_{last}" if last.lower() == "id" else last


def _may_be_key(spellings: Iterable[str], seen: Seen, total: int) -> bool:
    """Whether an option may name executions.

    Where its form leaves that open, nearly all messages must have one of its ids, and most of them
    link messages of several kinds that are near to one another. A count, as in `after 17 tries`,
    comes anywhere.
    """
    if not all(map(_is_open, spellings)):
        return True
    linked = sum(len(kinds) > 1 for kinds in seen.shapes.values())
    near = sum(last - first <= NEAR * total for first, last in seen.reach.values())
    return (
        seen.values.total() >= _NEARLY_ALL * total
        and linked >= _NEARLY_ALL * len(seen.shapes)
        and near >= _NEARLY_ALL * len(seen.reach)
    )


def _is_open(option: str) -> bool:
    """Whether the form of an option says nothing of executions: it is that of persons and things,
    or stands with a blank behind a word that is no known noun.
    """
    found = _BLANK_BEFORE.match(option)
    if found is None:
        return option[2:-2] in TYPED or option == f"/{LONG_MIXTURE}/"
    return found["form"] == HYPHENED or not NOUNS.fullmatch(found["word"])


def _links(shapes: Mapping[str, set[int]]) -> float:
    """How well values link messages of several kinds; a measure stands in one kind only."""
    several = sum(len(kinds) > 1 for kinds in shapes.values())
    return _UNLINKED + (1 - _UNLINKED) * several / len(shapes)


def _singleness(option: str, seen: Seen) -> float:
    """Less for an expression that finds several ids in one message, as of a trace and of its span:
    these are no executions beside one another.
    """
    if not option.startswith("/"):
        return 1.0
    return len(seen.records) / seen.values.total()


def _candidate(option: str, seen: Seen, total: int) -> Candidate:
    sessions = len(seen.values)
    return Candidate(option, len(seen.records) / total, sessions, seen.values.total() / sessions)


def _score(found: Candidate, total: int, *, are_lines: bool) -> float:
    """High for what is in most records, takes many values, and comes back.

    What only some of several programs have ties nothing together, whatever its name.
    """
    if (
        found.sessions < MIN_SESSIONS
        or found.coverage < _MIN_COVERAGE
        or found.repeats < _MIN_REPEATS
    ):
        return 0.0
    variety = math.log(found.sessions) / math.log(max(total, 3))
    if are_lines:
        return found.coverage**3 * variety
    return found.coverage * variety


def _weight(option: str, seen: Seen, total: int) -> float:
    """What the name before an id tells: that of an execution counts, a measure's against."""
    name = _name(option)
    if option in PROCESS:
        spans = (last - first for first, last in seen.reach.values())
        near = sum(span <= NEAR * total for span in spans)
        if len(seen.reach) >= _MANY_PROCESSES and near >= _NEARLY_ALL * len(seen.reach):
            return _OF_SHORT_PROCESS
        return _OF_PROCESS
    if not option.startswith("/"):
        weight = _weight_of_field(option)
        numbered = sum(_NUMBERED_EXECUTION.fullmatch(value) is not None for value in seen.values)
        if weight and numbered >= _NEARLY_ALL * len(seen.values):
            return max(weight, _OF_NUMBERED)
        return weight
    if option.startswith('/pod="'):
        return 1.5
    if _MEASURED.fullmatch(_snaked(name)) or _SOURCE.fullmatch(name):
        return 0.0
    if _ID_WORD.search(_first_word(name)) or is_execution(name):
        return 2.0
    if _MEASURE.fullmatch(_snaked(name)) or _MEASURE.fullmatch(_first_word(name)):
        return 0.3
    return 1.0


def _weight_of_field(name: str) -> float:
    """What the name of a field tells; of a nested one it is that of its last step.

    A mere `id` is that of the object it stands in, as in `$.trace.id`.
    """
    whole = name
    if is_path(name):
        steps = [*map(str, path_steps(name))]
        name = steps[-1]
        whole = "_".join(steps[-2:])
    if _EXECUTIONS.search(name) or _EXECUTIONS.fullmatch(whole):
        return 4.0
    if _MEASURED.fullmatch(_snaked(name)):
        return 0.0
    if _CLIENTS.fullmatch(name):
        return 1.5
    if ROUTES.fullmatch(name) or _MEASURE.fullmatch(_snaked(name)):
        return 0.3
    if _IDS.search(name):
        return 2.5
    if _ID_WORD.search(_first_word(name)):
        return 2.0
    if _MEASURE.fullmatch(_first_word(name)):
        return 0.3
    return 1.0


def _name(option: str) -> str:
    """The name before an id in a message, as `run_id` in `/run_id=([0-9]+)/`."""
    found = _LABEL_OF.search(_NOT_A_NAME.sub("", option).replace("\\", ""))
    return found[0] if found else ""


def _snaked(name: str) -> str:
    """A name with a sign between its words: `content_Size` for `contentSize`."""
    return _HUMP.sub("_", name)


def _first_word(name: str) -> str:
    return re.split(r"[^A-Za-z]+", name)[0]


def option_of(candidates: Sequence[Candidate]) -> str:
    """The candidates in one line, the best one first."""
    if not candidates:
        return (
            "no field and no id in the messages comes back a few times in the sample; name one "
            "with --session-key"
        )
    best, *others = candidates
    if not others:
        return f"try {best}"
    return f"try {best}; or {', '.join(map(str, others))}"


def is_execution(name: str) -> bool:
    """Whether a field of that name holds the id of an execution."""
    return _EXECUTIONS.fullmatch(name) is not None


def is_identity(name: str) -> bool:
    """Whether a number in a field of that name says which one it was, and measures nothing.

    >>> is_identity("_PID"), is_identity("orderId"), is_identity("Case ID")
    (True, True, True)
    >>> is_identity("paid"), is_identity("error_id"), is_identity("cost_per_day")
    (False, False, False)
    """
    snaked = _snaked(name)
    return _IDENTITIES.fullmatch(snaked) is not None and not _OUTCOMES.fullmatch(snaked)
