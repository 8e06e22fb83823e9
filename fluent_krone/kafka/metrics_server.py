"""Metrics and health of an instance: a thread answers with the last reading of its figures.

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
from collections.abc import Mapping

from ..config import Config
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
