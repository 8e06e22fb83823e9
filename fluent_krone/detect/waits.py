"""Time witness, waits: how unusual is it that nothing has followed a step for so long.

Two things must come together before a session counts as hanging: it has waited for longer than
sessions of training did after that step, and hardly any session of training ended there. Both are
measured in nats, −ln of a share, and the smaller of the two is the score. So one threshold, taken
from held-out sessions as all others, is the limit of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..core.steps import NEVER_NS
from .tails import Range, pooled, range_of
from .times import FEWEST, range_from_row, range_to_row, resolution

_NS = 1_000_000_000
# The share of silences of the whole stream that are longer than what counts as waiting …
_SILENT_SHARE = 1 / 1000
# … which is then taken this many times, as training may have been too short to have the longest …
_SILENT_TIMES = 2.0
# … and at least this long, in seconds: chunks of a busy stream come about as far apart.
_SHORTEST_SILENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Waits:
    """The time that training had after each log key until whatever came next, by log key.

    `silence_ns` is how long a silence of the whole stream counts as waiting; 0: not known, and then
    no session is ever called hanging.
    """

    after: Mapping[int, Range]
    silence_ns: int = 0

    def score(self, step: int, gap_ns: float) -> float:
        """How unusual it is that nothing has followed `step` for so long."""
        found = self.after.get(step)
        if found is None:
            return 0.0
        at = math.log(max(gap_ns / _NS, 0.0) + found.unit)
        return found.high.beyond(at - found.high.start)

    def limit_ns(self, step: int, threshold: float) -> int:
        """How long nothing may follow `step`, in ns."""
        found = self.after.get(step)
        if found is None or not self.silence_ns:
            return NEVER_NS
        return min(int(found.limits(threshold)[1] * _NS), NEVER_NS)

    def worst(self, keys: Sequence[int], gaps_ns: Sequence[int], ends: Sequence[float]) -> float:
        """The largest score of a session. `ends[i]` is the surprise of its end after event i.

        Its last event is followed by nothing for ever.
        """
        if not gaps_ns and len(keys) > 1:
            return 0.0
        found = 0.0
        for step, gap_ns, end in zip(keys, gaps_ns, ends, strict=False):
            if end > found:
                found = max(found, min(self.score(step, gap_ns), end))
        if keys and keys[-1] in self.after:
            found = max(found, ends[-1])
        return found


def measure_waits(
    sessions: Iterable[tuple[Sequence[int], Sequence[int]]], silence_ns: int = 0
) -> Waits:
    """From normal sessions, each its log keys and the gaps between its events in ns."""
    after: dict[int, list[float]] = {}
    for keys, gaps_ns in sessions:
        for step, gap_ns in zip(keys, gaps_ns, strict=False):
            after.setdefault(step, []).append(max(gap_ns, 0) / _NS)
    unit = resolution(gap for gaps in after.values() for gap in gaps)
    enough = {step: gaps for step, gaps in sorted(after.items()) if len(gaps) >= FEWEST}
    ranges = {step: range_of(gaps, unit) for step, gaps in enough.items()}
    return Waits(pooled(ranges), silence_ns)


def usual_silence_ns(times_ns: Iterable[int]) -> int:
    """How long a silence of a stream counts as waiting, from the times of all its records."""
    ordered = sorted(times_ns)
    gaps = sorted(later - before for before, later in pairwise(ordered))
    if len(gaps) < FEWEST:
        return 0
    longest = gaps[min(int(len(gaps) * (1 - _SILENT_SHARE)), len(gaps) - 1)]
    return max(int(longest * _SILENT_TIMES), int(_SHORTEST_SILENCE_S * _NS))


def waits_to_json(waits: Waits) -> dict[str, Any]:
    """Plain values, as a bundle keeps them."""
    return {
        "after": [[step, *range_to_row(found)] for step, found in waits.after.items()],
        "silence_ns": waits.silence_ns,
    }


def waits_from_json(values: Mapping[str, Any] | None) -> Waits:
    """Bundles of earlier versions have none."""
    if values is None:
        return Waits({})
    return Waits({row[0]: range_from_row(row[1:]) for row in values["after"]}, values["silence_ns"])
