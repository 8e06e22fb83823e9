"""A short way through small frames: one call of msgpack in place of several unpackers.

A chunk of one record costs more to unwrap than to judge. The short way gives what the long way
(`framing`) gives, or None, which means: take the long way. Only that one explains faults.
"""

from __future__ import annotations

import msgpack

from .entries import DIGEST_MARK, Chunk, extension
from .headers import MAX_TAG_BYTES

# Bytes of a small frame. It is built whole before it is known to be sound, and a byte of nested
# empty maps weighs 70 bytes once it is built: half a MiB at most.
_MAX_BYTES = 2**13
# Arrays of two and of three elements.
_ARRAYS = (0x92, 0x93)


def small_message(packed: bytes) -> Chunk | None:
    """The chunk of `[tag, packed entries, option?]`, when nothing about it is unusual."""
    if len(packed) > _MAX_BYTES or packed[0] not in _ARRAYS:
        return None
    try:
        message = msgpack.unpackb(
            packed, raw=False, unicode_errors="surrogateescape", ext_hook=extension
        )
    except (ValueError, TypeError, msgpack.OutOfData):
        return None
    tag = message[0]
    entries = message[1]
    if type(tag) is not str or not tag.isascii() or len(tag) > MAX_TAG_BYTES:
        return None
    if type(entries) is not bytes:
        return None
    if len(message) == 2:
        return Chunk(tag, entries)
    option = message[2]
    if type(option) is not dict or "compressed" in option:
        return None
    chunk_id = option.get("chunk")
    if type(chunk_id) not in (str, bytes, type(None)):
        return None
    size = option.get("size")
    if type(size) is not int:
        size = None
    return Chunk(tag, entries, chunk_id, size, None, DIGEST_MARK in option)
