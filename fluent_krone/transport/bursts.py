"""Small chunks that came together, so that they can be taken together.

A chunk of one record costs more on its way than to judge, and most of that is paid for a call and
not for a record: a task that is switched to, a lock, a commit, a write. Chunks that came in one
read therefore stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ..errors import ProtocolError
from . import BurstInlet, Delivery, Inlet
from .forward import Frame, LargeFrame

# Bytes of a small chunk. A larger one costs so much itself that it can come alone.
_SMALL_BYTES = 2**12
# Bytes of small chunks that come together. With less than 5,000 of the smallest records they are
# judged without a look at other clients.
_MOST_BYTES = 2**15
# Small chunks that come together. Even if each of them ended an abnormal session, other clients
# would not wait for longer than for one large chunk.
_MOST = 64

Item = TypeVar("Item")


def together(
    items: Iterable[Item], size_of: Callable[[Item], int], first_alone: bool = False
) -> Iterator[list[Item]]:
    """Yield the items in their order, small ones joined to lists, each other in a list of its own.

    Where the items end with an error, what came before it is yielded first. With `first_alone` the
    first item is yielded before the second one is asked for.
    """
    burst: list[Item] = []
    held = 0
    try:
        for item in items:
            size = size_of(item)
            if burst and (size > _SMALL_BYTES or held + size > _MOST_BYTES):
                yield burst
                burst = []
                held = 0
            burst.append(item)
            held += size
            if first_alone or size > _SMALL_BYTES or len(burst) == _MOST:
                yield burst
                burst = []
                held = 0
                first_alone = False
    except (ProtocolError, OSError):
        if burst:
            yield burst
        raise
    if burst:
        yield burst


def frame_bytes(frame: Frame) -> int:
    """Bytes of a frame as it came."""
    if isinstance(frame, LargeFrame):
        return len(frame.entries)
    return len(frame)


def chunk_bytes(delivery: Delivery) -> int:
    """Bytes of a chunk, which a frame may hold compressed."""
    return len(delivery.chunk.entries)


def burst_inlet(inlet: Inlet) -> BurstInlet:
    """The inlet itself if it takes bursts, else one that gives it the chunks of each one by one."""
    if isinstance(inlet, BurstInlet):
        return inlet
    return _OneByOne(inlet)


class _OneByOne:
    """Gives the chunks of a burst to an inlet that takes one chunk at a time."""

    def __init__(self, inlet: Inlet) -> None:
        self._inlet = inlet
        self.take = inlet.take
        self.flush = inlet.flush

    async def take_burst(self, burst: Sequence[Delivery]) -> None:
        for delivery in burst:
            await self._inlet.take(*delivery)
