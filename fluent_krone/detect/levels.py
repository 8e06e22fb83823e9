"""Level witness: is an event more severe than its step ever was in training.

A step is seen with few severities: a step that was always INFO and comes as FATAL is a deviation,
whatever its words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..reading.levels import UNKNOWN_RANK

# Ranks from here on (a warning) are worth a deviation: a step that comes as NOTICE instead of INFO
# is none.
_WORTH = 5


class Levels:
    """Scores of levels; `seen` is each log key's highest rank in training, and its events."""

    def __init__(self, seen: Mapping[int, tuple[int, int]]) -> None:
        self.seen = seen

    def score(self, log_key: int, rank: int) -> float:
        """−ln of the share of such events, at most; 0 for a severity that the step has had."""
        if rank < _WORTH or (found := self.seen.get(log_key)) is None:
            return 0.0
        highest, events = found
        if rank <= highest:
            return 0.0
        return math.log(1 + events) + (rank - highest)

    def worst(self, keys: Sequence[int], ranks: Sequence[int]) -> float:
        """The largest score of a session."""
        pairs = zip(keys, ranks, strict=False)
        return max((self.score(key, rank) for key, rank in pairs), default=0.0)


def learn_levels(sessions: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Levels:
    """From normal sessions, each its log keys and the ranks of its events."""
    highest: dict[int, int] = {}
    events: Counter[int] = Counter()
    for keys, ranks in sessions:
        for key, rank in zip(keys, ranks, strict=False):
            if rank != UNKNOWN_RANK:
                highest[key] = max(highest.get(key, UNKNOWN_RANK), rank)
                events[key] += 1
    return Levels({key: (highest[key], events[key]) for key in sorted(highest)})


def levels_to_json(levels: Levels) -> list[list[int]]:
    """Plain values, as a bundle keeps them."""
    return [[key, highest, events] for key, (highest, events) in levels.seen.items()]


def levels_from_json(rows: Iterable[Sequence[Any]]) -> Levels:
    """The levels as `levels_to_json` wrote them."""
    return Levels({key: (highest, events) for key, highest, events in rows})
