"""The TCP door: any Forward client (Fluent Bit, a remote Fluentd, a fluent-logger) sends, the inlet takes.

One connection is one task that reads, takes and only then reads on: awaiting `Inlet.take` is the whole back-pressure,
down to the sender's TCP window. Whatever one client does ends at its own connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, fields

from fluent_krone.errors import ProtocolError
from fluent_krone.transport import Inlet
from fluent_krone.transport.forward_codec import (
    MAX_FRAME_BYTES,
    MAX_INFLATED_BYTES,
    Chunk,
    FrameSplitter,
    ServerHandshake,
    ack_bytes,
    decode_frame,
)

_log = logging.getLogger(__name__)
_READ_BYTES = 2**18
_MAX_PING_BYTES = 2**12  # a stranger gets no more of our memory
_LOG_INTERVAL_S = 5.0


@dataclass(slots=True)
class ServerStats:
    """Counts since start. `protocol_errors` by reason: bad_frame, bad_handshake, handshake_timeout, cut_short."""

    connections: int = 0
    connections_open: int = 0
    connections_refused: int = 0
    chunks: int = 0
    chunks_without_id: int = 0
    bytes: int = 0
    auth_failures: int = 0
    protocol_errors: Counter[str] = field(default_factory=Counter)

    def numbers(self) -> dict[str, float]:
        """All counts by name, flat."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "protocol_errors"}
        return flat | {f"protocol_errors_{reason}": count for reason, count in self.protocol_errors.items()}


class ForwardServer:
    """Listens on `host:port`, or on the Unix socket `path`; port 0 takes a free one, see `port`.

    Without `shared_key` there is no handshake, as in Fluentd. A client that may stay silent as long as it likes counts
    only against `max_connections`: an idle sender can't be told from a scanner. During a handshake it has
    `handshake_timeout_s`. `ssl_context` makes the door TLS.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 24224,
        *,
        path: str | None = None,
        shared_key: str | None = None,
        users: Mapping[str, str] | None = None,
        hostname: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 512,
        handshake_timeout_s: float = 10.0,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
    ) -> None:
        self.stats = ServerStats()
        self._address = (host, port)
        self._path = path
        self._shared_key = shared_key
        self._users = users
        # Not the bare host name: Fluentd on the same host would take the equal name for a loop.
        self._hostname = hostname or f"fluent-krone.{socket.gethostname()}"
        self._ssl_context = ssl_context
        self._max_connections = max_connections
        self._handshake_timeout_s = handshake_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._max_inflated_bytes = max_inflated_bytes
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._warn = _SparseLog()

    async def start(self, inlet: Inlet) -> None:
        """Listen, and hand what comes to `inlet`. Raises OSError when the address can't be had."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(inlet, reader, writer)

        tls_timeout = self._handshake_timeout_s if self._ssl_context else None
        if self._path is not None:
            self._server = await asyncio.start_unix_server(
                serve, self._path, ssl=self._ssl_context, ssl_handshake_timeout=tls_timeout, limit=_READ_BYTES
            )
        else:
            self._server = await asyncio.start_server(
                serve, *self._address, ssl=self._ssl_context, ssl_handshake_timeout=tls_timeout, limit=_READ_BYTES
            )

    @property
    def port(self) -> int:
        """The TCP port in use; 0 before `start` and for a Unix socket."""
        name = self._server.sockets[0].getsockname() if self._server and self._server.sockets else None
        return int(name[1]) if isinstance(name, tuple) else 0

    async def close(self) -> None:
        """Stop listening and end every connection; acks already given still leave.

        Call it after the last commit. What clients send meanwhile goes unacked, so they send it again to the next run.
        """
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, inlet: Inlet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Live one connection's life; no error leaves it but cancellation."""
        task = asyncio.current_task()
        assert task is not None
        self.stats.connections += 1
        peer = _peer(writer)
        if len(self._tasks) >= self._max_connections:
            self.stats.connections_refused += 1
            self._warn("connection refused", peer=peer, max_connections=self._max_connections)
            writer.close()
            return
        self._tasks.add(task)
        self.stats.connections_open += 1
        try:
            await self._converse(inlet, reader, writer, peer)
        except OSError as error:  # the peer went away
            _log.debug("connection lost peer=%s error=%s", peer, error)
        except asyncio.CancelledError:
            pass  # close() asked for it; asyncio would log a cancelled connection as an error
        except Exception:
            _log.exception("BUG: connection failed peer=%s", peer)
        finally:
            self._tasks.discard(task)
            self.stats.connections_open -= 1
            writer.close()

    async def _converse(
        self, inlet: Inlet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> None:
        splitter = FrameSplitter(self._max_frame_bytes if self._shared_key is None else _MAX_PING_BYTES)
        reason = "bad_handshake"
        try:
            async with contextlib.aclosing(self._objects(reader, writer, splitter)) as objects:
                if self._shared_key is not None and not await self._admit(objects, writer, self._shared_key, peer):
                    return
                splitter.max_frame_bytes = self._max_frame_bytes
                reason = "bad_frame"
                async for packed in objects:
                    await inlet.take(*self._chunk(packed, writer))
                    await writer.drain()  # a client that does not read its acks waits here, not our memory
        except ProtocolError as error:
            self._protocol_error(reason, peer, str(error))
        else:
            if splitter.pending_bytes:
                self._protocol_error("cut_short", peer, f"closed after {splitter.pending_bytes} bytes of a frame")

    async def _objects(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, splitter: FrameSplitter
    ) -> AsyncGenerator[bytes, None]:
        sock = writer.get_extra_info("socket")
        while data := await reader.read(_READ_BYTES):
            self.stats.bytes += len(data)
            _quick_ack(sock)
            for packed in splitter.feed(data):
                yield packed

    async def _admit(
        self, objects: AsyncIterator[bytes], writer: asyncio.StreamWriter, shared_key: str, peer: str
    ) -> bool:
        """Do the handshake; False when the client was refused, or left (an empty connection is a heartbeat)."""
        handshake = ServerHandshake(shared_key, self._hostname, self._users)
        writer.write(handshake.helo())
        try:
            async with asyncio.timeout(self._handshake_timeout_s):
                ping = await anext(objects, None)
        except TimeoutError:
            self._protocol_error("handshake_timeout", peer, f"no PING within {self._handshake_timeout_s} s")
            return False
        if ping is None:
            return False
        outcome = handshake.answer(ping)
        writer.write(outcome.pong)
        if not outcome.accepted:
            self.stats.auth_failures += 1
            # Some clients only see a time-out, so this line is the operator's one hint.
            self._warn("client refused", peer=peer, client=repr(outcome.client), reason=outcome.reason)
        return outcome.accepted

    def _chunk(self, packed: bytes, writer: asyncio.StreamWriter) -> tuple[Chunk, Callable[[], None]]:
        frame = decode_frame(packed, self._max_inflated_bytes)
        if not isinstance(frame, Chunk):
            raise ProtocolError("not a Forward message: a client sends arrays, got a map")
        self.stats.chunks += 1
        self.stats.chunks_without_id += frame.chunk is None
        return frame, _ack(frame.chunk, writer)

    def _protocol_error(self, reason: str, peer: str, error: str) -> None:
        self.stats.protocol_errors[reason] += 1
        self._warn("connection closed", peer=peer, reason=reason, error=error)


def _ack(chunk_id: str | bytes | None, writer: asyncio.StreamWriter) -> Callable[[], None]:
    def ack() -> None:
        # When the connection is gone the sender sends the chunk again, and the store knows its id.
        if chunk_id is not None and not writer.is_closing():
            writer.write(ack_bytes(chunk_id))

    return ack


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"


def _quick_ack(sock: socket.socket) -> None:
    """Have the kernel ack at once what was read; it forgets the wish, so ask after every read.

    Fluentd writes a chunk in pieces under Nagle's algorithm: each would wait 40 ms for our delayed TCP ack. (Our own
    small writes are fine: asyncio sets TCP_NODELAY.)
    """
    if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _SparseLog:
    """Warnings, each message at most once per interval, with the number of those left out in between."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def __call__(self, message: str, **values: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last.get(message, -_LOG_INTERVAL_S) < _LOG_INTERVAL_S:
            self._left_out[message] += 1
            return
        self._last[message] = now
        if left_out := self._left_out.pop(message, 0):
            values["left_out"] = left_out
        _log.warning("%s %s", message, " ".join(f"{key}={value}" for key, value in values.items()))
