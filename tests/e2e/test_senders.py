"""What the TCP door knows of a sender whose connection ends, with real sockets: plain, TLS, Unix.

Everything that was sent before the end is taken, and it is known whether an ack arrived.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from certificates import Certificates
from inlets import ACK, FRAME, Inlet

from fluent_krone.transport import Sender
from fluent_krone.transport.forward import Chunk, encode_events
from fluent_krone.transport.server import ForwardServer, ServerSettings

Client = Callable[[], socket.socket]
Story = Callable[[Client, Inlet], Awaitable[None]]

# Closing a socket with this option discards what is unsent and resets the connection.
ABORTIVE = struct.pack("ii", 1, 0)


@pytest.fixture(params=["tcp", "tls", "unix"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Play a story with a server of one kind: it gets a function that connects a blocking socket."""
    settings = ServerSettings(port=0)
    context: ssl.SSLContext | None = None
    if request.param == "unix":
        settings = ServerSettings(path=str(tmp_path / "door.sock"))
    if request.param == "tls":
        certificates: Certificates = request.getfixturevalue("certificates")
        door = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        door.load_cert_chain(certificates.cert("server"), certificates.key("server"))
        settings = ServerSettings(port=0, ssl_context=door)
        context = ssl.create_default_context(cafile=str(certificates.cert("authority")))

    def play(story: Story) -> None:
        async def scenario() -> None:
            server = ForwardServer(settings)
            inlet = Inlet(acking=False)
            await server.start(inlet)

            def connect() -> socket.socket:
                if settings.path is not None:
                    client = socket.socket(socket.AF_UNIX)
                    client.connect(settings.path)
                    return client
                client = socket.create_connection(("127.0.0.1", server.port))
                if context is None:
                    return client
                return context.wrap_socket(client, server_hostname="localhost")

            try:
                async with asyncio.timeout(30):
                    await story(connect, inlet)
            finally:
                await server.close()

        asyncio.run(scenario())

    return play


async def taken(inlet: Inlet, count: int) -> None:
    while len(inlet.chunks) < count:
        inlet.arrival.clear()
        await inlet.arrival.wait()


async def known(inlet: Inlet, number: int = 0) -> bool:
    """Whether a sender has its ack, as soon as it is known."""
    while (known := inlet.senders[number].has_ack()) is None:
        await asyncio.sleep(0.01)
    return known


def read_ack(client: socket.socket) -> None:
    got = b""
    while len(got) < len(ACK):
        got += client.recv(len(ACK) - len(got))
    assert got == ACK


async def start(connect: Client, inlet: Inlet) -> socket.socket:
    """Connect, send a chunk, and have it taken."""
    client = await asyncio.to_thread(connect)
    await asyncio.to_thread(client.sendall, FRAME)
    await taken(inlet, 1)
    assert inlet.senders[0].has_ack() is None
    return client


def test_a_sender_that_goes_on_has_its_ack(run: Callable[[Story], None]) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        inlet.acks[0]()
        await asyncio.to_thread(read_ack, client)
        assert inlet.senders[0].has_ack() is None
        await asyncio.to_thread(client.sendall, FRAME)
        await taken(inlet, 2)
        assert inlet.senders[0].has_ack() is True
        assert inlet.senders[1].has_ack() is None
        client.close()
        assert await known(inlet, 1) is False
        assert inlet.senders[0].has_ack() is True

    run(story)


def test_a_sender_that_reads_its_ack_and_closes_has_it(run: Callable[[Story], None]) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        inlet.acks[0]()
        await asyncio.to_thread(read_ack, client)
        client.close()
        assert await known(inlet) is True

    run(story)


def test_a_sender_that_dies_with_its_ack_unread_may_lack_it(
    run: Callable[[Story], None],
) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        inlet.acks[0]()
        await asyncio.sleep(0.1)
        client.close()
        assert await known(inlet) is False

    run(story)


def test_a_sender_that_closes_before_its_ack_lacks_it(run: Callable[[Story], None]) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        client.close()
        assert await known(inlet) is False
        inlet.acks[0]()
        assert inlet.senders[0].has_ack() is False

    run(story)


def test_a_sender_that_resets_the_connection_may_lack_its_ack(
    run: Callable[[Story], None],
) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        if client.family == socket.AF_UNIX:
            pytest.skip("a Unix socket cannot be reset")
        inlet.acks[0]()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
        client.close()
        assert await known(inlet) is False

    run(story)


def test_a_client_that_never_reads_loses_nothing(run: Callable[[Story], None]) -> None:
    """Unread TLS session tickets would turn its close into a reset, which drops what is unread."""
    frames = [encode_events("t", [(i, {"m": "x" * 1000})], None) for i in range(500)]

    def send(connect: Client) -> None:
        client = connect()
        for frame in frames:
            client.sendall(frame)
        client.close()

    async def story(connect: Client, inlet: Inlet) -> None:
        await asyncio.gather(*(asyncio.to_thread(send, connect) for _ in range(4)))
        await taken(inlet, 4 * len(frames))

    run(story)


def test_what_came_before_a_reset_is_taken(run: Callable[[Story], None]) -> None:
    """Our ack meets a client that has gone, and its kernel answers with a reset."""
    frames = [encode_events("t", [(i, {"m": "x" * 100})], None) for i in range(100)]
    gone = asyncio.Event()

    async def story(connect: Client, inlet: Inlet) -> None:
        inlet.acking = True
        take = inlet.take

        async def take_late(chunk: Chunk, ack: Callable[[], None], sender: Sender) -> None:
            await gone.wait()
            await take(chunk, ack, sender)
            await asyncio.sleep(0.001)

        inlet.take = take_late  # type: ignore[method-assign, assignment]
        client = await asyncio.to_thread(connect)
        await asyncio.to_thread(client.sendall, FRAME + FRAME + b"".join(frames))
        client.close()
        await asyncio.sleep(0.1)
        gone.set()
        await taken(inlet, 2 + len(frames))

    run(story)
