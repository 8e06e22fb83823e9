"""One budget of false alarms, shared by all witnesses of a bundle.

Export scores normal sessions that a detector was not fitted on and injects faults into them. From
both it makes a plan for each of several numbers of false alarms in 1,000 normal sessions: which
score gets which threshold. The number that is asked for, at fit or at run time, chooses the plan;
nothing is fitted anew.

Thresholds are held-out scores themselves, no fitted tails.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..core.cascade import Clearing
from ..errors import BundleError

# The scores that have a threshold. The first six are of a whole session and make `sequence`
# alerts; the others are of one step and make `deviation` alerts.
Score = Literal[
    "density", "counts", "needs", "loops", "patterns", "unseen",
    "order.session", "order.entity", "order.before", "order.pair", "order.recent", "order.progress",
    # In bundles of earlier versions:
    "order.triple",
    "time", "time.wait", "time.seq", "values", "values.range", "proportion", "levels",
]  # fmt: skip
# In 1,000 normal sessions; what is assumed where nothing is asked for.
FALSE_ALARMS = 1.0
# What a session scores that has a step which normal training never had; it has 0 otherwise.
UNSEEN = 3.0
# Scores are compared as they are stored, so that a verdict never depends on the last bits.
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """The thresholds for a number of `false_alarms`; a score without one flags nothing."""

    false_alarms: float
    thresholds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Budget:
    """The plans, the cheapest first, and the largest held-out scores of `sessions` normal sessions,
    in falling order.

    >>> plans = (Plan(0.1, {"density": 9.0}), Plan(2, {"density": 8.0}))
    >>> budget = Budget(1000, {"density": (9.0, 8.0)}, plans)
    >>> budget.thresholds(1.0), budget.thresholds(2.0)
    ({'density': 9.0}, {'density': 8.0})
    """

    sessions: int
    largest: Mapping[str, tuple[float, ...]]
    plans: tuple[Plan, ...]

    def thresholds(self, false_alarms: float) -> dict[str, float]:
        """The thresholds of the dearest plan that costs no more than asked; abnormal above them."""
        found = self.plans[0]
        for plan in self.plans:
            if plan.false_alarms <= false_alarms:
                found = plan
        return dict(found.thresholds)

    def p_value(self, score: str, value: float) -> float:
        """The share of normal sessions that score at least so much; never 0, as they are finite."""
        ranked = self.largest.get(score, ())
        at_least = bisect_left(ranked, True, key=lambda other: other < value)
        return (1 + at_least) / (1 + self.sessions)

    def to_json(self) -> dict[str, Any]:
        """What a bundle holds of it; `budget_from_json` reads it."""
        return {
            "sessions": self.sessions,
            "largest": {name: list(scores) for name, scores in self.largest.items()},
            "plans": [[plan.false_alarms, dict(plan.thresholds)] for plan in self.plans],
        }


def judges_steps(thresholds: Mapping[str, float]) -> bool:
    """Whether one step that normal training never had makes a session abnormal."""
    return thresholds.get("unseen", UNSEEN) < UNSEEN


def clearing_of(thresholds: Mapping[str, float]) -> Clearing:
    """What the thresholds let flag a whole session, beside the density."""
    return Clearing(
        patterns_clear=False,
        nested_clears="patterns" not in thresholds,
        counts_flag="counts" in thresholds,
    )


def budget_from_json(values: Mapping[str, Any]) -> Budget:
    """Raises BundleError where a plan names a score that this version does not know."""
    plans = tuple(Plan(cost, thresholds) for cost, thresholds in values["plans"])
    largest = {name: tuple(scores) for name, scores in values["largest"].items()}
    named = {score for plan in plans for score in plan.thresholds}
    if unknown := named - set(get_args(Score)):
        raise BundleError(f"budget.json names unknown scores: {', '.join(sorted(unknown))}")
    return Budget(values["sessions"], largest, plans)
