"""What each client of the TCP input may cost, and whether its chunks overtake each other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from .channel import Channel, End
from .forward import Chunk, FrameSplitter, ack_bytes

# Seconds that a sender may take for one frame while memory is short. Then its connection is closed,
# so that a slow sender cannot keep all others waiting.
_SLOW_FRAME_S = 30.0
# Seconds after which an ack is late: its sender may have stopped waiting for it.
_LATE_S = 5.0
# Bytes of large frames in files, of all clients together. Four of the largest frames fit.
_MAX_SPOOLED_BYTES = 2**30
# Seconds between two looks for slow senders.
_LOOK_S = 1.0
# Nanoseconds by which a chunk may begin before the chunk before it. Clients that send whole seconds
# do so without a fault.
_TOLERANCE_NS = 1_000_000_000
# Streams that are watched, each a host and a tag. Beyond it, all are forgotten and watched anew.
_MAX_STREAMS = 10_000


@dataclass(slots=True)
class ServerStats:
    """Counts since start.

    `protocol_errors` has these reasons: bad_frame, bad_handshake, bad_tls, handshake_timeout,
    cut_short, slow_frame.
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
class Connection:
    """One client, as the input sees it. Times are those of the event loop."""

    peer: str
    channel: Channel
    splitter: FrameSplitter
    # The first bytes that it sent, which show what it is if it does not speak the Forward protocol.
    start: bytes = b""
    task: asyncio.Task[None] | None = None
    chunks: int = 0
    # When its latest bytes were read.
    came: float = 0.0
    # Bytes of its frame that are in memory, unfinished or waiting to be taken; and in a file.
    held: int = 0
    spooled: int = 0
    # Seconds that its sender has taken for the frame in progress so far.
    slow_s: float = 0.0
    # Since when it is waited for in the middle of a frame; None while it is not.
    reading_since: float | None = None

    @property
    def host(self) -> str:
        """The client's address without its port."""
        return self.peer.rpartition(":")[0]

    def slowness(self, now: float) -> float:
        """Seconds that the sender has taken for the frame in progress, up to now."""
        if self.reading_since is None:
            return self.slow_s
        return self.slow_s + now - self.reading_since


class Ack:
    """Acks one chunk, and is its `transport.Sender`: it tells whether the ack arrived.

    A late ack ends the connection instead of being sent, and the chunk comes again. The reason is
    Fluentd, which takes an ack that it no longer waits for as that of the next chunk. From then on
    no ack would fit, on any connection, and every chunk would be sent for ever.
    """

    __slots__ = ("_came", "_channel", "_chunk_id", "_reads")

    def __init__(self, chunk_id: str | bytes | None, connection: Connection) -> None:
        self._chunk_id = chunk_id
        self._channel = connection.channel
        self._came = connection.came
        # Reads of the channel when the ack was sent; None before.
        self._reads: int | None = None

    def __call__(self) -> None:
        """Send the ack, unless the chunk has no id or its connection is gone."""
        if self._chunk_id is None or self._channel.is_closed:
            return
        if self._channel.now() - self._came > _LATE_S:
            self._channel.hang_up()
        elif self._channel.write(ack_bytes(self._chunk_id)):
            self._reads = self._channel.reads

    def has_ack(self) -> bool | None:
        """Whether the sender has the ack; see `transport.Sender`.

        1. What the peer sends after our ack, it sends because it has the ack: it keeps no second
           chunk on a connection whose chunk is not acked. (A client that does has unique ids, for
           which nobody asks.)
        2. A peer that closes its socket with our ack unread does so by a reset, and one that closed
           it before the ack came answers the ack by a reset. So an orderly end, after all that we
           sent had arrived, means that the ack was read.
        3. Anything else may have lost the ack.
        """
        end = self._channel.end
        if self._reads is not None and (self._channel.reads > self._reads or end is End.CLEAN):
            return True
        if end is None:
            return None
        return False


class Connections:
    """All clients, oldest first, and the bytes of frames that they hold together.

    Above `max_pending_bytes` in memory, only the oldest connection with an unfinished frame is read
    from, so that frames do get finished. The same holds for large frames in files.
    """

    def __init__(self, max_pending_bytes: int) -> None:
        self._max_pending_bytes = max_pending_bytes
        # A dict and not a set, because it keeps the order.
        self._all: dict[Connection, None] = {}
        self._held = 0
        self._spooled = 0
        # Set for a moment whenever the held bytes shrink.
        self._freed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._all)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._all

    def add(self, connection: Connection) -> None:
        self._all[connection] = None

    def remove(self, connection: Connection) -> None:
        """Forget a connection and what it holds; may be called twice."""
        self.hold(connection, 0)
        self._all.pop(connection, None)

    def hold(self, connection: Connection, in_memory: int, in_file: int = 0) -> None:
        """Note how many bytes of frames a connection now holds."""
        freed = in_memory < connection.held or in_file < connection.spooled
        self._held += in_memory - connection.held
        self._spooled += in_file - connection.spooled
        connection.held = in_memory
        connection.spooled = in_file
        if freed:
            self._freed.set()
            self._freed.clear()

    def oldest_idle(self) -> Connection | None:
        """The oldest connection that has not sent a chunk yet."""
        return next((connection for connection in self._all if not connection.chunks), None)

    def may_read(self, connection: Connection) -> bool:
        """Whether this client may send more of its frame now."""
        if connection.held and self._held > self._max_pending_bytes:
            return next(other for other in self._all if other.held) is connection
        if connection.spooled and self._spooled > _MAX_SPOOLED_BYTES:
            return next(other for other in self._all if other.spooled) is connection
        return True

    def slow(self) -> list[Connection]:
        """Those that have taken too long over one frame."""
        now = asyncio.get_running_loop().time()
        return [
            other
            for other in self._all
            if other.splitter.pending_bytes and other.slowness(now) > _SLOW_FRAME_S
        ]

    async def wait(self) -> None:
        """Return when bytes were freed, or when it is time to look for slow senders again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._freed.wait()


# Seconds between two warnings with the same message. The later one says how many were left out.
_INTERVAL_S = 5.0


class RateLimitedLog:
    """Logs each message at most once per interval, with the number of those left out in between."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._last: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def __call__(self, message: str, **values: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last.get(message, -_INTERVAL_S) < _INTERVAL_S:
            self._left_out[message] += 1
            return
        self._last[message] = now
        if left_out := self._left_out.pop(message, 0):
            values["left_out"] = left_out
        shown = " ".join(f"{key}={value}" for key, value in values.items())
        self._log.warning("%s %s", message, shown)


class OrderWatch:
    """Compares the time at which each chunk of a stream begins with that of the chunk before.

    >>> from fluent_krone.transport.forward import ForwardDecoder, encode_events
    >>> def chunk(second):
    ...     frame = encode_events("app", [(second * 1_000_000_000, {})], None)
    ...     return ForwardDecoder().feed(frame)[0]
    >>> watch = OrderWatch()
    >>> [watch.runs_backwards("host", chunk(second)) for second in (100, 101, 90, 102)]
    [False, False, True, False]
    """

    def __init__(self) -> None:
        self._begins: dict[tuple[str, str], int] = {}

    def runs_backwards(self, host: str, chunk: Chunk) -> bool:
        """Whether a chunk begins earlier than the one before it, of the same host and tag."""
        begins = chunk.first_time_ns()
        if begins is None:
            return False
        stream = (host, chunk.tag)
        before = self._begins.get(stream)
        if len(self._begins) == _MAX_STREAMS and before is None:
            self._begins.clear()
        self._begins[stream] = begins
        return before is not None and begins < before - _TOLERANCE_NS
