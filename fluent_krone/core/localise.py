"""Where an abnormal session is odd: a score for every event, the Seq that holds most of it, and evidence in words.

Three witnesses are heard, each about what the others can't see:
- counts: what the session has more or less of than the nearest normal session (`NestedDetector.excess`);
- patterns: where an unseen Seq leaves the nearest seen pattern of its level, which also sees order;
- words: a template that speaks of failure is likelier the cause than one that does not. Words rank the events of a
  session that is abnormal already; they never touch a verdict.

The reference names the first Seq that is not normal (early exit); on ThunderBird's event labels that is an innocent
novelty in 159 of 159 cases (KRONE's authors' data and code), which is why the most abnormal one is named here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any, Protocol

from ..types import LEVELS, Evidence, Level, Seq
from .hierarchy import Hierarchy, runs

SEVERE = re.compile(
    r"\b(?:fatal|panic|emerg(?:ency)?|crit(?:ical)?|catastroph\w*|corrupt\w*|crash\w*)\b", re.I
)
ERROR = re.compile(
    r"\b(?:err(?:or)?s?|fail\w*|exceptions?|denied|refused|reject\w*|unreachable|time[d-]?\s?out|invalid|cannot|unable|lost"
    r"|offline|faults?|bad|abort\w*|warning|missing)\b",
    re.I,
)
_MOST_ALIGNED = (
    300  # events; longer sessions are compared by counts alone: aligning takes the square of them
)
_COMPARED = 3  # of the nearest normal sessions, event by event
_CUT_SHORT = 0.8  # a session this like the beginning of a longer normal one was cut short


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
        """How abnormal, above `threshold` if not normal; and the nearest normal pattern of its level."""
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
        """Whether a normal session had exactly these nested counts."""
        ...

    def most(self, log_key: int) -> int:
        """The largest count of a log key in any normal session; 0 if it was never seen."""
        ...

    def excess(self, log_key: int, here: int, there: int) -> float:
        """How much a count of `here`, where normal has `there`, adds to the score."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session is odd; `event_scores[i]` is event i's, `distance` how many events it has more or less of than
    the nearest normal session."""

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
) -> Place:
    """Score the events of an abnormal session; `abnormal` are the Seqs that patterns do not clear, maybe none.

    `by_counts`: hear the counts too. Where they alone would not have made the session abnormal they know little. Of a
    session that has not `ended` nothing is called missing.
    """
    normal = _nearest_normal(keys, nested, ended)
    scores = [0.0] * len(keys)
    if nested is not None and (by_counts or not abnormal):
        _score_counts(scores, keys, normal, nested, hierarchy)
    _score_patterns(scores, keys, abnormal, hierarchy, patterns)
    if not any(scores):
        scores[_gap(keys, normal, nested)] = 1.0
    seq = _heaviest(scores, keys, hierarchy)
    event = max(range(seq.start, seq.end), key=lambda i: (scores[i], -i))
    distance = sum(((Counter(keys) - Counter(normal)) + (Counter(normal) - Counter(keys))).values())
    evidence = _evidence(keys, normal, abnormal, hierarchy, patterns)
    if not ended:
        evidence = replace(evidence, missing={})
    return Place(seq, event, tuple(scores), float(distance), evidence)


def severity(text: str) -> int:
    """2 for words of syslog's top levels, 1 for words of errors, else 0.

    >>> severity("kernel panic"), severity("login failed"), severity("session opened")
    (2, 1, 0)
    """
    return 2 if SEVERE.search(text) else 1 if ERROR.search(text) else 0


def _nearest_normal(
    keys: Sequence[int], nested: NestedDetector | None, ended: bool
) -> tuple[int, ...]:
    """Of the nearest normal sessions by counts, the one that runs most alike; for one cut short, one that it begins."""
    if nested is None:
        return ()
    nearest = [tuple(nested.normal[i]) for i in nested.density(keys, ended=ended).nearest]
    if not nearest or len(keys) > _MOST_ALIGNED:
        return nearest[0] if nearest else ()
    matcher = SequenceMatcher(None, (), keys, autojunk=False)  # prepares its second sequence, once
    whole = [(other if ended else other[: len(keys)], other) for other in nearest[:_COMPARED]]
    likeness, best = _likest(matcher, whole)
    if ended:
        longer = [
            tuple(nested.normal[i]) for i in nested.density(keys, ended=False).nearest[:_COMPARED]
        ]
        begins, longest = _likest(matcher, [(other[: len(keys)], other) for other in longer])
        if begins > max(likeness, _CUT_SHORT) and len(longest) > len(keys):
            return longest
    return best


def _likest(
    matcher: Any, others: Sequence[tuple[Sequence[int], tuple[int, ...]]]
) -> tuple[float, tuple[int, ...]]:
    """The likeness of the likest, and what stands beside it. The exact ratio is dear: bounds rule most of them out."""
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for compared, other in others:
        matcher.set_seq1(compared)
        if matcher.real_quick_ratio() >= best[0] and matcher.quick_ratio() >= best[0]:
            best = max(best, (matcher.ratio(), other))
    return best


def _score_counts(
    scores: list[float],
    keys: Sequence[int],
    normal: Sequence[int],
    nested: NestedDetector,
    hierarchy: Hierarchy,
) -> None:
    """A log key's excess over the nearest normal session is shared by those of its events that have no counterpart."""
    here, there = Counter(keys), Counter(normal)
    alone = _without_counterpart(keys, normal)
    for key, n in here.items():
        if n > there[key]:
            excess = nested.excess(key, n, there[key]) * (
                1 + severity(hierarchy.rows[key].template)
            )
            events = [event for event in alone if keys[event] == key]
            if len(events) < n - there[key]:
                events = [event for event, other in enumerate(keys) if other == key]
            for event in events:
                scores[event] += excess / len(events)


def _without_counterpart(keys: Sequence[int], normal: Sequence[int]) -> list[int]:
    """Events that the nearest normal session has nothing to set beside."""
    if len(keys) > _MOST_ALIGNED or len(normal) > _MOST_ALIGNED:
        return []
    head, changes = _aligned(keys, normal)
    return [head + event for _, start, end, _, _ in changes for event in range(start, end)]


def _aligned(
    one: Sequence[int], other: Sequence[int]
) -> tuple[int, list[tuple[str, int, int, int, int]]]:
    """How many events two sessions begin with alike, and the opcodes from there on that are not `equal`.

    Only what lies between like ends is aligned: in a session that repeats itself the longest common run may lie a round
    beside.
    """
    short = min(len(one), len(other))
    head = next((i for i in range(short) if one[i] != other[i]), short)
    tail = next((i for i in range(short - head) if one[-1 - i] != other[-1 - i]), short - head)
    matcher = SequenceMatcher(
        None, one[head : len(one) - tail], other[head : len(other) - tail], autojunk=False
    )
    return head, [opcode for opcode in matcher.get_opcodes() if opcode[0] != "equal"]


def _score_patterns(
    scores: list[float],
    keys: Sequence[int],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> None:
    """Where unseen Seqs of the lowest level leave the nearest seen pattern, the event weighs as much as any count does.

    Not beside a step that normal training never had: that is witness enough, and it makes every Seq around it unseen.
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


def _odd_event(seq: Seq, nearest: Sequence[int], keys: Sequence[int], hierarchy: Hierarchy) -> int:
    """The first event where the Seq leaves the nearest normal pattern; its last event where it only falls short."""
    node_of = hierarchy.nodes(seq.level)
    position, previous = -1, -1
    for event in range(seq.start, seq.end):
        node = node_of[keys[event]]
        if seq.level == "status" or node != previous:
            position += 1
        previous = node
        if position >= len(nearest) or nearest[position] != node:
            return event
    return seq.end - 1


def _gap(keys: Sequence[int], normal: Sequence[int], nested: NestedDetector | None) -> int:
    """Nothing is too much, every pattern is known: the odd event is where the normal session goes on otherwise.

    That is the last event, if no normal session ends with such a one.
    """
    last = event = len(keys) - 1
    if nested is not None and all(other[-1] != keys[-1] for other in nested.normal if other):
        return last
    if normal and len(keys) <= _MOST_ALIGNED:
        missing = Counter(normal) - Counter(keys)
        head, changes = _aligned(normal, keys)
        for _, _, _, start, end in changes:
            event = min(head + start, last)
            if missing and end == start:
                break
    return event


def _heaviest(scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy) -> Seq:
    """The status Seq with the largest sum of event scores; of equals the first."""
    spans = runs([hierarchy.action_of[key] for key in keys])
    start, end = max(spans, key=lambda span: (round(sum(scores[slice(*span)]), 6), -span[0]))
    return hierarchy.seq("status", keys, start, end)


def _evidence(
    keys: Sequence[int],
    normal: tuple[int, ...],
    abnormal: Sequence[Seq],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> Evidence:
    """Against the nearest normal session; without one, against the nearest pattern of the first unseen Seq."""
    if normal:
        level: Level = "status"
        have, want = (
            [hierarchy.status_of[k] for k in keys],
            [hierarchy.status_of[k] for k in normal],
        )
    else:
        seq = next(seq for level in LEVELS for seq in abnormal if seq.level == level)
        level, have, want = seq.level, list(seq.pattern), list(patterns.score(seq)[1])
    return replace(compare(level, have, want, hierarchy, patterns), nearest_keys=normal)


def compare(
    level: Level,
    have: Sequence[int],
    want: Sequence[int],
    hierarchy: Hierarchy,
    patterns: SeqDetector,
) -> Evidence:
    """What `have` has more and less of than `want`, both nodes of `level`, in the tree's words."""
    here, there = Counter(have), Counter(want)
    over, under = here - there, there - here

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
