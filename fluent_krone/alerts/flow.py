"""What an alert about the stream as a whole holds: a burst of a step, or a silence."""

from __future__ import annotations

from typing import Any

from ..core.hierarchy import Hierarchy
from ..types import Deviation, Finding, Flow
from .digests import digest_of
from .severity import Severity, severity_of

# What the severity of a silence is judged by: its step itself may well speak of success.
_SILENT = "failed"


def flow_steps(flow: Flow, log_key: int, hierarchy: Hierarchy) -> dict[str, str | None]:
    """Entity, action and status of a node, as far as it goes down the tree."""
    entity, action, status = hierarchy.steps(log_key)
    if flow.level == "stream":
        entity = None
    if flow.level in ("stream", "entity"):
        action = None
    if flow.level != "status":
        status = None
    return {"entity": entity, "action": action, "status": status}


def flow_signature(finding: Finding, flow: Flow, template_id: str) -> str:
    """What identifies the node and the direction, whatever the numbers are."""
    return digest_of(("flow", finding.deviations[0].direction, flow.level, flow.name, template_id))


def flow_severity(deviation: Deviation, flow: Flow, template: str) -> Severity:
    """How urgent it is: a silence of the whole stream most, a burst by what its step says."""
    if flow.level == "stream":
        template = ""
    if deviation.direction == "silence":
        template = _SILENT
    return severity_of("flow", template, None)


def flow_deviation(
    finding: Finding, flow: Flow, hierarchy: Hierarchy, template_id: str
) -> list[dict[str, Any]]:
    """The field `deviations`."""
    deviation = finding.deviations[0]
    templates = []
    if flow.level == "status":
        templates.append(template_id)
    return [
        {
            "witness": "flow",
            "direction": deviation.direction,
            "level": flow.level,
            **flow_steps(flow, deviation.log_key, hierarchy),
            "p_value": round(deviation.p_value, 6),
            "words": deviation.words,
            "signature": flow_signature(finding, flow, template_id),
            "size": deviation.score,
            "templates": templates,
        }
    ]


def flow_fields(
    finding: Finding, flow: Flow, hierarchy: Hierarchy, start: str, end: str
) -> dict[str, Any]:
    """The fields that only such an alert has, or has otherwise; `start` and `end` are ISO times."""
    deviation = finding.deviations[0]
    return {
        "level": flow.level,
        **flow_steps(flow, deviation.log_key, hierarchy),
        "detector": "flow",
        "score": deviation.score,
        "threshold": deviation.threshold,
        "explanation": deviation.words,
        "explained_by": "evidence",
        "evidence": {"extra": {}, "missing": {}, "repeated": {}, "unseen": [], "nearest": []},
        "seq": {"level": "status", "start": 0, "end": 0, "event": 0, "templates": []},
        "steps": {"rows": [], "session": [], "first": 0, "nearest": [], "alike": []},
        "flow": {
            "direction": deviation.direction,
            "from": start,
            "to": end,
            "seconds": (flow.end_ns - flow.start_ns) // 10**9,
            "observed": flow.observed,
            "usual": round(flow.usual, 2),
        },
    }
