"""Sessions that are held are given out in the order of their release, each once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fluent_krone.core.deploys.settling import HeldSessions
from fluent_krone.core.steps import NEVER_NS

# Name and time of release. The heap that holds them has them in another order than they leave in.
HELD = (("a", 9), ("b", 5), ("c", 5), ("d", 1), ("e", 5))
IN_ORDER = ["d", "b", "c", "e", "a"]


def queue() -> HeldSessions:
    held = HeldSessions()
    for name, until_ns in HELD:
        session: Any = SimpleNamespace(name=name, saved=SimpleNamespace(held=until_ns))
        held.add(session)
    return held


def names(sessions: Any) -> list[str]:
    return [session.name for session in sessions]


def test_they_leave_by_time_and_then_in_the_order_in_which_they_came() -> None:
    held = queue()
    assert names(held) == IN_ORDER
    assert names(held.pop() for _ in HELD) == IN_ORDER
    assert (len(held), held.due_ns) == (0, NEVER_NS)
    with pytest.raises(IndexError):
        held.pop()


def test_those_that_are_asked_for_leave_before_their_time() -> None:
    held = queue()
    taken = held.take(lambda session: names([session])[0] in "ace")
    assert names(taken) == ["c", "e", "a"]
    assert names(held) == ["d", "b"]
    assert held.due_ns == 1
    assert held.take(lambda session: False) == []
    assert len(held) == 2
