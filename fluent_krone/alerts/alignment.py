"""Which events of a session correspond to which events of the nearest normal one."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.matching import stretches


def alike_runs(session: Sequence[int], nearest: Sequence[int]) -> list[list[int]]:
    """The stretches that both have, in order: `[i, j, n]` for `session[i:i+n] == nearest[j:j+n]`.

    1. What both begin with is one stretch, and what both end with is another.
    2. Only what lies between is aligned, by its longest common stretches. Aligned as a
       whole, a session that repeats itself would find its longest common stretch one round late.

    >>> alike_runs([0, 1, 2, 4], [0, 1, 2, 3, 4])
    [[0, 0, 3], [3, 4, 1]]
    """
    head = _common_head(session, nearest)
    left = list(session[head:])
    right = list(nearest[head:])
    tail = _common_head(left[::-1], right[::-1])
    left_middle = left[: len(left) - tail]
    right_middle = right[: len(right) - tail]
    found = [[0, 0, head]]
    found += [
        [head + at, head + beside, length]
        for at, beside, length in stretches(left_middle, right_middle)
    ]
    found.append([len(session) - tail, len(nearest) - tail, tail])
    return [run for run in found if run[2] > 0]


def _common_head(one: Sequence[int], other: Sequence[int]) -> int:
    """How many elements both begin with."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
