"""Kept records as lines of JSON: for standard output and for files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..alerts.records import iso_time
from ..transport.forward import Chunk


def events_of(entries: bytes) -> Iterator[tuple[int, Any]]:
    """Time in ns and record of each packed entry."""
    for time_ns, record in Chunk("", entries).events():
        yield time_ns or 0, record


def line_of(tag: str, time_ns: int, record: Any) -> dict[str, Any]:
    """What a line shows of a record: its tag, its time, and its fields."""
    return {"tag": tag, "time": iso_time(time_ns), "record": plain(record)}


def plain(value: Any) -> Any:
    """A decoded value as JSON can carry it: bytes that are no UTF-8 are shown as such."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_key(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def _key(name: Any) -> str:
    return str(plain(name))
