"""A session about which everything was reported costs no more than its events, and still ends."""

from __future__ import annotations

from typing import Any

from synthetic import (
    ARRIVED,
    BYE,
    CLOSE,
    GOING,
    OPEN,
    OPENED,
    ROWS,
    STUCK,
    T0,
    UNKNOWN,
    S,
    lift_engine,
    make_limits,
    novelties,
    ride,
    step_judge,
)

NOW = T0 + 100_000 * S
# Wrong from its first step to its last: more deviations than are reported of one session.
WRONG = (CLOSE, BYE, OPEN, OPEN, CLOSE, STUCK, ARRIVED, OPENED, BYE, GOING, CLOSE, ARRIVED) * 3


def settled_engine(**options: Any) -> Any:
    engine = lift_engine(steps=step_judge(), **options)
    engine.feed("app", ride("a", WRONG), NOW)
    return engine


def test_nothing_is_worked_out_for_a_session_of_which_all_was_told() -> None:
    engine = settled_engine()
    session = engine.sessions.open[(b"a",)]
    assert session.state is engine.tracker.settled
    misses = engine.tracker.misses
    more = ride("a", (GOING, CLOSE, OPEN, OPEN, BYE), len(WRONG))
    assert engine.feed("app", more, NOW) == []
    assert engine.tracker.misses == misses
    assert len(session.keys) == len(session.times) == len(WRONG) + 5


def test_it_ends_by_its_number_of_events() -> None:
    engine = settled_engine(max_events=len(WRONG) + 2)
    engine.feed("app", ride("a", (GOING, GOING, GOING), len(WRONG)), NOW)
    assert engine.counters["instances"] == 1
    assert list(engine.sessions.open[(b"a",)].keys) == [GOING]


def test_it_ends_by_an_end_template() -> None:
    engine = settled_engine(end_templates=(ROWS[OPENED][0],), max_events=10**6)
    # Some end it before all was reported; what is open then goes wrong without them.
    wrong = tuple(key for key in WRONG if key != OPENED)
    engine.feed("app", ride("b", wrong), NOW)
    assert engine.sessions.open[(b"b",)].state is engine.tracker.settled
    engine.feed("app", ride("b", (GOING, OPENED), len(wrong)), NOW)
    assert (b"b",) not in engine.sessions.open


def test_a_new_template_in_it_is_told() -> None:
    engine = lift_engine(steps=step_judge())
    engine.feed("app", ride("a", [key for key in WRONG if key != STUCK] * 2), NOW)
    assert engine.sessions.open[(b"a",)].state is engine.tracker.settled
    findings = engine.feed("app", ride("a", (STUCK,), 2 * len(WRONG)), NOW)
    assert [finding.log_keys for finding in novelties(findings)] == [(STUCK,)]


def test_a_step_that_nobody_knows_yet_holds_it() -> None:
    engine = settled_engine(limits=make_limits(change_settle=60))
    engine.feed("app", ride("a", (UNKNOWN + 1,), len(WRONG)), NOW)
    assert engine.sessions.open[(b"a",)].state is engine.tracker.waiting


def test_a_restored_session_settles_again_and_tells_nothing_more() -> None:
    engine = settled_engine()
    other = lift_engine(steps=step_judge())
    other.restore(engine.snapshot())
    more = ride("a", (BYE, CLOSE), len(WRONG))
    assert other.feed("app", more, NOW) == engine.feed("app", more, NOW) == []
    assert other.sessions.open[(b"a",)].state is other.tracker.settled


def test_what_is_remembered_of_its_end_is_its_own() -> None:
    engine = settled_engine()
    ended: list[Any] = []
    engine.on_close.append(ended.append)
    engine.feed("app", ride("b", WRONG), NOW)
    assert engine.finish() == []
    assert [session.is_abnormal for session in ended] == [True, True]
    assert ended[0].state is not ended[1].state
