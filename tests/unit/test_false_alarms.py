"""The budget of false alarms: how it is divided, and what it gives at run time."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from export.floors import density_floor
from export.held_out import HeldOut, beyond, bounds_of, expected_share
from export.plan_budget import PLANNED, plan_budget
from fluent_krone.detect.budget import UNSEEN, Budget, Plan, budget_from_json, judges_steps
from fluent_krone.errors import BundleError

SESSIONS = 10_000


def made(seed: int = 0) -> Budget:
    """Two scores of the same scale: the order finds the faults, the density does not."""
    rng = np.random.default_rng(seed)
    normal = {
        "density": rng.exponential(2, SESSIONS),
        "order.session": rng.exponential(2, SESSIONS),
        "patterns": (rng.random(SESSIONS) < 0.05).astype(float),
    }
    faulty = {
        "swap": {
            "density": rng.exponential(2, 500),
            "order.session": rng.exponential(2, 500) + 14,
            "patterns": np.zeros(500),
        }
    }
    return plan_budget(normal, faulty)


@pytest.mark.parametrize("asked", [0.5, 1, 5, 20])
def test_about_as_many_sessions_are_flagged_as_asked_for(asked: float) -> None:
    thresholds = made().thresholds(asked)
    rng = np.random.default_rng(99)
    held_out = {
        "density": rng.exponential(2, 400_000),
        "order.session": rng.exponential(2, 400_000),
        "patterns": (rng.random(400_000) < 0.05).astype(float),
    }
    flagged = np.any([held_out[name] > t for name, t in thresholds.items()], axis=0)
    assert 0.4 * asked < 1000 * flagged.mean() < 2 * asked


def test_what_finds_nothing_and_costs_much_has_no_say() -> None:
    assert "patterns" not in made().thresholds(20)


def test_more_false_alarms_lower_the_threshold_that_finds_most() -> None:
    thresholds = [made().thresholds(asked)["order.session"] for asked in (0.5, 5, 20)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_whatever_few_false_alarms_find_is_found_with_more() -> None:
    plans = [made().thresholds(asked) for asked in PLANNED]
    for cheap, dear in pairwise(plans):
        assert all(dear[name] <= threshold for name, threshold in cheap.items())


def test_a_handful_of_outliers_sets_no_threshold() -> None:
    rng = np.random.default_rng(5)
    normal = {"density": rng.exponential(1, 800), "order.session": rng.exponential(1, 800)}
    swaps = {"density": rng.exponential(1, 200), "order.session": rng.exponential(1, 200) + 12}
    without = plan_budget(normal, {"swap": swaps}).thresholds(5)
    for name in normal:
        normal[name][:3] = 500.0
    assert plan_budget(normal, {"swap": swaps}).thresholds(5) == pytest.approx(without, abs=1.5)


def two_sessions_in_one(density: float, next_ones: float) -> float:
    """The threshold that two sessions leave which run in an order of their own."""
    rng = np.random.default_rng(5)
    normal = {
        "density": np.append(rng.uniform(0, 8, 1_997), [9.0, density, density]),
        "order.session": np.append(rng.uniform(0, 6, 1_997), [next_ones, 25.0, 23.0]),
        "order.pair": np.append(np.zeros(1_998), [36.0, 20.0]),
    }
    swaps = {"density": np.zeros(99), "order.session": np.full(99, 8.0), "order.pair": np.zeros(99)}
    return plan_budget(normal, {"swap": swaps}).thresholds(0.7)["order.session"]


def test_two_sessions_in_one_set_no_threshold_of_the_order() -> None:
    """Wrong before: with two of 2,000, hardly a step that was swapped or done twice was found."""
    assert two_sessions_in_one(14.0, 6.0) < 8
    # One that lacks no step, and runs in another way only, is no outlier, …
    assert two_sessions_in_one(5.0, 6.0) > 20
    # … nor are they where others come near.
    assert two_sessions_in_one(14.0, 22.0) > 20


def test_a_score_that_was_given_nothing_is_beyond_all_but_the_outliers() -> None:
    """Wrong before: what outliers score stood as its threshold, whatever the budget."""
    rng = np.random.default_rng(5)
    normal = {"density": rng.exponential(1, 3_000), "time.seq": rng.exponential(1, 3_000)}
    largest = normal["time.seq"].max()
    # Not so far apart from the others that they are outliers whatever the budget.
    normal["density"][:4] = [60.0, 40.0, 22.0, 15.0]
    normal["time.seq"][:2] = 60.0
    swaps = {"density": rng.exponential(1, 200), "time.seq": np.zeros(200)}
    budget = plan_budget(normal, {"swap": swaps})
    assert budget.thresholds(0.5)["time.seq"] > 60
    assert budget.thresholds(5)["time.seq"] < largest + 3


@pytest.mark.parametrize(
    ("worst", "threshold"),
    [
        # Far beyond all others, or beyond all that any session scores: they set none.
        ([70.0, 45.0, 30.0, 9.0], 10.5966),
        ([400.0, 300.0, 200.0, 150.0, 120.0, 9.0], 150.0),
        # Hardly beyond the next ones: as many later ones would be flagged for nothing.
        ([70.0, 45.0, 30.0, 20.0], 70.0),
        ([70.0, 45.0, 30.0, 25.0, 20.0, 16.0], 70.0),
        ([400.0, 45.0, 30.0, 25.0], 45.0),
    ],
)
def test_outliers_of_a_small_training_stand_apart(worst: list[float], threshold: float) -> None:
    rng = np.random.default_rng(5)
    normal = {"density": np.append(rng.uniform(0, 8, 1_400 - len(worst)), worst)}
    assert plan_budget(normal, {}).thresholds(0.5)["density"] == threshold


def test_outliers_that_the_budget_pays_for_need_not_stand_apart() -> None:
    rng = np.random.default_rng(5)
    normal = {"density": np.append(rng.uniform(0, 8, 1_400), [70.0, 45.0, 30.0, 25.0, 20.0])}
    thresholds = [plan_budget(normal, {}).thresholds(asked)["density"] for asked in (0.5, 5)]
    assert thresholds[0] == 70.0
    assert thresholds[1] < 30.0


def test_many_scores_together_raise_no_more_than_was_asked_for() -> None:
    """Each score finds a kind of fault that no other finds, just above all normal sessions."""
    names = ["density", *(f"view {i}" for i in range(20))]
    rng = np.random.default_rng(7)
    normal = {name: rng.exponential(1, SESSIONS) for name in names}
    faulty = {
        kind: {name: np.full(50, (normal[name].max() + 1) * (name == kind)) for name in names}
        for kind in names[1:]
    }
    later = {name: rng.exponential(1, 400_000) for name in names}
    for asked in (0.5, 1):
        thresholds = plan_budget(normal, faulty).thresholds(asked)
        flagged = np.any([later[name] > t for name, t in thresholds.items()], axis=0)
        assert 1000 * flagged.mean() < 2 * asked


@pytest.mark.parametrize(("sessions", "scores"), [(1_350, 1), (2_000, 2)])
def test_a_small_training_has_a_say_for_some_scores(sessions: int, scores: int) -> None:
    rng = np.random.default_rng(8)
    names = ["density", "counts", "order.session", "time"]
    normal = {name: rng.exponential(1, sessions) for name in names}
    faulty = {kind: {name: np.full(50, 8.0 * (name == kind)) for name in names} for kind in names}
    thresholds = plan_budget(normal, faulty).thresholds(1)
    assert sum(thresholds[name] < 8 for name in names[1:]) >= scores


@pytest.mark.parametrize(("found", "is_bought"), [(0.02, False), (0.4, True)])
def test_a_small_training_pays_beyond_its_budget_only_for_what_finds_faults(
    found: float, is_bought: bool
) -> None:
    """Wrong before: whatever found one fault more was bought, and then counts that found none."""
    rng = np.random.default_rng(8)
    names = ["density", "counts", "order.session"]
    normal = {name: rng.exponential(1, 1_000) for name in names}
    largest = normal["order.session"].max()
    odd = np.zeros(500)
    odd[: int(found * 500)] = largest + 1
    kinds = ["skip", "swap", "slow", "value"]
    faulty = {kind: {name: np.zeros(500) for name in names} for kind in kinds}
    faulty["swap"]["order.session"] = odd
    thresholds = plan_budget(normal, faulty).thresholds(1)
    assert (thresholds["order.session"] < largest + 1) == is_bought
    assert thresholds["counts"] > normal["counts"].max()


def test_a_threshold_above_all_held_out_sessions_has_a_price() -> None:
    """Wrong before: only the largest score itself had one, so a limit of a likelihood just above it
    was free."""
    rng = np.random.default_rng(8)
    names = ["density", "order.pair", "time", "values.range"]
    normal = {name: rng.exponential(1, 1_000) for name in names}
    held = HeldOut(normal, np.empty(0, np.int64))

    def price(name: str, distance: float) -> float:
        return held.exceedance(name, normal[name].max() + distance)

    for name in names[1:]:
        nearer = [price(name, distance) for distance in (0.0, 0.3, 0.6, 0.9)]
        assert nearer[0] == 1.0
        assert nearer == sorted(nearer, reverse=True)
        assert 0.0 < nearer[-1] < nearer[0]
        largest = float(normal[name].max())
        assert price(name, beyond(name, largest) - largest) == 0.0
    # How fast new sessions become rarer is known of numbers, and best of those in messages.
    assert price("order.pair", 0.9) > price("time", 0.9) > price("values.range", 0.9)


def test_what_few_sessions_let_expect_is_told_with_its_bounds() -> None:
    """About four in five of many trainings flag a number of later sessions within the bounds."""
    within = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        # Four of 1,000 sessions set thresholds: how many later ones lie beyond is chance.
        share = sum(1 - max(rng.random(1_000)) for _ in range(4))
        least, most = bounds_of(0.004, 1_000)
        within.append(least <= share <= most)
    assert 0.8 <= np.mean(within) < 1.0


def test_a_single_new_value_among_thousands_hides_no_other_one() -> None:
    """What is new is flagged whatever its score. So one held-out session with a new value costs one
    false alarm, and not a second one as for an order statistic, which this budget could not pay.
    """
    rng = np.random.default_rng(8)
    names = ["density", "counts", "order.session", "order.progress"]
    normal = {name: rng.exponential(1, 3_000) for name in names}
    normal["values"] = np.zeros(3_000)
    normal["values"][7] = 7.9
    faulty = {
        kind: {name: np.full(50, 9.0 * (name == kind)) for name in normal} for kind in names[1:]
    }
    faulty["value"] = {name: np.full(50, 7.0 * (name == "values")) for name in normal}
    assert plan_budget(normal, faulty).thresholds(1)["values"] == 0.0


@pytest.mark.parametrize(
    ("sessions", "with_unseen", "flagged"),
    [
        (3_000, 0, {0.5: True, 1: True, 5: True}),
        # Two hundred sessions do not tell what one in 1,000 has.
        (200, 0, {0.5: False, 1: False, 5: True}),
        # As often as normal sessions have such a step, it is worth no false alarm, or some.
        (3_000, 9, {0.5: False, 1: False, 5: True}),
        (3_000, 200, {0.5: False, 1: False, 5: False}),
    ],
)
def test_a_step_that_training_never_had_is_flagged_where_it_is_no_normal_one(
    sessions: int, with_unseen: int, flagged: dict[float, bool]
) -> None:
    rng = np.random.default_rng(9)
    normal = {"density": rng.exponential(1, sessions), "unseen": np.zeros(sessions)}
    normal["unseen"][:with_unseen] = UNSEEN
    budget = plan_budget(normal, {})
    assert {asked: judges_steps(budget.thresholds(asked)) for asked in flagged} == flagged


@pytest.mark.parametrize("sessions", [600, 1_350, 6_000])
def test_what_is_to_be_expected_is_told_for_small_trainings_too(sessions: int) -> None:
    """A few outliers and a small training raise more than was asked for, and the fit knows it."""
    names = ["density", "counts", "order.session", "time"]
    expected = []
    observed = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        normal, later = (
            {name: rng.exponential(1, size) + 60.0 * (rng.random(size) < 0.002) for name in names}
            for size in (sessions, 40_000)
        )
        faulty = {
            kind: {name: np.full(50, 9.0 * (name == kind)) for name in names} for kind in names
        }
        thresholds = plan_budget(normal, faulty).thresholds(1)
        flagged = np.any([later[name] > t for name, t in thresholds.items()], axis=0)
        observed.append(float(flagged.mean()))
        expected.append(expected_share(normal, thresholds))
    assert 0.5 * np.mean(observed) < np.mean(expected) < 2 * np.mean(observed)


def test_what_is_flagged_in_a_small_training_is_not_given() -> None:
    """Wrong before: three outliers of 1,350 were flagged anyway, and for the next false alarm the
    density got as many again."""
    rng = np.random.default_rng(3)
    normal = {"density": rng.exponential(1, 1_350)}
    normal["density"][:10] = [60.0, 50.0, 40.0, 20.0, *[15.0] * 6]
    faulty = {"skip": {"density": np.full(50, 17.0)}}
    assert plan_budget(normal, faulty).thresholds(1)["density"] == 20.0
    # Without outliers, one of its own sessions may be flagged.
    normal["density"][:3] = 0.0
    assert plan_budget(normal, faulty).thresholds(1)["density"] == 15.0


def test_a_large_training_counts_its_outliers() -> None:
    """As many of 1,000 later sessions are flagged as of 1,000 that were held out."""
    rng = np.random.default_rng(11)
    names = ["density", *(f"view {i}" for i in range(20))]
    normal = {name: rng.exponential(1, SESSIONS) for name in names}
    faulty = {
        kind: {name: np.full(50, (normal[name].max() + 1) * (name == kind)) for name in names}
        for kind in names[1:]
    }
    without = plan_budget(normal, faulty).thresholds(1.5)
    normal["density"][:3] = 500.0
    outliers = plan_budget(normal, faulty).thresholds(1.5)

    def having_a_say(thresholds: dict[str, float]) -> int:
        return sum(thresholds[name] < normal[name].max() + 1 for name in names[1:])

    assert 0 < having_a_say(outliers) < having_a_say(without)


def test_hardly_more_than_the_largest_surprise_is_no_reason_for_a_say() -> None:
    rng = np.random.default_rng(4)
    normal = {"density": rng.exponential(1, 2_000), "order.session": rng.exponential(1, 2_000)}
    normal["order.session"][0] = 26.0
    # Of 2,000 sessions, one in 10,000 pays for no say at all.
    faulty = {"swap": {"density": np.zeros(50), "order.session": np.full(50, 60.0)}}
    threshold = plan_budget(normal, faulty).thresholds(0.1)["order.session"]
    assert 33.0 < threshold < 60.0


def test_the_density_is_never_below_its_floor() -> None:
    for asked in PLANNED:
        assert made().thresholds(asked)["density"] >= density_floor(asked) - 1e-3


@pytest.mark.parametrize(("sessions", "is_found"), [(2_000, False), (20_000, True)])
def test_small_differences_of_counts_are_flagged_after_a_large_training(
    sessions: int, is_found: bool
) -> None:
    rng = np.random.default_rng(9)
    # No normal session has counts that training lacks; those of lost steps differ a little.
    normal = {"density": rng.exponential(1, sessions), "counts": np.zeros(sessions)}
    faulty = {"skip": {"density": np.zeros(50), "counts": np.ones(50)}}
    assert (plan_budget(normal, faulty).thresholds(1)["counts"] < 1.0) == is_found


def test_p_values_count_the_held_out_sessions_that_score_as_much() -> None:
    budget = Budget(999, {"density": (9.0, 8.0, 8.0)}, (Plan(1, {}),))
    found = [budget.p_value("density", score) for score in (10, 8, 1)]
    assert found == [0.001, 0.004, 0.004]


def test_a_budget_survives_json() -> None:
    assert budget_from_json(json.loads(json.dumps(made().to_json()))) == made()


def test_a_score_of_another_version_is_refused() -> None:
    values = {"sessions": 1, "largest": {}, "plans": [[1, {"smell": 2.0}]]}
    with pytest.raises(BundleError, match="unknown scores: smell"):
        budget_from_json(values)
