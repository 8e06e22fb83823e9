"""Cuts a byte stream into messages, and reads the frame around the events of each.

Who is to blame decides what a fault does. A fault of the *framing* (not msgpack, larger than
allowed, an array that is not a Forward message) raises `ProtocolError` and ends the connection,
because nothing after it can be trusted. What is wrong *inside* a frame is left to `entries`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgpack

from ...config import default_of
from ...errors import ProtocolError
from .compression import has_zstd, inflate
from .entries import DIGEST_MARK, Chunk, extension, fault, unpacker
from .headers import (
    MAX_OPTION_BYTES,
    MAX_TAG_BYTES,
    NOT_FORWARD,
    is_array,
    is_map,
    is_text,
    length_at,
)
from .large import FrameTooLarge, LargeFrame, LargeReader
from .spool import IN_MEMORY_BYTES, Run

# What a frame may have unless told otherwise: the defaults of the parameters.
MAX_FRAME_BYTES: int = default_of("max_frame_size")
MAX_INFLATED_BYTES: int = default_of("max_inflated_size")
# Bytes that the scanner gets at a time, so that the limit on frames is checked before much more
# than a frame is buffered.
_PIECE_BYTES = 2**20
_NILS = re.compile(b"\xc0+")
_NIL = 0xC0
# Bytes of a frame up to which to copy it twice costs less than a view of it.
_COPIED_BYTES = 2**12
# Bytes of a message that has no run of entries, such as a single record. It is built whole, and 4
# MiB of a record are read at most.
_MAX_WHOLE_BYTES = 64 * 2**20

Frame = bytes | LargeFrame
# Bytes of a small frame. It is built whole before it is known to be sound, and a byte of nested
# empty maps weighs 70 bytes once it is built: half a MiB at most.
_SMALL_BYTES = 2**13
# Arrays of two and of three elements.
_ARRAYS = (0x92, 0x93)


class FrameSplitter:
    """Cuts a byte stream into whole msgpack objects, which stay packed.

    Nothing is built, and no length in a header is believed, before all bytes of an object have
    arrived. Nil objects are dropped, because the protocol uses them as heartbeats. Of a frame with
    more than `large_bytes`, the entries go to a file. `max_frame_bytes` may change between two
    objects.
    """

    def __init__(
        self, max_frame_bytes: int = MAX_FRAME_BYTES, large_bytes: int = IN_MEMORY_BYTES
    ) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._large_bytes = large_bytes
        # All bytes from the start of the unfinished object on, unless it is large.
        self._buffer = bytearray()
        self._large: LargeReader | None = None
        self._restart()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield each object that `data` completes; iterate to the end before the next call.

        Raises ProtocolError at the place of the fault, after what came before it, and OSError when
        a large frame does not fit on the disk. The splitter cannot be used afterwards.
        """
        for at in range(0, len(data), _PIECE_BYTES):
            piece = data[at : at + _PIECE_BYTES]
            while piece:
                if self._large is None:
                    self._buffer += piece
                    self._scanner.feed(piece)
                    yield from self._complete()
                    piece = self._begin_large()
                else:
                    completed = self._large.feed(piece)
                    if completed is None:
                        break
                    self._large = None
                    frame, piece = completed
                    yield frame
        if self._offset > _PIECE_BYTES:
            self._restart()

    @property
    def memory_bytes(self) -> int:
        """Bytes of an unfinished object that are held in memory."""
        if self._large is not None:
            return self._large.memory_bytes
        return len(self._buffer)

    @property
    def file_bytes(self) -> int:
        """Bytes of an unfinished object that are held in a file."""
        if self._large is not None:
            return self._large.file_bytes
        return 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished object; not 0 at the end of a stream means that it was cut."""
        return self.memory_bytes + self.file_bytes

    def _begin_large(self) -> bytes:
        """Have a frame that has become large read into a file; return what to feed its reader."""
        if len(self._buffer) <= self._large_bytes:
            return b""
        begun = LargeReader.begin(bytes(self._buffer), self.max_frame_bytes)
        if begun is None:
            if len(self._buffer) > _MAX_WHOLE_BYTES:
                raise FrameTooLarge(_MAX_WHOLE_BYTES)
            return b""
        self._large, rest = begun
        self._buffer.clear()
        self._restart()
        return rest

    def _complete(self) -> Iterator[bytes]:
        # Mostly all bytes belong to whole messages; a scanner without bytes would raise an error.
        while self._buffer and (size := self._next_size()) is not None:
            # A run of nils is dropped at once: one by one, each would cost as much as a frame.
            if self._buffer[0] == _NIL:
                run = _NILS.match(self._buffer)
                assert run is not None, "BUG: a nil that is no run of nils"
                self._scanner.read_bytes(run.end() - size)
                self._cut(run.end())
            else:
                yield self._cut(size)

    def _cut(self, size: int) -> bytes:
        if size <= _COPIED_BYTES:
            frame = bytes(self._buffer[:size])
        else:
            with memoryview(self._buffer) as view:
                frame = bytes(view[:size])
        del self._buffer[:size]
        self._offset += size
        return frame

    def _next_size(self) -> int | None:
        size: int | None = None
        try:
            self._scanner.skip()
            size = self._scanner.tell() - self._offset
        except msgpack.OutOfData:
            pass
        except ValueError as error:
            raise ProtocolError(f"{NOT_FORWARD}: {fault(error)}") from None
        if (size or len(self._buffer)) > self.max_frame_bytes:
            raise FrameTooLarge(self.max_frame_bytes)
        return size

    def _restart(self) -> None:
        """Replace the scanner, whose buffer has grown to the size of the largest frame so far."""
        # For msgpack 0 means no limit. The limit is kept in _next_size, after each piece.
        self._scanner = msgpack.Unpacker(max_buffer_size=0, read_size=2**14)
        self._scanner.feed(self._buffer)
        # Bytes that were cut off since the scanner was made: it counts from its own first byte.
        self._offset = 0


class ForwardDecoder:
    """Takes bytes in any portions and returns chunks (arrays) and control objects (maps, str keys).

    >>> decoder = ForwardDecoder()
    >>> decoder.feed(b'\\x81\\xa3ack')
    []
    >>> decoder.feed(b'\\xa2id')
    [{'ack': 'id'}]
    """

    def __init__(
        self, max_frame_bytes: int = MAX_FRAME_BYTES, max_inflated_bytes: int = MAX_INFLATED_BYTES
    ) -> None:
        self._splitter = FrameSplitter(max_frame_bytes)
        self._max_inflated_bytes = max_inflated_bytes
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[Chunk | dict[str, Any]]:
        """Return what `data` completes.

        What was complete before a fault is returned first. `error` is then set, and each later call
        raises it.
        """
        if self.error is not None:
            raise self.error
        frames: list[Chunk | dict[str, Any]] = []
        try:
            # Not a list comprehension: frames before a fault must be kept.
            for packed in self._splitter.feed(data):
                frames.append(decode_frame(packed, self._max_inflated_bytes))  # noqa: PERF401
        except ProtocolError as error:
            self.error = error
            if not frames:
                raise
        return frames


def decode_frame(
    packed: Frame, max_inflated_bytes: int = MAX_INFLATED_BYTES
) -> Chunk | dict[str, Any]:
    """Turn one whole packed object into a Chunk (array) or a control object (map)."""
    try:
        if isinstance(packed, LargeFrame):
            tag = _tag(unpacker(packed.tag).unpack())
            option = _unpack_option(packed.option)
            return _chunk(tag, packed.entries, option, packed.is_text, max_inflated_bytes)
        kind = packed[0]
        if is_map(kind):
            return _unpack_map(packed)
        if is_array(kind):
            return small_message(packed) or _decode_message(packed, max_inflated_bytes)
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise ProtocolError(f"{NOT_FORWARD}: {fault(error)}") from None
    raise ProtocolError(f"{NOT_FORWARD}: expected an array or a map, got byte 0x{kind:02x}")


def _decode_message(packed: bytes, max_inflated_bytes: int) -> Chunk:
    """Read `[tag, entries, option?]` or `[tag, time, record, option?]`.

    The entries stay packed. Only the option is built here, and it keeps str and bin apart, which
    the ack needs.
    """
    reader = unpacker(packed)
    length = reader.read_array_header()
    if not 2 <= length <= 4:
        raise ProtocolError(f"{NOT_FORWARD}: an array of {length} elements")
    kind = packed[reader.tell()]
    if not is_text(kind):
        raise ProtocolError(f"{NOT_FORWARD}: the tag begins with byte 0x{kind:02x}")
    tag = _tag(reader.unpack())
    start = reader.tell()
    kind = packed[start]
    # Elements that have been read.
    done = 2
    if is_text(kind):
        entries = reader.unpack()
    elif is_array(kind):
        reader.skip()
        entries = packed[start + length_at(packed, start)[1] : reader.tell()]
    elif length > 2:
        # Message mode: a time and a record take the place of the entries.
        reader.skip()
        reader.skip()
        entries = b"\x92" + packed[start : reader.tell()]
        done = 3
    else:
        raise ProtocolError(f"{NOT_FORWARD}: the entries begin with byte 0x{kind:02x}")
    if length - done > 1:
        raise ProtocolError(f"{NOT_FORWARD}: {length - done} elements after the entries")
    option = _unpack_option(packed[reader.tell() :])
    return _chunk(tag, entries, option, is_text(kind), max_inflated_bytes)


def _tag(raw: bytes) -> str:
    return raw[:MAX_TAG_BYTES].decode("utf-8", "replace")


def _chunk(
    tag: str, entries: Run, option: dict[str, Any], is_packed: bool, max_inflated_bytes: int
) -> Chunk:
    """Make the chunk of what a frame holds. Only packed entries can be compressed."""
    chunk = option.get("chunk")
    if not isinstance(chunk, (str, bytes, type(None))):
        raise ProtocolError(f"option chunk must be a string, got {type(chunk).__name__}")
    size = option.get("size")
    if not isinstance(size, int):
        size = None
    damage = None
    compression = _compression(option)
    if compression is not None and is_packed:
        entries, damage = inflate(compression, entries, max_inflated_bytes)
    return Chunk(tag, entries, chunk, size, damage, DIGEST_MARK in option)


def _compression(option: dict[str, Any]) -> str | None:
    """The compression of packed entries, `gzip` or `zstd`.

    An unknown one is a fault of the framing and not an undecodable entry, which would be acked and
    lost. So the chunk stays with its sender until the settings are corrected.
    """
    compressed = option.get("compressed")
    if isinstance(compressed, bytes):
        compressed = compressed.decode("ascii", "replace")
    if compressed in (None, "text"):
        return None
    if compressed == "gzip" or (compressed == "zstd" and has_zstd()):
        return str(compressed)
    if compressed == "zstd":
        raise ProtocolError(
            "option compressed is zstd, which needs another package: pip install zstandard"
        )
    raise ProtocolError(f"option compressed must be gzip, zstd or text, got {compressed!r:.40}")


def _unpack_option(packed: bytes) -> dict[str, Any]:
    if not packed:
        return {}
    return _unpack_map(packed)


def _unpack_map(packed: bytes) -> dict[str, Any]:
    """Decode an option or control map: strings stay str, binaries stay bytes, and neither fails."""
    if len(packed) > MAX_OPTION_BYTES:
        raise ProtocolError(f"{NOT_FORWARD}: an option or control map of {len(packed)} bytes")
    value = msgpack.unpackb(packed, raw=False, unicode_errors="surrogateescape", ext_hook=extension)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"{NOT_FORWARD}: the option is of type {type(value).__name__}")
    return value


def small_message(packed: bytes) -> Chunk | None:
    """The chunk of `[tag, packed entries, option?]`, when nothing about it is unusual.

    One call of msgpack takes the place of several unpackers: a chunk of one record costs more to
    unwrap than to judge. This gives what `_decode_message` gives, or None, which means that the
    long way is to be taken. Only that one explains faults.
    """
    if len(packed) > _SMALL_BYTES or packed[0] not in _ARRAYS:
        return None
    try:
        message = msgpack.unpackb(
            packed, raw=False, unicode_errors="surrogateescape", ext_hook=extension
        )
    except (ValueError, TypeError, msgpack.OutOfData):
        return None
    tag = message[0]
    entries = message[1]
    if type(tag) is not str or not tag.isascii() or len(tag) > MAX_TAG_BYTES:
        return None
    if type(entries) is not bytes:
        return None
    if len(message) == 2:
        return Chunk(tag, entries)
    option = message[2]
    if type(option) is not dict or "compressed" in option:
        return None
    chunk_id = option.get("chunk")
    if type(chunk_id) not in (str, bytes, type(None)):
        return None
    size = option.get("size")
    if type(size) is not int:
        size = None
    return Chunk(tag, entries, chunk_id, size, None, DIGEST_MARK in option)
