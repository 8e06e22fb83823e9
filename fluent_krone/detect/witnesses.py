"""The witnesses of single steps, as a bundle keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.hierarchy import Hierarchy
from .durations import Durations, durations_from_json, durations_to_json
from .levels import Levels, levels_from_json, levels_to_json
from .order import Order, order_from_json, order_to_json
from .precedence import precedence_from_json, precedence_to_json
from .progress import Progress, progress_from_json, progress_to_json
from .proportions import Proportions, proportions_from_json, proportions_to_json
from .recent import Recent, recent_from_json, recent_to_json
from .times import Times, times_from_json, times_to_json
from .values import ValueWitness, values_from_json, values_to_json
from .waits import Waits, waits_from_json, waits_to_json


@dataclass(frozen=True, slots=True)
class StepWitnesses:
    """The witnesses of single steps, as a bundle holds them."""

    order: Order
    times: Times
    values: ValueWitness
    levels: Levels
    durations: Durations
    waits: Waits
    proportions: Proportions

    def to_json(self) -> dict[str, Any]:
        """What a bundle holds of them; `witnesses_from_json` reads it."""
        order = self.order
        newer = {}
        if order.recent is not None and order.progress is not None:
            newer["recent"] = recent_to_json(order.recent)
            newer["progress"] = progress_to_json(order.progress)
        return newer | {
            "order": order_to_json(order.tables),
            "precedence": precedence_to_json(order.precedence),
            "weighed": order.weighed,
            "times": times_to_json(self.times),
            "values": values_to_json(self.values),
            "levels": levels_to_json(self.levels),
            "durations": durations_to_json(self.durations),
            "waits": waits_to_json(self.waits),
            "proportions": proportions_to_json(self.proportions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessFiles:
    """What a bundle keeps of the witnesses of steps, and of the budget.

    `blind` are the kinds of fault that the bundle hardly finds. `detection` is the table behind
    that: kind of fault → false alarms asked for → share found.
    """

    witnesses: StepWitnesses
    budget: Mapping[str, Any]
    false_alarms: float
    blind: Sequence[str] = ()
    detection: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def budget_json(self) -> dict[str, Any]:
        """What `budget.json` of a bundle holds: the budget, and what it finds."""
        return {
            "false_alarms": self.false_alarms,
            "blind": list(self.blind),
            "detection": {kind: dict(found) for kind, found in self.detection.items()},
            "budget": dict(self.budget),
        }


def witnesses_from_json(values: Mapping[str, Any], hierarchy: Hierarchy) -> StepWitnesses:
    """The witnesses of a bundle, whose tree is `hierarchy`."""
    recent: Recent | None = None
    progress: Progress | None = None
    # Absent in a bundle of an earlier version.
    if "progress" in values:
        recent = recent_from_json(values["recent"])
        progress = progress_from_json(values["progress"])
    of_values = values_from_json(values["values"])
    return StepWitnesses(
        Order(
            hierarchy,
            order_from_json(values["order"]),
            precedence_from_json(values.get("precedence", ())),
            weighed=values.get("weighed", False),
            recent=recent,
            progress=progress,
        ),
        times_from_json(values["times"], hierarchy),
        of_values,
        levels_from_json(values["levels"]),
        durations_from_json(values.get("durations"), hierarchy),
        waits_from_json(values.get("waits")),
        proportions_from_json(values.get("proportions"), of_values),
    )
