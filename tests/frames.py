"""What the tests of the Forward codec share: a good entry, and frames packed and decoded."""

from __future__ import annotations

from typing import Any

import msgpack

from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_event_time

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
