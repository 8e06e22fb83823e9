"""A deploy in a running `serve` with a store, over SIGKILL: one alert, and `accept`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from serving import (
    Receiver,
    command,
    http_get,
    receiving,
    samples,
    send_frames,
    serving,
    until,
)
from synthetic import ARRIVED, CLOSE, GOING, MESSAGES, OPEN, OPENED, STUCK, T0, WEIGHED, S

from fluent_krone.transport.forward import encode_events

# What the new version does: a step more in each ride.
DEPLOYED = (OPEN, OPENED, GOING, WEIGHED, ARRIVED, CLOSE)
FAULTY = (OPEN, OPENED, GOING, WEIGHED, STUCK, CLOSE)
# Rides after the deploy, ten seconds apart: longer than steps take to settle, in stream time.
RIDES = 60
SETTLE = "--change-settle=100"


def ride(number: int, keys: Sequence[int] = DEPLOYED) -> bytes:
    """One ride as a frame."""
    at_ns = T0 + 10 * number * S
    events = [
        (at_ns + place * S, {"message": MESSAGES[key], "ride": f"r{number}"})
        for place, key in enumerate(keys)
    ]
    return encode_events("app.lift", events, f"c{number}")


@asynccontextmanager
async def alerting(store: Path) -> AsyncIterator[tuple[Receiver, list[str]]]:
    """A receiver of alerts, and the flags of a service with a store that sends them there."""
    async with receiving() as (receiver, flags):
        flags += [SETTLE, "--store", str(store), "--on-shutdown=keep"]
        yield receiver, [*flags, "--metrics=true", "--metrics-port=0"]


async def counted(metrics_port: int) -> float:
    _, page = await http_get(metrics_port, "/metrics")
    [value] = samples(page, ["fluent_krone_sessions_changed_total"])
    return value


def test_a_deploy_is_one_alert_a_fault_alerts_and_accept_makes_it_normal(
    bundle_dir: Path, tmp_path: Path
) -> None:
    store = tmp_path / "krone.db"

    async def story() -> None:
        async with alerting(store) as (receiver, flags), serving(bundle_dir, *flags) as served:
            await send_frames(served.port, [ride(number) for number in range(RIDES)])
            await until(lambda: len(receiver.alerts) > 0)
            [(_, change)] = receiver.alerts
            assert change["kind"] == "change"
            assert [one["template"] for one in change["change"]["templates"]] == [
                "lift: cabin weighed, <num> persons"
            ]
            fault = [ride(RIDES, FAULTY), *map(ride, range(RIDES + 1, RIDES + 12))]
            await send_frames(served.port, fault)
            await until(lambda: len(receiver.alerts) > 1)
            said = {record["kind"] for _, record in receiver.alerts[1:]}
            assert "sequence" in said and "change" not in said
            assert {record["session"][0] for _, record in receiver.alerts[1:]} == {f"r{RIDES}"}
            out = command("accept", "--store", str(store), change["change"]["id"], "--by", "ada")
            assert "“lift: cabin weighed, <num> persons” is normal" in out
            told = len(receiver.alerts)
            # The service looks twice a second.
            await asyncio.sleep(1.2)
            await send_frames(
                served.port, [ride(number) for number in range(RIDES + 12, RIDES + 22)]
            )
            before = await counted(served.metrics_port)
            await send_frames(
                served.port, [ride(number) for number in range(RIDES + 22, RIDES + 42)]
            )
            assert len(receiver.alerts) == told
            # Rides that began before the acceptance had all ended by then.
            assert await counted(served.metrics_port) == before

    asyncio.run(story())


def test_kills_change_nothing_of_a_change(bundle_dir: Path, tmp_path: Path) -> None:
    async def told(store: Path, kills: Sequence[int]) -> dict[str, dict[str, Any]]:
        async with alerting(store) as (receiver, flags):
            begun = 0
            for kill in [*kills, RIDES]:
                async with serving(bundle_dir, *flags) as served:
                    # The last two come again, as from a sender that had no ack.
                    frames = [
                        ride(number, FAULTY if number == 30 else DEPLOYED)
                        for number in range(max(begun - 2, 0), kill)
                    ]
                    await send_frames(served.port, frames)
                    begun = kill
                    if kill in kills:
                        await served.kill()
            return {record["alert_id"]: record for _, record in receiver.alerts}

    expected = asyncio.run(told(tmp_path / "a.db", ()))
    assert sorted(record["kind"] for record in expected.values())[0] == "change"
    found = asyncio.run(told(tmp_path / "b.db", (2, 5, 7, 11, 31, 33)))
    assert found == expected
