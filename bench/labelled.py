"""The authors' labelled sessions, the product fitted to them, and figures of its verdicts."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas
from numpy.typing import NDArray

from export.calibrate import Calibration, calibrate
from export.fit_witnesses import fit_steps
from export.to_onnx import fit_onnx, nested_files
from export.traces import Trace
from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.localise import SeqDetector
from fluent_krone.detect.budget import clearing_of
from fluent_krone.detect.local_context import Automaton, LocalContext
from fluent_krone.detect.loops import loops_to_json
from fluent_krone.detect.needs import needs_to_json
from fluent_krone.detect.nested_aware import NestedAware
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.witnesses import StepWitnesses
from fluent_krone.types import LEVELS

LogKeys = tuple[int, ...]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Data:
    """The authors' 20,000 sessions. `odd` labels every event, where the data has such labels."""

    leaves: list[Leaf]
    sessions: list[LogKeys]
    abnormal: Flags
    odd: list[list[int]] | None

    def split(self, seed: int) -> tuple[Ints, Ints]:
        """The authors' split: 16,000 normal sessions for training, all others for test."""
        normal = pandas.Series(np.flatnonzero(~self.abnormal))
        train = np.sort(normal.sample(n=16_000, random_state=seed).to_numpy())
        return train, np.setdiff1d(np.arange(len(self.sessions)), train)

    def pick(self, indices: Iterable[int]) -> list[LogKeys]:
        return [self.sessions[i] for i in indices]


@cache
def authors_data(folder: Path) -> Data:
    tree = pandas.read_csv(folder / "reference_tree.csv", dtype=str, keep_default_na=False)
    # Log keys are the numbers of the rows of the authors' tree.
    log_key = {event_id: i for i, event_id in enumerate(tree.event_id)}
    table = pandas.read_csv(folder / "sequences.csv")
    return Data(
        [
            Leaf(*row)
            for row in zip(
                tree.log_template, tree.entity_1, tree.action_1, tree.status, strict=True
            )
        ],
        [
            tuple(log_key[str(event)] for event in ast.literal_eval(text))
            for text in table.EventSequence
        ],
        (table.Label == 1).to_numpy(),
        [list(map(int, ast.literal_eval(text))) for text in table.token_anomaly_label]
        if "token_anomaly_label" in table
        else None,
    )


def flat(leaves: Sequence[Leaf]) -> Hierarchy:
    """A tree with a single action, so that a session is one Seq and only log keys count."""
    return Hierarchy([Leaf(leaf.template, "all", "all", str(i)) for i, leaf in enumerate(leaves)])


# --- the product ---


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that a bundle contains of one training set."""

    hierarchy: Hierarchy
    patterns: LocalContext
    nested: NestedAware
    calibration: Calibration
    witnesses: StepWitnesses

    def cascade(
        self, false_alarms: float | None = None, patterns: SeqDetector | None = None
    ) -> Cascade:
        """As an engine has it, for a number of false alarms in 1,000 normal sessions; with other
        `patterns` where they are given."""
        budget = self.calibration.plans
        thresholds = budget.thresholds(false_alarms or self.calibration.asked)
        return Cascade(
            self.hierarchy,
            patterns or self.patterns,
            self.nested.at(thresholds),
            clearing_of(thresholds),
            steps=Steps(self.hierarchy, self.witnesses, budget, thresholds),
        )


def local_context(
    sessions: Iterable[LogKeys], hierarchy: Hierarchy, automaton: Automaton = "off"
) -> LocalContext:
    seqs = {seq for keys in set(sessions) for seq in hierarchy.decompose(keys)}
    patterns = {level: {seq.pattern for seq in seqs if seq.level == level} for level in LEVELS}
    return LocalContext(patterns, automaton)


def fit(sessions: Sequence[LogKeys], hierarchy: Hierarchy, cache_bytes: int = 16_000_000) -> Fitted:
    """What the export would put into a bundle for these normal sessions."""
    # The model goes through ONNX, so that what is measured is what is served.
    model, content = fit_onnx(sessions, hierarchy)
    calibration = calibrate(sessions, hierarchy, labelled=True)
    nested = NestedAware(
        hierarchy,
        replace(
            nested_files(model, content, calibration.threshold, calibration.band),
            costs=model.costs.tolist(),
            number_costs=model.number_costs.tolist(),
            proving=True,
            needs=needs_to_json(model.needs),
            loops=loops_to_json(model.loops),
        ),
        cache_bytes=cache_bytes,
    )
    witnesses = fit_steps([Trace(keys) for keys in sessions], hierarchy)
    return Fitted(hierarchy, local_context(sessions, hierarchy), nested, calibration, witnesses)


def judge(cascade: Cascade, sessions: Sequence[LogKeys]) -> Flags:
    """The verdict at the end of each session. Equal sessions are judged once."""
    found = {
        keys: cascade.at_end(cascade.tracker.replay(keys), keys) is not None
        for keys in set(sessions)
    }
    return np.array([found[keys] for keys in sessions])


def judge_all_kinds(cascade: Cascade, sessions: Sequence[LogKeys]) -> Flags:
    """Whether a session gets any alert: as a whole, or for the order of one of its steps."""
    found = {keys: _is_odd(cascade, keys) for keys in set(sessions)}
    return np.array([found[keys] for keys in sessions])


def _is_odd(cascade: Cascade, keys: LogKeys) -> bool:
    state = cascade.tracker.start
    odd = False
    for key in keys:
        state = cascade.tracker.step(state, key, keys)
        odd = odd or bool(state.deviations)
    return odd or bool(cascade.ending(state, keys)[0]) or cascade.at_end(state, keys) is not None


# Seeds of the splits on which the recipe was chosen.
CHOSEN_ON = range(6)


@cache
def fitted_split(data: Path, name: str, seed: int, *, with_tree: bool = True) -> Fitted:
    """The product, fitted to the training sessions of a split; several tables ask for the same."""
    authors = authors_data(data / f"krone_{name}")
    train, _ = authors.split(seed)
    tree = flat(authors.leaves)
    if with_tree:
        tree = Hierarchy(authors.leaves)
    return fit(authors.pick(train), tree)


# --- figures ---


@dataclass(frozen=True)
class Confusion:
    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float:
        return 2 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)


def outcome(flagged: Flags, abnormal: Flags) -> Confusion:
    return Confusion(
        *(int(n.sum()) for n in (flagged & abnormal, flagged & ~abnormal, ~flagged & abnormal))
    )


def summary(outcomes: Sequence[Confusion]) -> dict[str, Any]:
    scores = [o.f1 for o in outcomes]
    return {
        "f1_mean": round(float(np.mean(scores)), 4),
        "f1_worst": round(min(scores), 4),
        "fp_fn": [[o.fp, o.fn] for o in outcomes],
    }


def one_line(figures: dict[str, Any]) -> str:
    pairs = " ".join(f"{fp}/{fn}" for fp, fn in figures["fp_fn"])
    return f"{figures['f1_mean']:.4f} (worst {figures['f1_worst']:.4f})  FP/FN {pairs}"


def average_precision(scores: Sequence[float], labels: Sequence[int]) -> float:
    """The mean precision over all steps of recall. Events with equal scores count together."""
    values = np.asarray(scores, float)
    hits = np.asarray(labels, bool)
    cuts = np.unique(values)[::-1]
    taken = values[None] >= cuts[:, None]
    found = (taken & hits).sum(1)
    return float((np.diff(found, prepend=0) * found / taken.sum(1)).sum() / hits.sum())
