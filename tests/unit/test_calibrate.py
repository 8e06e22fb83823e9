"""Calibration without labels: the threshold's order statistic, faults, and the rule they choose."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from synthetic import ARRIVED, BYE, CLOSE, GOING, NORMAL, OPEN, OPENED, STUCK, UNKNOWN, tree

from export import calibrate
from export.calibrate import (
    FLOOR,
    KINDS,
    RULES,
    band_of,
    choose_rule,
    inject,
    threshold_of,
)
from export.to_onnx import fit_onnx
from export.train import fit_density
from fluent_krone.core.hierarchy import Hierarchy, Leaf

POOL = (OPEN, OPENED, GOING, ARRIVED, CLOSE, BYE)
RIDE = (OPEN, OPENED, GOING, ARRIVED, CLOSE)


def rides(size: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Lift rides of one to four floors, some with a `bye`."""
    rng = random.Random(seed)
    return [
        (
            OPEN,
            OPENED,
            *[GOING] * rng.randint(1, 4),
            ARRIVED,
            CLOSE,
            *([BYE] if rng.random() < 0.2 else []),
        )
        for _ in range(size)
    ]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# --- threshold and band ---------------------------------------------------------------------------


def test_the_threshold_is_the_first_score_that_is_not_tolerated() -> None:
    scores = np.tile(np.arange(100.0, 2100.0), (3, 1))  # 2,000 sessions, three repeats
    assert threshold_of(scores) == 2099 - 4  # three freaks and 2,000 · 1/2000


def test_freaks_in_training_do_not_move_the_threshold() -> None:
    calm = np.tile(np.linspace(10, 20, 1000), (3, 1))
    with_freaks = calm.copy()
    with_freaks[:, -3:] = 1e6
    assert threshold_of(with_freaks) == pytest.approx(threshold_of(calm), abs=0.1)


def test_a_small_training_set_tolerates_fewer_freaks() -> None:
    scores = np.arange(100.0, 110.0)[None]
    assert threshold_of(scores) == 109


def test_what_is_likelier_than_one_in_ten_thousand_is_never_flagged() -> None:
    assert threshold_of(np.zeros((3, 500))) == FLOOR == math.log(10_000)


def test_the_band_lies_around_the_threshold_and_holds_few_normal_sessions() -> None:
    scores = np.tile(np.linspace(0, 20, 10_000), (3, 1))
    threshold = threshold_of(scores)
    low, high = band_of(scores, threshold)
    assert low < threshold < high
    assert high - threshold == pytest.approx(threshold - low, abs=1e-3)
    assert (scores > low).mean() <= 0.011 or low == pytest.approx(0.9 * threshold, abs=1e-3)


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "grows_by"),
    [("missing", -1), ("extra", 1), ("repeated", 3), ("reordered", 0), ("wrong_status", 0)],
)
def test_faults_change_what_they_say(kind: str, grows_by: int) -> None:
    for seed in range(20):
        damaged = inject(RIDE, kind, np.random.default_rng(seed), tree(), POOL)
        assert len(damaged) == len(RIDE) + grows_by
        if kind == "reordered":
            assert sorted(damaged) == sorted(RIDE)
        if kind == "wrong_status":
            changed = [(a, b) for a, b in zip(RIDE, damaged, strict=True) if a != b]
            assert len(changed) == 1


def test_a_wrong_status_is_another_outcome_of_the_same_action_where_there_is_one() -> None:
    damaged = {
        inject((GOING,), "wrong_status", np.random.default_rng(i), tree(), POOL) for i in range(20)
    }
    assert damaged == {(ARRIVED,)}
    with_stuck = {
        inject((GOING,), "wrong_status", np.random.default_rng(i), tree(), (*POOL, STUCK))
        for i in range(20)
    }
    assert with_stuck == {(ARRIVED,), (STUCK,)}
    of_the_entity = {
        inject((CLOSE,), "wrong_status", np.random.default_rng(i), tree(), POOL) for i in range(20)
    }
    assert of_the_entity == {(OPEN,), (OPENED,)}


def test_a_foreign_step_is_of_an_entity_that_the_session_lacks() -> None:
    for seed in range(20):
        damaged = inject(
            (OPEN, OPENED, CLOSE), "foreign_step", np.random.default_rng(seed), tree(), POOL
        )
        (foreign,) = set(damaged) - {OPEN, OPENED, CLOSE}
        assert foreign in (GOING, ARRIVED, BYE)


def test_a_foreign_step_where_all_entities_are_there_is_the_unknown_one() -> None:
    damaged = inject(POOL, "foreign_step", rng(), tree(), POOL)
    assert UNKNOWN in damaged


def test_truncation_keeps_a_beginning() -> None:
    for seed in range(20):
        damaged = inject(RIDE, "truncated", np.random.default_rng(seed), tree(), POOL)
        assert damaged == RIDE[: len(damaged)]
        assert 0 < len(damaged) < len(RIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_one_event_survives_every_fault(kind: str) -> None:
    inject((OPEN,), kind, rng(), tree(), (OPEN,))


def test_an_unheard_of_fault_is_a_bug() -> None:
    with pytest.raises(ValueError, match="BUG: no fault is called 'rust'"):
        inject(RIDE, "rust", rng(), tree(), POOL)


# --- who may clear whom ---------------------------------------------------------------------------


def rates(**of_rules: float) -> dict[str, float]:
    return {rule: of_rules.get(rule, 0.0) for rule in RULES}


@pytest.mark.parametrize(
    ("detection", "false_alarms", "chosen"),
    [
        (
            rates(nested=0.4, patterns=0.8, either=0.9),
            rates(patterns=0.01, either=0.01),
            "nested",
        ),  # too dear
        (rates(nested=0.4, patterns=0.8, either=0.9), rates(patterns=0.0, either=0.001), "either"),
        (
            rates(nested=0.8, patterns=0.8, either=0.805),
            rates(),
            "nested",
        ),  # no reason to leave what is preferred
        (rates(nested=0.4, patterns=0.9, either=0.9, any=0.9), rates(), "either"),
        (rates(nested=0.4, patterns=0.9, either=0.9, any=0.97), rates(), "any"),
        (
            rates(nested=0.4, patterns=0.9, both=0.3, either=0.95),
            rates(nested=0.02, either=0.02),
            "patterns",
        ),
        (
            rates(nested=0.4, either=0.9),
            rates(nested=0.1, patterns=0.1, both=0.1, either=0.1, any=0.1),
            "nested",
        ),
    ],
)
def test_the_rule_finds_most_among_those_that_can_be_afforded(
    detection: dict[str, float], false_alarms: dict[str, float], chosen: str
) -> None:
    assert (
        choose_rule({"missing": detection, "extra": detection}, false_alarms, tolerated=0.002)
        == chosen
    )


def test_where_training_has_seen_every_pattern_patterns_need_not_be_cleared() -> None:
    """Order is what counts can't see; a system whose patterns are all known pays nothing for
    looking at it.
    """
    found = calibrate.calibrate(rides(1000), tree())
    assert not found.patterns_clear
    assert not found.nested_clears
    assert found.detection["reordered"]["patterns"] > found.detection["reordered"]["nested"]
    assert found.false_alarms["either"] <= 0.005


def test_where_patterns_are_new_every_day_the_density_decides() -> None:
    rng = random.Random(0)
    restless = [tuple(rng.choices((GOING, ARRIVED, OPEN, CLOSE), k=30)) for _ in range(300)]
    found = calibrate.calibrate(restless, tree())
    assert (found.patterns_clear, found.nested_clears, found.counts_flag) == (False, True, False)
    assert found.false_alarms["patterns"] > 0.1


def test_patterns_that_see_too_little_may_not_clear() -> None:
    """Two parts take turns, each with its five steps in any order: all patterns of a step done
    twice are known.
    """
    coarse = Hierarchy(
        [Leaf(f"step {i}", "left" if i < 5 else "right", f"do {i}", "done") for i in range(10)]
    )
    rng = random.Random(1)
    orders = [(rng.sample(range(5), 5), rng.sample(range(5, 10), 5)) for _ in range(600)]
    sessions = [tuple(key for pair in zip(*order, strict=True) for key in pair) for order in orders]
    found = calibrate.calibrate(sessions, coarse)
    assert found.detection["wrong_status"]["patterns"] == 0
    assert found.detection["wrong_status"]["any"] == 1
    assert not found.patterns_clear
    assert found.counts_flag


def test_normal_sessions_stay_normal_and_gross_ones_do_not() -> None:
    model, found = fit_density(rides(1000), tree()), calibrate.calibrate(rides(1000), tree())
    assert all(model.score(keys) <= found.threshold for keys in rides(200, seed=1))
    assert model.score((OPEN, STUCK, STUCK, UNKNOWN)) > found.band[1]


def test_the_same_sessions_and_seed_give_the_same() -> None:
    assert fit_onnx(rides(300), tree(), seed=7)[1] == fit_onnx(rides(300), tree(), seed=7)[1]
    one, other = (calibrate.calibrate(rides(300), tree(), seed=7) for _ in range(2))
    assert (one.threshold, one.band, one.detection) == (
        other.threshold,
        other.band,
        other.detection,
    )


@pytest.mark.parametrize("sessions", [[NORMAL[0]], [NORMAL[0]] * 2, NORMAL])
def test_hardly_any_sessions_still_give_a_threshold(sessions: Sequence[tuple[int, ...]]) -> None:
    model, found = fit_density(sessions, tree()), calibrate.calibrate(sessions, tree())
    assert math.isfinite(found.threshold)
    assert all(model.score(keys) <= found.threshold for keys in sessions)


def test_progress_is_told_to_its_end() -> None:
    told: list[tuple[int, int]] = []
    calibrate.calibrate(
        rides(60), tree(), on_progress=lambda done, total: told.append((done, total))
    )
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}


def test_many_sessions_are_calibrated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "MANY_SESSIONS", 100)
    rounds: list[int] = []
    for size in (99, 100):
        calibrate.calibrate(
            rides(size), tree(), on_progress=lambda done, total: rounds.append(total)
        )
    assert set(rounds[:15]) == {15}
    assert rounds[15:] == [5] * 5
