"""The stage `sequences`: from events to sessions, and which of them to fit on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.errors import ExportError
from fluent_krone.inputs import count_events, is_abnormal, read_events, read_labels, read_rows
from fluent_krone.reading.records import as_bytes, key_text

from . import source
from .sequences import TrainingSession, cut_sessions
from .stages import Options, Work
from .work_files import (
    Cut,
    input_settings_of,
    source_of,
    templates_of,
)

_CUT_SHARE = 0.05
IDLE_TIMEOUT_S = 1800.0  # where nothing better is known


def run_sequences(work: Work) -> None:
    mined = work.read_json("templates.json")
    suggested = mined["suggested_idle_timeout"]
    if suggested and work.options.idle_timeout is None:
        work.say(f"idle timeout, suggested: {source.duration(suggested[0])}, since {suggested[1]}")
    settings = session_settings(work.options, suggested[0] if suggested else IDLE_TIMEOUT_S)
    labels = read_labels(work.options.labels) if work.options.labels else {}
    facts: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "records": None,
        "set_aside": {},
    }
    if work.options.sessions:
        sessions, told = _sessions_given(work, mined["templates"])
        before = _position_cut(sessions, work.options.train_fraction)
    else:
        sessions, engine = _sessions_cut(work, settings)
        told, before = [None] * len(sessions), mined["fit_before_ns"]
        facts |= {"records": engine.counters["records"], "set_aside": dict(engine.set_aside)}
    if not sessions:
        raise ExportError("no session was found: check --session-key and --message-field")
    if labels and not any(key_text(session.key) in labels for session in sessions):
        raise ExportError(
            f"labels {work.options.labels} name no session of the input, e.g. not {key_text(sessions[0].key)!r}"
        )
    abnormal = [labels.get(key_text(s.key), old) for s, old in zip(sessions, told, strict=True)]
    fit = [
        a is not True and (before is None or s.first_ns < before)
        for s, a in zip(sessions, abnormal, strict=True)
    ]
    if not any(fit):
        raise ExportError(
            "no normal session is left to train on: all are labelled abnormal, or begin too late"
        )
    _write_sequences(work, Cut(sessions, fit, abnormal), facts | {"fit_before_ns": before})


def session_settings(options: Options, idle_timeout_s: float) -> SessionSettings:
    return SessionSettings(
        idle_timeout=idle_timeout_s if options.idle_timeout is None else options.idle_timeout,
        window=options.window,
        max_age=options.max_age,
        max_events=options.max_events,
        end_templates=options.end_templates,
    )


def _sessions_cut(work: Work, settings: SessionSettings) -> tuple[list[TrainingSession], Engine]:
    path = source_of(work.options)
    with work.progress("sequences", count_events(path)) as bar:
        sessions, engine = cut_sessions(
            read_events(path), templates_of(work), input_settings_of(work), settings, bar.show
        )
    keys = len({session.key for session in sessions})
    if keys == 1:
        raise ExportError(
            "all events are of one session: name a --session-key that tells executions apart"
        )
    if len(sessions) - keys > _CUT_SHARE * keys:
        work.say(
            f"warning: the session settings cut {keys:,} sessions into {len(sessions):,}: is idle_timeout "
            f"{source.duration(settings.idle_timeout)} too short?"
        )
    return sessions, engine


def _sessions_given(
    work: Work, templates: Sequence[dict[str, Any]]
) -> tuple[list[TrainingSession], list[bool | None]]:
    """Sessions that were cut elsewhere; without times of their own they count as one after the other."""
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
                f"{where} has the key {unknown!r}, which is no EventId of {work.options.templates}"
            )
        parts = row["session"] if isinstance(row["session"], list) else [row["session"]]
        first_ns = source.row_time(row.get("time"))
        keys = tuple(number[str(key)] for key in row["keys"])
        sessions.append(
            TrainingSession(tuple(map(as_bytes, parts)), at if first_ns is None else first_ns, keys)
        )
        labels.append(None if row.get("label") is None else is_abnormal(row["label"]))
    if len(sessions) == 1:
        raise ExportError(
            f"{path} holds one session: normal ones can't be told from abnormal ones by it"
        )
    return sessions, labels


def _position_cut(sessions: Sequence[TrainingSession], share: float) -> int | None:
    firsts = sorted(session.first_ns for session in sessions)
    return firsts[int(share * len(firsts))] if share < 1 and firsts else None


def _write_sequences(work: Work, cut: Cut, facts: dict[str, Any]) -> None:
    def lines() -> Iterator[str]:
        for session, fit, abnormal in zip(cut.sessions, cut.fit, cut.abnormal, strict=True):
            row = {
                "session": [part.decode("utf-8", "surrogateescape") for part in session.key],
                "first_ns": session.first_ns,
                "keys": session.log_keys,
                "label": abnormal,
                "fit": fit,
            }
            yield json.dumps(row) + "\n"

    keys = {session.key for session in cut.sessions}
    facts |= {"sessions": len(keys), "instances": len(cut.sessions), "fitted": sum(cut.fit)}
    work.write("sequences.jsonl", "".join(lines()))
    work.write_json("sequences.json", facts)
    abnormal = sum(label is True for label in cut.abnormal)
    work.say(
        f"sequences: {len(keys):,} sessions ({len(cut.sessions):,} instances), {sum(cut.fit):,} of them to fit on"
        + (f", {abnormal:,} labelled abnormal" if abnormal else "")
    )
