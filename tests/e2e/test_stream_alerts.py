"""`serve` as a process: a hanging session, a burst and a silence are reported while they last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from serving import Receiver, receiving, serving
from synthetic import (
    CLOSE,
    MESSAGES,
    OPEN,
    OPENED,
    S,
    steady_training,
    step_budget,
    step_witnesses,
    tree,
    write_lift_bundle,
)

from export.rates import measure_rates
from export.sequences import TrainingSession
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.core.stream.flow_findings import WINDOW_NS
from fluent_krone.detect.witnesses import WitnessFiles
from fluent_krone.transport.forward import ack_bytes, encode_events

IDLE_S = 3600.0
USUAL = (OPEN, OPENED, CLOSE)
# The stream that the bundle knows, and the one that is sent, end about now.
_MINUTES = 60


def _training() -> list[TrainingSession]:
    """A day and a half of the same stream."""
    return steady_training(2_000, first_ns=time.time_ns() - 2_000 * WINDOW_NS, keys=USUAL)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "lift"
    path.mkdir()
    write_lift_bundle(
        path,
        session_settings=SessionSettings(idle_timeout=IDLE_S),
        steps=WitnessFiles(
            witnesses=step_witnesses(silence_s=60), budget=step_budget().to_json(), false_alarms=1.0
        ),
        rates=measure_rates(_training(), tree()),
    )
    return path


def rides(first_ns: int, minutes: Sequence[int], each: int, name: str) -> list[tuple[int, Any]]:
    """So many usual rides in each of some minutes."""
    events = []
    for minute in minutes:
        for number in range(each):
            start_ns = first_ns + minute * WINDOW_NS + number * WINDOW_NS // (each + 1)
            for at, log_key in enumerate(USUAL):
                record = {"message": MESSAGES[log_key], "ride": f"{name}{minute}-{number}"}
                events.append((start_ns + at * S, record))
    return sorted(events, key=lambda event: event[0])


async def send(port: int, events: Sequence[tuple[int, Any]], chunk_id: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(encode_events("app", events, chunk_id))
    ack = ack_bytes(chunk_id)
    assert await asyncio.wait_for(reader.readexactly(len(ack)), 30) == ack
    writer.close()


async def arrived(receiver: Receiver, direction: str) -> dict[str, Any]:
    """The alert with a deviation in a direction."""
    while True:
        for _, record in receiver.alerts:
            if record["deviations"][0]["direction"] == direction:
                return record
        receiver.arrival.clear()
        await asyncio.wait_for(receiver.arrival.wait(), 30)


def test_what_hangs_and_what_stops_is_told_while_it_lasts(bundle: Path, tmp_path: Path) -> None:
    first_ns = (time.time_ns() // WINDOW_NS - _MINUTES) * WINDOW_NS

    async def story() -> None:
        store = f"--store={tmp_path / 'krone.db'}"
        async with receiving() as (receiver, flags):
            flags += ["--alerts=session", store]
            async with serving(bundle, *flags) as served:
                hanging = [
                    (first_ns + 20 * WINDOW_NS + i * S, {"message": text, "ride": "hangs"})
                    for i, text in enumerate(("gate: open door 1", "gate: door 1 is open"))
                ]
                usual = rides(first_ns, range(21), 3, "usual")
                await send(served.port, sorted([*usual, *hanging], key=lambda one: one[0]), "1")
                stuck = await arrived(receiver, "stuck")
                assert stuck["session"] == ["hangs"] and stuck["decided"] == "early"
                # It was reported long before its idle timeout: its session is still open, and stays
                # so after a kill, which costs no count of the stream either.
                await served.kill()
            async with serving(bundle, *flags) as served:
                burst = rides(first_ns, range(21, 23), 3, "usual")
                burst += rides(first_ns, [22], 90, "storm")
                await send(served.port, sorted(burst, key=lambda one: one[0]), "2")
                await send(served.port, rides(first_ns, range(23, 30), 3, "usual"), "3")
                found = await arrived(receiver, "burst")
                assert found["kind"] == "flow" and found["flow"]["observed"] >= 90
                await send(served.port, rides(first_ns, range(50, 58), 3, "later"), "4")
                silence = await arrived(receiver, "silence")
                assert silence["kind"] == "flow" and silence["level"] == "stream"
                assert [r["kind"] for _, r in receiver.alerts].count("flow") == 2
        # The alert before the kill may come twice, under one id.
        assert len({record["alert_id"] for _, record in receiver.alerts}) == 3

    asyncio.run(story())
