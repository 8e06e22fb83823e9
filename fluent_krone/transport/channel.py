"""Sockets: those to listen on, and connected ones, plain or TLS.

A connected socket can be read to its end whatever happens to our writes.
asyncio's streams are not used, because they lose input. When a write fails, when the peer resets
the connection, or when TLS is shut down while reading is paused, they drop what has been received
but not read. A client that does not ask for acks never sends that again.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import ssl
import stat
import termios
from enum import Enum
from pathlib import Path

# Bytes of our answers that may wait for a client that does not read. They are acks of at most a few
# hundred bytes each. Above it the client is not read from until it reads.
_MAX_QUEUED_BYTES = 2**16
# Bytes of one read from a socket under TLS: a few records of 16 KiB.
_RAW_BYTES = 2**18


class End(Enum):
    """How a peer ended its connection."""

    # The peer closed it, and had received all that we had sent.
    CLEAN = "clean"
    # It broke, or the peer closed it while some of what we had sent was still on its way.
    BROKEN = "broken"


class Channel:
    """Reads and writes one connection; all calls on one event loop.

    `reads` counts the successful reads. It shows whether the peer has sent something since.
    """

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            # Acks are small and must not wait for each other.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.reads = 0
        self.end: End | None = None
        self._loop = asyncio.get_running_loop()
        # What time it is for the event loop.
        self.now = self._loop.time
        self._queue = bytearray()
        # Whether a write has failed, so that nothing more can be sent.
        self._is_deaf = False
        self._is_writing = False
        # Whether the event loop watches for input, and who waits for it.
        self._is_watched = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self._is_closed = False
        self._tls: ssl.SSLObject | None = None
        if tls is not None:
            self._incoming = ssl.MemoryBIO()
            self._outgoing = ssl.MemoryBIO()
            self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        """Do the TLS handshake, if there is TLS. Raises ssl.SSLError and OSError."""
        if self._tls is None:
            return
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_tls()
                await self._receive_tls()
            except ssl.SSLError:
                # OpenSSL has written an alert, which tells the client what is wrong.
                self._flush_tls()
                raise
            else:
                self._flush_tls()
                return

    async def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes, or none at the end. Raises OSError when it broke.

        Everything that the kernel has received comes out before the end or the error.
        """
        try:
            if self._tls is None:
                data = await self._receive(limit)
            else:
                data = await self._read_tls(self._tls, limit)
        except OSError:
            self._ended(End.BROKEN)
            raise
        if data:
            self.reads += 1
        elif self._is_deaf or self._unsent_bytes():
            self._ended(End.BROKEN)
        else:
            self._ended(End.CLEAN)
        return data

    # In place of the event loop's own `sock_recv`, which begins to watch the socket for each read
    # and ends that again. Where chunks are small, a read brings only one or two of them.
    async def _receive(self, limit: int) -> bytes:
        """Read at most `limit` bytes as soon as there are any."""
        while True:
            try:
                return self.sock.recv(limit)
            except (BlockingIOError, InterruptedError):
                await self._readable()

    async def _readable(self) -> None:
        """Return when there may be input."""
        self._waiter = self._loop.create_future()
        if not self._is_watched:
            # By its number: the event loop would first make a text of the socket.
            self._loop.add_reader(self.sock.fileno(), self._on_input)
            self._is_watched = True
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _on_input(self) -> None:
        if self._waiter is None:
            # Nobody reads now, and the event loop would call this again and again.
            self._stop_watching()
        elif not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_watching(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self.sock.fileno())

    def write(self, data: bytes) -> bool:
        """Send bytes without waiting. Return False and do nothing once a write has failed."""
        if self._is_closed or self._is_deaf:
            return False
        if self._tls is not None:
            try:
                self._tls.write(data)
            except ssl.SSLError:
                self._lose_writes()
                return False
            self._flush_tls()
        else:
            self._send(data)
        return not self._is_deaf

    async def drain(self) -> None:
        """Return when the client has read most of what we sent, or can be sent nothing more."""
        if len(self._queue) > _MAX_QUEUED_BYTES:
            self._drained.clear()
            await self._drained.wait()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def close(self, timeout_s: float, linger_s: float = 0.0) -> None:
        """Send what is queued and close; after `timeout_s` give up on a client that does not read.

        For `linger_s` at most, input that the client is still sending is read and dropped. The
        kernel resets a connection that is closed with input unread, and our last answer would be
        lost with it.
        """
        if self._is_closed:
            return
        self._stop_watching()
        try:
            async with asyncio.timeout(timeout_s):
                if self._tls is not None and not self._is_deaf:
                    self._say_goodbye(self._tls)
                while self._queue:
                    self._drained.clear()
                    await self._drained.wait()
            if linger_s and self.end is None:
                async with asyncio.timeout(linger_s):
                    self.sock.shutdown(socket.SHUT_WR)
                    while await self._loop.sock_recv(self.sock, _RAW_BYTES):
                        pass
        except (OSError, TimeoutError):
            pass
        finally:
            self.abort()

    def hang_up(self) -> None:
        """End the connection in both directions; its reader then sees the end.

        Unlike `abort` this may be called while somebody is reading. A socket that is closed under
        a reader would leave it waiting for ever.
        """
        if self._is_closed:
            return
        self._ended(End.BROKEN)
        self._lose_writes()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def abort(self) -> None:
        """Close at once, when nobody is reading any more; may be called twice."""
        if self._is_closed:
            return
        if self.end is None:
            self._ended(End.BROKEN if self._is_deaf or self._unsent_bytes() else End.CLEAN)
        self._is_closed = True
        self._stop_writing()
        self._stop_watching()
        self.sock.close()

    def _ended(self, end: End) -> None:
        if self.end is None:
            self.end = end

    def _unsent_bytes(self) -> int:
        """Bytes that the peer's kernel has not received yet."""
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(self.sock, termios.TIOCOUTQ, waiting)
        except OSError:
            return 1
        return waiting[0] + len(self._queue)

    # -- writing

    def _send(self, data: bytes) -> None:
        # Not sent at once: a commit acks many small chunks, and a system call for each would cost
        # more than to judge a record.
        if not self._queue:
            self._loop.call_soon(self._go_on_writing)
        self._queue += data

    def _go_on_writing(self) -> None:
        if not self._queue or self._is_closed:
            return
        try:
            sent = self.sock.send(self._queue)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose_writes()
            return
        del self._queue[:sent]
        if not self._queue:
            self._stop_writing()
            return
        if not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self.sock, self._go_on_writing)
        if len(self._queue) <= _MAX_QUEUED_BYTES // 2:
            self._drained.set()

    def _lose_writes(self) -> None:
        self._is_deaf = True
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self.sock)
        self._queue.clear()
        self._drained.set()

    # -- TLS

    async def _read_tls(self, tls: ssl.SSLObject, limit: int) -> bytes:
        """Decrypt up to `limit` bytes; OpenSSL returns at most one record of 16 KiB at a time."""
        data = bytearray()
        while len(data) < limit:
            try:
                piece = tls.read(limit - len(data))
            except ssl.SSLWantReadError:
                self._flush_tls()
                if data:
                    break
                await self._receive_tls()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # Some clients close the connection without TLS's own goodbye. A frame that was cut
                # is noticed by the reader of frames.
                break
            if not piece:
                break
            data += piece
        return bytes(data)

    async def _receive_tls(self) -> None:
        raw = await self._loop.sock_recv(self.sock, _RAW_BYTES)
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()

    def _flush_tls(self) -> None:
        if self._outgoing.pending and not self._is_deaf:
            self._send(self._outgoing.read())

    def _say_goodbye(self, tls: ssl.SSLObject) -> None:
        # It complains that it wants to read the peer's goodbye, for which we do not wait.
        with contextlib.suppress(ssl.SSLError):
            tls.unwrap()
        self._flush_tls()


# --- sockets to listen on -------------------------------------------------------------------------

# Connections that the kernel keeps until we accept them. A restart of many clients at once fits in.
_BACKLOG = 256
# Whether the kernel can be asked to ack at once; only Linux can.
_HAS_QUICK_ACK = hasattr(socket, "TCP_QUICKACK")


def listen_on(host: str, port: int) -> socket.socket:
    """Listen on an address; `::` takes IPv4 clients too. Raises OSError."""
    try:
        if ":" not in host:
            return socket.create_server((host, port), backlog=_BACKLOG)
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        # Python adds the address once more, in its own form.
        why = str(error.strerror or error).partition(" (while")[0]
        if error.errno == errno.EADDRINUSE:
            why += "; set another port, or stop what listens there"
        raise OSError(error.errno, f"cannot listen on bind={host} port={port}: {why}") from None


def listen_at(path: Path, permissions: int) -> socket.socket:
    """Listen on a Unix socket that has its permissions from the first moment. Raises OSError.

    The socket file that a dead server left behind is replaced; that of a live one is not.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o777 & ~permissions)
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


def quick_ack(sock: socket.socket) -> None:
    """Have the kernel ack at once what was read. It forgets the request, so call this after a read.

    Fluentd writes a chunk in pieces under Nagle's algorithm, and each piece would wait 40 ms for
    our delayed TCP ack. Our own small writes do not wait: asyncio sets TCP_NODELAY.
    """
    if not _HAS_QUICK_ACK or sock.family == socket.AF_UNIX:
        return
    # Not by `contextlib.suppress`, which would cost as much as the call: this follows each read.
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    except OSError:
        return
