"""The content of a file that is packed with zstd, where the package zstandard unpacks it.

The reader that the package has takes a file that was cut short for a whole one, so frames are read
here one by one.
"""

from __future__ import annotations

import io
from typing import IO, Any

# This many bytes of the file are unpacked at a time. A block of four bytes may hold 128 KiB, so a
# damaged or malicious piece takes 128 MiB at the most.
_PIECE = 4096


class ZstdContent(io.RawIOBase):
    """Unpacked bytes. Raises EOFError where the file ends too early, OSError where it is broken."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._frame: Any = None
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._packed or self._file.read(_PIECE)
            if not piece:
                if self._frame is not None:
                    raise EOFError("zstd: the file ends before its content does")
                return 0
            self._ready = memoryview(self._unpacked(piece))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _unpacked(self, piece: bytes) -> bytes:
        """What a piece holds of the frame that it goes on with, or begins."""
        import zstandard

        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            content = self._frame.decompress(piece)
        except zstandard.ZstdError as error:
            raise OSError(f"zstd: {error}") from None
        self._packed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return bytes(content)
