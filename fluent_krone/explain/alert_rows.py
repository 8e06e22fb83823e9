"""What the knowledge file remembers of an alert: enough to recognise it, to mark it, and to list
the incidents that alerts report, also while a service runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.hierarchy import UNKNOWN, step_name
from ..types import Alert
from .redact import plain
from .rows import MAX_NAME, printable

if TYPE_CHECKING:
    from .knowledge import Knowledge

# Fields of a deviation that a mark needs. Only the step of a line that matches no template holds a
# log line, and it is masked.
_KEPT_OF_DEVIATIONS = (
    *("witness", "direction", "entity", "action", "status"),
    *("signature", "size", "templates", "entities", "teaches"),
)

# Of the alerts of one incident, the number of the one that stands for it: the first one that is
# about more than a template that is new, or else the first one.
LEAD = """coalesce(min(CASE WHEN instr(deviations, '"direction": "new"') = 0 THEN n END), min(n))"""


def alert_row(alert: Alert, redact: Callable[[str], str]) -> tuple[str | int, ...]:
    """The row of an alert; its sentence is masked, since it quotes log lines."""
    record = alert.record
    about = step_name(record["entity"], record["action"], record["status"])
    return (
        alert.alert_id,
        record["pattern"],
        printable(record["tag"], MAX_NAME),
        printable(", ".join(record["session"]), MAX_NAME),
        printable(about, MAX_NAME),
        printable(_masked(record, redact)),
        alert.time_ns // 1_000_000,
        _deviations_of(record, redact),
        record.get("incident_id") or "",
        _told_of(record),
    )


def _masked(record: Mapping[str, Any], redact: Callable[[str], str]) -> str:
    """An alert's sentence, masked, except the id of a change: it is ours, and `accept` needs it."""
    said = plain(record["explanation"])
    change_id: str = record.get("change", {}).get("id", "")
    if not change_id:
        return redact(said)
    return change_id.join(map(redact, said.split(change_id)))


def _deviations_of(record: Mapping[str, Any], redact: Callable[[str], str]) -> str:
    """What is kept of an alert's deviations, as JSON."""
    found = []
    for deviation in record.get("deviations") or ():
        kept = {name: deviation.get(name) for name in _KEPT_OF_DEVIATIONS}
        if line := unnamed_line(deviation):
            kept["step"] = redact(plain(line))
        found.append(kept)
    return json.dumps(found, ensure_ascii=False)


def unnamed_line(deviation: Mapping[str, Any]) -> str:
    """The line of a step that matches no template, and so has no name; else nothing."""
    if deviation.get("entity") != UNKNOWN:
        return ""
    return deviation.get("step") or ""


def _told_of(record: Mapping[str, Any]) -> str:
    """What an incident's event says of it, as JSON; empty for other alerts."""
    if "incident" not in record:
        return ""
    return json.dumps(record["incident"], ensure_ascii=False)


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
