"""The Grafana dashboard, which shows every declared metric.

`ROWS` gives metrics their places. A metric without one gets a panel in a last row, so that a new
metric is never missing. `make generate` writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alarms import declared

from fluent_krone.runtime.metric_names import HISTOGRAMS, LABELLED, METRICS

_PREFIX = "fluent_krone_"
# Width of a dashboard in Grafana's own units.
_WIDTH = 24
# Width of a panel in these units: three stand side by side.
_PANEL_WIDTH = 8
# Height of a panel in the same units.
_PANEL_HEIGHT = 8
# Version of Grafana's dashboard format. Grafana 10 and later read it and upgrade it by themselves.
_SCHEMA = 39


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph: its title, Grafana's name of the unit, and the metrics that it shows."""

    title: str
    unit: str
    metrics: tuple[str, ...]


# In the order in which a record passes: what comes in, what is found, what is sent.
ROWS: Sequence[tuple[str, Sequence[Panel]]] = (
    (
        "Stream",
        (
            Panel("Records and events", "cps", ("records_total", "events_total")),
            Panel(
                "Events that the bundle does not know",
                "cps",
                ("events_unmatched_total", "events_unseen_total"),
            ),
            Panel("Records set aside", "cps", ("records_set_aside_total",)),
            Panel(
                "Event times not believed",
                "cps",
                ("events_in_future_total", "events_leaping_total", "events_without_time_total"),
            ),
            Panel("Lag of the stream", "s", ("stream_lag_seconds",)),
            Panel(
                "Cut or left out",
                "cps",
                ("messages_cut_total", "session_keys_over_cap_total", "novelties_over_cap_total"),
            ),
        ),
    ),
    (
        "Sessions and verdicts",
        (
            Panel("Open sessions", "short", ("sessions_open",)),
            Panel("Sessions ended", "cps", ("sessions_ended_total", "sessions_over_cap_total")),
            Panel("Sessions found abnormal", "cps", ("sessions_flagged_total",)),
            Panel("By detector", "cps", ("verdicts_total",)),
            Panel("Odd steps", "cps", ("deviations_total", "deviations_over_cap_total")),
            Panel("By the time of the decision", "cps", ("verdicts_decided_total",)),
            Panel("Cache", "cps", ("cache_hits_total", "cache_misses_total")),
        ),
    ),
    (
        "Alerts",
        (
            Panel(
                "Alerts",
                "cps",
                (
                    "alerts_total",
                    "alerts_delivered_total",
                    "alerts_muted_total",
                    "alerts_cleared_total",
                ),
            ),
            Panel("Alerts that wait", "short", ("alerts_outgoing",)),
            Panel("Failed deliveries", "cps", ("deliveries_failed_total",)),
        ),
    ),
    (
        "Chunks and store",
        (
            Panel(
                "Chunks",
                "cps",
                ("chunks_total", "chunks_repeated_total", "chunks_without_id_total"),
            ),
            Panel("Chunks that wait for their commit", "short", ("chunks_unacked",)),
            Panel("Age of the oldest of them", "s", ("chunk_unacked_age_seconds",)),
            Panel("Age of a chunk at its ack", "s", ("chunk_ack_seconds",)),
            Panel("Time of a commit", "s", ("commit_seconds",)),
            Panel("Failed commits", "cps", ("commits_failed_total", "chunk_ids_over_cap_total")),
            Panel("Size of the store", "bytes", ("store_bytes",)),
            Panel("Time to feed", "s", ("feed_seconds",)),
            Panel("Time of the model", "s", ("score_seconds",)),
        ),
    ),
    (
        "Clients",
        (
            Panel("Bytes received", "Bps", ("received_bytes_total",)),
            Panel("Open connections", "short", ("connections_open",)),
            Panel(
                "Connections",
                "cps",
                (
                    "connections_total",
                    "connections_refused_total",
                    "connections_evicted_total",
                    "auth_failures_total",
                ),
            ),
            Panel("Protocol errors", "cps", ("protocol_errors_total",)),
            Panel("Bundles replaced", "cps", ("reloads_total",)),
        ),
    ),
    (
        "Explanations",
        (
            Panel(
                "Explanations",
                "cps",
                (
                    "alerts_explained_total",
                    "explanations_known_total",
                    "explanations_late_total",
                    "explain_calls_total",
                ),
            ),
            Panel("Alerts that wait for one", "short", ("explanations_waiting",)),
            Panel("Failures", "cps", ("explanation_failures_total", "knowledge_errors_total")),
            Panel("Tokens", "cps", ("explain_tokens_total",)),
            Panel("US dollars per second", "currencyUSD", ("explain_cost_usd_total",)),
        ),
    ),
    (
        "Kafka",
        (
            Panel("Messages", "cps", ("kafka_messages_total", "kafka_messages_keyed_total")),
            Panel("Lag of partitions", "short", ("kafka_partition_lag",)),
            Panel("Open sessions of partitions", "short", ("kafka_partition_sessions_open",)),
            Panel("Partitions", "short", ("kafka_partitions_assigned",)),
            Panel("Restored in", "s", ("kafka_partition_restore_seconds",)),
            Panel("Transactions that failed", "cps", ("kafka_transactions_failed_total",)),
        ),
    ),
)


def dashboard() -> str:
    """The Grafana dashboard as JSON, for the import dialogue or a provisioning folder."""
    content = {
        "title": "fluent-krone",
        "uid": "fluent-krone",
        "tags": ["fluentd", "logs"],
        "schemaVersion": _SCHEMA,
        "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "editable": True,
        "graphTooltip": 1,
        "templating": {"list": [_source_variable(), _instance_variable()]},
        "annotations": {"list": []},
        "panels": list(_panels()),
    }
    return json.dumps(content, indent=1) + "\n"


def _source_variable() -> dict[str, Any]:
    return {
        "name": "source",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }


def _instance_variable() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Instance",
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": f"label_values({_PREFIX}records_total, instance)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "hide": 0,
    }


def _rows() -> Iterator[tuple[str, Sequence[Panel]]]:
    """`ROWS`, and a last row with a panel for each declared metric that has no place in them."""
    yield from ROWS
    placed = {metric for _, panels in ROWS for panel in panels for metric in panel.metrics}
    others = sorted(declared() - placed)
    if others:
        yield "More", [Panel(metric, "short", (metric,)) for metric in others]


def _panels() -> Iterator[dict[str, Any]]:
    number = 0
    top = 0
    for title, panels in _rows():
        number += 1
        place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place}
        top += 1
        for at, panel in enumerate(panels):
            number += 1
            line, column = divmod(at, _WIDTH // _PANEL_WIDTH)
            place = {
                "x": column * _PANEL_WIDTH,
                "y": top + line * _PANEL_HEIGHT,
                "w": _PANEL_WIDTH,
                "h": _PANEL_HEIGHT,
            }
            yield _graph(number, panel, place)
        # Rounded up: a line that is not full takes its height too.
        lines = -(-len(panels) // (_WIDTH // _PANEL_WIDTH))
        top += lines * _PANEL_HEIGHT


def _graph(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    targets: list[dict[str, Any]] = []
    for metric in panel.metrics:
        for query, legend in _queries(metric):
            name = chr(ord("A") + len(targets))
            targets.append(
                {"refId": name, "datasource": source, "expr": query, "legendFormat": legend}
            )
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": " ".join(_meaning(metric) for metric in panel.metrics),
        "datasource": source,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": targets,
    }


def _queries(metric: str) -> Iterator[tuple[str, str]]:
    """The queries that show a metric, each with its legend."""
    chosen = f'{_PREFIX}{metric}{{instance=~"$instance"}}'
    labels = {name: label for name, label, _ in LABELLED.values()}
    if metric in {name for name, _ in HISTOGRAMS.values()}:
        # Grafana works out quantiles from the buckets; the median and the slowest in a hundred.
        bucket = f'{_PREFIX}{metric}_bucket{{instance=~"$instance"}}'
        for share in ("0.5", "0.99"):
            rates = f"sum by (le, instance) (rate({bucket}[$__rate_interval]))"
            yield f"histogram_quantile({share}, {rates})", f"p{share[2:]:0<2} {{{{instance}}}}"
    elif metric in labels:
        legend = f"{{{{{labels[metric]}}}}} {{{{instance}}}}"
        query = chosen
        if metric.endswith("_total"):
            query = f"rate({chosen}[$__rate_interval])"
        yield query, legend
    elif metric.endswith("_total"):
        yield f"rate({chosen}[$__rate_interval])", f"{metric} {{{{instance}}}}"
    else:
        yield chosen, f"{metric} {{{{instance}}}}"


def _meaning(metric: str) -> str:
    for family in (*METRICS.values(), *LABELLED.values(), *HISTOGRAMS.values()):
        if family[0] == metric:
            return family[-1]
    raise ValueError(f"BUG: the dashboard names {metric}, which is not declared")
