"""What accompanies an alert from the queue of explanations to its delivery."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ..types import Alert
from . import Answer, Case, Reason
from .explained import by_model
from .rows import Learned

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
