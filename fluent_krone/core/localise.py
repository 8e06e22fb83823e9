"""Where an abnormal session is odd: a score for every event, the worst Seq, and evidence in words.

How the most abnormal Seq is found:

1. Of the normal sessions, take the one that is nearest by counts and runs most alike. Of a session
   that was cut short, that is one which it is the beginning of.
2. Counts: what the session has more of than the nearest normal one adds to the scores of those
   events that have no counterpart there (`NestedDetector.excess`). Templates that speak of failure
   weigh more: words rank the events of a session that is abnormal already, and never touch a
   verdict.
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
from dataclasses import dataclass, replace
from itertools import accumulate, compress, repeat
from operator import add, sub
from typing import Protocol

from ..types import LEVELS, Evidence, Level, Seq
from .failures import template_severity
from .hierarchy import Hierarchy, runs
from .matching import Gap, gaps, likeness

# Events of a session that is compared event by event. Aligning takes the square of this, and a
# verdict must not hold up the stream, so longer sessions are compared by counts alone.
_MOST_ALIGNED = 300
# Nearest normal sessions that are compared event by event; those behind them have other counts.
_COMPARED = 3
# Likeness (0 to 1) with the beginning of a longer normal session, from which on a session is taken
# for one that was cut short. Lower, and sessions that went another way would lack their end.
_CUT_SHORT = 0.8
# Share of the normal sessions: an error that no more of them have is rare.
_RARE = 0.005


# Digits to which the scores of Seqs are compared: their last bits depend on the order of sums.
_SCORE_DECIMALS = 6
# What differences of sums may be wrong by, as a share of all scores, with room for the rounding.
_INEXACT = 4e-6


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


class DensityLike(Protocol):
    """What a nested detector says of a session; see `detect.nested_aware.Density`."""

    @property
    def score(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def nearest(self) -> tuple[int, ...]: ...


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
    steps: StepCounts | None = None,
) -> Place:
    """Score the events of an abnormal session; see the steps above.

    `abnormal` are the Seqs that patterns do not clear, if any. `by_counts`: whether counts are
    heard; where they alone would not have made the session abnormal they say little. Of a session
    that has not `ended`, nothing is called missing. `steps` tells how often normal training had
    each step.
    """
    normal = _nearest_normal(keys, nested, ended)
    here = Counter(keys)
    there = Counter(normal)
    scores = [0.0] * len(keys)
    if nested is not None and (by_counts or not abnormal):
        more = {key: (n, there[key]) for key, n in here.items() if n > there[key]}
        _score_counts(scores, keys, normal, more, nested, hierarchy)
    _score_patterns(scores, keys, abnormal, hierarchy, patterns)
    if steps is not None:
        _score_rare_errors(scores, here, keys, steps, hierarchy, patterns)
    if not any(scores):
        scores[_gap(keys, normal, nested)] = 1.0
    seq = _heaviest(scores, keys, hierarchy)
    event = max(range(seq.start, seq.end), key=lambda i: (scores[i], -i))
    distance = (here - there).total() + (there - here).total()
    evidence = _evidence(here, normal, abnormal, hierarchy, patterns)
    if not ended:
        evidence = replace(evidence, missing={})
    return Place(seq, event, tuple(scores), float(distance), evidence)


def is_rare(times: int, sessions: int) -> bool:
    """Whether hardly any of the normal sessions has a step that came `times` times in all."""
    return 0 < times <= _RARE * sessions


def _nearest_normal(
    keys: Sequence[int], nested: NestedDetector | None, ended: bool
) -> tuple[int, ...]:
    """Of the normal sessions that are nearest by counts, the one that runs most alike.

    For a session that was cut short, it is one that begins as this session does.
    """
    if nested is None:
        return ()
    nearest = [tuple(nested.normal[i]) for i in nested.density(keys, ended=ended).nearest]
    if not nearest:
        return ()
    if len(keys) > _MOST_ALIGNED:
        return nearest[0]
    if not ended:
        _, best = _likest_beginning(keys, nearest[:_COMPARED])
        return best
    likest, best = _likest(keys, [(other, other) for other in nearest[:_COMPARED]])
    nearest_yet = nested.density(keys, ended=False).nearest[:_COMPARED]
    longer = [tuple(nested.normal[i]) for i in nearest_yet]
    begins, longest = _likest_beginning(keys, longer)
    if begins > max(likest, _CUT_SHORT) and len(longest) > len(keys):
        return longest
    return best


def _likest_beginning(
    keys: Sequence[int], others: Sequence[tuple[int, ...]]
) -> tuple[float, tuple[int, ...]]:
    """Like `_likest`, where only as many events of each session are compared as there are keys."""
    return _likest(keys, [(other[: len(keys)], other) for other in others])


def _likest(
    keys: Sequence[int], others: Sequence[tuple[Sequence[int], tuple[int, ...]]]
) -> tuple[float, tuple[int, ...]]:
    """The likeness of the sequence that is most alike, and the session that it belongs to."""
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for compared, other in others:
        best = max(best, (likeness(compared, keys), other))
    return best


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
    # Log key → what each of its events gets, where too few of them are known.
    shares: dict[int, float] = {}
    for key, (here, there) in more.items():
        weight = 1 + template_severity(hierarchy.rows[key].template)
        excess = nested.excess(key, here, there) * weight
        events = alone[key]
        if len(events) < here - there:
            shares[key] = excess / here
            continue
        # Every event has one log key, so nothing was added before.
        for event in events:
            scores[event] = excess / len(events)
    if shares:
        # Without a step of Python for each event: sessions may be long.
        scores[:] = map(add, scores, map(shares.get, keys, repeat(0.0)))


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
    if len(keys) > _MOST_ALIGNED or len(normal) > _MOST_ALIGNED:
        return []
    head, changes = _aligned(keys, normal)
    return [head + event for start, end, _, _ in changes for event in range(start, end)]


def _aligned(one: Sequence[int], other: Sequence[int]) -> tuple[int, list[Gap]]:
    """How many first events two sessions share, and the gaps after them.

    Only what lies between equal ends is aligned. In a session that repeats itself, the longest
    common run may lie one round beside, and whole rounds would then be called odd.
    """
    short = min(len(one), len(other))
    head = next((i for i in range(short) if one[i] != other[i]), short)
    tail = next((i for i in range(short - head) if one[-1 - i] != other[-1 - i]), short - head)
    return head, gaps(one[head : len(one) - tail], other[head : len(other) - tail])


def _score_patterns(
    scores: list[float],
    keys: Sequence[int],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> None:
    """Add to the events where unseen Seqs of the lowest level leave the nearest seen pattern.

    Each gets as much as the heaviest count did. Nothing is added beside a step that normal training
    never had: that step is odd enough by itself, and it makes every Seq around it unseen.
    """
    top = max(scores)
    if top and any(not patterns.is_known("status", hierarchy.status_of[key]) for key in set(keys)):
        return
    level = next((level for level in LEVELS if any(seq.level == level for seq in abnormal)), None)
    odd: dict[int, float] = {}
    for seq in abnormal:
        if seq.level == level:
            distance, nearest = patterns.score(seq)
            event = _odd_event(seq, nearest, keys, hierarchy)
            odd[event] = max(distance, odd.get(event, 0.0))
    for event, distance in odd.items():
        scores[event] += (top or 1.0) * distance / max(odd.values())


def _score_rare_errors(
    scores: list[float],
    here: Iterable[int],
    keys: Sequence[int],
    steps: StepCounts,
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> None:
    """Let the first rare error outweigh the rest, if normal training had all steps."""
    if any(not patterns.is_known("status", hierarchy.status_of[key]) for key in here):
        return
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

    It is where the nearest normal session goes on otherwise; or the last event, if no normal
    session ends with such an event.
    """
    last = event = len(keys) - 1
    if nested is not None and all(other[-1] != keys[-1] for other in nested.normal if other):
        return last
    if normal and len(keys) <= _MOST_ALIGNED:
        missing = Counter(normal) - Counter(keys)
        head, changes = _aligned(normal, keys)
        for _, _, start, end in changes:
            event = min(head + start, last)
            if missing and end == start:
                break
    return event


def _heaviest(scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy) -> Seq:
    """The status Seq with the largest sum of event scores; of equals the first."""
    spans = runs(list(map(hierarchy.action_of.__getitem__, keys)))
    # Without a step of Python for each Seq, as sessions may be long: a Seq's sum is what the sums
    # up to its two ends differ by. That is less exact, so the nearly largest are summed up.
    up_to = [0.0, *accumulate(scores)]
    ends = [end for _, end in spans]
    weights = list(map(sub, map(up_to.__getitem__, ends), map(up_to.__getitem__, [0, *ends])))
    least = max(weights) - _INEXACT * (1 + up_to[-1])
    heaviest = (0, len(keys))
    most = -1.0
    for start, end in compress(spans, map(least.__le__, weights)):
        weight = sum(scores[start:end])
        rounded = round(weight, _SCORE_DECIMALS)
        if weight > 0 and rounded > most:
            heaviest = (start, end)
            most = rounded
    return hierarchy.seq("status", keys, *heaviest)


def _evidence(
    here: Mapping[int, int],
    normal: tuple[int, ...],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> Evidence:
    """Evidence against the nearest normal session; `here` says how often each log key came.

    Without one, it is against the nearest pattern of the first unseen Seq of the lowest level.
    """
    if not normal:
        seq = next(seq for level in LEVELS for seq in abnormal if seq.level == level)
        nearest = patterns.score(seq)[1]
        return compare(seq.level, Counter(seq.pattern), nearest, hierarchy, patterns)
    have: Counter[int] = Counter()
    for key, times in here.items():
        have[hierarchy.status_of[key]] += times
    want = [hierarchy.status_of[k] for k in normal]
    return replace(compare("status", have, want, hierarchy, patterns), nearest_keys=normal)


def compare(
    level: Level,
    here: Counter[int],
    want: Sequence[int],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> Evidence:
    """What `here` has more and less of than `want`, both nodes of `level`, in the tree's words."""
    there = Counter(want)
    over = here - there
    under = there - here

    def words(counts: Mapping[int, int]) -> dict[str, int]:
        found: Counter[str] = Counter()
        for node, n in counts.items():
            found[hierarchy.words(level, node)] += n
        return dict(found)

    return Evidence(
        extra=words({node: n for node, n in over.items() if node not in there}),
        missing=words(under),
        repeated=words({node: n for node, n in over.items() if node in there}),
        unseen=tuple(words({node: 1 for node in here if not patterns.is_known(level, node)})),
        nearest=tuple(hierarchy.words(level, node) for node in want),
    )
