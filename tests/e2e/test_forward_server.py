"""The TCP input with real clients on loopback: good ones, fluent-logger, and hostile ones."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import subprocess
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from fluent.sender import FluentSender
from frames import ACK, FRAME, Inlet

from fluent_krone.errors import SinkBusy
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.transport import Sender, connections
from fluent_krone.transport import server as forward_server
from fluent_krone.transport.forward import Chunk, ClientHandshake, ForwardDecoder, encode_events
from fluent_krone.transport.server import ForwardServer, ServerSettings
from fluent_krone.types import Alert


def serve(work: Callable[[ForwardServer, Inlet], Awaitable[None]], **options: Any) -> ForwardServer:
    async def scenario() -> ForwardServer:
        server, inlet = ForwardServer(ServerSettings(port=0, **options)), Inlet()
        await server.start(inlet)
        try:
            async with asyncio.timeout(20):
                await work(server, inlet)
        finally:
            await server.close()
        assert server.stats.connections_open == 0
        return server

    return asyncio.run(scenario())


async def connect(server: ForwardServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


async def is_served(server: ForwardServer) -> None:
    """A new client is taken in and acked, whatever others did."""
    reader, writer = await connect(server)
    writer.write(FRAME)
    assert await reader.readexactly(len(ACK)) == ACK
    writer.close()


async def log_in(
    server: ForwardServer, key: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    reader, writer = await connect(server)
    ping, _ = ClientHandshake(key, "client").ping(await reader.read(1000))
    writer.write(ping)
    return reader, writer, await reader.read(1000)


def test_takes_frames_in_order_and_acks_each() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        frames = [encode_events(f"t{i}", [(i, {"i": i})], f"id{i}") for i in range(50)]
        stream = b"".join(frames)
        for at in range(0, len(stream), 7):
            writer.write(stream[at : at + 7])
            await writer.drain()
        decoder, acks = ForwardDecoder(), list[Any]()
        while len(acks) < 50:
            acks += decoder.feed(await reader.read(1000))
        assert acks == [{"ack": f"id{i}"} for i in range(50)]
        assert [chunk.tag for chunk in inlet.chunks] == [f"t{i}" for i in range(50)]
        writer.close()

    assert serve(work).stats.connections == 1


def test_a_frame_without_id_is_taken_in_and_not_acked() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        writer.write(encode_events("app", [], None) + FRAME)
        assert await reader.readexactly(len(ACK)) == ACK
        assert [chunk.chunk is None for chunk in inlet.chunks] == [True, False]
        writer.close()

    serve(work)


def test_an_ack_after_the_connection_is_gone_is_ignored() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        inlet.acking = False
        _, writer = await connect(server)
        writer.write(FRAME)
        await inlet.arrival.wait()
        writer.transport.abort()
        while server.stats.connections_open:
            await asyncio.sleep(0)
        inlet.acks[0]()

    serve(work)


def test_a_late_ack_is_the_end_of_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender may have given up, and would take it for another chunk's."""
    monkeypatch.setattr(connections, "_LATE_S", 0.0)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        inlet.acking = False
        reader, writer = await connect(server)
        writer.write(FRAME)
        await inlet.arrival.wait()
        inlet.acks[0]()
        assert await reader.read() == b""
        while server.stats.connections_open:
            await asyncio.sleep(0.01)
        assert inlet.senders[0].has_ack() is False
        writer.close()

    serve(work)


def gate_of(inlet: Inlet) -> asyncio.Event:
    """Let the inlet take nothing until the gate is set."""
    gate, take = asyncio.Event(), inlet.take

    async def slow_take(
        chunk: Chunk, ack: Callable[[], None], sender: Sender | None = None
    ) -> None:
        await gate.wait()
        await take(chunk, ack, sender)

    inlet.take = slow_take  # type: ignore[method-assign]
    return gate


def test_an_ack_is_late_by_what_its_chunk_waited_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the sender it is all one whether others were taken meanwhile."""
    monkeypatch.setattr(connections, "_LATE_S", 0.05)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        gate = gate_of(inlet)
        clients = [await connect(server) for _ in range(2)]
        for _, writer in clients:
            writer.write(FRAME)
        while server.stats.bytes < 2 * len(FRAME):
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        gate.set()
        for reader, writer in clients:
            assert await reader.read() == b""
            writer.close()

    serve(work)


def test_taking_holds_the_sender_back() -> None:
    """While `take` waits, the server reads no more than its buffers hold."""

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        gate = gate_of(inlet)
        reader, writer = await connect(server)
        frame = encode_events("app", [(0, {"m": "x" * 100_000})], "id")
        writer.write(frame * 400)
        while server.stats.bytes == 0:
            await asyncio.sleep(0)
        assert server.stats.bytes < 2**20
        gate.set()
        await reader.readexactly(400 * len(ACK))
        writer.close()

    serve(work)


def test_others_have_a_turn_between_the_frames_of_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_server, "_SLICE_S", 0.0)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        (_, hasty), (reader, writer) = [await connect(server) for _ in range(2)]
        hasty.write(b"\x92\xa0\x90" * 10_000)
        writer.write(FRAME)
        assert await reader.readexactly(len(ACK)) == ACK
        assert len(inlet.chunks) < 10_000
        for client in (hasty, writer):
            client.close()

    serve(work)


def test_an_empty_connection_is_a_heartbeat() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        _, writer = await connect(server)
        writer.close()
        await writer.wait_closed()

    for key in (None, "key"):
        assert serve(work, shared_key=key).stats.protocol_errors == {}


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "bad_frame"),
        (b"\xc1", "bad_frame"),
        (msgpack.packb({"ack": "id"}), "bad_frame"),
        (FRAME + b"\x07", "bad_frame"),
        (encode_events("t", [(0, {"m": "x" * 2000})], "big"), "bad_frame"),
        (FRAME[:-1], "cut_short"),
        (b"\x92\xa1t\xc6\x40\0\0\0", "cut_short"),
    ],
    ids=[
        "http",
        "garbage",
        "map",
        "garbage behind a frame",
        "over the cap",
        "truncated",
        "gigabyte header",
    ],
)
def test_bad_input_ends_its_own_connection_with_one_line(
    stream: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        other_reader, other_writer = await connect(server)
        reader, writer = await connect(server)
        writer.write(stream)
        writer.write_eof()
        await reader.read()
        other_writer.write(FRAME)
        assert await other_reader.readexactly(len(ACK)) == ACK
        other_writer.close()
        writer.close()

    server = serve(work, max_frame_bytes=1000)
    assert server.stats.protocol_errors == {reason: 1}
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.startswith("connection closed peer=127.0.0.1:") and f"reason={reason}" in line


def test_a_client_that_reads_no_acks_is_let_go_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it was sent waits in its socket; ours must not stay open for that."""
    monkeypatch.setattr(forward_server, "_CLOSE_S", 0.05)
    frame = encode_events("app", [], "x" * 60_000)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        inlet.acking = False
        _, writer = await connect(server)
        writer.write(frame * 300)
        while len(inlet.acks) < 300:
            inlet.arrival.clear()
            await inlet.arrival.wait()
        for ack in inlet.acks:
            ack()
        writer.write(b"\xc1")
        while server.stats.connections_open:
            await asyncio.sleep(0)
        inlet.acking = True
        await is_served(server)
        writer.close()

    assert serve(work).stats.protocol_errors == {"bad_frame": 1}


def test_a_client_that_reads_no_acks_does_not_keep_others_from_sending(tmp_path: Path) -> None:
    """It holds no memory that counts while it waits, so the next client in line goes on."""
    socket_path = str(tmp_path / "krone.sock")
    unread = encode_events("app", [], "x" * 60_000)
    large = encode_events("app", [(0, {"m": "x" * 2**21})], "id")

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        _, deaf = await asyncio.open_unix_connection(socket_path, limit=1000)
        deaf.write(unread * 40)
        while len(inlet.chunks) < 8:  # far more than the socket has room for
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(large)
        assert await reader.readexactly(len(ACK)) == ACK
        deaf.transport.abort()
        writer.close()

    serve(work, path=socket_path, max_pending_bytes=50_000)


def test_a_connection_keeps_nothing_of_what_was_taken() -> None:
    """Else hundreds of silent ones would keep hundreds of frames."""

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        tracemalloc.start()
        reader, writer = await connect(server)
        writer.write(encode_events("app", [(0, {"m": "x" * 2**24})], "id") + FRAME[:-1])
        assert await reader.readexactly(len(ACK)) == ACK
        inlet.chunks.clear()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 2**22
        writer.write(FRAME[-1:])
        assert await reader.readexactly(len(ACK)) == ACK
        writer.close()

    serve(work)


def test_a_broken_inlet_ends_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        async def fail(chunk: Chunk, ack: Callable[[], None]) -> None:
            raise RuntimeError("inlet")

        take, inlet.take = inlet.take, fail  # type: ignore[method-assign]
        reader, writer = await connect(server)
        writer.write(FRAME)
        assert await reader.read() == b""
        writer.close()
        inlet.take = take  # type: ignore[method-assign]
        await is_served(server)

    serve(work)
    assert "BUG: connection failed" in caplog.text


def test_right_key_lets_in() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer, pong = await log_in(server, "key")
        assert msgpack.unpackb(pong)[:3] == ["PONG", True, ""]
        writer.write(FRAME)
        assert await reader.readexactly(len(ACK)) == ACK
        writer.close()

    serve(work, shared_key="key")


def test_wrong_key_is_refused_and_logged_but_not_flooded(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        for _ in range(3):
            reader, writer, pong = await log_in(server, "wrong")
            assert msgpack.unpackb(pong)[:3] == ["PONG", False, "shared_key mismatch"]
            writer.write(FRAME)
            assert await reader.read() == b""
            writer.close()
        assert inlet.chunks == []

    assert serve(work, shared_key="key").stats.auth_failures == 3
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "client='client' reason=shared_key mismatch" in line


def test_a_client_without_a_key_is_told_so_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        writer.write(FRAME)
        await reader.read()
        writer.close()

    assert serve(work, shared_key="key").stats.protocol_errors == {"bad_handshake": 1}
    assert "does only one side have a shared_key?" in caplog.text


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b'["tag",1700000000,{"m":"x"},{}]', "turn off MarshalAsJSON"),
        (b"GET / HTTP/1.1\r\n\r\n", "this is HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "this is TLS: turn it off at the client"),
    ],
)
@pytest.mark.parametrize("key", [None, "key"])
def test_another_protocol_is_named(
    start: bytes, words: str, key: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        writer.write(start)
        await reader.read()
        writer.close()

    serve(work, shared_key=key)
    assert words in caplog.text


def test_a_client_that_waits_for_our_handshake_is_reported_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_server, "_SILENT_S", 0.01)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        clients = [await connect(server) for _ in range(3)]
        await is_served(server)
        await asyncio.sleep(0.1)
        for _, writer in clients:
            writer.close()

    serve(work)
    assert caplog.text.count("client sends nothing") == 1
    assert "hint=if it has a shared_key, set the same one here" in caplog.text


def test_chunks_that_overtake_each_other_are_reported_once_a_host(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        for second in (100, 99, 101, 50, 102, 40):
            writer.write(encode_events("t", [(second * 10**9, {})], "id"))
            assert await reader.readexactly(len(ACK)) == ACK
        writer.close()

    serve(work)
    assert caplog.text.count("chunks run backwards in time") == 1


def test_a_frame_that_is_too_large_is_reported_once_a_host(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_INTERVAL_S", 0.0)

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        for _ in range(3):
            reader, writer = await connect(server)
            writer.write(encode_events("t", [(0, {"m": "x" * 2000})], "id"))
            await reader.read()
            writer.close()

    assert serve(work, max_frame_bytes=1000).stats.protocol_errors == {"bad_frame": 3}
    assert caplog.text.count("lower chunk_limit_size in the sender's <buffer>") == 1


def test_a_stranger_may_not_send_a_large_frame(caplog: pytest.LogCaptureFixture) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        writer.write(b"\xc6\x01\0\0\0" + bytes(5000))
        await reader.read()
        writer.close()
        reader, writer, _ = await log_in(server, "key")
        writer.write(encode_events("t", [(0, {"m": "x" * 5000})], "id"))
        assert await reader.readexactly(len(ACK)) == ACK
        writer.close()

    assert serve(work, shared_key="key").stats.protocol_errors == {"bad_handshake": 1}
    assert (
        "expected PING (the client sent a frame of over 4096 bytes); does only one side have"
        in caplog.text
    )


def test_a_silent_connection_is_closed_when_a_key_is_asked_for() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await connect(server)
        assert b"HELO" in await reader.read()
        writer.close()

    assert serve(work, shared_key="key", handshake_timeout_s=0.05).stats.protocol_errors == {
        "handshake_timeout": 1
    }


def test_connections_are_capped() -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        kept = [await connect(server) for _ in range(2)]
        for _, writer in kept:
            writer.write(FRAME)
        for reader, _ in kept:
            await reader.readexactly(len(ACK))
        reader, refused = await connect(server)
        assert await reader.read() == b""
        for writer in (refused, *(writer for _, writer in kept)):
            writer.close()
        while server.stats.connections_open:
            await asyncio.sleep(0)
        await is_served(server)

    assert serve(work, max_connections=2).stats.connections_refused == 1


def test_unix_socket(tmp_path: Path) -> None:
    socket_path = str(tmp_path / "krone.sock")

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        reader, writer = await asyncio.open_unix_connection(socket_path)
        writer.write(FRAME)
        assert await reader.readexactly(len(ACK)) == ACK
        writer.close()

    assert serve(work, path=socket_path).port == 0


def test_tls(tmp_path: Path) -> None:
    """The alert sink delivers through our own input over TLS, but not to an unknown certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` on PATH")
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost"
    )
    subprocess.run(
        [*make.split(), "-keyout", "key", "-out", "cert"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    trusting = ssl.create_default_context(cafile=tmp_path / "cert")

    async def work(server: ForwardServer, inlet: Inlet) -> None:
        alert = Alert("a", "krone.app", 1, {"alert_id": "a"})
        sink = ForwardSink("localhost", server.port, shared_key="key", ssl_context=trusting)
        await sink.deliver([alert])
        await sink.close()
        wary = ForwardSink(
            "localhost", server.port, shared_key="key", ssl_context=ssl.create_default_context()
        )
        with pytest.raises(SinkBusy, match="CERTIFICATE_VERIFY_FAILED"):
            await wary.deliver([alert])
        assert [chunk.tag for chunk in inlet.chunks] == ["krone.app"]

    serve(work, shared_key="key", ssl_context=tls)


def test_close_ends_open_connections_and_sends_given_acks() -> None:
    async def scenario() -> None:
        server, inlet = ForwardServer(ServerSettings(port=0)), Inlet(acking=False)
        await server.start(inlet)
        reader, writer = await connect(server)
        writer.write(FRAME)
        await inlet.arrival.wait()
        inlet.acks[0]()
        await server.close()
        assert await reader.read() == ACK
        writer.close()
        await server.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("nanosecond", [False, True])
def test_fluent_logger_sends(nanosecond: bool) -> None:
    async def work(server: ForwardServer, inlet: Inlet) -> None:
        sender = FluentSender("app", port=server.port, nanosecond_precision=nanosecond)
        assert await asyncio.to_thread(
            sender.emit_with_time, "web", 1_700_000_000, {"message": "ü"}
        )
        await inlet.arrival.wait()
        await asyncio.to_thread(sender.close)
        [chunk] = inlet.chunks
        assert chunk.tag == "app.web"
        assert list(chunk.events()) == [(1_700_000_000_000_000_000, {b"message": "ü".encode()})]

    serve(work)
