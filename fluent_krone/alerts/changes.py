"""The record of a change: many sessions have new steps since a moment, reported once."""

from __future__ import annotations

from typing import Any

from ..core.listing import numbered
from ..types import ChangeReport, NewTemplate
from .digests import digest_of

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
        "explanation": in_words(report),
        "explained_by": "evidence",
        "evidence": {"extra": {}, "missing": {}, "repeated": {}, "unseen": texts, "nearest": []},
        "seq": {"level": "status", "start": 0, "end": 0, "event": 0, "templates": texts},
        "steps": {"rows": [], "session": [], "first": 0, "nearest": [], "alike": []},
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
    return {
        "id": template.template_id,
        "template": template.text,
        "replaces": template.replaces,
    }


def _some(texts: list[str]) -> str:
    named = ", ".join(texts[:_MOST_NAMED])
    if len(texts) > _MOST_NAMED:
        named += f", and {len(texts) - _MOST_NAMED} more"
    return named


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
