"""The counts of a session: how far they are from those of every normal session."""

from __future__ import annotations

import pytest

from fluent_krone.detect.counts import Counts

STEADY, VARYING, RARE = 0, 1, 2


def counts() -> Counts:
    """One steady step, another that comes one to five times."""
    normal = [(STEADY, *[VARYING] * times) for times in (1, 2, 3, 5)]
    return Counts(normal, {STEADY: 8.0, VARYING: 0.5}, unknown=9.0)


@pytest.mark.parametrize(
    ("keys", "score"),
    [
        ((STEADY, VARYING), 0.0),
        ((VARYING, STEADY, VARYING), 0.0),
        ((STEADY, *[VARYING] * 4), 0.5),
        ((VARYING,), 8.0),
        ((STEADY, STEADY, VARYING), 8.0),
        ((STEADY, STEADY, *[VARYING] * 4), 8.5),
        ((STEADY, VARYING, RARE), 9.0),
        ((STEADY, VARYING, RARE, RARE), 9.0),
        ((), 8.5),
    ],
)
def test_a_step_in_another_number_costs_as_much_as_that_is_unusual(
    keys: tuple[int, ...], score: float
) -> None:
    assert counts().score(keys) == pytest.approx(score)
    assert counts().score(keys) == pytest.approx(score), "a remembered score is the same"


def test_the_order_makes_no_difference() -> None:
    keys = (STEADY, VARYING, RARE, VARYING)
    assert counts().score(keys) == counts().score(keys[::-1])


def test_without_normal_sessions_nothing_is_said() -> None:
    assert Counts([], {}, 1.0).score((STEADY,)) == 0.0
