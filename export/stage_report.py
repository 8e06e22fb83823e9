"""The stage `report`: the report card, with example alerts."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.detect.bundle_writer import BundleContent, write_bundle
from fluent_krone.reading.records import InputSettings, key_text

from .stage_bundle import bundle_content
from .stages import Work
from .work_files import (
    Cut,
    bundle_name,
    calibration_of,
    input_settings_of,
    leaves_of,
    read_cut,
    session_settings_of,
    source_of,
)

# Sessions that are judged to find example alerts for the report. More would take seconds and hardly
# add another sort of alert.
_ALERT_SESSIONS = 300


def run_report(work: Work) -> None:
    """Write the report card, and say its figures in a few lines."""
    # Imported only here, so that the first stages start fast.
    from .report import card

    cut = read_cut(work)
    facts = work.read_json("sequences.json")
    labels = {
        key_text(s.key): abnormal
        for s, abnormal in zip(cut.sessions, cut.abnormal, strict=True)
        if abnormal is not None
    }
    with work.progress("report") as bar:
        made = card.make_report(
            card.ReportInput(
                name=bundle_name(work.options),
                source=source_of(work.options).name,
                sessions=cut.sessions,
                rows=leaves_of(work),
                input_settings=input_settings_of(work),
                session_settings=session_settings_of(facts),
                calibration=calibration_of(work),
                labels=labels or None,
                cut_ns=facts["fit_before_ns"],
                alerts=_alerts(work, cut),
                records=facts["records"],
                set_aside=facts["set_aside"],
                warnings=work.warnings,
                seed=work.options.seed,
                on_progress=bar.show,
            )
        )
    work.write("report.json", card.to_json(made))
    work.write("report.html", card.render_html(made))
    work.say(card.describe(made, work.said).rstrip())


def _alerts(work: Work, cut: Cut) -> list[dict[str, Any]]:
    """Alerts as the plugin would send them, for some of the sessions that were not fitted on.

    Abnormal sessions come first.
    """
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=work.path) as folder:
        write_bundle(Path(folder), BundleContent(golden=[], **bundle_content(work)))
        trial = load_bundle(folder)
    others = [s for s, fit in zip(cut.sessions, cut.fit, strict=True) if not fit]
    abnormal = {id(s) for s, label in zip(cut.sessions, cut.abnormal, strict=True) if label}
    chosen = sorted(others, key=lambda s: id(s) not in abnormal)[:_ALERT_SESSIONS]
    read = InputSettings(session_key=("session",))
    engine = dataclasses.replace(trial, input_settings=read).engine()
    maker = AlertMaker(trial, Config())
    findings = []
    for session in chosen:
        record = {b"session": b" ".join(session.key)}
        texts = (engine.log_key_text(key).encode() for key in session.log_keys)
        events = [
            (session.first_ns + i, {**record, b"message": text}) for i, text in enumerate(texts)
        ]
        findings += engine.feed("export", events, session.first_ns + len(events))
    return [dict(maker.make(finding).record) for finding in findings + engine.finish()]
