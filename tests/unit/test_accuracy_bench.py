"""The benches of accuracy: figures that are kept, rules that are compared, faults in raw lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# Behind the rest of the path: `kafka` and `fuzz` are benches, and folders of tests as well.
sys.path.append(str(Path(__file__).parents[2] / "bench"))

from budget import shortfalls, tree_adds
from kept_figures import Kept, merge
from naming import window
from raw_faults import FAULTS, Lines

S = 1_000_000_000


def lines() -> Lines:
    """A block of five lines, one a second."""
    texts = [
        b"Receiving block blk_1 src: /10.250.1.2:5 dest: /10.250.1.3:6",
        b"allocateBlock: /a blk_1",
        b"Received block blk_1 of size 640 from /10.250.1.2",
        b"PacketResponder 1 for block blk_1 terminating",
        b"added to blk_1 size 640",
    ]
    return [
        (at * S, {b"message": text, b"level": b"INFO", b"seq_id": b"blk_1"})
        for at, text in enumerate(texts)
    ]


def plan(observed: float, share: float) -> dict[str, Any]:
    return {"observed": observed, "faults": {"skip": share}, "labelled": {"all": share}}


def test_what_is_kept_is_measured_once(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    assert Kept(file).once("a", lambda: {"f1": 1}) == {"f1": 1}
    assert Kept(file).once("a", lambda: {"f1": 2}) == {"f1": 1}
    assert Kept(file).once("b", lambda: {"f1": 2}) == {"f1": 2}
    assert Kept(file).parts == {"a": {"f1": 1}, "b": {"f1": 2}}


def test_figures_of_the_same_set_are_joined() -> None:
    results: dict[str, Any] = {"hdfs": {"f1": 1}}
    merge(results, {"hdfs": {"speed": {"p50": 2}}, "bpic12": {}})
    assert results == {"hdfs": {"f1": 1, "speed": {"p50": 2}}, "bpic12": {}}


def test_a_rule_is_compared_with_the_plan_that_finds_most_for_as_many_false_alarms() -> None:
    ours = {"0.5": plan(1.0, 0.2), "1": plan(1.0, 0.7), "5": plan(6.0, 0.9)}
    found = {"hierarchy": ours, "trivial": {"2-grams": plan(1.1, 0.8)}}
    assert shortfalls(found)["skip"] == pytest.approx(0.1)


def test_the_tree_is_compared_at_equal_false_alarms() -> None:
    run = {
        "hierarchy": {"1": plan(1.0, 0.6), "2": plan(3.0, 0.8)},
        "flat": {"1": plan(2.0, 0.6), "2": plan(4.0, 0.8)},
    }
    assert tree_adds([run], 2.0) == {"labelled": pytest.approx(0.1), "faults": pytest.approx(0.1)}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_changes_a_block_and_leaves_it_the_same_block(kind: str) -> None:
    made = FAULTS[kind](lines(), np.random.default_rng(1))
    assert made is not None
    assert made != lines()
    assert {record[b"seq_id"] for _, record in made} == {b"blk_1"}
    times = [time_ns or 0 for time_ns, _ in made]
    assert times == sorted(times)


def test_faults_of_time_leave_the_lines_and_faults_of_order_the_times() -> None:
    rng = np.random.default_rng(1)
    texts = [record for _, record in lines()]
    times = [time_ns for time_ns, _ in lines()]
    for kind, last_ns in (("slow ×50", 53 * S), ("pause 1 h", 3604 * S)):
        made = FAULTS[kind](lines(), rng) or []
        assert [record for _, record in made] == texts
        assert made[-1][0] == last_ns
    for kind in ("reversed", "terminate first"):
        assert [time_ns for time_ns, _ in FAULTS[kind](lines(), rng) or []] == times


def test_without_a_tree_as_many_events_are_looked_at_as_the_named_seq_has() -> None:
    assert window(event=5, length=4, size=20) == (4, 8)
    for event in range(6):
        start, end = window(event, 3, 6)
        assert start <= event < end
        assert (start >= 0, end <= 6, end - start) == (True, True, 3)


BENCH = Path(__file__).parents[2] / "bench" / "living.py"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "marks", "nothing"], "invalid choice: 'nothing'"),
        (["--variants", "ax"], "unknown variant 'x'"),
        (["--seeds", "5-2"], "has no seed"),
    ],
)
def test_unknown_names_are_refused(arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, BENCH, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert told in done.stderr
