"""Figures and health of an instance: a thread answers with the last reading of them.

The main loop is synchronous, so the HTTP server has an event loop of its own, in a thread. It never
looks at the loop: the loop hands it figures that do not change any more. A loop that hangs shows
as a reading that is too old.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping

from ..config import Config
from ..core.engine import Engine
from ..core.parts import Shared
from ..runtime.http import HttpServer
from ..runtime.metrics import Metrics
from ..timing import Histogram
from .consumer import ConsumerLoop

_log = logging.getLogger(__name__)

# Seconds after which a reading is too old: the loop has not turned since.
_OLD_S = 60.0


class MetricsServer:
    """What is shown of a loop. With `metrics` off nothing is served."""

    def __init__(self, config: Config, loop: ConsumerLoop) -> None:
        self._loop = loop
        self._stats: Mapping[str, float] = {}
        self._histograms: Mapping[str, Histogram] = {}
        self._troubles: list[str] = ["starting"]
        self._read_at = time.monotonic()
        if config.metrics:
            metrics = Metrics(
                stats=lambda: self._stats,
                histograms=lambda: self._histograms,
                troubles=self._all_troubles,
            )
            server = HttpServer(config.metrics_bind, config.metrics_port, metrics.answer)
            threading.Thread(
                target=asyncio.run, args=(server.run(_log_place),), daemon=True, name="metrics"
            ).start()

    def renew(self) -> None:
        """Read the figures; called by the main loop."""
        self._stats = self._loop.stats()
        self._histograms = copy.deepcopy(self._loop.timings)
        self._troubles = self._loop.troubles()
        self._read_at = time.monotonic()

    def _all_troubles(self) -> list[str]:
        age_s = time.monotonic() - self._read_at
        if age_s <= _OLD_S:
            return self._troubles
        return [f"the loop has not turned for {age_s:.0f} s", *self._troubles]


def _log_place(host: str, port: int) -> None:
    _log.info("metrics at http://%s:%d/metrics", host, port)


# Nanoseconds of a second.
_S = 1e9


def engine_stats(
    counters: Counter[str],
    set_aside: Counter[str],
    shared: Shared,
    engines: Mapping[int, Engine],
    now_ns: int,
) -> dict[str, float]:
    """Counters of engines that share their caches, and what each of them holds."""
    misses = shared.cascade.tracker.misses
    lags = {number: _lag_s(engine, now_ns) for number, engine in engines.items()}
    settling: Counter[str] = Counter()
    for engine in engines.values():
        settling.update(engine.settling.stats())
    return {
        **counters,
        **settling,
        **{f"set_aside_{reason}": count for reason, count in set_aside.items()},
        "keys_over_cap": shared.reader.keys_over_cap,
        "messages_cut": shared.reader.messages_cut,
        "sessions_over_cap": sum(engine.sessions.over_cap for engine in engines.values()),
        "sessions_open": sum(len(engine.sessions.open) for engine in engines.values()),
        "cache_hits": max(counters["events"] - misses, 0),
        "cache_misses": misses,
        "stream_lag": max(lags.values(), default=0.0),
        **{
            f"partition_sessions_{number}": len(engine.sessions.open)
            for number, engine in engines.items()
        },
    }


def _lag_s(engine: Engine, now_ns: int) -> float:
    if not engine.watermark:
        return 0.0
    return max(now_ns - engine.watermark, 0) / _S
