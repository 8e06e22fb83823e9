"""Where an abnormal session is odd: a score for every event, the worst Seq, and evidence in words.

How the most abnormal Seq is found:

1. Of the normal sessions, take the one that is nearest by counts and runs most alike. Of a session
   that was cut short, that is one which it is the beginning of.
2. Counts: what the session has more of than the nearest normal one adds to the scores of those
   events that have no counterpart there (`NestedDetector.excess`). What no normal session has so
   often outweighs harmless steps that others have. Templates that speak of failure weigh more:
   words rank the events of a session that is abnormal already, and never touch a verdict.
3. Patterns: where an unseen Seq leaves the nearest seen pattern of its level, that event gets as
   much as the heaviest count did. This also sees order, which counts cannot.
4. An error that hardly any normal session has outweighs the rest, even where the nearest normal
   session has it as well.
5. If none of these found anything, the odd event is where the normal session goes on otherwise.
6. The status Seq with the largest sum of scores is named.

The reference names the first Seq that is not normal (early exit). On ThunderBird's event labels
that is a harmless new event in 159 of 159 cases (data and code of KRONE's authors), which is why
the most abnormal one is named here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add
from typing import Protocol

import numpy as np

from ..types import LEVELS, Evidence, Level, Seq
from .failures import template_severity
from .hierarchy import Hierarchy, runs
from .matching import (
    MOST_ALIGNED,
    DensityLike,
    Gap,
    against_normal,
    against_pattern,
    common_head,
    counted,
    gaps,
    nearest_normal,
)
from .steps import NO_WITNESSES

# Share of the normal sessions: an error that no more of them have is rare.
_RARE = 0.005
# Digits to which the scores of Seqs are compared: their last bits depend on the order of sums.
_SCORE_DECIMALS = 6
# Half of the last of these digits: a sum that is smaller than another one by more is not equal to
# it. It leaves room for what the sums of NumPy are wrong by, which is less than a millionth of it.
_ROUNDING = 0.51e-6
# Events from which on the sums are NumPy's, without a step of Python for each Seq. For fewer
# events, its calls cost more than they save.
_LONG = 300


class SeqDetector(Protocol):
    """Judges one Seq at a time, by its pattern."""

    name: str
    threshold: float

    def is_normal(self, seq: Seq) -> bool:
        """Whether the Seq is cleared. Asked once per Seq, as it closes."""
        ...

    def is_known(self, level: Level, node: int) -> bool:
        """Whether normal training had this node."""
        ...

    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]:
        """How abnormal it is, and the nearest normal pattern of its level.

        The score of a Seq that is not normal is above `threshold`.
        """
        ...


class NestedDetector(Protocol):
    """Judges a session with all its Seqs, finished or not."""

    name: str
    threshold: float

    @property
    def normal(self) -> Sequence[Sequence[int]]:
        """Log keys of the normal sessions that `nearest` counts through."""
        ...

    def density(self, log_keys: Sequence[int], *, ended: bool = True) -> DensityLike: ...
    def is_abnormal(self, score: float) -> bool: ...
    def has_counts(self, log_keys: Sequence[int]) -> bool:
        """Whether a normal session had these log keys about as often."""
        ...

    def is_new_step(self, log_key: int) -> bool:
        """Whether a step makes the counts of any session new."""
        ...

    def most(self, log_key: int) -> int:
        """The largest count of a log key in any normal session; 0 if it was never seen."""
        ...

    def excess(self, log_key: int, here: int, there: int) -> float:
        """How much a count of `here`, where normal has `there`, adds to the score."""
        ...


class StepCounts(Protocol):
    """Knows how often normal training had a step, as a `core.steps.StepJudge` does."""

    def seen(self, log_key: int) -> tuple[int, int]:
        """How many such steps normal training had, and how many sessions."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is odd.

    `event_scores[i]` is the score of event i. `distance` is the number of events that the session
    has more than the nearest normal one, and less.
    """

    seq: Seq
    event: int
    event_scores: tuple[float, ...]
    distance: float
    evidence: Evidence


def localise(
    keys: Sequence[int],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
    nested: NestedDetector | None,
    *,
    by_counts: bool = True,
    ended: bool = True,
    steps: StepCounts = NO_WITNESSES,
) -> Place:
    """Score the events of an abnormal session; see the steps above.

    `abnormal` are the Seqs that patterns do not clear, if any. `by_counts`: whether counts are
    heard; where they alone would not have made the session abnormal they say little. Of a session
    that has not `ended`, nothing is called missing. `steps` tells how often normal training had
    each step.
    """
    here = Counter(keys)
    normal = nearest_normal(keys, here, nested, ended)
    there = counted(normal)
    knows_all = all(patterns.is_known("status", hierarchy.status_of[key]) for key in here)
    scores = [0.0] * len(keys)
    if nested is not None and (by_counts or not abnormal):
        more = {key: (n, there[key]) for key, n in here.items() if n > there[key]}
        _score_counts(scores, keys, normal, more, nested, hierarchy)
    # Beside a step that normal training never had, no pattern counts: that step is odd enough by
    # itself, and it makes every Seq around it unseen.
    top = max(scores)
    if knows_all or not top:
        _score_patterns(scores, keys, abnormal, hierarchy, patterns, top or 1.0)
    if knows_all:
        _score_rare_errors(scores, here, keys, steps, hierarchy)
    if not any(scores):
        scores[_gap(keys, normal, nested)] = 1.0
    seq = heaviest(scores, keys, hierarchy)
    event = scores.index(max(scores[seq.start : seq.end]), seq.start)
    if normal:
        evidence = against_normal(here, normal, hierarchy, patterns, ended=ended)
    else:
        evidence = against_pattern(_lowest(abnormal), hierarchy, patterns, ended=ended)
    return Place(seq, event, tuple(scores), _distance(here, there), evidence)


def _distance(here: Mapping[int, int], there: Mapping[int, int]) -> float:
    """How many events the one side has more than the other, and less."""
    differ = sum([times for key, times in there.items() if key not in here])
    for key, times in here.items():
        differ += abs(times - there.get(key, 0))
    return float(differ)


def _lowest(abnormal: Sequence[Seq]) -> Seq:
    """The first Seq of the lowest level that has one."""
    return next(seq for level in LEVELS for seq in abnormal if seq.level == level)


def is_rare(times: int, sessions: int) -> bool:
    """Whether hardly any of the normal sessions has a step that came `times` times in all."""
    return 0 < times <= _RARE * sessions


def _score_counts(
    scores: list[float],
    keys: Sequence[int],
    normal: Sequence[int],
    more: Mapping[int, tuple[int, int]],
    nested: NestedDetector,
    hierarchy: Hierarchy,
) -> None:
    """Share out each log key's excess over the nearest normal session, among its events.

    The events that have no counterpart there share it; where too few are known, all do. `more` are
    the log keys that the session has more of: how many here, and how many there.
    """
    alone = _by_key(keys, _without_counterpart(keys, normal), more)
    # Log key → what each of its events gets, and the most that one gets which is only a difference
    # from this normal session: no more of them than in others, and no failure.
    each: dict[int, float] = {}
    harmless = 0.0
    for key, (here, there) in more.items():
        severity = template_severity(hierarchy.rows[key].template)
        events = len(alone[key])
        if events < here - there:
            events = here
        each[key] = nested.excess(key, here, there) * (1 + severity) / events
        if not severity and here <= nested.most(key):
            harmless = max(harmless, each[key])
    # The same, where too few of its events are known.
    shares: dict[int, float] = {}
    for key, (here, there) in more.items():
        if here > nested.most(key):
            # So many are odd beside any normal session.
            each[key] += harmless
        if len(alone[key]) < here - there:
            shares[key] = each[key]
            continue
        # Every event has one log key, so nothing was added before.
        for event in alone[key]:
            scores[event] = each[key]
    if shares:
        # Without a step of Python for each event: sessions may be long.
        shared = map(shares.get, keys, repeat(0.0))
        if not any(scores):
            scores[:] = shared
        else:
            scores[:] = map(add, scores, shared)


def _by_key(
    keys: Sequence[int], events: Iterable[int], wanted: Collection[int]
) -> dict[int, list[int]]:
    """Log key → those of `events` that have it; for the `wanted` log keys."""
    found: dict[int, list[int]] = {key: [] for key in wanted}
    for event in events:
        own = found.get(keys[event])
        if own is not None:
            own.append(event)
    return found


def _without_counterpart(keys: Sequence[int], normal: Sequence[int]) -> list[int]:
    """Events that stand beside no event of the nearest normal session."""
    if len(keys) > MOST_ALIGNED or len(normal) > MOST_ALIGNED:
        return []
    head, changes = _aligned(keys, normal)
    return [head + event for start, end, _, _ in changes for event in range(start, end)]


def _aligned(one: Sequence[int], other: Sequence[int]) -> tuple[int, list[Gap]]:
    """How many first events two sessions share, and the gaps after them.

    Only what lies between equal ends is aligned. In a session that repeats itself, the longest
    common run may lie one round beside, and whole rounds would then be called odd.
    """
    head = common_head(one, other)
    tail = common_head(one[head:][::-1], other[head:][::-1])
    return head, gaps(one[head : len(one) - tail], other[head : len(other) - tail])


def _score_patterns(
    scores: list[float],
    keys: Sequence[int],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
    most: float,
) -> None:
    """Add to the events where unseen Seqs of the lowest level leave the nearest seen pattern.

    The farthest gets `most`, as much as the heaviest count did.
    """
    if not abnormal:
        return
    level = _lowest(abnormal).level
    odd: dict[int, float] = {}
    for seq in abnormal:
        if seq.level == level:
            distance, nearest = patterns.score(seq)
            event = _odd_event(seq, nearest, keys, hierarchy)
            odd[event] = max(distance, odd.get(event, 0.0))
    farthest = max(odd.values())
    for event, distance in odd.items():
        scores[event] += most * distance / farthest


def _score_rare_errors(
    scores: list[float],
    here: Iterable[int],
    keys: Sequence[int],
    steps: StepCounts,
    hierarchy: Hierarchy,
) -> None:
    """Let the first rare error outweigh the rest."""
    errors = [key for key in here if template_severity(hierarchy.rows[key].template) > 0]
    rare = {key for key in errors if is_rare(*steps.seen(key))}
    if rare:
        first = next(event for event, key in enumerate(keys) if key in rare)
        scores[first] += sum(scores) + 1.0


def _odd_event(seq: Seq, nearest: Sequence[int], keys: Sequence[int], hierarchy: Hierarchy) -> int:
    """The first event where the Seq leaves the nearest normal pattern.

    It is the Seq's last event where the Seq is a beginning of the pattern.
    """
    node_of = hierarchy.nodes(seq.level)
    # Position in the pattern; above status level, repeats of a node share one position.
    position = -1
    previous = -1
    for event in range(seq.start, seq.end):
        node = node_of[keys[event]]
        if seq.level == "status" or node != previous:
            position += 1
        previous = node
        if position >= len(nearest) or nearest[position] != node:
            return event
    return seq.end - 1


def _gap(keys: Sequence[int], normal: Sequence[int], nested: NestedDetector | None) -> int:
    """The odd event where nothing is too much and every pattern is known.

    It is where a step is missing that the nearest normal session has; else where that one goes on
    otherwise; or the last event, if no normal session ends with such an event.
    """
    last = event = len(keys) - 1
    if nested is not None and all(other[-1] != keys[-1] for other in nested.normal if other):
        return last
    if normal and len(keys) <= MOST_ALIGNED:
        missing = Counter(normal) - Counter(keys)
        head, changes = _aligned(normal, keys)
        for low, high, start, end in changes:
            event = min(head + start, last)
            # Two sessions that run in another order have gaps where nothing is missing.
            if end == start and not missing.keys().isdisjoint(normal[head + low : head + high]):
                break
    return event


def heaviest(scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy) -> Seq:
    """The status Seq with the largest sum of event scores; of equals the first."""
    spans: Iterable[tuple[int, int]]
    if len(keys) < _LONG:
        spans = runs(list(map(hierarchy.action_of.__getitem__, keys)))
        most = float("inf")
    else:
        spans, most = _heavy_spans(scores, keys, hierarchy)
    found = (0, len(keys))
    largest = -1.0
    for start, end in spans:
        weight = sum(scores[start:end])
        # Most Seqs score nothing, or less by far. Rounding takes longer than summing up.
        if weight <= 0 or weight < largest - _ROUNDING:
            continue
        rounded = round(weight, _SCORE_DECIMALS)
        if rounded > largest:
            found = (start, end)
            largest = rounded
            if rounded >= most:
                break
    return hierarchy.seq("status", keys, *found)


def _heavy_spans(
    scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy
) -> tuple[list[tuple[int, int]], float]:
    """The Seqs that may be the heaviest, and a sum, rounded, that none of them exceeds.

    Where many are equally heavy, the first of them reaches it.
    """
    # `fromiter` takes half of the time of `array`, which first looks for what the elements are.
    log_keys = np.fromiter(keys, np.int64, len(keys))
    actions = np.array(hierarchy.action_of)[log_keys]
    starts = np.concatenate(([0], np.flatnonzero(actions[1:] != actions[:-1]) + 1))
    weights = np.add.reduceat(np.fromiter(scores, np.float64, len(scores)), starts)
    largest = float(weights.max())
    inexact = largest * 1e-9
    heavy = np.flatnonzero(weights >= largest - 2 * _ROUNDING - inexact)
    ends = np.append(starts[1:], len(keys))
    spans = list(zip(starts[heavy].tolist(), ends[heavy].tolist(), strict=True))
    return spans, round(largest + inexact, _SCORE_DECIMALS)
