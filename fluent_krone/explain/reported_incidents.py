"""Incidents as the knowledge file knows them: what their events said, also while a service runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .alert_rows import LEAD
from .knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class ReportedIncident:
    """An incident as its last event reported it: the field `incident` of that event.

    `alert_id`, `about` and `explanation` are those of the alert that stands for it; the last is
    masked.
    """

    incident: dict[str, Any]
    alert_id: str
    tag: str
    about: str
    explanation: str

    def as_json(self) -> dict[str, Any]:
        """The incident for a program."""
        return {
            **self.incident,
            "alert_id": self.alert_id,
            "tag": self.tag,
            "about": self.about,
            "explanation": self.explanation,
        }


def reported_incidents(knowledge: Knowledge, most: int = 100) -> list[ReportedIncident]:
    """The incidents whose events came last, the newest first."""
    newest = (
        f"SELECT {LEAD} AS first_n, max(n) AS last_n FROM alert WHERE told <> '' GROUP BY incident"
        " ORDER BY max(n) DESC LIMIT ?"
    )
    query = (
        f"SELECT last.told, first.id, first.tag, first.about, first.explanation FROM ({newest}) "
        "JOIN alert AS first ON first.n = first_n "
        "JOIN alert AS last ON last.n = last_n ORDER BY last_n DESC"
    )
    return [ReportedIncident(json.loads(told), *row) for told, *row in knowledge.read(query, most)]
