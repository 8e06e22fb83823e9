"""The fields that an explanation, a person's mark or a failure adds to an alert's record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..types import Alert
from . import Answer, Reason
from .rows import Learned, Mark


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
