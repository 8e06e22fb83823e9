"""`/metrics` for Prometheus and `/healthz`, by HTTP from the service's own event loop.

On that loop, and not in a thread of prometheus_client's: nothing is read while it changes, and a loop that no longer
turns shows as what it is, no answer. Each name of `stats` that the service and the doors count has its line in
`METRICS`; labels take their values from closed sets.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..timing import BUCKETS_S, Histogram

_log = logging.getLogger(__name__)
_REQUEST_S = 5.0  # a client's time to ask
_RETRY_S = 5.0
_MAX_CLIENTS = 16
_MAX_REQUEST_BYTES = 2**13
_TEXT = "text/plain; charset=utf-8"

# Name in `stats` → name behind fluent_krone_ and what it tells. Totals only grow, the others go up and down.
METRICS: Mapping[str, tuple[str, str]] = {
    "records": ("records_total", "Records fed."),
    "events": ("events_total", "Events: a record counts once for each session that it belongs to."),
    "unmatched": ("events_unmatched_total", "Events that match no template."),
    "unseen": ("events_unseen_total", "Events of templates that normal training did not have."),
    "novelties_over_cap": (
        "novelties_over_cap_total",
        "New templates not told: over 1,000 in novelty_interval.",
    ),
    "time_in_future": ("events_in_future_total", "Event times not believed: ahead of the clock."),
    "time_leap": (
        "events_leaping_total",
        "Event times not believed: far ahead of their predecessors.",
    ),
    "time_unreadable": ("events_without_time_total", "Events whose own time could not be read."),
    "keys_over_cap": (
        "session_keys_over_cap_total",
        "Session keys left out: over max_keys_per_record.",
    ),
    "messages_cut": ("messages_cut_total", "Messages longer than max_message_size."),
    "instances": ("sessions_ended_total", "Sessions that ended."),
    "sessions_over_cap": (
        "sessions_over_cap_total",
        "Sessions closed and judged early: over max_sessions.",
    ),
    "sessions_open": ("sessions_open", "Open sessions."),
    "cache_hits": ("cache_hits_total", "Session steps that were a look-up."),
    "cache_misses": ("cache_misses_total", "Session steps that had to be worked out."),
    "flagged": ("sessions_flagged_total", "Sessions found abnormal."),
    "alerts": ("alerts_total", "Alerts made."),
    "alerts_delivered": ("alerts_delivered_total", "Alerts that their receiver has confirmed."),
    "alerts_outgoing": ("alerts_outgoing", "Alerts that wait for their receiver."),
    "deliveries_failed": (
        "deliveries_failed_total",
        "Attempts to deliver alerts that were not confirmed.",
    ),
    "chunks": ("chunks_total", "Chunks taken in, repeated ones too."),
    "chunks_repeated": ("chunks_repeated_total", "Chunks seen before: acked and skipped."),
    "chunks_without_id": ("chunks_without_id_total", "Chunks that can't be acked, so can be lost."),
    "chunks_unacked": ("chunks_unacked", "Chunks fed that wait for their commit."),
    "chunk_unacked_age": ("chunk_unacked_age_seconds", "How long the oldest of them has waited."),
    "chunk_ids_over_cap": (
        "chunk_ids_over_cap_total",
        "Ids of chunks forgotten early: over max_store_size.",
    ),
    "alerts_muted": (
        "alerts_muted_total",
        "Alerts not sent: a person said that their pattern is normal.",
    ),
    "alerts_cleared": (
        "alerts_cleared_total",
        "Alerts not sent: a model cleared a doubtful session.",
    ),
    "alerts_explained": ("alerts_explained_total", "Alerts that left with a model's explanation."),
    "explanations_known": (
        "explanations_known_total",
        "Explanations that needed no question: the pattern had one.",
    ),
    "explanations_waiting": ("explanations_waiting", "Alerts that wait for their explanation."),
    "explain_calls": ("explain_calls_total", "Questions that a model was asked."),
    "explain_tokens": ("explain_tokens_total", "Tokens that they took."),
    "explain_cost_usd": ("explain_cost_usd_total", "What they cost, in US dollars."),
    "knowledge_errors": (
        "knowledge_errors_total",
        "Times that the knowledge file could not be read or written.",
    ),
    "commits_failed": ("commits_failed_total", "Commits that the store could not write."),
    "store_size": ("store_bytes", "Size of the store."),
    "reloads": ("reloads_total", "Bundles taken over from the next chunk on."),
    "stream_lag": ("stream_lag_seconds", "How far the newest event time lies behind the clock."),
    "bytes": ("received_bytes_total", "Bytes received from clients."),
    "connections": ("connections_total", "Connections made by clients."),
    "connections_open": ("connections_open", "Open connections."),
    "connections_refused": (
        "connections_refused_total",
        "Connections refused: over max_connections.",
    ),
    "connections_evicted": (
        "connections_evicted_total",
        "Silent connections closed to make place for others.",
    ),
    "auth_failures": ("auth_failures_total", "Clients refused: wrong key, user or password."),
}
# Names that begin so end in the value of a label.
LABELLED: Mapping[str, tuple[str, str, str]] = {
    "set_aside_": ("records_set_aside_total", "reason", "Records that became no event."),
    "flagged_": (
        "verdicts_total",
        "detector",
        "Sessions found abnormal, by the detector whose score is told.",
    ),
    "decided_": (
        "verdicts_decided_total",
        "decided",
        "Sessions found abnormal, by when that was certain.",
    ),
    "explanation_failures_": (
        "explanation_failures_total",
        "reason",
        "Alerts that left with their evidence instead.",
    ),
    "protocol_errors_": (
        "protocol_errors_total",
        "reason",
        "Connections closed for what the client sent.",
    ),
}
HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "feed": ("feed_seconds", "Time to feed up to 5,000 records of a chunk."),
    "commit": ("commit_seconds", "Time of a commit."),
    "chunk_ack": ("chunk_ack_seconds", "Age of a chunk when it is acked."),
    "score": ("score_seconds", "Time of one run of the Nested-Aware model."),
}


class Metrics:
    """Answers `/metrics` and `/healthz` at `host:port`; `port` 0 takes a free one.

    `troubles` says what is wrong: with any, `/healthz` is 503 and names it. Never in the way of the work itself: an
    address that can't be had is told, and tried again.
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
        self._stats, self._histograms, self._troubles = stats, histograms, troubles
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
            pass  # whoever asked is gone, or asked for nothing
        finally:
            self._clients -= 1
            writer.close()

    def answer(self, head: bytes) -> bytes:
        """The HTTP answer to a request's head."""
        words = head.split(b"\r\n", 1)[0].split()
        method, path = (words[0], words[1].partition(b"?")[0]) if len(words) == 3 else (b"", b"")
        if method not in (b"GET", b"HEAD"):
            status, kind, body = "405 Method Not Allowed", _TEXT, b"GET only\n"
        elif path == b"/metrics":
            kind, body = exposition(self._stats(), self._histograms())
            status = "200 OK"
        elif path == b"/healthz":
            troubles = self._troubles()
            status, kind = "503 Service Unavailable" if troubles else "200 OK", _TEXT
            body = "".join(f"{line}\n" for line in troubles or ["ok"]).encode()
        else:
            status, kind, body = "404 Not Found", _TEXT, b"/metrics or /healthz\n"
        lines = (
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + (body if method != b"HEAD" else b"")


def exposition(
    stats: Mapping[str, float], histograms: Mapping[str, Histogram]
) -> tuple[str, bytes]:
    """Content type and body in Prometheus' text format."""
    prometheus = importlib.import_module("prometheus_client")  # only where metrics are asked for
    registry = prometheus.CollectorRegistry(auto_describe=False)
    registry.register(_Collector(stats, histograms))
    return prometheus.CONTENT_TYPE_LATEST, prometheus.generate_latest(registry)


class _Collector:
    def __init__(self, stats: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        self._stats, self._histograms = stats, histograms

    def collect(self) -> Iterator[Any]:
        core = importlib.import_module("prometheus_client.core")
        for name, (metric, text) in METRICS.items():
            if name in self._stats or metric.endswith("_total"):
                family = (
                    core.CounterMetricFamily
                    if metric.endswith("_total")
                    else core.GaugeMetricFamily
                )
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


def is_known(name: str) -> bool:
    """Whether a name of `stats` is shown to Prometheus."""
    flat = {key for timing in HISTOGRAMS for key in Histogram().numbers(timing)}
    return name in METRICS or name in flat or name.startswith(tuple(LABELLED))


def markdown_table() -> str:
    """The table of `docs/operations.md`."""
    rows = ["| metric, behind `fluent_krone_` | name in stats | meaning |", "|---|---|---|"]
    rows += [f"| `{metric}` | `{name}` | {text} |" for name, (metric, text) in METRICS.items()]
    rows += [
        f"| `{metric}{{{label}}}` | `{prefix}…` | {text} |"
        for prefix, (metric, label, text) in LABELLED.items()
    ]
    rows += [
        f"| `{metric}`, a histogram | `{name}_…` | {text} |"
        for name, (metric, text) in HISTOGRAMS.items()
    ]
    return "\n".join(rows) + "\n"
