"""All that persons said, as the page of marks lists it."""

from __future__ import annotations

from typing import Any

import pytest

from fluent_krone.console import marks
from fluent_krone.console.marks import marks_and_accepted
from fluent_krone.explain.accepted import accept
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says, targets_of

PATTERN = "ab" * 16


def incident(number: int, signature: str) -> dict[str, Any]:
    """A summary as the history gives it."""
    deviation = {"signature": signature, "size": 1.0, "witness": "time", "entity": "pay"}
    return {
        "id": f"incident-{number}",
        "explanation": f"Payment {number} came late.",
        "marked_by": {"pattern": PATTERN, "deviations": [deviation]},
    }


def test_a_mark_is_listed_with_the_newest_incident_that_it_is_about() -> None:
    knowledge = Knowledge(None)
    late = incident(1, "1a" * 16)
    targets = targets_of(late["marked_by"], "deviation")
    says = Says(verdict="normal", by="ada", note="drill", until=200.0)
    Marks(knowledge).set(targets, says, 100.0)
    change = {"id": "incident-0", "explanation": "The program has changed.", "marked_by": None}
    other = incident(3, "3c" * 16)
    newer = {**late, "id": "incident-2"}
    [mark] = marks_and_accepted(knowledge, [change, other, newer, late], 150.0)["marks"]
    assert (mark["note"], mark["by"], mark["scope"]) == ("drill", "ada", "deviation")
    assert mark["example"]["id"] == "incident-2"
    assert mark["holds"]
    [mark] = marks_and_accepted(knowledge, [], 250.0)["marks"]
    assert mark["example"] is None
    assert not mark["holds"]


def test_the_newest_come_first_and_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MOST_SHOWN", 2)
    knowledge = Knowledge(None)
    for at_s in (1, 2, 3):
        targets = targets_of(incident(at_s, f"{at_s:032x}")["marked_by"], "deviation")
        Marks(knowledge).set(targets, Says(verdict="normal", by="ada"), float(at_s))
    found = marks_and_accepted(knowledge, [], 10.0)
    assert [mark["id"] for mark in found["marks"]] == [f"{at_s:032x}" for at_s in (3, 2)]
    assert found["marks_total"] == 3


def test_an_accepted_line_says_what_takes_it_back() -> None:
    knowledge = Knowledge(None)
    accept(knowledge, ["Order <*> paid in euros"], note="new currency", by="ada", at_ms=5)
    found = marks_and_accepted(knowledge, [], 10.0)
    [row] = found["accepted"]
    assert (row["template"], row["note"]) == ("Order <*> paid in euros", "new currency")
    assert row["change"] == row["template"]
    assert found["accepted_total"] == 1
