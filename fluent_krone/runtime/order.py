"""Clients whose chunks run backwards in time: their sessions may be judged wrongly."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from lru import LRU

_log = logging.getLogger(__name__)

_NS = 1_000_000_000
# Seconds by which a chunk must begin before the one before it. Within a second, stamps without a
# fraction have no order, and clients that collect several files mix them.
_STEP_S = 1
# Chunks of one client that ran backwards before it is said. One may have been sent again after an
# error, which is no fault of the settings.
_ENOUGH = 3
# Seconds between two log lines about it, whichever client it is.
_REPORT_S = 3600.0
# Clients and tags that are watched; those silent for longest are forgotten.
_WATCHED = 1_000


@dataclass(slots=True)
class _Stream:
    """What one client sends under one tag: how far its chunks have come."""

    latest_ns: int
    backwards: int = 0


class Order:
    """Compares where chunks begin, for each client and tag.

    The order of a session's events is the order of their arrival, so an event that overtakes
    another one can make a normal session look abnormal.
    """

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._streams: Any = LRU(_WATCHED)
        self._reported_at = -_REPORT_S

    def watch(self, host: str, tag: str, first_ns: int) -> None:
        """Note where a chunk of this client begins, and warn when it begins too early again."""
        stream = self._streams.get((host, tag))
        if stream is None:
            self._streams[host, tag] = _Stream(first_ns)
        elif first_ns >= stream.latest_ns:
            stream.latest_ns = first_ns
        elif stream.latest_ns - first_ns > _STEP_S * _NS:
            stream.backwards += 1
            self._counters["chunks_backwards"] += 1
            if stream.backwards >= _ENOUGH:
                self._warn(host, tag, stream, stream.latest_ns - first_ns)

    def _warn(self, host: str, tag: str, stream: _Stream, step_ns: int) -> None:
        if time.monotonic() - self._reported_at < _REPORT_S:
            return
        self._reported_at = time.monotonic()
        _log.warning(
            "chunks of a client run backwards in time, so sessions may be judged wrongly: let it "
            "send one chunk at a time host=%s tag=%s step_s=%.0f chunks=%d",
            host,
            tag,
            step_ns / _NS,
            stream.backwards,
        )
