"""Which metrics there are: each name in `stats` and `histograms` has its line here.

`docs/operations.md` has this table, and a test fails for a figure that has no line.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..timing import Histogram

# By name in `stats`: the metric's name behind `fluent_krone_`, and its help text. Metrics that end
# in `_total` only grow; the others go up and down.
METRICS: Mapping[str, tuple[str, str]] = {
    "records": ("records_total", "Records fed."),
    "events": ("events_total", "Events: a record counts once for each session that it belongs to."),
    "unmatched": ("events_unmatched_total", "Events that match no template."),
    "unseen": ("events_unseen_total", "Events of templates that normal training did not have."),
    "novelties_over_cap": (
        "novelties_over_cap_total",
        "New templates without an alert: over 1,000 in novelty_interval.",
    ),
    "new_step_events": (
        "events_of_new_steps_total",
        "Events that match no template and may be steps of a change.",
    ),
    "changes": ("changes_total", "Changes of the program: many sessions had new steps at once."),
    "changes_running": ("changes_open", "Changes that further new steps join."),
    "sessions_changed": ("sessions_changed_total", "Ended sessions that had steps of a change."),
    "steps_renamed": ("steps_renamed", "New steps that are judged as old ones."),
    "new_steps": ("new_steps_total", "Templates that training did not have and speak of no error."),
    "new_steps_over_cap": (
        "new_steps_over_cap_total",
        "Events judged as unknown: 1,000 new templates are remembered already.",
    ),
    "version_label_useless": (
        "version_label_useless",
        "1 where the label of the version is another one in most sessions, and is ignored.",
    ),
    "sessions_held": (
        "sessions_held",
        "Ended sessions that wait until it is known what their new steps are.",
    ),
    "time_in_future": ("events_in_future_total", "Event times not believed: ahead of the clock."),
    "time_leap": (
        "events_leaping_total",
        "Event times not believed: far ahead of the events before.",
    ),
    "time_unreadable": ("events_without_time_total", "Events whose own time could not be read."),
    "gaps_uncertain": (
        "gaps_uncertain_total",
        "Gaps not judged: times are whole seconds, and training's had fractions.",
    ),
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
    "cache_hits": ("cache_hits_total", "Session steps found in the cache."),
    "cache_misses": ("cache_misses_total", "Session steps that had to be computed."),
    "flagged": ("sessions_flagged_total", "Sessions found abnormal."),
    "deviations_over_cap": (
        "deviations_over_cap_total",
        "Odd steps without an alert: their session had five such alerts already.",
    ),
    "alerts": ("alerts_total", "Alerts made."),
    "alerts_delivered": ("alerts_delivered_total", "Alerts that their receiver has confirmed."),
    "alerts_outgoing": ("alerts_outgoing", "Alerts that wait for their receiver."),
    "incidents_open": ("incidents_open", "Open incidents."),
    "incidents_opened": ("incidents_opened_total", "Incidents that began."),
    "incidents_resolved": ("incidents_resolved_total", "Incidents that ended."),
    "incidents_over_cap": (
        "incidents_over_cap_total",
        "Alerts sent by themselves: 1,000 incidents were open.",
    ),
    "alerts_joined": (
        "alerts_joined_total",
        "Alerts that joined an incident and were not sent by themselves.",
    ),
    "deliveries_failed": (
        "deliveries_failed_total",
        "Attempts to deliver alerts that were not confirmed.",
    ),
    "chunks": ("chunks_total", "Chunks taken in, repeated ones included."),
    "chunks_repeated": ("chunks_repeated_total", "Chunks seen before: acked and skipped."),
    "chunks_without_id": ("chunks_without_id_total", "Chunks that can't be acked, so can be lost."),
    "chunks_unacked": ("chunks_unacked", "Chunks fed that wait for their commit."),
    "chunk_unacked_age": (
        "chunk_unacked_age_seconds",
        "How long the oldest unacked chunk has waited.",
    ),
    "chunk_ids_over_cap": (
        "chunk_ids_over_cap_total",
        "Chunk ids forgotten early: over max_store_size.",
    ),
    "alerts_muted": (
        "alerts_muted_total",
        "Alerts not sent: a person said that their pattern is normal.",
    ),
    "alerts_cleared": (
        "alerts_cleared_total",
        "Alerts not sent: a model judged a doubtful session normal.",
    ),
    "alerts_explained": ("alerts_explained_total", "Alerts that left with a model's explanation."),
    "explanations_known": (
        "explanations_known_total",
        "Explanations that needed no question: the pattern had one already.",
    ),
    "explanations_late": (
        "explanations_late_total",
        "Alerts sent once more with an explanation that came too late (`explain_late`).",
    ),
    "explanations_waiting": ("explanations_waiting", "Alerts that wait for their explanation."),
    "explain_calls": ("explain_calls_total", "Questions that a model was asked."),
    "explain_tokens": (
        "explain_tokens_total",
        "Tokens that these questions and their answers took.",
    ),
    "explain_cost_usd": ("explain_cost_usd_total", "What the questions cost, in US dollars."),
    "knowledge_errors": ("knowledge_errors_total", "Failures to read or write the knowledge file."),
    "commits_failed": ("commits_failed_total", "Commits that the store could not write."),
    "store_size": ("store_bytes", "Size of the store."),
    "records_dropped": ("records_dropped_total", "Records of sessions that were not kept."),
    "sessions_dropped": ("sessions_dropped_total", "Sessions whose records were not kept."),
    "records_annotated": ("records_annotated_total", "Records sent on with what was read in them."),
    "records_delivered": (
        "records_delivered_total",
        "Kept and annotated records that their receiver has confirmed.",
    ),
    "kept_missing": (
        "records_missing_total",
        "Kept records that could not be sent: the folder that held them was deleted.",
    ),
    "kept_rows_outgoing": ("kept_rows_outgoing", "Portions of kept records on their way out."),
    "spool_size": ("spool_bytes", "Size of the records that are held."),
    "keep_size_reached": (
        "keep_size_reached_total",
        "Times that reading stopped because the records held reached keep_size.",
    ),
    "reloads": ("reloads_total", "Times that a new bundle replaced the one in use."),
    "learning_share": (
        "learning_share",
        "How much of the stream that the first bundle is learnt from was seen, between 0 and 1.",
    ),
    "learning_records": ("learning_records", "Records that the first bundle is learnt from."),
    "learning_left_out": (
        "learning_left_out",
        "Records neither learnt from nor judged: over learn_size, or the disk is full.",
    ),
    "learning_spool_size": ("learning_spool_bytes", "Size of what is learnt from."),
    "refits": ("refits_total", "Bundles that were fitted to follow the one in use."),
    "candidate_waiting": (
        "candidate_waiting",
        "Whether a bundle was fitted that waits to be put into use (`bundles swap`).",
    ),
    "recording_size": ("recording_bytes", "Size of what is recorded for the next bundle."),
    "recording_left_out": (
        "recording_chunks_left_out",
        "Chunks not recorded for the next bundle: their slot was full, or the disk is.",
    ),
    "fits_failed": ("fits_failed_total", "Fits of a bundle that failed."),
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
        "Idle connections closed so that others could be accepted.",
    ),
    "auth_failures": ("auth_failures_total", "Clients refused: wrong key, user or password."),
    "messages": ("kafka_messages_total", "Messages taken from partitions of Kafka."),
    "messages_keyed": (
        "kafka_messages_keyed_total",
        "Messages that `kafka-key` wrote, copies for further sessions included.",
    ),
    "partitions_assigned": (
        "kafka_partitions_assigned",
        "Partitions that the group has assigned to this instance.",
    ),
}
# By prefix in `stats`: the rest of the name becomes the value of a label. Its values come from
# closed sets, because Prometheus keeps a series for each value; partitions are as many as the topic
# has.
LABELLED: Mapping[str, tuple[str, str, str]] = {
    "records_kept_": ("records_kept_total", "reason", "Records kept, by the rule that kept them."),
    "kept_sessions_": (
        "sessions_kept_total",
        "reason",
        "Sessions that ended and were kept, by the rule that kept them.",
    ),
    "set_aside_": ("records_set_aside_total", "reason", "Records that became no event."),
    "flagged_": (
        "verdicts_total",
        "detector",
        "Sessions found abnormal, by the detector whose score is reported.",
    ),
    "decided_": (
        "verdicts_decided_total",
        "decided",
        "Sessions found abnormal, by when that was certain.",
    ),
    "deviations_": (
        "deviations_total",
        "witness",
        "Alerts about a single step, by the witness that finds it odd.",
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
    "console_refused_": (
        "console_refused_total",
        "reason",
        "Requests to the live page that were refused: wrong token, no cookie, another origin.",
    ),
    "transactions_failed_": (
        "kafka_transactions_failed_total",
        "reason",
        "Transactions of Kafka that failed: the partition began again from what was committed.",
    ),
    "partition_lag_": (
        "kafka_partition_lag",
        "partition",
        "Messages of a partition that were not taken yet.",
    ),
    "partition_sessions_": (
        "kafka_partition_sessions_open",
        "partition",
        "Open sessions of a partition.",
    ),
    "partition_restore_": (
        "kafka_partition_restore_seconds",
        "partition",
        "How long it took to read what was saved of a partition when it was assigned.",
    ),
}
# By name in `histograms`.
HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "feed": ("feed_seconds", "Time to feed up to 5,000 records of a chunk."),
    "commit": ("commit_seconds", "Time of a commit."),
    "chunk_ack": ("chunk_ack_seconds", "Age of a chunk when it is acked."),
    "score": ("score_seconds", "Time of one run of the Nested-Aware model."),
}


def is_known(name: str) -> bool:
    """Whether a name in `stats` is shown to Prometheus."""
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
