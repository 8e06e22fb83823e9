"""Level witness: is an event more severe than its step ever was in training.

A step is seen with few severities: a step that was always INFO and comes as FATAL is a deviation,
whatever its words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Severities as ranks, from syslog's and the names that common loggers use.
RANKS: Mapping[bytes, int] = {
    b"trace": 1, b"finest": 1, b"finer": 1, b"verbose": 1,
    b"debug": 2, b"fine": 2, b"config": 2,
    b"info": 3, b"information": 3, b"informational": 3, b"i": 3,
    b"notice": 4,
    b"warn": 5, b"warning": 5, b"w": 5,
    b"error": 6, b"err": 6, b"severe": 6, b"failure": 6, b"e": 6,
    b"critical": 7, b"crit": 7,
    b"fatal": 8, b"alert": 8, b"emerg": 8, b"emergency": 8, b"panic": 8, b"f": 8,
}  # fmt: skip
# What no step of a normal log has: the most severe rank.
MOST_SEVERE = 8
# An event without a level, or with a word that is none.
UNKNOWN = 0
# Ranks from here on are worth a deviation: a step that comes as NOTICE instead of INFO is none.
_WORTH = 5


def rank(level: bytes) -> int:
    """The rank of a level's name.

    >>> rank(b"WARN") < rank(b"FATAL"), rank(b"blue")
    (True, 0)
    """
    return RANKS.get(level.lower(), UNKNOWN)


class Levels:
    """Scores of levels; `seen` is how many events each (log key, highest rank) had in training."""

    def __init__(self, seen: Mapping[int, tuple[int, int]]) -> None:
        self.seen = seen

    def score(self, log_key: int, of_event: int) -> float:
        """−ln of the share of such events, at most; 0 for a severity that the step has had."""
        if of_event < _WORTH or (found := self.seen.get(log_key)) is None:
            return 0.0
        highest, events = found
        return math.log(1 + events) + (of_event - highest) if of_event > highest else 0.0

    def worst(self, keys: Sequence[int], levels: Sequence[int]) -> float:
        """The largest score of a session."""
        pairs = zip(keys, levels, strict=False)
        return max((self.score(key, of_event) for key, of_event in pairs), default=0.0)


def learn_levels(sessions: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Levels:
    """From normal sessions, each its log keys and the ranks of its events."""
    highest: dict[int, int] = {}
    events: Counter[int] = Counter()
    for keys, levels in sessions:
        for key, of_event in zip(keys, levels, strict=False):
            if of_event != UNKNOWN:
                highest[key] = max(highest.get(key, UNKNOWN), of_event)
                events[key] += 1
    return Levels({key: (highest[key], events[key]) for key in sorted(highest)})


def levels_to_json(levels: Levels) -> list[list[int]]:
    """Plain values, as a bundle keeps them."""
    return [[key, highest, events] for key, (highest, events) in levels.seen.items()]


def levels_from_json(rows: Iterable[Sequence[Any]]) -> Levels:
    return Levels({key: (highest, events) for key, highest, events in rows})
