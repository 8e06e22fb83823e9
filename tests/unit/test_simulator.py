"""The simulated cluster: the same for a seed, normal where it says so, and damaged exactly where
it says.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest

from fluent_krone.demo.courses import STEPS, is_normal
from fluent_krone.demo.damage import FAULTS, KINDS, Fault
from fluent_krone.demo.simulator import (
    IDLE_TIMEOUT_S,
    SESSION_KEY,
    SimulatedSession,
    simulate,
    stream,
)
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

SESSIONS = simulate(400, 7)
FAULTY = [session for session in SESSIONS if session.fault]


def fault_of(session: SimulatedSession) -> Fault:
    assert session.fault
    return session.fault


def test_a_seed_gives_the_same_stream_and_another_seed_another() -> None:
    assert simulate(400, 7) == SESSIONS
    assert stream(simulate(400, 8)) != stream(SESSIONS)


def test_without_faults_every_session_is_normal() -> None:
    sessions = simulate(300, 7, faults=False)
    assert all(session.fault is None and is_normal(session.moves) for session in sessions)
    assert {session.block for session in sessions}.isdisjoint(session.block for session in SESSIONS)


def test_normal_sessions_vary_but_not_without_bound() -> None:
    courses = {
        tuple(move.step for move in session.moves) for session in simulate(2_000, 7, faults=False)
    }
    assert 100 < len(courses) < 1_000


def test_every_kind_of_fault_is_injected() -> None:
    assert set(Counter(fault_of(session).kind for session in FAULTY)) == set(KINDS)
    assert len(FAULTS) >= 10


def test_few_sessions_still_have_faults() -> None:
    assert [session.fault is not None for session in simulate(1, 0)] == [True]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_no_normal_course_and_its_original_is(kind: str) -> None:
    for session in (session for session in FAULTY if fault_of(session).kind == kind):
        assert not is_normal(session.moves)
        assert is_normal(fault_of(session).original)


@pytest.mark.parametrize("seed", range(3))
def test_outside_its_spans_a_faulty_session_is_as_it_would_have_been(seed: int) -> None:
    for session in simulate(300, seed):
        if session.fault is None:
            continue
        fault, steps = session.fault, [move.step for move in session.moves]
        would = [move.step for move in fault.original]
        start, end = fault.spans[0][0], fault.spans[-1][1]
        assert 0 <= start <= end <= len(steps)
        assert steps[:start] == would[:start]
        assert steps[end:] == would[len(would) - (len(steps) - end) :]


def test_taking_the_additional_events_out_gives_a_normal_session() -> None:
    for session in FAULTY:
        fault, steps = fault_of(session), list(session.moves)
        added = len(steps) - len(fault.original)
        if added > 0:
            start, end = fault.spans[0]
            outcomes = (steps[:at] + steps[at + added :] for at in range(start, end - added + 1))
            assert any(map(is_normal, outcomes))


def test_a_gap_is_between_its_two_neighbours() -> None:
    fault = Fault("missing step", ((5, 5),), ())
    assert [event for event in range(10) if fault.is_near(event)] == [4, 5]
    assert fault.is_in(0, 5)
    assert fault.is_in(5, 6)
    assert not fault.is_in(0, 4)
    assert not fault.is_in(6, 9)
    assert fault.where == "after event 5"


def test_a_span_is_held_by_what_overlaps_it_and_near_one_event_beside() -> None:
    fault = Fault("retry loop", ((3, 6),), ())
    assert [event for event in range(10) if fault.is_near(event)] == [2, 3, 4, 5, 6]
    assert fault.is_in(5, 9)
    assert not fault.is_in(6, 9)
    assert not fault.is_in(0, 3)
    assert fault.where == "events 4–6"


def test_every_line_fits_its_own_template_or_none_if_unheard_of() -> None:
    names = list(STEPS)
    matcher = TemplateMatcher([step.template for step in STEPS.values()])
    for session in SESSIONS:
        for event, move in enumerate(session.moves):
            expected = names.index(move.step) if move.step in STEPS else UNMATCHED
            assert matcher.match(session.text(event).encode()) == expected


def test_every_line_names_its_block_and_no_other() -> None:
    for session in SESSIONS:
        for _, record in session.events:
            assert re.findall(SESSION_KEY.strip("/"), record["message"]) == [session.block]


def test_sessions_interleave_and_keep_their_own_order() -> None:
    log = stream(SESSIONS)
    owners = [re.findall(SESSION_KEY.strip("/"), record["message"])[0] for _, record in log]
    switches = sum(a != b for a, b in pairwise(owners))
    assert switches > len(log) / 2
    for session in SESSIONS[:20]:
        assert [
            event for event, owner in zip(log, owners, strict=True) if owner == session.block
        ] == [*session.events]


def test_no_pause_within_a_session_ends_it() -> None:
    for session in SESSIONS:
        times = [time_ns for time_ns, _ in session.events]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(0 < gap < IDLE_TIMEOUT_S * 1e9 for gap in gaps)


def test_a_fault_tells_the_steps_it_touched() -> None:
    [session] = [s for s in FAULTY if fault_of(s).kind == "retry loop"][:1]
    assert "responder → resend → started" in session.steps_touched
    assert all(session.steps_touched for session in FAULTY)
