"""Faults that export injects into normal sessions."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import ARRIVED, BYE, CLOSE, GOING, OPEN, OPENED, STUCK, tree

from export.faults import KINDS, Injector
from export.traces import Trace

POOL = (OPEN, OPENED, GOING, ARRIVED, CLOSE, BYE)
RIDE = (OPEN, OPENED, GOING, ARRIVED, CLOSE)
SECOND = 10**9


def injector(seed: int, pool: tuple[int, ...] = POOL) -> Injector:
    return Injector(tree(), pool, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("kind", "grows_by"),
    [
        ("skip", -1),
        ("rework", 1),
        ("insert", 1),
        ("early", 0),
        ("late", 0),
        ("swap", 0),
        ("new_line", 1),
    ],
)
def test_faults_change_what_they_say(kind: str, grows_by: int) -> None:
    for seed in range(20):
        damaged = injector(seed).inject(Trace(RIDE), kind)
        assert damaged is not None
        assert len(damaged.keys) == len(RIDE) + grows_by
        if not grows_by:
            assert sorted(damaged.keys) == sorted(RIDE)


def test_a_wrong_status_is_another_outcome_of_the_same_action_where_there_is_one() -> None:
    damaged = {injector(seed).inject(Trace((GOING,)), "wrong_status") for seed in range(20)}
    assert damaged == {Trace((ARRIVED,))}
    with_stuck = {
        injector(seed, (*POOL, STUCK)).inject(Trace((GOING,)), "wrong_status") for seed in range(20)
    }
    assert with_stuck == {Trace((ARRIVED,)), Trace((STUCK,))}


def test_a_foreign_step_is_of_an_entity_that_the_session_lacks() -> None:
    for seed in range(20):
        damaged = injector(seed).inject(Trace((OPEN, OPENED, CLOSE)), "foreign")
        assert damaged is not None
        (foreign,) = set(damaged.keys) - {OPEN, OPENED, CLOSE}
        assert foreign in (GOING, ARRIVED, BYE)


def test_a_new_line_is_one_that_no_template_matches() -> None:
    for seed in range(20):
        damaged = injector(seed).inject(Trace(RIDE), "new_line")
        assert damaged is not None
        assert set(damaged.keys) - set(RIDE) == {tree().unknown}


def test_truncation_keeps_a_beginning() -> None:
    for seed in range(20):
        damaged = injector(seed).inject(Trace(RIDE), "truncated")
        assert damaged is not None
        assert damaged.keys == RIDE[: len(damaged.keys)]
        assert 0 < len(damaged.keys) < len(RIDE)


@pytest.mark.parametrize("gap_ns", [2 * SECOND, 3 * SECOND // 1000])
def test_a_slow_step_takes_up_to_fifty_times_as_long_and_changes_no_step(gap_ns: int) -> None:
    """A step of milliseconds is no slower than that either."""
    for seed in range(20):
        damaged = injector(seed).inject(Trace((OPEN, OPENED), (gap_ns,)), "slow")
        assert damaged is not None
        assert damaged.keys == (OPEN, OPENED)
        unit_ns = SECOND if gap_ns >= SECOND else SECOND // 1000
        assert 8 * gap_ns - unit_ns < damaged.gaps_ns[0] <= 50 * gap_ns


def test_a_loop_comes_ten_times_as_often_round_by_round() -> None:
    ride = (OPEN, OPENED, GOING, ARRIVED, GOING, ARRIVED, CLOSE, OPEN)
    for seed in range(20):
        damaged = injector(seed).inject(Trace(ride), "loop")
        assert damaged is not None
        number = damaged.keys.count
        looping = [key for key in (OPEN, GOING, ARRIVED) if number(key) >= 10 * ride.count(key)]
        assert looping
        if OPEN not in looping:
            # Whole rounds, each of which normal sessions have.
            start, end = (OPEN, OPENED), (CLOSE, OPEN)
            assert damaged.keys[:2] == start and damaged.keys[-2:] == end
            assert damaged.keys[2:-2] == (GOING, ARRIVED) * number(GOING)
            assert number(GOING) >= 20


def test_a_session_that_repeats_nothing_has_no_loop() -> None:
    assert injector(0).inject(Trace(RIDE), "loop") is None


def test_a_pause_adds_an_hour_to_one_gap_and_changes_no_step() -> None:
    gaps_ns = (SECOND, 0, 7200 * SECOND)
    session = Trace((OPEN, OPENED, CLOSE, BYE), gaps_ns)
    for seed in range(20):
        damaged = injector(seed).inject(session, "pause")
        assert damaged is not None
        assert damaged.keys == session.keys
        added = [after - before for before, after in zip(gaps_ns, damaged.gaps_ns, strict=True)]
        assert sorted(added) == [0, 0, 3600 * SECOND]


def test_a_wrong_value_replaces_one_value() -> None:
    damaged = injector(0).inject(Trace((OPEN, OPENED), values=((b"7",), ())), "value")
    assert damaged is not None
    assert damaged.keys == (OPEN, OPENED)
    assert damaged.values[0] != (b"7",)


def test_a_wrong_number_may_be_ten_times_as_large_and_keeps_its_unit() -> None:
    session = Trace((OPEN,), values=((b"0.25ms",),))
    damaged = [injector(seed).inject(session, "value") for seed in range(40)]
    assert (b"2.50ms",) in [one.values[0] for one in damaged if one is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_one_event_survives_every_fault(kind: str) -> None:
    injector(0, (OPEN,)).inject(Trace((OPEN,)), kind)


def test_an_unheard_of_fault_is_a_bug() -> None:
    with pytest.raises(ValueError, match="BUG: no fault is called 'rust'"):
        injector(0).inject(Trace(RIDE), "rust")
