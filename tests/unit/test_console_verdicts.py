"""What the live page's list says of incidents that a person marked."""

from __future__ import annotations

from typing import Any

import pytest

from fluent_krone.console.marks import Verdicts, marked_by
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says, targets_of
from fluent_krone.explain.rows import Scope

PATTERN = "ab" * 16
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
    return {"kind": "deviation", "pattern": PATTERN, "deviations": deviations}


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
