"""How new steps spread over sessions: whether several of them are a change, or join one.

A change begins where one new step is in several sessions, or where several sessions have new steps
and share some of them, or at the first new step under a version label that is as new as itself.
While it is open, further new steps join it as they come. A step that is an old one but for one word
may have a wrong value instead, and one that was found to be odd is known not to spread: both join
only once they do. Two sessions are enough of one that has another plain word than the old step and
stands in its place. One that has another status is never part of a change, however many
sessions fail with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..reading.records import SessionKey
from .newsteps import Change, NewStep
from .open_changes import OpenChanges
from .places import Places
from .versions import Versions

# Sessions that must have one step which may be a wrong value, or which was found to be odd.
_SPREAD = 3
# Sessions that must have any new step, or one that is new alone. Fewer may be one odd customer, and
# more would let a slow stream alert about each of them first.
_ENOUGH = 5
# How often one of these sessions must have a step of another one. A stream that has odd lines once
# in a while has some in several sessions soon, but they have nothing in common.
_ENOUGH_SHARED = 2
# Sessions with a step that is most likely an old one in other words, while a change is open: the
# others that came with it are evidence, too. One alone may still be one odd customer.
_SPREAD_OF_REWORDED = 2
# They must come within this much stream time in ns, or a line that comes once in a while would be a
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

    def note(self, step: NewStep, session: SessionKey, clock: int) -> bool:
        """A session has a step; whether that is one more than was known."""
        if clock - step.carriers_since_ns > _WITHIN_NS:
            step.carriers_since_ns = clock
            step.carriers = []
        return _add(step, [session])

    def until_ns(self, step: NewStep) -> int:
        """The stream time until which a step waits, if nothing shows before what it is.

        One that has come in two sessions by then waits as long again: of a slow stream, the first
        sessions after a deploy are too few for a change, and would be told one by one.
        """
        if len(step.carriers) > 1:
            return step.first_ns + 2 * self._settle_ns
        return step.first_ns + self._settle_ns

    def merge(self, step: NewStep, part: NewStep) -> None:
        """What had one step has another one, whose part it turned out to be."""
        _add(step, part.carriers)

    def change_of(self, step: NewStep, version: bytes | None, clock: int) -> Change | None:
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
        elif self._is_burst(step, fresh) or self._comes_with_version(step, version, clock):
            for other in fresh:
                if not other.is_variant or len(other.carriers) >= _SPREAD:
                    joined[other.number] = other
            change = self._changes.begin(step, min(s.first_ns for s in joined.values()), clock)
        else:
            return None
        for other in joined.values():
            other.change = change.number
            other.state = "waiting"
            other.carriers = []
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

    def _is_burst(self, step: NewStep, fresh: Sequence[NewStep]) -> bool:
        if len(step.carriers) >= _ENOUGH:
            return True
        if len(step.carriers) == 1:
            return False
        groups = _connected(other.carriers for other in fresh)
        sessions = sum(map(len, groups))
        return sessions >= _ENOUGH and sessions - len(groups) >= _ENOUGH_SHARED

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


def _add(step: NewStep, sessions: Sequence[SessionKey]) -> bool:
    """Note sessions of a step, as long as they matter; whether any is new."""
    new = [session for session in sessions if session not in step.carriers]
    added = new[: _ENOUGH - len(step.carriers)]
    step.carriers += added
    return bool(added)
