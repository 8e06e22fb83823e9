"""Messages of one partition held on this machine until it is known whether they are kept.

The partition's own log holds them as well, and is what counts: the instance that takes the
partition over reads again what is still needed. So nothing here has to outlive the process, and no
write waits for the disk. What is here need not be fetched again one by one, scattered over the log.

A *reference* is made of a message's offset and the place of a record in it, so it means the same to
every instance.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack

from ..core.references import PLAIN
from ..errors import ConfigError, StoreError
from ..runtime.spool import RecordSpool, segment_of
from .forms import HeldMessage

# Bits of a reference for the place of a record in its message. 45 bits are left for the offset.
_PLACE_BITS = 16
# Records of one message that can be held; only `otlp_json` has several in a message.
MOST_RECORDS = 1 << _PLACE_BITS
_PREFIX = "fluent-krone-keep-"
_LOCK = "lock"
_pack = msgpack.Packer(unicode_errors="surrogateescape").pack


def ref_of(offset: int, place: int) -> int:
    """The reference of a record."""
    return offset << _PLACE_BITS | place


def offset_of(ref: int) -> int:
    """The offset of the message that a reference, whatever its marks, names."""
    return (ref & PLAIN) >> _PLACE_BITS


def place_of(ref: int) -> int:
    """The place of a record in its message."""
    return ref & (MOST_RECORDS - 1)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Where messages lie that were written at once: their offsets, and where each begins."""

    offsets: array[int]
    places: array[int]
    base: int

    @property
    def segment(self) -> int:
        return segment_of(self.base)


class MessageSpool:
    """The messages of one partition, in a folder of its own below `folder`.

    Raises StoreError for what cannot be written or read.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
            # Held as long as this process lives; see `prepare_folder`.
            self._lock = os.open(self._folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise StoreError(f"keep_folder {folder}: {error.strerror}") from None
        self._spool = RecordSpool(self._folder / "messages", max_bytes)
        self._batches: list[_Batch] = []

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return self._spool.size_bytes

    @property
    def oldest(self) -> int:
        """The number of the oldest segment."""
        return self._spool.oldest

    @property
    def newest(self) -> int:
        """The number of the segment at work."""
        return self._spool.newest

    def hold(self, messages: Sequence[HeldMessage]) -> None:
        """Write messages, whose offsets are larger than all before."""
        places = array("I")
        packed: list[bytes] = []
        at = 0
        for message in messages:
            entry = _pack(message)
            packed.append(entry)
            places.append(at)
            at += len(entry)
        base = self._spool.hold("", None, 0, b"".join(packed))
        offsets = array("q", [message.offset for message in messages])
        self._batches.append(_Batch(offsets, places, base))

    def has(self, ref: int) -> bool:
        """Whether the message of a reference is here."""
        return self._find(ref) is not None

    def message(self, ref: int) -> HeldMessage | None:
        """The message of a reference; None where it is not here."""
        place = self._find(ref)
        if place is None:
            return None
        offset, time_ms, key, value, headers = msgpack.unpackb(
            self._spool.entry(place), unicode_errors="surrogateescape"
        )
        return HeldMessage(offset, time_ms, key, value, tuple(map(tuple, headers)))

    def segment_of(self, ref: int) -> int:
        """The segment that a reference lies in; 0, before all of them, where that is gone."""
        at = self._batch_of(offset_of(ref))
        if at < 0:
            return 0
        return self._batches[at].segment

    def first_offset(self, segment: int) -> int | None:
        """The offset of the first message in this segment or a later one; None: there is none."""
        at = bisect_left(self._batches, segment, key=lambda batch: batch.segment)
        if at == len(self._batches):
            return None
        return self._batches[at].offsets[0]

    def end_segment(self) -> None:
        """Begin a new segment with the next messages."""
        self._spool.end_segment()

    def drop_before(self, segment: int) -> None:
        """Delete the segments before this one; the one at work always stays."""
        self._spool.drop_before(segment)
        at = bisect_left(self._batches, self._spool.oldest, key=lambda batch: batch.segment)
        del self._batches[:at]

    def close(self) -> None:
        """Delete all that is held."""
        self._spool.close()
        os.close(self._lock)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _batch_of(self, offset: int) -> int:
        return bisect_right(self._batches, offset, key=lambda batch: batch.offsets[0]) - 1

    def _find(self, ref: int) -> int | None:
        offset = offset_of(ref)
        at = self._batch_of(offset)
        if at < 0:
            return None
        batch = self._batches[at]
        number = bisect_left(batch.offsets, offset)
        if number == len(batch.offsets) or batch.offsets[number] != offset:
            return None
        return batch.base + batch.places[number]


def prepare_folder(folder: Path) -> None:
    """Create a folder for spools, and delete what killed processes left in it.

    Those that still run hold their locks. Raises ConfigError.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"keep_folder {folder}: {error.strerror}") from None
    for lock in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            file = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
            finally:
                os.close(file)
