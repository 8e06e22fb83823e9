"""Frames that are too large for memory: their entries go to a temporary file as they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgpack

from ...errors import ProtocolError
from .entries import fault, unpacker
from .headers import MAX_OPTION_BYTES, NOT_FORWARD, is_array, is_text, length_at
from .spool import Spool


class FrameTooLarge(ProtocolError):
    """A frame has more bytes than allowed; `size` is how many, where it says so itself."""

    def __init__(self, limit: int, size: int | None = None) -> None:
        frame = "a frame"
        if size is not None:
            frame = f"a frame of {size} bytes"
        super().__init__(
            f"{frame} is larger than {limit} bytes: raise max_frame_size, or lower "
            "chunk_limit_size in the sender's <buffer>"
        )


@dataclass(frozen=True, slots=True)
class LargeFrame:
    """A whole frame whose entries lie in a file.

    `tag` and `option` are packed, and so are the entries. `is_text` tells a str or bin of entries,
    which may be compressed, from an array of them.
    """

    tag: bytes
    entries: Spool
    option: bytes
    is_text: bool


class _Head(NamedTuple):
    """What stands before the entries of a frame: all sizes in bytes but `length`."""

    tag: bytes
    size: int
    has_option: bool
    is_text: bool
    # Bytes of a str or bin, or elements of an array.
    length: int


def _read_head(start: bytes) -> _Head | None:
    """Read what stands before the entries; None for a message that has no run of entries."""
    if not is_array(start[0]):
        return None
    reader = unpacker(start)
    try:
        elements = reader.read_array_header()
        tag_at = reader.tell()
        if elements not in (2, 3) or not is_text(start[tag_at]):
            return None
        reader.skip()
        at = reader.tell()
        kind = start[at]
        if not (is_text(kind) or is_array(kind)):
            return None
        length, size = length_at(start, at)
    except (ValueError, IndexError, msgpack.OutOfData):
        return None
    return _Head(start[tag_at:at], at + size, elements == 3, is_text(kind), length)


class LargeReader:
    """Takes the bytes of one large frame as they come, and none beyond its end."""

    def __init__(self, head: _Head, max_frame_bytes: int) -> None:
        self._head = head
        self._max_bytes = max_frame_bytes
        self._entries = Spool()
        self._has_entries = False
        self._option = bytearray()
        self._option_scanner = msgpack.Unpacker(max_buffer_size=2 * MAX_OPTION_BYTES)
        # Only for an array, whose end is found by passing over its elements.
        self._scanner = msgpack.Unpacker(max_buffer_size=0)
        self._passed = 0

    @classmethod
    def begin(cls, start: bytes, max_frame_bytes: int) -> tuple[LargeReader, bytes] | None:
        """Return a reader for the frame that begins so, and the bytes to feed it first.

        None for a message that cannot be read in this way. Raises FrameTooLarge at once where the
        frame says that it is.
        """
        head = _read_head(start[: 2 * MAX_OPTION_BYTES])
        if head is None:
            return None
        if head.is_text and head.size + head.length > max_frame_bytes:
            raise FrameTooLarge(max_frame_bytes, head.size + head.length)
        return cls(head, max_frame_bytes), start[head.size :]

    @property
    def memory_bytes(self) -> int:
        """Bytes of the frame that are held in memory."""
        return len(self._option)

    @property
    def file_bytes(self) -> int:
        """Bytes of the frame that are held in a file."""
        return len(self._entries)

    def feed(self, data: bytes) -> tuple[LargeFrame, bytes] | None:
        """Take bytes; return the frame once it is complete, and what follows it."""
        if not self._has_entries:
            data = self._take_entries(data)
            if not self._has_entries:
                return None
        if not self._head.has_option:
            return self._frame(b""), data
        self._option += data
        self._option_scanner.feed(data)
        try:
            self._option_scanner.skip()
        except msgpack.OutOfData:
            if len(self._option) > MAX_OPTION_BYTES:
                raise ProtocolError(
                    f"{NOT_FORWARD}: an option of {len(self._option)} bytes"
                ) from None
            return None
        except ValueError as error:
            raise ProtocolError(f"{NOT_FORWARD}: {fault(error)}") from None
        end = self._option_scanner.tell()
        return self._frame(bytes(self._option[:end])), bytes(self._option[end:])

    def _frame(self, option: bytes) -> LargeFrame:
        return LargeFrame(self._head.tag, self._entries, option, self._head.is_text)

    def _take_entries(self, data: bytes) -> bytes:
        """Put what belongs to the entries into the file; return the rest."""
        if self._head.is_text:
            missing = self._head.length - len(self._entries)
            self._entries.write(memoryview(data)[:missing])
            self._has_entries = len(self._entries) == self._head.length
            return data[missing:]
        before = len(self._entries)
        self._entries.write(data)
        if len(self._entries) > self._max_bytes:
            raise FrameTooLarge(self._max_bytes)
        self._scanner.feed(data)
        try:
            while self._passed < self._head.length:
                self._scanner.skip()
                self._passed += 1
        except msgpack.OutOfData:
            return b""
        except ValueError as error:
            raise ProtocolError(f"{NOT_FORWARD}: {fault(error)}") from None
        end = self._scanner.tell()
        self._entries.truncate(end)
        self._has_entries = True
        return data[end - before :]
