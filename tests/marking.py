"""Marks on patterns, for tests that need no alert."""

from __future__ import annotations

from fluent_krone.explain import Said
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says, Target
from fluent_krone.explain.rows import Mark


def mark(
    knowledge: Knowledge,
    pattern: str,
    verdict: Said,
    note: str,
    by: str,
    until: float | None,
    now_s: float,
) -> Mark:
    says = Says(verdict=verdict, by=by, note=note, until=until)
    return Marks(knowledge).mark_pattern(pattern, says, now_s)


def unmark(knowledge: Knowledge, pattern: str) -> bool:
    return bool(Marks(knowledge).unmark([Target("pattern", pattern, "")]))


def said(knowledge: Knowledge, pattern: str, now_s: float) -> Mark | None:
    """The mark on a pattern, unless it has expired."""
    return Marks(knowledge).on({"pattern": pattern}, now_s)
