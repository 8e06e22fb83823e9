"""All that persons said, for the page of marks: every mark, and every accepted template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..explain.accepted import Accepted, accepted_rows
from ..explain.knowledge import Knowledge
from ..explain.marks import names_of
from ..explain.rows import Mark, iso_ms

# Marks and accepted templates that the page lists, the newest first. A person reads no more.
MOST_SHOWN = 500


def marks_and_accepted(
    knowledge: Knowledge, incidents: Iterable[Mapping[str, Any]], now_s: float
) -> dict[str, Any]:
    """Marks and accepted templates, the newest first, and how many there are of each.

    `incidents` are summaries, newest first: a mark is shown with the newest that it is about.
    """
    # What is taken in from elsewhere may have any text in its columns, but never another order.
    marks = [Mark(*row) for row in knowledge.read("SELECT * FROM person ORDER BY at_ms DESC")]
    accepted = sorted(accepted_rows(knowledge), key=lambda row: row.at_ms, reverse=True)
    shown = marks[:MOST_SHOWN]
    examples = _examples({mark.pattern for mark in shown}, incidents)
    return {
        "marks": [
            {
                **shown_mark(mark),
                "holds": mark.holds(now_s),
                "example": examples.get(mark.pattern),
            }
            for mark in shown
        ],
        "marks_total": len(marks),
        "accepted": [_shown_accepted(row) for row in accepted[:MOST_SHOWN]],
        "accepted_total": len(accepted),
    }


def shown_mark(mark: Mark) -> dict[str, Any]:
    """A mark as the page lists it."""
    until = None
    if mark.until_ms is not None:
        until = iso_ms(mark.until_ms)
    return {
        "id": mark.pattern,
        "verdict": mark.verdict,
        "scope": mark.scope,
        "about": mark.about,
        "by": mark.by,
        "note": mark.note,
        "at": iso_ms(mark.at_ms),
        "until": until,
    }


def _examples(
    marked: set[str], incidents: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The newest incident that each of the marks is about, by the id of the mark."""
    found: dict[str, dict[str, Any]] = {}
    if not marked:
        return found
    for incident in incidents:
        about = incident.get("marked_by")
        if about is None:
            continue
        for name in names_of(about) & marked:
            example = {"id": incident["id"], "explanation": incident["explanation"]}
            found.setdefault(name, example)
    return found


def _shown_accepted(row: Accepted) -> dict[str, Any]:
    return {
        "template": row.template,
        "replaces": row.replaces,
        # What takes it back: the change as a whole, or a template that was accepted by itself.
        "change": row.change or row.template,
        "by": row.by,
        "note": row.note,
        "at": iso_ms(row.at_ms),
    }
