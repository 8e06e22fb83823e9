"""Warnings that clients can cause as often as they like, and that must not fill a disk."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

# Seconds between two warnings with the same message. The later one says how many were left out.
_INTERVAL_S = 5.0


class RateLimitedLog:
    """Logs each message at most once per interval, with the number of those left out in between."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def __call__(self, message: str, **values: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last.get(message, -_INTERVAL_S) < _INTERVAL_S:
            self._left_out[message] += 1
            return
        self._last[message] = now
        if left_out := self._left_out.pop(message, 0):
            values["left_out"] = left_out
        shown = " ".join(f"{key}={value}" for key, value in values.items())
        self._log.warning("%s %s", message, shown)
