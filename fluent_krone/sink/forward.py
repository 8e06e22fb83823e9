"""Alerts to Fluentd, Fluent Bit or any Forward receiver, each confirmed by its ack.

The sender of fluent-logger is not used: it knows no acks, and it blocks when its buffer is full.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from ..errors import ProtocolError, SinkBusy
from ..transport.forward import (
    ClientHandshake,
    FrameSplitter,
    decode_frame,
    encode_events,
    pack_message,
)
from ..types import Alert, Packed

_log = logging.getLogger(__name__)
# Bytes of a HELO, a PONG or an ack, and of one read. Real ones have a few hundred; a longer one
# ends the connection.
_MAX_ANSWER_BYTES = 2**16


class ForwardSink:
    """Sends to `host:port` over one connection, which is kept and is opened again after any error.

    `shared_key` turns on the handshake, and `ssl_context` turns on TLS. `ack_timeout_s` limits one
    `deliver` as a whole: connecting, sending and waiting for the receiver's acks.
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
        # One delivery at a time, because acks of two would mix on one connection.
        self._turn = asyncio.Lock()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send one frame per tag and return when all are acked; see `Sink.deliver`."""
        if alerts:
            await self._send(_frames(alerts))

    async def deliver_packed(self, packed: Packed) -> None:
        """Send records as one frame and return when it is acked; see `Sink.deliver`."""
        option = {"size": packed.count, "chunk": packed.name}
        await self._send({packed.name: pack_message([packed.tag, packed.entries, option])})

    async def _send(self, frames: dict[str, bytes]) -> None:
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
            except (OSError, UnicodeError, ProtocolError) as error:
                # UnicodeError means that the host name cannot be one.
                self._drop()
                raise self._busy(str(error) or type(error).__name__) from None
            except BaseException:
                # When we are cancelled, nobody knows how much of a frame was sent.
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
    """Pack one frame per tag; the keys are the chunk ids.

    An id is a hash of the alert ids, so that alerts which are delivered again keep their id.
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
        """Read until every id in `missing` is acked; acks of earlier frames are ignored."""
        while missing:
            answer = _answer(await self._next())
            if isinstance(answer, bytes):
                answer = answer.decode("ascii", "replace")
            missing.discard(answer)

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
    answer = None
    if isinstance(frame, dict):
        answer = frame.get("ack")
    if not isinstance(answer, (str, bytes)):
        raise ProtocolError("expected an ack; does the receiver require a shared_key?")
    return answer


async def _objects(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    splitter = FrameSplitter(_MAX_ANSWER_BYTES)
    while data := await reader.read(_MAX_ANSWER_BYTES):
        for packed in splitter.feed(data):
            assert isinstance(packed, bytes), "BUG: an answer above the limit"
            yield packed
