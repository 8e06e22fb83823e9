"""Packs events and acks as a Forward client and server send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
from fluent.sender import EventTime

_NS = 1_000_000_000
# How the ack of a chunk begins whose id has this many characters: a map of one, its key, and the
# head of a short text.
_ACK_HEADS = [b"\x81\xa3ack" + bytes((0xA0 | length,)) for length in range(32)]


def encode_event_time(time_ns: int) -> EventTime | int:
    """Return what msgpack packs as a Forward time.

    That is an EventTime, or whole seconds where the 32 bits of an EventTime do not reach.
    """
    if 0 <= time_ns < 2**32 * _NS:
        return EventTime.from_unix_nano(time_ns)
    return time_ns // _NS


def encode_events(
    tag: str, events: Sequence[tuple[int, Mapping[str, Any]]], chunk_id: str | None
) -> bytes:
    """Pack `(time_ns, record)` events as one PackedForward frame."""
    pack = msgpack.Packer().pack
    entries = b"".join([pack([encode_event_time(time_ns), record]) for time_ns, record in events])
    option: dict[str, Any] = {"size": len(events)}
    if chunk_id is not None:
        option["chunk"] = chunk_id
    return pack_message([tag, entries, option])


def ack_bytes(chunk_id: str | bytes) -> bytes:
    """Pack the ack of one chunk; the id is sent back exactly as it came."""
    # Every chunk needs one, and a packer would cost as much as to judge a record.
    if isinstance(chunk_id, str) and len(chunk_id) < len(_ACK_HEADS) and chunk_id.isascii():
        return _ACK_HEADS[len(chunk_id)] + chunk_id.encode()
    return pack_message({"ack": chunk_id})


def pack_message(value: Any) -> bytes:
    """Pack one message; text that was read with `surrogateescape` gets its original bytes back."""
    return bytes(msgpack.packb(value, unicode_errors="surrogateescape"))
