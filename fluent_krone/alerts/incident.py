"""One incident: what is kept of it, what is shown, and which steps are alike enough to join it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .records import iso_time

State = Literal["open", "ongoing", "resolved"]
# Steps, the latest ones, with which a step of a new signature is compared, word by word.
_MOST_COMPARED = 200
# Share of their words that two templates of as many words must have in common to be alike.
_LIKE = 0.7
# A session that has a new template deviates in this direction.
_NEW = "unseen"


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


def like_of(record: Mapping[str, Any], *, is_news: bool = False) -> list[str]:
    """The direction of the leading deviation and the words of its step; empty where it has none."""
    for deviation in record.get("deviations") or ():
        direction = deviation.get("direction")
        if is_news:
            direction = _NEW
        return [str(direction), *str(deviation.get("step") or "").split()]
    return []


def is_like(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two steps (`like_of`) deviate alike and differ in few words.

    >>> is_like("extra visa paid <num> EUR".split(), "extra amex paid <num> EUR".split())
    True
    """
    if len(one) < 2 or len(one) != len(other) or one[0] != other[0]:
        return False
    common = sum(left == right for left, right in zip(one[1:], other[1:], strict=True))
    return common >= _LIKE * (len(one) - 1)


class LikeSteps:
    """Which incident was last joined by which step. A look-up compares steps of as many words."""

    def __init__(self) -> None:
        # Direction and number of words → step → name, the latest one last.
        self._by_length: dict[tuple[str, int], dict[tuple[str, ...], str]] = {}

    def add(self, likes: Iterable[Sequence[str]], name: str) -> None:
        """Steps of the incident `name`."""
        for like in likes:
            steps = self._by_length.setdefault(_length_of(like), {})
            steps.pop(tuple(like), None)
            steps[tuple(like)] = name

    def drop(self, likes: Iterable[Sequence[str]], name: str) -> None:
        """The incident `name` has ended."""
        for like in likes:
            steps = self._by_length.get(_length_of(like), {})
            if steps.get(tuple(like)) == name:
                del steps[tuple(like)]

    def names(self, like: Sequence[str]) -> Iterator[str]:
        """Incidents with a step like this one, the latest first."""
        steps = self._by_length.get(_length_of(like), {})
        for other in list(reversed(steps))[:_MOST_COMPARED]:
            if is_like(like, other):
                yield steps.get(other, "")


def _length_of(like: Sequence[str]) -> tuple[str, int]:
    return "".join(like[:1]), len(like)
