"""The report card of a bundle: `make_report` gives plain JSON, `render_html` a page of it, `describe` a few lines.

What stands in it is measured on sessions that the judged model was not fitted on, always beside trivial baselines on
the same split. Labels are optional: without them there are false alarms and injected faults only, and it says so.

`alerts` are records as the plugin makes them, from a bundle that is loaded but not yet final. The detector is fitted
and calibrated anew about ten times, mostly on few sessions; `fit` puts another one in its place.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy, Leaf, is_none
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import key_hash
from fluent_krone.detect.nested_aware import Feature, nested_counts
from fluent_krone.reading.records import InputSettings, SessionKey, key_text
from fluent_krone.types import Level

from .baselines import BASELINES, Flags, Floats, LogKeys, Rule
from .calibrate import DECIMALS, KINDS, Calibration, calibrate, inject
from .page import percent, ratio, render_html
from .sequences import TrainingSession
from .train import fit_density

__all__ = ["Judge", "ReportInput", "describe", "make_report", "render_html", "to_json"]

OURS = "this bundle"
_HELD_OUT = 0.2
_SHARES = (0.01, 0.05, 0.2)  # of all normal sessions, for the data-efficiency curve
_REPEATS = 3
_MOST = 16_000  # normal sessions that take part; more take a sample, so that a report costs about a minute
_MOST_ABNORMAL = 4_000
_MOST_INJECTED = 400  # held-out normal sessions that get each kind of fault
_FEWEST = 20  # sessions to fit on, or to judge
_BINS = 48
_MOST_LEAVES = 2_000
_MOST_ALERTS, _MOST_FALSE = 6, 2
_FEW_FITTED, _FEW_HELD_OUT = 500, 200
_CUT_SHARE, _ASIDE_SHARE, _DRIFT, _UNNOTICED = 0.05, 0.01, 0.01, 0.1
_HARDLY_MORE = (
    0.005  # of normal sessions flagged, by a trivial rule that finds as many injected faults
)
_A_TIME_NS = 10**15  # a first_ns below this is a position, not a time
_NO_TIME_NS = 2**62


@dataclass(frozen=True, slots=True)
class Judge:
    """A fitted detector: `judge` gives a score and a flag for each session, by the bundle's own rule."""

    judge: Callable[[Sequence[LogKeys]], tuple[Floats, Flags]]
    threshold: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """What the export has at hand when everything is fitted.

    `sessions` are all instances of the log, abnormal ones too; `labels` are by session key, its values joined by a
    space. `cut_ns`: the bundle was fitted on sessions that begin before it. `fit` (default: as the bundle was fitted)
    gives a judge from normal sessions; `on_progress` gets steps done, of how many.
    """

    name: str
    source: str
    sessions: Sequence[TrainingSession]
    rows: Sequence[Leaf]
    input_settings: InputSettings
    session_settings: SessionSettings
    calibration: Calibration
    fit: Callable[[Sequence[LogKeys]], Judge] | None = None
    labels: Mapping[str, bool] | None = None
    cut_ns: int | None = None
    alerts: Sequence[Mapping[str, Any]] = ()
    records: int | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    seed: int = 0
    on_progress: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True, slots=True)
class _Execution:
    """All instances under one session key: one thing to a user, flagged when any of them is."""

    key: SessionKey
    first_ns: int
    instances: tuple[LogKeys, ...]
    abnormal: bool | None  # None: not labelled


@dataclass(frozen=True, slots=True)
class _Split:
    kind: Literal["chronological", "random"]
    fitted: list[_Execution]
    normal: list[_Execution]  # held out; presumed normal where nothing is labelled
    abnormal: list[_Execution]
    normals: int  # in both parts together
    sampled_from: int | None  # normal sessions of the log, where not all took part


def make_report(given: ReportInput) -> dict[str, Any]:
    """Everything the report card shows, as plain JSON. The same input and seed give the same report."""
    executions = _executions(given)
    split = _split(executions, given)
    measured = (
        _measure(split, given) if split else {"holdout": None, "scores": None, "efficiency": []}
    )
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
    plain: dict[str, Any] = _plain(report | {"warnings": _warnings(report, given)})
    return plain


def to_json(report: Mapping[str, Any]) -> str:
    """`report.json`, one value a line, so that two reports can be compared by `diff`."""
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


# --- what there is ---------------------------------------------------------------------------------------------------


def _executions(given: ReportInput) -> list[_Execution]:
    """In order of their first events, or as they stand where there are no times."""
    together: dict[SessionKey, list[TrainingSession]] = {}
    for session in given.sessions:
        together.setdefault(session.key, []).append(session)
    executions = [
        _Execution(
            key,
            min(session.first_ns for session in instances),
            tuple(session.log_keys for session in instances),
            (given.labels or {}).get(key_text(key)),
        )
        for key, instances in together.items()
    ]
    return sorted(executions, key=lambda execution: execution.first_ns)


def _has_times(executions: Sequence[_Execution]) -> bool:
    times = {execution.first_ns for execution in executions}
    return len(times) > 1 and min(times) >= _A_TIME_NS and max(times) < _NO_TIME_NS


def _data(executions: Sequence[_Execution], given: ReportInput) -> dict[str, Any]:
    counts = _events_by_key(given)
    lengths = sorted(len(session.log_keys) for session in given.sessions) or [0]
    return {
        "records": given.records,
        "set_aside": dict(given.set_aside),
        "events": sum(lengths),
        "sessions": len(executions),
        "instances": len(given.sessions),
        "at_the_cap": sum(length >= given.session_settings.max_events > 0 for length in lengths),
        "normal": sum(execution.abnormal is False for execution in executions)
        if given.labels is not None
        else None,
        "abnormal": sum(execution.abnormal is True for execution in executions)
        if given.labels is not None
        else None,
        "templates": len(given.rows),
        "templates_once": sum(counts[key] == 1 for key in range(len(given.rows))),
        "templates_never": sum(counts[key] == 0 for key in range(len(given.rows))),
        "entities": len({row.entity for row in given.rows if not is_none(row.entity)}),
        "length": {
            "shortest": lengths[0],
            "median": lengths[len(lengths) // 2],
            "longest": lengths[-1],
        },
        "span": _span(executions),
    }


def _span(executions: Sequence[_Execution]) -> dict[str, str] | None:
    """First events of the first and the last session."""
    if not _has_times(executions):
        return None
    first, last = executions[0].first_ns // 10**9, executions[-1].first_ns // 10**9
    try:
        first_at, last_at = (
            datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%d %H:%M") for s in (first, last)
        )
    except (OverflowError, ValueError, OSError):
        return None
    return {"first": first_at, "last": last_at, "length": _duration(last - first)}


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:g} s"


def _events_by_key(given: ReportInput) -> Counter[int]:
    """How often what training may use had each log key."""
    counts: Counter[int] = Counter()
    for session in _training(given):
        counts.update(session.log_keys)
    return counts


def _training(given: ReportInput) -> list[TrainingSession]:
    labels, cut_ns = given.labels or {}, given.cut_ns
    early = (session for session in given.sessions if cut_ns is None or session.first_ns < cut_ns)
    return [session for session in early if not labels.get(key_text(session.key), False)]


def _settings(given: ReportInput) -> dict[str, str]:
    """Settings that were given or matter, as an operator writes them."""
    told = dataclasses.asdict(given.input_settings) | dataclasses.asdict(given.session_settings)
    return {
        name: _setting(name, value)
        for name, value in told.items()
        if value not in (None, (), [], 0, 0.0, "")
    }


def _setting(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return _duration(value) if name in ("idle_timeout", "window", "max_age") else str(value)


def _detector(calibration: Calibration) -> dict[str, Any]:
    return {
        "threshold": calibration.threshold,
        "band": list(calibration.band),
        "patterns_clear": calibration.patterns_clear,
        "nested_clears": calibration.nested_clears,
        "counts_flag": calibration.counts_flag,
        "words": f"{calibration.words} So decided without labels, by faults injected into held-out normal sessions.",
        "detection": {kind: dict(rates) for kind, rates in calibration.detection.items()},
        "false_alarms": dict(calibration.false_alarms),
    }


# --- the detector ---------------------------------------------------------------------------------------------------


def fit_judge(sessions: Sequence[LogKeys], hierarchy: Hierarchy, seed: int) -> Judge:
    """The bundle's own procedure on other sessions: density, threshold, and who may clear whom."""
    model = fit_density(sessions, hierarchy, seed=seed)
    calibration = calibrate(sessions, hierarchy, seed=seed)
    counted = {_counts(log_keys, hierarchy) for log_keys in set(sessions)}
    seen = {seq for log_keys in set(sessions) for seq in _patterns(log_keys, hierarchy)}
    scored = functools.cache(lambda log_keys: round(model.score(log_keys), DECIMALS))
    unseen = functools.cache(lambda log_keys: not seen.issuperset(_patterns(log_keys, hierarchy)))

    def is_abnormal(log_keys: LogKeys) -> bool:
        return calibration.clearing.finds_abnormal(
            unseen(log_keys),
            lambda: not scored(log_keys) <= calibration.threshold,
            lambda: _counts(log_keys, hierarchy) not in counted,
        )

    def judge(judged: Sequence[LogKeys]) -> tuple[Floats, Flags]:
        scores = np.array([scored(log_keys) for log_keys in judged], np.float64)
        return scores, np.array([is_abnormal(log_keys) for log_keys in judged], np.bool_)

    return Judge(judge, calibration.threshold, calibration.band)


def _counts(log_keys: LogKeys, hierarchy: Hierarchy) -> frozenset[tuple[Feature, int]]:
    return frozenset(nested_counts(log_keys, hierarchy).items())


def _patterns(log_keys: LogKeys, hierarchy: Hierarchy) -> set[tuple[Level, tuple[int, ...]]]:
    return {(seq.level, seq.pattern) for seq in hierarchy.decompose(log_keys)}


# --- what it is worth ------------------------------------------------------------------------------------------------


def _split(executions: Sequence[_Execution], given: ReportInput) -> _Split | None:
    """Fit on the first part of the normal sessions, judge the rest and all abnormal ones; None if there are too few."""
    rng = np.random.default_rng(given.seed)
    timed = _has_times(executions)
    every = [execution for execution in executions if not execution.abnormal]
    normals = _sample(every, _MOST, rng)
    abnormal = _sample(
        [execution for execution in executions if execution.abnormal], _MOST_ABNORMAL, rng
    )
    if given.cut_ns is not None and timed:
        at = sum(execution.first_ns < given.cut_ns for execution in normals)
    else:
        at = round((1 - _HELD_OUT) * len(normals))
        if not timed:
            normals = [normals[i] for i in rng.permutation(len(normals))]
    held_out = [
        execution
        for execution in normals[at:]
        if given.labels is None or execution.abnormal is False
    ]
    if at < _FEWEST or not held_out:
        return None
    sampled_from = len(every) if len(every) > len(normals) else None
    return _Split(
        "chronological" if timed else "random",
        normals[:at],
        held_out,
        abnormal,
        len(normals),
        sampled_from,
    )


def _sample(executions: list[_Execution], most: int, rng: np.random.Generator) -> list[_Execution]:
    """At most so many, still in order."""
    if len(executions) <= most:
        return executions
    return [executions[i] for i in np.sort(rng.choice(len(executions), most, replace=False))]


def _measure(split: _Split, given: ReportInput) -> dict[str, Any]:
    """Our detector and the baselines on one split; then ours again, fitted on less."""
    steps = 1 + len(BASELINES) + _REPEATS * len(_SHARES)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        given.on_progress(done, steps)

    fitted = _instances(split.fitted)
    hierarchy = Hierarchy(given.rows)
    faults = _faults(split, hierarchy, given.seed)
    fit = given.fit or functools.partial(fit_judge, hierarchy=hierarchy, seed=given.seed)
    judge = fit(fitted)
    ours = _figures(OURS, _rule(judge), split, faults)
    step()
    methods = [ours]
    for name, fit_baseline in BASELINES.items():
        methods.append(_figures(name, fit_baseline(fitted), split, faults))
        step()
    return {
        "holdout": {
            "kind": split.kind,
            "share": len(split.normal) / split.normals,
            "fitted": len(split.fitted),
            "normal": len(split.normal),
            "abnormal": len(split.abnormal) if given.labels is not None else None,
            "sampled_from": split.sampled_from,
            "injected": {kind: len(sessions) for kind, sessions in faults.items()},
            "methods": methods,
        },
        "scores": _scores(judge, split, faults),
        "efficiency": [
            *_efficiency(split, faults, fit, given.seed, step),
            _point(split, len(split.fitted), [ours]),
        ],
    }


def _instances(executions: Sequence[_Execution]) -> list[LogKeys]:
    return [log_keys for execution in executions for log_keys in execution.instances]


def _faults(split: _Split, hierarchy: Hierarchy, seed: int) -> dict[str, list[LogKeys]]:
    """Faulty sessions by kind, made of held-out normal ones; what makes a normal session of another is no fault."""
    rng = np.random.default_rng(seed)
    hosts = [
        log_keys for log_keys in _instances(_sample(split.normal, _MOST_INJECTED, rng)) if log_keys
    ]
    pool = sorted({key for log_keys in _instances(split.fitted) for key in log_keys})
    normal = {(), *_instances(split.fitted), *_instances(split.normal)}
    made = {kind: [inject(host, kind, rng, hierarchy, pool) for host in hosts] for kind in KINDS}
    left = {
        kind: [log_keys for log_keys in sessions if log_keys not in normal]
        for kind, sessions in made.items()
    }
    return {kind: sessions for kind, sessions in left.items() if sessions}


def _rule(judge: Judge) -> Rule:
    return lambda sessions: judge.judge(sessions)[1]


def _flagged(rule: Rule, executions: Sequence[_Execution]) -> Flags:
    distinct = list(dict.fromkeys(_instances(executions)))
    abnormal = (
        {k for k, flag in zip(distinct, rule(distinct), strict=True) if flag} if distinct else set()
    )
    return np.array(
        [not abnormal.isdisjoint(execution.instances) for execution in executions], np.bool_
    )


def _figures(
    name: str, rule: Rule, split: _Split, faults: Mapping[str, Sequence[LogKeys]]
) -> dict[str, Any]:
    """One row of the comparison. Without labelled anomalies found, missed, precision, recall and F1 are None."""
    false = int(_flagged(rule, split.normal).sum())
    by_kind = {kind: float(np.mean(rule(sessions))) for kind, sessions in faults.items()}
    figures: dict[str, Any] = {
        "name": name,
        "false_alarms": false,
        "false_alarm_rate": false / len(split.normal),
        "faults": by_kind,
        "faults_mean": float(np.mean(list(by_kind.values()))) if by_kind else None,
        **dict.fromkeys(("found", "missed", "precision", "recall", "f1")),
    }
    if split.abnormal:
        found = int(_flagged(rule, split.abnormal).sum())
        figures |= {
            "found": found,
            "missed": len(split.abnormal) - found,
            "precision": found / (found + false) if found + false else None,
            "recall": found / len(split.abnormal),
            "f1": 2 * found / (found + false + len(split.abnormal)),
        }
    return figures


def _efficiency(
    split: _Split,
    faults: Mapping[str, Sequence[LogKeys]],
    fit: Callable[[Sequence[LogKeys]], Judge],
    seed: int,
    step: Callable[[], None],
) -> list[dict[str, Any]]:
    """What fewer normal sessions would have given, on the same test; mean of a few random draws each."""
    points = []
    for share in _SHARES:
        size = round(share * split.normals)
        figures = []
        for repeat in range(_REPEATS):
            if _FEWEST <= size < len(split.fitted):
                rng = np.random.default_rng((seed, repeat, size))
                judge = fit(_instances(_sample(split.fitted, size, rng)))
                figures.append(_figures(OURS, _rule(judge), split, faults))
            step()
        if figures:
            points.append(_point(split, size, figures))
    return points


def _point(split: _Split, size: int, figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    point: dict[str, Any] = {"share": size / split.normals, "sessions": size, "draws": len(figures)}
    for name in ("f1", "false_alarm_rate", "faults_mean"):
        values = [figure[name] for figure in figures if figure[name] is not None]
        point[name] = float(np.mean(values)) if values else None
    return point


def _scores(judge: Judge, split: _Split, faults: Mapping[str, Sequence[LogKeys]]) -> dict[str, Any]:
    """Histograms over common bins, even in asinh(score): linear near 0, logarithmic far out.

    The last bin also takes scores that are no number.
    """
    groups: dict[str, Floats] = {"normal": _scored(judge, split.normal)}
    if faults:
        groups["fault"] = np.concatenate(
            [_finite(judge.judge(sessions)[0]) for sessions in faults.values()]
        )
    if split.abnormal:
        groups["abnormal"] = _scored(judge, split.abnormal)
    marks = [x for x in (judge.threshold, *judge.band) if math.isfinite(x)]
    every = np.concatenate([*groups.values(), np.array(marks)])
    real = every[np.isfinite(every)]
    low, high = (float(real.min()), float(real.max())) if len(real) else (0.0, 1.0)
    edges = np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(max(high, low + 1)), _BINS + 1)).round(
        6
    )
    return {
        "threshold": judge.threshold,
        "band": list(judge.band),
        "edges": edges.tolist(),
        "groups": [
            {"name": name, "sessions": len(scores), "counts": _histogram(scores, edges)}
            for name, scores in groups.items()
        ],
    }


def _scored(judge: Judge, executions: Sequence[_Execution]) -> Floats:
    """An execution scores as its most abnormal instance."""
    distinct = list(dict.fromkeys(_instances(executions)))
    scores = dict(zip(distinct, _finite(judge.judge(distinct)[0]).tolist(), strict=True))
    return np.array(
        [max(scores[log_keys] for log_keys in execution.instances) for execution in executions]
    )


def _finite(scores: Floats) -> Floats:
    return np.where(np.isnan(scores), np.inf, scores)


def _histogram(scores: Floats, edges: NDArray[Any]) -> list[int]:
    counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
    return [int(count) for count in counts]


# --- what it looks like ----------------------------------------------------------------------------------------------


def _tree(given: ReportInput) -> dict[str, Any]:
    """Entities, their actions and templates, the most frequent first. Rare templates beyond a number are left out."""
    events = _events_by_key(given)
    sessions: Counter[int] = Counter()
    for session in _training(given):
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
    """One alert of each sort, false alarms among them.

    The report travels with the bundle: session keys are hashed, raw lines left out.
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


def _warnings(report: Mapping[str, Any], given: ReportInput) -> list[dict[str, str]]:
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
    fitted = len({session.key for session in _training(given)})
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


def _plain(value: Any) -> Any:
    """As JSON carries it: no numpy, no infinity, floats to six digits."""
    if isinstance(value, Mapping):
        return {str(name): _plain(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


# --- for the terminal ------------------------------------------------------------------------------------------------


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
