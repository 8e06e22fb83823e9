"""How fast the tails of gaps are taken to fall: as lets most slow steps be found."""

from __future__ import annotations

import random

import pytest

from export.calibrate import calibrate, steepest_of
from export.hierarchy import extract
from export.traces import Trace
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.tails import STEEPEST

STEPS = [
    "order opened", "order checked", "order paid", "parcel packed", "parcel weighed",
    "parcel sent", "parcel fetched", "invoice written", "invoice sent", "mail sent",
]  # fmt: skip


def gaps_ms(rng: random.Random, standstill: float) -> list[int]:
    """Steps that take about as long each time, and a last one that waits for somebody.

    Now and then a machine stands still for a moment.
    """
    found = []
    for _ in STEPS[2:]:
        took = rng.lognormvariate(6, 0.4)
        if rng.random() < standstill:
            took *= rng.uniform(2, 8)
        found.append(round(took))
    waited = min(3_000_000, 4_000 * rng.paretovariate(1.1))
    return [*found, round(waited)]


def sessions(count: int, standstill: float = 0.0, seed: int = 0) -> list[Trace]:
    rng = random.Random(seed)
    keys = tuple(range(len(STEPS)))
    return [
        Trace(keys, tuple(gap * 1_000_000 for gap in gaps_ms(rng, standstill)))
        for _ in range(count)
    ]


def tree() -> Hierarchy:
    return Hierarchy(list(extract(STEPS, None)))


def test_tails_are_steep_where_slow_steps_are_found_by_it() -> None:
    assert steepest_of(sessions(1_600, seed=3), tree()) < STEEPEST


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_tails_stay_flat_where_machines_stand_still_now_and_then(seed: int) -> None:
    assert steepest_of(sessions(1_600, 0.02, seed), tree()) == STEEPEST


def test_few_sessions_or_none_with_times_prove_nothing() -> None:
    assert steepest_of(sessions(300), tree()) == STEEPEST
    untimed = [Trace(session.keys) for session in sessions(1_600)]
    assert steepest_of(untimed, tree()) == STEEPEST


def test_a_clock_of_whole_seconds_does_not_show_it() -> None:
    timed = sessions(1_600, seed=3)
    assert steepest_of(timed, tree()) < STEEPEST
    coarse = [Trace(one.keys, tuple(gap * 1_000 for gap in one.gaps_ns)) for one in timed]
    assert steepest_of(coarse, tree()) == STEEPEST


def test_a_calibration_hands_on_how_fast_tails_fall() -> None:
    steep = calibrate(sessions(1_600, seed=3), tree(), faults=5)
    flat = calibrate(sessions(300), tree(), faults=5)
    assert steep.steepest < flat.steepest == STEEPEST
