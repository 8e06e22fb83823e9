"""The doors: how chunks of records come in, and how their senders learn that they are committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fluent_krone.transport.forward import Chunk


class Inlet(Protocol):
    """What a door hands its chunks to; everything happens on one event loop."""

    async def take(self, chunk: Chunk, ack: Callable[[], None]) -> None:
        """Take one chunk; return when the next one may come.

        Call `ack` once, on the loop and perhaps much later, when the chunk is committed. Its sender
        then forgets it.
        """

    async def flush(self) -> None:
        """Judge or keep what is open, as configured.

        Return when the receiver has confirmed all alerts.
        """
