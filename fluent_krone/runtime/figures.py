"""What the parts of the service count and time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..timing import Histogram


def _timings() -> dict[str, Histogram]:
    return {name: Histogram() for name in ("feed", "commit", "chunk_ack")}


@dataclass(frozen=True, slots=True)
class Figures:
    """Shared by all parts of one service; every name has its line in `metric_names`."""

    counters: Counter[str] = field(default_factory=Counter)
    timings: dict[str, Histogram] = field(default_factory=_timings)
