"""One incident: what is kept of it, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .records import iso_time

State = Literal["open", "ongoing", "resolved"]


@dataclass(slots=True, kw_only=True)
class Incident:
    """One incident. Times that end in `_at_ns` are stream time, `first_ns` and `last_ns` event
    time.

    `lead` is the record of the first alert without its large fields, `tag` the one that the
    incident's events leave under. `count` is the number of executions; an alert about none of them
    counts as one. `told` and `told_at_ns` are count and time of the last event, `events` how many
    there were.
    """

    incident_id: str
    tag: str
    lead: dict[str, Any]
    opened_at_ns: int
    last_at_ns: int
    first_ns: int
    last_ns: int
    count: int = 0
    told: int = 0
    told_at_ns: int = 0
    events: int = 0
    severity: int = 0
    signatures: list[str] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)
    likes: list[list[str]] = field(default_factory=list)
    samples: list[list[str]] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        """`open` while it has one execution, `ongoing` with more."""
        if self.count > 1:
            return "ongoing"
        return "open"

    def summary(self, state: State | None = None) -> dict[str, Any]:
        """The field `incident` of its events, and what lists of incidents show."""
        return {
            "id": self.incident_id,
            "state": state or self.state,
            "first": iso_time(self.first_ns),
            "last": iso_time(self.last_ns),
            "count": self.count,
            "entities": list(self.entities),
            "sessions": [list(sample) for sample in self.samples],
        }

    def saved(self) -> dict[str, Any]:
        """What the store keeps, from which `Incident(**saved)` is the same again."""
        return {name: getattr(self, name) for name in _FIELDS}


_FIELDS = tuple(one.name for one in fields(Incident))


@dataclass(frozen=True, slots=True)
class IncidentChanges:
    """What a commit has to keep: incidents that changed, and those that ended, by id.

    With `everything`, those that changed are all there is, and what was kept before is void.
    """

    changed: Mapping[str, Incident]
    ended: Mapping[str, Incident]
    everything: bool = False

    def summaries(self) -> list[dict[str, Any]]:
        """What lists show of them."""
        ended = [incident.summary("resolved") for incident in self.ended.values()]
        return [*ended, *(incident.summary() for incident in self.changed.values())]
