"""Trivial rules: what they call normal, and that their thresholds come from training alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from export.report.baselines import BASELINES, LogKeys, bag_of_keys, exact_sequence, pca, unseen_key

TRAIN: list[LogKeys] = [(0, 1, 2), (0, 1, 1, 2), (0, 2)]


def test_exact_sequence_wants_the_same_order() -> None:
    assert exact_sequence(TRAIN)([(0, 1, 2), (0, 2, 1), (0, 1, 2, 2), ()]).tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_bag_of_keys_wants_the_same_counts_in_any_order() -> None:
    assert bag_of_keys(TRAIN)([(2, 1, 0), (1, 0, 2, 1), (0, 1), (0, 0, 2)]).tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_unseen_key_wants_known_keys_only() -> None:
    assert unseen_key(TRAIN)([(2, 2, 2), (), (0, 9)]).tolist() == [False, False, True]


def _twins(size: int, seed: int) -> list[LogKeys]:
    """Keys 0 and 1 occur equally often, 2 as it likes."""
    draw = random.Random(seed)
    return [(0, 1) * draw.randint(1, 9) + (2,) * draw.randint(1, 5) for _ in range(size)]


def test_pca_flags_what_breaks_a_relation_between_counts() -> None:
    rule = pca(_twins(400, seed=1))
    assert not rule(_twins(100, seed=2)).any()
    assert rule([(0,) * 8 + (1, 2), (0, 1, 2, 7), (7,) * 5]).tolist() == [True, True, True]


def test_pca_tolerates_no_more_than_a_few_training_sessions() -> None:
    train = [*_twins(1_000, seed=1), (0,) * 40, (1,) * 50, (0,) * 60 + (2,) * 9]
    assert int(pca(train)(train).sum()) <= 3


@pytest.mark.parametrize("name", BASELINES)
def test_every_rule_takes_any_session(name: str) -> None:
    """One training session, none to judge, an empty one, one of 500 unseen keys: flags, and no
    error.
    """
    rule = BASELINES[name]([(0, 1)])
    assert rule([]).tolist() == []
    assert rule([(0, 1)]).tolist() == [False]
    assert rule([tuple(range(2, 502))]).tolist() == [True]
    assert rule([()]).shape == (1,)


@pytest.mark.parametrize("name", BASELINES)
def test_a_rule_does_not_look_at_other_judged_sessions(name: str) -> None:
    train, judged = _twins(200, seed=1), [*_twins(20, seed=2), (0, 0, 2), (5,)]
    rule = BASELINES[name](train)
    assert rule(judged).tolist() == [bool(rule([session])[0]) for session in judged]


@pytest.mark.parametrize(
    ("data", "name", "false_alarms", "missed"),
    [
        ("krone_hdfs", "exact sequence", 232, 0),
        ("krone_hdfs", "bag of keys", 6, 1),
        ("krone_hdfs", "unseen key", 0, 369),
        ("krone_thunderbird", "exact sequence", 277, 0),
        ("krone_thunderbird", "bag of keys", 109, 0),
        ("krone_thunderbird", "unseen key", 7, 0),
    ],
)
def test_on_the_authors_data(
    shared_data: Path, data: str, name: str, false_alarms: int, missed: int
) -> None:
    """The split of the published figures: 16,000 normal sessions drawn with seed 0, the rest
    judged.
    """
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(shared_data / data / "sequences.csv")
    sessions = [
        tuple(map(int, text.strip("[]").replace("'", "").split(",")))
        for text in table.EventSequence
    ]
    train = set(table[table.Label == 0].sample(n=16_000, random_state=0).index)
    judged = [i for i in range(len(table)) if i not in train]
    flags = BASELINES[name]([sessions[i] for i in sorted(train)])([sessions[i] for i in judged])
    abnormal = [table.Label[i] == 1 for i in judged]
    assert sum(flag and not bad for flag, bad in zip(flags, abnormal, strict=True)) == false_alarms
    assert sum(bad and not flag for flag, bad in zip(flags, abnormal, strict=True)) == missed
