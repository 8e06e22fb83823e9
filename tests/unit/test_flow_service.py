"""The running service tells of a silence by the wall clock, and a restart costs no count."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from service_rig import Rig, killed, run, settle
from synthetic import T0, S

from fluent_krone.core.stream.flow_findings import WINDOW_NS
from fluent_krone.detect.bundle import Bundle
from fluent_krone.transport.forward import Chunk

MINUTES = 10


def flows(rig: Rig) -> list[str]:
    """The directions of its alerts about the stream."""
    records = [alert.record for alert in rig.receiver.alerts]
    return [record["flow"]["direction"] for record in records if record["kind"] == "flow"]


async def fill(rig: Rig, minutes: range) -> None:
    """Usual rides in some minutes."""
    for minute in minutes:
        rig.now = T0 + minute * WINDOW_NS + 30 * S
        for number in range(3):
            name = f"{minute}-{number}"
            entries = [
                [(rig.now + number * S) // S, {b"message": text, b"ride": name.encode()}]
                for text in (b"gate: open door 1", b"gate: close door 1")
            ]
            await take(rig, entries, name)


async def take(rig: Rig, entries: list[Any], name: str) -> None:
    await rig.service.take(Chunk("app", entries, name), lambda: None)


def test_a_silent_stream_is_told_while_no_record_comes(flow_bundle: Bundle, tmp_path: Path) -> None:
    store = str(tmp_path / "krone.db")

    async def story() -> None:
        rig = Rig(flow_bundle, store=store, commit_interval=0.0)
        await rig.service.start()
        await fill(rig, range(MINUTES))
        assert not flows(rig)
        await killed(rig)
        again = Rig(flow_bundle, store=store, commit_interval=0.0)
        again.now = rig.now
        await again.service.start()
        await fill(again, range(MINUTES, 2 * MINUTES))
        assert not flows(again)
        again.now += 30 * WINDOW_NS
        async with asyncio.timeout(20):
            while flows(again) != ["silence"]:
                await asyncio.sleep(0.05)
        await settle()
        await again.service.close()

    run(story)
