"""Alerts to Fluentd, Fluent Bit or any Forward receiver, each confirmed by its ack.

Not fluent-logger's sender: it has no ack, and it blocks when its buffer is full. Its EventTime is what we pack.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from fluent_krone.errors import ProtocolError, SinkBusy
from fluent_krone.transport.forward import (
    ClientHandshake,
    FrameSplitter,
    decode_frame,
    encode_events,
)
from fluent_krone.types import Alert

_log = logging.getLogger(__name__)
_MAX_ANSWER_BYTES = 2**16  # HELO, PONG and acks are small


class ForwardSink:
    """Sends to `host:port` over one kept connection, made at the first need and anew after any doubt.

    `shared_key` turns on the handshake, `ssl_context` TLS. `ack_timeout_s` bounds one `deliver` as a whole: connecting,
    sending and the receiver's acks.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 24224,
        *,
        shared_key: str | None = None,
        username: str = "",
        password: str = "",
        ssl_context: ssl.SSLContext | None = None,
        ack_timeout_s: float = 30.0,
    ) -> None:
        self._address = (host, port)
        self._shared_key = shared_key
        self._login = (username, password)
        self._hostname = f"fluent-krone.{socket.gethostname()}"
        self._ssl_context = ssl_context
        self._ack_timeout_s = ack_timeout_s
        self._connection: _Connection | None = None
        self._turn = asyncio.Lock()  # acks of two deliveries on one connection would mix

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send one frame per tag and return when all are acked; see `Sink.deliver`."""
        if not alerts:
            return
        frames = _frames(alerts)
        async with self._turn:
            try:
                async with asyncio.timeout(self._ack_timeout_s):
                    connection = await self._connected()
                    connection.writer.writelines(frames.values())
                    await connection.writer.drain()
                    await connection.acks(set(frames))
            except TimeoutError:
                self._drop()
                raise self._busy(f"no ack within {self._ack_timeout_s} s") from None
            except (
                OSError,
                UnicodeError,
                ProtocolError,
            ) as error:  # UnicodeError: a host name that can be none
                self._drop()
                raise self._busy(str(error) or type(error).__name__) from None
            except BaseException:  # cancelled: what is on the wire is anyone's guess
                self._drop()
                raise

    async def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def _connected(self) -> _Connection:
        if (
            self._connection is None
            or self._connection.reader.at_eof()
            or self._connection.writer.is_closing()
        ):
            self._drop()
            reader, writer = await asyncio.open_connection(*self._address, ssl=self._ssl_context)
            self._connection = _Connection(reader, writer, _objects(reader))
            if self._shared_key is not None:
                await self._connection.introduce(
                    ClientHandshake(self._shared_key, self._hostname, *self._login)
                )
            _log.debug("connected to alert receiver host=%s port=%d", *self._address)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.writer.close()
            self._connection = None

    def _busy(self, reason: str) -> SinkBusy:
        host, port = self._address
        return SinkBusy(f"alert receiver {host}:{port} did not confirm: {reason}")


def _frames(alerts: Sequence[Alert]) -> dict[str, bytes]:
    """Pack one frame per tag, keyed by its chunk id.

    The id is a hash of the alert ids, so that alerts delivered again carry the id that they had.
    """
    by_tag: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_tag.setdefault(alert.tag, []).append(alert)
    frames = {}
    for tag, group in by_tag.items():
        names = "\0".join([tag, *(alert.alert_id for alert in group)])
        chunk_id = hashlib.blake2b(names.encode(), digest_size=16).hexdigest()
        frames[chunk_id] = encode_events(tag, [(a.time_ns, a.record) for a in group], chunk_id)
    return frames


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    objects: AsyncIterator[bytes]

    async def introduce(self, handshake: ClientHandshake) -> None:
        ping, nonce = handshake.ping(await self._next())
        self.writer.write(ping)
        handshake.check_pong(await self._next(), nonce)

    async def acks(self, missing: set[str]) -> None:
        """Read until every id in `missing` is acked; acks of earlier, given-up frames are passed over."""
        while missing:
            answer = _answer(await self._next())
            missing.discard(
                answer.decode("ascii", "replace") if isinstance(answer, bytes) else answer
            )

    async def _next(self) -> bytes:
        packed = await anext(self.objects, None)
        if packed is None:
            raise ConnectionResetError("the receiver closed the connection")
        return packed


def _answer(packed: bytes) -> str | bytes:
    try:
        frame = decode_frame(packed)
    except ProtocolError:
        frame = {}
    answer = frame.get("ack") if isinstance(frame, dict) else None
    if not isinstance(answer, (str, bytes)):
        raise ProtocolError("expected an ack; does the receiver want a shared_key?")
    return answer


async def _objects(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    splitter = FrameSplitter(_MAX_ANSWER_BYTES)
    while data := await reader.read(_MAX_ANSWER_BYTES):
        for packed in splitter.feed(data):
            yield packed
