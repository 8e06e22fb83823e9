"""What time it is in the stream: which event times are believed, and what makes time go on.

1. The *watermark* is the largest event time believed. It never goes back.
2. A time further ahead of the wall clock than `max_future`, or further ahead of the watermark
   than `max_leap`, is not believed: the event takes the watermark's time and is counted. One line
   dated 2099 must not end every session.
3. The stream may really have moved on by more than `max_leap`, for example after a long pause.
   So many leaping events in a row are believed.
4. The *clock* is what ages sessions: the watermark, or arrival times with `idle_clock wall`.
5. While no record comes, the clock goes on with wall time, from the moment of the last `feed`.

Pure: wall time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

_NS = 1_000_000_000
# Events in a row, all further ahead than `max_leap`, that are no slip: the stream has moved on.
# Fewer would let a burst of broken lines through; more would keep sessions open for longer.
_LEAPS_BELIEVED = 16


class StreamTime:
    """The watermark and the clock of one stream, in ns UTC; 0 while no event time was believed.

    `max_future` and `max_leap` are in seconds. `counters` receives `time_in_future` and
    `time_leap`. `on_begin` is called with the first time that is believed.
    """

    __slots__ = (
        "_counters",
        "_max_future_ns",
        "_max_leap_ns",
        "_on_begin",
        "by_stream",
        "clock",
        "fed_at",
        "leaps",
        "watermark",
    )

    def __init__(
        self,
        *,
        max_future: float,
        max_leap: float,
        by_stream: bool,
        counters: Counter[str],
        on_begin: Callable[[int], None],
    ) -> None:
        self.by_stream = by_stream
        self.watermark = 0
        self.clock = 0
        # Wall time of the last `feed`; 0 before the first.
        self.fed_at = 0
        # Leaping events since the last one that was believed.
        self.leaps = 0
        self._max_future_ns = int(max_future * _NS)
        self._max_leap_ns = max_leap * _NS
        self._counters = counters
        self._on_begin = on_begin

    def arrive(self, now_ns: int) -> int:
        """A chunk arrives at wall time `now_ns`; returns the latest event time to be believed."""
        if not self.by_stream:
            self.clock = max(self.clock, now_ns)
        return now_ns + self._max_future_ns

    def believe(self, time_ns: int, latest: int) -> int:
        """The time of an event that is ahead of the watermark, as far as it is believed.

        A believed time becomes the watermark. Any other is counted and replaced by the watermark,
        or by the wall time of arrival while there is no watermark yet.
        """
        if time_ns > latest:
            self._counters["time_in_future"] += 1
            return self.watermark or latest - self._max_future_ns
        if self.watermark and time_ns - self.watermark > self._max_leap_ns:
            self.leaps += 1
            if self.leaps < _LEAPS_BELIEVED:
                self._counters["time_leap"] += 1
                return self.watermark
        self.leaps = 0
        if not self.watermark and self.by_stream:
            self._on_begin(time_ns)
        self.watermark = time_ns
        if self.by_stream:
            self.clock = time_ns
        return time_ns

    def idle_until(self, now_ns: int) -> int | None:
        """The clock at wall time `now_ns` if no record comes; None before the first `feed`."""
        if not self.fed_at:
            return None
        return self.clock + max(now_ns - self.fed_at, 0)

    def resume(self, now_ns: int) -> None:
        """Go on after a pause in which nobody listened: no session was idle in it."""
        if self.fed_at:
            self.fed_at = now_ns

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        return {
            "watermark": self.watermark,
            "clock": self.clock,
            "fed_at": self.fed_at,
            "leaps": self.leaps,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.watermark = saved["watermark"]
        self.clock = saved["clock"]
        self.fed_at = saved["fed_at"]
        self.leaps = saved["leaps"]
