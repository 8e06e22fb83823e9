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

from fluent_krone.errors import ProtocolError
from fluent_krone.transport.forward.compression import inflate_gzip
from fluent_krone.transport.forward.entries import Chunk, extension, fault, unpacker
from fluent_krone.transport.forward.small import small_message
from fluent_krone.transport.limits import MAX_FRAME_BYTES, MAX_INFLATED_BYTES

# Bytes that the scanner gets at a time, so that the limit on frames is checked before much more
# than a frame is buffered.
_PIECE_BYTES = 2**20
# Bytes of an option or of a control map, which are built whole. Real ones have a few hundred.
_MAX_OPTION_BYTES = 2**16
# Bytes of a tag. Each open session and each alert keeps one, so a longer one is cut. It is not an
# error, after which a pipe would get the same chunk again for ever.
_MAX_TAG_BYTES = 2**10
_NILS = re.compile(b"\xc0+")
_NOT_FORWARD = "not a Forward message"


class FrameTooLarge(ProtocolError):
    """A frame has more bytes than allowed."""


class FrameSplitter:
    """Cuts a byte stream into whole msgpack objects, which stay packed.

    Nothing is built, and no length in a header is believed, before all bytes of an object have
    arrived. Nil objects are dropped, because the protocol uses them as heartbeats.
    `max_frame_bytes` may change between two objects.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        # All bytes from the start of the unfinished object on.
        self._buffer = bytearray()
        self._restart()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each object that `data` completes; iterate to the end before the next call.

        Raises ProtocolError at the place of the fault, after what came before it. The splitter
        cannot be used afterwards.
        """
        for at in range(0, len(data), _PIECE_BYTES):
            piece = data[at : at + _PIECE_BYTES]
            self._buffer += piece
            self._scanner.feed(piece)
            yield from self._complete()
        if self._offset > _PIECE_BYTES:
            self._restart()

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished object; not 0 at the end of a stream means that it was cut."""
        return len(self._buffer)

    def _complete(self) -> Iterator[bytes]:
        while (size := self._next_size()) is not None:
            # A run of nils is dropped at once: one by one, each would cost as much as a frame.
            if nils := _NILS.match(self._buffer):
                self._scanner.read_bytes(nils.end() - size)
                self._cut(nils.end())
            else:
                yield self._cut(size)

    def _cut(self, size: int) -> bytes:
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
            raise ProtocolError(f"{_NOT_FORWARD}: {fault(error)}") from None
        if (size or len(self._buffer)) > self.max_frame_bytes:
            raise FrameTooLarge(f"a frame is larger than {self.max_frame_bytes} bytes")
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
    packed: bytes, max_inflated_bytes: int = MAX_INFLATED_BYTES
) -> Chunk | dict[str, Any]:
    """Turn one whole packed object into a Chunk (array) or a control object (map)."""
    kind = packed[0]
    try:
        if _is_map(kind):
            return _unpack_map(packed)
        if _is_array(kind):
            return small_message(packed) or _decode_message(packed, max_inflated_bytes)
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise ProtocolError(f"{_NOT_FORWARD}: {fault(error)}") from None
    raise ProtocolError(f"{_NOT_FORWARD}: expected an array or a map, got byte 0x{kind:02x}")


def _decode_message(packed: bytes, max_inflated_bytes: int) -> Chunk:
    """Read `[tag, entries, option?]` or `[tag, time, record, option?]`.

    The entries stay packed. Only the option is built here, and it keeps str and bin apart, which
    the ack needs.
    """
    reader = unpacker(packed)
    length = reader.read_array_header()
    if not 2 <= length <= 4:
        raise ProtocolError(f"{_NOT_FORWARD}: an array of {length} elements")
    kind = packed[reader.tell()]
    if not _is_text(kind):
        raise ProtocolError(f"{_NOT_FORWARD}: the tag begins with byte 0x{kind:02x}")
    tag = reader.unpack()[:_MAX_TAG_BYTES].decode("utf-8", "replace")
    start = reader.tell()
    kind = packed[start]
    # Elements that have been read.
    done = 2
    if _is_text(kind):
        entries = reader.unpack()
    elif _is_array(kind):
        reader.skip()
        entries = packed[start + _array_header_bytes(kind) : reader.tell()]
    elif length > 2:
        # Message mode: a time and a record take the place of the entries.
        reader.skip()
        reader.skip()
        entries = b"\x92" + packed[start : reader.tell()]
        done = 3
    else:
        raise ProtocolError(f"{_NOT_FORWARD}: the entries begin with byte 0x{kind:02x}")
    if length - done > 1:
        raise ProtocolError(f"{_NOT_FORWARD}: {length - done} elements after the entries")
    option: dict[str, Any] = {}
    if length > done:
        option = _unpack_map(packed[reader.tell() :])
    damage = None
    if _is_gzip(option) and _is_text(kind):
        entries, damage = inflate_gzip(entries, max_inflated_bytes)
    return _chunk(tag, entries, option, damage)


def _is_array(kind: int) -> bool:
    """Whether an array begins with this byte."""
    return 0x90 <= kind <= 0x9F or kind in (0xDC, 0xDD)


def _array_header_bytes(kind: int) -> int:
    return {0xDC: 3, 0xDD: 5}.get(kind, 1)


def _is_map(kind: int) -> bool:
    """Whether a map begins with this byte."""
    return 0x80 <= kind <= 0x8F or kind in (0xDE, 0xDF)


def _is_text(kind: int) -> bool:
    """Whether a str or bin begins with this byte."""
    return 0xA0 <= kind <= 0xBF or kind in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB)


def _is_gzip(option: dict[str, Any]) -> bool:
    """Whether packed entries are compressed.

    An unknown compression is a fault of the framing and not an undecodable entry, which would be
    acked and lost. So the chunk stays with its sender until the sender's settings are corrected.
    """
    compressed = option.get("compressed")
    if compressed not in (None, "text", "gzip", b"text", b"gzip"):
        raise ProtocolError(f"option compressed must be gzip or text, got {compressed!r:.40}")
    return compressed in ("gzip", b"gzip")


def _chunk(tag: str, entries: bytes, option: dict[str, Any], damage: str | None) -> Chunk:
    chunk = option.get("chunk")
    if not isinstance(chunk, (str, bytes, type(None))):
        raise ProtocolError(f"option chunk must be a string, got {type(chunk).__name__}")
    size = option.get("size")
    if not isinstance(size, int):
        size = None
    return Chunk(tag, entries, chunk, size, damage)


def _unpack_map(packed: bytes) -> dict[str, Any]:
    """Decode an option or control map: strings stay str, binaries stay bytes, and neither fails."""
    if len(packed) > _MAX_OPTION_BYTES:
        raise ProtocolError(f"{_NOT_FORWARD}: an option or control map of {len(packed)} bytes")
    value = msgpack.unpackb(packed, raw=False, unicode_errors="surrogateescape", ext_hook=extension)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"{_NOT_FORWARD}: the option is of type {type(value).__name__}")
    return value
