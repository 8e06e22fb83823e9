"""How every cache on a record's way forgets: all at once, when it is full.

The caches of the matcher, the reader and the tracker are plain dictionaries, and each is bounded
by one `Generation`. An LRU would keep the best entries, but its look-up costs five or six times
that of a dictionary, and the look-up is what every record pays. What is forgotten is only ever
worked out again, so forgetting everything at once costs a moment of slower work and never a
different result.
"""

from __future__ import annotations

from collections.abc import Callable


class Generation:
    """Counts what a cache takes in, and empties it when the next entry would be too much.

    `capacity` and the cost of an entry are in one unit, mostly bytes. `forget` must empty the
    cache. An entry that costs more than all of the capacity is still taken, alone.

    >>> cache = {}
    >>> generation = Generation(8, cache.clear)
    >>> for word in ("one", "two", "three"):
    ...     generation.take(len(word))
    ...     cache[word] = True
    >>> list(cache)
    ['three']
    """

    __slots__ = ("_capacity", "_forget", "_taken")

    def __init__(self, capacity: int, forget: Callable[[], None]) -> None:
        self._capacity = capacity
        self._forget = forget
        self._taken = 0

    def take(self, cost: int) -> None:
        """Make room for an entry of that cost. Call it before the entry is stored."""
        if self._taken and self._taken + cost > self._capacity:
            self._forget()
            self._taken = 0
        self._taken += cost
