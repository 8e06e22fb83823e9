"""Notices that chunks of one sender overtake each other."""

from __future__ import annotations

from .forward import Chunk

# Nanoseconds by which a chunk may begin before the chunk before it. Clients that send whole seconds
# do so without a fault.
_TOLERANCE_NS = 1_000_000_000
# Streams that are watched, each a host and a tag. Beyond it, all are forgotten and watched anew.
_MAX_STREAMS = 10_000


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
