"""How long things took, how long to wait before the next try, and when to report again."""

from __future__ import annotations

import time
from bisect import bisect_left

# Upper bounds of the buckets in seconds, from one ONNX run (0.1 ms) to a slow answer of a model
# (30 s). They are part of the metrics that dashboards read: a change would break their history.
BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
# Seconds between two log lines about a problem that goes on.
_REPORT_S = 60.0


class BackOff:
    """The pauses between tries: each is twice as long as the one before, up to the longest.

    >>> back_off = BackOff(0.1, 0.3)
    >>> back_off.next_s(), back_off.next_s(), back_off.next_s()
    (0.1, 0.2, 0.3)
    """

    __slots__ = ("_first_s", "_longest_s", "_next_s")

    def __init__(self, first_s: float = 0.1, longest_s: float = 10.0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the shortest pause again: the last try succeeded."""
        self._next_s = self._first_s


class RareReport:
    """Decides when a problem that goes on is logged again: at most once a minute."""

    __slots__ = ("_reported_at",)

    def __init__(self) -> None:
        self._reported_at = -_REPORT_S

    def is_due(self) -> bool:
        """Whether to log now; the next report is then due a minute later."""
        now = time.monotonic()
        if now - self._reported_at < _REPORT_S:
            return False
        self._reported_at = now
        return True


class Histogram:
    """Counts durations in seconds up to each bound of `BUCKETS_S`, and last the longer ones.

    >>> took = Histogram()
    >>> for seconds in (0.001, 0.002, 60):
    ...     took.add(seconds)
    >>> took.counts, took.total_s
    ([0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1], 60.003)
    """

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float, times: int = 1) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += times
        self.total_s += seconds * times

    def numbers(self, name: str) -> dict[str, float]:
        """Count and sum alone, flat."""
        return {f"{name}_count": sum(self.counts), f"{name}_seconds": self.total_s}
