"""From packed entries to times and records: the hot path of both inputs.

What is wrong inside a frame costs only itself and never raises: see `Chunk.events`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import msgpack

from ...errors import RecordError
from .spool import Run, pieces

_NS = 1_000_000_000
# Seconds beyond this do not fit an int64 of nanoseconds, which all later stages use. An entry with
# such a time is not an event.
_MAX_S = 2**63 // _NS
# Bytes that msgpack gets at a time: small beside a frame, large beside an event.
_PIECE_BYTES = 2**20
# Elements of one array in an entry. The header alone makes msgpack allocate all slots, so nested
# false headers multiply. This bounds one header to 1 MiB and is far beyond any array in a log
# record; an entry with a longer one is undecodable.
_MAX_EVENT_ARRAY = 2**17
# Bytes of one entry. A packed byte of nested empty maps weighs 70 bytes once it is built, so
# nothing is built whose packed size has no bound. A larger entry is undecodable.
_MAX_ENTRY_BYTES = 4 * 2**20
# Bytes of an entry that are passed over in search of its end. After more of them the rest of the
# chunk is given up.
_MAX_SCANNED_BYTES = 64 * 2**20
# Bytes of a chunk that are looked at for the time of its first event. Metadata that Fluent Bit puts
# beside the time seldom has as many.
_FIRST_TIME_BYTES = 2**9
# Entries in a piece, which bounds the time that one chunk of garbage can cost. A time and a message
# in a map have at least 11 bytes, so more entries than this cannot be events.
_MAX_ENTRIES_A_PIECE = _PIECE_BYTES // 8
# Entries of a chunk that are not events. After more of them the rest of the chunk is given up.
_MAX_ODD_ENTRIES = 10_000
# Entries that are built at once, by one call of msgpack: as many as its shortest array holds. For
# them an unpacker and a generator would cost more than the entries.
_FEW = 15
# Bytes of them all. A byte of nested empty maps weighs 70 bytes once it is built.
_FEW_BYTES = 2**13
# The first byte of msgpack's shortest array, without the number of elements.
_ARRAY_HEADER = 0x90
# An option that only Fluent Bit sends, since 2.0. Its ids are 16 bytes of a SHA-512 digest of the
# records in Base64. By their form they cannot be told from Fluentd's random ids.
DIGEST_MARK = "fluent_signal"
# How an event begins with which clients send nanoseconds: `[time, …` and `[[time, …`, where the
# time is an EventTime. The bytes hold all of it.
_EVENT_TIME = b"\xd7\x00"
_USUAL_HEADS = (b"\x92" + _EVENT_TIME, b"\x92\x92" + _EVENT_TIME)
_USUAL_HEAD_BYTES = 12
# Seconds from which on an EventTime beside metadata is none: Fluent Bit so marks where a group of
# records begins (-1) and ends (-2), as those of OpenTelemetry come. The seconds have no sign.
_FIRST_MARK_S = 2**32 - 2
_NIL = b"\xc0"
CUT_SHORT = "cut short"
_GARBAGE = f"more than {_MAX_ODD_ENTRIES} entries of the chunk are not events"
# Errors that msgpack raises without a message.
_MSGPACK_FAULTS: dict[type, str] = {
    msgpack.FormatError: "not msgpack",
    msgpack.StackError: "nested too deeply",
    msgpack.OutOfData: CUT_SHORT,
}

Event = tuple[int | None, Any]


class Cursor(Protocol):
    """Where in a chunk the event at hand begins; see `Chunk.events_with`."""

    current: int


# Not frozen, though nobody changes one: to make a frozen one costs as much as to decode a record.
@dataclass(slots=True, unsafe_hash=True)
class Chunk:
    """One Forward message: events under one tag, and the id to ack it by.

    `entries` is a run of packed events, whatever carrier brought them (compression is already
    undone), or a list of decoded ones. A large run lies in a temporary file and is read from there.
    `chunk` is the id exactly as the peer sent it, str or bytes, because its ack must equal it; None
    asks for no ack. `damage` says why the entries end early, when they do.

    >>> from fluent_krone.transport.forward import ForwardDecoder, encode_events
    >>> frame = encode_events("app", [(1_000_000_000, {"message": "hi"})], "id")
    >>> [chunk] = ForwardDecoder().feed(frame)
    >>> chunk.tag, chunk.chunk, list(chunk.events())
    ('app', 'id', [(1000000000, {b'message': b'hi'})])
    """

    tag: str
    entries: Run | list[Any]
    chunk: str | bytes | None = None
    size: int | None = None
    damage: str | None = None
    has_digest_id: bool = False

    def first_time_ns(self) -> int | None:
        """The time of the first event, if its entry begins with one; the rest is not decoded."""
        if isinstance(self.entries, list):
            return None
        head = self.entries[:_USUAL_HEAD_BYTES]
        if len(head) == _USUAL_HEAD_BYTES and head.startswith(_USUAL_HEADS):
            # Without an unpacker, which would cost as much as to decode a small record.
            seconds, nanoseconds = _unpack_event_time(head, head.index(_EVENT_TIME) + 2)
            if seconds >= _FIRST_MARK_S:
                return next(self.events(), (None, None))[0]
            return int(seconds * _NS + nanoseconds)
        reader = unpacker(self.entries[:_FIRST_TIME_BYTES])
        try:
            if not reader.read_array_header():
                return None
            time = reader.unpack()
        except (ValueError, TypeError, msgpack.OutOfData):
            return None
        if type(time) is list and time:
            time = time[0]
        return _time_ns(time)

    def events(self) -> Iterator[Event]:
        """Yield `(time_ns, record)`; keys and strings of a record are bytes, as sent.

        The content of a chunk never makes this raise. A sound event has an int for its time and a
        dict for its record; a time of 0, or nil, means now. Anything else is one of these:

        - `(time_ns, x)` where x is not a dict: an event whose record is not a map;
        - `(None, x)` where x is not a dict: no event at all. x is the entry, and an entry that is a
          map comes as `[map]`;
        - `(None, RecordError("undecodable", …))`: bytes that cannot be read. An entry that msgpack
          delimits but cannot build, or that has more than 4 MiB, costs only itself. One such marker
          stands for the rest of the chunk where an entry cannot even be delimited, or where the
          chunk is clearly garbage: 10,000 entries that are not events, or a MiB of tiny ones.

        The marks that Fluent Bit puts around groups of records are left out.

        This is a generator on purpose. The records of a chunk together weigh ten times its bytes,
        and building them in one list wakes the garbage collector, which doubles the time.
        """
        if isinstance(self.entries, bytes):
            few = None
            if self.size is not None and self.size <= _FEW and self.damage is None:
                few = _few_entries(self.entries, self.size)
            if few is not None:
                return _events(few)
        events: Iterator[Event]
        if isinstance(self.entries, list):
            events = _events(self.entries)
        else:
            events = _packed_events(self.entries)
        return self._with_damage(events)

    def events_with(self, cursor: Cursor, base: int) -> Iterator[Event]:
        """Yield what `events` yields, and set a cursor to the place of each event.

        While an event is taken, `cursor.current` is `base` and the byte of the packed run at which
        its entry begins. The chunk must hold a packed run.
        """
        assert not isinstance(self.entries, list), "BUG: decoded entries have no places"
        cursor.current = base
        return self._with_damage(_packed_events(self.entries, cursor, base))

    def _with_damage(self, events: Iterator[Event]) -> Iterator[Event]:
        if self.damage is None:
            return events
        return _and_then(events, _undecodable(self.damage))


def _few_entries(packed: bytes, size: int) -> list[Any] | None:
    """All entries at once, if the run is small and holds just `size` sound ones; else None.

    The sender's count is only tried: a run that holds anything else takes the usual way.
    """
    if len(packed) > _FEW_BYTES or size < 1:
        return None
    try:
        entries: list[Any] = msgpack.unpackb(
            bytes((_ARRAY_HEADER | size,)) + packed,
            raw=True,
            strict_map_key=False,
            ext_hook=extension,
        )
    except (ValueError, TypeError, OverflowError, msgpack.OutOfData):
        return None
    return entries


def fault(error: Exception) -> str:
    """Say what is wrong with packed bytes, in words that fit behind a colon."""
    return _MSGPACK_FAULTS.get(type(error)) or str(error) or type(error).__name__


def unpacker(packed: bytes, max_array_len: int = -1) -> msgpack.Unpacker:
    """Return an unpacker that holds `packed` and builds strings as bytes."""
    filled = _empty_unpacker(len(packed), max_array_len)
    filled.feed(packed)
    return filled


def _empty_unpacker(size: int, max_array_len: int) -> msgpack.Unpacker:
    # Integers are legal keys of a Ruby hash, hence strict_map_key=False. The spare byte of the
    # buffer is for the nil that _packed_events feeds last.
    return msgpack.Unpacker(
        raw=True,
        strict_map_key=False,
        ext_hook=extension,
        max_buffer_size=size + 1,
        max_array_len=max_array_len,
    )


def extension(code: int, data: bytes) -> Any:
    """Return an EventTime as `(seconds, nanoseconds)`, and the payload of any other extension.

    Nothing else is unpacked as a tuple, so a tuple is known to be a time.
    """
    if code == 0 and len(data) == 8:
        return _unpack_event_time(data)
    return data


_unpack_event_time = struct.Struct(">II").unpack_from


def _with_places(unpacker: msgpack.Unpacker, cursor: Cursor, base: int) -> Iterator[Any]:
    """Yield the unpacker's objects; the cursor moves behind one when the next is asked for."""
    tell = unpacker.tell
    for entry in unpacker:
        yield entry
        cursor.current = base + tell()


def _packed_events(packed: Run, cursor: Cursor | None = None, base: int = 0) -> Iterator[Event]:
    """Yield what a run of packed entries holds; see `Chunk.events` and `Chunk.events_with`.

    1. msgpack gets the bytes piece by piece, so that it never copies the whole run.
    2. The usual forms, `[time, record]` and Fluent Bit's `[[time, metadata], record]`, are read
       here: a call per event would cost a fifth of the throughput. `_event` reads the others.
    3. After each piece, what came out of it shows whether the run is garbage, and whether one entry
       spans enough pieces that it must be measured before it is built.
    4. An error leaves the unpacker inside an entry. `_one_by_one` passes over those that are out.
    """
    unpacker = _empty_unpacker(len(packed), _MAX_EVENT_ARRAY)
    index = -1
    odd = 0
    idle_bytes = 0
    try:
        for at in range(0, len(packed), _PIECE_BYTES):
            unpacker.feed(packed[at : at + _PIECE_BYTES])
            before = index
            entries: Iterator[Any] = unpacker
            if cursor is not None:
                entries = _with_places(unpacker, cursor, base)
            # The handler below reads `index`, and the next piece goes on counting from it.
            for index, entry in enumerate(entries, index + 1):  # noqa: B007, B020
                if type(entry) is list and len(entry) == 2:
                    time, record = entry
                    if type(time) is list and time:
                        time = time[0]
                        if type(time) is tuple and time[0] >= _FIRST_MARK_S:
                            continue
                    if type(time) is tuple:
                        yield time[0] * _NS + time[1], record
                        continue
                    if type(time) is int and -_MAX_S < time < _MAX_S:
                        yield time * _NS, record
                        continue
                event = _event(entry)
                odd += event[0] is None
                if odd > _MAX_ODD_ENTRIES:
                    yield _undecodable(_GARBAGE)
                    return
                yield event
            if index - before > _MAX_ENTRIES_A_PIECE:
                yield _undecodable("entries too small to be events")
                return
            if index != before:
                idle_bytes = 0
                continue
            idle_bytes += _PIECE_BYTES
            if idle_bytes >= _MAX_ENTRY_BYTES - _PIECE_BYTES:
                yield from _one_by_one(packed, index + 1, cursor, base)
                return
        # A partial object ends the loop just as the end of the run does. One more nil tells the two
        # apart, because it comes back only after a whole object.
        unpacker.feed(_NIL)
        if unpacker.unpack() is not None:
            yield _undecodable(CUT_SHORT)
    except msgpack.OutOfData:
        yield _undecodable(CUT_SHORT)
    except (ValueError, TypeError, OverflowError):
        yield from _one_by_one(packed, index + 1, cursor, base)


def _one_by_one(
    packed: Run, done: int, cursor: Cursor | None = None, base: int = 0
) -> Iterator[Event]:
    """Delimit each entry before building it, so that one that cannot be built costs only itself.

    This is half as fast as `_packed_events`. The first `done` entries are passed over.
    """
    scanner = _EntryScanner(packed)
    odd = 0
    start = 0
    for number in itertools.count():
        if start == len(packed):
            return
        try:
            end = scanner.next_end(start)
        except (ValueError, msgpack.OutOfData) as error:
            yield _undecodable(fault(error))
            return
        if number >= done:
            if cursor is not None:
                cursor.current = base + start
            for event in _entry_alone(packed, start, end):
                odd += event[0] is None
                if odd > _MAX_ODD_ENTRIES:
                    yield _undecodable(_GARBAGE)
                    return
                yield event
        start = end


class _EntryScanner:
    """Finds where each entry of a run ends, reading the run piece by piece."""

    def __init__(self, packed: Run) -> None:
        self._pieces = pieces(packed)
        # 0 means no limit to msgpack. Ours is in next_end.
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)
        self._fed = 0

    def next_end(self, start: int) -> int:
        """Return the end of the entry that begins at `start`, where the previous one ended.

        Raises msgpack.OutOfData at the end of the run and ValueError for what is not msgpack.
        """
        while True:
            try:
                self._unpacker.skip()
            except msgpack.OutOfData:
                # The scanner holds what it cannot pass over yet, such as half a string.
                if self._fed - start > _MAX_SCANNED_BYTES:
                    raise ValueError(f"it has more than {_MAX_SCANNED_BYTES} bytes") from None
                piece = next(self._pieces, b"")
                if not piece:
                    raise
                self._unpacker.feed(piece)
                self._fed += len(piece)
            else:
                return int(self._unpacker.tell())


def _entry_alone(packed: Run, start: int, end: int) -> list[Event]:
    """What one entry holds: an event, or nothing."""
    if end - start > _MAX_ENTRY_BYTES:
        why = f"it has {end - start} bytes; at most {_MAX_ENTRY_BYTES} are allowed"
        return [_undecodable(why)]
    try:
        return list(_events([unpacker(packed[start:end], _MAX_EVENT_ARRAY).unpack()]))
    except (ValueError, TypeError, OverflowError) as error:
        return [_undecodable(fault(error))]


def _events(entries: Iterable[Any]) -> Iterator[Event]:
    """Check decoded entries, without the marks of groups among them."""
    return map(_event, itertools.filterfalse(_is_mark, entries))


def _is_mark(entry: Any) -> bool:
    """Whether an entry is no event, but where a group of them begins or ends in Fluent Bit."""
    if type(entry) is not list or len(entry) != 2 or type(entry[0]) is not list or not entry[0]:
        return False
    time = entry[0][0]
    return type(time) is tuple and time[0] >= _FIRST_MARK_S


def _event(entry: Any) -> Event:
    """Check one decoded entry: `[time, record]`, or Fluent Bit's `[[time, metadata], record]`."""
    if type(entry) is list and len(entry) == 2:
        time, record = entry
        if type(time) is list and time:
            time = time[0]
        # A record without a time happens now, as in Fluentd, and 0 says that to the engine.
        if time is None and type(record) is dict:
            return 0, record
        time_ns = _time_ns(time)
        if time_ns is not None:
            return time_ns, record
    if type(entry) is dict:
        return None, [entry]
    return None, entry


def _time_ns(time: Any) -> int | None:
    kind = type(time)
    if kind is tuple:
        return int(time[0] * _NS + time[1])
    # The comparison is also false for NaN.
    if kind not in (int, float) or not -_MAX_S < time < _MAX_S:
        return None
    if kind is int:
        return int(time * _NS)
    # At today's dates a double holds no more than microseconds.
    return int(round(time * 1_000_000) * 1_000)


def _undecodable(why: str) -> Event:
    return None, RecordError("undecodable", f"undecodable entry: {why}")


def _and_then(events: Iterable[Event], last: Event) -> Iterator[Event]:
    yield from events
    yield last
