"""Which steps a session needs: the rules of normal sessions, and what others lack."""

from __future__ import annotations

import json
import math
import random
from collections import Counter

import numpy as np

from export.needs import count_needs
from export.plan_budget import plan_budget
from fluent_krone.detect.counts import Counts
from fluent_krone.detect.needs import OCCURRENCES, Need, Needs, needs_from_json, needs_to_json

PART, RECEIPT, RETRY, GIFT, END = range(5)
BOOK = 9


def needs_of(sessions: list[tuple[int, ...]]) -> Needs:
    bags = Counter(tuple(sorted(keys)) for keys in sessions)
    return count_needs([Counter(bag) for bag in bags], [*bags.values()])


def deliveries(count: int, seed: int) -> list[tuple[int, ...]]:
    """Parts with a receipt each, retries, a gift in one of ten, and an end."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        keys = [PART, RECEIPT] * rng.randint(1, 4) + [RETRY] * rng.randint(0, 3)
        keys += [GIFT] * (rng.random() < 0.1) + [END]
        rng.shuffle(keys)
        found.append(tuple(keys))
    return found


def test_a_session_lacks_what_each_normal_one_with_its_steps_has() -> None:
    needs = needs_of(deliveries(500, 1))
    lacking = needs.lacking(Counter((PART, RECEIPT, PART, RECEIPT, RETRY)))
    assert lacking == Need(other=END, least=1, sessions=500)
    assert lacking.score == math.log(501)


def test_as_many_receipts_as_parts_are_needed() -> None:
    needs = needs_of([(PART, RECEIPT, END)] * 300 + [(PART, RECEIPT) * 2 + (END,)] * 90)
    assert needs.lacking(Counter((PART, PART, RECEIPT, END))) == Need(RECEIPT, 2, 90)
    assert needs.lacking(Counter((PART, RECEIPT, END))) is None


def test_what_only_some_sessions_have_is_not_needed() -> None:
    needs = needs_of(deliveries(500, 1))
    assert not any(needs.lacking(Counter(keys)) for keys in deliveries(200, 2))
    assert needs.lacking(Counter((PART, RECEIPT, GIFT, END))) is None


def test_a_step_that_comes_dozens_of_times_has_no_least_number() -> None:
    """Only the few sessions that had no more than the least number have tried the rule."""
    sessions = [(PART, *[RETRY] * number) for number in range(3, 40)] * 30
    needs = needs_of(sessions)
    assert needs.lacking(Counter((PART, RETRY, RETRY))) == Need(RETRY, 3, 30)
    assert needs.lacking(Counter((PART,))) == Need(RETRY, 3, 30)


def test_few_sessions_make_no_rule() -> None:
    assert needs_of([(PART, RECEIPT)] * 5).rules == {}
    assert needs_of([]).rules == {}


def test_a_rule_is_said_once() -> None:
    needs = needs_of([(PART, *[RETRY] * OCCURRENCES, END)] * 100)
    said = [(step, need) for step, rules in needs.rules.items() for of in rules for need in of]
    assert len(said) == len(set(said)) == 6


def test_unknown_steps_need_nothing() -> None:
    needs = needs_of(deliveries(500, 1))
    assert needs.lacking(Counter((PART, RECEIPT, BOOK, END))) is None
    assert needs.lacking(Counter((BOOK,))) is None


def test_rules_survive_json() -> None:
    needs = needs_of(deliveries(500, 1))
    again = needs_from_json(json.loads(json.dumps(needs_to_json(needs))))
    assert needs_to_json(again) == needs_to_json(needs)
    assert again.lacking(Counter((PART,))) == needs.lacking(Counter((PART,)))


def test_a_bundle_of_an_earlier_version_knows_which_steps_come_together() -> None:
    normal = [(PART, RECEIPT, END), (PART, PART, RECEIPT, END)]
    cost = math.log(100)
    same = dict.fromkeys((PART, RECEIPT, END), cost)
    earlier = Counts(normal, same, cost, same, proving=True)
    assert earlier.lacking((PART, END)) == math.log(100)
    assert earlier.lacking((PART, RECEIPT, END)) == 0
    assert Counts(normal, same, cost).lacking((PART, END)) == 0


def test_a_step_that_is_missing_is_found_where_normal_counts_vary_more() -> None:
    """Wrong before: it had the threshold of all counts, which rare combinations set."""
    rng = np.random.default_rng(3)
    normal = {"density": rng.exponential(1, 3_000), "counts": rng.exponential(2, 3_000)}
    normal["needs"] = np.zeros(3_000)
    skip = {"density": np.zeros(50), "counts": np.full(50, 8.0), "needs": np.full(50, 8.0)}
    thresholds = plan_budget(normal, {"skip": skip}).thresholds(0.5)
    assert thresholds["needs"] < 8.0 < thresholds["counts"]
