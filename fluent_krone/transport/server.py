"""The TCP input: any Forward client (Fluent Bit, a remote Fluentd, a fluent-logger) sends chunks.

Each connection is one task that reads a frame, waits until the inlet has taken it, and only then
reads on. This wait is the whole back-pressure: it reaches the sender through the TCP window.
Whatever one client does can end only its own connection, and the memory that all clients together
can hold is bounded:

- connections: at the limit, the oldest client that has not sent a chunk is evicted;
- frames that are arriving: above `max_pending_bytes` only one client at a time is read from, and a
  slow one is closed; large frames go to files, for whose bytes the same holds;
- frames that are inflated and taken: one at a time, or small ones that came together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config import default_of
from ..errors import ProtocolError
from . import BurstInlet, Delivery, Inlet
from .bursts import burst_inlet, chunk_bytes, frame_bytes, together
from .channel import Channel, listen_at, listen_on, quick_ack
from .connections import Ack, Connection, Connections, OrderWatch, RateLimitedLog, ServerStats
from .forward import (
    Chunk,
    Frame,
    FrameSplitter,
    FrameTooLarge,
    LargeFrame,
    ServerHandshake,
    decode_frame,
    foreign_protocol,
)
from .forward.framing import MAX_FRAME_BYTES, MAX_INFLATED_BYTES

_log = logging.getLogger(__name__)
# Bytes of one read. It is large beside a record and small beside a frame.
_READ_BYTES = 2**18
# Bytes of a PING. Before the handshake a client gets no more of our memory than this.
_MAX_PING_BYTES = 2**12
# Seconds that a client has for the handshake. A peer on the same network needs a hundredth of one.
_HANDSHAKE_S = 10.0
# Seconds that a client has, at the end of its connection, to read what we still send it.
_CLOSE_S = 5.0
# Seconds that a refused client has to read why, before the connection is reset.
_LINGER_S = 1.0
# Seconds without accepting when the process is out of file descriptors.
_ACCEPT_PAUSE_S = 1.0
# Seconds after which a client that has sent nothing at all may be waiting for a handshake.
_SILENT_S = 10.0
# Hosts whose troubles are remembered, so that they are logged once. Those of others are only
# counted.
_MAX_HOSTS_TOLD = 1000
# Seconds for the frames of one read before other clients have a turn.
_SLICE_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where a server listens, whom it admits, and what clients may cost.

    `path` is a Unix socket to listen on instead of `host` and `port`, with these `permissions`;
    port 0 takes a free port. Without `shared_key` there is no handshake, as in Fluentd. `users`
    maps names to passwords; a client must then show one of them. `ssl_context` turns on TLS. The
    defaults are those of the parameters (`config`).
    """

    host: str = default_of("bind")
    port: int = default_of("port")
    path: str | None = None
    permissions: int = default_of("unix_perm")
    shared_key: str | None = field(default=None, repr=False)
    users: Mapping[str, str] | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = None
    handshake_timeout_s: float = _HANDSHAKE_S
    max_connections: int = default_of("max_connections")
    max_frame_bytes: int = MAX_FRAME_BYTES
    max_inflated_bytes: int = MAX_INFLATED_BYTES
    max_pending_bytes: int = default_of("max_pending_size")


class ForwardServer:
    """Listens as its settings say, and hands each chunk to an inlet.

    A client may stay silent as long as it likes, because an idle sender cannot be told from a port
    scanner. Only the handshake has a time limit.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.stats = ServerStats()
        self._settings = settings
        # Not the plain host name: Fluentd on the same host would take the equal name for a loop.
        self._hostname = f"fluent-krone.{socket.gethostname()}"
        self._connections = Connections(self._settings.max_pending_bytes)
        self._tasks: set[asyncio.Task[None]] = set()
        # One burst of frames at a time is inflated and taken.
        self._turn = asyncio.Lock()
        self._listener: socket.socket | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._warn = RateLimitedLog(_log)
        self._order = OrderWatch()
        # Hosts and their troubles that repeat endlessly, which are logged once.
        self._told: set[tuple[str, str]] = set()
        if self._settings.ssl_context is not None:
            # A client that only sends never reads session tickets. The kernel then turns its close
            # into a reset, which drops what it has sent and we have not read.
            self._settings.ssl_context.num_tickets = 0

    async def start(self, inlet: Inlet) -> None:
        """Listen, and hand what comes to `inlet`. Raises OSError if the address cannot be used."""
        settings = self._settings
        if settings.path is not None:
            listener = listen_at(Path(settings.path), settings.permissions)
        else:
            listener = listen_on(settings.host, settings.port)
        listener.setblocking(False)
        self._listener = listener
        self._acceptor = asyncio.create_task(self._accept(burst_inlet(inlet), listener))

    @property
    def port(self) -> int:
        """The TCP port in use; 0 before `start` and for a Unix socket."""
        if self._listener is None:
            return 0
        name = self._listener.getsockname()
        if isinstance(name, tuple):
            return int(name[1])
        return 0

    async def close(self) -> None:
        """Stop listening and end every connection; acks already given are still sent.

        Call it after the last commit. What clients send meanwhile is not acked, so they send it
        again to the next run.
        """
        if self._listener is None or self._acceptor is None:
            return
        tasks = [self._acceptor, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        self._listener = None
        if self._settings.path is not None:
            Path(self._settings.path).unlink(missing_ok=True)

    async def _accept(self, inlet: BurstInlet, listener: socket.socket) -> None:
        """Accept clients until cancelled.

        asyncio's own server is of no use here: with TLS it reports a connection only after the
        handshake, which is too late to limit their number.
        """
        loop = asyncio.get_running_loop()
        settings = self._settings
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:
                self._warn("connections cannot be accepted", error=error)
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            self.stats.connections += 1
            connection = Connection(
                _peer_name(address), Channel(sock, settings.ssl_context), FrameSplitter()
            )
            if self._has_room(connection.peer):
                self._connections.add(connection)
                connection.task = asyncio.create_task(self._serve(inlet, connection))
                self._tasks.add(connection.task)
                connection.task.add_done_callback(self._tasks.discard)
            else:
                connection.channel.abort()
            # While many clients connect, sock_accept itself never waits.
            await asyncio.sleep(0)

    def _has_room(self, peer: str) -> bool:
        """Whether one more client may connect, if need be after the oldest idle one is evicted."""
        limit = self._settings.max_connections
        if len(self._connections) < limit:
            return True
        idle = self._connections.oldest_idle()
        if idle is None:
            self.stats.connections_refused += 1
            self._warn("connection refused", peer=peer, max_connections=limit)
            return False
        self.stats.connections_evicted += 1
        self._warn("idle connection evicted", peer=idle.peer, max_connections=limit)
        self._drop(idle)
        return True

    def _drop(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if connection.task is not None:
            connection.task.cancel()

    async def _serve(self, inlet: BurstInlet, connection: Connection) -> None:
        """Serve one connection until it ends; no error leaves this but cancellation."""
        self.stats.connections_open += 1
        channel = connection.channel
        linger_s = _LINGER_S
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                await channel.handshake()
            await self._converse(inlet, connection)
        except ssl.SSLError as error:
            self._protocol_error("bad_tls", connection.peer, error.reason or str(error))
        except TimeoutError:
            late = f"no TLS handshake within {self._settings.handshake_timeout_s} s"
            self._protocol_error("handshake_timeout", connection.peer, late)
        except OSError as error:
            self._lost(connection, str(error))
        except asyncio.CancelledError:
            linger_s = 0.0
            if connection not in self._connections:
                channel.abort()
        except Exception:
            _log.exception("BUG: connection failed peer=%s", connection.peer)
        finally:
            self._connections.hold(connection, 0)
            try:
                await channel.close(_CLOSE_S, linger_s)
            finally:
                # Closing can be cancelled too, and the counts must be right all the same.
                channel.abort()
                self._connections.remove(connection)
                self.stats.connections_open -= 1

    async def _converse(self, inlet: BurstInlet, connection: Connection) -> None:
        settings = self._settings
        splitter = connection.splitter
        splitter.max_frame_bytes = settings.max_frame_bytes
        bursts = self._bursts(connection)
        silence = asyncio.get_running_loop().call_later(_SILENT_S, self._note_silence, connection)
        reason = "bad_handshake"
        try:
            async with contextlib.aclosing(bursts):
                if settings.shared_key is not None and not await self._admit(
                    bursts, connection, settings.shared_key
                ):
                    return
                reason = "bad_frame"
                async for frames in bursts:
                    # Counted before it is taken, so that it is not evicted while it is taken.
                    connection.chunks += len(frames)
                    async with self._turn:
                        await self._take(inlet, frames, connection)
                    # Else each connection would keep its last frame until the next one.
                    del frames
        except FrameTooLarge as error:
            self._too_large(connection, str(error))
        except ProtocolError as error:
            what = foreign_protocol(connection.start)
            self._protocol_error(reason, connection.peer, f"{error}{what}")
        else:
            self._lost(connection, "closed by the client")
        finally:
            silence.cancel()

    async def _bursts(self, connection: Connection) -> AsyncGenerator[list[Frame], None]:
        """Read messages until the client closes the connection. Raises OSError when it breaks.

        The first message comes alone: it may be that of the handshake, which changes the limits of
        those behind it.
        """
        loop = asyncio.get_running_loop()
        channel = connection.channel
        splitter = connection.splitter
        is_first = True
        while True:
            if splitter.pending_bytes:
                connection.reading_since = loop.time()
            data = await channel.read(_READ_BYTES)
            began = loop.time()
            connection.came = began
            connection.slow_s = connection.slowness(began)
            connection.reading_since = None
            if not data:
                return
            if not connection.start:
                connection.start = data[:8]
            self.stats.bytes += len(data)
            quick_ack(channel.sock)
            for frames in together(splitter.feed(data), frame_bytes, is_first):
                is_first = False
                connection.slow_s = 0.0
                in_memory = splitter.memory_bytes
                if not isinstance(frames[0], LargeFrame):
                    in_memory += sum(map(frame_bytes, frames))
                self._connections.hold(connection, in_memory, splitter.file_bytes)
                yield frames
                del frames
                # Not after each frame: the inlet may use every pause for a commit.
                if loop.time() - began > _SLICE_S:
                    await asyncio.sleep(0)
                    began = loop.time()
            if splitter.pending_bytes < len(data):
                # A frame was complete, and there is little of the next one. Nothing is held while
                # we wait for the client to read its acks, or others would wait for this client.
                self._connections.hold(connection, 0)
                await channel.drain()
            self._connections.hold(connection, splitter.memory_bytes, splitter.file_bytes)
            await self._wait_for_memory(connection)

    async def _wait_for_memory(self, connection: Connection) -> None:
        """Return when this client may send more of its frame; see `Connections`."""
        while not self._connections.may_read(connection):
            for slow in self._connections.slow():
                rest = f"a frame is unfinished after {slow.splitter.pending_bytes} bytes"
                self._protocol_error("slow_frame", slow.peer, rest)
                self._drop(slow)
            if self._connections.may_read(connection):
                return
            await self._connections.wait()

    async def _admit(
        self, bursts: AsyncIterator[list[Frame]], connection: Connection, shared_key: str
    ) -> bool:
        """Do the handshake; False when the client was refused or left.

        A client that leaves at once is no error, because empty connections are heartbeats.
        """
        handshake = ServerHandshake(shared_key, self._hostname, self._settings.users)
        timeout_s = self._settings.handshake_timeout_s
        connection.splitter.max_frame_bytes = _MAX_PING_BYTES
        connection.channel.write(handshake.helo())
        try:
            async with asyncio.timeout(timeout_s):
                first = await anext(bursts, None)
        except TimeoutError:
            late = f"no PING within {timeout_s} s"
            self._protocol_error("handshake_timeout", connection.peer, late)
            return False
        except FrameTooLarge:
            raise ProtocolError(
                "handshake: expected PING (the client sent a frame of over "
                f"{_MAX_PING_BYTES} bytes); does only one side have a shared_key?"
            ) from None
        if first is None:
            return False
        [ping] = first
        assert isinstance(ping, bytes), "BUG: a large frame in the handshake"
        connection.splitter.max_frame_bytes = self._settings.max_frame_bytes
        outcome = handshake.answer(ping)
        connection.channel.write(outcome.pong)
        if not outcome.accepted:
            self.stats.auth_failures += 1
            # Some clients see only a time-out, so this line is the operator's one hint.
            self._warn(
                "client refused",
                peer=connection.peer,
                client=repr(outcome.client),
                reason=outcome.reason,
            )
        return outcome.accepted

    async def _take(self, inlet: BurstInlet, frames: list[Frame], connection: Connection) -> None:
        # A frame may become large when it is inflated: it is then taken alone.
        deliveries = (self._delivery(packed, connection) for packed in frames)
        for burst in together(deliveries, chunk_bytes):
            await inlet.take_burst(burst)

    def _delivery(self, packed: Frame, connection: Connection) -> Delivery:
        frame = decode_frame(packed, self._settings.max_inflated_bytes)
        if not isinstance(frame, Chunk):
            raise ProtocolError("not a Forward message: a client sends arrays, got a map")
        if self._order.runs_backwards(connection.host, frame):
            self._note_disorder(connection, frame.tag)
        ack = Ack(frame.chunk, connection)
        return Delivery(frame, ack, ack)

    def _note_silence(self, connection: Connection) -> None:
        """Log once per host that a client sends nothing: it may wait for a handshake.

        Without a key we expect chunks at once. A client that has a key waits for our HELO without a
        word, and neither side would ever say what is wrong.
        """
        if connection.channel.reads or self._settings.shared_key is not None:
            return
        if self._is_first(connection, "silent"):
            self._warn(
                "client sends nothing",
                peer=connection.peer,
                waited_s=int(_SILENT_S),
                hint="if it has a shared_key, set the same one here",
            )

    def _note_disorder(self, connection: Connection, tag: str) -> None:
        """Log once per host that its chunks overtake each other, which changes sessions."""
        if self._is_first(connection, "disorder"):
            self._warn(
                "chunks run backwards in time",
                peer=connection.peer,
                tag=tag,
                hint="sessions may get other verdicts: have the client keep its chunks in order",
            )

    def _is_first(self, connection: Connection, trouble: str) -> bool:
        """Whether this host has this trouble for the first time; then it is noted."""
        key = (connection.host, trouble)
        if key in self._told or len(self._told) == _MAX_HOSTS_TOLD:
            return False
        self._told.add(key)
        return True

    def _too_large(self, connection: Connection, error: str) -> None:
        """Report a frame that is too large, once per host: its sender repeats it endlessly."""
        if self._is_first(connection, "too large"):
            self._protocol_error("bad_frame", connection.peer, error)
        else:
            self.stats.protocol_errors["bad_frame"] += 1

    def _lost(self, connection: Connection, why: str) -> None:
        """Note the end of a connection; a frame that was cut short is reported."""
        cut = connection.splitter.pending_bytes
        if cut:
            self._protocol_error(
                "cut_short", connection.peer, f"{why} after {cut} bytes of a frame"
            )
        else:
            _log.debug("connection ended peer=%s reason=%s", connection.peer, why)

    def _protocol_error(self, reason: str, peer: str, error: str) -> None:
        self.stats.protocol_errors[reason] += 1
        self._warn("connection closed", peer=peer, reason=reason, error=error)


def _peer_name(address: object) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return "unix"
