"""Chunks of a live stream in segment files, as a service that learns has collected them.

A frame is an array in msgpack. A chunk is `[0, arrived_ns, tag, size, entries]` with its entries as
they came. A commit is `[1, keys, facts]`: the keys of the chunks before it, of which all are
final. A gap is `[2]`: here records are missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from ..errors import ConfigError
from ..reading.records import TAG
from ..segments import MAGIC, frames_of
from ..transport.forward import Chunk
from ..transport.forward.encode import encode_event_time
from ..transport.forward.spool import pieces

_CHUNK = 0
_COMMIT = 1
_GAP = 2
# The header of a byte string of any length.
_BIN_32 = struct.Struct(">BI")
_BIN_32_MARK = 0xC6
# The header of an array of five elements.
_ARRAY_OF_5 = b"\x95"
# Bytes of entries that are copied behind their head at once.
_SMALL_BYTES = 2**16
# A packer for all frames: to make one costs as much as to pack a head.
_pack = msgpack.Packer().pack


@dataclass(frozen=True, slots=True)
class Spooled:
    """A chunk, and the wall time at which it arrived."""

    arrived_ns: int
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit made final: keys of chunks, and facts of whoever wrote it."""

    keys: list[bytes]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gap:
    """Records are missing here: sessions across it are not whole."""


def chunk_parts(chunk: Chunk, arrived_ns: int) -> list[bytes]:
    """A frame that holds a chunk."""
    entries = chunk.entries
    if isinstance(entries, list):
        entries = _packed(chunk)
    tag = chunk.tag.encode("utf-8", "surrogateescape")
    # An array of four elements becomes one of five, with the entries as the last one: they may be a
    # file, which is copied piece by piece.
    four = _pack((_CHUNK, arrived_ns, tag, chunk.size))
    head = _ARRAY_OF_5 + four[1:] + _BIN_32.pack(_BIN_32_MARK, len(entries))
    if entries.__class__ is bytes and len(entries) <= _SMALL_BYTES:
        return [head + entries]
    return [head, *pieces(entries)]


def commit_parts(keys: Sequence[bytes], facts: dict[str, Any]) -> list[bytes]:
    """A frame that holds a commit."""
    return [msgpack.packb([_COMMIT, list(keys), facts])]


def gap_parts() -> list[bytes]:
    """A frame that says that records are missing."""
    return [msgpack.packb([_GAP])]


def unpacked(frame: bytes) -> Spooled | Committed | Gap:
    """What a frame holds. Raises ConfigError for one of another program."""
    try:
        kind, *rest = msgpack.unpackb(frame, raw=False, unicode_errors="surrogateescape")
        if kind == _CHUNK:
            arrived_ns, tag, size, entries = rest
            name = tag.decode("utf-8", "surrogateescape")
            return Spooled(arrived_ns, Chunk(name, entries, size=size))
        if kind == _GAP:
            return Gap()
        keys, facts = rest
        return Committed(keys, facts)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"a spool holds a frame that can't be read: {error}") from None


def is_spool(path: Path) -> bool:
    """Whether a file is one of a spool; the file need not be readable."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def spooled_events(path: Path) -> Iterator[tuple[int | None, dict[bytes, Any]]]:
    """The events of one file in the order of their arrival, each with its tag under `TAG`.

    What became no event at the input comes as a record without message.
    """
    with path.open("rb") as file:
        for _, frame in frames_of(file):
            spooled = unpacked(frame)
            if not isinstance(spooled, Spooled):
                continue
            tag = spooled.chunk.tag.encode("utf-8", "surrogateescape")
            for time_ns, record in spooled.chunk.events():
                # As in Fluentd, a time of 0 is now.
                at = time_ns or spooled.arrived_ns
                if record.__class__ is dict:
                    record[TAG] = tag
                    yield at, record
                else:
                    yield at, {}


def _packed(chunk: Chunk) -> bytes:
    """Entries that came one by one, as a run; those that are no events are left out."""
    pack = msgpack.Packer().pack
    return b"".join(
        pack([encode_event_time(time_ns), record])
        for time_ns, record in chunk.events()
        if time_ns is not None
    )
