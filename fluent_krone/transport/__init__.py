"""The doors: how chunks of records come in, and how their senders learn that they are taken in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fluent_krone.transport.forward import Chunk


class Inlet(Protocol):
    """What a door hands its chunks to; all on one event loop."""

    async def take(self, chunk: Chunk, ack: Callable[[], None]) -> None:
        """Take one chunk; return when the next may come.

        `ack` is called once, on the loop and maybe much later, when the chunk is committed: its sender then forgets it.
        """

    async def flush(self) -> None:
        """Judge or keep what is open, as configured; return when the receiver has confirmed all alerts."""
