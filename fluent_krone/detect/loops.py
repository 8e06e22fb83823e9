"""Whether a session has a step far more often than any session of training.

Where steps repeat, as retries and rounds of a loop do, their number differs from session to
session, so that another number says little by itself (`counts.py`). How large a number may become
is seen from the largest ones of training, on the scale of all numbers (`tails.py`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .tails import Tail, extremes_of, tail_of

# Sessions that must have a step more than once: fewer say nothing of how often it may come. One
# that hardly any session repeats is judged by its other number (`counts.py`).
_FEWEST = 30
# Tails of numbers fall as fast as they show, down to this (`tails.py`): as those of values.
_STEEPEST = 0.12
# Decimals of the numbers of a tail in a bundle.
_PLACES = 9


class Loops:
    """Scores of how often steps come; `tails` are by log key, of the logarithm of one more.

    >>> loops = measure_loops([{1: 1, 2: 1}, {1: 1, 2: 2}, {1: 1, 2: 3}], [600, 300, 100])
    >>> [round(loops.score({1: 1, 2: number}), 1) for number in (2, 3, 4, 30)]
    [0.0, 0.0, 6.5, 21.5]
    """

    def __init__(self, tails: Mapping[int, Tail]) -> None:
        self.tails = tails

    def score(self, bag: Mapping[int, int]) -> float:
        """−ln of the share of normal sessions that have any step as often, roughly."""
        found = 0.0
        for key, number in bag.items():
            tail = self.tails.get(key)
            if tail is not None:
                found = max(found, tail.beyond(math.log(1 + number) - tail.start))
        return found


def measure_loops(bags: Iterable[Mapping[int, int]], sessions: Sequence[int]) -> Loops:
    """From normal sessions: `sessions` of them have each step as often as `bags` says."""
    often: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for bag, times in zip(bags, sessions, strict=True):
        for key, number in bag.items():
            often[key][number] += times
    total = sum(sessions)
    return Loops(
        {
            key: _tail(numbers, total)
            for key, numbers in sorted(often.items())
            if numbers.total() - numbers[1] >= _FEWEST
        }
    )


def _tail(numbers: Counter[int], total: int) -> Tail:
    """Above the largest numbers of the sessions that have a step, of `total` sessions."""
    extremes = extremes_of(numbers.total())
    largest: list[float] = []
    for number in sorted(numbers, reverse=True):
        some = min(numbers[number], extremes - len(largest))
        largest += [math.log(1 + number)] * some
    return tail_of(largest[::-1], math.log(total / extremes), 1, _STEEPEST)


def loops_to_json(loops: Loops) -> list[Any]:
    """Plain values, as a bundle keeps them."""
    return [
        [key, *(round(part, _PLACES) for part in (tail.start, tail.scale, tail.base, tail.many))]
        for key, tail in sorted(loops.tails.items())
    ]


def loops_from_json(rows: Iterable[Sequence[Any]]) -> Loops:
    """The tails as `loops_to_json` wrote them."""
    return Loops({key: Tail(*parts) for key, *parts in rows})
