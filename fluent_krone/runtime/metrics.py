"""`/metrics` for Prometheus and `/healthz`, over HTTP from the service's own event loop.

The server runs on that loop and not in a thread of prometheus_client. So no figure changes while it
is read, and a loop that hangs shows as what it is: there is no answer. `metric_names` declares the
metrics.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..timing import BUCKETS_S, Histogram
from .metric_names import HISTOGRAMS, LABELLED, METRICS

_log = logging.getLogger(__name__)
# Seconds that a client has to send its request and read the answer.
_REQUEST_S = 5.0
# Seconds between two tries to listen at an address that is taken.
_RETRY_S = 5.0
# Clients answered at the same time; Prometheus and a probe are two. More are closed unanswered.
_MAX_CLIENTS = 16
# Bytes of a request. Prometheus sends a few hundred.
_MAX_REQUEST_BYTES = 2**13
_TEXT = "text/plain; charset=utf-8"


class Metrics:
    """Answers `/metrics` and `/healthz` at `host:port`; `port` 0 takes a free one.

    `troubles` says what is wrong; if anything is, `/healthz` answers 503 and names it. An address
    that can't be had never stops the service: it is reported, and tried again.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        stats: Callable[[], Mapping[str, float]],
        histograms: Callable[[], Mapping[str, Histogram]],
        troubles: Callable[[], list[str]],
    ) -> None:
        self._address = (host, port)
        self._stats = stats
        self._histograms = histograms
        self._troubles = troubles
        self._clients = 0

    async def run(self) -> None:
        """Serve until cancelled."""
        server = await self._listen()
        _log.info("metrics at http://%s:%d/metrics", *server.sockets[0].getsockname()[:2])
        async with server:
            await server.serve_forever()

    async def _listen(self) -> asyncio.Server:
        for attempt in itertools.count():
            try:
                return await asyncio.start_server(
                    self._serve, *self._address, limit=_MAX_REQUEST_BYTES
                )
            except OSError as error:
                if attempt == 0:
                    _log.error("no metrics, tried again every %g s reason=%s", _RETRY_S, error)
                await asyncio.sleep(_RETRY_S)
        raise AssertionError("BUG: count() ended")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            async with asyncio.timeout(_REQUEST_S):
                if self._clients <= _MAX_CLIENTS:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self.answer(head))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # The client is gone, or sent nothing that could be answered.
            pass
        finally:
            self._clients -= 1
            writer.close()

    def answer(self, head: bytes) -> bytes:
        """The HTTP answer to a request's head."""
        method, path = _request(head)
        kind = _TEXT
        if method not in (b"GET", b"HEAD"):
            status = "405 Method Not Allowed"
            body = b"GET only\n"
        elif path == b"/metrics":
            status = "200 OK"
            kind, body = exposition(self._stats(), self._histograms())
        elif path == b"/healthz":
            status, body = self._health()
        else:
            status = "404 Not Found"
            body = b"/metrics or /healthz\n"
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        answer = "\r\n".join([*lines, "", ""]).encode()
        if method != b"HEAD":
            answer += body
        return answer

    def _health(self) -> tuple[str, bytes]:
        """Status and body of `/healthz`."""
        troubles = self._troubles()
        body = "".join(f"{line}\n" for line in troubles or ["ok"]).encode()
        if troubles:
            return "503 Service Unavailable", body
        return "200 OK", body


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
            counter = core.CounterMetricFamily(f"fluent_krone_{metric}", text, labels=[label])
            for name, value in self._stats.items():
                if name.startswith(prefix) and name not in METRICS:
                    counter.add_metric([name.removeprefix(prefix)], value)
            yield counter
        for name, took in self._histograms.items():
            metric, text = HISTOGRAMS[name]
            bounds = [*map(str, BUCKETS_S), "+Inf"]
            buckets = list(zip(bounds, itertools.accumulate(took.counts), strict=True))
            yield core.HistogramMetricFamily(
                f"fluent_krone_{metric}", text, buckets=buckets, sum_value=took.total_s
            )


def _request(head: bytes) -> tuple[bytes, bytes]:
    """Method and path of a request, without its query; empty when it is no HTTP request."""
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) != 3:
        return b"", b""
    method, target, _ = words
    return method, target.partition(b"?")[0]
