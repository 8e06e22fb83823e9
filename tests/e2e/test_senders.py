"""What the TCP input knows of a sender whose connection ends, with real sockets: plain, TLS, Unix.

Everything that was sent before the end is taken, and it is known whether an ack arrived.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgpack
import pytest
from certificates import Certificates
from frames import ACK, FRAME, Inlet
from serving import http_get, samples, serving
from synthetic import GOING, MESSAGES, T0

from fluent_krone.transport import Sender
from fluent_krone.transport.forward import Chunk, encode_events
from fluent_krone.transport.server import ForwardServer, ServerSettings

Client = Callable[[], socket.socket]
Story = Callable[[Client, Inlet], Awaitable[None]]

# Closing a socket with this option discards what is unsent and resets the connection.
ABORTIVE = struct.pack("ii", 1, 0)


@pytest.fixture(params=["tcp", "tls", "unix"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Story], None]:
    """Play a story with a server of one kind; the story gets a function that connects to it."""
    settings = ServerSettings(port=0)
    context: ssl.SSLContext | None = None
    if request.param == "unix":
        settings = ServerSettings(path=str(tmp_path / "krone.sock"))
    if request.param == "tls":
        certificates: Certificates = request.getfixturevalue("certificates")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates.cert("server"), certificates.key("server"))
        settings = ServerSettings(port=0, ssl_context=tls)
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


@pytest.mark.parametrize(
    ("end", "has_ack"),
    [
        ("reads its ack and closes", True),
        ("closes with its ack unread", False),
        ("closes before its ack", False),
        ("resets the connection", False),
    ],
)
def test_a_sender_has_its_ack_only_if_it_read_it(
    run: Callable[[Story], None], end: str, has_ack: bool
) -> None:
    async def story(connect: Client, inlet: Inlet) -> None:
        client = await start(connect, inlet)
        if end == "resets the connection":
            if client.family == socket.AF_UNIX:
                pytest.skip("a Unix socket cannot be reset")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
        if end != "closes before its ack":
            inlet.acks[0]()
        if has_ack:
            await asyncio.to_thread(read_ack, client)
        elif end == "closes with its ack unread":
            await asyncio.sleep(0.1)
        client.close()
        assert await known(inlet) is has_ack
        inlet.acks[0]()
        assert inlet.senders[0].has_ack() is has_ack

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


# --- Fluent Bit's frames, made by our own encoder in the shape that it sends


def fluent_bit_frame(tag: str, *messages: str, compress: bool = False) -> bytes:
    """`[[time, metadata], record]` entries; the id is a digest of the entries without the tag."""
    time = msgpack.ExtType(0, (T0 // 10**9).to_bytes(4, "big") + bytes(4))
    entries = b"".join(
        msgpack.packb([[time, {}], {"message": message, "ride": "7"}]) for message in messages
    )
    chunk_id = base64.b64encode(hashlib.sha512(entries).digest()[:16]).decode()
    option = {"chunk": chunk_id, "size": len(messages), "fluent_signal": 0}
    if compress:
        entries = gzip.compress(entries)
        option["compressed"] = "gzip"
    return bytes(msgpack.packb([tag, entries, option]))


class Bit:
    """Sends frames as Fluent Bit does: one at a time, each until its ack has come."""

    def __init__(self, port: int, keepalive: bool) -> None:
        self._port = port
        self._keepalive = keepalive
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, frame: bytes, *, reads_ack: bool = True) -> None:
        """Send a frame; one that does not read its ack dies when the ack has come."""
        if self._connection is None:
            self._connection = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._connection
        writer.write(frame)
        if reads_ack:
            ack = msgpack.unpackb(await reader.read(1000))
            assert ack == {"ack": msgpack.unpackb(frame)[2]["chunk"]}
        else:
            await asyncio.sleep(0.5)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE
            )
        if not (self._keepalive and reads_ack):
            writer.close()
            self._connection = None
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("keepalive", [False, True], ids=["a connection each", "one connection"])
def test_equal_chunks_of_fluent_bit_count_each_time_unless_an_ack_was_lost(
    keepalive: bool, compress: bool, bundle_dir: Path
) -> None:
    """The same line three times; once under another tag; sent again after its ack was lost."""
    frame = fluent_bit_frame("app.a", MESSAGES[GOING], compress=compress)
    other_tag = fluent_bit_frame("app.b", MESSAGES[GOING], compress=compress)

    async def scenario() -> list[float]:
        async with serving(bundle_dir, "--metrics=true", "--metrics-port=0") as served:
            bit = Bit(served.port, keepalive)
            for _ in range(3):
                await bit.send(frame)
            await bit.send(other_tag)
            await bit.send(frame, reads_ack=False)
            await bit.send(frame)
            await bit.send(frame)
            _, page = await http_get(served.metrics_port, "/metrics")
            names = ["fluent_krone_records_total", "fluent_krone_chunks_repeated_total"]
            return samples(page, names)

    assert asyncio.run(scenario()) == [6, 1]
