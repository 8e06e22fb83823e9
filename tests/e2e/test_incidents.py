"""Incidents and marks of a running `serve` with a store, over SIGKILL and restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving import command, receiving, send_frames, serving, until
from synthetic import CLOSE, GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK, T0, S

from fluent_krone.transport.forward import encode_events

# Rides that get stuck; those after them are fine, for longer than an incident may be quiet.
STUCK_RIDES = 40
FINE_RIDES = 20
BAD = (OPEN, OPENED, GOING, STUCK, CLOSE)


def ride(number: int) -> bytes:
    """One ride as a frame, so late that it ends the one before by its idle timeout."""
    keys: Sequence[int] = BAD
    if number >= STUCK_RIDES:
        keys = NORMAL[0]
    at_ns = T0 + 100 * number * S
    events = [
        (at_ns + place * S, {"message": MESSAGES[key], "ride": f"r{number}"})
        for place, key in enumerate(keys)
    ]
    return encode_events("app.lift", events, f"c{number}")


async def told(bundle: Path, store: Path, kills: Sequence[int]) -> list[dict[str, Any]]:
    """The events of all rides; `serve` is killed after some, and the last two come again."""
    async with receiving() as (receiver, flags):
        flags += ["--store", str(store), "--alerts=incident", "--novelty-interval=30d"]
        flags += ["--on-shutdown=keep"]
        begun = 0
        for kill in [*kills, STUCK_RIDES + FINE_RIDES]:
            async with serving(bundle, *flags) as served:
                first = max(begun - 2, 0)
                await send_frames(served.port, [ride(number) for number in range(first, kill)])
                begun = kill
                if kill in kills:
                    await served.kill()
        return [record for _, record in receiver.alerts]


def summary(record: dict[str, Any]) -> tuple[str, str, int]:
    incident = record["incident"]
    return incident["id"], incident["state"], incident["count"]


def test_kills_change_no_event_of_an_incident(bundle_dir: Path, tmp_path: Path) -> None:
    expected = asyncio.run(told(bundle_dir, tmp_path / "a.db", ()))
    events = [summary(record) for record in expected]
    assert [(state, count) for _, state, count in events] == [
        # The news of a line, the first failure by it, and how it goes on.
        ("open", 1),
        ("ongoing", 1),
        ("ongoing", 10),
        ("resolved", STUCK_RIDES),
    ]
    assert [record["kind"] for record in expected[:2]] == ["unseen_template", "sequence"]
    assert len({name for name, _, _ in events}) == 1
    found = asyncio.run(told(bundle_dir, tmp_path / "b.db", (3, 11, 12, 30, 45)))
    # What a receiver had not confirmed comes once more, under the same id.
    assert {record["alert_id"]: record for record in found} == {
        record["alert_id"]: record for record in expected
    }


def test_an_operator_marks_an_incident_of_a_running_service(
    bundle_dir: Path, tmp_path: Path
) -> None:
    store = tmp_path / "krone.db"

    async def story() -> list[dict[str, Any]]:
        async with receiving() as (receiver, flags):
            flags += ["--store", str(store), "--alerts=incident", "--on-shutdown=keep"]
            flags += ["--novelty-interval=30d"]
            async with serving(bundle_dir, *flags) as served:
                await send_frames(served.port, [ride(number) for number in range(4)])
                await until(lambda: len(receiver.alerts) >= 2)
                [incident] = [json.loads(line) for line in lines("incidents", "--json")]
                assert (incident["state"], incident["about"]) == ("ongoing", "lift → move → stuck")
                out = lines("knowledge", "mark", incident["id"], "normal", "--by", "ada")
                assert "alerts are no longer sent where nothing else deviates" in out[0]
                before = len(receiver.alerts)
                frames = [ride(number) for number in range(4, STUCK_RIDES + FINE_RIDES)]
                await send_frames(served.port, frames)
            assert len(receiver.alerts) == before
            return [record for _, record in receiver.alerts]

    def lines(*arguments: str) -> list[str]:
        return command(*arguments, "--store", str(store)).splitlines()

    records = asyncio.run(story())
    assert [record["kind"] for record in records] == ["unseen_template", "sequence"]
