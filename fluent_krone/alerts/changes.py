"""What alerts about the stream as a whole hold: a change, a burst of a step, or a silence.

At a change, many sessions have new steps since a moment; it is reported once.
"""

from __future__ import annotations

from typing import Any

from ..core.hierarchy import Hierarchy
from ..core.listing import numbered
from ..types import ChangeReport, Deviation, Finding, Flow, NewTemplate
from .digests import digest_of
from .severity import Severity, severity_of

# Templates that an alert lists, and those that its sentences name. A change of more templates is
# another program, and its alert says how many there are.
_MOST_LISTED = 100
_MOST_NAMED = 3


def change_fields(report: ChangeReport) -> dict[str, Any]:
    """The fields of a change's alert that differ from those of other kinds."""
    texts = [template.text for template in report.templates[:_MOST_LISTED]]
    return {
        "level": "entity",
        "entity": None,
        "action": None,
        "status": None,
        "detector": "change",
        "score": None,
        "threshold": None,
        **_without_session(in_words(report), texts),
        "change": {
            "id": report.name,
            "state": report.state,
            "templates": [_template(one) for one in report.templates[:_MOST_LISTED]],
            "count": len(report.templates),
            "renamed": sum(one.replaces is not None for one in report.templates),
            "sessions": report.sessions,
            "abnormal": report.abnormal,
            "version": _version(report),
            "gone": list(report.gone[:_MOST_LISTED]),
            "order": [list(pair) for pair in report.order[:_MOST_LISTED]],
        },
    }


def _without_session(words: str, templates: list[str]) -> dict[str, Any]:
    """What an alert about no session has in the fields about its session: these templates alone."""
    return {
        "explanation": words,
        "explained_by": "evidence",
        "evidence": {
            "extra": {},
            "missing": {},
            "repeated": {},
            "unseen": templates,
            "nearest": [],
        },
        "seq": {"level": "status", "start": 0, "end": 0, "event": 0, "templates": templates},
        "steps": {"rows": [], "session": [], "first": 0, "nearest": [], "alike": []},
    }


def change_deviation(report: ChangeReport) -> dict[str, Any]:
    """What differs: the program has other templates. Its signature is that of the change."""
    return {
        "witness": "template",
        "direction": "change",
        "level": "entity",
        "entity": None,
        "action": None,
        "status": None,
        "p_value": None,
        "words": in_words(report),
        "signature": digest_of(("template", "change", report.name)),
        "size": len(report.templates),
        "templates": [template.template_id for template in report.templates[:_MOST_LISTED]],
    }


def in_words(report: ChangeReport) -> str:
    """What happened, and what to do, in a few sentences."""
    if report.state == "shifted":
        return _shifted_in_words(report)
    renamed = [one for one in report.templates if one.replaces is not None]
    added = [one for one in report.templates if one.replaces is None]
    parts = []
    if renamed:
        pairs = [f"“{one.text}” instead of “{one.replaces}”" for one in renamed]
        parts.append(f"{numbered(len(renamed), 'renamed step')} ({_some(pairs)})")
    if added:
        names = [f"“{one.text}”" for one in added]
        parts.append(f"{numbered(len(added), 'new step')} ({_some(names)})")
    what = " and ".join(parts) or "new steps"
    said = f"The program has changed: sessions now have {what}{_with_version(report)}."
    treated = "New steps are not judged until a new bundle knows them"
    if renamed:
        treated = "A renamed step is judged as the old one; a new step is not judged"
    if report.state == "abnormal":
        return (
            f"{said} Most of its sessions are abnormal in other ways: {report.abnormal:,} of "
            f"{report.sessions:,}. The change itself may be at fault."
        )
    return f"{said} {treated}. If all is as it should be: fluent-krone accept {report.name}"


def _shifted_in_words(report: ChangeReport) -> str:
    parts = []
    if report.gone:
        names = [f"“{text}”" for text in report.gone]
        parts.append(f"{numbered(len(names), 'step')} that they nearly always had ({_some(names)})")
    said = f"{report.sessions:,} sessions"
    if report.gone:
        said += f" lack {' and '.join(parts)}, and no session has it any more"
    if report.order:
        pairs = [f"“{two}” right after “{one}”" for one, two in report.order]
        joined = " have"
        if report.gone:
            joined = "; they have"
        said += f"{joined} steps in an order that no normal session had ({_some(pairs)})"
    if report.gone:
        said += ". Sessions that lack nothing else raise no alert from now on"
    return f"{said}. If that is a new version of the program, fit a new bundle."


def _with_version(report: ChangeReport) -> str:
    if not report.values:
        return ""
    new = ", ".join(_text(value) for value in report.values)
    if not report.before:
        return f", where {report.field} is {new}"
    before = ", ".join(_text(value) for value in report.before)
    return f", where {report.field} is {new} (before: {before})"


def _version(report: ChangeReport) -> dict[str, Any] | None:
    if not report.values:
        return None
    return {
        "field": report.field,
        "new": [_text(value) for value in report.values],
        "before": [_text(value) for value in report.before],
    }


def _template(template: NewTemplate) -> dict[str, Any]:
    return {"id": template.template_id, "template": template.text, "replaces": template.replaces}


def _some(texts: list[str]) -> str:
    named = ", ".join(texts[:_MOST_NAMED])
    if len(texts) > _MOST_NAMED:
        named += f", and {len(texts) - _MOST_NAMED} more"
    return named


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


# --- the stream as a whole ------------------------------------------------------------------------

# What the severity of a silence is judged by: its step itself may well speak of success.
_SILENT = "failed"


def flow_steps(flow: Flow, log_key: int, hierarchy: Hierarchy) -> dict[str, str | None]:
    """Entity, action and status of a node, down to its level of the tree."""
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
        **_without_session(deviation.words, []),
        "flow": {
            "direction": deviation.direction,
            "from": start,
            "to": end,
            "seconds": (flow.end_ns - flow.start_ns) // 10**9,
            "observed": flow.observed,
            "usual": round(flow.usual, 2),
        },
    }
