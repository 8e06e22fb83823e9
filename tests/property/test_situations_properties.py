"""Situations: what sessions share is what each of them would be told by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import given
from hypothesis import strategies as st
from synthetic import ARRIVED, CLOSE, GOING, OPEN, OPENED, UNKNOWN, step_budget, tree

from export.fit_witnesses import fit_steps
from export.traces import Trace
from fluent_krone.core.steps import ANY_GAP_NS, Situation
from fluent_krone.detect import situations
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.witnesses import StepWitnesses
from fluent_krone.types import Deviation

# The doors open and the lift goes in either order, before it arrives.
RIDES = [(OPEN, OPENED, GOING, ARRIVED, CLOSE), (OPEN, GOING, OPENED, ARRIVED, CLOSE)] * 20
# New pairs count together: one alone is no deviation, and three are.
THRESHOLDS = {
    "order.pair": 10.0,
    "order.recent": 25.0,
    "order.progress": 9.0,
    "order.session": 4.0,
    "time.wait": 1.0,
}
SESSIONS = st.lists(
    st.lists(st.integers(0, UNKNOWN), min_size=1, max_size=9), min_size=1, max_size=12
)


@cache
def witnesses() -> StepWitnesses:
    return fit_steps([Trace(ride) for ride in RIDES], tree())


def judge() -> Steps:
    return Steps(tree(), witnesses(), step_budget(), THRESHOLDS)


def course(steps: Steps, keys: Sequence[int]) -> list[tuple[Situation, tuple[Deviation, ...]]]:
    """What is known after each step, as the tracker asks for it."""
    found = []
    situation = steps.begin()
    for at, key in enumerate(keys):
        odd: tuple[Deviation, ...] = ()
        after = situation.next.get(key)
        if after is None:
            after, odd = steps.after(situation, keys[: at + 1])
        found.append((after, odd))
        situation = after
    return found


@given(SESSIONS)
def test_shared_situations_say_what_each_session_would_be_told_alone(
    sessions: list[list[int]],
) -> None:
    shared = judge()
    for keys in sessions:
        for at, (situation, odd) in enumerate(course(shared, keys)):
            alone = judge()
            so_far = keys[: at + 1]
            assert odd == alone.at_step(so_far)
            assert situation.waits_ns == alone.wait_ns(so_far)
            limits_ns = ANY_GAP_NS
            if at:
                limits_ns = alone.limits_ns(*so_far[-2:])
            assert (situation.shortest_ns, situation.longest_ns) == limits_ns


def test_sessions_that_came_to_the_same_point_share_their_situation() -> None:
    shared = judge()
    # The last steps of each entity are the same, and those of the session.
    tail = [OPENED] * 3 + [GOING] * 5
    one, other = (course(shared, [*head, *tail]) for head in ([OPEN, CLOSE], [CLOSE, OPEN]))
    assert one[0][0] is not other[0][0]
    assert one[-1][0] is other[-1][0]


def test_what_was_new_further_back_counts_in_the_session_that_had_it() -> None:
    shared = Steps(tree(), witnesses(), step_budget(), {"order.pair": 14.0})
    end = [*RIDES[0], *RIDES[0], GOING]
    few_new, many_new = ([*head, *end] for head in (RIDES[0], RIDES[0][::-1]))
    assert course(shared, few_new)[-1][1] == ()
    assert course(shared, many_new)[-1][1] != ()


def test_a_long_session_is_judged_to_its_end() -> None:
    rounds = [GOING] * (situations.REACH + 5)
    keys = [OPEN, OPENED, *rounds, ARRIVED, CLOSE, OPEN]
    shared = judge()
    for _ in range(2):
        told = [odd for _, odd in course(shared, keys)]
        assert told == [judge().at_step(keys[: at + 1]) for at in range(len(keys))]
