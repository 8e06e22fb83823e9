"""The stage `sequences`: from events to sessions, and which of them to fit on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.waits import usual_silence_ns
from fluent_krone.errors import ExportError
from fluent_krone.inputs import count_events, is_abnormal, read_events, read_labels, read_rows
from fluent_krone.reading.records import key_text
from fluent_krone.reading.values import as_bytes

from . import source
from .context_fields import ContextFields
from .pauses import duration
from .sequences import TrainingSession, cut_sessions
from .stages import Options, Work
from .work_files import Cut, input_settings_of, source_of, templates_of, wide_of

# Share of sessions that the session settings may cut in two before a warning is given.
_CUT_SHARE = 0.05
# Idle timeout in seconds where neither the options nor the pauses in the log say otherwise. Half an
# hour is what most session analyses use.
IDLE_TIMEOUT_S = 1800.0


def run_sequences(work: Work) -> None:
    mined = work.read_json("templates.json")
    idle_timeout_s = IDLE_TIMEOUT_S
    if suggested := mined["suggested_idle_timeout"]:
        idle_timeout_s, reason = suggested
        if work.options.idle_timeout is None:
            work.say(f"idle timeout, suggested: {duration(idle_timeout_s)}, because {reason}")
    settings = session_settings(work.options, idle_timeout_s)
    labels: dict[str, bool] = {}
    if work.options.labels:
        labels = read_labels(work.options.labels)
    facts: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "records": None,
        "set_aside": {},
    }
    if work.options.sessions:
        sessions, known = _sessions_given(work, mined["templates"])
        before = _position_cut(sessions, work.options.train_fraction)
    else:
        context = ContextFields(input_settings_of(work))
        sessions, engine = _sessions_cut(work, settings, context)
        known = [None] * len(sessions)
        before = mined["fit_before_ns"]
        facts |= {
            "records": engine.counters["records"],
            "set_aside": dict(engine.set_aside),
            "silence_ns": usual_silence_ns(time_ns for one in sessions for time_ns in one.times_ns),
            "alert_fields": context.found(),
        }
        if facts["alert_fields"]:
            work.say(
                "fields that say where a session ran, shown in its alerts: "
                f"{', '.join(facts['alert_fields'])} (alert_fields names others)"
            )
    if not sessions:
        raise ExportError("no session was found: check --session-key and --message-field")
    if labels and not any(key_text(session.key) in labels for session in sessions):
        raise ExportError(
            f"--labels {work.options.labels} names no session of the input, such as "
            f"{key_text(sessions[0].key)!r}: check its column `session`, or --session-key"
        )
    abnormal = [labels.get(key_text(s.key), old) for s, old in zip(sessions, known, strict=True)]
    fit = [
        a is not True and (before is None or s.first_ns < before)
        for s, a in zip(sessions, abnormal, strict=True)
    ]
    if not any(fit):
        raise ExportError(
            "no normal session is left to train on: all are labelled abnormal, or begin after the "
            "first part of the log; check --labels and --train-fraction"
        )
    _write_sequences(work, Cut(sessions, fit, abnormal), facts | {"fit_before_ns": before})


def session_settings(options: Options, idle_timeout_s: float) -> SessionSettings:
    """The settings that sessions are cut with; `idle_timeout_s` where the options give none."""
    if options.idle_timeout is not None:
        idle_timeout_s = options.idle_timeout
    return SessionSettings(
        idle_timeout=idle_timeout_s,
        window=options.window,
        max_age=options.max_age,
        allowed_lateness=options.allowed_lateness,
        max_events=options.max_events,
        end_templates=options.end_templates,
    )


def _sessions_cut(
    work: Work, settings: SessionSettings, context: ContextFields
) -> tuple[list[TrainingSession], Engine]:
    inputs = work.options.input or source_of(work.options)
    with work.progress("sequences", count_events(inputs)) as bar:
        sessions, engine = cut_sessions(
            read_events(inputs, input_settings_of(work).timezone),
            templates_of(work),
            input_settings_of(work),
            settings,
            bar.show,
            wide=wide_of(work),
            context=context,
        )
    keys = len({session.key for session in sessions})
    by_tag = input_settings_of(work).session_key == source.BY_TAG
    if keys == 1 and not (by_tag and len(sessions) > 1):
        raise ExportError(
            "all events belong to one session: give a --session-key that tells executions apart"
        )
    if len(sessions) - keys > _CUT_SHARE * keys and not by_tag:
        work.say(
            f"warning: the session settings cut {keys:,} sessions into {len(sessions):,}: "
            f"idle_timeout {duration(settings.idle_timeout)} is too short, unless keys are used "
            "again for other executions"
        )
    if by_tag:
        # Each stretch of a tag is an execution, which the stages behind this one tell by its key.
        sessions = [
            dataclasses.replace(session, key=(*session.key, str(number).encode()))
            for number, session in enumerate(sessions)
        ]
    return sessions, engine


def _sessions_given(
    work: Work, templates: Sequence[dict[str, Any]]
) -> tuple[list[TrainingSession], list[bool | None]]:
    """Sessions that were cut before the export, and their labels.

    A session without a time of its own counts as later than the ones before it in the file.
    """
    path = source_of(work.options)
    number = {str(row["id"]): i for i, row in enumerate(templates)}
    sessions: list[TrainingSession] = []
    labels: list[bool | None] = []
    for at, row in enumerate(read_rows(path)):
        where = f"{path}: session {at + 1}"
        if "session" not in row or not isinstance(row.get("keys"), list):
            raise ExportError(f'{where} is not {{"session": …, "keys": [EventId, …], "label"?: …}}')
        unknown = next((key for key in row["keys"] if str(key) not in number), None)
        if unknown is not None:
            raise ExportError(
                f"{where} has the key {unknown!r}, which is not an EventId of "
                f"{work.options.templates}"
            )
        parts = row["session"]
        if not isinstance(parts, list):
            parts = [parts]
        first_ns = source.row_time(row.get("time"))
        if first_ns is None:
            first_ns = at
        keys = tuple(number[str(key)] for key in row["keys"])
        sessions.append(TrainingSession(tuple(map(as_bytes, parts)), first_ns, keys))
        label = None
        if row.get("label") is not None:
            label = is_abnormal(row["label"])
        labels.append(label)
    if len(sessions) == 1:
        raise ExportError(
            f"{path} has only one session: normal and abnormal ones can't be told apart from it"
        )
    return sessions, labels


def _position_cut(sessions: Sequence[TrainingSession], share: float) -> int | None:
    """The first time or position after the first `share` of the sessions; None for all of them."""
    firsts = sorted(session.first_ns for session in sessions)
    if share == 1 or not firsts:
        return None
    return firsts[int(share * len(firsts))]


def _write_sequences(work: Work, cut: Cut, facts: dict[str, Any]) -> None:
    def lines() -> Iterator[str]:
        for session, fit, abnormal in zip(cut.sessions, cut.fit, cut.abnormal, strict=True):
            row = {
                "session": [part.decode("utf-8", "surrogateescape") for part in session.key],
                "first_ns": session.first_ns,
                "keys": session.log_keys,
                "gaps_ns": session.gaps_ns,
                "levels": session.levels,
                "values": [
                    [value.decode("utf-8", "surrogateescape") for value in of_event]
                    for of_event in session.values
                ],
                "label": abnormal,
                "fit": fit,
            }
            yield json.dumps(row) + "\n"

    keys = {session.key for session in cut.sessions}
    facts |= {"sessions": len(keys), "instances": len(cut.sessions), "fitted": sum(cut.fit)}
    work.write("sequences.jsonl", "".join(lines()))
    work.write_json("sequences.json", facts)
    abnormal = sum(label is True for label in cut.abnormal)
    said = (
        f"sequences: {len(keys):,} sessions ({len(cut.sessions):,} instances), "
        f"{sum(cut.fit):,} of them for training"
    )
    if abnormal:
        said += f", {abnormal:,} labelled abnormal"
    work.say(said)
