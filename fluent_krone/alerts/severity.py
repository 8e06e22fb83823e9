"""How urgent an alert is, from its kind, what its step says, and how rare it is."""

from __future__ import annotations

from typing import Literal

from ..core.failures import severity as words_severity
from ..core.failures import template_severity

Severity = Literal["notice", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("notice", "warning", "error", "critical")
# What an alert of each kind has before anything is known of it.
_OF_KIND: dict[str, Severity] = {
    "unseen_template": "notice",
    "change": "notice",
    # Most sessions of the change are abnormal in other ways.
    "abnormal_change": "error",
    # Many sessions lack a step, or have steps in a new order.
    "shifted_change": "warning",
    "deviation": "warning",
    "flow": "warning",
    "sequence": "error",
}
# A session or step that fewer than one normal session in this many has is one degree more urgent …
_RARE = 1 / 5_000
# … and so is a step whose words speak of an error; two degrees more where they speak of a crash.


def severity_of(kind: str, template: str, p_value: float | None) -> Severity:
    """The severity of an alert about a step with this template.

    >>> severity_of("deviation", "block <id> received", 0.001)
    'warning'
    >>> severity_of("unseen_template", "kernel panic in <*>", None)
    'error'
    """
    # For an alert about a new template this is the line itself, and lines are too many to remember.
    degree_of = words_severity if kind == "unseen_template" else template_severity
    degree = SEVERITIES.index(_OF_KIND[kind]) + degree_of(template)
    if kind == "deviation" and p_value is not None and p_value < _RARE:
        degree += 1
    return SEVERITIES[min(degree, len(SEVERITIES) - 1)]
