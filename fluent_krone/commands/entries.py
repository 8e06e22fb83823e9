"""All that is known of one pattern, as `knowledge list` and `knowledge show` print it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..core.listing import numbered
from ..explain.knowledge import Knowledge, Seen
from ..explain.rows import Learned, Mark, iso_ms


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person and a model said of a pattern, and how many of its alerts are remembered."""

    pattern: str
    mark: Mark | None
    learned: Learned | None
    alerts: int

    @classmethod
    def of(cls, knowledge: Knowledge, pattern: str) -> Entry:
        """The entry of a pattern."""
        mark, learned = knowledge.row_of(pattern)
        return cls(pattern, mark, learned, knowledge.count_seen(pattern))

    @property
    def at_ms(self) -> int:
        """When something was last said of the pattern."""
        return max((row.at_ms for row in (self.mark, self.learned) if row), default=0)

    def is_muted(self, now_s: float) -> bool:
        """Whether alerts of the pattern are not sent."""
        return self.mark is not None and self.mark.verdict == "normal" and self.mark.holds(now_s)

    def as_json(self, now_s: float) -> dict[str, Any]:
        """The entry for a program."""
        person = None
        if self.mark:
            person = row_as_json(self.mark) | {"expired": not self.mark.holds(now_s)}
        return {
            "pattern": self.pattern,
            "muted": self.is_muted(now_s),
            "person": person,
            "model": self.learned and row_as_json(self.learned),
            "alerts": self.alerts,
        }

    def in_short(self, now_s: float) -> list[str]:
        """At most three lines."""
        what = numbered(self.alerts, "alert")
        if self.mark and self.mark.scope != "pattern":
            what = f"{self.mark.scope} {self.mark.about}"
        lines = [f"{self.pattern}  {what}"]
        if self.mark:
            lines.append(f"    {mark_in_words(self.mark, now_s)}{note_in_words(self.mark)}")
        if self.learned:
            lines.append(f"    {_answer_in_words(self.learned)}: {self.learned.summary}")
        return lines

    def in_full(self, now_s: float, last: list[Seen]) -> list[str]:
        """Everything, with the last alerts of the pattern."""
        lines = [f"pattern  {self.pattern}"]
        if self.mark:
            lines += _mark_lines(self.mark, now_s)
        if self.learned:
            lines += _answer_lines(self.learned)
        heading = f"alerts   {self.alerts}"
        if last:
            heading += ", the last ones:"
        lines.append(heading)
        for alert in last:
            at = _day(alert.at_ms)
            lines.append(f"         {at}  {alert.alert_id}  {alert.tag}  {alert.session}")
            lines.append(f"             {alert.explanation}")
        return lines


def _mark_lines(mark: Mark, now_s: float) -> list[str]:
    lines = [f"person   {mark_in_words(mark, now_s)}", f"         said {_day(mark.at_ms)}"]
    return lines + [f"         {text}" for text in (mark.note, mark.about) if text]


def _answer_lines(learned: Learned) -> list[str]:
    cost = f"{learned.cost_usd:.6f} dollars"
    lines = [
        f"model    {_answer_in_words(learned)}, {_day(learned.at_ms)}, {cost}",
        f"         {learned.summary}",
        f"cause    {learned.cause}",
        f"check    {learned.check}",
    ]
    return lines + [f"step     {_for_terminal(step)}" for step in learned.steps]


def _for_terminal(step: str) -> str:
    """A template as it is, unless a character of it could move the terminal's cursor."""
    if step.isprintable():
        return step
    return ascii(step)[1:-1]


def mark_in_words(mark: Mark, now_s: float | None = None) -> str:
    """Verdict, person and end of a mark; with `now_s` it also says whether the mark has expired."""
    words = f"{mark.verdict} by {mark.by}"
    if mark.until_ms is not None:
        words += f" until {_day(mark.until_ms)}"
    if now_s is not None and not mark.holds(now_s):
        words += " (expired)"
    return words


def note_in_words(mark: Mark) -> str:
    """The note in brackets, to follow the mark's words; empty where there is none."""
    if not mark.note:
        return ""
    return f" ({mark.note})"


def row_as_json(row: Mark | Learned | Seen) -> dict[str, Any]:
    """A row as it is exported, but without its pattern, which the entry around it has."""
    values = dataclasses.asdict(row)
    del values["pattern"]
    named: dict[str, Any] = {}
    for name, value in values.items():
        if name.endswith("_ms") and value is not None:
            value = iso_ms(value)
        named[name.removesuffix("_ms")] = value
    return named


def _answer_in_words(learned: Learned) -> str:
    return f"{learned.verdict} by {learned.model}, {learned.confidence:.0%} sure"


def _day(ms: int) -> str:
    return iso_ms(ms)[:16].replace("T", " ") + " UTC"
