"""The method against its authors' published results, on their own data."""

from __future__ import annotations

import ast
import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas
import pytest

from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy, Leaf, NoneActions
from fluent_krone.detect.local_context import Automaton, LocalContext
from fluent_krone.types import LEVELS, Level, Verdict

Session = tuple[int, ...]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def leaves(data: Path) -> tuple[list[Leaf], dict[str, int]]:
    """The authors' tree, and their event id → log key."""
    rows = table(data / "reference_tree.csv")
    tree = [
        Leaf(row["log_template"], row["entity_1"], row["action_1"], row["status"]) for row in rows
    ]
    return tree, {row["event_id"]: i for i, row in enumerate(rows)}


@dataclass(frozen=True)
class Split:
    """The authors' split of their 20,000 sessions: 16,000 normal ones for training, others for
    test.
    """

    leaves: list[Leaf]
    train: list[Session]
    test: list[Session]
    abnormal: list[bool]


@cache
def split(data: Path) -> Split:
    tree, keys = leaves(data)
    sessions = pandas.read_csv(data / "sequences.csv")
    events = [ast.literal_eval(text) for text in sessions.EventSequence]
    sessions["log_keys"] = [
        tuple(keys.get(str(event), len(tree)) for event in seq) for seq in events
    ]
    normals = sessions[sessions.Label == 0]
    train = normals.sample(n=16_000, random_state=0)
    test = sessions.drop(train.index)
    return Split(
        tree, list(train.log_keys), list(test.log_keys), [bool(label) for label in test.Label]
    )


@dataclass(frozen=True)
class Run:
    hierarchy: Hierarchy
    detector: LocalContext
    verdicts: list[Verdict | None]


@cache
def judged(data: Path, none_actions: NoneActions, automaton: Automaton) -> Run:
    """Every test session through tracker and cascade."""
    sessions = split(data)
    hierarchy = Hierarchy(sessions.leaves, none_actions)
    patterns: dict[Level, set[Session]] = {level: set() for level in LEVELS}
    for keys in set(sessions.train):
        for seq in hierarchy.decompose(keys):
            patterns[seq.level].add(seq.pattern)
    detector = LocalContext(patterns, automaton)
    cascade = Cascade(hierarchy, detector)
    return Run(
        hierarchy,
        detector,
        [cascade.at_end(cascade.tracker.replay(keys), keys) for keys in sessions.test],
    )


def test_node_names_are_the_authors(shared_data: Path) -> None:
    data = shared_data / "krone_hdfs"
    rows, keys = leaves(data)
    tree = Hierarchy(rows)
    nodes = table(data / "reference_tree_nodes.csv")
    for row in nodes:
        key = keys[row["event_id"]]
        ours = [tree.name(level, tree.nodes(level)[key]) for level in reversed(LEVELS)]
        assert ours == [row["entity_node_id"], row["action_node_id"], row["status_node_id"]]
    assert len(nodes) == 47


def test_decomposition_is_the_authors(shared_data: Path) -> None:
    data = shared_data / "krone_hdfs"
    rows, keys = leaves(data)
    tree = Hierarchy(rows)
    sessions = table(data / "reference_decomposition.csv")
    agreeing = 0
    for row in sessions:
        log_keys = [keys[str(event)] for event in ast.literal_eval(row["seq"])]
        agreeing += all(
            ",".join(tree.name(level, tree.nodes(level)[key]) for key in log_keys)
            == row[f"{level}_nodes_for_logkeys"][1:-1]
            for level in LEVELS
        )
    assert (agreeing, len(sessions)) == (5750, 5750)


@pytest.mark.parametrize(
    ("name", "none_actions", "automaton", "figures"),
    [
        ("hdfs", "separate", "off", {"tp": 578, "fp": 18, "tn": 3403, "fn": 1}),
        ("thunderbird", "merged", "reference", {"tp": 159, "fp": 62, "tn": 3779}),
        ("thunderbird", "merged", "strict", {"tp": 159, "fp": 63, "tn": 3778}),
        ("thunderbird", "separate", "reference", {"tp": 159, "fp": 56, "tn": 3785}),
        ("thunderbird", "separate", "strict", {"tp": 159, "fp": 58, "tn": 3783}),
    ],
)
def test_verdicts_are_the_published_ones(
    shared_data: Path,
    name: str,
    none_actions: NoneActions,
    automaton: Automaton,
    figures: dict[str, int],
) -> None:
    data = shared_data / f"krone_{name}"
    tally: Counter[str] = Counter()
    for verdict, abnormal in zip(
        judged(data, none_actions, automaton).verdicts, split(data).abnormal, strict=True
    ):
        flagged = verdict is not None
        tally[("t" if flagged == abnormal else "f") + ("p" if flagged else "n")] += 1
    assert tally == figures


# -- the level, by a second implementation that shares no code with the first


class Naive:
    """The paper's words read aloud: names for nodes, three passes over a session, no state."""

    def __init__(
        self, rows: list[Leaf], none_actions: str, automaton: str, training: list[Session]
    ) -> None:
        self.nodes = [
            self.node(i, row, none_actions)
            for i, row in enumerate([*rows, Leaf("", "?", "?", "?")])
        ]
        self.automaton = automaton
        self.seen: dict[str, set[tuple[Any, ...]]] = {
            "status": set(),
            "action": set(),
            "entity": set(),
        }
        for keys in set(training):
            for level, pattern in self.seqs(keys):
                self.seen[level].add(pattern)
        self.pairs = {
            level: {pair for p in self.seen[level] for pair in pairwise(p)} for level in self.seen
        }

    @staticmethod
    def node(i: int, row: Leaf, none_actions: str) -> tuple[Any, Any, Any]:
        """Entity, action, status of log key i: a name, or the log key where there is none."""
        entity: Any = row.entity if row.entity.split("_")[0] != "none" else i
        action: Any = row.action if row.action.split("_")[0] != "none" else i
        if none_actions == "merged" and action == i and entity != i:
            action = "none"
        return entity, (entity, action), i

    def seqs(self, keys: Sequence[int]) -> list[tuple[str, tuple[Any, ...]]]:
        steps = [self.nodes[key] for key in keys]
        runs_of: Callable[[int], list[list[tuple[Any, Any, Any]]]] = lambda part: cut(steps, part)  # noqa: E731
        return [
            *(("status", tuple(step[2] for step in run)) for run in runs_of(1)),
            *(("action", collapse([step[1] for step in run])) for run in runs_of(0)),
            ("entity", collapse([step[0] for step in steps])),
        ]

    def is_normal(self, level: str, pattern: tuple[Any, ...]) -> bool:
        if pattern in self.seen[level]:
            return True
        if level == "status" or self.automaton == "off":
            return False
        known = [pair in self.pairs[level] for pair in pairwise(pattern)]
        if self.automaton == "strict":
            return False not in known
        return not any(not pair and True in known[i + 1 :] for i, pair in enumerate(known))

    def level(self, keys: Sequence[int]) -> str | None:
        """Bottom-up with early exit: the first level that has an abnormal Seq."""
        abnormal = {
            level for level, pattern in self.seqs(keys) if not self.is_normal(level, pattern)
        }
        return next((level for level in ("status", "action", "entity") if level in abnormal), None)


def cut(steps: list[tuple[Any, Any, Any]], part: int) -> list[list[tuple[Any, Any, Any]]]:
    runs: list[list[tuple[Any, Any, Any]]] = []
    for step in steps:
        if runs and runs[-1][-1][part] == step[part]:
            runs[-1].append(step)
        else:
            runs.append([step])
    return runs


def collapse(nodes: list[Any]) -> tuple[Any, ...]:
    return tuple(node for i, node in enumerate(nodes) if i == 0 or nodes[i - 1] != node)


@pytest.mark.parametrize(
    ("name", "none_actions", "automaton"),
    [
        ("hdfs", "separate", "off"),
        ("thunderbird", "separate", "strict"),
        ("thunderbird", "merged", "reference"),
    ],
)
def test_the_level_is_the_first_abnormal_from_below(
    shared_data: Path, name: str, none_actions: NoneActions, automaton: Automaton
) -> None:
    data = shared_data / f"krone_{name}"
    sessions = split(data)
    naive = Naive(sessions.leaves, none_actions, automaton, sessions.train)
    run = judged(data, none_actions, automaton)
    levels = [verdict.level if verdict else None for verdict in run.verdicts]
    assert levels == [naive.level(keys) for keys in sessions.test]


def test_the_score_is_that_of_the_most_abnormal_seq_of_its_level(shared_data: Path) -> None:
    data = shared_data / "krone_hdfs"
    run = judged(data, "separate", "off")
    for keys, verdict in zip(split(data).test, run.verdicts, strict=True):
        if verdict is not None:
            of_level = [seq for seq in run.hierarchy.decompose(keys) if seq.level == verdict.level]
            scores = [
                run.detector.score(seq)[0] for seq in of_level if not run.detector.is_normal(seq)
            ]
            assert verdict.score == max(scores) > verdict.threshold
