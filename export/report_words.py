"""The words of a report card: its warnings and notes, and its summary for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .page_parts import percent, ratio
from .report_input import (
    ReportInput,
    training_sessions,
)
from .report_measure import OURS

_FEW_FITTED, _FEW_HELD_OUT = 500, 200
_CUT_SHARE, _ASIDE_SHARE, _DRIFT, _UNNOTICED = 0.05, 0.01, 0.01, 0.1
_HARDLY_MORE = (
    0.005  # of normal sessions flagged, by a trivial rule that finds as many injected faults
)


def warnings_of(report: Mapping[str, Any], given: ReportInput) -> list[dict[str, str]]:
    """What an operator should know before they trust the figures, in plain words."""
    serious = [
        *given.warnings,
        *_warn_of_data(report["data"], given),
        *_warn_of_figures(report["holdout"]),
    ]
    return [
        *({"level": "warning", "text": text} for text in serious),
        *({"level": "note", "text": text} for text in _notes(report)),
    ]


def _warn_of_data(data: Mapping[str, Any], given: ReportInput) -> list[str]:
    said = []
    fitted = len({session.key for session in training_sessions(given)})
    if fitted < _FEW_FITTED:
        said.append(
            f"Only {fitted:,} normal sessions to learn from: rare normal courses will be flagged. Export more."
        )
    if len({session.log_keys for session in given.sessions}) == 1:
        said.append(
            "All sessions run alike, step for step: the log shows no variety to learn from."
        )
    if data["instances"] - data["sessions"] > _CUT_SHARE * data["sessions"]:
        said.append(
            f"The session settings cut {data['sessions']:,} sessions into {data['instances']:,}: "
            "is idle_timeout too short?"
        )
    if data["at_the_cap"]:
        said.append(f"Sessions that reached max_events and were cut there: {data['at_the_cap']:,}.")
    aside = sum(data["set_aside"].values())
    if data["records"] and aside > _ASIDE_SHARE * data["records"]:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in sorted(data["set_aside"].items()))
        said.append(f"{aside:,} of {data['records']:,} records were set aside ({listed}).")
    if data["templates_once"]:
        said.append(
            f"{data['templates_once']:,} of {data['templates']:,} templates occur once in normal training: "
            "if they hold names or ids, mask them; if not, more log would tell."
        )
    return said


def _warn_of_figures(holdout: Mapping[str, Any] | None) -> list[str]:
    if holdout is None:
        return [
            "Too few normal sessions to hold some back: nothing here says how well the bundle judges."
        ]
    ours, *others = holdout["methods"]
    said = [
        f"A trivial rule does as well or better: {other['name']} has {_as_good(ours, other)}."
        for other in others
        if _is_as_good(ours, other)
    ]
    if holdout["normal"] < _FEW_HELD_OUT:
        said.append(
            f"Judged on {holdout['normal']:,} normal sessions only: a false-alarm rate of so few is a guess."
        )
    if ours["false_alarm_rate"] > _DRIFT:
        said.append(
            f"{percent(ours['false_alarm_rate'])} of the held-out normal sessions are flagged: the log changes, "
            "or there was too little of it to learn from."
        )
    return said


def _is_as_good(ours: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """By F1 where there are labels; else by injected faults found, for hardly more false alarms."""
    if ours["f1"] is not None:
        return bool(round(other["f1"], 3) >= round(ours["f1"], 3))
    if ours["faults_mean"] is None:
        return False
    affordable = other["false_alarm_rate"] <= ours["false_alarm_rate"] + _HARDLY_MORE
    return bool(affordable and other["faults_mean"] >= ours["faults_mean"])


def _as_good(ours: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if ours["f1"] is not None:
        return f"F1 {other['f1']:.3f}, {OURS} {ours['f1']:.3f}"
    return (
        f"{other['false_alarms']:,} false alarms and finds {percent(other['faults_mean'])} of the injected faults, "
        f"{OURS} has {ours['false_alarms']:,} and finds {percent(ours['faults_mean'])}"
    )


def _notes(report: Mapping[str, Any]) -> list[str]:
    said = []
    holdout, data = report["holdout"], report["data"]
    if not report["labelled"]:
        said.append(
            "There are no labels: held-out sessions are presumed normal, "
            "and how many real anomalies are found is unknown."
        )
    elif holdout and not holdout["abnormal"]:
        said.append(
            "No session is labelled abnormal: how many real anomalies are found is unknown."
        )
    if data["templates_never"]:
        said.append(
            f"{data['templates_never']:,} templates never occur in normal training: they weigh as unseen."
        )
    if holdout is None:
        return said
    if holdout["kind"] == "random":
        said.append(
            "Sessions have no times: those held out are drawn at random, which flatters a log that changes."
        )
    if holdout["sampled_from"]:
        said.append(
            f"Measured on a sample of the {holdout['sampled_from']:,} normal sessions, to save time."
        )
    faint = [
        kind.replace("_", " ")
        for kind, rate in holdout["methods"][0]["faults"].items()
        if rate < _UNNOTICED
    ]
    if faint:
        said.append(
            f"A single fault of these kinds in a common course mostly goes unnoticed: {', '.join(faint)}."
        )
    return said


def describe(report: Mapping[str, Any]) -> str:
    """The report in a few lines."""
    data, holdout = report["data"], report["holdout"]
    lines = [
        f"{data['events']:,} events, {data['sessions']:,} sessions, {data['templates']:,} templates"
        + (f", {data['span']['length']} from {data['span']['first']}" if data["span"] else "")
    ]
    if holdout:
        told = f"{holdout['kind']} hold-out: fitted on {holdout['fitted']:,}, judged {holdout['normal']:,} normal"
        lines.append(
            told
            + (f" and {holdout['abnormal']:,} abnormal" if holdout["abnormal"] else "")
            + " sessions"
        )
        lines += _table(holdout["methods"])
    lines += [f"{entry['level']}: {entry['text']}" for entry in report["warnings"]]
    return "\n".join(lines) + "\n"


def _table(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    labelled = methods[0]["f1"] is not None
    head = f"  {'':<16}{'false alarms':>18}{'faults found':>14}"
    lines = [head + (f"{'F1':>8}{'precision':>11}{'recall':>8}{'missed':>8}" if labelled else "")]
    for row in methods:
        false = f"{row['false_alarms']:,} ({percent(row['false_alarm_rate'])})"
        line = f"  {row['name']:<16}{false:>18}{percent(row['faults_mean']):>14}"
        if labelled:
            line += f"{ratio(row['f1']):>8}{ratio(row['precision']):>11}{ratio(row['recall']):>8}{row['missed']:>8,}"
        lines.append(line)
    return lines
