"""Steps that are gone, or in a new order, in many sessions that were not reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    STUCK,
    T0,
    Counts,
    S,
    lift_engine,
    ride,
)
from synthetic import make_limits as limits_of

from fluent_krone.core.deploys.shifts import Shifts
from fluent_krone.core.engine import Engine
from fluent_krone.core.steps import StepJudge
from fluent_krone.types import ChangeReport, Finding

NOW = T0 + 1_000_000 * S
# Enough normal rides to give shares of them.
TRAINING = NORMAL * 30
BEFORE = (OPEN, OPENED, GOING, ARRIVED, CLOSE)
# The door is no longer said to be open.
LACKING = (OPEN, GOING, ARRIVED, CLOSE)
# The lift goes before the door was opened.
OTHERWISE = (OPEN, GOING, OPENED, ARRIVED, CLOSE)
# Rides before the deploy: more than are looked at first.
FIRST = 250


class Lenient(Counts):
    """Training as above; no session is abnormal by itself, as with few false alarms."""

    def __init__(self) -> None:
        super().__init__(100)
        self.normal = TRAINING


def engine_of(settle: float = 100.0) -> Engine:
    return lift_engine(limits=limits_of(change_settle=settle), nested=Lenient())


def fed(engine: Engine, keys: Sequence[int], count: int, first: int) -> list[Finding]:
    """Rides ten seconds apart, of which the first one is number `first`."""
    findings: list[Finding] = []
    for number in range(first, first + count):
        findings += engine.feed("app", ride(f"r{number}", keys, 10 * number), NOW)
    return findings


def shifts(findings: Sequence[Finding]) -> list[ChangeReport]:
    assert {finding.kind for finding in findings} <= {"change"}
    return [finding.change for finding in findings if finding.change is not None]


def test_a_step_that_is_gone_is_told_once() -> None:
    engine = engine_of()
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, LACKING, 100, FIRST) + engine.finish()
    [shift] = shifts(findings)
    assert shift.state == "shifted"
    assert shift.gone == ("gate: door <num> is open",)
    assert shift.order == (("gate: open door <num>", "lift: going to floor <num>"),)
    assert shift.tag == b"app"


def test_a_step_that_some_sessions_have_still_is_not_gone() -> None:
    engine = engine_of()
    findings = fed(engine, BEFORE, FIRST, 0)
    for round_ in range(20):
        findings += fed(engine, LACKING, 9, FIRST + 10 * round_)
        findings += fed(engine, BEFORE, 1, FIRST + 10 * round_ + 9)
    findings += engine.finish()
    assert [shift.gone for shift in shifts(findings)] == [()]


def test_steps_in_a_new_order_are_told() -> None:
    engine = engine_of()
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, OTHERWISE, 60, FIRST) + engine.finish()
    [shift] = shifts(findings)
    assert shift.gone == ()
    assert ("lift: going to floor <num>", "gate: door <num> is open") in shift.order


def test_few_sessions_among_many_are_no_shift() -> None:
    engine = engine_of()
    findings = fed(engine, BEFORE, FIRST, 0)
    for round_ in range(30):
        findings += fed(engine, OTHERWISE, 1, FIRST + 30 * round_)
        findings += fed(engine, BEFORE, 29, FIRST + 30 * round_ + 1)
    assert shifts(findings + engine.finish()) == []


def strict_engine() -> Engine:
    strict = Lenient()
    strict.threshold = 0
    return lift_engine(limits=limits_of(change_settle=100.0), nested=strict)


def of_kind(findings: Sequence[Finding], kind: str) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def test_a_step_that_is_gone_alerts_a_few_times_and_is_then_told() -> None:
    engine = strict_engine()
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, LACKING, 60, FIRST)
    assert len(of_kind(findings, "sequence")) == 5
    [told] = of_kind(findings, "change")
    assert told.change is not None
    assert told.change.gone == ("gate: door <num> is open",)
    # What else goes wrong is reported as ever, …
    stuck = (OPEN, GOING, STUCK, CLOSE)
    findings = fed(engine, stuck, 3, FIRST + 60) + fed(engine, LACKING, 10, FIRST + 63)
    assert len(of_kind(findings, "sequence")) == 3
    # … and once the step has come again, each session that lacks it is reported.
    findings = fed(engine, BEFORE, 1, FIRST + 73) + fed(engine, LACKING, 10, FIRST + 74)
    findings += engine.finish()
    assert len(of_kind(findings, "sequence")) >= 5


def test_sessions_that_alert_for_another_reason_are_not_counted() -> None:
    engine = strict_engine()
    stuck = (OPEN, OPENED, GOING, STUCK, CLOSE)
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, stuck, 60, FIRST) + engine.finish()
    assert len(of_kind(findings, "sequence")) == 60
    assert not of_kind(findings, "change")


def test_sessions_that_are_cut_off_are_told_however_many_there_are() -> None:
    engine = strict_engine()
    cut = (OPEN, OPENED, GOING)
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, cut, 60, FIRST) + engine.finish()
    assert len(of_kind(findings, "sequence")) == 60


def test_a_snapshot_changes_nothing() -> None:
    def story(saves: bool) -> list[Any]:
        engine = engine_of()
        findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, LACKING, 15, FIRST)
        if saves:
            saved = msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False)
            engine = engine_of()
            engine.restore(saved)
        return findings + fed(engine, LACKING, 60, FIRST + 15) + engine.finish()

    assert story(saves=True) == story(saves=False)


class Seen(StepJudge):
    """Knows that training had each step so often."""

    def __init__(self, times: int) -> None:
        self._times = times

    def seen(self, log_key: int) -> tuple[int, int]:
        return self._times, self._times


def test_a_step_can_be_missed_where_training_had_it_often_enough() -> None:
    """Normal sessions may be there once each, however often training had them."""
    kinds = [(0, 1, 2), (0, 1, 1, 2)]
    often = Shifts(kinds, ["a", "b", "c"], 3, 1, Seen(100))
    assert often.expected((0, 2)) == {0, 1, 2}
    seldom = Shifts(kinds, ["a", "b", "c"], 3, 1, Seen(5))
    assert seldom.expected((0, 2)) == set()


def test_it_is_off_with_changes() -> None:
    engine = engine_of(settle=0.0)
    findings = fed(engine, BEFORE, FIRST, 0) + fed(engine, LACKING, 100, FIRST) + engine.finish()
    assert findings == []
