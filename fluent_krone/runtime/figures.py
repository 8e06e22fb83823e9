"""Figures that parts of a service count together, and the switch that ends the process."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from ..core.engine import Engine
from ..reading.records import RecordReader
from ..timing import Histogram


def _timings() -> dict[str, Histogram]:
    return {name: Histogram() for name in ("feed", "commit", "chunk_ack")}


@dataclass(frozen=True, slots=True)
class Figures:
    """Shared by all parts of one service; every name has its line in `metric_names`."""

    counters: Counter[str] = field(default_factory=Counter)
    timings: dict[str, Histogram] = field(default_factory=_timings)


def engine_stats(
    counters: Counter[str],
    set_aside: Counter[str],
    reader: RecordReader,
    misses: int,
    engines: Collection[Engine],
    now_ns: int,
) -> dict[str, float]:
    """Figures of engines that share a reader and a cache: what they counted, and what they hold.

    `misses` are the steps that were not in the cache.
    """
    settling: Counter[str] = Counter()
    for engine in engines:
        settling.update(engine.settling.stats())
    lags = [max(now_ns - engine.watermark, 0) / 1e9 for engine in engines if engine.watermark]
    return {
        **counters,
        **settling,
        **{f"set_aside_{reason}": count for reason, count in set_aside.items()},
        "keys_over_cap": reader.keys_over_cap,
        "messages_cut": reader.messages_cut,
        "sessions_over_cap": sum(engine.sessions.over_cap for engine in engines),
        "sessions_open": sum(len(engine.sessions.open) for engine in engines),
        "cache_hits": max(counters["events"] - misses, 0),
        "cache_misses": misses,
        "stream_lag": max(lags, default=0.0),
    }


_log = logging.getLogger(__name__)


class Halt:
    """Is set as soon as what is in memory must not be committed any more.

    The next process begins at the last commit. `event` is set for good; `has_bug` says whether an
    error, and not a cancelled task, was the reason.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.has_bug = False

    @property
    def is_set(self) -> bool:
        return self.event.is_set()

    def fail(self, error: BaseException) -> None:
        """Halt. Anything but a cancellation is logged as a bug."""
        self.event.set()
        if isinstance(error, Exception):
            self.has_bug = True
            _log.error("BUG: the service can't go on", exc_info=error)

    def on_bug(self, task: asyncio.Task[None]) -> None:
        """Callback for a task that must not end: halt when it ended with an error."""
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)
