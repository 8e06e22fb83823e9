"""Which stretches two sessions share; the nearest normal session of one, and what differs from it.

The stretches are those that difflib finds, in a fraction of the time.

A session is a text here, a character for each log key, so that the search for a common stretch is
the search for a text in another, which Python does in C.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress, count
from operator import ne
from typing import Protocol

from ..types import Evidence, Level, Seq
from .hierarchy import Hierarchy

# Where a common stretch begins in the one and in the other, and how long it is.
Stretch = tuple[int, int, int]
# From where to where the one, and the other, have what is not common.
Gap = tuple[int, int, int, int]
# Events of a session that is compared event by event. Aligning takes the square of this, and a
# verdict must not hold up the stream, so longer sessions are compared by counts alone.
MOST_ALIGNED = 300
# Nearest normal sessions that are compared event by event; those behind them have other counts.
_COMPARED = 3
# Likeness (0 to 1) with the beginning of a longer normal session, from which on a session is taken
# for one that was cut short. Lower, and sessions that went another way would lack their end.
_CUT_SHORT = 0.8
# Normal sessions whose counts are remembered. Few of them are ever the nearest one.
_MOST_COUNTED = 256
# Pairs of sessions whose stretches are remembered: an alert asks twice for those of its own.
_MOST_REMEMBERED = 16


def common_head(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements both begin with.

    >>> common_head([0, 1, 2, 4], [0, 1, 3])
    2
    """
    # Without a step of Python for each element: every verdict asks this.
    first = next(compress(count(), map(ne, one, other)), len(one))
    return min(first, len(one), len(other))


def stretches(one: Sequence[int], other: Sequence[int]) -> list[Stretch]:
    """The common stretches in their order, as difflib's `SequenceMatcher` finds them without junk.

    It is the longest one, the earliest of equals; and so on before and behind it.

    >>> stretches([0, 1, 2, 4], [0, 1, 2, 3, 4])
    [(0, 0, 3), (3, 4, 1)]
    """
    found = _unjoined("".join(map(chr, one)), "".join(map(chr, other)))
    found.sort()
    return _joined(found)


# In one function, as most parts are so short that a call costs as much as the search.
def _unjoined(left: str, right: str) -> list[Stretch]:
    """The common stretches as they are found; neighbours may lie side by side in both.

    In each part of both, it is the longest one, the earliest of equals.
    """
    found: list[Stretch] = []
    open_parts = [(0, len(left), 0, len(right))]
    while open_parts:
        start, end, low, high = open_parts.pop()
        at = start
        beside = low
        length = 0
        i = start
        while i + length < end:
            j = right.find(left[i : i + length + 1], low, high)
            while j >= 0:
                length += 1
                # As far as both go on alike: a look at a character costs a third of a search.
                most = min(end - i, high - j)
                while length < most and left[i + length] == right[j + length]:
                    length += 1
                at = i
                beside = j
                if i + length >= end:
                    break
                # A longer stretch cannot begin before the first place of the shorter one.
                j = right.find(left[i : i + length + 1], j + 1, high)
            i += 1
        if not length:
            continue
        found.append((at, beside, length))
        if start < at and low < beside:
            open_parts.append((start, at, low, beside))
        if at + length < end and beside + length < high:
            open_parts.append((at + length, end, beside + length, high))
    return found


def _joined(found: list[Stretch]) -> list[Stretch]:
    """Stretches that follow each other without a gap as one."""
    joined: list[Stretch] = []
    for i, j, length in found:
        if joined:
            before, beside, count = joined[-1]
            if before + count == i and beside + count == j:
                joined[-1] = (before, beside, count + length)
                continue
        joined.append((i, j, length))
    return joined


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """How much of both is common, from 0 to 1.

    >>> likeness([0, 1, 2, 4], [0, 1, 2, 3])
    0.75
    """
    both = len(one) + len(other)
    if not both:
        return 1.0
    found = _unjoined("".join(map(chr, one)), "".join(map(chr, other)))
    return 2.0 * sum([length for _, _, length in found]) / both


def most_likeness(one: Mapping[int, int], other: Iterable[int], both: int) -> float:
    """What `likeness` cannot exceed, by counts alone, which is much cheaper.

    `one` says how often each element comes on the one side, `both` is how long both are together.

    >>> most_likeness({0: 1, 1: 2}, [1, 0, 2], 6) >= likeness([0, 1, 1], [1, 0, 2])
    True
    """
    if not both:
        return 1.0
    shared = 0
    for element, times in Counter(other).items():
        here = one.get(element, 0)
        shared += here if here < times else times
    return 2.0 * shared / both


def gaps(one: Sequence[int], other: Sequence[int]) -> list[Gap]:
    """What lies between the common stretches, in order.

    >>> gaps([0, 1, 2, 4], [0, 1, 2, 3, 4])
    [(3, 3, 3, 4)]
    """
    found: list[Gap] = []
    i = 0
    j = 0
    for at, beside, length in [*stretches(one, other), (len(one), len(other), 0)]:
        if i < at or j < beside:
            found.append((i, at, j, beside))
        i = at + length
        j = beside + length
    return found


class DensityLike(Protocol):
    """What a nested detector says of a session; see `detect.nested_aware.Density`."""

    @property
    def score(self) -> float: ...
    @property
    def bound(self) -> float: ...
    @property
    def nearest(self) -> tuple[int, ...]: ...


class NearestSessions(Protocol):
    """Knows the normal sessions that are nearest by counts; a part of `NestedDetector`."""

    @property
    def normal(self) -> Sequence[Sequence[int]]: ...
    def density(self, log_keys: Sequence[int], *, ended: bool = True) -> DensityLike: ...


def nearest_normal(
    keys: Sequence[int], here: Mapping[int, int], nested: NearestSessions | None, ended: bool
) -> tuple[int, ...]:
    """Of the normal sessions that are nearest by counts, the one that runs most alike.

    For a session that was cut short, it is one that begins as this session does. `here` says how
    often each log key came.
    """
    if nested is None:
        return ()
    nearest = [tuple(nested.normal[i]) for i in nested.density(keys, ended=ended).nearest]
    if not nearest:
        return ()
    if len(keys) > MOST_ALIGNED:
        return nearest[0]
    del nearest[_COMPARED:]
    if not ended:
        return _likest(keys, [(other[: len(keys)], other) for other in nearest])[1]
    likest, best = _likest(keys, [(other, other) for other in _of_same_steps(here, nearest)])
    # Only a beginning that is still more alike counts, and most are not, as their counts tell.
    least = max(likest, _CUT_SHORT)
    beginnings = []
    for i in nested.density(keys, ended=False).nearest[:_COMPARED]:
        longer = tuple(nested.normal[i])
        begin = longer[: len(keys)]
        if most_likeness(here, begin, len(begin) + len(keys)) > least:
            beginnings.append((begin, longer))
    begins, longest = _likest(keys, beginnings)
    if begins > least and len(longest) > len(keys):
        return longest
    return best


@lru_cache(_MOST_COUNTED)
def counted(normal: tuple[int, ...]) -> Counter[int]:
    """How often each log key comes in a normal session. Whoever asks must not change it."""
    return Counter(normal)


def _of_same_steps(
    here: Mapping[int, int], others: Sequence[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """The sessions without those that lack a step, or have one more, where another one does not and
    has counts that are as near.

    Where branches run side by side, one of these may run most alike by chance.
    """
    differing = []
    for other in others:
        there = counted(other)
        strange = here.keys() ^ there.keys()
        events = sum(abs(here.get(key, 0) - there[key]) for key in here.keys() | there.keys())
        differing.append((len(strange), events))
    return [
        other
        for other, (strange, events) in zip(others, differing, strict=True)
        if not any(fewer < strange and most <= events for fewer, most in differing)
    ]


def _likest(
    keys: Sequence[int], others: Iterable[tuple[Sequence[int], tuple[int, ...]]]
) -> tuple[float, tuple[int, ...]]:
    """The likeness of the sequence that is most alike, and the session that it belongs to."""
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for compared, other in others:
        best = max(best, (likeness(compared, keys), other))
    return best


def alike_runs(session: Sequence[int], nearest: Sequence[int]) -> list[list[int]]:
    """The stretches that both have, in order: `[i, j, n]` for `session[i:i+n] == nearest[j:j+n]`.

    1. What both begin with is one stretch, and what both end with is another.
    2. Only what lies between is aligned, by its longest common stretches. Aligned as a
       whole, a session that repeats itself would find its longest common stretch one round late.

    >>> alike_runs([0, 1, 2, 4], [0, 1, 2, 3, 4])
    [[0, 0, 3], [3, 4, 1]]
    """
    return [list(run) for run in _runs(tuple(session), tuple(nearest))]


@lru_cache(_MOST_REMEMBERED)
def _runs(session: tuple[int, ...], nearest: tuple[int, ...]) -> list[Stretch]:
    head = common_head(session, nearest)
    left = session[head:]
    right = nearest[head:]
    tail = common_head(left[::-1], right[::-1])
    found = [(0, 0, head)]
    found += [
        (head + at, head + beside, length)
        for at, beside, length in stretches(left[: len(left) - tail], right[: len(right) - tail])
    ]
    found.append((len(session) - tail, len(nearest) - tail, tail))
    return [run for run in found if run[2] > 0]


# --- evidence against the nearest session ---------------------------------------------------------


class Patterns(Protocol):
    """Knows the nodes of normal training, and the nearest normal pattern of a Seq."""

    def is_known(self, level: Level, node: int) -> bool: ...
    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]: ...


def against_normal(
    here: Mapping[int, int],
    normal: tuple[int, ...],
    hierarchy: Hierarchy,
    patterns: Patterns,
    *,
    ended: bool,
) -> Evidence:
    """Evidence against the nearest normal session; `here` says how often each log key came.

    Of a session that has not `ended`, nothing is called missing.
    """
    words = hierarchy.leaf_words
    status_of = hierarchy.status_of
    extra, missing, repeated = _differing(here, counted(normal), words.__getitem__)
    if not ended:
        missing = {}
    unseen = [words[key] for key in here if not patterns.is_known("status", status_of[key])]
    nearest = tuple([words[key] for key in normal])
    return Evidence(extra, missing, repeated, tuple(dict.fromkeys(unseen)), nearest, normal)


def against_pattern(seq: Seq, hierarchy: Hierarchy, patterns: Patterns, *, ended: bool) -> Evidence:
    """The same of a Seq, against the nearest pattern of its level."""
    level = seq.level

    def words(node: int) -> str:
        return hierarchy.words(level, node)

    here = Counter(seq.pattern)
    want = patterns.score(seq)[1]
    extra, missing, repeated = _differing(here, Counter(want), words)
    if not ended:
        missing = {}
    unseen = [words(node) for node in here if not patterns.is_known(level, node)]
    return Evidence(extra, missing, repeated, tuple(dict.fromkeys(unseen)), tuple(map(words, want)))


def _differing(
    here: Mapping[int, int], there: Mapping[int, int], words: Callable[[int], str]
) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """What `here` has and `there` has not, what it has less of, and what it has more of."""
    extra: dict[str, int] = {}
    missing: dict[str, int] = {}
    repeated: dict[str, int] = {}
    for node, times in here.items():
        usual = there.get(node, 0)
        if times > usual:
            _add(repeated if usual else extra, words(node), times - usual)
    for node, usual in there.items():
        times = here.get(node, 0)
        if times < usual:
            _add(missing, words(node), usual - times)
    return extra, missing, repeated


def _add(counts: dict[str, int], words: str, times: int) -> None:
    """Nodes that read alike count as one."""
    counts[words] = counts.get(words, 0) + times
