"""How often a step comes: far more often than in any session of training."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from synthetic import ARRIVED, CLOSE, GOING, OPEN, OPENED, tree

from export.calibrate import calibrate
from export.to_onnx import fit_onnx, nested_files
from fluent_krone.detect.loops import (
    Loops,
    loops_from_json,
    loops_to_json,
    measure_loops,
)
from fluent_krone.detect.nested_aware import NestedAware

WAIT, PARK = 0, 1


def waits(often: dict[int, int]) -> Loops:
    """Of sessions that park once: how many of them wait so often."""
    bags = [Counter({WAIT: number, PARK: 1}) for number in often]
    return measure_loops(bags, [*often.values()])


def rides(count: int, seed: int) -> list[tuple[int, ...]]:
    """Rides past zero to six floors, fewer and fewer of which are passed; one in a hundred is odd
    in several ways, and normal.
    """
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        floors = min(int(rng.expovariate(0.7)), 6)
        keys = [OPEN, OPENED, *[GOING] * floors, ARRIVED, CLOSE]
        if rng.random() < 0.01:
            keys += rng.choices([OPEN, OPENED, ARRIVED, CLOSE], k=3)
        found.append(tuple(keys))
    return found


@pytest.mark.parametrize(
    ("number", "is_odd"), [(1, False), (4, False), (6, False), (12, True), (60, True)]
)
def test_many_times_as_often_as_ever_is_odd(number: int, is_odd: bool) -> None:
    loops = waits({1: 1200, 2: 500, 3: 200, 4: 70, 5: 20, 6: 10})
    assert (loops.score({WAIT: number}) > 8) == is_odd


def test_where_a_few_sessions_have_it_very_often_much_more_is_no_wonder() -> None:
    steady = waits({1: 1200, 2: 700, 3: 100})
    heavy = waits({1: 1200, 2: 700, 3: 90, 8: 3, 15: 2, 30: 2, 50: 2, 90: 1})
    assert steady.score({WAIT: 100}) > 3 * heavy.score({WAIT: 100})


def test_a_step_that_is_hardly_ever_repeated_is_not_judged() -> None:
    assert waits({1: 1980, 2: 20}).score({WAIT: 40}) == 0
    assert waits({1: 2000, 2: 100}).score({PARK: 40}) == 0


def test_numbers_survive_json() -> None:
    loops = waits({1: 1200, 2: 700, 3: 100})
    again = loops_from_json(json.loads(json.dumps(loops_to_json(loops))))
    assert again.score({WAIT: 9}) == pytest.approx(loops.score({WAIT: 9}))


def test_a_loop_without_an_end_is_found_although_other_counts_are_rare() -> None:
    """Wrong before: another number of a step that varies cost next to nothing, however large it
    was, and what the density said was little beside the few sessions that are odd in several ways.
    """
    sessions = rides(2_000, 1)
    model, onnx = fit_onnx(sessions, tree())
    found = calibrate(sessions, tree(), faults=200)
    files = replace(
        nested_files(model, onnx, found.threshold, found.band),
        costs=model.costs.tolist(),
        number_costs=model.number_costs.tolist(),
        proving=True,
        loops=loops_to_json(model.loops),
    )
    nested = NestedAware(tree(), files).at(found.thresholds)
    looping = (OPEN, OPENED, *[GOING] * 14, ARRIVED, CLOSE)
    assert not nested.is_abnormal(nested.density(looping).score)
    assert not nested.has_counts(looping)
    assert NestedAware(tree(), replace(files, loops=())).at(found.thresholds).has_counts(looping)
    assert all(map(nested.has_counts, rides(300, 2)))
