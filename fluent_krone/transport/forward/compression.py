"""Undoes the compression of packed entries, within limits on what comes out and how fast."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol, cast

from .entries import CUT_SHORT, fault
from .spool import Gathering, Run, pieces

# Members (gzip) or frames (zstd) in one chunk. Fluentd writes one each time it appends to a chunk,
# which makes thousands. Each appended at least one event, so 100,000 of them would fill 10 MiB.
# What follows is given up as damaged.
_MAX_MEMBERS = 100_000
# zlib's name of the gzip format, as its argument `wbits`.
_GZIP_WBITS = 31
# Bytes given to zlib at a time. It copies what follows the end of a member, so a large portion
# would be copied once for each of its members.
_GZIP_READ_BYTES = 2**13
# Bytes that may come out of one call of zlib, so that the limit is checked before much is built.
_PIECE_BYTES = 2**20
# Bytes given to zstd at a time. One call has no limit on what comes out of it. Four bytes of a zstd
# frame may stand for 128 KiB, so that this bounds it to 32 MiB.
_ZSTD_READ_BYTES = 2**10
# Bytes that a zstd frame may refer back to. All levels of Fluentd's compressor stay below it.
_ZSTD_WINDOW_BYTES = 2**23


class Member(Protocol):
    """A decompressor of one gzip member or one zstd frame."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end of the member."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What was given and not used, because enough has come out."""

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes:
        """Return what comes out, at most `max_length` bytes if it can limit that."""


def inflate(kind: str, run: Run, max_bytes: int) -> tuple[Run, str | None]:
    """Undo `gzip` or `zstd`, any number of members in a row.

    Return what came out, and what stopped it. Neither `gzip.decompress`, which copies the rest of
    the input for each member, nor a GzipFile, which reads headers in Python, is fast enough for
    thousands of members. When more than `max_bytes` come out, nothing is returned but the reason.
    """
    opening: Callable[[], Member] = _gzip_member
    read_bytes = _GZIP_READ_BYTES
    if kind == "zstd":
        opening = _ZstdFrame
        read_bytes = _ZSTD_READ_BYTES
    out = Gathering()
    member: Member | None = None
    members = 0
    try:
        for piece in pieces(run):
            view = memoryview(piece)
            while view:
                if member is None:
                    if members == _MAX_MEMBERS:
                        return out.run(), f"{kind} entries have more than {_MAX_MEMBERS} members"
                    member = opening()
                    members += 1
                given = view[:read_bytes]
                out.write(member.decompress(given, _PIECE_BYTES))
                view = view[len(given) - len(member.unconsumed_tail) - len(member.unused_data) :]
                if len(out) > max_bytes:
                    return b"", f"{kind} entries inflate to more than {max_bytes} bytes"
                if member.eof:
                    member = None
        # All input has been given, and more output than fits one call may still be inside.
        while member is not None and (rest := member.decompress(b"", _PIECE_BYTES)):
            out.write(rest)
            if len(out) > max_bytes:
                return b"", f"{kind} entries inflate to more than {max_bytes} bytes"
            if member.eof:
                member = None
    except _errors(kind) as error:
        return out.run(), f"{kind} entries are damaged: {fault(error)}"
    if member is not None:
        return out.run(), f"{kind} entries are damaged: {CUT_SHORT}"
    return out.run(), None


def has_zstd() -> bool:
    """Whether the optional package that decompresses zstd is installed."""
    return find_spec("zstandard") is not None


def _gzip_member() -> Member:
    return zlib.decompressobj(_GZIP_WBITS)


class _ZstdFrame:
    """One zstd frame, with zlib's names. It consumes all that it is given."""

    unconsumed_tail = b""

    def __init__(self) -> None:
        import zstandard

        limited = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
        self._frame = limited.decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._frame.unused_data)

    def decompress(self, data: bytes | memoryview, max_length: int, /) -> bytes:
        return bytes(self._frame.decompress(data))


def _errors(kind: str) -> type[Exception]:
    if kind == "zstd":
        import zstandard

        return cast(type[Exception], zstandard.ZstdError)
    return zlib.error
