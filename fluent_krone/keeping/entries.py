"""Fields added to a packed record, whose other bytes all stay as they came.

An entry is `[time, record]`, or `[[time, metadata], record]` as Fluent Bit sends it. What goes out
is always `[time, record]`, which every receiver reads. The record is a map: its header gets a
larger number of fields, and the new ones go behind its last. Nothing is decoded, so types, order,
and strings that are no UTF-8 stay as they were. For standard output and for files, records are
shown as JSON (`line_of`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import msgpack

from ..alerts.records import iso_time
from ..transport.forward import Chunk, encode_event_time

# `[` of two elements, and an EventTime: how nearly every entry begins.
_PAIR = 0x92
_EVENT_TIME = b"\xd7\x00"
_EVENT_TIME_BYTES = 10
_USUAL_HEAD = b"\x92" + _EVENT_TIME
_USUAL_BYTES = 1 + _EVENT_TIME_BYTES
_ZERO_TIME = bytes(8)
# Of maps: up to 15 fields, up to 65,535, and more.
_FIX_MAP = 0x80
_FIX_MOST = 15
_MAP_16 = 0xDE
_MAP_32 = 0xDF
_MOST_16 = 0xFFFF
_pack = msgpack.Packer(unicode_errors="surrogateescape").pack


class NotARecord(ValueError):
    """An entry that has no map for its record, to which no field can be added."""


def packed_fields(fields: Mapping[str, Any]) -> tuple[int, bytes]:
    """The number of fields that have a value, and their packed bytes, without a map's header."""
    given = {name: value for name, value in fields.items() if value is not None}
    return len(given), b"".join(_pack(name) + _pack(value) for name, value in given.items())


def parts_of(entry: bytes) -> tuple[bytes, int]:
    """The packed time of an entry, and the byte at which its record begins.

    Raises NotARecord.
    """
    if entry[0] == _PAIR:
        if entry[1:3] == _EVENT_TIME:
            return entry[1 : 1 + _EVENT_TIME_BYTES], 1 + _EVENT_TIME_BYTES
        return _parts_of_other(entry)
    raise NotARecord("an entry is no pair")


def _parts_of_other(entry: bytes) -> tuple[bytes, int]:
    reader = msgpack.Unpacker(max_buffer_size=0)
    reader.feed(entry)
    reader.read_array_header()
    start = reader.tell()
    if entry[start] == _PAIR:
        # A time with Fluent Bit's metadata, which no other receiver takes.
        reader.read_array_header()
        start = reader.tell()
        reader.skip()
        end = reader.tell()
        reader.skip()
        return entry[start:end], reader.tell()
    reader.skip()
    return entry[start : reader.tell()], reader.tell()


def with_fields(entry: bytes, fields: tuple[int, bytes], arrived_ns: int) -> bytes:
    """The entry as it goes out, with fields of `packed_fields`.

    An entry whose time is nil or 0, which means now, gets the time at which it arrived. Raises
    NotARecord.
    """
    return b"".join(entry_parts(entry, 0, len(entry), fields, arrived_ns))


def entry_parts(
    data: bytes, start: int, end: int, fields: tuple[int, bytes], arrived_ns: int
) -> tuple[bytes, ...]:
    """The same of the entry that lies in `data[start:end]`, in parts to be joined."""
    at = start + _USUAL_BYTES
    # Nearly all entries begin so, and have few fields: the short way is a third of the other.
    if data[start : start + 3] == _USUAL_HEAD and end > at:
        size = data[at] - _FIX_MAP
        count, packed = fields
        if 0 <= size <= _FIX_MOST and data[start + 3 : at] != _ZERO_TIME:
            return data[start:at], _map_header(size + count), data[at + 1 : end], packed
    return _entry_parts(data[start:end], fields, arrived_ns)


def _entry_parts(entry: bytes, fields: tuple[int, bytes], arrived_ns: int) -> tuple[bytes, ...]:
    time, at = parts_of(entry)
    count, packed = fields
    header = entry[at]
    if _FIX_MAP <= header <= _FIX_MAP + _FIX_MOST:
        size = header - _FIX_MAP
        at += 1
    elif header == _MAP_16:
        [size] = struct.unpack_from(">H", entry, at + 1)
        at += 3
    elif header == _MAP_32:
        [size] = struct.unpack_from(">I", entry, at + 1)
        at += 5
    else:
        raise NotARecord("a record is no map")
    if time in _NOW:
        time = _pack(encode_event_time(arrived_ns))
    return b"\x92", time, _map_header(size + count), entry[at:], packed


# Packed times that mean now: nil, and 0 as an integer and as an EventTime.
_NOW = frozenset((b"\xc0", b"\x00", _EVENT_TIME + bytes(8)))


def _map_header(size: int) -> bytes:
    if size <= _FIX_MOST:
        return bytes((_FIX_MAP + size,))
    if size <= _MOST_16:
        return struct.pack(">BH", _MAP_16, size)
    return struct.pack(">BI", _MAP_32, size)


def record_id(tag: str, entry: bytes, name: bytes, position: int) -> str:
    """What identifies a record: 32 hex digits over tag, time, chunk, and place in the chunk.

    The same chunk, sent again, gives the same ids.
    """
    time, _ = parts_of(entry)
    return id_of(tag.encode("utf-8", "surrogateescape"), time, name, str(position).encode())


def id_of(*parts: bytes) -> str:
    """32 hex digits over these parts."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.hexdigest()


def events_of(entries: bytes) -> Iterator[tuple[int, Any]]:
    """Time in ns and record of each packed entry."""
    for time_ns, record in Chunk("", entries).events():
        yield time_ns or 0, record


def line_of(tag: str, time_ns: int, record: Any) -> dict[str, Any]:
    """What a line shows of a record: its tag, its time, and its fields."""
    return {"tag": tag, "time": iso_time(time_ns), "record": plain(record)}


def plain(value: Any) -> Any:
    """A decoded value as JSON can carry it: bytes that are no UTF-8 are shown as such."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_key(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def _key(name: Any) -> str:
    return str(plain(name))
