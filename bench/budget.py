"""What a budget of false alarms buys: sets of sessions, each at several numbers of false alarms.

Thresholds come from normal training sessions alone, and labels are only used to count. Every set is
judged by its sequence alerts alone and by all kinds of alert together, with the tree and flat, and
beside trivial rules. Faults are injected into test sessions, not into those that were fitted on.
`false_alarms` is how many times as many are raised as were asked for, and `by_chance` within which
bounds that lies for one seed by chance alone. `shortfall` is by how much a trivial rule finds more
of a kind of fault than we do for as many false alarms, at the worst rule and kind; below 0 where
none finds more.

    python bench/budget.py [--data ../shared/data] [--only bpic12 …] [--seeds 0 1 …] [--json]
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import numpy as np
from labelled import Flags, LogKeys, authors_data, flat, outcome

from export.calibrate import Calibration, calibrate
from export.faults import STEP_KINDS, Injector
from export.fit_witnesses import DENSITY, WHOLE, Forms, fit_witnesses
from export.hierarchy import extract
from export.plan_budget import PLANNED
from export.report.baselines import BASELINES
from export.traces import Trace
from export.train import fit_density
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.detect.budget import DECIMALS

# Every plan of a bundle, so that a rule is compared with us at nearly as many false alarms.
ASKED = PLANNED
# Those whose observed false alarms are compared with what was asked for.
PROMISED = ("0.5", "1", "5", "20")
# Counts of false alarms as few or as many as this share of tests has them are unusual.
_UNUSUAL = 0.05
# Observed false alarms in 1,000 normal sessions at which the tree is compared with none.
_RATES = (1.0, 2.0, 5.0, 10.0)
# A rule that flags more normal sessions than this, in 1,000, is of no use.
_MOST_FALSE = 20.0
# Test sessions that get each kind of fault.
_HOSTS = 400
# Real normals of the full HDFS log; its false alarms are scaled to that many.
_HDFS_NORMALS = 558_223
# Longer sessions are cut, as `max_events` cuts them.
_MOST_EVENTS = 10_000


@dataclass(frozen=True)
class Case:
    """Sessions to fit on and to judge; `scale` is how many real normals one stands for.

    `kinds` are the labels' own kinds of fault, where they have any, one a test session.
    """

    leaves: Sequence[Leaf]
    train: list[LogKeys]
    test: list[LogKeys]
    abnormal: Flags
    scale: float = 1.0
    kinds: Sequence[str] = ()


def authors_case(data: Path, name: str, seed: int) -> Case:
    authors = authors_data(data / name)
    train, test = authors.split(seed)
    return Case(authors.leaves, authors.pick(train), authors.pick(test), authors.abnormal[test])


def listed_case(data: Path, name: str, seed: int) -> Case:
    """A set of `sessions.jsonl.gz`. Full HDFS says which normals may be used for training."""
    with (data / name / "templates.csv").open(encoding="utf-8", newline="") as file:
        templates = list(csv.DictReader(file))
    number = {row["EventId"]: i for i, row in enumerate(templates)}
    with gzip.open(data / name / "sessions.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    keys = [tuple(number[key] for key in row["keys"])[:_MOST_EVENTS] for row in rows]
    abnormal = np.array([bool(row["label"]) for row in rows])
    given = np.array([row.get("part") == "train" for row in rows])
    size = {"bpic12": 6_000, "lpr_mit": 1_350, "hdfs_full": 4_855}[name]
    pool = np.flatnonzero(~abnormal & (given | ~given.any()))
    train = np.sort(np.random.default_rng(seed).permutation(pool)[:size])
    test = np.setdiff1d(np.arange(len(rows)), np.flatnonzero(given) if given.any() else train)
    scale = 1.0
    if name == "hdfs_full":
        scale = _HDFS_NORMALS / int((~abnormal[test]).sum())
    leaves = list(extract([row["EventTemplate"] for row in templates], None))
    kinds = [rows[i].get("kind") or "" for i in test]
    judged_keys = [keys[i] for i in test]
    return Case(leaves, [keys[i] for i in train], judged_keys, abnormal[test], scale, kinds)


CASES: Mapping[str, Callable[[Path, str, int], Case]] = {
    "krone_hdfs": authors_case,
    "krone_thunderbird": authors_case,
    "hdfs_full": listed_case,
    "bpic12": listed_case,
    "lpr_mit": listed_case,
}


class Fitted:
    """All witnesses of one training set, and their budget."""

    def __init__(self, train: Sequence[LogKeys], hierarchy: Hierarchy) -> None:
        self.calibration: Calibration = calibrate(train, hierarchy, labelled=True)
        self._model = fit_density(train, hierarchy)
        traces = [Trace(keys) for keys in train]
        counts = self._model.counts()
        self._witnesses = fit_witnesses(traces, hierarchy, Forms(hierarchy), counts)

    def scores(self, sessions: Sequence[LogKeys]) -> dict[str, np.ndarray[Any, Any]]:
        """Each score of each session; equal sessions are judged once."""
        found = {}
        for keys in set(sessions):
            found[keys] = self._witnesses.scores(Trace(keys))
            found[keys][DENSITY] = round(self._model.score(keys), DECIMALS)
        names = next(iter(found.values()))
        return {name: np.array([found[keys][name] for keys in sessions]) for name in names}

    def flags(
        self, scores: Mapping[str, np.ndarray[Any, Any]], asked: float, names: Sequence[str] = ()
    ) -> Flags:
        """Which sessions are flagged, by all scores or by some."""
        thresholds = self.calibration.plans.thresholds(asked)
        over = [scores[n] > t for n, t in thresholds.items() if not names or n in names]
        return np.asarray(np.any(over, axis=0), np.bool_)


def faults_of(case: Case, hierarchy: Hierarchy, seed: int) -> dict[str, list[LogKeys]]:
    """Faulty copies of normal test sessions, by kind."""
    rng = np.random.default_rng(seed)
    injector = Injector(hierarchy, sorted({key for keys in case.train for key in keys}), rng)
    normal = [keys for keys, bad in zip(case.test, case.abnormal, strict=True) if not bad]
    known = {*case.train, *normal}
    made: dict[str, list[LogKeys]] = {}
    for kind in STEP_KINDS:
        hosts = rng.permutation(len(normal))[:_HOSTS]
        traces = [injector.inject(Trace(normal[i]), kind) for i in hosts]
        made[kind] = [trace.keys for trace in traces if trace and trace.keys not in known]
    return {kind: sessions for kind, sessions in made.items() if sessions}


def f1(flagged: Flags, case: Case) -> float:
    counted = outcome(flagged, case.abnormal)
    false = counted.fp * case.scale
    return 2 * counted.tp / max(1.0, 2 * counted.tp + false + counted.fn)


def recalls(flagged: Flags, case: Case) -> dict[str, float]:
    """The share found of the labelled sessions, by the labels' own kinds."""
    if not any(case.kinds):
        return {"all": round(float(flagged[case.abnormal].mean()), 4)}
    kinds = np.array(case.kinds)
    return {
        kind: round(float(flagged[case.abnormal & (kinds == kind)].mean()), 4)
        for kind in sorted(set(kinds[case.abnormal]))
    }


def judged(case: Case, hierarchy: Hierarchy, seed: int) -> dict[str, Any]:
    """The figures of one fit."""
    fitted = Fitted(case.train, hierarchy)
    scores = fitted.scores(case.test)
    faults = {
        kind: fitted.scores(sessions) for kind, sessions in faults_of(case, hierarchy, seed).items()
    }
    found: dict[str, Any] = {}
    for asked in ASKED:
        flagged = fitted.flags(scores, asked)
        sequence = fitted.flags(scores, asked, WHOLE)
        found[f"{asked:g}"] = {
            "observed": round(1000 * float(flagged[~case.abnormal].mean()), 2),
            "normals": int((~case.abnormal).sum()),
            "f1": round(f1(flagged, case), 4),
            "f1_sequence": round(f1(sequence, case), 4),
            "labelled": recalls(flagged, case),
            "faults": {
                kind: round(float(fitted.flags(of_kind, asked).mean()), 3)
                for kind, of_kind in faults.items()
            },
        }
    return found


def trivial(case: Case, hierarchy: Hierarchy, seed: int) -> dict[str, Any]:
    """The trivial rules on the same sessions and faults."""
    faults = faults_of(case, hierarchy, seed)
    found = {}
    for name, fit in BASELINES.items():
        rule = fit(case.train)
        flagged = rule(case.test)
        found[name] = {
            "observed": round(1000 * float(flagged[~case.abnormal].mean()), 2),
            "f1": round(f1(flagged, case), 4),
            "labelled": recalls(flagged, case),
            "faults": {
                kind: round(float(rule(sessions).mean()), 3) for kind, sessions in faults.items()
            },
        }
    return found


def shortfalls(found: Mapping[str, Any]) -> dict[str, float]:
    """By kind of fault, injected or labelled: how much more the best trivial rule finds for as many
    false alarms as it raises itself."""
    worst: dict[str, float] = {}
    for rule in found["trivial"].values():
        if rule["observed"] > _MOST_FALSE:
            continue
        ours = [f for f in found["hierarchy"].values() if f["observed"] <= rule["observed"] + 0.2]
        if not ours:
            continue
        # Of plans that raise equally many, the last one finds most.
        most = max(figures["observed"] for figures in ours)
        best = [figures for figures in ours if figures["observed"] == most][-1]
        for group in ("faults", "labelled"):
            for kind, share in rule[group].items():
                more = share - best[group][kind]
                name = kind if group == "faults" else f"labelled {kind}"
                worst[name] = round(max(more, worst.get(name, -1.0)), 3)
    return worst


def summarised(by_seed: Mapping[str, Any]) -> dict[str, Any]:
    """The means over the seeds of a set, and what is worst."""
    runs = list(by_seed.values())
    figures: dict[str, Any] = {"seeds": [int(seed) for seed in by_seed]}
    for method in ("hierarchy", "flat"):
        if method not in runs[0]:
            continue
        table: dict[str, Any] = {}
        for asked in runs[0][method]:
            rows = [run[method][asked] for run in runs]
            table[asked] = {
                "observed": round(float(np.mean([row["observed"] for row in rows])), 2),
                "labelled": round(float(np.mean([_mean(row["labelled"]) for row in rows])), 4),
                "injected": round(float(np.mean([_mean(row["faults"]) for row in rows])), 4),
            }
            for name in ("f1", "f1_sequence"):
                values = [row[name] for row in rows]
                table[asked][name] = round(float(np.mean(values)), 4)
                table[asked][f"{name}_worst"] = min(values)
        figures[method] = table
    if "flat" in figures:
        figures["tree_adds"] = {f"{rate:g}": tree_adds(runs, rate) for rate in _RATES}
    ours = figures["hierarchy"]
    figures |= promises(ours, runs[0]["hierarchy"])
    short = [shortfalls(run) for run in runs]
    kinds = sorted({kind for of_run in short for kind in of_run})
    figures["shortfall"] = {
        kind: round(float(np.mean([of_run[kind] for of_run in short if kind in of_run])), 3)
        for kind in kinds
    }
    return figures


def promises(means: Mapping[str, Any], of_one: Mapping[str, Any]) -> dict[str, Any]:
    """How many times as many false alarms are raised as were asked for, and what chance makes of
    it in one test."""
    return {
        "false_alarms": {
            asked: round(means[asked]["observed"] / float(asked), 2) for asked in PROMISED
        },
        "by_chance": {
            asked: by_chance(float(asked) / 1000 * of_one[asked]["normals"]) for asked in PROMISED
        },
    }


def by_chance(expected: float) -> tuple[float, float]:
    """Between which multiples of what is expected the false alarms of one test lie in 95 of 100, if
    every normal session is flagged as often as was asked for.

    >>> by_chance(1.0), by_chance(100.0)
    ((0.0, 3.0), (0.81, 1.2))
    """
    low = high = -1
    count = 0
    share = math.exp(-expected)
    below = share
    while high < 0:
        if low < 0 and below >= _UNUSUAL / 2:
            low = count
        if below >= 1 - _UNUSUAL / 2:
            high = count
        count += 1
        share *= expected / count
        below += share
    return round(low / expected, 2), round(high / expected, 2)


def tree_adds(runs: Sequence[Mapping[str, Any]], rate: float) -> dict[str, float]:
    """How much more is found with the tree than flat at as many observed false alarms, as the mean
    over the seeds: between two plans of a bundle the share is taken to grow evenly."""
    added: dict[str, float] = {}
    for group in ("labelled", "faults"):
        shares = {
            method: [
                float(
                    np.interp(
                        rate,
                        [figures["observed"] for figures in run[method].values()],
                        [_mean(figures[group]) for figures in run[method].values()],
                    )
                )
                for run in runs
            ]
            for method in ("hierarchy", "flat")
        }
        added[group] = round(float(np.mean(shares["hierarchy"]) - np.mean(shares["flat"])), 4)
    return added


def _mean(shares: Mapping[str, float]) -> float:
    return float(np.mean([*shares.values()] or [0.0]))


def show(name: str, seed: int, found: Mapping[str, Any]) -> None:
    print(f"\n{name}, seed {seed}")
    for method in ("hierarchy", "flat", "trivial"):
        if method not in found:
            continue
        for asked, figures in found[method].items():
            mean = np.mean(list(figures["faults"].values()))
            sequence = f"  sequence {figures.get('f1_sequence', 0):.4f}" * (method != "trivial")
            print(
                f"  {method:<9} {asked:>14}  observed {figures['observed']:7.2f}  "
                f"F1 {figures['f1']:.4f}{sequence}  labelled {_mean(figures['labelled']):.3f}  "
                f"injected {mean:.3f}"
            )
    if "flat" in found:
        for rate in _RATES:
            added = tree_adds([found], rate)
            print(
                f"  with the tree, at {rate:g} false alarms in 1,000: labelled "
                f"{100 * added['labelled']:+.1f} points, injected {100 * added['faults']:+.1f}"
            )
    worst = {kind: more for kind, more in shortfalls(found).items() if more > 0.02}
    print(f"  a trivial rule finds more of: {worst or 'nothing'}")
    sys.stdout.flush()


def show_means(name: str, figures: Mapping[str, Any]) -> None:
    """The means over the seeds of what the tree adds, and of what trivial rules find more."""
    seeds = ", ".join(str(seed) for seed in figures["seeds"])
    print(f"\n{name}, mean over seeds {seeds}")
    for rate, added in figures.get("tree_adds", {}).items():
        print(
            f"  with the tree, at {rate} false alarms in 1,000: labelled "
            f"{100 * added['labelled']:+.1f} points, injected {100 * added['faults']:+.1f}"
        )
    worst = {kind: more for kind, more in figures["shortfall"].items() if more > 0.02}
    print(f"  a trivial rule finds more of: {worst or 'nothing'}", flush=True)


def judged_set(data: Path, name: str, seeds: Sequence[int], *, with_flat: bool) -> dict[str, Any]:
    """The figures of a set by seed; every run is shown as it ends."""
    by_seed: dict[str, Any] = {}
    for seed in seeds:
        case = CASES[name](data, name, seed)
        tree = Hierarchy(case.leaves)
        found = {"hierarchy": judged(case, tree, seed)}
        if with_flat:
            found["flat"] = judged(case, flat(case.leaves), seed)
        found["trivial"] = trivial(case, tree, seed)
        show(name, seed, found)
        by_seed[str(seed)] = found
    return by_seed


def main() -> int:
    parser = checkout.parser(__doc__, "", CASES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default 0 1 2")
    parser.add_argument("--no-flat", action="store_true", help="only with the tree")
    flags = parser.parse_args()
    results: dict[str, Any] = {}
    for name in flags.only:
        by_seed = judged_set(flags.data, name, flags.seeds, with_flat=not flags.no_flat)
        results[name] = {"by_seed": by_seed, **summarised(by_seed)}
        show_means(name, results[name])
    if flags.json:
        print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
