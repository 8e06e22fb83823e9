"""Append-only files of frames in one folder, which are whole after any kill.

A frame is a length, a checksum and that many bytes. What a killed process had begun to write fails
its checksum, and the next process cuts it off. Files are readable by their owner alone, because
they may hold log records.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

# How each file begins.
MAGIC = b"FKSEGM1\n"
# Bytes after which a new file is begun. Room is freed file by file, and a start reads one file to
# its end, so a file is small beside all of them and large beside a frame.
SEGMENT_BYTES = 16 * 2**20
# Bytes of frames that are joined before they are written; copying more costs more than it saves.
_JOINED_BYTES = 2**17
_NAME = re.compile(r"\d{10}\.seg\Z")
# Length of the frame and CRC-32 of its bytes.
_HEAD = struct.Struct(">II")
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700
# A place in the folder: number of the file, and offset in it.
Place = tuple[int, int]


class Sliced(Protocol):
    """Bytes that need not be in memory: they are read slice by slice."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


Part = bytes | Sliced


class Segments:
    """The frames of one folder, to append to; the folder is created if it is absent.

    A frame that was not written whole is cut off when the folder is opened. One process writes to a
    folder at a time.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "frames"
    >>> segments = Segments(folder)
    >>> place = segments.append([b"one"])
    >>> segments.close()
    >>> [frame for _, frame in read_frames(folder)]
    [b'one']
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, first: int = 1) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        files = segment_files(folder)
        self._sizes = {number_of(path): path.stat().st_size for path in files}
        self._number = first
        self._offset = 0
        self._file: int | None = None
        if files:
            self._number = number_of(files[-1])
            self.cut((self._number, whole_bytes(files[-1])))

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes.values())

    @property
    def end(self) -> Place:
        """The place behind the last frame."""
        return self._number, self._offset

    def append(self, parts: Sequence[bytes]) -> Place:
        """Write one frame of these parts; returns the place behind it.

        It is in the kernel's hands then, so that a kill of the process cannot lose it. Raises
        OSError when the disk is full; then nothing was written.
        """
        return self.append_all([parts])

    def append_all(self, frames: Sequence[Sequence[bytes]]) -> Place:
        """Write several frames, all or none of them; returns the place behind the last one."""
        if self._offset >= self._segment_bytes:
            self.roll()
        file = self._opened()
        data: list[bytes] = []
        for parts in frames:
            crc = 0
            for part in parts:
                crc = zlib.crc32(part, crc)
            data += [_HEAD.pack(sum(map(len, parts)), crc), *parts]
        size = sum(map(len, data))
        if size <= _JOINED_BYTES:
            # One call of the kernel for what is small.
            data = [b"".join(data)]
        before = self._offset
        try:
            for part in data:
                _write_all(file, part)
        except OSError:
            os.ftruncate(file, before)
            raise
        self._offset = before + size
        self._sizes[self._number] = self._offset
        return self.end

    def sync(self) -> None:
        """Bring what was written to the disk, so that a power cut cannot lose it."""
        if self._file is not None:
            os.fdatasync(self._file)

    def roll(self) -> int:
        """End the file at work, if it has a frame; returns the number of the next one."""
        if self._offset > len(MAGIC):
            self.close()
            self._number += 1
            self._offset = 0
        return self._number

    def cut(self, end: Place) -> None:
        """Drop every frame behind a place."""
        self.close()
        for number in [number for number in self._sizes if number > end[0]]:
            path_of(self.folder, number).unlink()
            del self._sizes[number]
        self._number, self._offset = end
        if self._number in self._sizes:
            os.truncate(path_of(self.folder, self._number), self._offset)
            self._sizes[self._number] = self._offset

    def drop_before(self, number: int) -> None:
        """Delete the files before the one of this number; the file at work always stays."""
        for old in [old for old in self._sizes if old < min(number, self._number)]:
            path_of(self.folder, old).unlink(missing_ok=True)
            del self._sizes[old]

    @property
    def has_older(self) -> bool:
        """Whether there are files beside the one at work."""
        return len(self._sizes) > 1

    def drop_oldest(self) -> None:
        """Delete the oldest file, unless it is the one at work."""
        self.drop_before(min(self._sizes, default=0) + 1)

    def close(self) -> None:
        """Let go of the file at work."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        if self._file is None:
            path = path_of(self.folder, self._number)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE_MODE)
            self._offset = os.fstat(self._file).st_size
            if self._offset < len(MAGIC):
                os.ftruncate(self._file, 0)
                _write_all(self._file, MAGIC)
                self._offset = len(MAGIC)
        return self._file


def path_of(folder: Path, number: int) -> Path:
    """The file of this number."""
    return folder / f"{number:010d}.seg"


def number_of(path: Path) -> int:
    """The number of a file."""
    return int(path.stem)


def segment_files(folder: Path) -> list[Path]:
    """The files of a folder, the oldest first; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.match(path.name))


def read_frames(folder: Path, start: Place = (0, 0)) -> Iterator[tuple[Place, bytes]]:
    """Yield the place behind each whole frame, and the frame, from a place on."""
    for path in segment_files(folder):
        number = number_of(path)
        if number < start[0]:
            continue
        offset = 0
        if number == start[0]:
            offset = start[1]
        with path.open("rb") as file:
            for end, frame in frames_of(file, offset):
                yield (number, end), frame


def frames_of(file: IO[bytes], offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the offset behind each whole frame of one file, and the frame.

    It ends at the first frame that is not whole.
    """
    if file.read(len(MAGIC)) != MAGIC:
        return
    size = os.fstat(file.fileno()).st_size
    at = max(offset, len(MAGIC))
    file.seek(at)
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        length, crc = _HEAD.unpack(head)
        if length > size - at:
            # Asking for more than there is would take that much memory.
            return
        frame = file.read(length)
        if len(frame) < length or zlib.crc32(frame) != crc:
            return
        at += _HEAD.size + length
        yield at, frame


def whole_bytes(path: Path) -> int:
    """How many bytes of a file hold whole frames; 0 where it does not begin as one of ours."""
    with path.open("rb") as file:
        end = 0
        if file.read(len(MAGIC)) == MAGIC:
            end = len(MAGIC)
        file.seek(0)
        for end, _ in frames_of(file):  # noqa: B007
            pass
    return end


def move_files(files: Iterable[Path], folder: Path) -> None:
    """Move files of frames into another folder, under their names."""
    for path in files:
        path.replace(folder / path.name)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
