"""Takes some of a log's lines, spread over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

# Neighbours that are taken together, so that a session has several records among those taken.
_TOGETHER = 10


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """About this many items, in stretches of neighbours; the first item is among them.

    The stretches begin at places that are drawn: if sessions have three steps each, every third
    record may be the same step.

    >>> len(spread(range(6_000), 2_000)), spread(range(9), 2_000)
    (2000, range(0, 9))
    >>> {number % 3 for number in spread(range(6_000), 2_000)}
    {0, 1, 2}
    """
    if len(items) <= max(most, _TOGETHER):
        return items
    rng = Random(0)
    stretches = max(1, most // _TOGETHER)
    taken: list[T] = []
    for n in range(stretches):
        begin, end = (len(items) * m // stretches for m in (n, n + 1))
        first = rng.randint(begin, end - _TOGETHER) if n else 0
        taken.extend(items[first : first + _TOGETHER])
    return taken
