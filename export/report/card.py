"""The report card of a bundle, as plain JSON.

`render_html` makes a page of it, and `describe` a few lines for a terminal. Its figures are
measured (`measure.py`) on sessions that the judged model was not fitted on, next to
trivial baselines on the same split. Labels are optional. Without them the report has false alarms
and injected faults only, and says so (`words.py`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fluent_krone.core.failures import severity
from fluent_krone.core.hierarchy import Leaf, is_none
from fluent_krone.detect.bundle import key_hash

from ..calibrate import Calibration
from ..facets import REST
from .input import (
    Execution,
    FittedDetector,
    ReportInput,
    events_by_key,
    executions_of,
    has_times,
    training_sessions,
)
from .measure import measure, split_sessions
from .page import render_html
from .words import describe, warnings_of

__all__ = ["FittedDetector", "ReportInput", "describe", "make_report", "render_html", "to_json"]

# Share of the training sessions up to which a failure may be a fault that should not be learnt.
_FEW = 0.01
# Templates that the tree shows. More would make a page that a browser scrolls slowly.
_MOST_LEAVES = 2_000
# Example alerts that are shown.
_MOST_ALERTS = 6
# False alarms among them.
_MOST_FALSE = 2


def make_report(given: ReportInput) -> dict[str, Any]:
    """Everything that the report card shows, as plain JSON.

    The same input and seed give the same report.
    """
    executions = executions_of(given)
    split = split_sessions(executions, given)
    measured: dict[str, Any] = {"holdout": None, "scores": None, "efficiency": []}
    if split:
        measured = measure(split, given)
    report = {
        "name": given.name,
        "source": given.source,
        "labelled": given.labels is not None,
        "data": _data(executions, given),
        "settings": _settings(given),
        "detector": _detector(given.calibration),
        **measured,
        "tree": _tree(given),
        "alerts": _examples(given),
    }
    plain: dict[str, Any] = _plain(report | {"warnings": warnings_of(report, given)})
    return plain


def to_json(report: Mapping[str, Any]) -> str:
    """The text of `report.json`, one value on each line, so that `diff` can compare reports."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _data(executions: Sequence[Execution], given: ReportInput) -> dict[str, Any]:
    counts = events_by_key(given)
    normal = abnormal = None
    if given.labels is not None:
        normal = sum(execution.abnormal is False for execution in executions)
        abnormal = sum(execution.abnormal is True for execution in executions)
    lengths = sorted(len(session.log_keys) for session in given.sessions) or [0]
    return {
        "records": given.records,
        "set_aside": dict(given.set_aside),
        "events": sum(lengths),
        "sessions": len(executions),
        "instances": len(given.sessions),
        "at_the_cap": sum(length >= given.session_settings.max_events > 0 for length in lengths),
        "normal": normal,
        "abnormal": abnormal,
        "templates": len(given.rows),
        "templates_once": sum(counts[key] == 1 for key in range(len(given.rows))),
        "templates_never": sum(
            counts[key] == 0 and not _is_rest(row) for key, row in enumerate(given.rows)
        ),
        "failures": _failures(given),
        "entities": len({row.entity for row in given.rows if not is_none(row.entity)}),
        "length": {
            "shortest": lengths[0],
            "median": lengths[len(lengths) // 2],
            "longest": lengths[-1],
        },
        "span": _span(executions),
    }


def _is_rest(row: Leaf) -> bool:
    """Whether a leaf stands for all values of a facet that training never had."""
    return row.status.split()[-1:] == [REST]


def _failures(given: ReportInput) -> list[tuple[str, int]]:
    """Templates that speak of a failure and that few training sessions have, with their number.

    The rarest come first. The bundle takes them for normal.
    """
    sessions = training_sessions(given)
    left_out = set(given.calibration.left_out)
    learnt = (one for number, one in enumerate(sessions) if number not in left_out)
    counts = Counter(key for session in learnt for key in set(session.log_keys))
    found = [
        (given.rows[key].template, count)
        for key, count in counts.items()
        if key < len(given.rows) and count <= _FEW * len(sessions)
    ]
    return sorted((one for one in found if severity(one[0])), key=lambda one: (one[1], one[0]))


def _span(executions: Sequence[Execution]) -> dict[str, str] | None:
    """The times of the first events of the first and the last session, in UTC."""
    if not has_times(executions):
        return None
    first = executions[0].first_ns // 10**9
    last = executions[-1].first_ns // 10**9
    try:
        first_at, last_at = (
            datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%d %H:%M") for s in (first, last)
        )
    except (OverflowError, ValueError, OSError):
        return None
    return {"first": first_at, "last": last_at, "length": duration_text(last - first)}


def duration_text(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:g} s"


def _settings(given: ReportInput) -> dict[str, str]:
    """Settings that have a value, as an operator writes them."""
    values = dataclasses.asdict(given.input_settings) | dataclasses.asdict(given.session_settings)
    return {
        name: _setting(name, value)
        for name, value in values.items()
        if value not in (None, (), [], 0, 0.0, "")
    }


def _setting(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if name in ("idle_timeout", "window", "max_age"):
        return duration_text(value)
    return str(value)


def _detector(calibration: Calibration) -> dict[str, Any]:
    return {
        "threshold": calibration.threshold,
        "band": list(calibration.band),
        "asked": calibration.asked,
        "blind": list(calibration.blind),
        "thresholds": calibration.thresholds,
        "words": f"{calibration.words} The thresholds share a budget: of 1,000 normal sessions, "
        f"{calibration.asked:g} may be flagged. It is divided without labels, by what each finds "
        "of the faults that are injected into held-out normal sessions.",
        "detection": {kind: dict(rates) for kind, rates in calibration.detection.items()},
        "false_alarms": dict(calibration.false_alarms),
        "expected": dict(calibration.expected),
        "expected_of_asked": calibration.expected_of_asked,
    }


def _tree(given: ReportInput) -> dict[str, Any]:
    """Entities, their actions and templates, the most frequent first.

    Rare templates beyond `_MOST_LEAVES` are left out and counted.
    """
    events = events_by_key(given)
    sessions: Counter[int] = Counter()
    for session in training_sessions(given):
        sessions.update(set(session.log_keys))
    ranked = sorted(range(len(given.rows)), key=lambda key: (-events[key], key))
    entities: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for key in ranked[:_MOST_LEAVES]:
        row = given.rows[key]
        entity, action, status = (
            "" if is_none(step) else step for step in (row.entity, row.action, row.status)
        )
        leaf = {
            "template": row.template,
            "status": status,
            "events": events[key],
            "sessions": sessions[key],
        }
        entities.setdefault(entity, {}).setdefault(action, []).append(leaf)
    nodes = [
        _node("entity", name, [_node("action", n, leaves) for n, leaves in actions.items()])
        for name, actions in entities.items()
    ]
    return {
        "left_out": max(len(ranked) - _MOST_LEAVES, 0),
        "entities": sorted(nodes, key=lambda node: -node["events"]),
    }


def _node(level: str, name: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    children = sorted(children, key=lambda child: -child["events"])
    templates = sum(child.get("templates", 1) for child in children)
    events = sum(child["events"] for child in children)
    return {level: name, "templates": templates, "events": events, "children": children}


def _examples(given: ReportInput) -> list[dict[str, Any]]:
    """One alert of each sort, including false alarms.

    The report is part of the bundle, so session keys are hashed and raw lines are left out.
    """
    sorts: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in given.alerts:
        label = (given.labels or {}).get(" ".join(record["session"]))
        sort = (label, *(record.get(name) for name in ("entity", "action", "status")))
        if record["kind"] == "sequence" and sort not in sorts:
            kept = {
                n: v for n, v in record.items() if n not in ("alert_id", "bundle_hash", "lines")
            }
            kept["session"] = [key_hash(tuple(part.encode() for part in record["session"]))]
            sorts[sort] = {
                "label": {True: "abnormal", False: "normal", None: None}[label],
                "record": kept,
            }
    false = [example for example in sorts.values() if example["label"] == "normal"][:_MOST_FALSE]
    others = [example for example in sorts.values() if example["label"] != "normal"]
    return [*others[: _MOST_ALERTS - len(false)], *false]


def _plain(value: Any) -> Any:
    """The value as JSON can carry it: without numpy types and infinity, floats to six digits."""
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        if not math.isfinite(value):
            return None
        return round(float(value), 6)
    if isinstance(value, np.integer):
        return int(value)
    return value
