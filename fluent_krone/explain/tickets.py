"""What accompanies an alert from the queue of explanations to its delivery.

An explanation, a person's mark or a failure adds fields to the alert's record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..types import Alert
from . import Answer, Case, Reason
from .rows import Learned, Mark

# Confidence below which an answer clears no session. A model that is less sure is often wrong.
_SURE = 0.7


@dataclass(slots=True, eq=False)
class Waiting:
    """An alert that waits for an answer, or has one."""

    alert: Alert
    case: Case
    deadline: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Answer | None = None
    failed: Reason | None = None
    cost_usd: float = 0.0  # the first alert that waits for an answer bears its price

    @property
    def is_cleared(self) -> bool:
        """Whether the answer says that the session is normal, surely enough to be believed."""
        return self.answer is not None and self.is_cleared_by(self.answer)

    def is_cleared_by(self, answer: Answer) -> bool:
        """Whether an answer clears the session: a model may say that it is normal."""
        return self.case.may_clear and answer.verdict == "normal" and answer.confidence >= _SURE

    def explained(self, answer: Answer, cost_usd: float) -> Alert:
        """The alert as an answer explains it."""
        steps = [self.case.templates[step] for step in answer.steps]
        return by_model(self.alert, answer, steps, cost_usd)


@dataclass(slots=True, eq=False)
class Ticket:
    """An alert with what the queue knows of it, until the alert is delivered."""

    alert: Alert
    case: Case | None = None  # what would be asked; None where nothing is asked
    waiting: Waiting | None = None  # from `submit` on, where an answer is known or awaited
    is_restored: bool = False  # the alert was made by the last run, and its case is lost
    learned: Learned | None = None  # what is known of a restored alert's pattern
    is_late: bool = False  # the alert was sent before, and now has its explanation
    leaving: Alert | None = None  # what `leave` returned last


def by_person(alert: Alert, mark: Mark) -> Alert:
    """The alert as a person's mark explains it; the person's note comes first."""
    explained = {"by": mark.by, "verdict": mark.verdict, "note": mark.note}
    explanation = alert.record["explanation"]
    if mark.note:
        explanation = f"{mark.by}: {mark.note} {explanation}"
    return _with(alert, explained, explained_by="person", explanation=explanation)


def by_model(
    alert: Alert, answer: Answer | Learned, steps: Sequence[str], cost_usd: float
) -> Alert:
    """The alert as a model explains it. `steps` are the texts that the answer rests on.

    The evidence stays the first sentence: it cannot be talked into anything by a log line. The
    model's words follow, marked as its own.
    """
    who = explainer_of(answer.model)
    evidence = alert.record["explanation"]
    explained = {
        "by": who,
        "model": answer.model,
        "verdict": answer.verdict,
        "confidence": answer.confidence,
        "summary": answer.summary,
        "cause": answer.cause,
        "check": answer.check,
        "steps": list(steps),
        "evidence": evidence,
        "cost_usd": cost_usd,
    }
    words = f"{answer.model} says: {answer.summary}"
    if answer.verdict == "normal":
        words = f"{answer.model} takes it for harmless: {answer.summary}"
    return _with(alert, explained, explained_by=who, explanation=f"{evidence} {words}")


def explainer_of(model: str) -> str:
    """What `explained_by` says of a model: `claude`, or `model` for any other."""
    if "claude" in model.lower():
        return "claude"
    return "model"


def without_answer(alert: Alert, reason: Reason | None, cost_usd: float) -> Alert:
    """The alert with its evidence, and the reason why no model explained it."""
    explained: dict[str, Any] = {"by": "evidence", "failed": reason}
    if cost_usd:
        explained["cost_usd"] = cost_usd
    return _with(alert, explained)


def _with(alert: Alert, explained: dict[str, Any], **fields: Any) -> Alert:
    return replace(alert, record={**alert.record, **fields, "explained": explained})
