"""An inlet that keeps what an input hands it, for tests that need no detector behind the input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgpack

from fluent_krone.transport import Sender
from fluent_krone.transport.forward import Chunk, encode_events

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
