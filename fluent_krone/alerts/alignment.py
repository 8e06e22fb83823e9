"""Which events of a session correspond to which events of the nearest normal one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ..core.matching import Stretch, common_head, stretches

# Pairs of sessions whose stretches are remembered: an alert asks twice for those of its own.
_MOST_REMEMBERED = 16


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
