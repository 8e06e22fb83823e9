"""Measures a detector and the baselines on sessions that they were not fitted on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.budget import DECIMALS

from ..calibrate import FAULTS, calibrate
from ..faults import STEP_KINDS, Injector
from ..fit_witnesses import DENSITY, Forms, fit_witnesses
from ..traces import Trace
from ..train import fit_density
from .baselines import BASELINES, Flags, Floats, LogKeys, Rule
from .input import Execution, FittedDetector, ReportInput, has_times

# The name of the judged bundle in tables.
OURS = "this bundle"
# Share of the normal sessions that is held out, where the bundle itself was fitted on all of them.
_HELD_OUT = 0.2
# Shares of all normal sessions at which the data-efficiency curve is measured. The curve ends at
# the share that was really fitted on.
_SHARES = (0.01, 0.05, 0.2)
# Random draws for each share, whose mean is shown: a single small draw may be a lucky one.
_REPEATS = 3
# Faults of each kind that divide the budget of such a draw. A bundle's own number would make the
# curve take most of the time of a report, and it is a mean of draws anyway.
_FEW_FAULTS = 100
# Normal sessions that take part. A larger log takes a sample of this size, so that a report
# costs about a minute.
MOST_SESSIONS = 16_000
# Abnormal sessions that take part, for the same reason.
_MOST_ABNORMAL = 4_000
# Held-out normal sessions that get each kind of fault. Shares are then exact to about 2 %.
_MOST_INJECTED = 400
# Fewest sessions to fit on. With fewer, nothing is measured.
_FEWEST = 20
# Bars of a histogram. They are still wide enough to see on a phone.
_BINS = 48


@dataclass(frozen=True, slots=True)
class Split:
    """Which sessions to fit on, and which to judge.

    `normal` are held-out sessions, which are presumed normal where nothing is labelled. `normals`
    counts the normal sessions of both parts. `sampled_from` counts the normal sessions of the log,
    or is None where all of them took part.
    """

    kind: Literal["chronological", "random"]
    fitted: list[Execution]
    normal: list[Execution]
    abnormal: list[Execution]
    normals: int
    sampled_from: int | None


def fit_judge(
    sessions: Sequence[LogKeys],
    hierarchy: Hierarchy,
    seed: int,
    false_alarms: float,
    faults: int = FAULTS,
    labelled: bool = False,
) -> FittedDetector:
    """A judge made of `sessions` as the bundle was made, for as many false alarms."""
    model = fit_density(sessions, hierarchy, seed=seed)
    calibration = calibrate(
        sessions, hierarchy, seed=seed, false_alarms=false_alarms, faults=faults, labelled=labelled
    )
    thresholds = calibration.thresholds
    traces = [Trace(tuple(keys)) for keys in sessions]
    witnesses = fit_witnesses(traces, hierarchy, Forms(hierarchy), model.counts())
    density = functools.cache(lambda log_keys: round(model.score(log_keys), DECIMALS))

    def is_abnormal(log_keys: LogKeys) -> bool:
        scores = witnesses.scores(Trace(log_keys)) | {DENSITY: density(log_keys)}
        return any(not scores[name] <= threshold for name, threshold in thresholds.items())

    def judge(judged: Sequence[LogKeys]) -> tuple[Floats, Flags]:
        scores = np.array([density(log_keys) for log_keys in judged], np.float64)
        return scores, np.array([is_abnormal(log_keys) for log_keys in judged], np.bool_)

    return FittedDetector(judge, calibration.threshold, calibration.band)


def split_sessions(executions: Sequence[Execution], given: ReportInput) -> Split | None:
    """The first part of the normal sessions to fit on; the rest and all abnormal ones to judge.

    Sessions without times are divided at random. The result is None where too few are normal.
    """
    rng = np.random.default_rng(given.seed)
    timed = has_times(executions)
    every = [execution for execution in executions if not execution.abnormal]
    normals = _sample(every, MOST_SESSIONS, rng)
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
    kind: Literal["chronological", "random"] = "random"
    if timed:
        kind = "chronological"
    sampled_from = None
    if len(every) > len(normals):
        sampled_from = len(every)
    return Split(kind, normals[:at], held_out, abnormal, len(normals), sampled_from)


def _sample(executions: list[Execution], most: int, rng: np.random.Generator) -> list[Execution]:
    """At most `most` executions, drawn at random, in their order."""
    if len(executions) <= most:
        return executions
    return [executions[i] for i in np.sort(rng.choice(len(executions), most, replace=False))]


def measure(split: Split, given: ReportInput) -> dict[str, Any]:
    """The figures of our detector and the baselines on one split, and of ours fitted on less.

    The detector is fitted and calibrated anew about ten times, mostly on few sessions.
    """
    steps = 1 + len(BASELINES) + _REPEATS * len(_SHARES)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        given.on_progress(done, steps)

    fitted = _instances(split.fitted)
    hierarchy = Hierarchy(given.rows)
    faults = _faults(split, hierarchy, given.seed)
    fit_ours = functools.partial(
        fit_judge,
        hierarchy=hierarchy,
        seed=given.seed,
        false_alarms=given.calibration.asked,
        labelled=given.labels is not None,
    )
    judge = (given.fit or fit_ours)(fitted)
    fit_few = given.fit or functools.partial(fit_ours, faults=_FEW_FAULTS)
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
            *_efficiency(split, faults, fit_few, given.seed, step),
            _point(split, len(split.fitted), [ours]),
        ],
    }


def _instances(executions: Sequence[Execution]) -> list[LogKeys]:
    return [log_keys for execution in executions for log_keys in execution.instances]


def _faults(split: Split, hierarchy: Hierarchy, seed: int) -> dict[str, list[LogKeys]]:
    """Faulty sessions by kind of fault, made of held-out normal sessions.

    A copy that equals a normal session has no fault and is left out.
    """
    rng = np.random.default_rng(seed)
    hosts = [
        log_keys for log_keys in _instances(_sample(split.normal, _MOST_INJECTED, rng)) if log_keys
    ]
    pool = sorted({key for log_keys in _instances(split.fitted) for key in log_keys})
    normal = {(), *_instances(split.fitted), *_instances(split.normal)}
    injector = Injector(hierarchy, pool, rng)
    left: dict[str, list[LogKeys]] = {}
    for kind in STEP_KINDS:
        made = [injector.inject(Trace(host), kind) for host in hosts]
        left[kind] = [trace.keys for trace in made if trace and trace.keys not in normal]
    return {kind: sessions for kind, sessions in left.items() if sessions}


def _rule(judge: FittedDetector) -> Rule:
    return lambda sessions: judge.judge(sessions)[1]


def _flagged(rule: Rule, executions: Sequence[Execution]) -> Flags:
    distinct = list(dict.fromkeys(_instances(executions)))
    if not distinct:
        return np.zeros(len(executions), np.bool_)
    abnormal = {k for k, flag in zip(distinct, rule(distinct), strict=True) if flag}
    return np.array(
        [not abnormal.isdisjoint(execution.instances) for execution in executions], np.bool_
    )


def _figures(
    name: str, rule: Rule, split: Split, faults: Mapping[str, Sequence[LogKeys]]
) -> dict[str, Any]:
    """One row of the comparison.

    Without labelled anomalies, found, missed, precision, recall and F1 are None.
    """
    false = int(_flagged(rule, split.normal).sum())
    by_kind = {kind: float(np.mean(rule(sessions))) for kind, sessions in faults.items()}
    figures: dict[str, Any] = {
        "name": name,
        "false_alarms": false,
        "false_alarm_rate": false / len(split.normal),
        "faults": by_kind,
        "faults_mean": _mean(list(by_kind.values())),
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


def _mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return float(np.mean(values))


def _efficiency(
    split: Split,
    faults: Mapping[str, Sequence[LogKeys]],
    fit: Callable[[Sequence[LogKeys]], FittedDetector],
    seed: int,
    step: Callable[[], None],
) -> list[dict[str, Any]]:
    """The figures after fitting on fewer normal sessions, as means of a few random draws."""
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


def _point(split: Split, size: int, figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    point: dict[str, Any] = {"share": size / split.normals, "sessions": size, "draws": len(figures)}
    for name in ("f1", "false_alarm_rate", "faults_mean"):
        values = [figure[name] for figure in figures if figure[name] is not None]
        point[name] = _mean(values)
    return point


def _scores(
    judge: FittedDetector, split: Split, faults: Mapping[str, Sequence[LogKeys]]
) -> dict[str, Any]:
    """Histograms of scores over common bins.

    The bins have equal width in asinh(score), which is linear near 0 and logarithmic far from it.
    The last bin also takes scores that are not a number.
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


def _scored(judge: FittedDetector, executions: Sequence[Execution]) -> Floats:
    """The score of each execution, which is that of its most abnormal instance."""
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
