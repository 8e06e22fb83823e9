"""Many executions that fail alike, in a running service with a store."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluent_krone.alerts.incidents import Incidents
from fluent_krone.config import Config
from fluent_krone.runtime.wiring import open_service
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_events
from fluent_krone.types import Alert, Packed

from .shop import Cell, Day, Shop

# Executions that fail alike, and the events that an operator gets of them.
ALIKE = 1_000
EVENTS_AIM = 3
# Normal sessions around them; half an hour of a busy day must be left for the faults.
_SESSIONS = 2_000


def run(shop: Shop) -> dict[str, Any]:
    """The figures over all variants and seeds."""
    cells = {cell.name: _cell(cell) for cell in shop.cells()}
    return {
        "alike": ALIKE,
        "cells": cells,
        "aims": {
            f"{ALIKE:,} executions that fail alike are at most {EVENTS_AIM} events": all(
                cell["events"] <= EVENTS_AIM for cell in cells.values()
            ),
            "none of those that are found is missing in the incident": all(
                cell["lost"] == 0 for cell in cells.values()
            ),
        },
    }


class _Receiver:
    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    async def deliver_packed(self, packed: Packed) -> None: ...

    async def close(self) -> None: ...


def _cell(cell: Cell) -> dict[str, int]:
    day = cell.day(7, _SESSIONS, alike=ALIKE)
    incidents = Incidents(Config().incident_quiet, each=True)
    joined: dict[str, set[str]] = {}
    news = 0
    for finding, alert in cell.alerts(day):
        session = " ".join(alert.record["session"])
        name = incidents.join(alert, finding.told_ns).incident_id
        if day.faulty.get(session) != "alike":
            continue
        if name is None:
            news += alert.record["kind"] == "unseen_template"
        else:
            joined.setdefault(name, set()).add(session)
    with tempfile.TemporaryDirectory() as made:
        events = asyncio.run(_served(cell, day, Path(made) / "krone.db"))
    counts: dict[str, list[int]] = {}
    for event in events:
        if incident := event.record.get("incident"):
            counts.setdefault(incident["id"], []).append(incident["count"])
    found = set().union(*joined.values()) if joined else set()
    # An incident that has only one of them is about something else in it.
    joined = {name: sessions for name, sessions in joined.items() if len(sessions) > 1}
    # What the last event of each incident said.
    told = sum(counts.get(name, [0])[-1] for name in joined)
    return {
        "found": len(found),
        "incidents": len(joined),
        "events": sum(len(counts.get(name, [])) for name in joined),
        "news": news,
        "lost": max(len(found) - told, 0),
    }


async def _served(cell: Cell, day: Day, store: Path) -> list[Alert]:
    """What a service with a store sends of a day."""
    receiver = _Receiver()
    config = Config(store=str(store), on_shutdown="judge")
    service = open_service(cell.bundle, receiver, config)
    await service.start()
    for number, some in enumerate(day.slices()):
        events: list[tuple[int, Any]] = [(at_ns or 0, record) for at_ns, record in some]
        frame = encode_events("shop", events, f"{number}")
        [chunk] = ForwardDecoder().feed(frame)
        assert isinstance(chunk, Chunk)
        await service.take(chunk, lambda: None)
    # Nothing more comes: stream time goes on with the clock, as while a stream is idle.
    service._judge.advance(time.time_ns() + 24 * 3600 * 10**9)
    await service.flush()
    await service.close()
    return receiver.alerts
