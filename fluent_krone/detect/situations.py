"""Situations: what sessions have in common that came to the same point in different ways.

Most of what is asked of a step depends on the last few steps, in the session and in each entity,
and on how often each step has come so far. Where steps of several components interleave, many
sessions differ in their order further back and in nothing else: of the states of HDFS that are new
to the tracker, two thirds are in a situation that was there before. So the step judge is asked once
per situation, and a new state costs a look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..core.hierarchy import Hierarchy
from ..core.steps import NOTHING, Situation, SoFar
from .order import ORDER, REACH
from .recent import REACH as RECENT_REACH

# Situations that are remembered, a kilobyte each where sessions have twenty events; then all are
# forgotten, and made anew.
_MOST = 10_000
# Events of a session up to which its situation is shared. As far back, an entity's view sees all of
# its steps (`order.REACH`); and long sessions hardly ever come to the same point.
_LONGEST = REACH

# What has come so far with the last step, how long the next one may take in ns, and how long the
# last one: from what had come before it, and the log keys so far.
Known = tuple[SoFar, int, tuple[int, int]]


class Memory(NamedTuple):
    """What has come so far, and of each entity its last steps."""

    sums: SoFar
    own: dict[int, tuple[int, ...]]


class Situations:
    """Makes situations, the same one for sessions that are in the same; `known` tells of it."""

    def __init__(
        self, hierarchy: Hierarchy, known: Callable[[SoFar, Sequence[int]], Known]
    ) -> None:
        self.start = Situation(Memory(NOTHING, {}))
        self._entity_of = hierarchy.entity_of
        self._known = known
        self._remembered: dict[tuple[object, ...], Situation] = {}

    def after(self, before: Situation, keys: Sequence[int], *, is_usual: bool) -> Situation:
        """The situation after the last of `keys`. A step that `is_usual` leads there by a look-up
        from now on."""
        if len(keys) > _LONGEST:
            return self._made(before, keys, {})
        step = keys[-1]
        entity = self._entity_of[step]
        own = before.memory.own
        own = {**own, entity: (*own.get(entity, ()), step)[-ORDER:]}
        # How often each step has come is all that is asked of what lies further back.
        name = (tuple(keys[-RECENT_REACH:]), frozenset(own.items()), tuple(sorted(keys)))
        found = self._remembered.get(name)
        if found is None:
            if len(self._remembered) >= _MOST:
                self._forget()
            found = self._remembered[name] = self._made(before, keys, own)
        if is_usual:
            before.next[step] = found
        return found

    def _made(
        self, before: Situation, keys: Sequence[int], own: dict[int, tuple[int, ...]]
    ) -> Situation:
        sums, waits_ns, limits_ns = self._known(before.memory.sums, keys)
        return Situation(Memory(sums, own), waits_ns, limits_ns)

    def _forget(self) -> None:
        # What refers to them in a row of any length would otherwise be kept by one open session.
        for situation in (self.start, *self._remembered.values()):
            situation.next = {}
        self._remembered.clear()
