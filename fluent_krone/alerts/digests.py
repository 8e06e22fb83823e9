"""The ids of alerts, signatures and incidents: digests that mean the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

# Parts that are remembered: nearly all are ids of templates, which come again with every session.
_MOST_PARTS = 4_096


def digest(parts: Iterable[bytes]) -> str:
    """32 hex digits of blake2b-128 over the parts, each with its length before it."""
    framed = b"".join([len(part).to_bytes(4, "big") + part for part in parts])
    return hashlib.blake2b(framed, digest_size=16).hexdigest()


def digest_of(parts: Iterable[str]) -> str:
    """The same over texts.

    >>> digest_of(["a", "bc"]) == digest_of(["ab", "c"])
    False
    """
    framed = b"".join(map(_framed, parts))
    return hashlib.blake2b(framed, digest_size=16).hexdigest()


@lru_cache(_MOST_PARTS)
def _framed(part: str) -> bytes:
    """A part with its length before it."""
    content = part.encode("utf-8", "surrogateescape")
    return len(content).to_bytes(4, "big") + content
