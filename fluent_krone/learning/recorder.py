"""The last day of the stream on disk, which the next bundle is fitted to and judged by.

1. Chunks are appended as they came, beside the engine's work on them. Small ones are written
   together, since a call of the kernel costs as much as a small chunk.
2. The interval between two refits is divided into slots. Each slot may write its share of the
   bound, and then pauses until the next one. So a busy stream is recorded in stretches that cover
   the whole day, and it costs the disk no more than a quiet one.
3. After a pause, and at every start, there is a gap. Sessions across it are not whole, and readers
   leave them out.
4. What cannot be written is left out: the stream is more important than its next bundle.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..inputs.spooled import chunk_parts, gap_parts
from ..segments import Segments
from ..transport.forward import Chunk

_log = logging.getLogger(__name__)

# Slots in an interval: with the usual interval of a day, one for each hour.
_SLOTS = 24
# Files that all slots together may fill; room is made file by file.
_FILES = 48
# Bytes of small chunks that are written together.
_WRITTEN_BYTES = 2**16
# What a frame takes besides its entries.
_FRAME_BYTES = 48
# Bytes of the smallest file.
_SMALLEST_FILE = 2**20


class Recorder:
    """Records a stream into `folder`, at most `max_bytes` of it."""

    def __init__(self, folder: Path, max_bytes: int, interval_s: float) -> None:
        self.left_out = 0
        self._max_bytes = max_bytes
        self._slot_ns = max(int(interval_s / _SLOTS * 1e9), 1)
        self._slot = -1
        self._in_slot = 0
        # Whether the next frame has to be a gap.
        self._has_gap = True
        self._is_failing = False
        # Frames that are not written yet, and their bytes. A kill loses them, which a gap says.
        self._pending: list[list[bytes]] = []
        self._pending_bytes = 0
        size = max(max_bytes // _FILES, _SMALLEST_FILE)
        self._segments = Segments(folder, segment_bytes=size)

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return self._segments.size_bytes

    def take(self, chunk: Chunk, arrived_ns: int) -> None:
        """Record a chunk, or leave it out."""
        slot = arrived_ns // self._slot_ns
        if slot != self._slot:
            self._slot = slot
            self._in_slot = 0
        size = len(chunk.entries)
        if self._in_slot + size > self._max_bytes // _SLOTS and self._in_slot:
            self._has_gap = True
            self.left_out += 1
            return
        self._in_slot += size
        if self._has_gap:
            self._pending.append(gap_parts())
            self._has_gap = False
        self._pending.append(chunk_parts(chunk, arrived_ns))
        self._pending_bytes += size + _FRAME_BYTES
        if self._pending_bytes >= _WRITTEN_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken, so that others can read it."""
        if not self._pending:
            return
        try:
            self._segments.append_all(self._pending)
            self._make_room()
            self._is_failing = False
        except OSError as error:
            self._has_gap = True
            self.left_out += len(self._pending)
            if not self._is_failing:
                _log.warning("the stream is not recorded for the next bundle reason=%s", error)
            self._is_failing = True
        self._pending = []
        self._pending_bytes = 0

    def close(self) -> None:
        """Write the rest, and close the file."""
        self.flush()
        self._segments.close()

    def _make_room(self) -> None:
        while self._segments.size_bytes > self._max_bytes and self._segments.has_older:
            self._segments.drop_oldest()
