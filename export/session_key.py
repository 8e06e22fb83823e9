"""What may tell the executions of a log apart.

Fields and ids in messages that come back a few times each.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fluent_krone.reading.accessor import is_path, path_steps


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What `--session-key auto` gives: the log decides.
AUTO = ("auto",)
# Characters of a message that tell its kind.
_SHAPE = 60
_DIGITS = re.compile(r"[0-9]+")
# What a value is worth that links no messages of different kinds: each may still be an execution
# of its own, as in an access log.
_UNLINKED = 0.3
# A candidate makes at least so many sessions of the sample …
MIN_SESSIONS = 3
# … is in at least this share of the records …
_MIN_COVERAGE = 0.2
# … and comes back so often on average: an id that occurs once tells nothing of an execution.
_MIN_REPEATS = 1.5
# Fields that say what and where, not in which execution.
_NOT_KEYS = _words(
    """
    message msg log text time timestamp @timestamp ts date level severity host hostname component
    logger line label pri
    """
)
# Names of fields that hold the id of an execution, in whatever spelling: they come first.
_ONE_EXECUTION = "trace|request|req|correlation|transaction|txn|session|operation|execution|job|run"
_EXECUTIONS = re.compile(
    rf"(?:x[-_])?(?:{_ONE_EXECUTION}|conn(?:ection)?)[-_.]?(?:id|uuid|key)\Z|trace|traceid|spanid",
    re.I,
)
# Fields that say who asked: what one client does is an execution where nothing better is known.
_CLIENTS = re.compile(
    r"client|(?:\w+[-_.])?(?:client|remote|source|src|peer|c)[-_.]?"
    r"(?:ip|host|addr(?:ess)?|ip[-_]?address)|x[-_]forwarded[-_]for|user(?:[-_]?(?:id|name))?",
    re.I,
)
# Fields that say what was asked for.
ROUTES = re.compile(r"(?:.*[-_.a-z])?(?:uri|url|path|route|endpoint|query|stem)", re.I)
# Other fields that hold an id. They are better than the same id in a message.
_IDS = re.compile(r"(?:(?:^|[_.-])(?i:id|uuid|guid)|[a-z](?:Id|ID|Uuid|UUID))\Z")
# Nouns of things that have a number: `order 17` names an order. Behind any other word a number is
# just a number, as in `after 17 tries`.
_NOUNS = re.compile(
    r"(?:\w*[_.-])?(?:id|uuid|req|request|trace|span|session|sess|txn|transaction|order|job|task|blk"
    r"|block|batch|conn|connection|call|user|customer|account|client|item|ticket|invoice|payment|cart"
    r"|message|msg|file|upload|download|build|run|step|workflow|shipment|package|parcel|device"
    r"|worker|instance|container|pod|vm|query|command|ride|trip|booking|reservation|case|claim|key)s?",
    re.I,
)
# The value of a quoted field of a message: `pod="kube-system/dns-7"`.
_QUOTED = re.compile(r"(?<![\w-])(?P<name>[A-Za-z_][\w.]*)=\"(?P<value>[^\"\s]{2,80})\"")
# A session key that is a word, a blank and a number; and the share of the messages that must have
# it where the word is no known noun.
_BLANK_BEFORE = re.compile(r"/(?P<word>[^\s()\[\]]+?):? \(-\?\[0-9\]\+\)/")
_NEARLY_ALL = 0.8
# The share of the log within which the records of such an execution lie.
_NEAR = 0.25
# A pair of JSON inside a message.
_JSON_PAIR = re.compile(
    r"\"(?P<name>[A-Za-z_][\w.-]*)\": ?(?:\"(?P<text>[^\"\s]{2,80})\"|(?P<number>-?\d+)(?![\d.]))"
)
# The address of a client, where nothing better tells executions apart.
_ADDRESS = re.compile(
    r"(?P<before>\A(?:\S+ )?|\| +"
    r"|(?<![\w-])(?:src|client|remote|ip|client_ip|remote_addr|SRC|rhost)=|\b(?:from|client:?) |\")"
    r"(?P<value>\d{1,3}(?:\.\d{1,3}){3})(?P<behind>\"|\b(?!\.\d))"
)
_FOUR_NUMBERS = "[0-9]+(?:[.][0-9]+){3}"
# Signs that stand behind an id where none stands before it, as in `5f3a09c1@host`.
_BEHIND = ("@", ":", "|")
# An id behind the name of an execution's id, however it is spelled: `run_id=nightly-2.7`.
_ANY_ID = r"[\w@+-]+(?:[.:][\w@+-]+)*"
_LABELLED = re.compile(
    rf"(?<![\w.-])(?P<name>(?:x[-_])?(?:{_ONE_EXECUTION})[-_.]?(?:id|uuid|key))=(?P<value>{_ANY_ID})",
    re.I,
)
# A date or a clock is no id, whatever stands before it.
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d(?::\d\d)?|\d{1,2}/[A-Z][a-z]{2}/\d{4}")
# An id in a message: the word before it with its sign, and the spellings of its value.
_VALUES = {
    # the trace in a `traceparent` of W3C
    "[0-9a-f]{32}(?=-[0-9a-f]{16})": r"[0-9a-f]{32}(?=-[0-9a-f]{16}-)",
    # a message's id of Exim
    "[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}": (
        r"(?=[0-9A-Za-z-]*[0-9])[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}"
    ),
    "[0-9a-f]{8}-[0-9a-f-]{27}": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "[0-9]+(?:_[0-9a-z]+)+": r"[0-9]+(?:_[0-9a-z]+)+",
    "[0-9]+(?:-[0-9]+)+": r"[0-9]+(?:-[0-9]+)+",
    "0x[0-9a-f]+": r"0x[0-9a-f]{4,16}",
    "[0-9a-f]{8,}": r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}",
    # random letters and digits of both cases
    "[0-9A-Za-z_-]{16,}": (r"(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[0-9A-Za-z_-]{16,}"),
    # a code of several parts, as ORD-17A: behind a noun only
    "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)+": (
        r"[A-Z0-9]+(?:-[A-Z0-9]+)*-(?:[0-9]+[A-Z]|[A-Z]+[0-9])[A-Z0-9]*"
    ),
    # letters and digits in any mixture, as Postfix names a message
    "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,}": r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{6,}",
    # a short one, as `o17`: behind a noun only, since names and versions look alike
    "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{2,}": r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[0-9A-Za-z]{2,5}",
    "-?[0-9]+": r"-?[0-9]+",
}
_RANDOM = "[0-9A-Za-z_-]{16,}"
_CODE = "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)+"
_LONG_MIXTURE = "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{6,}"
_SHORT_MIXTURE = "(?=[A-Za-z]*[0-9])[0-9A-Za-z]{2,}"
# Scripts without blanks between words, and the words of these that stand before a number.
_NO_BLANKS = r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_UNSPACED = re.compile(_NO_BLANKS)
# Characters of a word in such a script, at the most, with the sign behind it.
_LONGEST_UNSPACED = 12
_ID = re.compile(
    rf"(?<![\w-])(?P<before>{_NO_BLANKS}+[:：# ]?|[*#№]|@ ?|\["
    r"|[^\W\d_][\w.]*?(?:[_=:#/°º-]|: | #| |=\")(?:00-)?|)"
    + "(?P<value>"
    + "|".join(f"(?P<v{i}>{text})" for i, text in enumerate(_VALUES.values()))
    + r")(?:(?=-[0-9a-f]{16}-)|(?![A-Za-z0-9_-]|\.\d))"
)
_VALUE_OF = list(_VALUES)
# An execution of a program: a session key where nothing better tells executions apart.
_PROCESS = ("pid", "tid", "thread")
_ID_WORD = re.compile(
    r"id|req|request|trace|span|session|sess|txn|transaction|order|job|task|blk|block|conn|call",
    re.I,
)
# Names of measures and results in whatever spelling: no execution has them.
_MEASURED = re.compile(
    r"(?:.*[-_.])?(?:duration|elapsed|latency|taken|status|size|length|bytes|time|rt|substatus|retr(?:y|ies)|attempts?|tries|count"
    r"|(?:response|return|exit)[-_.]?code)"
    r"(?:[-_.]?(?:code|ms|us|ns|s|sec|seconds|millis))?",
    re.I,
)
_MEASURE = re.compile(
    r"port|size|len|length|bytes|count|took|line|code|status|total|version|[mun]?s|time|at|in|of"
    r"|to",
    re.I,
)


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
        return f"in {self.coverage:.0%} of the records, {self.repeats:.1f} records per session"


def suggest_session_keys(
    records: Iterable[tuple[str, Mapping[str, str]]], most: int = 3
) -> list[Candidate]:
    """Candidates from a sample of (message, other fields), best first.

    >>> words = ("packed", "sent", "paid")
    >>> sample = [(f"{word} order={n}", {}) for n in range(40) for word in words]
    >>> [candidate.option for candidate in suggest_session_keys(sample)]
    ['/order=(-?[0-9]+)/']
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    # Value → the shapes of the messages that it was seen in: what names an execution links several.
    shapes: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    # Value of an id → the first and the last record that have it.
    reach: dict[str, dict[str, list[int]]] = defaultdict(dict)
    total = 0
    for message, fields in records:
        total += 1
        shape = hash(_DIGITS.sub("0", _QUOTED.sub("", message))[:_SHAPE])
        for name, value in fields.items():
            if name.lower() not in _NOT_KEYS and value:
                seen[name][value] += 1
                shapes[name][value].add(shape)
        for option, value in set(_ids(message)):
            seen[option][value] += 1
            shapes[option][value].add(shape)
            reach[option].setdefault(value, [total, total])[1] = total
    ranked = sorted(
        (
            # Of two that find the same, a field is plainer than an expression, and the longer
            # expression says more exactly where.
            (
                _score(option, values, total) * _links(shapes[option]),
                not option.startswith("/"),
                len(option),
                option,
            )
            for option, values in seen.items()
            if _is_noun(option, values, shapes[option], reach[option], total)
        ),
        reverse=True,
    )
    options: list[str] = []
    for score, *_, option in ranked:
        # Of one word, its longest beginning is enough.
        is_part = option.startswith("/") and any(better.endswith(option[1:]) for better in options)
        if score > 0 and not is_part:
            options.append(option)
    return [_candidate(option, seen[option], total) for option in options[:most]]


def _is_noun(
    option: str,
    values: Counter[str],
    shapes: Mapping[str, set[int]],
    reach: Mapping[str, Sequence[int]],
    total: int,
) -> bool:
    """Whether what stands before a number with a blank between names a thing.

    It is a known noun, or a word of whatever language whose numbers nearly all messages have, and
    most of them link messages of several kinds that are near to one another. A count, as in `after
    17 tries`, comes anywhere.
    """
    found = _BLANK_BEFORE.match(option)
    if found is None or _NOUNS.fullmatch(found["word"]):
        return True
    linked = sum(len(kinds) > 1 for kinds in shapes.values())
    near = sum(last - first <= _NEAR * total for first, last in reach.values())
    return (
        values.total() >= _NEARLY_ALL * total
        and linked >= _NEARLY_ALL * len(shapes)
        and near >= _NEARLY_ALL * len(reach)
    )


def _links(shapes: Mapping[str, set[int]]) -> float:
    """How well values link messages of several kinds; a measure stands in one kind only."""
    several = sum(len(kinds) > 1 for kinds in shapes.values())
    return _UNLINKED + (1 - _UNLINKED) * several / len(shapes)


def _pairs(message: str) -> Iterable[tuple[str, str]]:
    """The options for ids that have a name and a clear end: fields of a message."""
    for found in _QUOTED.finditer(message):
        if found["name"].lower() not in _NOT_KEYS:
            name = re.escape(found["name"])
            yield f'/{name}="([^"]+)"/', found["value"]
    for found in _JSON_PAIR.finditer(message):
        name = re.escape(found["name"])
        if found["name"].lower() in _NOT_KEYS:
            continue
        if found["text"]:
            yield f'/"{name}": ?"([^"]+)"/', found["text"]
        else:
            yield f'/"{name}": ?(-?[0-9]+)/', found["number"]
    yield from _addresses(message)


def _ids(message: str) -> Iterable[tuple[str, str]]:
    yield from _pairs(message)
    labelled = [*_LABELLED.finditer(message)]
    message = _DATE.sub(lambda date: " " * len(date[0]), message)
    spelled = [*_ID.finditer(message)]
    for found in labelled:
        if not any(one.span("value") == found.span("value") for one in spelled):
            name = re.escape(found["name"]).replace(chr(92) + "-", "-")
            yield f"/{name}=({_ANY_ID})/", found["value"]
    for found in spelled:
        before = found["before"]
        value = _value_of(found, before)
        if value is None:
            continue
        if before.endswith(("_", "-")):
            yield f"/{re.escape(before).replace(chr(92) + '-', '-')}{value}/", found["value"]
        elif before.endswith((" ", "/", "-", ": ")) and value == "-?[0-9]+":
            # `order 17`, but not `after 17 tries` nor `curl/7`: a word that is no known noun must
            # link messages (`_is_noun`).
            if before.endswith(" ") or _NOUNS.fullmatch(before.rstrip(" :/-")):
                escaped = re.escape(before).replace("\\ ", " ").replace("/", "\\/")
                yield f"/{escaped}({value})/", found["value"]
        elif _UNSPACED.match(before):
            yield from _unspaced(before, value, found["value"])
        elif before:
            escaped = re.escape(before).replace("\\ ", " ").replace("/", "\\/")
            yield f"/{escaped}({value})/", found["value"]
        elif value != "-?[0-9]+":
            yield f"/{value}/", found["value"]
            # The sign behind an id tells it from numbers and hashes that the message has as well.
            behind = message[found.end() : found.end() + 1]
            if behind in _BEHIND:
                yield f"/({value}){re.escape(behind)}/", found["value"]


def _addresses(message: str) -> Iterable[tuple[str, str]]:
    """The options for addresses of clients."""
    for found in _ADDRESS.finditer(message):
        # In quotes, it is one without a port: that is the server's.
        if '"' not in (found["before"], found["behind"]):
            before = found["before"]
            if found.start() == 0:
                before = r"^\S+ " if before else "^"
            before = re.sub(" +", " +", before.replace("|", "[|]"))
            form = "[0-9.]+" if before.endswith("=") else _FOUR_NUMBERS
            yield f"/{before}({form})/", found["value"]
        elif found["before"] == found["behind"]:
            yield f'/"({_FOUR_NUMBERS})"/', found["value"]


def _unspaced(before: str, value: str, text: str) -> Iterable[tuple[str, str]]:
    """The options for an id in a script without blanks: where the word before it begins, nothing
    tells. Each of its possible beginnings is one, and that which most messages have wins.
    """
    for length in range(1, min(len(before), _LONGEST_UNSPACED) + 1):
        yield f"/{re.escape(before[-length:])}({value})/".replace("\\ ", " "), text


def _value_of(found: re.Match[str], before: str) -> str | None:
    """How an id in a message is spelled; None where it is too short to be one."""
    value = _VALUE_OF[next(i for i in range(len(_VALUES)) if found[f"v{i}"])]
    if value not in (_LONG_MIXTURE, _SHORT_MIXTURE, _RANDOM, _CODE):
        return value
    if _NOUNS.fullmatch(before.rstrip(" :/-=#")):
        if value in (_RANDOM, _CODE):
            return value
        # Ids of one kind may be shorter and longer ones.
        return _SHORT_MIXTURE
    if value == _LONG_MIXTURE or (value == _RANDOM and before.endswith("=")):
        return value
    return None


def _candidate(option: str, values: Counter[str], total: int) -> Candidate:
    return Candidate(option, values.total() / total, len(values), values.total() / len(values))


def _score(option: str, values: Counter[str], total: int) -> float:
    """High for what is in most records, takes many values, and comes back.

    An id's name counts, a measure's against.
    """
    found = _candidate(option, values, total)
    if (
        found.sessions < MIN_SESSIONS
        or found.coverage < _MIN_COVERAGE
        or found.repeats < _MIN_REPEATS
    ):
        return 0.0
    variety = math.log(found.sessions) / math.log(max(total, 3))
    return found.coverage * variety * _weight(option, _first_word(option))


def _weight(option: str, word: str) -> float:
    if option in _PROCESS:
        return 0.5
    if not option.startswith("/"):
        return _weight_of_field(option)
    if option.startswith('/pod="'):
        return 1.5
    if _MEASURED.fullmatch(word):
        return 0.0
    if _ID_WORD.search(word) or is_execution(option[1:].partition("=")[0]):
        return 2.0
    if _MEASURE.fullmatch(word):
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
    if _MEASURED.fullmatch(name):
        return 0.0
    if _CLIENTS.fullmatch(name):
        return 1.5
    if ROUTES.fullmatch(name):
        return 0.3
    if _IDS.search(name):
        return 2.5
    if _ID_WORD.search(_first_word(name)):
        return 2.0
    if _MEASURE.fullmatch(_first_word(name)):
        return 0.3
    return 1.0


def _first_word(option: str) -> str:
    return re.split(r"[^A-Za-z]+", option.strip("/"))[0]


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
