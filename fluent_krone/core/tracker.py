"""Events in, the Seqs that just closed out, one event at a time.

A session's state is an interned node: sessions that ran alike so far share it, and each state remembers its next ones,
so a step seen before costs one look-up. When too many states are remembered all are forgotten at once (an LRU's
look-up costs six times a dict's); a forgotten step is worked out again from the session's own log keys. Work per event
is O(1), amortised: a Seq is read once, when it closes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..types import Seq
from .hierarchy import Hierarchy


class State:
    """What a session is after its events so far: its open Seqs, and whether a closed one was not normal.

    The cascade's to fill: `decided`, whether it is abnormal whatever may still come; `check_at`, the number of events
    at which that is worth another look; `early` and `end`, the verdicts on a session that is decided or stops here.
    """

    __slots__ = (
        "action",
        "action_start",
        "check_at",
        "decided",
        "early",
        "end",
        "entity",
        "entity_start",
        "events",
        "next",
        "tainted",
    )

    def __init__(
        self,
        events: int,
        entity: int,
        action: int,
        entity_start: int,
        action_start: int,
        tainted: bool,
    ) -> None:
        self.events = events
        self.entity = entity
        self.action = action
        self.entity_start = entity_start  # first event of the open action Seq
        self.action_start = action_start  # first event of the open status Seq
        self.tainted = tainted
        self.decided = False
        self.check_at = 0
        self.early: Any = None
        self.end: Any = None
        self.next: dict[int, State] = {}


class Tracker:
    """Steps sessions through the hierarchy; `is_normal` is asked about every Seq as it closes.

    `is_decided` is asked about each new state, with its log keys, until it says yes.

    >>> from .hierarchy import Leaf
    >>> tree = Hierarchy([Leaf("a", "disk", "read", "ok"), Leaf("b", "net", "send", "ok")])
    >>> closed = []
    >>> tracker = Tracker(tree, lambda seq: not closed.append(seq))
    >>> state, keys = tracker.start, []
    >>> for key in (0, 0, 1):
    ...     keys.append(key)
    ...     state = tracker.step(state, key, keys)
    >>> [(seq.level, seq.start, seq.end) for seq in closed]
    [('status', 0, 2), ('action', 0, 2)]
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        is_normal: Callable[[Seq], bool],
        is_decided: Callable[[State, Sequence[int]], bool] = lambda state, keys: False,
        cache_size: int = 100_000,
    ) -> None:
        self.start = State(0, -1, -1, 0, 0, False)
        self._hierarchy = hierarchy
        self._entity_of = hierarchy.entity_of
        self._action_of = hierarchy.action_of
        self._is_normal = is_normal
        self._is_decided = is_decided
        self._cache_size = cache_size
        self._remembered = [self.start]
        self.misses = 0  # steps worked out

    def step(self, state: State, key: int, keys: Sequence[int]) -> State:
        """The state after one more event, `key`; `keys` are the session's log keys, this one and those before it."""
        return state.next.get(key) or self.work_out(state, key, keys)

    def work_out(self, state: State, key: int, keys: Sequence[int]) -> State:
        """A step that `state.next` does not remember, and from now on does."""
        self.misses += 1
        if len(self._remembered) >= self._cache_size:
            for old in self._remembered:
                old.next = {}
            self._remembered = [self.start]
        found = state.next[key] = self._next(state, key, keys)
        found.check_at = state.check_at
        so_far = keys if len(keys) == found.events else keys[: found.events]
        found.decided = state.decided or self._is_decided(found, so_far)
        self._remembered.append(found)
        return found

    def replay(self, keys: Sequence[int]) -> State:
        """The state after `keys`, from the start: how a restored session comes back."""
        state = self.start
        for key in keys:
            state = self.step(state, key, keys)
        return state

    def closed_by(self, state: State, key: int, keys: Sequence[int]) -> list[Seq]:
        """The Seqs whose boundary this event is."""
        if state.events == 0 or self._action_of[key] == state.action:
            return []
        closed = [self._hierarchy.seq("status", keys, state.action_start, state.events)]
        if self._entity_of[key] != state.entity:
            closed.append(self._hierarchy.seq("action", keys, state.entity_start, state.events))
        return closed

    def closed_by_end(self, state: State, keys: Sequence[int]) -> list[Seq]:
        """The Seqs that the session's end closes."""
        return [
            self._hierarchy.seq("status", keys, state.action_start, state.events),
            self._hierarchy.seq("action", keys, state.entity_start, state.events),
            self._hierarchy.seq("entity", keys, 0, state.events),
        ]

    def _next(self, state: State, key: int, keys: Sequence[int]) -> State:
        tainted = state.tainted
        for seq in self.closed_by(state, key, keys):
            tainted = not self._is_normal(seq) or tainted
        entity, action, here = self._entity_of[key], self._action_of[key], state.events
        return State(
            here + 1,
            entity,
            action,
            state.entity_start if entity == state.entity else here,
            state.action_start if action == state.action else here,
            tainted,
        )
