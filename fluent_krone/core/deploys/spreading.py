"""How new steps spread over sessions: whether several of them are a change, or join one.

A change begins where one new step is in many sessions, or where many sessions have new steps and
share some of them, or at the first new step under a version label that is as new as itself. Many
means a good part of the sessions that begin meanwhile: a fault that writes a line of its own in one
or two of a hundred sessions is no change.

While it is open, further new steps join it as they come. A step that differs from an old one in one
word may just have a wrong value, and one that was found to be odd is known not to spread: both join
only once several sessions have them. Two sessions are enough where a plain word differs and the
step stands in the place of the old one. A step that differs in its status is never part of a
change, however many sessions fail with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...reading.records import SessionKey
from .newsteps import Change, NewStep
from .open_changes import OpenChanges
from .places import Places
from .versions import Versions

# Sessions that must have one step which may be a wrong value, or which was found to be odd.
_SPREAD = 3
# How many sessions must have any new step, or one that is new alone, of how many that begin. Fewer
# may be one odd customer, and more would let a slow stream alert about each of them first. In
# simulated streams, a step in one of ten sessions is nearly always a change within 400 sessions.
# One in twenty is in nine of ten streams within 2,000 sessions, one in forty in one of a hundred.
_MANY = ((5, 10), (8, 40), (12, 120), (20, 300))
_MOST_CARRIERS = max(sessions for sessions, _ in _MANY)
# How often one of these sessions must have a step of another one. A stream that has odd lines
# occasionally soon has some in several sessions, but they have nothing in common.
_ENOUGH_SHARED = 2
# Sessions with a step that is most likely an old one in other words, while a change is open: the
# others that came with it are evidence, too. One alone may still be one odd customer.
_SPREAD_OF_REWORDED = 2
# They must come within this much stream time, in ns: a line that comes only occasionally is no
# change.
_WITHIN_NS = 3600 * 10**9


class Spreading:
    """Notes the sessions of the new steps in `steps`, which it shares with `Changes`."""

    def __init__(
        self,
        steps: Mapping[int, NewStep],
        changes: OpenChanges,
        versions: Versions,
        settle_ns: int,
        places: Places,
    ) -> None:
        self._steps = steps
        self._changes = changes
        self._versions = versions
        self._settle_ns = settle_ns
        self._places = places

    def note(self, step: NewStep, session: SessionKey, clock: int, begun: int) -> bool:
        """A session has a step; whether that is one more than was known.

        `begun` is how many sessions of the stream have begun.
        """
        if clock - step.carriers_since_ns > _WITHIN_NS:
            step.carriers_since_ns = clock
            step.carriers, step.carried_at = [], []
        if session in step.carriers:
            return False
        step.carriers = [*step.carriers, session][-_MOST_CARRIERS:]
        step.carried_at = [*step.carried_at, begun][-_MOST_CARRIERS:]
        return True

    def until_ns(self, step: NewStep) -> int:
        """The stream time until which a step waits, if nothing shows before what it is.

        One that has come in two sessions by then waits as long again: of a slow stream, the first
        sessions after a deploy are too few for a change, and would be reported one by one.
        """
        if len(step.carriers) > 1:
            return step.first_ns + 2 * self._settle_ns
        return step.first_ns + self._settle_ns

    def merge(self, step: NewStep, part: NewStep) -> None:
        """What had one step has another one, whose part it turned out to be."""
        carried = _carried([step, part])[-_MOST_CARRIERS:]
        step.carriers = [session for session, _ in carried]
        step.carried_at = [at for _, at in carried]

    def change_of(
        self, step: NewStep, version: bytes | None, clock: int, begun: int
    ) -> Change | None:
        """The change that a step belongs to from now on, with all that are as new; None: none."""
        if self._places.is_other_status(step):
            return None
        fresh = [
            other
            for other in self._steps.values()
            if other.state == "waiting"
            and not other.change
            and not self._places.is_other_status(other)
        ]
        joined = {step.number: step}
        change = self._changes.newest
        if change is not None:
            if len(step.carriers) < self._enough_to_join(step):
                return None
        elif self._is_burst(step, fresh, begun) or self._comes_with_version(step, version, clock):
            for other in fresh:
                if not other.is_variant or len(other.carriers) >= _SPREAD:
                    joined[other.number] = other
            change = self._changes.begin(step, min(s.first_ns for s in joined.values()), clock)
        else:
            return None
        for other in joined.values():
            other.change = change.number
            other.state = "waiting"
            other.carriers, other.carried_at = [], []
        change.joined_ns = clock
        return change

    def _enough_to_join(self, step: NewStep) -> int:
        """Sessions that a step must have come in to join the change that is open."""
        if step.state == "odd":
            return _SPREAD
        if not step.is_variant:
            return 1
        if self._places.is_reworded(step):
            return _SPREAD_OF_REWORDED
        return _SPREAD

    def _is_burst(self, step: NewStep, fresh: Sequence[NewStep], begun: int) -> bool:
        if _are_many([step], begun):
            return True
        if len(step.carriers) == 1:
            return False
        groups = _connected(other.carriers for other in fresh)
        shared = sum(map(len, groups)) - len(groups)
        return shared >= _ENOUGH_SHARED and _are_many(fresh, begun)

    def _comes_with_version(self, step: NewStep, version: bytes | None, clock: int) -> bool:
        """Whether a step is new, and so is the version that its record names."""
        if step.state != "waiting" or step.is_variant:
            return False
        return self._versions.is_new(version, clock - self._settle_ns)


def _connected(carriers: Iterable[Sequence[SessionKey]]) -> list[set[SessionKey]]:
    """Sessions in groups: two that have a step in common are in the same.

    >>> [sorted(group) for group in _connected([["a", "b"], ["c"], ["b", "d"]])]
    [['c'], ['a', 'b', 'd']]
    """
    groups: list[set[SessionKey]] = []
    for sessions in carriers:
        joined = set(sessions)
        others = []
        for group in groups:
            if joined.isdisjoint(group):
                others.append(group)
            else:
                joined |= group
        groups = [*others, joined]
    return groups


def _carried(steps: Iterable[NewStep]) -> list[tuple[SessionKey, int]]:
    """The sessions that have any of some steps, each with how many had begun when it had one."""
    found: dict[SessionKey, int] = {}
    for step in steps:
        for session, at in zip(step.carriers, step.carried_at, strict=True):
            found[session] = max(at, found.get(session, 0))
    return sorted(found.items(), key=lambda item: item[1])


def _are_many(steps: Iterable[NewStep], begun: int) -> bool:
    """Whether the sessions that have any of some steps are a good part of all that began."""
    places = [at for _, at in _carried(steps)]
    return any(
        len(places) >= sessions and begun - places[-sessions] < among for sessions, among in _MANY
    )
