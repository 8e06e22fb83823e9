"""`fluent-krone serve` as a process: every carrier gives the same alerts, which are delivered."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest
from serving import receiving, send_frames, serving
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    MESSAGES,
    OPEN,
    OPENED,
    STUCK,
    T0,
    UNKNOWN,
)

from fluent_krone.transport.forward import encode_event_time

TAG = "app.lift"
KEY = "a shared key"
RIDES = {
    "1": (OPEN, OPENED, GOING, ARRIVED, CLOSE),
    "2": (OPEN, OPENED, GOING, STUCK, CLOSE),
    "3": (OPEN, GOING, OPENED, ARRIVED, CLOSE),
    "4": (OPEN, OPENED, UNKNOWN, CLOSE),
}
# All rides at once, an event a second.
EVENTS = [
    (T0 + (5 * i + j) * 10**9, {"message": MESSAGES[ride[i]], "ride": name})
    for i in range(5)
    for j, (name, ride) in enumerate(RIDES.items())
    if i < len(ride)
]


def entries(form: Callable[[int, Mapping[str, Any]], Any]) -> bytes:
    return b"".join(msgpack.packb(form(time_ns, record)) for time_ns, record in EVENTS)


def plain(time_ns: int, record: Mapping[str, Any]) -> list[Any]:
    return [encode_event_time(time_ns), record]


def with_metadata(time_ns: int, record: Mapping[str, Any]) -> list[Any]:
    return [[encode_event_time(time_ns), {"source": "tail"}], record]


CARRIERS: dict[str, list[bytes]] = {
    "Message": [
        msgpack.packb([TAG, encode_event_time(t), r, {"chunk": f"m{i}"}])
        for i, (t, r) in enumerate(EVENTS)
    ],
    "Forward": [msgpack.packb([TAG, [plain(*event) for event in EVENTS], {"chunk": "f"}])],
    "PackedForward": [msgpack.packb([TAG, entries(plain), {"chunk": "p"}])],
    "CompressedPackedForward": [
        msgpack.packb([TAG, gzip.compress(entries(plain)), {"chunk": "c", "compressed": "gzip"}])
    ],
    "Fluent Bit": [
        msgpack.packb(
            [TAG, entries(with_metadata), {"chunk": "b", "size": len(EVENTS), "fluent_signal": 0}]
        )
    ],
}


def test_a_stop_with_alerts_that_nobody_confirmed_has_an_exit_code_of_its_own(
    bundle_dir: Path, tmp_path: Path
) -> None:
    """The receiver is down; the stop waits for it only briefly here."""
    impatient = (
        "import sys; from fluent_krone import cli; from fluent_krone.commands import serve; "
        "serve._FLUSH_WITHIN_S = 0.2; sys.exit(cli.main())"
    )

    async def scenario(*flags: str) -> tuple[int, str]:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", impatient, "serve", "--bundle", str(bundle_dir)),
            *("--port=0", "--alert-host=127.0.0.1", f"--alert-port={port}", *flags),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert process.stderr is not None
        while b"listening" not in (line := await process.stderr.readline()):
            assert line
        await send_frames(int(line.split(b"port=")[1].split()[0]), CARRIERS["Fluent Bit"])
        process.terminate()
        log = (await process.stderr.read()).decode()
        return await process.wait(), log

    code, log = asyncio.run(scenario())
    assert code == 3 and "alerts lost: nobody confirmed them" in log
    code, log = asyncio.run(scenario("--store", str(tmp_path / "krone.db")))
    assert code == 3 and "alerts wait in the store for the next start" in log


def alerts_through(
    bundle: Path, drive: Callable[[int], Awaitable[None]], **env: str
) -> list[tuple[str, dict[str, Any]]]:
    async def scenario() -> list[tuple[str, dict[str, Any]]]:
        async with receiving() as (receiver, flags), serving(bundle, *flags, **env) as served:
            await drive(served.port)
        return sorted(receiver.alerts, key=lambda alert: alert[1]["alert_id"])

    return asyncio.run(scenario())


def test_every_carrier_gives_the_same_alerts(bundle_dir: Path) -> None:
    by_carrier = {
        name: alerts_through(bundle_dir, lambda port, f=frames: send_frames(port, f))
        for name, frames in CARRIERS.items()
    }
    expected = by_carrier["PackedForward"]
    assert {(alert["kind"], *alert["session"]) for _, alert in expected} == {
        ("unseen_template", "2"),
        ("sequence", "2"),
        ("sequence", "3"),
        ("unseen_template", "4"),
        ("sequence", "4"),
    }
    assert {tag for tag, _ in expected} == {f"krone.{TAG}"}
    for name, alerts in by_carrier.items():
        assert alerts == expected, name


def test_a_chunk_sent_again_is_acked_and_changes_nothing(bundle_dir: Path) -> None:
    frames = CARRIERS["PackedForward"]
    once = alerts_through(bundle_dir, lambda port: send_frames(port, frames))
    assert alerts_through(bundle_dir, lambda port: send_frames(port, frames * 3)) == once


@pytest.mark.node
def test_the_node_client_drives_it_and_the_node_server_gets_the_alerts(
    bundle_dir: Path, node_modules: Path
) -> None:
    async def scenario() -> list[dict[str, Any]]:
        receiver = await asyncio.create_subprocess_exec(
            "node", "server.js", json.dumps({"sharedKey": "theirs"}), cwd=node_modules,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert receiver.stdin is not None and receiver.stdout is not None
        alert_port = json.loads(await asyncio.wait_for(receiver.stdout.readline(), 30))["port"]
        secrets = {"FLUENT_KRONE_SHARED_KEY": KEY, "FLUENT_KRONE_ALERT_SHARED_KEY": "theirs"}
        flags = ("--alert-host=127.0.0.1", f"--alert-port={alert_port}")
        async with serving(bundle_dir, *flags, **secrets) as served:
            events = [[TAG, time_ns // 10**6, record] for time_ns, record in EVENTS]
            options = {
                "port": served.port,
                "mode": "PackedForward",
                "events": events,
                "patienceMs": 20_000,
                "sharedKey": KEY,
            }
            client = await asyncio.create_subprocess_exec(
                "node",
                "client.js",
                json.dumps(options),
                cwd=node_modules,
                stdout=asyncio.subprocess.PIPE,
            )
            printed, _ = await asyncio.wait_for(client.communicate(), 60)
            assert json.loads(printed) == {"acked": len(EVENTS), "errors": []}
        lines = [
            json.loads(await asyncio.wait_for(receiver.stdout.readline(), 30)) for _ in range(5)
        ]
        receiver.stdin.close()
        await receiver.wait()
        return lines

    received = asyncio.run(scenario())
    ours = alerts_through(bundle_dir, lambda port: send_frames(port, CARRIERS["PackedForward"]))
    assert {line["tag"] for line in received} == {
        f"krone.node.{TAG}"
    }  # the client puts its own name first
    assert {line["record"]["alert_id"] for line in received} == {
        alert["alert_id"] for _, alert in ours
    }
