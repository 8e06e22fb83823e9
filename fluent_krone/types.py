"""The values that parts hand to each other: frozen and slotted, compared by content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["status", "action", "entity"]
LEVELS: tuple[Level, ...] = ("status", "action", "entity")


@dataclass(frozen=True, slots=True)
class Seq:
    """One KRONE Seq: `pattern` (node ids of its own level) over the session's events `[start, end)`."""

    level: Level
    start: int
    end: int
    pattern: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert on its way out: `tag` it leaves under, event time in ns UTC, and its record.

    `tag` is the *output* tag (already retagged); the record's own `tag` field is the session's.
    `record` holds only what msgpack and JSON can carry: str, int, float, bool, None, list, dict.
    """

    alert_id: str
    tag: str
    time_ns: int
    record: Mapping[str, Any]
