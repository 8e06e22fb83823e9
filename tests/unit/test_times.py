"""The time witness: ranges of gaps, limits, and scores."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from synthetic import ARRIVED, CLOSE, GOING, OPEN, OPENED, tree

from fluent_krone.core.steps import ANY_GAP_NS
from fluent_krone.detect.tails import CERTAIN, Range, pooled, range_of
from fluent_krone.detect.times import (
    Times,
    measure_times,
    range_from_row,
    range_to_row,
    times_from_json,
    times_to_json,
)

SECOND = 10**9


def times(gap_s: int = 20) -> Times:
    rng = random.Random(0)
    sessions = [
        ((OPEN, OPENED, GOING), (rng.randint(gap_s, 2 * gap_s) * SECOND, 0)) for _ in range(200)
    ]
    return measure_times(sessions, tree())


def test_a_usual_gap_scores_nothing_and_a_long_one_much() -> None:
    assert times().score(OPEN, OPENED, 30 * SECOND) == 0
    assert times().score(OPEN, OPENED, 3600 * SECOND) > 10
    assert times().score(OPEN, OPENED, -5 * SECOND) > 5


def test_what_is_beyond_the_limits_scores_above_the_threshold_and_nothing_else_does() -> None:
    shortest, longest = times().limits_ns(OPEN, OPENED, 9.0)
    assert times().score(OPEN, OPENED, longest - SECOND) <= 9.0
    assert times().score(OPEN, OPENED, longest + SECOND) > 9.0
    assert 0 < shortest < 20 * SECOND


def test_gaps_near_the_resolution_of_the_clock_are_never_too_short() -> None:
    assert times().score(OPENED, GOING, 0) == 0
    assert times(gap_s=2).score(OPEN, OPENED, 0) == 0


def test_a_rare_transition_has_no_limits() -> None:
    assert times().limits_ns(ARRIVED, CLOSE, 1.0) == (ANY_GAP_NS[0] + 1, ANY_GAP_NS[1])
    assert times().score(ARRIVED, CLOSE, 10**18) == 0


def test_ranges_survive_json() -> None:
    back = times_from_json(json.loads(json.dumps(times_to_json(times()))), tree())
    assert back.steps.keys() == times().steps.keys()
    gap_ns = 500 * SECOND
    assert back.score(OPEN, OPENED, gap_ns) == pytest.approx(
        times().score(OPEN, OPENED, gap_ns), abs=1e-3
    )


@pytest.mark.parametrize("numbers", [[5.0] * 100, [0.0] * 100, [1.0], [1.0, 1e12]])
def test_a_range_is_finite_whatever_it_was_made_of(numbers: list[float]) -> None:
    found = range_of(numbers, unit=1.0)
    assert all(found.score(number) <= 5 for number in numbers)
    assert found.score(1e30) > 1
    low, high = found.limits(10.0)
    assert low <= min(numbers) <= max(numbers) <= high


def test_the_longest_gap_of_training_is_no_deviation_once_the_bundle_was_saved() -> None:
    """A bundle rounds where the tail begins; the many gaps of exactly that length are usual."""
    rng = random.Random(3)
    gaps = [(rng.randint(2, 400) * SECOND // 1000,) for _ in range(20_000)]
    found = measure_times([((OPEN, OPENED), of_one) for of_one in gaps], tree())
    back = times_from_json(json.loads(json.dumps(times_to_json(found))), tree())
    longest_ns = max(gap_ns for (gap_ns,) in gaps)
    for times_ in (found, back):
        assert times_.limits_ns(OPEN, OPENED, 1.0)[1] >= longest_ns
        assert times_.score(OPEN, OPENED, longest_ns) == 0


def test_what_few_numbers_say_is_less_sure_the_farther_it_is_from_them() -> None:
    rng = random.Random(4)
    few = [rng.lognormvariate(0, 2) for _ in range(40)]
    found = range_of(few, unit=0.001)
    even = replace(found, high=replace(found.high, many=CERTAIN))
    near, far = max(few) * 2, max(few) * 100_000
    assert found.score(far) - found.score(near) < (even.score(far) - even.score(near)) / 2
    for threshold in (4.0, 7.0, 11.0):
        _, highest = found.limits(threshold)
        assert found.score(highest) == pytest.approx(threshold, abs=0.01)


def test_ranges_of_earlier_versions_grow_evenly() -> None:
    """Wrong threshold else: the bundle's own were taken from such scores."""
    row = range_to_row(range_of([1.0, 2.0, 3.0, 4.0] * 25, unit=1.0))
    back = range_from_row(row[:8])
    first, second, third = (back.score(number) for number in (99.0, 999.0, 9_999.0))
    assert third - second == pytest.approx(second - first, rel=0.01)


def both_ways(usual_s: float) -> Times:
    """OPENED comes 3,000 times after OPEN, and 60 times after ARRIVED, then this long usually."""
    rng = random.Random(6)
    after_open = [(OPEN, OPENED, rng.lognormvariate(0, 0.3)) for _ in range(3_000)]
    after_arrived = [(ARRIVED, OPENED, usual_s * rng.lognormvariate(0, 0.3)) for _ in range(60)]
    pairs = after_open + after_arrived
    return measure_times(
        [((other, step), (round(gap_s * SECOND),)) for other, step, gap_s in pairs], tree()
    )


def test_a_step_that_takes_as_long_after_another_one_is_measured_by_all_its_gaps() -> None:
    alike = both_ways(1.0)
    slow_ns = 10 * SECOND
    assert alike.score(ARRIVED, OPENED, slow_ns) == pytest.approx(
        alike.score(OPEN, OPENED, slow_ns), rel=0.1
    )
    # What is said of it is of the transition itself.
    found = alike.range_between(ARRIVED, OPENED)
    assert found is not None
    assert found.count == 60


def test_a_step_that_takes_longer_after_another_one_is_measured_by_its_own_gaps() -> None:
    longer = both_ways(10.0)
    assert longer.score(ARRIVED, OPENED, 10 * SECOND) == 0
    assert longer.score(OPEN, OPENED, 10 * SECOND) > 8


def test_rare_transitions_to_a_step_are_judged_as_one() -> None:
    """Wrong before: they were judged by their actions, whose other steps were quicker."""
    rng = random.Random(7)

    def taking(
        count: int, *pair: int, usual_s: float = 1.0
    ) -> list[tuple[Sequence[int], list[int]]]:
        return [
            (pair, [round(usual_s * rng.lognormvariate(0, 0.3) * SECOND)]) for _ in range(count)
        ]

    rare = [*taking(20, GOING, OPENED), *taking(20, CLOSE, OPENED)]
    usual = [*taking(300, OPEN, OPENED), *taking(3_000, GOING, ARRIVED, usual_s=0.01)]
    found = measure_times(usual + rare, tree())
    for seconds in (1, 20):
        expected = pytest.approx(found.score(OPEN, OPENED, seconds * SECOND), rel=0.1)
        assert found.score(GOING, OPENED, seconds * SECOND) == expected
    assert found.score(CLOSE, OPENED, 20 * SECOND) > 8
    back = times_from_json(json.loads(json.dumps(times_to_json(found))), tree())
    assert back.score(CLOSE, OPENED, 20 * SECOND) > 8
    # Rare even together.
    assert measure_times(usual + rare[:20], tree()).score(GOING, OPENED, 20 * SECOND) == 0


def test_a_rare_step_is_not_judged_by_others_of_its_action() -> None:
    """Wrong before: a step that waits for a person now and then was far beyond the other steps of
    its action, and this hid nearly all slow steps of a bundle.
    """
    actions = tree().action_of
    assert actions[OPEN] == actions[OPENED] != actions[GOING]
    quick = [((GOING, OPENED, GOING), [SECOND // 100, SECOND])] * 300
    found = measure_times([*quick, *[((GOING, OPEN), [60 * SECOND])] * 5], tree())
    assert found.score(GOING, OPENED, 60 * SECOND) > 8
    assert found.score(GOING, OPEN, 60 * SECOND) == 0
    assert found.limits_ns(GOING, OPEN, 1.0)[1] > 10**18


def test_few_gaps_that_differ_by_chance_are_judged_with_all_before_their_step() -> None:
    """Wrong before: of 130 gaps with a heavy tail, the longest ones came out as impossible."""
    worst = 0.0
    for seed in range(20):
        rng = random.Random(seed)
        gaps = [
            ((other, OPENED), (round(min(rng.paretovariate(0.9), 3_000) * SECOND),))
            for other, number in ((OPEN, 700), (ARRIVED, 130))
            for _ in range(number)
        ]
        found = measure_times(gaps, tree())
        worst = max(worst, found.score(ARRIVED, OPENED, 3_000 * SECOND))
    assert worst < 12


def ranges_of(spreads: Sequence[float]) -> dict[int, Range]:
    """Ranges of numbers around 100, with these spreads of their logarithms."""
    rng = np.random.default_rng(4)
    return {
        number: range_of((100 * np.exp(rng.laplace(0, spread, 300))).tolist(), 1.0)
        for number, spread in enumerate(spreads)
    }


def test_alike_tails_become_nearly_one() -> None:
    """Wrong before: a tail that was too flat by chance stayed half as flat, and what is far beyond
    it was no more unusual than the longest gap of another step."""
    ranges = ranges_of([0.6] * 60)
    before = [found.high.scale for found in ranges.values()]
    after = [found.high.scale for found in pooled(ranges).values()]
    assert np.std(after) < np.std(before) / 5
    flattest = int(np.argmax(before))
    assert pooled(ranges)[flattest].score(5_000) > ranges[flattest].score(5_000) + 1


def test_tails_that_differ_keep_what_is_their_own() -> None:
    ranges = ranges_of([0.3, 1.5] * 30)
    for name, found in pooled(ranges).items():
        before = ranges[name].high.scale
        assert abs(math.log(found.high.scale / before)) < 0.5


def test_two_tails_say_little_of_each_other() -> None:
    ranges = ranges_of([0.6, 0.6])
    for name, found in pooled(ranges).items():
        assert found.high.many <= 2 * ranges[name].high.many
