"""What comes before what: the rules of normal sessions, and the steps that break them."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    OPEN,
    OPENED,
    T0,
    S,
    deviations,
    lift_engine,
    ride,
    step_budget,
    step_witnesses,
    tree,
)

from export.fit_witnesses import count_precedence
from fluent_krone.detect.order import Order, count_order
from fluent_krone.detect.precedence import (
    OCCURRENCES,
    REACH,
    Rule,
    precedence_from_json,
    precedence_to_json,
)
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.witnesses import witnesses_from_json

A, B, C, D = range(4)


def interleaved(count: int, seed: int) -> list[tuple[int, ...]]:
    """A before B, and C before D; these two pairs in any order."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        places = [A, A, C, C]
        rng.shuffle(places)
        pairs = {A: iter((A, B)), C: iter((C, D))}
        found.append(tuple(next(pairs[which]) for which in places))
    return found


def test_a_step_that_never_comes_before_another_breaks_a_rule() -> None:
    rules = count_precedence(interleaved(500, 1))
    broken = rules.broken((C, B, A, D), 2)
    assert broken == Rule(other=B, most=0, sessions=500)
    assert broken.score == math.log(501)


def test_sessions_that_interleave_anew_break_none() -> None:
    rules = count_precedence(interleaved(500, 1))
    for keys in interleaved(200, 2):
        assert not any(rules.broken(keys, at) for at in range(len(keys)))


def test_a_step_that_never_comes_again_breaks_a_rule() -> None:
    rules = count_precedence(interleaved(500, 1))
    assert rules.broken((A, B, A), 2) == Rule(other=A, most=0, sessions=500)


def test_a_rule_says_how_many_came_before() -> None:
    rules = count_precedence([(A, A, B, A)] * 100)
    assert rules.broken((A, A, A, B), 3) == Rule(other=A, most=2, sessions=100)
    assert rules.broken((A, A, B, A), 2) is None


def test_only_sessions_that_went_as_far_have_tried_a_rule() -> None:
    rules = count_precedence([(B, A, A)] * 900 + [(A, B, A)] * 30)
    broken = rules.broken((A, A, B), 2)
    assert broken == Rule(other=A, most=1, sessions=30)


def test_few_sessions_make_no_rule() -> None:
    assert count_precedence([(A, B)] * 5).rules == {}
    assert count_precedence([]).rules == {}


def test_unknown_steps_and_late_occurrences_are_not_judged() -> None:
    rules = count_precedence([(A, B) * (OCCURRENCES + 2)] * 100)
    assert rules.broken((A, D), 1) is None
    assert rules.broken((A, B) * OCCURRENCES + (B, A, B), 2 * OCCURRENCES + 1) is None
    assert rules.broken((B,) * REACH + (A,), REACH) is None


def test_rules_survive_json() -> None:
    rules = count_precedence(interleaved(500, 1))
    again = precedence_from_json(precedence_to_json(rules))
    assert precedence_to_json(again) == precedence_to_json(rules)
    assert again.broken((B, A), 1) == rules.broken((B, A), 1)


RIDES = [(OPEN, GOING, GOING, OPENED, CLOSE), (GOING, OPEN, GOING, OPENED, CLOSE)] * 100


def judge() -> Steps:
    """Nothing but this view has a threshold; the witnesses come from a bundle."""
    order = Order(tree(), count_order(RIDES, tree()), count_precedence(RIDES), weighed=True)
    kept = dataclasses.replace(step_witnesses(), order=order).to_json()
    read = witnesses_from_json(json.loads(json.dumps(kept)), tree())
    return Steps(tree(), read, step_budget(), {"order.before": 4.0})


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            (OPEN, CLOSE, GOING),
            "came after “gate: close door <num>”. In all 200 normal sessions that have both, it "
            "comes first.",
        ),
        (
            (OPEN, GOING, GOING, GOING),
            "came 3 times. No normal session has it more than twice (200 have it twice).",
        ),
    ],
)
def test_a_broken_rule_is_told_at_once(keys: tuple[int, ...], words: str) -> None:
    served = judge()
    for at in range(1, len(keys)):
        assert served.at_step(keys[:at]) == ()
    [deviation] = served.at_step(keys)
    assert (deviation.witness, deviation.direction) == ("order", "unexpected")
    assert (deviation.event, deviation.score) == (len(keys) - 1, round(math.log(201), 4))
    assert words in deviation.words


@pytest.mark.parametrize(
    ("keys", "events"),
    [
        # All of them come after the door was closed, which came too early.
        ((OPEN, CLOSE, GOING, GOING, OPENED), [3]),
        # What goes wrong besides is reported as well: it goes once more than ever.
        ((OPEN, CLOSE, GOING, GOING, GOING, OPENED), [3, 5]),
    ],
)
def test_a_step_that_comes_too_early_is_told_once(keys: tuple[int, ...], events: list[int]) -> None:
    findings = lift_engine(steps=judge()).feed("app", ride("a", keys), T0 + 1_000 * S)
    assert [finding.events for finding in deviations(findings)] == events


def test_a_mark_on_a_step_that_came_too_early_holds_for_all_that_it_makes_odd() -> None:
    engine = lift_engine(steps=judge())
    # The cabin goes behind the closed door, which came too early, and is opened behind it as well.
    engine.silence_by(lambda finding: [one.log_key for one in finding.deviations] == [GOING])
    findings = engine.feed("app", ride("a", (OPEN, CLOSE, GOING, GOING, OPENED)), T0 + 1_000 * S)
    assert deviations(findings) == []
    # Without the marked step, the other one is reported.
    findings = engine.feed("app", ride("b", (OPEN, CLOSE, OPENED), 10), T0 + 1_000 * S)
    assert [finding.events for finding in deviations(findings)] == [3]


def test_a_place_that_was_usual_before_is_looked_at_again() -> None:
    served = judge()
    for keys in RIDES[:2]:
        for at in range(1, len(keys) + 1):
            assert served.at_step(keys[:at]) == ()
    # The last steps are those of a normal session, and what came long before them is not.
    assert served.at_step((OPENED, GOING, OPEN, GOING, OPENED))[0].event == 4


def test_a_bundle_of_an_earlier_version_has_no_rules_and_counts_what_is_new() -> None:
    kept = step_witnesses().to_json()
    del kept["precedence"], kept["weighed"]
    read = witnesses_from_json(kept, tree()).order
    assert not read.precedence.rules
    assert read.worst((CLOSE, OPENED, OPEN))["pair"] == 3


def test_a_new_pair_of_frequent_steps_counts_more_than_one_of_rare_steps() -> None:
    rides = [*RIDES, (OPEN, GOING, OPENED, ARRIVED, CLOSE)]
    order = Order(tree(), count_order(rides, tree()), weighed=True)
    assert order.scores((OPEN, GOING, GOING, CLOSE), 3)["pair"] == math.log(1 + len(rides))
    assert order.scores((OPEN, GOING, GOING, ARRIVED), 3)["pair"] == math.log(2)
