"""All that persons said, as the page of marks lists it."""

from __future__ import annotations

from typing import Any

import pytest

from fluent_krone.console import marks
from fluent_krone.console.marks import Verdicts, marked_by, marks_and_accepted
from fluent_krone.explain.accepted import accept
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says, targets_of
from fluent_krone.explain.rows import Scope

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


# --- What the live page's list says of incidents that a person marked


ODD_PATTERN = "ab" * 16
LATE = "1a" * 16
LOST = "2b" * 16


def record(*signatures: str) -> dict[str, Any]:
    deviations = [
        {
            "signature": signature,
            "size": 1.0,
            "witness": "time",
            "entity": "pay",
            "templates": ["0123456789abcdef"],
            "entities": ["pay"],
            "words": "It came late.",
        }
        for signature in signatures
    ]
    return {"kind": "deviation", "pattern": ODD_PATTERN, "deviations": deviations}


@pytest.mark.parametrize("scope", ["deviation", "pattern", "template", "entity"])
def test_a_mark_of_any_scope_is_known_at_once(scope: Scope) -> None:
    knowledge = Knowledge(None)
    verdicts = Verdicts(knowledge, lambda: 100.0)
    about = lambda: marked_by(record(LATE))  # noqa: E731
    assert verdicts.of("one", about) is None
    targets = targets_of(record(LATE), scope)
    Marks(knowledge).set(targets, Says(verdict="normal", by="ada"), 100.0)
    assert verdicts.of("one", about) == "normal"
    Marks(knowledge).unmark(targets)
    assert verdicts.of("one", about) is None


def test_what_is_covered_in_part_counts_as_unmarked() -> None:
    knowledge = Knowledge(None)
    Marks(knowledge).set(
        targets_of(record(LATE), "deviation"), Says(verdict="normal", by="ada"), 100.0
    )
    verdicts = Verdicts(knowledge, lambda: 100.0)
    assert verdicts.of("both", lambda: marked_by(record(LATE, LOST))) is None
    assert verdicts.of("late", lambda: marked_by(record(LATE))) == "normal"


def test_a_mark_that_has_expired_is_gone() -> None:
    now = 100.0
    knowledge = Knowledge(None)
    Marks(knowledge).set(
        targets_of(record(LATE), "pattern"), Says(verdict="normal", by="ada", until=1000.0), now
    )
    verdicts = Verdicts(knowledge, lambda: now)
    assert verdicts.of("one", lambda: marked_by(record(LATE))) == "normal"
    now = 1000.0
    assert verdicts.of("one", lambda: marked_by(record(LATE))) is None


def test_a_change_is_accepted_and_not_marked() -> None:
    assert marked_by({**record(LATE), "kind": "change"}) is None
