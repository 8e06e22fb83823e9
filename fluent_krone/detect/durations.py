"""Time witness, durations: how unusual is the time from the first to the last event of a Seq.

Each gap of a Seq may be usual while all of them together are not. A Seq is measured by its own
pattern where training had that often enough, and else by its node. Seqs of two events are left
out, since their duration is a gap; of Seqs over the same events the one of the lowest level stays.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..core.hierarchy import Hierarchy, runs
from ..core.steps import NEVER_NS, Limit
from ..types import LEVELS, Level, Seq
from .tails import Range, pooled, range_of
from .times import FEWEST, range_from_row, range_to_row, resolution

_NS = 1_000_000_000
# Events of the shortest Seq that is measured.
_SHORTEST = 3
# Seqs of one session that are measured; a session of thousands of events has too many.
_MOST = 50
# Seqs whose durations are remembered, some 300 bytes each, and how many events these have at most:
# longer ones hardly come twice, and neither do whole sessions.
_MOST_KNOWN = 20_000
_LONGEST_KNOWN = 16

# Level and pattern, or level and node alone.
Form = tuple[Level, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Span:
    """The events `[start, end)` of a Seq, and what training had of their duration."""

    level: Level
    start: int
    end: int
    range: Range

    def score(self, duration_ns: int) -> float:
        """How unusually long the Seq took."""
        at = math.log(max(duration_ns, 0) / _NS + self.range.unit)
        return self.range.high.beyond(at - self.range.high.start)


class Durations:
    """What training had of the durations of Seqs, by form."""

    def __init__(self, hierarchy: Hierarchy, ranges: Mapping[Form, Range]) -> None:
        self.ranges = ranges
        self._hierarchy = hierarchy
        # (identity of a range, threshold) → its limit. There are no more than ranges, and these
        # live as long.
        self._limits: dict[tuple[int, float], int] = {}
        # What is known of a Seq with these log keys: sessions that ran differently have most of
        # their Seqs in common.
        self._known: dict[tuple[Level, tuple[int, ...]], Range | None] = {}

    def spans(self, keys: Sequence[int]) -> list[Span]:
        """The Seqs of a session whose durations are known, lowest level first."""
        if not self.ranges:
            return []
        found = []
        for (start, end), level in _places(self._hierarchy, keys):
            known = self._range(level, keys, start, end)
            if known is not None:
                found.append(Span(level, start, end, known))
        return found

    def _range(self, level: Level, keys: Sequence[int], start: int, end: int) -> Range | None:
        """The durations of a Seq, by its pattern, or else by its node."""
        if level == "entity" or end - start > _LONGEST_KNOWN:
            return self._looked_up(level, keys, start, end)
        name = (level, tuple(keys[start:end]))
        if name not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = self._looked_up(level, keys, start, end)
        return self._known[name]

    def _looked_up(self, level: Level, keys: Sequence[int], start: int, end: int) -> Range | None:
        seq = self._hierarchy.seq(level, keys, start, end)
        for form in _forms(self._hierarchy, keys, seq):
            known = self.ranges.get(form)
            if known is not None:
                return known
        return None

    def limits(self, keys: Sequence[int], threshold: float) -> tuple[Limit, ...]:
        """The Seqs of a session whose durations are known, each with the longest one, in ns, that
        is no deviation."""
        if not self.ranges:
            return ()
        found = []
        for (start, end), level in _places(self._hierarchy, keys):
            known = self._range(level, keys, start, end)
            if known is not None:
                found.append((start, end, self._limit_ns(known, threshold)))
        return tuple(found)

    def _limit_ns(self, known: Range, threshold: float) -> int:
        """The longest duration that is no deviation, worked out once for each range."""
        name = (id(known), threshold)
        found = self._limits.get(name)
        if found is None:
            found = self._limits[name] = min(int(known.limits(threshold)[1] * _NS), NEVER_NS)
        return found

    def worst(self, spans: Sequence[Span], gaps_ns: Sequence[int]) -> float:
        """The largest score of a session's spans; `gaps_ns[i]` is the gap before event i + 1."""
        if not spans or not gaps_ns:
            return 0.0
        times = [0, *accumulate(gaps_ns)]
        return max(span.score(times[span.end - 1] - times[span.start]) for span in spans)


def measure_durations(
    sessions: Iterable[tuple[Sequence[int], Sequence[int]]], hierarchy: Hierarchy
) -> Durations:
    """From normal sessions, each its log keys and the gaps between its events in ns."""
    durations: dict[Form, list[float]] = {}
    # Sessions mostly run alike, and decomposing one costs more than measuring it.
    known: dict[tuple[int, ...], list[tuple[Seq, tuple[Form, Form]]]] = {}
    for keys, gaps_ns in sessions:
        if not gaps_ns:
            continue
        course = tuple(keys)
        if course not in known:
            seqs = _measured(hierarchy, course)
            known[course] = [(seq, _forms(hierarchy, course, seq)) for seq in seqs]
        times = [0, *accumulate(gaps_ns)]
        for seq, forms in known[course]:
            duration_s = max(times[seq.end - 1] - times[seq.start], 0) / _NS
            for form in forms:
                durations.setdefault(form, []).append(duration_s)
    unit = resolution(duration for table in durations.values() for duration in table)
    enough = {form: table for form, table in sorted(durations.items()) if len(table) >= FEWEST}
    ranges = {form: range_of(table, unit) for form, table in enough.items()}
    return Durations(hierarchy, pooled(ranges))


def _measured(hierarchy: Hierarchy, keys: Sequence[int]) -> list[Seq]:
    """The Seqs of a session that are measured."""
    return [hierarchy.seq(level, keys, *span) for span, level in _places(hierarchy, keys)]


def _places(hierarchy: Hierarchy, keys: Sequence[int]) -> list[tuple[tuple[int, int], Level]]:
    """Where the Seqs of a session are that are measured: the longer ones, each span once."""
    # As `Hierarchy.decompose` does, but that only the few Seqs that are measured are made.
    found: dict[tuple[int, int], Level] = {}
    layers: tuple[tuple[Level, list[int]], ...] = (
        ("status", hierarchy.action_of),
        ("action", hierarchy.entity_of),
    )
    for level, above in layers:
        for start, end in runs(list(map(above.__getitem__, keys))):
            if end - start >= _SHORTEST:
                found.setdefault((start, end), level)
    if len(keys) >= _SHORTEST:
        found.setdefault((0, len(keys)), "entity")
    return [*found.items()][-_MOST:]


def _forms(hierarchy: Hierarchy, keys: Sequence[int], seq: Seq) -> tuple[Form, Form]:
    """What a Seq is compared by: its pattern, and its node."""
    node = 0
    if seq.level == "status":
        node = hierarchy.action_of[keys[seq.start]]
    elif seq.level == "action":
        node = hierarchy.entity_of[keys[seq.start]]
    # −1 is no node, so that no pattern looks like a node.
    return (seq.level, seq.pattern), (seq.level, (-1, node))


def durations_to_json(durations: Durations) -> list[list[Any]]:
    """Plain values, as a bundle keeps them: level, pattern, range."""
    return [
        [level, list(pattern), *range_to_row(found)]
        for (level, pattern), found in durations.ranges.items()
    ]


def durations_from_json(rows: Sequence[Sequence[Any]] | None, hierarchy: Hierarchy) -> Durations:
    """Bundles of earlier versions have none."""
    ranges: dict[Form, Range] = {}
    for level, pattern, *row in rows or ():
        if level not in LEVELS:
            raise ValueError(f"a duration has the level {level!r}")
        ranges[level, tuple(pattern)] = range_from_row(row)
    return Durations(hierarchy, ranges)
