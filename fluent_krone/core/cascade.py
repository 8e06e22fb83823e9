"""Which detector is asked about what, and what a session's end comes to.

Level order, bottom-up, with early exit: status, then action, then entity; the first level with an abnormal Seq decides,
and of its Seqs the most abnormal is named. Source: KRONE (arXiv 2602.07303), section on detection; naming the most
abnormal Seq of the level instead of the first is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from ..types import LEVELS, Evidence, Level, Seq, Verdict
from .hierarchy import Hierarchy
from .tracker import State, Tracker


class SeqDetector(Protocol):
    """Judges one Seq at a time, by its pattern."""

    name: str
    threshold: float

    def is_normal(self, seq: Seq) -> bool:
        """Whether the Seq is cleared. Asked once per Seq, as it closes."""
        ...

    def is_known(self, level: Level, node: int) -> bool:
        """Whether normal training had this node."""
        ...

    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]:
        """How abnormal, above `threshold` if not normal; and the nearest normal pattern of its level."""
        ...


class Cascade:
    """The verdict on a session that ends in `state`; worked out once per state."""

    def __init__(self, hierarchy: Hierarchy, tracker: Tracker, detector: SeqDetector) -> None:
        self._hierarchy = hierarchy
        self._tracker = tracker
        self._detector = detector

    def at_end(self, state: State, keys: Sequence[int]) -> Verdict | None:
        """None when every Seq of the session is normal."""
        if state.end is None:
            state.end = (self._judge(state, keys),)
        verdict: Verdict | None = state.end[0]
        return verdict

    def _judge(self, state: State, keys: Sequence[int]) -> Verdict | None:
        last = self._tracker.closed_by_end(state, keys)
        if not state.tainted and all(map(self._detector.is_normal, last)):
            return None
        seqs = self._hierarchy.decompose(keys)
        for level in LEVELS:
            abnormal = [seq for seq in seqs if seq.level == level and not self._detector.is_normal(seq)]
            if abnormal:
                return self._name(abnormal, keys)
        raise AssertionError("BUG: a tainted session has no abnormal Seq")

    def _name(self, abnormal: list[Seq], keys: Sequence[int]) -> Verdict:
        scored = [(*self._detector.score(seq), seq) for seq in abnormal]
        score, nearest, seq = max(scored, key=lambda entry: entry[0])  # of equals the earliest
        event = self._odd_event(seq, nearest, keys)
        evidence = self._evidence(seq, nearest)
        return Verdict(seq, event, self._detector.name, score, self._detector.threshold, evidence)

    def _odd_event(self, seq: Seq, nearest: tuple[int, ...], keys: Sequence[int]) -> int:
        """The first event where the Seq leaves the nearest normal pattern; its last event where it only falls short."""
        node_of = self._hierarchy.nodes(seq.level)
        position, previous = -1, -1
        for event in range(seq.start, seq.end):
            node = node_of[keys[event]]
            if seq.level == "status" or node != previous:
                position += 1
            previous = node
            if position >= len(nearest) or nearest[position] != node:
                return event
        return seq.end - 1

    def _evidence(self, seq: Seq, nearest: tuple[int, ...]) -> Evidence:
        have, normal = Counter(seq.pattern), Counter(nearest)
        over, under = have - normal, normal - have

        def words(node: int) -> str:
            return self._hierarchy.words(seq.level, node)

        return Evidence(
            extra={words(node): n for node, n in over.items() if node not in normal},
            missing={words(node): n for node, n in under.items()},
            repeated={words(node): n for node, n in over.items() if node in normal},
            unseen=tuple(words(node) for node in have if not self._detector.is_known(seq.level, node)),
            nearest=tuple(map(words, nearest)),
        )
