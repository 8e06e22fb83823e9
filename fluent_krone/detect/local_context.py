"""Local-Context detector: a Seq is normal when normal training had its pattern at its level.

Source: KRONE (arXiv 2602.07303). `automaton` repeats the adjustment that the authors make for
sessions that were cut by a time window, at action and entity level only:
- `off`: only whole patterns count;
- `strict`: a pattern is also accepted if all its adjacent pairs were seen in training;
- `reference`: what the published figures follow: an unseen pair counts only if a seen pair follows
  it in the same Seq.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ..reading.cache import Generation
from ..types import LEVELS, Level, Seq

Automaton = Literal["off", "strict", "reference"]
Pattern = tuple[int, ...]
# Seen patterns with the closest node counts, which are compared in full. An edit distance takes the
# square of the length, and a pattern with other counts is rarely the nearest one.
_CANDIDATES = 4
# What a remembered score costs, and each node of its pattern.
_ENTRY_BYTES = 400
_NODE_BYTES = 8
# Bytes of the scores that are remembered.
_CACHE_BYTES = 8_000_000
# Nodes of two patterns that are compared one by one: that takes the square of their number.
_COMPARED = 100


class LocalContext:
    """Pattern sets of the three levels.

    >>> detector = LocalContext({"status": [(0, 1)], "action": [], "entity": []})
    >>> [detector.is_normal(Seq("status", 0, len(p), p)) for p in ((0, 1), (0,))]
    [True, False]
    """

    name = "local_context"
    threshold = 0.0

    def __init__(
        self,
        patterns: Mapping[Level, Iterable[Sequence[int]]],
        automaton: Automaton = "off",
    ) -> None:
        self.patterns: dict[Level, dict[Pattern, None]] = {
            level: dict.fromkeys(tuple(p) for p in patterns[level]) for level in LEVELS
        }
        self._automaton = automaton
        self._pairs = {
            level: {pair for p in self.patterns[level] for pair in pairwise(p)} for level in LEVELS
        }
        self._known = {
            level: {node for p in self.patterns[level] for node in p} for level in LEVELS
        }
        # Made when the first alert asks: a process that finds nothing abnormal needs none.
        self._counts: dict[Level, _NodeCounts] = {}
        self._scores: dict[tuple[Level, Pattern], tuple[float, Pattern]] = {}
        self._generation = Generation(_CACHE_BYTES, self._scores.clear)

    def is_normal(self, seq: Seq) -> bool:
        """Whether training had the pattern of a Seq, or the automaton of its level accepts it."""
        if seq.pattern in self.patterns[seq.level]:
            return True
        return self._automaton != "off" and seq.level != "status" and self._is_walk(seq)

    def is_known(self, level: Level, node: int) -> bool:
        """Whether training had a node of the tree."""
        return node in self._known[level]

    def score(self, seq: Seq) -> tuple[float, Pattern]:
        """Edit distance, in nodes, to the nearest seen pattern of the level; and that pattern."""
        key = (seq.level, seq.pattern)
        found = self._scores.get(key)
        if found is None:
            found = self._nearest(*key)
            self._generation.take(_ENTRY_BYTES + _NODE_BYTES * len(seq.pattern))
            self._scores[key] = found
        return found

    def _is_walk(self, seq: Seq) -> bool:
        seen = [pair in self._pairs[seq.level] for pair in pairwise(seq.pattern)]
        if self._automaton == "strict":
            return all(seen)
        last_seen = max((i for i, known in enumerate(seen) if known), default=0)
        return all(seen[:last_seen])

    def _nearest(self, level: Level, pattern: Pattern) -> tuple[float, Pattern]:
        if not self.patterns[level]:
            return float(len(pattern)), ()
        if level not in self._counts:
            self._counts[level] = _NodeCounts(list(self.patterns[level]))
        candidates = self._counts[level].closest(pattern, _CANDIDATES)
        scored = [(_edit_distance(pattern, c), c) for c in candidates]
        return min(scored, key=lambda entry: (entry[0], -_alike_at_first(pattern, entry[1])))


class _NodeCounts:
    """Node counts of all patterns of a level, int32[P, N].

    They say which patterns are worth a full comparison.
    """

    def __init__(self, patterns: list[Pattern]) -> None:
        self._patterns = patterns
        self._column = {
            node: i for i, node in enumerate(sorted({node for p in patterns for node in p}))
        }
        self._matrix = np.stack([self._row(p) for p in patterns])

    def closest(self, pattern: Pattern, count: int) -> list[Pattern]:
        distance = np.abs(self._matrix - self._row(pattern)).sum(axis=1)
        return [self._patterns[i] for i in np.argsort(distance, kind="stable")[:count]]

    def _row(self, pattern: Pattern) -> Any:
        row = np.zeros(len(self._column), dtype=np.int32)
        for node in pattern:
            if (column := self._column.get(node)) is not None:
                row[column] += 1
        return row


def _alike_at_first(a: Pattern, b: Pattern) -> int:
    """Nodes before the first difference.

    Of equally near patterns, the one that differs last shows best where a Seq went wrong.
    """
    pairs = zip(a, b, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))


def _edit_distance(a: Pattern, b: Pattern) -> float:
    """Levenshtein distance of the first `_COMPARED` nodes.

    What lies beyond them counts by the difference in length, or 1 where it is as long and differs:
    the distance takes the square of the nodes.
    """
    # What both begin or end with costs nothing, and unlike patterns mostly differ in the middle.
    start = _alike_at_first(a, b)
    end = _alike_at_first(a[start:][::-1], b[start:][::-1])
    a = a[start : len(a) - end]
    b = b[start : len(b) - end]
    left = a[_COMPARED:]
    right = b[_COMPARED:]
    beyond = abs(len(left) - len(right)) or int(left != right)
    a = a[:_COMPARED]
    b = b[:_COMPARED]
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        # `diagonal` is the distance of a[: i - 1] and b[: j - 1], which `row` no longer holds.
        diagonal = row[0]
        row[0] = i
        for j, y in enumerate(b, start=1):
            cheapest = min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
            diagonal = row[j]
            row[j] = cheapest
    return float(row[-1] + beyond)
