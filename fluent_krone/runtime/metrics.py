"""`/metrics` for Prometheus and `/healthz`; `metric_names` declares the metrics."""

from __future__ import annotations

import importlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..timing import BUCKETS_S, Histogram
from .http import Request, Response
from .metric_names import HISTOGRAMS, LABELLED, METRICS

_log = logging.getLogger(__name__)


class Metrics:
    """Answers `/metrics` and `/healthz`.

    `troubles` says what is wrong; if anything is, `/healthz` answers 503 and names it. `notes` are
    shown below it either way.
    """

    def __init__(
        self,
        *,
        stats: Callable[[], Mapping[str, float]],
        histograms: Callable[[], Mapping[str, Histogram]],
        troubles: Callable[[], list[str]],
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self._stats = stats
        self._notes = notes
        self._histograms = histograms
        self._troubles = troubles

    async def answer(self, request: Request) -> Response:
        """The answer to a request."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"GET only\n", headers=(("Allow", "GET, HEAD"),))
        if request.path == "/metrics":
            kind, body = exposition(self._stats(), self._histograms())
            return Response(200, body, kind)
        if request.path == "/healthz":
            return self._health()
        return Response(404, b"/metrics or /healthz\n")

    def _health(self) -> Response:
        troubles = self._troubles()
        lines = [*(troubles or ["ok"]), *self._notes()]
        body = "".join(f"{line}\n" for line in lines).encode()
        if troubles:
            return Response(503, body)
        return Response(200, body)


def log_stats(stats: Mapping[str, float]) -> None:
    """Log one line with every counter that is not zero."""
    numbers = " ".join(f"{name}={value:g}" for name, value in sorted(stats.items()) if value)
    _log.info("stats %s", numbers)


def exposition(
    stats: Mapping[str, float], histograms: Mapping[str, Histogram]
) -> tuple[str, bytes]:
    """Content type and body in Prometheus' text format."""
    # Imported here because most services run without metrics.
    prometheus = importlib.import_module("prometheus_client")
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(stats, histograms))
    return prometheus.CONTENT_TYPE_LATEST, prometheus.generate_latest(registry)


class _Collector:
    """Shows one reading of the figures to prometheus_client.

    A total is shown before it first counts, because an alerting rule on its rate needs a series to
    start from.
    """

    def __init__(self, stats: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        self._stats, self._histograms = stats, histograms

    def collect(self) -> Iterator[Any]:
        core = importlib.import_module("prometheus_client.core")
        for name, (metric, text) in METRICS.items():
            if name in self._stats or metric.endswith("_total"):
                family = core.GaugeMetricFamily
                if metric.endswith("_total"):
                    family = core.CounterMetricFamily
                yield family(f"fluent_krone_{metric}", text, value=self._stats.get(name, 0))
        for prefix, (metric, label, text) in LABELLED.items():
            of_kind = core.GaugeMetricFamily
            if metric.endswith("_total"):
                of_kind = core.CounterMetricFamily
            labelled = of_kind(f"fluent_krone_{metric}", text, labels=[label])
            for name, value in self._stats.items():
                if name.startswith(prefix) and name not in METRICS:
                    labelled.add_metric([name.removeprefix(prefix)], value)
            yield labelled
        for name, took in self._histograms.items():
            metric, text = HISTOGRAMS[name]
            bounds = [*map(str, BUCKETS_S), "+Inf"]
            buckets = list(zip(bounds, itertools.accumulate(took.counts), strict=True))
            yield core.HistogramMetricFamily(
                f"fluent_krone_{metric}", text, buckets=buckets, sum_value=took.total_s
            )
