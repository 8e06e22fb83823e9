"""Records held on disk until it is known whether they are kept: written in bulk, read one by one.

A chunk is written as it came: its packed entries, behind a head that says under which tag and id
they came. A *reference* is a number that names one entry: the segment, and the byte in it at which
the entry begins. An entry is msgpack, so it says itself where it ends.

Segments are deleted from the oldest on, when nobody refers to them any more.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgpack

from ..core.references import PLAIN
from ..errors import StoreError
from ..segments import MAGIC, SEGMENT_BYTES, Part, Segments, number_of, path_of, segment_files

# Bits of a reference that hold the byte in its segment: 16 GiB, far more than one chunk.
_OFFSET_BITS = 34
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
# The spool is divided into at least this many segments, so that room is freed in small portions.
_LEAST_SEGMENTS = 16
# Bytes before the head of a block: length and checksum of the frame, and the length of the head.
_FRAME_HEAD_BYTES = 8
_LENGTH_BYTES = 4
# Bytes of the first read of an entry. Most log records are smaller, and a read costs by calls.
_FIRST_READ = 1024
# Heads of blocks that are remembered. A session has its records in many blocks, and sessions that
# end together mostly have them in the same ones.
_MOST_HEADS = 1_000


@dataclass(frozen=True, slots=True)
class Block:
    """Where the entries of one chunk lie, and how it came.

    `name` is what identifies the chunk: its id, or the place of its block where its sender gave it
    none of its own.
    """

    tag: str
    name: bytes
    arrived_ns: int
    # The reference of its first entry.
    base: int


class RecordSpool:
    """The records of one service, in segments below a folder, or in a temporary one.

    Raises StoreError for what cannot be written or read.
    """

    def __init__(self, folder: Path | None, max_bytes: int) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="fluent-krone-keep-")
            folder = Path(self._temporary.name)
        self.folder = folder
        self._heads: dict[tuple[int, int], Block] = {}
        self._files: dict[int, int] = {}
        # Segment → where each of its blocks begins.
        self._starts: dict[int, array[int]] = {}
        # Bytes that could not be written; while there are any, the disk is taken to be full.
        self._wanted = 0
        size = min(SEGMENT_BYTES, max(max_bytes // _LEAST_SEGMENTS, 1))
        with self._translated():
            self._segments = Segments(folder, segment_bytes=size)
            for path in segment_files(folder):
                self._starts[number_of(path)] = _block_starts(path)
            # A kill may have left blocks that were never committed. They have a segment of their
            # own to end with, and no reference.
            self._segments.roll()

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return self._segments.size_bytes

    @property
    def oldest(self) -> int:
        """The number of the oldest segment."""
        return min(self._starts, default=self.newest)

    @property
    def newest(self) -> int:
        """The number of the segment at work."""
        return self._segments.end[0]

    def hold(self, tag: str, name: bytes | None, arrived_ns: int, run: Part) -> int:
        """Write the entries of a chunk; returns the reference of the first."""
        head = msgpack.packb([tag, name, arrived_ns], unicode_errors="surrogateescape")
        parts = [len(head).to_bytes(_LENGTH_BYTES, "big"), head, run]
        size = sum(map(len, parts))
        self._wanted = size
        with self._translated():
            segment, end = self._segments.append(parts)
        self._wanted = 0
        start = end - size - _FRAME_HEAD_BYTES
        self._starts.setdefault(segment, array("Q")).append(start)
        return segment << _OFFSET_BITS | end - len(run)

    def sync(self) -> None:
        """Bring all that was written to the disk. Raises StoreError while there is no room."""
        with self._translated():
            if self._wanted:
                # Bytes that nobody refers to show whether there is room again.
                self._segments.append([bytes(min(self._wanted, SEGMENT_BYTES))])
                self._wanted = 0
            if self._temporary is None:
                self._segments.sync()

    def end_segment(self) -> None:
        """Begin a new segment with the next chunk."""
        self._segments.roll()

    def segment_of(self, ref: int) -> int:
        """The segment that a reference, whatever its marks, lies in."""
        return segment_of(ref)

    def has(self, ref: int) -> bool:
        """Whether the segment of a reference is there."""
        return segment_of(ref) in self._starts

    def block(self, ref: int) -> Block:
        """How the chunk of a record came. Raises ValueError where the file was damaged."""
        segment = segment_of(ref)
        starts = self._starts[segment]
        place = bisect_right(starts, ref & _OFFSET_MASK) - 1
        if place < 0:
            raise ValueError("the chunk of a record is gone")
        start = starts[place]
        found = self._heads.get((segment, start))
        if found is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            found = self._heads[segment, start] = self._read_block(segment, start)
        return found

    def entry(self, ref: int) -> bytes:
        """The packed entry of a record. Raises ValueError where the file was damaged."""
        segment = segment_of(ref)
        offset = ref & _OFFSET_MASK
        size = _FIRST_READ
        while True:
            data = self._read(segment, offset, size)
            reader = msgpack.Unpacker(max_buffer_size=0)
            reader.feed(data)
            try:
                reader.skip()
            except msgpack.OutOfData:
                if len(data) < size:
                    raise ValueError("a record is cut short") from None
                size *= 16
            else:
                return data[: reader.tell()]

    def run(self, ref: int, size: int) -> bytes:
        """Bytes of a block, from a reference on."""
        return self._read(segment_of(ref), ref & _OFFSET_MASK, size)

    def drop_before(self, segment: int) -> None:
        """Delete the segments before this one; the one at work always stays."""
        segment = min(segment, self.newest)
        for number in [number for number in self._starts if number < segment]:
            del self._starts[number]
            if number in self._files:
                os.close(self._files.pop(number))
        self._heads = {place: block for place, block in self._heads.items() if place[0] >= segment}
        with self._translated():
            self._segments.drop_before(segment)

    def close(self) -> None:
        """Let go of the files; a temporary spool is deleted."""
        self._segments.close()
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _read_block(self, segment: int, start: int) -> Block:
        data = self._read(segment, start + _FRAME_HEAD_BYTES, _FIRST_READ)
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        if end > len(data):
            data = self._read(segment, start + _FRAME_HEAD_BYTES, end)
        head = msgpack.unpackb(data[_LENGTH_BYTES:end], unicode_errors="surrogateescape")
        tag, name, arrived_ns = head
        base = segment << _OFFSET_BITS | start + _FRAME_HEAD_BYTES + end
        return Block(tag, name or str(base).encode(), arrived_ns, base)

    def _read(self, segment: int, offset: int, size: int) -> bytes:
        # Not by `_translated`: a context manager would cost as much as the read.
        try:
            file = self._files.get(segment)
            if file is None:
                file = os.open(path_of(self.folder, segment), os.O_RDONLY)
                self._files[segment] = file
            return os.pread(file, size, offset)
        except OSError as error:
            raise self._error(error) from None

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> StoreError:
        return StoreError(f"spool {self.folder}: {error}")


def segment_of(ref: int) -> int:
    """The segment that a reference, whatever its marks, lies in."""
    return (ref & PLAIN) >> _OFFSET_BITS


def first_ref_in(segment: int) -> int:
    """The smallest reference in a segment."""
    return segment << _OFFSET_BITS


def _block_starts(path: Path) -> array[int]:
    """Where the blocks of a segment begin; only their heads are read."""
    starts = array("Q")
    at = len(MAGIC)
    with path.open("rb") as file:
        size = path.stat().st_size
        while at + _FRAME_HEAD_BYTES <= size:
            file.seek(at)
            starts.append(at)
            at += _FRAME_HEAD_BYTES + int.from_bytes(file.read(4), "big")
    return starts
