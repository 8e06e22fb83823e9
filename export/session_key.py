"""What may tell the executions of a log apart.

Fields and ids in messages that come back a few times each.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


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
    logger line label
    """
)
# An id in a message: the word before it with its sign, and the spellings of its value.
_VALUES = {
    "[0-9a-f]{8}-[0-9a-f-]{27}": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "[0-9]+(?:_[0-9a-z]+)+": r"[0-9]+(?:_[0-9a-z]+)+",
    "[0-9a-f]{8,}": r"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}",
    "-?[0-9]+": r"-?[0-9]+",
}
_ID = re.compile(
    r"(?<![\w-])(?P<before>[A-Za-z][\w.]*?(?:[_=:#/-]|: | #| |=\")|)"
    + "(?P<value>"
    + "|".join(f"(?P<v{i}>{text})" for i, text in enumerate(_VALUES.values()))
    + r")(?![\w-]|\.\d)"
)
_VALUE_OF = list(_VALUES)
# An execution of a program: a session key where nothing better tells executions apart.
_PROCESS = ("pid", "tid", "thread")
_ID_WORD = re.compile(
    r"id|req|request|trace|span|session|sess|txn|transaction|order|job|task|blk|block|conn|call",
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
        share = f"in {self.coverage:.0%} of the records, {self.repeats:.1f} records per session"
        return f"--session-key {quoted} ({share})"


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
    total = 0
    for message, fields in records:
        total += 1
        for name, value in fields.items():
            if name.lower() not in _NOT_KEYS and value:
                seen[name][value] += 1
        for option, value in set(_ids(message)):
            seen[option][value] += 1
    ranked = sorted(
        ((_score(option, values, total), option) for option, values in seen.items()), reverse=True
    )
    return [_candidate(option, seen[option], total) for score, option in ranked if score > 0][:most]


def _ids(message: str) -> Iterable[tuple[str, str]]:
    for found in _ID.finditer(message):
        value = _VALUE_OF[next(i for i in range(len(_VALUES)) if found[f"v{i}"])]
        before = found["before"]
        if before.endswith(("_", "-")):
            yield f"/{re.escape(before).replace(chr(92) + '-', '-')}{value}/", found["value"]
        elif before:
            escaped = re.escape(before).replace("\\ ", " ").replace("/", "\\/")
            yield f"/{escaped}({value})/", found["value"]
        elif value != "-?[0-9]+":
            yield f"/{value}/", found["value"]


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
    word = re.split(r"[^A-Za-z]+", option.strip("/"))[0]
    return found.coverage * variety * _weight(option, word)


def _weight(option: str, word: str) -> float:
    if option in _PROCESS:
        return 0.5
    if _ID_WORD.search(word):
        return 2.0
    if _MEASURE.fullmatch(word):
        return 0.3
    return 1.0


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
