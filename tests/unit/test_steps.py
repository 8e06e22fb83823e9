"""Deviations of single steps: what the engine reports, when, and in which words."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from typing import Any

import msgpack
import pytest
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

from fluent_krone.alerts.words import with_lines
from fluent_krone.core.engine import Engine
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.times import measure_times
from fluent_krone.detect.witnesses import witnesses_from_json
from fluent_krone.types import Finding


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
    assert "“lift: arrived at floor <num>” came next after" in deviation.words


def test_an_early_end_says_what_usually_follows() -> None:
    [deviation] = step_judge().at_end((OPEN, OPENED, GOING))
    assert deviation.direction == "early_end"
    assert "normally “lift: arrived at floor <num>” follows" in deviation.words
    assert step_judge().at_end(NORMAL[1]) == ()


def test_what_usually_follows_is_no_line_of_the_session() -> None:
    keys = (OPEN, OPENED, GOING, ARRIVED, GOING)
    [deviation] = step_judge().at_end(keys)
    lines = tuple(MESSAGES[key].replace("floor", "the floor").encode() for key in keys)
    finding = Finding(
        kind="deviation",
        decided="end",
        tag=b"app",
        session=(b"a",),
        instance=1,
        ordinal=0,
        first_ns=T0,
        last_ns=T0,
        events=len(keys),
        log_keys=keys,
        verdict=None,
        lines=(),
        texts=lines,
        deviations=(deviation,),
    )
    told = with_lines(deviation, finding, lambda key: tree().rows[key].template)
    assert f"The session ends after “{lines[-1].decode()}”; normally" in told
    assert "normally “lift: arrived at floor <num>” follows" in told


def test_an_abnormal_session_carries_the_deviation_of_its_end() -> None:
    served = engine()
    served.feed("app", ride("a", (OPEN, OPENED, GOING, GOING, GOING)), T0)
    [found] = sequences(served.advance(T0 + 3600 * S) + served.finish())
    assert [deviation.direction for deviation in found.deviations] == ["early_end"]


def test_the_end_of_the_log_is_no_early_end_unless_the_next_step_is_overdue() -> None:
    # Rides of training go on after two seconds, and their idle timeout is a minute.
    for last, found in ((2, []), (50, ["early_end"])):
        served = engine()
        served.feed("app", ride("a", (OPEN, OPENED, GOING)), T0)
        served.feed("app", [event("b", OPEN, 2 + last)], T0)
        ends = [finding for finding in served.finish() if finding.session == (b"a",)]
        assert [d.direction for finding in ends for d in finding.deviations] == found


def test_a_slow_step_is_reported_with_its_time() -> None:
    events = [event("a", OPEN, 0), event("a", OPENED, 50)]
    [found] = deviations(engine().feed("app", events, T0))
    assert (found.deviations[0].witness, found.deviations[0].direction) == ("time", "slow")
    assert "came 50 s after “gate: open door <num>”" in found.deviations[0].words
    [faster] = deviations(engine().feed("app", [events[0], event("a", OPENED, 25)], T0))
    assert faster.deviations[0].beyond == pytest.approx(found.deviations[0].beyond / 2, rel=0.1)


def judge_of_gaps(first_ns: int, others_ns: int) -> Steps:
    """What judges steps, where every ride of training took these times: for its first gap, and for
    each of the others.
    """
    rides_of_training = [keys for keys in NORMAL for _ in range(60)]
    gaps = [(first_ns,) + (others_ns,) * (len(keys) - 2) for keys in rides_of_training]
    times = measure_times(zip(rides_of_training, gaps, strict=True), tree())
    budget = step_budget()
    witnesses = dataclasses.replace(step_witnesses(), times=times)
    return Steps(tree(), witnesses, budget, budget.thresholds(1.0))


@pytest.mark.parametrize(
    ("first_ns", "others_ns", "has_fractions"),
    [(90 * S, S // 2, True), (S // 2, 90 * S, True), (90 * S, 2 * S, False)],
)
def test_any_gap_of_training_tells_that_times_have_fractions(
    first_ns: int, others_ns: int, has_fractions: bool
) -> None:
    """Wrong before: only the first one was looked at, and a long one is as good as whole seconds.
    Where an output cut the fractions off, sessions then hung that did not.
    """
    assert judge_of_gaps(first_ns, others_ns).has_fractions == has_fractions


def test_steps_of_the_same_time_are_told_as_such() -> None:
    judge = judge_of_gaps(0, 0)
    odd = judge.gap((OPEN, OPENED), 90 * S)
    assert odd is not None
    assert "came 90 s after" in odd.words
    assert "They come at the same time in nearly all of" in odd.words


def test_a_time_before_that_of_the_step_before_is_told_as_such() -> None:
    """Wrong before: a step came “only -10 ms after” the one before it."""
    judge = judge_of_gaps(S // 2, S // 2)
    odd = judge.gap((OPEN, OPENED), -S // 100)
    assert odd is not None
    assert odd.direction == "fast"
    assert "but its time is 10 ms earlier. Normally it takes 500 ms" in odd.words
    assert "-10" not in odd.words


def test_an_odd_value_is_reported_with_its_place() -> None:
    events = [
        event("a", OPEN, 0),
        event("a", OPENED, 1),
        (T0 + 2 * S, {b"message": b"lift: going to floor 13", b"ride": b"a"}),
    ]
    [found] = deviations(engine().feed("app", events, T0))
    assert found.deviations[0].witness == "values"
    assert "Unusual value “13” in" in found.deviations[0].words


def test_a_step_that_is_more_severe_than_ever_is_reported() -> None:
    severe = (T0 + S, {b"message": MESSAGES[OPENED].encode(), b"ride": b"a", b"level": b"FATAL"})
    [found] = deviations(engine().feed("app", [event("a", OPEN, 0), severe], T0))
    assert found.deviations[0].witness == "levels"
    assert (
        "was logged as fatal: a higher level than in any of 240 normal cases"
        in found.deviations[0].words
    )


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


def hanging_engine(**settings: Any) -> Engine:
    return lift_engine(steps=step_judge(silence_s=30), **settings)


def directions(findings: list[Finding]) -> list[str]:
    return [deviation.direction for finding in findings for deviation in finding.deviations]


def test_a_session_that_hangs_is_reported_while_it_is_open() -> None:
    served = hanging_engine(idle_timeout=600.0)
    assert not served.feed("app", ride("a", (OPEN, OPENED)), T0)
    [found] = served.feed("app", [event("b", OPEN, 25)], T0)
    assert (found.kind, found.decided, found.session) == ("deviation", "early", (b"a",))
    [deviation] = found.deviations
    assert (deviation.direction, deviation.event, deviation.log_key) == ("stuck", 1, OPENED)
    assert len(served.sessions.open) == 2


def test_a_late_step_is_told_once() -> None:
    served = hanging_engine(idle_timeout=600.0)
    served.feed("app", ride("a", (OPEN, OPENED)), T0)
    assert directions(served.feed("app", [event("a", CLOSE, 25)], T0)) == ["stuck"]


def test_a_session_that_hung_until_its_end_is_told_once() -> None:
    served = hanging_engine(idle_timeout=300.0)
    served.feed("app", ride("a", (OPEN, OPENED)), T0)
    found = served.feed("app", [event("b", CLOSE, 30), event("b", CLOSE, 60)], T0)
    found += served.feed("app", [event("b", CLOSE, at) for at in range(90, 600, 30)], T0)
    assert [d for f in deviations(found) if f.session == (b"a",) for d in directions([f])] == [
        "stuck"
    ]


def test_a_silent_stream_makes_no_session_hang() -> None:
    """Nobody can tell it from a shipper that is down."""
    served = lift_engine(steps=step_judge(silence_s=1), idle_timeout=600.0)
    served.feed("app", ride("a", (OPEN, OPENED)), T0)
    assert not served.advance(T0 + 500 * S)
    # When it speaks again, the silence has been no waiting for anybody.
    assert not directions(served.feed("app", [event("b", OPEN, 400)], T0 + 500 * S))
    found = served.feed("app", [event("b", OPENED, 400.3), event("c", OPEN, 400.6)], T0 + 502 * S)
    assert not directions(found)
    found = served.feed("app", [event("c", OPENED, 401 + i / 2) for i in range(20)], T0 + 502 * S)
    assert (b"a",) in [f.session for f in deviations(found) if directions([f]) == ["stuck"]]


def test_a_stream_that_is_quiet_by_nature_goes_on_with_the_wall_clock() -> None:
    served = hanging_engine(idle_timeout=600.0)
    served.feed("app", ride("a", (OPEN, OPENED)), T0)
    # Records may be on their way for two minutes.
    assert not served.advance(T0 + 100 * S)
    assert directions(served.advance(T0 + 125 * S)) == ["stuck"]
    assert not served.advance(T0 + 128 * S)


def test_where_events_come_late_sessions_may_wait_longer() -> None:
    served = hanging_engine(idle_timeout=600.0)
    late = [event("b", OPEN, 60), event("b", OPENED, 30), event("b", CLOSE, 61)]
    served.feed("app", late, T0)
    served.feed("app", ride("a", (OPEN, OPENED), at_s=62), T0)
    assert not directions(served.feed("app", [event("c", OPEN, 80)], T0))
    found = served.feed("app", [event("d", OPEN, 100), event("d", OPENED, 120)], T0)
    assert directions(found).count("stuck") == 2


def test_a_seq_that_takes_too_long_is_reported_at_the_end() -> None:
    judge = step_judge()
    served = lift_engine(steps=judge)
    # Each gap is within its limits, and both together are not.
    gap_s = judge.limits_ns(OPEN, OPENED)[1] / S - 0.1
    keys = (OPEN, OPENED, CLOSE)
    events = [event("a", key, gap_s * i) for i, key in enumerate(keys)]
    served.feed("app", events, T0)
    [found] = deviations(served.finish())
    [deviation] = found.deviations
    assert (found.decided, deviation.witness, deviation.direction) == ("end", "time", "long")
    assert "3 steps of “gate” in a row took" in deviation.words


def test_a_session_that_takes_too_long_is_named_within_a_sentence() -> None:
    judge = step_judge()
    served = lift_engine(steps=judge)
    keys = (OPEN, OPENED, GOING, ARRIVED, CLOSE)
    gaps = [judge.limits_ns(*pair)[1] / S - 0.1 for pair in pairwise(keys)]
    events = [event("a", key, sum(gaps[:at])) for at, key in enumerate(keys)]
    served.feed("app", events, T0)
    words = [one.words for found in deviations(served.finish()) for one in found.deviations]
    assert any("5 steps of the session in a row took" in said for said in words)


def severe_at(time_s: int) -> tuple[int, dict[bytes, bytes]]:
    text = MESSAGES[OPENED].encode()
    return T0 + time_s * S, {b"message": text, b"ride": b"a", b"level": b"FATAL"}


def test_levels_are_judged_with_allowed_lateness() -> None:
    late = lift_engine(steps=step_judge(), idle_timeout=600.0, allowed_lateness=10.0)
    found = late.feed("app", [event("a", OPEN, 0), severe_at(1)], T0)
    first = deviations(found + late.finish())[0].deviations[0]
    assert (first.witness, first.event) == ("levels", 1)


def test_a_level_that_is_held_over_a_restart_is_judged() -> None:
    first = lift_engine(steps=step_judge(), idle_timeout=600.0, allowed_lateness=10.0)
    assert not first.feed("app", [event("a", OPEN, 0), severe_at(1)], T0)
    saved = msgpack.unpackb(msgpack.packb(first.snapshot()), strict_map_key=False)
    second = lift_engine(steps=step_judge(), idle_timeout=600.0, allowed_lateness=10.0)
    second.restore(saved)
    assert deviations(second.finish())[0].deviations[0].witness == "levels"
