"""The TCP door: any Forward client (Fluent Bit, a remote Fluentd, a fluent-logger) sends, the inlet takes.

One connection is one task that reads, takes and only then reads on: awaiting `Inlet.take` is the whole back-pressure,
down to the sender's TCP window. Whatever one client does ends at its own connection, and what all clients together
may hold of our memory is bounded:

- connections: at the cap, one that has never sent a chunk makes place for the next;
- frames on their way in: above `max_pending_bytes` one client at a time is read from, and a slow one is closed;
- frames being inflated and taken: one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import stat
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from fluent_krone.errors import ProtocolError
from fluent_krone.transport import Inlet
from fluent_krone.transport.forward import (
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
_BACKLOG = 256
_CLOSE_S = 5.0  # a client's time to read what we still had to say
_ACCEPT_PAUSE_S = 1.0  # when the process is out of file descriptors
_SLOW_FRAME_S = 30.0  # what a sender may take over one frame while memory is short
_LATE_S = 5.0  # an ack that took longer may come after its sender has given up
_SLICE_S = 0.005  # after so long over what one client sent at once, others have a turn
_LOOK_S = 1.0  # how often slow senders are looked for


@dataclass(slots=True)
class ServerStats:
    """Counts since start.

    `protocol_errors` by reason: bad_frame, bad_handshake, bad_tls, handshake_timeout, cut_short, slow_frame.
    """

    connections: int = 0
    connections_open: int = 0
    connections_refused: int = 0
    connections_evicted: int = 0
    bytes: int = 0
    auth_failures: int = 0
    protocol_errors: Counter[str] = field(default_factory=Counter)

    def numbers(self) -> dict[str, float]:
        """All counts by name, flat."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "protocol_errors"}
        return flat | {
            f"protocol_errors_{reason}": count for reason, count in self.protocol_errors.items()
        }


@dataclass(slots=True, eq=False)
class _Connection:
    """What the door knows of one client."""

    peer: str
    task: asyncio.Task[None] | None = None
    chunks: int = 0
    came: float = 0.0  # when it was last read from
    held: int = 0  # bytes of its frame, unfinished or waiting to be taken
    slow_s: float = 0.0  # what its sender has taken over the frame in progress
    reading_since: float | None = None  # it is waited for, in the middle of a frame

    def slowness(self, now: float) -> float:
        return self.slow_s + (now - self.reading_since if self.reading_since is not None else 0.0)


class ForwardServer:
    """Listens on `host:port`, or on the Unix socket `path`; port 0 takes a free one, see `port`.

    Without `shared_key` there is no handshake, as in Fluentd. A client may stay silent as long as it likes: an idle
    sender can't be told from a scanner. During a handshake it has `handshake_timeout_s`. `ssl_context` makes the door
    TLS. `path_mode` are the permissions of the Unix socket.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 24224,
        *,
        path: str | None = None,
        path_mode: int = 0o600,
        shared_key: str | None = None,
        users: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 512,
        handshake_timeout_s: float = 10.0,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
        max_pending_bytes: int = 2 * MAX_FRAME_BYTES,
    ) -> None:
        self.stats = ServerStats()
        self._address = (host, port)
        self._path = Path(path) if path is not None else None
        self._path_mode = path_mode
        self._shared_key = shared_key
        self._users = users
        # Not the bare host name: Fluentd on the same host would take the equal name for a loop.
        self._hostname = f"fluent-krone.{socket.gethostname()}"
        self._ssl_context = ssl_context
        self._max_connections = max_connections
        self._handshake_timeout_s = handshake_timeout_s
        self._max_frame_bytes = max_frame_bytes
        self._max_inflated_bytes = max_inflated_bytes
        self._max_pending_bytes = max_pending_bytes
        self._connections: dict[_Connection, None] = {}  # oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0  # bytes of frames, of all connections
        self._freed = asyncio.Event()  # set for a moment when that shrinks
        self._turn = asyncio.Lock()  # one frame is inflated and taken at a time
        self._listener: socket.socket | None = None
        self._acceptor: asyncio.Task[None] | None = None
        self._warn = _SparseLog()

    async def start(self, inlet: Inlet) -> None:
        """Listen, and hand what comes to `inlet`. Raises OSError when the address can't be had."""
        listener = (
            _listen_at(self._path, self._path_mode) if self._path else _listen(*self._address)
        )
        listener.setblocking(False)
        self._listener = listener
        self._acceptor = asyncio.create_task(self._accept(inlet, listener))

    @property
    def port(self) -> int:
        """The TCP port in use; 0 before `start` and for a Unix socket."""
        name = self._listener.getsockname() if self._listener else None
        return int(name[1]) if isinstance(name, tuple) else 0

    async def close(self) -> None:
        """Stop listening and end every connection; acks already given still leave.

        Call it after the last commit. What clients send meanwhile goes unacked, so they send it again to the next run.
        """
        if self._listener is None or self._acceptor is None:
            return
        tasks = [self._acceptor, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        self._listener = None
        if self._path:
            self._path.unlink(missing_ok=True)

    async def _accept(self, inlet: Inlet, listener: socket.socket) -> None:
        """Not asyncio's own server: with TLS that tells of a connection after its handshake, too late to cap it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError as error:
                self._warn("connections can't be accepted", error=error)
                await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            self.stats.connections += 1
            connection = _Connection(
                f"{address[0]}:{address[1]}" if isinstance(address, tuple) else "unix"
            )
            if self._has_place(connection.peer):
                self._connections[connection] = None
                connection.task = asyncio.create_task(self._serve(inlet, connection, sock))
                self._tasks.add(connection.task)
                connection.task.add_done_callback(self._tasks.discard)
            else:
                sock.close()
            await asyncio.sleep(0)  # while many knock, sock_accept itself never waits

    def _has_place(self, peer: str) -> bool:
        """Whether one more may come in; if need be the oldest connection that has sent no chunk yet has to go."""
        if len(self._connections) < self._max_connections:
            return True
        silent = next(
            (connection for connection in self._connections if not connection.chunks), None
        )
        if silent is None:
            self.stats.connections_refused += 1
            self._warn("connection refused", peer=peer, max_connections=self._max_connections)
            return False
        self.stats.connections_evicted += 1
        self._warn(
            "silent connection closed", peer=silent.peer, max_connections=self._max_connections
        )
        self._drop(silent)
        return True

    def _drop(self, connection: _Connection) -> None:
        self._hold(connection, 0)
        self._connections.pop(connection, None)
        if connection.task is not None:
            connection.task.cancel()

    async def _serve(self, inlet: Inlet, connection: _Connection, sock: socket.socket) -> None:
        """Live one connection's life; no error leaves it but cancellation."""
        self.stats.connections_open += 1
        writer = None
        try:
            reader, writer = await self._open(sock)
            await self._converse(inlet, reader, writer, connection)
        except ssl.SSLError as error:
            self._protocol_error("bad_tls", connection.peer, error.reason or str(error))
        except (
            ConnectionAbortedError
        ) as error:  # that is how asyncio tells that a TLS handshake took too long
            self._protocol_error("handshake_timeout", connection.peer, str(error))
        except OSError as error:  # the peer went away
            _log.debug("connection lost peer=%s error=%s", connection.peer, error)
        except asyncio.CancelledError:  # we asked for it
            if writer and connection not in self._connections:
                writer.transport.abort()
        except Exception:
            _log.exception("BUG: connection failed peer=%s", connection.peer)
        finally:
            self._hold(connection, 0)
            try:
                await _close(writer) if writer else sock.close()
            finally:  # that may be cancelled too
                self._connections.pop(connection, None)
                self.stats.connections_open -= 1

    async def _open(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            sock,
            ssl=self._ssl_context,
            ssl_handshake_timeout=self._handshake_timeout_s if self._ssl_context else None,
            ssl_shutdown_timeout=_CLOSE_S if self._ssl_context else None,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _converse(
        self,
        inlet: Inlet,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: _Connection,
    ) -> None:
        peer = connection.peer
        splitter = FrameSplitter(
            self._max_frame_bytes if self._shared_key is None else _MAX_PING_BYTES
        )
        reason = "bad_handshake"
        try:
            async with contextlib.aclosing(
                self._objects(reader, writer, splitter, connection)
            ) as objects:
                if self._shared_key is not None and not await self._admit(
                    objects, writer, self._shared_key, peer
                ):
                    return
                splitter.max_frame_bytes = self._max_frame_bytes
                reason = "bad_frame"
                async for packed in objects:
                    connection.chunks += (
                        1  # first: who is being taken is not to be dropped in the middle
                    )
                    async with self._turn:
                        await inlet.take(*self._chunk(packed, writer, connection.came))
                    del packed  # else each connection would keep its last one until the next
        except ProtocolError as error:
            self._protocol_error(reason, peer, str(error))
        else:
            if splitter.pending_bytes:
                self._protocol_error(
                    "cut_short", peer, f"closed after {splitter.pending_bytes} bytes of a frame"
                )

    async def _objects(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        splitter: FrameSplitter,
        connection: _Connection,
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        sock = writer.get_extra_info("socket")
        while True:
            connection.reading_since = loop.time() if splitter.pending_bytes else None
            data = await reader.read(_READ_BYTES)
            connection.came = began = loop.time()
            connection.slow_s, connection.reading_since = connection.slowness(connection.came), None
            if not data:
                return
            self.stats.bytes += len(data)
            _quick_ack(sock)
            for packed in splitter.feed(data):
                connection.slow_s = 0.0
                self._hold(connection, splitter.pending_bytes + len(packed))
                yield packed
                del packed
                if (
                    loop.time() - began > _SLICE_S
                ):  # not after each: in every pause there may be a commit
                    await asyncio.sleep(0)
                    began = loop.time()
            if splitter.pending_bytes < len(
                data
            ):  # a frame was complete, and of the next there is little
                self._hold(connection, 0)  # or others would wait for this one's turn
                await (
                    writer.drain()
                )  # a client that does not read its acks waits here, not our memory
            self._hold(connection, splitter.pending_bytes)
            await self._wait_for_memory(connection)

    def _hold(self, connection: _Connection, size: int) -> None:
        grown, connection.held = size - connection.held, size
        self._held += grown
        if grown < 0:
            self._freed.set()
            self._freed.clear()

    async def _wait_for_memory(self, connection: _Connection) -> None:
        """Return when this client may send more of its frame: at once, unless frames hold too much memory.

        Then the oldest connection with a frame goes on alone, so that frames do get finished.
        """
        while connection.held and self._held > self._max_pending_bytes:
            now = asyncio.get_running_loop().time()
            holders = [other for other in self._connections if other.held]
            for slow in [other for other in holders if other.slowness(now) > _SLOW_FRAME_S]:
                holders.remove(slow)
                self._protocol_error(
                    "slow_frame", slow.peer, f"a frame of {slow.held} bytes is unfinished"
                )
                self._drop(slow)
            if holders and holders[0] is connection:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._freed.wait()

    async def _admit(
        self,
        objects: AsyncIterator[bytes],
        writer: asyncio.StreamWriter,
        shared_key: str,
        peer: str,
    ) -> bool:
        """Do the handshake; False when the client was refused, or left (an empty connection is a heartbeat)."""
        handshake = ServerHandshake(shared_key, self._hostname, self._users)
        writer.write(handshake.helo())
        try:
            async with asyncio.timeout(self._handshake_timeout_s):
                ping = await anext(objects, None)
        except TimeoutError:
            self._protocol_error(
                "handshake_timeout", peer, f"no PING within {self._handshake_timeout_s} s"
            )
            return False
        if ping is None:
            return False
        outcome = handshake.answer(ping)
        writer.write(outcome.pong)
        if not outcome.accepted:
            self.stats.auth_failures += 1
            # Some clients only see a time-out, so this line is the operator's one hint.
            self._warn(
                "client refused", peer=peer, client=repr(outcome.client), reason=outcome.reason
            )
        return outcome.accepted

    def _chunk(
        self, packed: bytes, writer: asyncio.StreamWriter, came: float
    ) -> tuple[Chunk, Callable[[], None]]:
        frame = decode_frame(packed, self._max_inflated_bytes)
        if not isinstance(frame, Chunk):
            raise ProtocolError("not a Forward message: a client sends arrays, got a map")
        return frame, _ack(frame.chunk, writer, came)

    def _protocol_error(self, reason: str, peer: str, error: str) -> None:
        self.stats.protocol_errors[reason] += 1
        self._warn("connection closed", peer=peer, reason=reason, error=error)


async def _close(writer: asyncio.StreamWriter) -> None:
    """End a connection for good: one that does not read would keep its socket for ever, and out of our count."""
    writer.close()
    try:
        async with asyncio.timeout(_CLOSE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


def _ack(
    chunk_id: str | bytes | None, writer: asyncio.StreamWriter, came: float
) -> Callable[[], None]:
    """What acks a chunk that `came` then; when its connection is gone its sender sends it again: the store knows it.

    Late, it ends the connection instead, which comes to the same: Fluentd takes an ack that it no longer waits for as
    that of the next chunk, so that from then on no ack fits, on any connection, and every chunk is sent for ever.
    """

    def ack() -> None:
        if chunk_id is None or writer.is_closing():
            return
        if asyncio.get_running_loop().time() - came > _LATE_S:
            writer.close()
        else:
            writer.write(ack_bytes(chunk_id))

    return ack


def _listen(host: str, port: int) -> socket.socket:
    if ":" not in host:
        return socket.create_server((host, port), backlog=_BACKLOG)
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(
        (host, port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=both
    )


def _listen_at(path: Path, mode: int) -> socket.socket:
    """A Unix socket that has its permissions from the first moment; a dead server's socket makes way for it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~mode)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _is_served(path):
            path.unlink()
        listener.bind(str(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"unix socket {path}: {error.strerror or error}") from None
    finally:
        os.umask(umask)
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


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
