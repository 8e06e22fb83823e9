"""The order witness: a model of the next step, by session and by entity."""

from __future__ import annotations

import json
import math

import pytest
from synthetic import ARRIVED, CLOSE, GOING, NORMAL, OPEN, OPENED, STUCK, UNKNOWN, tree

from fluent_krone.detect.order import (
    Order,
    count_order,
    entity_context,
    order_from_json,
    order_to_json,
    session_context,
)

RIDES = [(OPEN, OPENED, *[GOING] * n, ARRIVED, CLOSE) for n in (1, 2, 3) for _ in range(20)]


def order() -> Order:
    return Order(tree(), count_order(RIDES, tree()))


def test_a_context_begins_with_starts() -> None:
    assert session_context((7,), 0) == (-1, -1, -1)
    assert session_context((7, 8, 9, 6), 3) == (7, 8, 9)


def test_an_entity_s_context_skips_the_steps_of_others() -> None:
    assert entity_context((OPEN, GOING, OPENED), 2, tree().entity_of) == (-1, -1, OPEN)


def test_a_step_that_always_follows_is_no_surprise_and_another_one_is() -> None:
    usual = order().scores((OPEN, OPENED), 1)
    odd = order().scores((OPEN, CLOSE), 1)
    assert usual["session"] < 0.1
    assert odd["session"] > 3
    assert (usual["pair"], odd["pair"]) == (0.0, 1.0)


def test_a_backward_session_has_many_new_pairs() -> None:
    backwards = RIDES[0][::-1]
    assert order().worst(backwards)["pair"] >= 4
    assert order().worst(RIDES[0])["pair"] == 0


def test_a_step_that_never_comes_first_makes_a_new_pair_and_an_early_end_makes_none() -> None:
    ride = RIDES[-1]
    assert order().worst(ride[2:])["pair"] == 1
    for cut in range(1, len(ride)):
        assert (order().worst(ride[:cut])["pair"], order().worst(ride[:cut])["triple"]) == (0, 0)


def test_a_step_after_two_steps_that_it_never_follows_is_a_new_triple() -> None:
    turned = (OPEN, OPENED, GOING, ARRIVED, GOING)
    assert order().worst(turned)["triple"] >= order().worst(turned)["pair"] >= 1
    skipped = [(1, 2, 3), (2, 3, 1)] * 10
    model = Order(tree(), count_order(skipped, tree()))
    assert model.scores((1, 2, 3, 1), 3)["pair"] == 0
    assert model.scores((1, 2, 3, 1, 2), 4)["pair"] == 0
    assert model.scores((1, 2, 3, 1, 2), 4)["triple"] == 1


def test_an_early_end_is_a_surprise() -> None:
    assert order().end_scores((OPEN, OPENED, GOING))["session"] > 3
    assert order().end_scores(RIDES[0])["session"] < 0.1
    assert order().end_scores(())["session"] == 0


@pytest.mark.parametrize("stranger", [STUCK, UNKNOWN])
def test_a_step_that_training_never_had_says_nothing_of_the_order(stranger: int) -> None:
    assert set(order().scores((OPEN, stranger), 1).values()) == {0.0}
    assert order().scores((OPEN, stranger, OPENED), 2)["pair"] == 0.0


def test_surprises_of_all_steps_are_a_probability() -> None:
    """What may follow, the end and one unknown step included, has no more than all probability."""
    model = Order(tree(), count_order(NORMAL, tree()))
    total = sum(
        math.exp(-model.scores((OPEN, step), 1)["session"]) for step in range(len(tree().rows) - 1)
    )
    assert total <= 2


def test_a_table_has_what_followed_each_context_of_up_to_three_steps() -> None:
    session = count_order([(OPEN, OPENED)] * 3 + [()], tree())["session"]
    start, end = -1, -2
    assert session[()] == {OPEN: 3, OPENED: 3, end: 3}
    assert session[(OPEN,)] == {OPENED: 3}
    assert session[(start, OPEN, OPENED)] == {end: 3}
    assert session[(start, start, start)] == {OPEN: 3}


def test_the_tables_survive_json() -> None:
    tables = count_order(RIDES, tree())
    back = order_from_json(json.loads(json.dumps(order_to_json(tables))))
    assert back == {name: {c: dict(a) for c, a in table.items()} for name, table in tables.items()}


def test_follows_says_what_is_usual() -> None:
    follows = order().follows(OPEN, CLOSE)
    assert (follows.times, follows.total, follows.usual) == (0, 60, OPENED)


def test_the_fewest_steps_after_which_a_step_is_rare_are_named() -> None:
    # After OPENED both lifts and doors may follow, but not the same after every beginning.
    sessions = [(OPEN, OPENED, GOING)] * 50 + [(STUCK, OPENED, CLOSE)] * 50
    model = Order(tree(), count_order(sessions, tree()))
    context, follows = model.rare_after((OPEN, OPENED, CLOSE), 2, "session", 0.02)
    assert context == (OPEN, OPENED)
    assert (follows.times, follows.total, follows.usual) == (0, 50, GOING)
    context, follows = model.rare_after((OPEN, OPENED, ARRIVED), 2, "session", 0.02)
    assert context == (OPENED,)
    assert follows.times == 0
    context, _ = model.rare_after((STUCK, OPENED, CLOSE), 2, "session", 0.02)
    assert context == (-1, STUCK, OPENED)


def test_what_an_entity_begins_with_is_told_of_that_entity_alone() -> None:
    """Wrong before: the first steps of all entities were the cases of each."""
    model = Order(tree(), count_order([(OPEN, OPENED, GOING, ARRIVED)] * 50, tree()))
    entity_of = tree().entity_of
    assert entity_of[OPEN] == entity_of[OPENED] != entity_of[GOING]
    context, follows = model.rare_after((GOING, OPENED), 1, "entity", 0.02)
    assert context == (-1,)
    assert (follows.times, follows.total, follows.usual) == (0, 50, OPEN)


def test_the_first_of_several_new_places_is_the_one_that_made_them_new() -> None:
    model = Order(tree(), count_order([(OPEN, OPENED, GOING, ARRIVED, CLOSE)] * 20, tree()))
    keys = (OPEN, OPENED, CLOSE, GOING, ARRIVED)
    assert [model.first_of_new(keys, at) for at in (2, 3, 4)] == [2, 2, 2]
    # What is new at the end of a long session has nothing to do with its beginning.
    far = (OPEN, GOING, *[OPEN, OPENED, GOING, ARRIVED, CLOSE] * 2, OPENED)
    assert model.first_of_new(far, len(far) - 1) > 1
