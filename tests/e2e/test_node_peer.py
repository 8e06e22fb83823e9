"""The Fluent organisation's Node client and server as our peers: another implementation.

npm installs it at the first run into `node/node_modules`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fluent_krone.errors import SinkBusy
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.transport.forward import Chunk
from fluent_krone.transport.server import ForwardServer, ServerSettings
from fluent_krone.types import Alert

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("node_modules")]

NODE = Path(__file__).parent / "node"
T0_NS = 1_700_000_000_000_000_000


@dataclass
class Inlet:
    """Acks at once and keeps the events."""

    chunks: list[Chunk] = field(default_factory=list)

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        self.chunks.append(chunk)
        ack()

    async def flush(self) -> None: ...

    def events(self, tag: str) -> list[tuple[int | None, Any]]:
        return [event for chunk in self.chunks if chunk.tag == tag for event in chunk.events()]


def send_from_node(
    server_options: dict[str, Any], **client_options: Any
) -> tuple[dict[str, Any], Inlet, ForwardServer]:
    """Run the Node client against our input; what it printed, and what we took in."""

    async def scenario() -> tuple[dict[str, Any], Inlet, ForwardServer]:
        server, inlet = ForwardServer(ServerSettings(port=0, **server_options)), Inlet()
        await server.start(inlet)
        try:
            argument = json.dumps(
                {"port": server.port, "count": 50, "patienceMs": 20_000} | client_options
            )
            client = await asyncio.create_subprocess_exec(
                "node", "client.js", argument, cwd=NODE, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await asyncio.wait_for(client.communicate(), 60)
        finally:
            await server.close()
        return json.loads(output), inlet, server

    return asyncio.run(scenario())


@asynccontextmanager
async def node_server(**options: Any) -> AsyncIterator[tuple[int, Callable[[], Any]]]:
    """Run the Node server; its port, and a function that awaits its next event."""
    server = await asyncio.create_subprocess_exec(
        "node",
        "server.js",
        json.dumps(options),
        cwd=NODE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdin is not None and server.stdout is not None
    lines = server.stdout

    async def next_line() -> Any:
        return json.loads(await asyncio.wait_for(lines.readline(), 30))

    try:
        yield (await next_line())["port"], next_line
    finally:
        server.stdin.close()
        await server.wait()


MODES = ["Message", "Forward", "PackedForward", "CompressedPackedForward"]
KEY = {"sharedKey": "key"}
LOGIN = {"sharedKey": "key", "username": "ann", "password": "pw"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"shared_key": "key"}, KEY),
        ({"shared_key": "key", "users": {"ann": "pw"}}, LOGIN),
    ],
    ids=["open", "shared key", "user"],
)
def test_node_client_sends_to_our_input(
    mode: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    printed, inlet, server = send_from_node(ours, mode=mode, **theirs)
    assert printed == {"acked": 100, "errors": []}
    expected = {b"message": b"line 7", b"i": 7, b"nested": {b"list": [1, None, True]}}
    events = inlet.events("node.a")
    assert len(events) == 50 and (T0_NS + 7_000_000, expected) in events
    assert inlet.events("node.b") == [
        (T0_NS + i * 1_000_000, {b"message": "ü".encode()}) for i in range(50)
    ]
    assert server.stats.protocol_errors == {}
    assert all(chunk.chunk for chunk in inlet.chunks)


def test_node_client_with_a_wrong_key_gets_nothing_in(caplog: pytest.LogCaptureFixture) -> None:
    printed, inlet, server = send_from_node(
        {"shared_key": "key"}, mode="PackedForward", sharedKey="wrong", patienceMs=1_000
    )
    assert printed["acked"] == 0 and inlet.chunks == []
    assert server.stats.auth_failures >= 1
    assert "reason=shared_key mismatch" in caplog.text


ALERTS = [
    Alert(f"id{i}", "krone.app", T0_NS + i, {"alert_id": f"id{i}", "score": 1.5, "lines": ["ü"]})
    for i in range(3)
]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {}),
        (KEY, {"shared_key": "key"}),
        (
            KEY | {"users": {"ann": "pw"}},
            {"shared_key": "key", "username": "ann", "password": "pw"},
        ),
    ],
    ids=["open", "shared key", "user"],
)
def test_our_sink_delivers_to_the_node_server(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with node_server(**theirs) as (port, next_event):
            sink = ForwardSink(port=port, **ours)
            await sink.deliver(ALERTS[:2])
            await sink.deliver(ALERTS[2:])
            for alert in ALERTS:
                event = {
                    "tag": alert.tag,
                    "time_ns": str(alert.time_ns),
                    "record": dict(alert.record),
                }
                assert await next_event() == event
            await sink.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("ours", "reason"),
    [
        ({"shared_key": "wrong"}, "shared key mismatch"),
        ({}, "does the receiver require a shared_key"),
    ],
)
def test_our_sink_tells_why_the_node_server_refused(ours: dict[str, Any], reason: str) -> None:
    async def scenario() -> None:
        async with node_server(sharedKey="key") as (port, _):
            sink = ForwardSink(port=port, **ours)
            with pytest.raises(SinkBusy, match=reason):
                await sink.deliver(ALERTS)
            await sink.close()

    asyncio.run(scenario())
