"""Runs of bytes that are too large for memory, in files that nobody else sees."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

# Bytes of a run that stay in memory. A larger run goes to a file. Fluent Bit's chunks have at most
# 2 MiB and those of `@type krone` 8 MiB, so only unusually large ones do.
IN_MEMORY_BYTES = 16 * 2**20
# Bytes of one read from a file.
_PIECE_BYTES = 2**20


class Spool:
    """A run of bytes in a deleted temporary file, readable by slices; gone with its last reference.

    The file lies in the directory that TMPDIR names. Raises OSError when the disk is full.

    >>> spool = Spool()
    >>> spool.write(b"one and two")
    >>> len(spool), spool[4:7], spool[8:]
    (11, b'and', b'two')
    """

    def __init__(self) -> None:
        file, path = tempfile.mkstemp(prefix="fluent-krone-")
        Path(path).unlink()
        self._file = file
        self._size = 0
        weakref.finalize(self, os.close, file)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:
            written = os.write(self._file, view)
            self._size += written
            view = view[written:]

    def truncate(self, size: int) -> None:
        """Drop what lies beyond this size; nothing is written afterwards."""
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._size)
        data = os.pread(self._file, stop - start, start)
        while len(data) < stop - start:
            data += os.pread(self._file, stop - start - len(data), start + len(data))
        return data


Run = bytes | Spool


def pieces(run: Run) -> Iterator[bytes]:
    """Yield a run in portions of at most a MiB."""
    for at in range(0, len(run), _PIECE_BYTES):
        yield run[at : at + _PIECE_BYTES]


class Gathering:
    """Collects a run, in memory first and in a file once it is large."""

    def __init__(self) -> None:
        self._memory = bytearray()
        self._spool: Spool | None = None

    def __len__(self) -> int:
        return len(self._memory) + len(self._spool or b"")

    def write(self, data: bytes) -> None:
        if self._spool is None and len(self._memory) + len(data) > IN_MEMORY_BYTES:
            self._spool = Spool()
            self._spool.write(self._memory)
            self._memory.clear()
        if self._spool is not None:
            self._spool.write(data)
        else:
            self._memory += data

    def run(self) -> Run:
        """What was written; the collection is not used afterwards."""
        if self._spool is not None:
            return self._spool
        return bytes(self._memory)
