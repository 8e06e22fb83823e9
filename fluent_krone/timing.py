"""How long things took, as counts per bucket: what a Prometheus histogram shows."""

from __future__ import annotations

from bisect import bisect_left

# Upper bounds of the buckets in seconds, from one ONNX run (0.1 ms) to a slow answer of a model
# (30 s). They are part of the metrics that dashboards read: a change would break their history.
BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)


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
