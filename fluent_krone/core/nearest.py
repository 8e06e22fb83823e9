"""Which normal session an abnormal one is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from .matching import likeness, most_likeness

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
    likest, best = _likest(keys, [(other, other) for other in nearest])
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


def _likest(
    keys: Sequence[int], others: Iterable[tuple[Sequence[int], tuple[int, ...]]]
) -> tuple[float, tuple[int, ...]]:
    """The likeness of the sequence that is most alike, and the session that it belongs to."""
    best: tuple[float, tuple[int, ...]] = (-1.0, ())
    for compared, other in others:
        best = max(best, (likeness(compared, keys), other))
    return best
