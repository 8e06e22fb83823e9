"""Steps that the bundle does not know, and the changes that they belong to: plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...reading.records import SessionKey
from ..failures import tells_of_trouble

# What is known of a new step:
# - `waiting`: it was met a short time ago; what it is will show.
# - `odd`: it did not spread, so it is judged as any message without a template.
# - `added`: it belongs to a change, and sessions are judged as if it were not there.
# - `renamed`: it belongs to a change, and is judged as the old step that it replaces.
State = Literal["waiting", "odd", "added", "renamed"]
# Severity from which on a message is about an error, whatever its words are: that of warnings.
ERROR_RANK = 5


def speaks_of_error(message: bytes, rank: int) -> bool:
    """Whether a message is about an error, by its severity or by its words.

    >>> speaks_of_error(b"basket saved", 3), speaks_of_error(b"basket lost", 3)
    (False, True)
    """
    text = message.decode("utf-8", "replace")
    return rank >= ERROR_RANK or tells_of_trouble(text)


@dataclass(frozen=True, slots=True)
class FirstSeen:
    """The first event of a new step, from which its alert is made if it turns out to be odd."""

    tag: bytes
    session: SessionKey
    instance: int
    time_ns: int
    line: bytes


@dataclass(slots=True)
class NewStep:
    """A new step. Times are stream times in ns UTC."""

    number: int
    first_ns: int
    last_ns: int
    state: State = "waiting"
    # The log keys of the step that it replaces, where it is renamed: several where training has the
    # old step in several templates, the first one where its words do not tell.
    log_keys: list[int] = field(default_factory=list)
    # The number of its change; 0 while it belongs to none.
    change: int = 0
    accepted: bool = False
    # Whether its template is one of the bundle's but for one word.
    is_variant: bool = False
    # How many places of it were noted.
    places: int = 0
    # How many sessions with it have ended, and how many of these had each log key of the bundle.
    ended: int = 0
    present: dict[int, int] = field(default_factory=dict)
    # Some of the sessions that had it since a moment, until it belongs to a change.
    carriers_since_ns: int = 0
    carriers: list[SessionKey] = field(default_factory=list)
    # How many sessions of the stream had begun when each of these had it.
    carried_at: list[int] = field(default_factory=list)
    first: FirstSeen | None = None

    def save(self) -> list[Any]:
        """What a snapshot holds of it; `of_row` reads it."""
        first: list[Any] = []
        if self.first is not None:
            seen = self.first
            first = [seen.tag, seen.session, seen.instance, seen.time_ns, seen.line]
        return [
            self.number,
            self.first_ns,
            self.last_ns,
            self.state,
            self.log_keys,
            self.change,
            self.accepted,
            self.is_variant,
            self.places,
            self.ended,
            list(self.present.items()),
            self.carriers_since_ns,
            self.carriers,
            first,
            self.carried_at,
        ]


# What a row has always had.
_FIELDS = 14


def step_of_row(row: Sequence[Any]) -> NewStep:
    """A new step as `NewStep.save` wrote it."""
    *fields, present, carriers_since_ns, carriers, first = row[:_FIELDS]
    seen = None
    if first:
        tag, session, *rest = first
        seen = FirstSeen(tag, tuple(session), *rest)
    step = NewStep(*fields)
    step.present = dict(present)
    step.carriers_since_ns = carriers_since_ns
    step.carriers = [tuple(key) for key in carriers]
    # Rows of an earlier version lack it.
    step.carried_at = next(iter(row[_FIELDS:]), [0] * len(carriers))
    step.first = seen
    return step


@dataclass(slots=True)
class Change:
    """A change of the program: new steps that came together. Times are stream times in ns UTC."""

    number: int
    # 16 hex digits, by which a person names it.
    name: str
    tag: bytes
    since_ns: int
    # When the last new step joined it.
    joined_ns: int
    # When it is looked at next.
    due_ns: int
    # Sessions that had steps of it, and those of them that are abnormal in another way.
    sessions: int = 0
    abnormal: int = 0
    is_told: bool = False
    is_trouble_told: bool = False
    # How many steps it had when it was last reported.
    steps_told: int = 0
    # Values of the version label in records of its steps.
    values: Counter[bytes] = field(default_factory=Counter)

    def save(self) -> list[Any]:
        """What a snapshot holds of it; `change_of_row` reads it."""
        return [
            self.number,
            self.name,
            self.tag,
            self.since_ns,
            self.joined_ns,
            self.due_ns,
            self.sessions,
            self.abnormal,
            self.is_told,
            self.is_trouble_told,
            self.steps_told,
            list(self.values.items()),
        ]


def change_of_row(row: Sequence[Any]) -> Change:
    """A change as `Change.save` wrote it."""
    *fields, values = row
    change = Change(*fields)
    change.values = Counter(dict(values))
    return change
