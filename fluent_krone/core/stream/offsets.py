"""By how much all times of a stream differ from their arrival, if they always differ by the same.

Local times without an offset do, and those of a clock that is wrong. Records that only come late
do not: those of a backlog come ever closer to the wall clock, and a pause is over at some time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_NS = 1_000_000_000
# Events in a row that agree on another time than the stream's, or on an offset ahead. Fewer would
# let a burst of broken lines through; more would believe a stream that has moved on later.
AGREED = 16
# How much times may differ from their arrival, so that one offset explains them; and the unit of
# offsets, since time zones are whole quarters of an hour.
_SPREAD_NS = 300 * _NS
_QUARTER_S = 900
# How long times have to be behind by the same: no backlog keeps its distance for so long.
_LONG_NS = 600 * _NS
# How far records that come at once may differ from a whole quarter, in seconds. What waits on its
# way for some other time is late, and its times are right.
_OF_ZONES_S = 120
# No log was written this long ago, in ns: a time like this is none, such as the seconds that a
# machine runs. 40 years.
FAR_BEHIND_NS = 40 * 365 * 86_400 * _NS


def quarters_s(span_ns: int) -> int:
    """A span in seconds, as whole quarters of an hour, which is what time zones differ by."""
    return round(span_ns / _NS / _QUARTER_S) * _QUARTER_S


class Behind:
    """How far the stream is behind the wall clock at the end of each chunk, and since when by the
    same.

    It is in no snapshot: after a restart it takes some minutes again.

    >>> behind = Behind()
    >>> for minute in range(12):
    ...     behind.note(5 * 3600 * 10**9, minute * 60 * 10**9)
    >>> behind.seconds
    18000
    """

    __slots__ = ("_least_ns", "_most_ns", "_since_ns", "seconds")

    def __init__(self) -> None:
        self._least_ns = 0
        self._most_ns = 0
        self._since_ns: int | None = None
        # The one offset that explains all chunks since then, once that is long enough ago.
        self.seconds: int | None = None

    def note(self, behind_ns: int, now_ns: int) -> None:
        """The chunk before the one that comes now ended this far behind."""
        if behind_ns < _QUARTER_S * _NS // 2:
            self._since_ns = None
            self.seconds = None
            return
        if self._since_ns is not None:
            self._least_ns = min(self._least_ns, behind_ns)
            self._most_ns = max(self._most_ns, behind_ns)
        if self._since_ns is None or self._most_ns - self._least_ns > _SPREAD_NS:
            self._least_ns = behind_ns
            self._most_ns = behind_ns
            self._since_ns = now_ns
            self.seconds = None
        elif now_ns - self._since_ns >= _LONG_NS:
            # What comes at once tells how far the clocks differ.
            offset_s = quarters_s(self._least_ns)
            if abs(self._least_ns / _NS - offset_s) <= _OF_ZONES_S:
                self.seconds = offset_s


class Offset:
    """Events in a row that are too far ahead of the wall clock, and the range of how far.

    `behind` is the offset of times that are behind it.
    """

    __slots__ = ("behind", "count", "least_ns", "most_ns", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.least_ns = 0
        self.most_ns = 0
        # The one offset that explains all of them, once enough agree.
        self.seconds: int | None = None
        self.behind = Behind()

    def add(self, ahead_ns: int) -> None:
        """An event that is this far ahead."""
        if not self.count:
            self.least_ns = ahead_ns
            self.most_ns = ahead_ns
        self.count += 1
        self.least_ns = min(self.least_ns, ahead_ns)
        self.most_ns = max(self.most_ns, ahead_ns)
        if self.most_ns - self.least_ns > _SPREAD_NS:
            # No single offset explains them.
            self.count = 0
            self.seconds = None
        elif self.count >= AGREED:
            self.seconds = quarters_s(self.least_ns)

    def save(self) -> list[int | None]:
        """What a snapshot holds of it."""
        return [self.count, self.least_ns, self.most_ns, self.seconds]

    def load(self, saved: Sequence[Any]) -> None:
        """Go on from a snapshot."""
        self.count, self.least_ns, self.most_ns, self.seconds = saved

    def end(self) -> None:
        """A time was believed."""
        self.count = 0
        self.seconds = None
