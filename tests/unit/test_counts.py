"""The counts of a session: how far they are from those of every normal session."""

from __future__ import annotations

import math

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


def test_one_more_round_of_a_loop_is_one_difference() -> None:
    """Wrong before: a third round of ten steps was as odd as ten faults."""
    rounds = [(0, *(1, 2, 3, 4) * n, 9) for n in (1, 2)]
    counts = Counts(rounds, dict.fromkeys(range(10), 5.0), unknown=9.0)
    assert counts.score((0, *(1, 2, 3, 4) * 3, 9)) == 5.0
    assert counts.score((0, 1, 2, 4, 9)) == 5.0
    assert counts.score((0, *(1, 2, 3, 4) * 3, 3, 9)) == 10.0
    assert counts.score((0, 1, 2, 9)) == 10.0
    assert counts.score((0, 1, 2, 3, 4, 17, 9)) == 9.0


def test_a_round_that_is_not_whole_is_odd_however_many_rounds_there_are() -> None:
    """Wrong before: one `opened` without its `closed` cost as little as one more round."""
    rounds = [(0, *(1, 2) * n) for n in range(1, 8)]
    often = math.log(1 + 500) - 5
    costs = {0: 9.0, 1: 9.0 - 5, 2: 9.0 - 5}
    counts = Counts(rounds, costs, 9.0, {0: 9.0, 1: often, 2: often}, proving=True)
    assert counts.score((0, *(1, 2) * 9)) == pytest.approx(often)
    assert counts.score((0, 1, 2, 1, 2, 1)) == pytest.approx(math.log(1 + 500))


def test_a_step_that_all_such_sessions_have_is_missed_however_often_it_comes() -> None:
    """Wrong before: where its number varied, one that was not there at all cost next to nothing."""
    index, ended = 1, 2
    normal = [(0, *[index] * n, ended) for n in (1, 2, 3, 4)] + [(0, 3), (0, 3, 3)]
    costs = {0: 9.0, index: 9.0 - 6, ended: 9.0 - 6, 3: 9.0 - 2}
    numbers = {0: 9.0, index: 0.2, ended: math.log(1 + 400), 3: 0.2}
    costs[index] = 9.0 - math.log(1 + 400) + 0.2
    costs[ended] = 9.0
    counts = Counts(normal, costs, 9.0, numbers, proving=True)
    assert counts.score((0, *[index] * 6, ended)) == pytest.approx(0.2)
    assert counts.lacking((0, ended)) == pytest.approx(math.log(1 + 400))
    assert counts.score((0, 3, 3, 3)) == pytest.approx(0.2)


def test_another_number_costs_less_than_a_step_that_does_not_belong_there() -> None:
    counts = Counts([(0, 1), (0, 1, 2)], {0: 7.0, 1: 7.0, 2: 7.0}, 9.0, {0: 4.0, 1: 3.0, 2: 2.0})
    assert counts.score((0, 1, 2, 2)) == 2.0
    assert counts.score((0,)) == 3.0
    assert counts.score((1, 0, 1, 0)) == 4.0
    other = Counts([(0, 1)], {0: 7.0, 1: 7.0, 2: 6.0}, 9.0, {0: 4.0, 1: 3.0, 2: 2.0})
    assert other.score((0, 1, 2)) == 6.0


def test_what_others_never_do_proves_little_about_a_rare_kind() -> None:
    """Wrong before: of fifteen sessions in which a copy was made again, one with four reports
    instead of five was as far out as if it had been one of thousands."""
    store, copy = 0, 1
    normal = [(store, store, store), (*[store] * 5, copy)]
    never = {store: 9.0, copy: 9.0 - 2.5}
    fifteen = math.log(16)
    counts = Counts(normal, never, 9.0, {store: 9.0, copy: fifteen - 2.5})
    assert counts.score((store, store)) == 9.0
    assert counts.score((*[store] * 4, copy)) == pytest.approx(math.log(5 * 16))
    assert counts.score((*[store] * 4, copy, 7)) == pytest.approx(9.0 + math.log(5 * 16))
    # Outliers are no kind, and of many sessions of a kind it is known what they do.
    for having in (3, 1000):
        of_number = {store: 9.0, copy: math.log(1 + having) - 2.5}
        counts = Counts(normal, never, 9.0, of_number)
        assert counts.score((*[store] * 4, copy)) == 9.0
