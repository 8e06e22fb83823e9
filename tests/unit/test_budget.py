"""What may be spent: never more than the limits in any window, whatever the order of questions,
kills and clocks.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.errors import StoreError
from fluent_krone.explain.budget import Budget, Left, Reservation
from fluent_krone.explain.knowledge import Knowledge

HOUR, DAY = 3600.0, 86400.0
NOW = 1_795_338_000.0


def budget(tokens: int = 1000, usd: float = 1.0, knowledge: Knowledge | None = None) -> Budget:
    """A day allows twice an hour's."""
    return Budget(knowledge or Knowledge(None), tokens, 2 * tokens, usd, 2 * usd)


def test_questions_under_way_count() -> None:
    limited = budget(tokens=1000)
    first, second = limited.reserve(400, 0.1, NOW), limited.reserve(600, 0.1, NOW)
    assert first and second
    assert limited.reserve(1, 0.0, NOW) is None
    limited.settle(first, 100, 0.1, NOW)
    assert limited.left(NOW) == Left(300, 0.8)
    assert limited.reserve(301, 0.0, NOW) is None
    assert limited.reserve(300, 0.0, NOW)


def test_dollars_are_a_limit_of_their_own() -> None:
    limited = budget(usd=0.3)
    assert limited.reserve(1, 0.300001, NOW) is None
    first = limited.reserve(1, 0.3, NOW)
    assert first
    assert limited.reserve(1, 0.000001, NOW) is None
    limited.settle(first, 1, 0.29999905, NOW)  # rounded up
    assert limited.left(NOW) == Left(999, 0.0)


@pytest.mark.parametrize(("tokens", "usd"), [(0, 1.0), (1000, 0.0)])
def test_nothing_may_be_spent_of_0(tokens: int, usd: float) -> None:
    assert budget(tokens, usd).reserve(1, 0.0001, NOW) is None


def test_a_model_that_costs_nothing_needs_no_dollars() -> None:
    assert budget(usd=0.0).reserve(1, 0.0, NOW)


def test_what_was_spent_is_free_again_as_its_window_moves_on() -> None:
    limited = budget(tokens=1000)
    first = limited.reserve(1000, 0.1, NOW)
    assert first
    limited.settle(first, 1000, 0.1, NOW)
    assert limited.reserve(1, 0.0, NOW + HOUR - 1) is None
    second = limited.reserve(1000, 0.1, NOW + HOUR + 60)
    assert second
    limited.settle(second, 1000, 0.1, NOW + HOUR + 60)
    assert limited.left(NOW + 3 * HOUR).tokens == 0  # the day's are spent too
    assert limited.left(NOW + DAY - 1).tokens == 0
    assert limited.left(NOW + DAY + 60).tokens == 1000
    assert limited.left(NOW + DAY + 2 * HOUR) == Left(1000, 1.0)


@pytest.mark.parametrize(
    ("settled", "left"),
    [
        # More than was booked counts too.
        ([(1500, 0.0)], Left(0, 1.0)),
        # Settling again changes nothing.
        ([(100, 0.0), (0, 0.0)], Left(900, 1.0)),
        # A service that reports negative usage gives nothing back.
        ([(-5000, -1.0)], Left(1000, 1.0)),
    ],
)
def test_what_is_left_once_a_question_is_settled(
    settled: list[tuple[int, float]], left: Left
) -> None:
    limited = budget(tokens=1000)
    first = limited.reserve(500, 0.0, NOW)
    assert first
    for tokens, usd in settled:
        limited.settle(first, tokens, usd, NOW)
    assert limited.left(NOW) == left
    assert (limited.reserve(1, 0.0, NOW) is None) == (left.tokens == 0)


def test_a_clock_that_was_far_ahead_does_not_block_for_ever() -> None:
    limited = budget(tokens=1000)
    first = limited.reserve(1000, 0.1, NOW + 1000 * DAY)
    assert first
    limited.settle(first, 1000, 0.1, NOW + 1000 * DAY)
    assert limited.left(NOW).tokens == 1000
    assert limited.reserve(1, 0.0, NOW)


def test_it_survives_a_restart_and_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "knowledge"
    one, other = Knowledge(path), Knowledge(path)
    assert budget(knowledge=one).reserve(600, 0.1, NOW)
    assert budget(knowledge=other).reserve(600, 0.1, NOW) is None
    one.close()
    other.close()
    again = Knowledge(path)
    assert budget(knowledge=again).left(NOW).tokens == 400
    again.close()


def test_a_killed_process_has_spent_what_it_had_booked(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        budget(knowledge=Knowledge(tmp_path / "knowledge")).reserve(600, 0.1, NOW)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    knowledge = Knowledge(tmp_path / "knowledge")
    assert budget(knowledge=knowledge).left(NOW).tokens == 400
    knowledge.close()


def test_what_cant_be_written_is_not_granted_and_stays_booked(tmp_path: Path) -> None:
    mine, other = Knowledge(tmp_path / "knowledge", busy_s=0.01), Knowledge(tmp_path / "knowledge")
    limited = budget(knowledge=mine)
    first = limited.reserve(600, 0.1, NOW)
    assert first
    with other.transaction():
        with pytest.raises(StoreError):
            limited.reserve(1, 0.0, NOW)
        with pytest.raises(StoreError):
            limited.settle(first, 1, 0.0, NOW)
    assert limited.left(NOW).tokens == 400
    mine.close()
    other.close()


@dataclass
class Question:
    reservation: Reservation
    reserved_at: float
    settled_at: float | None = None
    tokens: int = 0


WAITS = st.sampled_from([0.0, 59.0, HOUR - 1, HOUR - 1, 5 * HOUR, DAY - 1])
ACTIONS = st.sampled_from(["ask", "ask", "ask", "settle", "settle", "die"])
STEPS = st.lists(st.tuples(WAITS, ACTIONS, st.sampled_from([10, 10, 4])), min_size=8, max_size=24)


@given(STEPS, st.randoms(use_true_random=False), st.booleans())
def test_no_window_ever_holds_more_than_its_limit(
    steps: list[tuple[float, str, int]], chance: Random, by_settling: bool
) -> None:
    """Whether a question's tokens are spent when it is asked or when it is answered, and if
    never, when asked.
    """
    knowledge = Knowledge(None)
    limited, now = budget(10, knowledge=knowledge), NOW
    asked: list[Question] = []
    under_way: list[Question] = []
    for wait, action, tokens in steps:
        now += wait
        if action == "die":
            limited, under_way = budget(10, knowledge=knowledge), []
        elif action == "ask" and (booked := limited.reserve(tokens, 0.0, now)):
            under_way.append(Question(booked, now, tokens=tokens))
            asked.append(under_way[-1])
        elif action == "settle" and under_way:
            question = under_way.pop(chance.randrange(len(under_way)))
            question.tokens = min(tokens, question.reservation.tokens)
            question.settled_at = now
            limited.settle(question.reservation, question.tokens, 0.0, now)
    knowledge.close()
    spent = [
        (
            question.settled_at if by_settling and question.settled_at else question.reserved_at,
            question.tokens,
        )
        for question in asked
    ]
    for end, _ in spent:
        for window, limit in ((HOUR, 10), (DAY, 20)):
            assert sum(tokens for at, tokens in spent if end - window < at <= end) <= limit
