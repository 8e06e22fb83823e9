"""Deviations of single steps: what the engine reports, when, and in which words."""

from __future__ import annotations

import json

import msgpack
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    MESSAGES,
    NORMAL,
    OPEN,
    OPENED,
    T0,
    S,
    deviations,
    event,
    lift_engine,
    ride,
    sequences,
    step_budget,
    step_judge,
    step_witnesses,
    tree,
)

from fluent_krone.core.engine import Engine
from fluent_krone.detect.steps import Steps, witnesses_from_json


def engine() -> Engine:
    return lift_engine(steps=step_judge())


def test_a_normal_ride_has_no_deviation() -> None:
    served = engine()
    for number, keys in enumerate(NORMAL):
        assert not served.feed("app", ride(f"r{number}", keys), T0)
    assert not served.finish()


def test_a_step_out_of_order_is_reported_at_once() -> None:
    [found] = deviations(engine().feed("app", ride("a", (OPEN, OPENED, ARRIVED)), T0))
    assert (found.decided, found.events) == ("early", 3)
    [deviation] = found.deviations
    assert (deviation.witness, deviation.direction) == ("order", "unexpected")
    assert (deviation.event, deviation.log_key) == (2, ARRIVED)
    assert deviation.score > deviation.threshold
    assert deviation.p_value == 0.001
    assert "“lift: arrived at floor <num>” came right after" in deviation.words


def test_an_early_end_says_what_usually_follows() -> None:
    [deviation] = step_judge().at_end((OPEN, OPENED, GOING))
    assert deviation.direction == "early_end"
    assert "normally “lift: arrived at floor <num>” follows" in deviation.words
    assert step_judge().at_end(NORMAL[1]) == ()


def test_an_abnormal_session_carries_the_deviation_of_its_end() -> None:
    served = engine()
    served.feed("app", ride("a", (OPEN, OPENED, GOING, GOING, GOING)), T0)
    [found] = sequences(served.finish())
    assert [deviation.direction for deviation in found.deviations] == ["early_end"]


def test_a_slow_step_is_reported_with_its_time() -> None:
    events = [event("a", OPEN, 0), event("a", OPENED, 50)]
    [found] = deviations(engine().feed("app", events, T0))
    assert (found.deviations[0].witness, found.deviations[0].direction) == ("time", "slow")
    assert "came 50 s after “gate: open door <num>”" in found.deviations[0].words


def test_an_odd_value_is_reported_with_its_place() -> None:
    events = [
        event("a", OPEN, 0),
        event("a", OPENED, 1),
        (T0 + 2 * S, {b"message": b"lift: going to floor 13", b"ride": b"a"}),
    ]
    [found] = deviations(engine().feed("app", events, T0))
    assert found.deviations[0].witness == "values"
    assert "has the value “13” in place 1" in found.deviations[0].words


def test_a_step_that_is_more_severe_than_ever_is_reported() -> None:
    severe = (T0 + S, {b"message": MESSAGES[OPENED].encode(), b"ride": b"a", b"level": b"FATAL"})
    [found] = deviations(engine().feed("app", [event("a", OPEN, 0), severe], T0))
    assert found.deviations[0].witness == "levels"
    assert "higher severity than in any of 240 normal cases" in found.deviations[0].words


def test_a_deviation_of_one_sort_is_reported_once_in_a_session() -> None:
    keys = (OPEN, OPENED, ARRIVED, OPEN, OPENED, ARRIVED)
    found = deviations(engine().feed("app", ride("a", keys), T0))
    signatures = [(d.direction, d.log_key) for f in found for d in f.deviations]
    assert len(signatures) == len(set(signatures))
    assert len(signatures) <= 5


def test_what_was_reported_is_not_reported_again_after_a_restart() -> None:
    first = engine()
    assert deviations(first.feed("app", ride("a", (OPEN, OPENED, ARRIVED)), T0))
    saved = msgpack.unpackb(msgpack.packb(first.snapshot()), strict_map_key=False)
    second = engine()
    second.restore(saved)
    assert not deviations(second.feed("app", ride("a", (OPENED, ARRIVED), 3), T0)[-1:])


def test_a_step_that_training_never_had_is_no_matter_of_order() -> None:
    found = engine().feed("app", ride("a", (OPEN, OPENED, 4)), T0)
    assert {finding.kind for finding in found} == {"unseen_template"}


def test_witnesses_survive_json() -> None:
    back = witnesses_from_json(json.loads(json.dumps(step_witnesses().to_json())), tree())
    budget = step_budget()
    judge = Steps(tree(), back, budget, budget.thresholds(1.0))
    for keys in (*NORMAL, (OPEN, OPENED, ARRIVED), (OPEN, CLOSE), (GOING, GOING)):
        assert judge.at_step(keys) == step_judge().at_step(keys)
        assert judge.at_end(keys) == step_judge().at_end(keys)


def test_a_witness_without_a_threshold_says_nothing() -> None:
    judge = Steps(tree(), step_witnesses(), step_budget(), {})
    assert judge.at_step((OPEN, CLOSE)) == ()
    assert judge.gap((OPEN, OPENED), 10**18) is None
    assert not judge.watched
