"""What persons said: of the incidents that the page lists, and in all, for the page of marks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..explain.accepted import Accepted, accepted_rows
from ..explain.knowledge import Knowledge
from ..explain.marks import Marks, decide, names_of
from ..explain.rows import Mark, iso_ms

# Marks and accepted templates that the page lists, the newest first. A person reads no more.
MOST_SHOWN = 500
# Seconds after which marks are looked at again although nobody wrote any: one may have expired.
_LOOK_AGAIN_S = 60.0
# What marks are decided by, of each deviation of an alert.
_FIELDS = (
    *("witness", "signature", "entity", "action", "status"),
    *("size", "templates", "entities", "teaches"),
)


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
            {**shown_mark(mark), "holds": mark.holds(now_s), "example": examples.get(mark.pattern)}
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


def marked_by(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is needed of an alert to look for its marks later; None where no mark can concern it."""
    if record.get("kind") == "change" or "pattern" not in record:
        return None
    deviations = [
        {name: deviation[name] for name in _FIELDS if name in deviation}
        for deviation in record.get("deviations") or ()
    ]
    return {"pattern": record["pattern"], "deviations": deviations}


class Verdicts:
    """The verdict of the mark that holds for an alert, by the id of its incident.

    A list of 10,000 incidents is asked about at each look, so what was decided is remembered until
    somebody writes into the knowledge file.

    >>> verdicts = Verdicts(Knowledge(None))
    >>> verdicts.of("6f1c", lambda: {"pattern": "ab" * 16, "deviations": []}) is None
    True
    """

    def __init__(self, knowledge: Knowledge, clock: Callable[[], float] = time.time) -> None:
        self._knowledge = knowledge
        self._marks = Marks(knowledge)
        self._clock = clock
        self._marks_at: tuple[object, float] | None = None
        self._holding: Mapping[str, Mark] = {}
        self._found: dict[str, str | None] = {}

    def of(self, name: str, about: Callable[[], Mapping[str, Any] | None]) -> str | None:
        """`normal` or `abnormal` as a person said of an incident, or None.

        `about` gives what `marked_by` gave; it is called only where nothing is remembered.
        """
        self._look()
        if not self._holding:
            return None
        if name not in self._found:
            self._found[name] = self._decided(about())
        return self._found[name]

    def _decided(self, about: Mapping[str, Any] | None) -> str | None:
        # Few marks are about any one of many incidents.
        if about is None or names_of(about).isdisjoint(self._holding):
            return None
        mark = decide(about, self._holding)
        if mark is None:
            return None
        return mark.verdict

    def _look(self) -> None:
        now = self._clock()
        state = self._knowledge.state()
        if self._marks_at is not None:
            seen, at = self._marks_at
            if seen == state and now < at + _LOOK_AGAIN_S:
                return
        self._marks_at = (state, now)
        self._holding = self._marks.holding(now)
        self._found.clear()
