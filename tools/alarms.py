"""When a person should look at fluent-krone: rules of Prometheus and a table of the docs.

`ALARMS` declares each condition and what to do then. `make generate` makes the rules of Prometheus
and a table of `docs/operations.md` from it. Only declared metrics may be named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fluent_krone.runtime.metric_names import HISTOGRAMS, LABELLED, METRICS

_PREFIX = "fluent_krone_"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A condition that a person should look at.

    `wait` is how long `expression` must hold. `series` is a series in promtool's notation that
    makes the alarm go off, by metric; a test feeds it to the rules.
    """

    name: str
    expression: str
    wait: str
    severity: str
    summary: str
    remedy: str
    series: tuple[tuple[str, str], ...]


# The thresholds are starting points for an operator. A rate is compared over at least 5 minutes, so
# that one slow scrape raises no alarm; `warning` may wait until morning, `critical` must not.
ALARMS: Sequence[Alarm] = (
    Alarm(
        "KroneMissing",
        "absent(fluent_krone_records_total)",
        "5m",
        "critical",
        "Prometheus finds no fluent-krone.",
        "Check that it runs, that `metrics` is on, and that Prometheus reaches its port.",
        (),
    ),
    Alarm(
        "KroneNoRecords",
        "rate(fluent_krone_records_total[10m]) == 0",
        "10m",
        "warning",
        "No records arrive.",
        "Check the sender. Remove this rule where a silent log is normal.",
        (("records_total", "100x60"),),
    ),
    Alarm(
        "KroneRecordsSetAside",
        "sum without (reason) "
        '(rate(fluent_krone_records_set_aside_total{reason!~"no_session_key|continuation"}[15m]))'
        " > 0.05 * rate(fluent_krone_records_total[15m])",
        "15m",
        "warning",
        "More than 5 % of the records are set aside.",
        "See the table of reasons: `message_field` or `line_format` does not fit the stream.",
        (("records_total", "0+100x60"), ('records_set_aside_total{reason="no_message"}', "0+9x60")),
    ),
    Alarm(
        "KroneNoSessionKeys",
        'rate(fluent_krone_records_set_aside_total{reason="no_session_key"}[15m])'
        " > ignoring (reason) 0.99 * rate(fluent_krone_records_total[15m])",
        "15m",
        "warning",
        "No record has a session key.",
        "Correct `session_key`.",
        (
            ("records_total", "0+100x60"),
            ('records_set_aside_total{reason="no_session_key"}', "0+100x60"),
        ),
    ),
    Alarm(
        "KroneLogChanged",
        "rate(fluent_krone_events_unmatched_total[30m])"
        " > 0.2 * rate(fluent_krone_events_total[30m])",
        "30m",
        "warning",
        "More than 20 % of the events match no template.",
        "The log has changed: fit the bundle again.",
        (("events_total", "0+100x120"), ("events_unmatched_total", "0+30x120")),
    ),
    Alarm(
        "KroneManyFlagged",
        "rate(fluent_krone_sessions_flagged_total[1h])"
        " > 0.2 * rate(fluent_krone_sessions_ended_total[1h])",
        "1h",
        "warning",
        "More than 20 % of the sessions are found abnormal.",
        "A large incident, or a change of the log: if it is a change, fit the bundle again.",
        (("sessions_ended_total", "0+100x180"), ("sessions_flagged_total", "0+30x180")),
    ),
    Alarm(
        "KroneAlertsWait",
        "fluent_krone_alerts_outgoing > 0",
        "10m",
        "critical",
        "Alerts wait for their receiver.",
        "The receiver is down, refuses the connection, or has a full buffer: see `alerts wait`.",
        (("alerts_outgoing", "3x60"),),
    ),
    Alarm(
        "KroneKeepSizeReached",
        "increase(fluent_krone_keep_size_reached_total[15m]) > 0",
        "1m",
        "critical",
        "Records held until their session is judged have reached `keep_size`.",
        "The receiver of kept records is down or too slow, or `keep_size` is too small.",
        (("keep_size_reached_total", "0+1x60"),),
    ),
    Alarm(
        "KroneKeptEarly",
        'sum without (reason) (increase(fluent_krone_sessions_kept_total{reason="size"}[1h])) > 0',
        "5m",
        "warning",
        "Sessions are sent before they are judged, because the records held take too much room.",
        "Raise `keep_size`, or lower `idle_timeout`.",
        (('sessions_kept_total{reason="size"}', "0+1x60"),),
    ),
    Alarm(
        "KroneChunksWait",
        "fluent_krone_chunk_unacked_age_seconds > 60",
        "5m",
        "warning",
        "A chunk has waited for over a minute for its commit.",
        "A chunk is very large, or the disk of the store is slow or full.",
        (("chunk_unacked_age_seconds", "90x60"),),
    ),
    Alarm(
        "KroneCommitsFail",
        "increase(fluent_krone_commits_failed_total[5m]) > 0",
        "1m",
        "critical",
        "The store can't be written, and nothing is acked.",
        "The disk is full, read-only or broken.",
        (("commits_failed_total", "0+1x60"),),
    ),
    Alarm(
        "KroneSessionsOverCap",
        "increase(fluent_krone_sessions_over_cap_total[15m]) > 0",
        "15m",
        "warning",
        "Sessions are closed early, because too many are open.",
        "Raise `max_sessions`, or narrow `session_key`.",
        (("sessions_over_cap_total", "0+1x60"),),
    ),
    Alarm(
        "KroneSessionKeysOverCap",
        "increase(fluent_krone_session_keys_over_cap_total[15m]) > 0",
        "15m",
        "warning",
        "Records have more session keys than are read.",
        "Raise `max_keys_per_record`, or narrow `session_key`.",
        (("session_keys_over_cap_total", "0+1x60"),),
    ),
    Alarm(
        "KroneStoreFull",
        "increase(fluent_krone_chunk_ids_over_cap_total[15m]) > 0",
        "15m",
        "warning",
        "The store is larger than `max_store_size`, and chunk ids are forgotten early.",
        "Raise `max_store_size`: a chunk that is sent again may otherwise count twice.",
        (("chunk_ids_over_cap_total", "0+1x60"),),
    ),
    Alarm(
        "KroneTimesNotBelieved",
        "rate(fluent_krone_events_in_future_total[15m])"
        " + rate(fluent_krone_events_leaping_total[15m])"
        " > 0.05 * rate(fluent_krone_events_total[15m])",
        "15m",
        "warning",
        "More than 5 % of the event times are not believed.",
        "Check the senders' clocks and time zones, and `time_field`.",
        (
            ("events_total", "0+100x60"),
            ("events_in_future_total", "0+9x60"),
            ("events_leaping_total", "0x60"),
        ),
    ),
    Alarm(
        "KroneClientsRefused",
        "increase(fluent_krone_auth_failures_total[15m]) > 10",
        "5m",
        "warning",
        "Clients are refused for a wrong key, user or password.",
        "Somebody has the wrong key, or probes the port.",
        (("auth_failures_total", "0+5x60"),),
    ),
    Alarm(
        "KroneProtocolErrors",
        "sum without (reason) (increase(fluent_krone_protocol_errors_total[15m])) > 10",
        "5m",
        "warning",
        "Connections are closed for what the clients sent.",
        "See `connection closed` in the log: the reason names what is wrong.",
        (('protocol_errors_total{reason="bad_frame"}', "0+5x60"),),
    ),
    Alarm(
        "KroneConnectionsOverCap",
        "increase(fluent_krone_connections_refused_total[15m])"
        " + increase(fluent_krone_connections_evicted_total[15m]) > 0",
        "5m",
        "warning",
        "There are more clients than `max_connections`.",
        "Raise `max_connections` if you know all of them.",
        (("connections_refused_total", "0+1x60"), ("connections_evicted_total", "0x60")),
    ),
    Alarm(
        "KroneExplanationsFail",
        "sum without (reason) (increase(fluent_krone_explanation_failures_total[1h])) > 10",
        "15m",
        "warning",
        "Alerts are sent with their evidence only, because the model did not explain them.",
        "See `explain` in the log: the reason says what the model's service answered.",
        (('explanation_failures_total{reason="timeout"}', "0+1x120"),),
    ),
    Alarm(
        "KroneKnowledgeFails",
        "increase(fluent_krone_knowledge_errors_total[15m]) > 0",
        "5m",
        "warning",
        "The knowledge file can't be read or written.",
        "Check the disk and the permissions of the file.",
        (("knowledge_errors_total", "0+1x60"),),
    ),
    Alarm(
        "KroneKafkaLags",
        "max without (partition) (min_over_time(fluent_krone_kafka_partition_lag[15m])) > 100000",
        "5m",
        "warning",
        "A partition has had more than 100,000 messages that were not taken yet for 15 minutes.",
        "Start another instance of the group, or add partitions: docs/scale.md says how many.",
        (('kafka_partition_lag{partition="0"}', "200000x60"),),
    ),
    Alarm(
        "KroneKafkaTransactionsFail",
        "sum without (reason) (increase(fluent_krone_kafka_transactions_failed_total[15m])) > 10",
        "5m",
        "warning",
        "Transactions fail again and again; what they held is judged once more.",
        "See `partition begins again` in the log, which has the brokers' reason.",
        (('kafka_transactions_failed_total{reason="uncertain"}', "0+5x60"),),
    ),
)


def declared() -> set[str]:
    """The names of all metrics, without their common prefix."""
    families = [*METRICS.values(), *LABELLED.values(), *HISTOGRAMS.values()]
    return {family[0] for family in families}


def rules() -> str:
    """The rules of Prometheus as YAML, which is written by hand to keep its comments and order."""
    lines = [
        "# Generated from tools/alarms.py by `make generate`. Edit that file instead.",
        "groups:",
        "  - name: fluent-krone",
        "    rules:",
    ]
    for alarm in ALARMS:
        lines += [
            f"      - alert: {alarm.name}",
            # A JSON string is a YAML string too.
            f"        expr: {json.dumps(alarm.expression)}",
            f"        for: {alarm.wait}",
            "        labels:",
            f"          severity: {alarm.severity}",
            "        annotations:",
            f"          summary: {json.dumps(alarm.summary)}",
            f"          description: {json.dumps(alarm.remedy)}",
        ]
    return "\n".join(lines) + "\n"


def markdown_table() -> str:
    """The table of alarms in `docs/operations.md`."""
    rows = ["| alarm | goes off when | what to do |", "|---|---|---|"]
    for alarm in ALARMS:
        expression = alarm.expression.replace("|", "\\|")
        rows.append(
            f"| `{alarm.name}`, {alarm.severity} | {alarm.summary} `{expression}` for {alarm.wait} "
            f"| {alarm.remedy} |"
        )
    return "\n".join(rows) + "\n"


def metrics_in(expression: str) -> set[str]:
    """The metrics that an expression names, without their common prefix."""
    return set(re.findall(rf"{_PREFIX}(\w+)", expression))
