"""Events in, the Seqs that just closed out, one event at a time.

Why a step that was seen before costs one look-up:

1. What may still come depends only on the open Seqs (an entity's and an action's, by their first
   events) and on whether a closed Seq was not normal. That is a `State`.
2. All sessions begin in the same state, and each state remembers its next one for every log key it
   has met. So sessions that ran alike share one state, and whatever is worked out for a state (that
   a Seq was seen, that the session is decided, its verdict) is worked out once for all of them.
3. Two sessions that ran differently never share a state, even where 1. would allow it: the state is
   a node of the tree of log keys. This keeps verdicts, which do depend on all events, on the state.
4. When too many states are remembered, all are forgotten at once: each loses its next ones, and the
   sessions that hold one go on from it. A forgotten step is worked out again from the session's own
   log keys.

The work per event is O(1), amortised: a Seq is read once, when it closes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..reading.cache import Generation
from ..types import LEVELS, Deviation, Seq
from .hierarchy import Hierarchy
from .steps import (
    ANY_GAP_NS,
    NEVER_NS,
    NO_GAP_NS,
    NO_WITNESSES,
    Limit,
    Situation,
    StepJudge,
)

# What deviates where a session ends, and the limits of its durations.
Ending = tuple[tuple[Deviation, ...], tuple[Limit, ...]]
# Closed Seqs that are not normal, the last one first: it, and what came before.
Odd = tuple[Seq, Any]


class State:
    """What a session is after its events so far: its open Seqs, and the odd ones that closed.

    `entity_start` is the first event of the open action Seq, `action_start` that of the open status
    Seq. The cascade fills `decided` (whether the session is abnormal whatever may still come),
    `check_at` (the number of events at which that is worth another look), `tally` (how often each
    log key came), `early` and `end` (the verdicts on a session that is decided, or stops here).

    The step judge fills `situation` (what it knows of the steps so far), `deviations` (of the last
    step's order), `shortest_ns` and `longest_ns` (the gaps before it that are no deviation),
    and `ending` (what is reported if the session ends here). After `waits_ns` without an event
    there is something to do: the session hangs, or its idle timeout is over.
    Where the engine has something to do at the state itself, no gap is within these limits.
    """

    __slots__ = (
        "action",
        "action_start",
        "check_at",
        "decided",
        "deviations",
        "early",
        "end",
        "ending",
        "entity",
        "entity_start",
        "events",
        "kind",
        "longest_ns",
        "next",
        "odd",
        "shifts",
        "shortest_ns",
        "situation",
        "tally",
        "waits_ns",
    )

    def __init__(
        self,
        events: int,
        entity: int,
        action: int,
        entity_start: int,
        action_start: int,
        odd: Odd | None,
    ) -> None:
        self.events = events
        self.entity = entity
        self.action = action
        self.entity_start = entity_start
        self.action_start = action_start
        self.odd = odd
        self.decided = False
        self.check_at = 0
        self.tally: dict[int, int] | None = None
        self.situation: Situation | None = None
        self.deviations: tuple[Deviation, ...] = ()
        self.ending: Ending | None = None
        self.shortest_ns, self.longest_ns = ANY_GAP_NS
        self.waits_ns = NEVER_NS
        self.early: Any = None
        self.end: Any = None
        # What kind of execution it is, if the session ends here; see `keeping/rules.py`.
        self.kind: Any = None
        # What it lacks, and what is new in its order, if the session ends here; see
        # `deploys/shifts.py`.
        self.shifts: Any = None
        self.next: dict[int, State] = {}


class Tracker:
    """Steps sessions through the hierarchy; `is_normal` is asked about every Seq as it closes.

    `is_decided` is asked about each new state, until it says yes; the log keys that it gets begin
    with those of the state, and may go on.

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
        steps: StepJudge = NO_WITNESSES,
        idle_ns: int = NEVER_NS,
    ) -> None:
        # -1 is no node, so the first event always begins Seqs of its own.
        self.start = State(0, -1, -1, 0, 0, None)
        # Where a session is that has a step not identified yet: a log key behind
        # those of the hierarchy. It stays there, and the engine looks at each of its events.
        self.waiting = State(0, -1, -1, 0, 0, None)
        self.waiting.shortest_ns, self.waiting.longest_ns = NO_GAP_NS
        self.waiting.next = dict.fromkeys(range(hierarchy.unknown + 1), self.waiting)
        # Where a session is that was reported for the last time: it stays there, and nothing is
        # worked out for its further steps. A step that nobody knows still leads to `waiting`.
        self.settled = self.apart()
        self.settled.shortest_ns, self.settled.longest_ns = NO_GAP_NS
        self.settled.waits_ns = idle_ns
        self.settled.next = dict.fromkeys(range(hierarchy.unknown + 1), self.settled)
        self._hierarchy = hierarchy
        self._entity_of = hierarchy.entity_of
        self._action_of = hierarchy.action_of
        self._is_normal = is_normal
        self._is_decided = is_decided
        self._steps = steps
        self._idle_ns = idle_ns
        # After this many events a session ends: its state needs attention then.
        self.max_events = NEVER_NS
        self.waiting.waits_ns = idle_ns
        # The states whose next ones must be forgotten when too many are remembered.
        self._remembered = [self.start]
        self._generation = Generation(cache_size - 1, self._forget)
        # Steps that no state remembered.
        self.misses = 0

    def apart(self) -> State:
        """A state that no other session has, for what is remembered of a session's end."""
        return State(0, -1, -1, 0, 0, None)

    def step(self, state: State, key: int, keys: Sequence[int]) -> State:
        """The state after one more event, `key`.

        `keys` are the session's log keys up to and including this one; those behind it are ignored.
        """
        return state.next.get(key) or self.work_out(state, key, keys)

    def work_out(self, state: State, key: int, keys: Sequence[int]) -> State:
        """A step that `state.next` does not remember, and from now on does."""
        if key > self._hierarchy.unknown:
            return self.waiting
        self.misses += 1
        self._generation.take(1)
        found = state.next[key] = self._next(state, key, keys)
        found.check_at = state.check_at
        # The tally goes with the newest state, so that counting goes on and does not begin anew.
        # Where two sessions part, the second one to do so counts once.
        found.tally = state.tally
        state.tally = None
        found.decided = state.decided or self._is_decided(found, keys)
        self._judge_step(state, found, keys)
        self._remembered.append(found)
        return found

    def odd_seqs(self, state: State) -> list[Seq]:
        """Closed Seqs that are not normal: of status level, then of action level."""
        found: list[Seq] = []
        odd = state.odd
        while odd is not None:
            found.append(odd[0])
            odd = odd[1]
        return sorted(found, key=lambda seq: (LEVELS.index(seq.level), seq.start))

    def _judge_step(self, before: State, state: State, keys: Sequence[int]) -> None:
        so_far = keys
        if len(keys) != state.events:
            so_far = keys[: state.events]
        known = before.situation or self._steps.begin()
        situation = known.next.get(so_far[-1])
        if situation is None:
            situation, state.deviations = self._steps.after(known, so_far)
        state.situation = situation
        state.shortest_ns = situation.shortest_ns
        state.longest_ns = situation.longest_ns
        state.waits_ns = min(situation.waits_ns, self._idle_ns)
        if state.decided or state.deviations or state.events >= self.max_events:
            # No gap lies within these limits, so the engine looks at every event that leads here.
            state.shortest_ns, state.longest_ns = NO_GAP_NS

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
        odd = state.odd
        for seq in self.closed_by(state, key, keys):
            if not self._is_normal(seq):
                odd = (seq, odd)
        entity = self._entity_of[key]
        action = self._action_of[key]
        here = state.events
        entity_start = here
        if entity == state.entity:
            entity_start = state.entity_start
        action_start = here
        if action == state.action:
            action_start = state.action_start
        return State(here + 1, entity, action, entity_start, action_start, odd)

    def _forget(self) -> None:
        for state in self._remembered:
            state.next = {}
        self._remembered = [self.start]
