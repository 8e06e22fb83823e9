"""Which steps a session must have because it has certain others, however they interleave.

A nightly run that was started is also finished, and an order that was paid has been checked, in
whatever order these come. Process mining calls this responded existence (van der Aalst, Pesic,
Schonenberg, "Declarative workflows", 2009). A rule counts as much as there are normal sessions that
keep it, and its score is the logarithm of their number.

Other counts of a session say little about such a step. Where several things may come in another
number, as retries, parts and optional steps do, normal sessions differ from the nearest one in
several of them, and together these weigh more than one missing step.

Occurrences are told apart, as steps repeat: a session in which a second part was delivered has two
receipts. Where more than one is needed, only sessions that have no more than that tried the rule:
of a step that comes dozens of times, nobody knows the least number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Occurrences of a step that are told apart.
OCCURRENCES = 5


@dataclass(frozen=True, slots=True)
class Need:
    """A normal session with a certain number of a step has `other` at least `least` times.

    `sessions` normal sessions have that number of the step, and `other` no more often than it must
    be; those that have it more often count as well where it need only be there.
    """

    other: int
    least: int
    sessions: int

    @property
    def score(self) -> float:
        """−ln of the share of sessions that break such a rule, at most."""
        return math.log(1 + self.sessions)


# Of each step, what its first, second, … occurrence needs.
Rules = Mapping[int, Sequence[Sequence[Need]]]


class Needs:
    """Finds what a session lacks.

    >>> needs = Needs({1: [[Need(2, 1, 999)], [Need(2, 2, 99)]]})
    >>> needs.lacking({1: 1}), needs.lacking({1: 2, 2: 1})
    (Need(other=2, least=1, sessions=999), Need(other=2, least=2, sessions=99))
    >>> needs.lacking({1: 1, 2: 1}) is None
    True
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # The best rule of an occurrence comes first, so that it is found first.
        self._ranked = {
            step: [sorted(of_one, key=lambda need: -need.sessions) for of_one in occurrences]
            for step, occurrences in rules.items()
        }

    def lacking(self, times: Mapping[int, int]) -> Need | None:
        """The need with the most sessions that is not met; `times` are the counts of steps."""
        found: Need | None = None
        for step, number in times.items():
            for needs in self._ranked.get(step, ())[:number]:
                for need in needs:
                    if found is not None and need.sessions <= found.sessions:
                        break
                    if times.get(need.other, 0) < need.least:
                        found = need
                        break
        return found


def needs_to_json(needs: Needs) -> list[Any]:
    """Plain values: of each step, what each occurrence needs, each as three numbers."""
    return [
        [step, [[[n.other, n.least, n.sessions] for n in of_one] for of_one in occurrences]]
        for step, occurrences in sorted(needs.rules.items())
    ]


def needs_from_json(values: Sequence[Any]) -> Needs:
    """The needs as `needs_to_json` wrote them."""
    return Needs(
        {
            step: [[Need(*need) for need in of_one] for of_one in occurrences]
            for step, occurrences in values
        }
    )
