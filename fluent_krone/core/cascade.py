"""Which detector is asked about what, who may clear whom, and when a session is decided.

Local-Context looks at Seqs one by one, Nested-Aware at the session with all its Seqs. Where the two
disagree, the bundle says whether the one may clear what the other flags; `export` decides that from
faults injected into normal sessions. Source: KRONE (arXiv 2602.07303), where Local-Context always
clears; here it need not.

Why an early verdict is never reversed:

1. A Seq that has closed does not change any more. If it is unseen, it stays unseen, whatever comes.
2. Counts only grow. Against each normal session, the squares of what the session has *too much* of
   can therefore only grow as well, and the density of what it has too much of is an upper bound of
   the density that the session can have at its end. `Density.bound` is −ln of that.
3. So the patterns flag the session for good once a closed Seq is unseen, and Nested-Aware flags it
   for good once the bound is above its threshold, by a margin for rounding.
4. Either one decides alone only where the other may not clear it: a session is decided when
   everyone who could still clear it no longer can.
5. A step that makes the counts of any session new does so whatever comes after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..types import LEVELS, Level, Seq, Verdict
from .hierarchy import Hierarchy
from .localise import NestedDetector, Place, SeqDetector, localise
from .steps import NEVER_NS, NO_WITNESSES, StepJudge
from .tracker import Ending, State, Tracker

# Relative to the threshold. The bound must be above it by this much: far more than the rounding of
# bound and score, so that no early verdict is reversed, and too little to delay one.
_MARGIN = 1e-3
# The detector's name where only the counts are new; its score is by how many events they differ.
COUNTS = "nested_counts"
# A session's bound is looked at again when it has grown by a tenth, so that a long session costs a
# number of looks that grows with the logarithm of its length.
_NEXT_CHECK = 1.1
# Events of a session up to which its last step is counted anew at each event. That costs less than
# a table of all counts, which most sessions are too short to need.
_FEW_EVENTS = 32
# Distinct abnormal patterns of one session that are compared with the seen ones, at some tens of
# microseconds each. What a session of thousands of events did wrong first is enough to name it.
_MOST_PATTERNS = 40


@dataclass(frozen=True, slots=True)
class Clearing:
    """Who may clear whom: patterns what nested flags, and nested what patterns flag.

    With `counts_flag`, a session that has its log keys in numbers which no normal session had is
    abnormal, and nobody may clear it: for training that has seen all there is to see.
    """

    patterns_clear: bool = True
    nested_clears: bool = True
    counts_flag: bool = False

    def finds_abnormal(
        self, unseen: bool, nested: Callable[[], bool], new_counts: Callable[[], bool]
    ) -> bool:
        """The verdict on a session that has an `unseen` pattern, or none.

        `nested` says whether the density is below its threshold, `new_counts` whether no normal
        session had these counts; each is called only where its answer matters.

        >>> Clearing(patterns_clear=True).finds_abnormal(True, lambda: False, lambda: False)
        False
        """
        if self.counts_flag and new_counts():
            return True
        if self.patterns_clear and not unseen:
            return False
        return nested() or (unseen and not self.nested_clears)


def _few_patterns(abnormal: list[Seq]) -> list[Seq]:
    """The Seqs whose patterns are compared: all of them, except in very long sessions."""
    if len(abnormal) <= _MOST_PATTERNS:
        return abnormal
    patterns: set[tuple[str, tuple[int, ...]]] = set()
    kept = []
    for seq in abnormal:
        patterns.add((seq.level, seq.pattern))
        if len(patterns) > _MOST_PATTERNS:
            break
        kept.append(seq)
    return kept


def _by_level(seq: Seq) -> int:
    return LEVELS.index(seq.level)


class Cascade:
    """The verdict on a session, at its end or early; worked out once per state."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        patterns: SeqDetector,
        nested: NestedDetector | None = None,
        clearing: Clearing | None = None,
        cache_size: int = 100_000,
        steps: StepJudge = NO_WITNESSES,
        idle_ns: int = NEVER_NS,
    ) -> None:
        self.tracker = Tracker(
            hierarchy, patterns.is_normal, self._is_decided, cache_size, steps, idle_ns
        )
        self._steps = steps
        self.hierarchy = hierarchy
        self._patterns = patterns
        self.nested = nested
        self._clearing = clearing or Clearing()

    def at_end(self, state: State, keys: Sequence[int]) -> Verdict | None:
        """The verdict if the session ends here; None: normal."""
        state.tally = None
        if state.end is None:
            state.end = (self._judge(state, keys),)
        verdict: Verdict | None = state.end[0]
        return verdict

    def ending(self, state: State, keys: Sequence[int]) -> Ending:
        """What deviates if the session ends here, and the Seqs whose durations have a limit."""
        if state.ending is None:
            state.ending = (self._steps.at_end(keys), self._steps.spans(keys))
        return state.ending

    def early(self, state: State, keys: Sequence[int]) -> Verdict:
        """The verdict on a session whose state is decided, naming the most abnormal Seq so far.

        Only closed Seqs are looked at: an open one may yet become normal.
        """
        if state.early is None:
            odd = self.tracker.odd_seqs(state)
            state.early = self._verdict(tuple(keys), odd, ended=False)
        verdict: Verdict = state.early
        return verdict

    def _judge(self, state: State, keys: Sequence[int]) -> Verdict | None:
        # A tuple, which the nested detector knows again when it is asked about it several times.
        keys = tuple(keys)
        closed = self.tracker.closed_by_end(state, keys)
        odd = [seq for seq in closed if not self._patterns.is_normal(seq)]
        if not self._is_abnormal(bool(odd) or state.odd is not None, keys):
            return None
        return self._verdict(keys, sorted(self.tracker.odd_seqs(state) + odd, key=_by_level))

    def _is_abnormal(self, unseen: bool, keys: Sequence[int]) -> bool:
        if self.nested is None:
            return unseen
        detector = self.nested
        return self._clearing.finds_abnormal(
            unseen,
            lambda: detector.is_abnormal(detector.density(keys).score),
            lambda: not detector.has_counts(keys),
        )

    def _is_decided(self, state: State, keys: Sequence[int]) -> bool:
        """Whether the session is abnormal whatever may still come; see the steps above.

        `keys` begin with those of `state`. Each call costs the same, however many there are, but
        for the few that have the density worked out.
        """
        tally = state.tally
        state.tally = None
        unseen = state.odd is not None
        if unseen and (self.nested is None or not self._clearing.nested_clears):
            return True
        if self.nested is None or (self._clearing.patterns_clear and not unseen):
            return False
        last = keys[state.events - 1]
        if self._clearing.counts_flag and self.nested.is_new_step(last):
            return True
        times = self._times_so_far(state, keys, last, tally)
        # The bound rises only with a count that no normal session has.
        if state.events < state.check_at or times <= self.nested.most(last):
            return False
        state.check_at = int(state.events * _NEXT_CHECK) + 1
        threshold = self.nested.threshold
        bound = self.nested.density(keys[: state.events]).bound
        return bound > threshold + _MARGIN * (1 + abs(threshold))

    @staticmethod
    def _times_so_far(
        state: State, keys: Sequence[int], last: int, tally: dict[int, int] | None
    ) -> int:
        """How often the last step came up to a state; `tally` is that of the state before."""
        if tally is not None:
            tally[last] = tally.get(last, 0) + 1
        elif state.events <= _FEW_EVENTS:
            return keys[: state.events].count(last)
        else:
            tally = Counter(keys[: state.events])
        state.tally = tally
        return tally[last]

    def _verdict(self, keys: Sequence[int], abnormal: list[Seq], *, ended: bool = True) -> Verdict:
        abnormal = _few_patterns(abnormal)
        place = localise(
            keys,
            abnormal,
            self.hierarchy,
            self._patterns,
            self.nested,
            by_counts=self._density_flags(keys),
            ended=ended,
            steps=self._steps,
        )
        level: Level = "entity"
        for candidate in reversed(LEVELS):
            if any(seq.level == candidate for seq in abnormal):
                level = candidate
        detector, score, threshold = self._reason(keys, abnormal, level, place)
        return Verdict(level, place.seq, place.event, detector, score, threshold, place.evidence)

    def _density_flags(self, keys: Sequence[int]) -> bool:
        if self.nested is None:
            return False
        return self.nested.is_abnormal(self.nested.density(keys).score)

    def _reason(
        self, keys: Sequence[int], abnormal: list[Seq], level: Level, place: Place
    ) -> tuple[str, float, float]:
        """The detector that a verdict is reported under, its score and its threshold."""
        nested = self.nested
        if nested is not None and self._density_flags(keys):
            return nested.name, nested.density(keys).score, nested.threshold
        if nested is not None and not abnormal:
            # Only counts are new, perhaps those of runs alone, which differ by no event.
            return COUNTS, max(place.distance, 1.0), 0.0
        score = max(self._patterns.score(seq)[0] for seq in abnormal if seq.level == level)
        return self._patterns.name, score, self._patterns.threshold
