"""The few bytes by which a chunk is recognised when it is sent again."""

from __future__ import annotations

import hashlib

from ..transport.forward import Chunk

# Bytes of a chunk's id at the beginning of its key: 48 bits of time in Fluentd's base64.
_NEAR_BYTES = 8
# Bytes of the digest behind them. Of a million keys, two are equal with a chance of 1 in 10^16.
_DIGEST_BYTES = 12


def chunk_key(chunk: str | bytes) -> bytes:
    """What version 1 kept of a chunk: a digest of its id, 16 bytes however long the id is."""
    name = chunk
    if isinstance(name, str):
        name = name.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(name, digest_size=16).digest()


def delivery_key(chunk: Chunk) -> bytes:
    """What is kept of a chunk: the beginning of its id and a digest of tag, id and size, 20 bytes.

    The id alone is not enough: Fluent Bit's is a digest of the records without the tag. The id's
    beginning keeps keys of chunks that come together together in the file. Fluentd's ids begin with
    their time, so a commit then writes a page or two of the index instead of one for each chunk.
    """
    name = chunk.chunk or b""
    if isinstance(name, str):
        name = name.encode("utf-8", "surrogateescape")
    head = f"{chunk.tag}\0{len(chunk.entries)}\0".encode("utf-8", "surrogateescape")
    digest = hashlib.blake2b(head + name, digest_size=_DIGEST_BYTES).digest()
    return name[:_NEAR_BYTES].ljust(_NEAR_BYTES, b"\0") + digest


def numbered_key(key: bytes, number: int) -> bytes:
    """The key of chunk `number` among those with one `delivery_key`; number 0 has just that."""
    if number == 0:
        return key
    numbered = key + number.to_bytes(8, "big")
    return key[:_NEAR_BYTES] + hashlib.blake2b(numbered, digest_size=_DIGEST_BYTES).digest()
