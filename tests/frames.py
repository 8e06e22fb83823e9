"""What tests of the Forward codec and its inputs share: a good entry, frames packed and decoded,
and an inlet that keeps what it is handed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgpack

from fluent_krone.transport import Sender
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_event_time, encode_events

pack = msgpack.packb
T0 = 1_700_000_000_123_456_789
# A packed entry, and the event that it is read as.
GOOD = pack([encode_event_time(T0), {"m": "x"}])
GOOD_EVENT = (T0, {b"m": b"x"})


def decode(frame: Any) -> Chunk:
    """The one chunk of a frame, which is packed first unless it is bytes already."""
    [chunk] = ForwardDecoder().feed(frame if isinstance(frame, bytes) else pack(frame))
    assert isinstance(chunk, Chunk)
    return chunk


FRAME = encode_events("app", [(1_000_000_001, {"m": "x"})], "id")
ACK = msgpack.packb({"ack": "id"})


@dataclass
class Inlet:
    """Keeps what it takes; acks at once, or leaves the acks to the test."""

    acking: bool = True
    chunks: list[Chunk] = field(default_factory=list)
    acks: list[Callable[[], None]] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(
        self, chunk: Chunk, ack: Callable[[], None], sender: Sender | None = None
    ) -> None:
        self.chunks.append(chunk)
        assert sender is not None
        self.senders.append(sender)
        self.acks.append(ack)
        if self.acking:
            ack()
        self.arrival.set()

    async def flush(self) -> None: ...
