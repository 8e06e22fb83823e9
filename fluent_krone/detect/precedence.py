"""Which steps never come before which: what normal sessions keep to, however they interleave.

The next step says little where several components write at once: any two lines may be neighbours.
But a block is allocated before it is received, and an order is paid before it is sent, whatever
comes between. Process mining calls this precedence (van der Aalst, Pesic, Schonenberg, "Declarative
workflows", 2009). Nothing is asserted that training did not try often: a rule that one step never
comes before another counts as much as there are sessions that have both, and its score is the
logarithm of their number.

Occurrences are told apart, as steps repeat: of three replicas, the second may always be received
before the first is closed. So a rule says of an occurrence of a step how many of another one have
come before it at most. Where that is more than none, only sessions that went as far tried the rule:
if one in a hundred has one before it, none of 10,000 may have two by chance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Occurrences of a step that are told apart; those behind them are not judged.
OCCURRENCES = 5
# Events of a session that are looked at: this bounds the work. What repeats after them has shown
# its order before.
REACH = 256

# Up to this many rules, each step that they name is counted by itself. Every new state of a session
# asks, and to count all steps at once costs as much as to count some ten of them.
_FEW_RULES = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """Before an occurrence of a step, `other` came at most `most` times in `sessions` sessions.

    In each of these sessions it came that often before it, and again later, so that the session
    could have broken the rule. Where `other` is the step itself, no session had that occurrence,
    though `sessions` had the one before it.
    """

    other: int
    most: int
    sessions: int

    @property
    def score(self) -> float:
        """−ln of the share of sessions that break such a rule, at most."""
        return math.log(1 + self.sessions)


# Of each step, the rules of its first, second, … occurrence.
Rules = Mapping[int, Sequence[Sequence[Rule]]]


class Precedence:
    """Finds the rule that an event breaks.

    >>> pays_first = Precedence({1: [[Rule(2, 0, 999)]]})
    >>> pays_first.broken([2, 1], 1)
    Rule(other=2, most=0, sessions=999)
    >>> pays_first.broken([1, 2], 1) is None
    True
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # The best rule of an occurrence comes first, so that it is found first.
        self._ranked = {
            step: [sorted(of_one, key=lambda rule: -rule.sessions) for of_one in occurrences]
            for step, occurrences in rules.items()
        }

    def broken(self, keys: Sequence[int], at: int) -> Rule | None:
        """The rule with the most sessions that event `at` breaks; None where it breaks none."""
        occurrences = self._ranked.get(keys[at])
        if occurrences is None or at >= REACH:
            return None
        before = keys[:at]
        occurrence = before.count(keys[at])
        if occurrence >= len(occurrences):
            return None
        rules = occurrences[occurrence]
        times_before = before.count
        if len(rules) > _FEW_RULES:
            times_before = Counter(before).__getitem__
        for rule in rules:
            if times_before(rule.other) > rule.most:
                return rule
        return None


# Of a bundle of an earlier version.
NO_PRECEDENCE = Precedence({})


def precedence_to_json(precedence: Precedence) -> list[Any]:
    """Plain values: of each step, the rules of each occurrence, each as three numbers."""
    return [
        [step, [[[r.other, r.most, r.sessions] for r in of_one] for of_one in occurrences]]
        for step, occurrences in sorted(precedence.rules.items())
    ]


def precedence_from_json(values: Sequence[Any]) -> Precedence:
    """The rules as `precedence_to_json` wrote them."""
    return Precedence(
        {
            step: [[Rule(*rule) for rule in of_one] for of_one in occurrences]
            for step, occurrences in values
        }
    )
