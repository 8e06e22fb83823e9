"""Which chunks are repeats: sent again, because their sender may lack the ack."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from ..transport import Sender
from ..transport.forward import Chunk
from .storage import Storage

# Bytes of a chunk's id at the beginning of its key: 48 bits of time in Fluentd's base64.
_NEAR_BYTES = 8
# Bytes of the digest behind them. Of a million keys, two are equal with a chance of 1 in 10^16.
_DIGEST_BYTES = 12


@dataclass(slots=True)
class _Equal:
    """Chunks with one digest id, tag and size: how many are remembered, and who has them.

    `senders` are those that may still get an ack, oldest first. There are at most as many as
    remembered chunks: the others are chunks whose ack was lost.
    """

    remembered: int
    senders: deque[Sender] = field(default_factory=deque)


class Repeats:
    """Remembers chunks until their acks have arrived, and recognises those that come again.

    An id alone does not make a repeat; tag, id and size do. What that means depends on the id:

    1. Random ids (Fluentd, most clients). Each chunk has its own, so the same one again is a
       repeat. Keys are remembered as long as the store keeps them.
    2. Digest ids (Fluent Bit since 2.0). Equal records under one tag have equal ids, and are
       different chunks all the same: the same line can be logged twice. So equal chunks are
       counted, and a chunk is a repeat only if the ack of an earlier one may have been lost. Its
       sender tells:
       a. it has the ack: that chunk never comes again, and is forgotten;
       b. it ended or failed before: the next equal chunk is that one, sent again. The repeat is now
          with another sender, which may fail as well, so the chunk stays remembered;
       c. it is connected, and nothing is known: it still waits for its ack, or has just got it. An
          equal chunk from elsewhere is then another one.
    3. Equal chunks can't be told apart and need not be. Of n remembered ones the store has the keys
       0 … n-1, and forgetting one deletes the highest key. After a restart no sender is connected,
       so all n may come again.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        # Keys of chunks that were fed since the last commit, in their order.
        self._new: dict[bytes, None] = {}
        # By key 0. Only chunks with senders that may still get an ack: at most one per connection.
        self._equal: dict[bytes, _Equal] = {}
        # Keys that the next commit deletes from the store: the acks of their chunks have arrived.
        self._arrived: list[bytes] = []

    def is_repeat(self, chunk: Chunk, sender: Sender | None) -> bool:
        """Whether the chunk was fed before; if not, it counts as fed from now on.

        Raises StoreError while the store can't be read; then nothing has changed. A chunk without
        an id is never a repeat.
        """
        if chunk.chunk is None:
            return False
        key = delivery_key(chunk)
        if sender is not None and chunk.has_digest_id:
            return self._is_equal_repeat(chunk, key, sender)
        if key in self._new or self._storage.has_chunk(key):
            return True
        if self._storage.has_old_keys and self._storage.had_chunk(chunk_key(chunk.chunk)):
            return True
        self._new[key] = None
        return False

    def hand_over(self) -> tuple[list[bytes], list[bytes]]:
        """For a commit: keys to remember, and keys to delete. Both are the caller's from now on."""
        for key in list(self._equal):
            self._settle(key)
        new = list(self._new)
        arrived = self._arrived
        self._new = {}
        self._arrived = []
        return new, arrived

    def _is_equal_repeat(self, chunk: Chunk, key: bytes, sender: Sender) -> bool:
        equal = self._equal.get(key)
        if equal is None:
            equal = self._recall(chunk, key)
        else:
            self._settle(key)
            # Settling may have removed it; it has to be there if the store fails now.
            self._equal[key] = equal
            if self._arrived:
                # Not with the next commit: after a kill this chunk comes again, and must not be
                # taken for the one whose ack has arrived.
                self._storage.forget(self._arrived)
                self._arrived = []
        is_repeat = equal.remembered > len(equal.senders)
        if not is_repeat:
            self._new[numbered_key(key, equal.remembered)] = None
            equal.remembered += 1
        equal.senders.append(sender)
        self._equal[key] = equal
        return is_repeat

    def _settle(self, key: bytes) -> None:
        """Ask the senders of equal chunks: forget chunks whose ack arrived, and lost senders."""
        equal = self._equal[key]
        connected: deque[Sender] = deque()
        for sender in equal.senders:
            has_ack = sender.has_ack()
            if has_ack is None:
                connected.append(sender)
            elif has_ack:
                equal.remembered -= 1
                self._forget(numbered_key(key, equal.remembered))
        equal.senders = connected
        if not connected:
            del self._equal[key]

    def _forget(self, key: bytes) -> None:
        if key in self._new:
            # An older equal chunk, whose ack arrived, leaves its key in the store to this one.
            del self._new[key]
        else:
            self._arrived.append(key)

    def _recall(self, chunk: Chunk, key: bytes) -> _Equal:
        """Equal chunks none of whose senders is connected, by their keys."""
        count = 0
        while self._is_known(numbered_key(key, count)):
            count += 1
        if count == 0 and chunk.chunk is not None and self._storage.has_old_keys:
            old_key = chunk_key(chunk.chunk)
            if self._storage.had_chunk(old_key):
                # Remembered by an older version: continue under the key of this one.
                self._new[key] = None
                self._arrived.append(old_key)
                count = 1
        return _Equal(count)

    def _is_known(self, key: bytes) -> bool:
        return key in self._new or self._storage.has_chunk(key)


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
