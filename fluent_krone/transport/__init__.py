"""The inputs: how chunks of records come in, and how senders learn that they are committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from .forward import Chunk


class Sender(Protocol):
    """The sender of one chunk, whose connection may show whether it has the chunk's ack.

    This decides what a second chunk with the same tag, id and size is. Where ids are unique, it is
    the same chunk, sent again. Where an id is a digest of the records (`Chunk.has_digest_id`), it
    is the same chunk only if `has_ack` is False: equal records, sent again after an ack, are
    different records.
    """

    def has_ack(self) -> bool | None:
        """Whether the sender has the ack of its chunk.

        - True: it has. It sent something else over the same connection after our ack, or it closed
          the connection in good order after the ack had arrived. The id need not be remembered.
        - False: it may lack it. The connection ended or failed before, so the chunk may be sent
          again.
        - None: nothing is known yet. The connection is open.

        True and False are final. It costs next to nothing to ask.
        """


class Inlet(Protocol):
    """What an input hands its chunks to; everything happens on one event loop."""

    async def take(
        self, chunk: Chunk, ack: Callable[[], None], sender: Sender | None = None
    ) -> None:
        """Take one chunk; return when the next one may come.

        Call `ack` once, on the loop and perhaps much later, when the chunk is committed. Its sender
        then forgets it. `sender` tells whether the ack arrived; of a chunk without a sender it is
        never known.
        """

    async def flush(self) -> None:
        """Judge or keep what is open, as configured.

        Return when the receiver has confirmed all alerts.
        """


class Delivery(NamedTuple):
    """A chunk with what acks it and who sent it, as `Inlet.take` takes them."""

    chunk: Chunk
    ack: Callable[[], None]
    sender: Sender | None = None


@runtime_checkable
class BurstInlet(Inlet, Protocol):
    """An inlet for which several small chunks cost less when they come in one call."""

    async def take_burst(self, burst: Sequence[Delivery]) -> None:
        """Take chunks that came together, in their order, as if each were taken by itself."""
