"""The Forward protocol v1 as a pure machine: bytes in, chunks out, and back; no socket, no clock.

Two doors use it: the pipe under Fluentd and the TCP server. All four carriers are understood (Message, Forward,
PackedForward, CompressedPackedForward), with the `chunk` option to ack, and the handshake by shared key.
Specification: https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1

Who is to blame decides what a fault does. What breaks the *framing* (not msgpack, over the size cap, an array that is
no Forward message) raises `ProtocolError` and ends the connection: nothing after it can be trusted. What is wrong
*inside* a frame costs only itself and never raises: see `Chunk.events`.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgpack
from fluent.sender import EventTime

from fluent_krone.errors import ProtocolError, RecordError

MAX_FRAME_BYTES = 64 * 2**20
MAX_INFLATED_BYTES = 256 * 2**20

_NS = 1_000_000_000
_MAX_NS = 2**63  # what every later int64 can hold
_MAX_S = _MAX_NS // _NS
_PIECE_BYTES = 2**20
# An array header makes msgpack allocate all its slots at once, so nested false headers multiply: this bounds one
# header to 1 MiB, far beyond any array in a log record.
_MAX_EVENT_ARRAY = 2**17
# Built, a byte of nested empty maps weighs 70: nothing is built whose packed size is not bounded.
_MAX_ENTRY_BYTES = 4 * 2**20
_MAX_OPTION_BYTES = 2**16
_MAX_MEMBERS = 100_000  # of gzip in a chunk: an event each, they would fill 10 MiB
_GZIP_WBITS = 31  # zlib's name of the format
_GZIP_READ_BYTES = 2**13  # what a member leaves of one is copied
_MAX_TAG_BYTES = 2**10  # each open session and each alert keeps one
# What one chunk of garbage may keep us busy with. A time and a message in a map have 11 bytes at least.
_MAX_ENTRIES_A_PIECE = _PIECE_BYTES // 8
_MAX_ODD_ENTRIES = 10_000  # that are no events
_NIL = b"\xc0"
_NILS = re.compile(b"\xc0+")

Event = tuple[int | None, Any]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One Forward message: events under one tag, and the id to ack it by.

    `entries` is a run of packed events, whatever carrier brought them (gzip is already undone), or a list of decoded
    ones.
    `chunk` is the id just as the peer sent it, str or bytes, for its ack must equal it; None asks for no ack.
    `damage` says why the entries end before their time, when they do.

    >>> frame = encode_events("app", [(1_000_000_000, {"message": "hi"})], "id")
    >>> [chunk] = ForwardDecoder().feed(frame)
    >>> chunk.tag, chunk.chunk, list(chunk.events())
    ('app', 'id', [(1000000000, {b'message': b'hi'})])
    """

    tag: str
    entries: bytes | list[Any]
    chunk: str | bytes | None = None
    size: int | None = None
    damage: str | None = None

    def events(self) -> Iterator[Event]:
        """Yield `(time_ns, record)`; keys and strings of a record are bytes, as sent. Never raises for content.

        A sound event has a dict for record, and an int time. Everything else has not:
        - `(time_ns, x)`, x not a dict: an event whose record is no map;
        - `(None, x)`, x not a dict: no event at all (x is the entry; an entry that is a map comes as `[map]`);
        - `(None, RecordError("undecodable", …))`: bytes that can't be read. One entry that msgpack delimits but
          can't build, or that has more than 4 MiB, costs itself; one such marker stands for the rest from where it
          can't even be delimited, or is plainly garbage: 10,000 entries that are no events, or a MiB of tiny ones.

        A generator on purpose: the records of a chunk together weigh ten times its bytes, and building them in one
        list wakes the garbage collector (twice the time).
        """
        events = (
            _packed_events(self.entries)
            if isinstance(self.entries, bytes)
            else map(_event, self.entries)
        )
        return events if self.damage is None else _and_then(events, _undecodable(self.damage))


class FrameSplitter:
    """Cuts a byte stream into whole msgpack objects, still packed.

    Nothing is built, and no header's claim is believed, before all bytes of an object are here. Nil objects are
    dropped: the protocol keeps them for heartbeats. `max_frame_bytes` may change between two objects.
    """

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()  # from the start of the object in progress
        self._restart()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each object that `data` completes; iterate to the end before the next call.

        Raises ProtocolError at the place of the fault, after what came before it; the splitter is then of no use.
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
        """How much of an unfinished object is here; not 0 at the end of a stream means that it was cut."""
        return len(self._buffer)

    def _complete(self) -> Iterator[bytes]:
        while (size := self._next_size()) is not None:
            if nils := _NILS.match(
                self._buffer
            ):  # all at once: one by one they would cost as much as frames
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
        try:
            self._scanner.skip()
            size: int | None = self._scanner.tell() - self._offset
        except msgpack.OutOfData:
            size = None
        except ValueError as error:  # not msgpack, or nested too deep
            raise ProtocolError(f"not a Forward message: {_reason(error)}") from None
        if (size or len(self._buffer)) > self.max_frame_bytes:
            raise ProtocolError(f"a frame is larger than {self.max_frame_bytes} bytes")
        return size

    def _restart(self) -> None:
        """Let go of a scanner that has grown to the size of the largest frame seen; the next has little to look at."""
        # 0 is "no limit": ours is kept in _next_size, after each piece.
        self._scanner = msgpack.Unpacker(max_buffer_size=0, read_size=2**14)
        self._scanner.feed(self._buffer)
        self._offset = 0


class ForwardDecoder:
    """Bytes in, in any portions; out come chunks (arrays on the wire) and control objects (maps, str keys).

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
        """Return what `data` completes. After a fault the decoder is dead and every call raises its ProtocolError.

        What was complete before the fault is returned first; then `error` is set, and the next call raises it.
        """
        if self.error is not None:
            raise self.error
        frames: list[Chunk | dict[str, Any]] = []
        try:
            for packed in self._splitter.feed(data):
                frames.append(decode_frame(packed, self._max_inflated_bytes))  # noqa: PERF401 (kept on error)
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
        if 0x80 <= kind <= 0x8F or kind in (0xDE, 0xDF):
            return _unpack_map(packed)
        if 0x90 <= kind <= 0x9F or kind in (0xDC, 0xDD):
            return _decode_message(packed, max_inflated_bytes)
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise ProtocolError(f"not a Forward message: {_reason(error)}") from None
    raise ProtocolError(
        f"not a Forward message: an array or a map must come, got byte 0x{kind:02x}"
    )


def _decode_message(packed: bytes, max_inflated_bytes: int) -> Chunk:
    """Read `[tag, entries, option?]` or `[tag, time, record, option?]`.

    The entries stay packed; only the option is built here, whose strings must tell str from bin for the ack.
    """
    unpacker = _unpacker(packed)
    length = unpacker.read_array_header()
    if not 2 <= length <= 4:
        raise ProtocolError(f"not a Forward message: an array of {length} elements")
    if not _is_text(packed[unpacker.tell()]):
        raise ProtocolError(
            f"not a Forward message: the tag begins with byte 0x{packed[unpacker.tell()]:02x}"
        )
    tag = unpacker.unpack()[
        :_MAX_TAG_BYTES
    ]  # no error, after which a pipe would get the same again
    start, read = unpacker.tell(), 2
    kind = packed[start]
    if is_packed := _is_text(kind):
        entries = unpacker.unpack()
    elif 0x90 <= kind <= 0x9F or kind in (0xDC, 0xDD):
        unpacker.skip()
        entries = packed[start + {0xDC: 3, 0xDD: 5}.get(kind, 1) : unpacker.tell()]
    elif length > 2:  # Message mode: a time and a record
        unpacker.skip()
        unpacker.skip()
        entries, read = b"\x92" + packed[start : unpacker.tell()], 3
    else:
        raise ProtocolError(f"not a Forward message: the entries begin with byte 0x{kind:02x}")
    if length - read > 1:
        raise ProtocolError(f"not a Forward message: {length - read} elements after the entries")
    option = _unpack_map(packed[unpacker.tell() :]) if length > read else {}
    return _chunk(
        tag.decode("utf-8", "replace"), entries, option, max_inflated_bytes if is_packed else None
    )


def _is_text(kind: int) -> bool:
    """Whether a str or bin begins with this byte."""
    return 0xA0 <= kind <= 0xBF or kind in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB)


def _chunk(
    tag: str, entries: bytes, option: dict[str, Any], max_inflated_bytes: int | None
) -> Chunk:
    chunk, size, damage = option.get("chunk"), option.get("size"), None
    if not isinstance(chunk, (str, bytes, type(None))):
        raise ProtocolError(f"option chunk must be a string, got {type(chunk).__name__}")
    compressed = option.get("compressed")
    if compressed not in (None, "text", "gzip", b"text", b"gzip"):
        # Not "undecodable": it would be acked and lost. So it stays with the sender until its settings are mended.
        raise ProtocolError(f"option compressed must be gzip or text, got {compressed!r:.40}")
    if compressed in ("gzip", b"gzip") and max_inflated_bytes is not None:
        entries, damage = _inflate(entries, max_inflated_bytes)
    return Chunk(tag, entries, chunk, size if isinstance(size, int) else None, damage)


def _inflate(data: bytes, max_bytes: int) -> tuple[bytes, str | None]:
    """Undo gzip, any number of members in a row; return what came out, and what stopped it.

    Fluentd writes one member for each append to its buffer, thousands in a chunk: `gzip.decompress` copies the rest
    of the input for each, and a GzipFile reads the headers in Python. A bomb yields nothing but its name.
    """
    out, view, at = io.BytesIO(), memoryview(data), 0
    try:
        for _ in range(_MAX_MEMBERS):
            if at == len(data):
                return out.getvalue(), None
            member = zlib.decompressobj(_GZIP_WBITS)
            while not member.eof:
                given = view[at : at + _GZIP_READ_BYTES]
                piece = member.decompress(given, _PIECE_BYTES)
                at += len(given) - len(member.unconsumed_tail) - len(member.unused_data)
                if not (given or piece):
                    return out.getvalue(), f"gzip entries are damaged: {_CUT_SHORT}"
                if out.tell() + len(piece) > max_bytes:
                    return b"", f"gzip entries inflate past {max_bytes} bytes"
                out.write(piece)
    except zlib.error as error:
        return out.getvalue(), f"gzip entries are damaged: {_reason(error)}"
    return out.getvalue(), None if at == len(
        data
    ) else f"gzip entries in more than {_MAX_MEMBERS} members"


def _unpack_map(packed: bytes) -> dict[str, Any]:
    """Decode an option or control map; strings stay str and binaries bytes, and neither can fail."""
    if len(packed) > _MAX_OPTION_BYTES:
        raise ProtocolError(
            f"not a Forward message: an option or control map of {len(packed)} bytes"
        )
    value = msgpack.unpackb(packed, raw=False, unicode_errors="surrogateescape", ext_hook=_ext)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ProtocolError(f"not a Forward message: the option is of type {type(value).__name__}")
    return value


# --- events: the hot path -------------------------------------------------------------------------------------------


def _ext(code: int, data: bytes) -> Any:
    """Give EventTime as `(seconds, nanoseconds)`, a tuple as nothing else is; other kinds their payload."""
    return _unpack_event_time(data) if code == 0 and len(data) == 8 else data


_unpack_event_time = struct.Struct(">II").unpack


def _unpacker(packed: bytes, max_array_len: int = -1) -> msgpack.Unpacker:
    unpacker = _empty_unpacker(len(packed), max_array_len)
    unpacker.feed(packed)
    return unpacker


def _empty_unpacker(size: int, max_array_len: int = -1) -> msgpack.Unpacker:
    # Integer keys are legal in a Ruby hash, hence no strict_map_key. One spare byte: see _packed_events.
    return msgpack.Unpacker(
        raw=True,
        strict_map_key=False,
        ext_hook=_ext,
        max_buffer_size=size + 1,
        max_array_len=max_array_len,
    )


def _packed_events(packed: bytes) -> Iterator[Event]:
    unpacker = _empty_unpacker(len(packed), _MAX_EVENT_ARRAY)
    index, odd, idle_bytes = -1, 0, 0
    try:
        for at in range(0, len(packed), _PIECE_BYTES):
            unpacker.feed(packed[at : at + _PIECE_BYTES])
            before = index
            for index, entry in enumerate(unpacker, index + 1):  # noqa: B007, B020 (read when it fails; it goes on)
                if type(entry) is list and len(entry) == 2:
                    time, record = entry
                    if type(time) is list and time:  # Fluent Bit: [time, metadata]
                        time = time[0]
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
            idle_bytes = idle_bytes + _PIECE_BYTES if index == before else 0
            if (
                idle_bytes >= _MAX_ENTRY_BYTES - _PIECE_BYTES
            ):  # one entry spans these pieces, and perhaps too many
                yield from _one_by_one(packed, index + 1)
                return
        # A partial object ends the loop just as the end does. A nil more tells: it comes back only after a clean end.
        unpacker.feed(_NIL)
        if unpacker.unpack() is not None:
            yield _undecodable(_CUT_SHORT)
    except msgpack.OutOfData:
        yield _undecodable(_CUT_SHORT)
    except (
        ValueError,
        TypeError,
        OverflowError,
    ):  # the unpacker's own position is then somewhere inside the entry
        yield from _one_by_one(packed, index + 1)


def _one_by_one(packed: bytes, done: int) -> Iterator[Event]:
    """Delimit each entry before it is built, so that one which can't be built costs only itself. Half as fast."""
    scanner, odd = _unpacker(packed), 0
    for _ in range(done):
        scanner.skip()
    start = scanner.tell()
    while start < len(packed):
        try:
            scanner.skip()
        except (ValueError, msgpack.OutOfData) as error:
            yield _undecodable(_reason(error))
            return
        end = scanner.tell()
        event = _entry_alone(packed[start:end])
        odd += event[0] is None
        if odd > _MAX_ODD_ENTRIES:
            yield _undecodable(_GARBAGE)
            return
        yield event
        start = end


def _entry_alone(packed: bytes) -> Event:
    if len(packed) > _MAX_ENTRY_BYTES:
        return _undecodable(f"it has {len(packed)} bytes")
    try:
        return _event(_unpacker(packed, _MAX_EVENT_ARRAY).unpack())
    except (ValueError, TypeError, OverflowError) as error:
        return _undecodable(_reason(error))


def _event(entry: Any) -> Event:
    """Check one decoded entry: `[time, record]`, or Fluent Bit's `[[time, metadata], record]`."""
    if type(entry) is list and len(entry) == 2:
        time, record = entry
        if type(time) is list and time:
            time = time[0]
        time_ns = _time_ns(time)
        if time_ns is not None:
            return time_ns, record
    return None, [entry] if type(entry) is dict else entry


def _time_ns(time: Any) -> int | None:
    kind = type(time)
    if kind is tuple:
        return int(time[0] * _NS + time[1])
    if kind not in (int, float) or not -_MAX_S < time < _MAX_S:  # NaN is not
        return None
    # A double holds no more than microseconds at today's dates.
    return int(time * _NS if kind is int else round(time * 1_000_000) * 1_000)


def _undecodable(why: str) -> Event:
    return None, RecordError("undecodable", f"undecodable entry: {why}")


def _and_then(events: Iterable[Event], last: Event) -> Iterator[Event]:
    yield from events
    yield last


def _reason(error: Exception) -> str:
    return _MSGPACK_REASONS.get(type(error)) or str(error) or type(error).__name__


_CUT_SHORT = "cut short"
_GARBAGE = f"more than {_MAX_ODD_ENTRIES} entries of the chunk are no events"
_MSGPACK_REASONS: dict[type, str] = {  # errors that msgpack raises without a word
    msgpack.FormatError: "not msgpack",
    msgpack.StackError: "nested too deep",
    msgpack.OutOfData: _CUT_SHORT,
}


# --- encoding -------------------------------------------------------------------------------------------------------


def encode_event_time(time_ns: int) -> EventTime | int:
    """Return what msgpack packs as a Forward time: an EventTime, or whole seconds where its 32 bits do not reach."""
    if 0 <= time_ns < 2**32 * _NS:
        return EventTime.from_unix_nano(time_ns)
    return time_ns // _NS


def encode_events(
    tag: str, events: Sequence[tuple[int, Mapping[str, Any]]], chunk_id: str | None
) -> bytes:
    """Pack `(time_ns, record)` events as one PackedForward frame."""
    pack = msgpack.Packer().pack
    entries = b"".join([pack([encode_event_time(time_ns), record]) for time_ns, record in events])
    option: dict[str, Any] = {"size": len(events)}
    if chunk_id is not None:
        option["chunk"] = chunk_id
    return _pack([tag, entries, option])


def ack_bytes(chunk_id: str | bytes) -> bytes:
    """Pack the ack of one chunk; the id goes back as it came."""
    return _pack({"ack": chunk_id})


def _pack(value: Any) -> bytes:
    return bytes(msgpack.packb(value, unicode_errors="surrogateescape"))


# --- handshake ------------------------------------------------------------------------------------------------------


def _nonce() -> bytes:
    return os.urandom(16)


def _salt() -> str:
    return os.urandom(16).hex()  # as text: Fluent Bit takes no bin for a salt


@dataclass(frozen=True, slots=True)
class HandshakeOutcome:
    """The server's answer to a PING: the PONG to send, and what to log."""

    pong: bytes
    accepted: bool
    reason: str
    client: str


@dataclass(frozen=True, slots=True)
class ServerHandshake:
    """The server's half: send `helo()`, hand the client's PING to `answer`. One instance a connection.

    `users` (name → password), when given, must vouch for the client besides the key. `hostname` must differ from the
    client's own: Fluentd takes an equal name for a loop and refuses the connection.
    """

    shared_key: str = field(repr=False)
    hostname: str
    users: Mapping[str, str] | None = field(default=None, repr=False)
    nonce: bytes = field(default_factory=_nonce, repr=False)
    auth_salt: bytes = field(default_factory=_nonce, repr=False)

    def helo(self) -> bytes:
        auth = self.auth_salt if self.users is not None else ""
        return _pack(["HELO", {"nonce": self.nonce, "auth": auth, "keepalive": True}])

    def answer(self, packed: bytes) -> HandshakeOutcome:
        """Judge a PING. A refusal is an outcome; what is no PING at all raises ProtocolError."""
        client, salt, digest, user, password = _handshake_message(packed, b"PING", 6)
        name = client.decode("utf-8", "replace")
        refusal = self._refusal(client, salt, digest, user, password)
        if refusal:
            return HandshakeOutcome(_pack(["PONG", False, refusal, "", ""]), False, refusal, name)
        proof = _digest(salt, self.hostname.encode(), self.nonce, self.shared_key.encode())
        return HandshakeOutcome(_pack(["PONG", True, "", self.hostname, proof]), True, "", name)

    def _refusal(
        self, client: bytes, salt: bytes, digest: bytes, user: bytes, password: bytes
    ) -> str:
        """Give the reason against a client, in the words that Fluentd uses; Fluent Bit has room for 31 bytes."""
        if not _same(digest, _digest(salt, client, self.nonce, self.shared_key.encode())):
            return "shared_key mismatch"
        if self.users is None:
            return ""
        known = self.users.get(user.decode("utf-8", "replace"))
        # An unknown name takes as long as a wrong password.
        right = _same(password, _digest(self.auth_salt, user, (known or "").encode()))
        return "" if right and known is not None else "username/password mismatch"


@dataclass(frozen=True, slots=True)
class ClientHandshake:
    """The client's half: answer the HELO with `ping`, then `check_pong` before the first event."""

    shared_key: str = field(repr=False)
    hostname: str
    username: str = ""
    password: str = field(default="", repr=False)
    salt: str = field(default_factory=_salt, repr=False)

    def ping(self, packed: bytes) -> tuple[bytes, bytes]:
        """Return the PING for a HELO, and the server's nonce, which `check_pong` wants back."""
        (option,) = _handshake_message(packed, b"HELO", 2, dict)
        nonce, auth = option.get(b"nonce", b""), option.get(b"auth", b"")
        if not isinstance(nonce, bytes) or not isinstance(auth, bytes):
            raise ProtocolError("handshake: the HELO's nonce and auth must be strings")
        key = _digest(self.salt.encode(), self.hostname.encode(), nonce, self.shared_key.encode())
        login = ("", "")
        if auth:
            login = (self.username, _digest(auth, self.username.encode(), self.password.encode()))
        return _pack(["PING", self.hostname, self.salt, key, *login]), nonce

    def check_pong(self, packed: bytes, nonce: bytes) -> None:
        """Raise ProtocolError with the server's reason, or when the server does not know the key itself."""
        accepted, reason, server, digest = _handshake_message(packed, b"PONG", 5, object)
        if accepted is not True:
            raise ProtocolError(f"the server refused us: {_text(reason)}")
        if not isinstance(server, bytes) or not isinstance(digest, bytes):
            raise ProtocolError("handshake: the PONG's hostname and digest must be strings")
        if not _same(digest, _digest(self.salt.encode(), server, nonce, self.shared_key.encode())):
            raise ProtocolError("the server's shared_key differs from ours")


def _handshake_message(packed: bytes, name: bytes, length: int, kind: type = bytes) -> list[Any]:
    """Return the elements after the name, all strings as bytes, each of type `kind`."""
    try:
        message = msgpack.unpackb(packed, raw=True, strict_map_key=False)
    except (ValueError, TypeError):
        message = None
    if not isinstance(message, list) or len(message) != length or message[0] != name:
        _no_handshake(name)
    if not all(isinstance(part, kind) for part in message[1:]):
        _no_handshake(name)
    return message[1:]


def _no_handshake(name: bytes) -> NoReturn:
    raise ProtocolError(
        f"handshake: expected {name.decode()}; does one side use shared_key and the other not?"
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _digest(*parts: bytes) -> str:
    return hashlib.sha512(b"".join(parts)).hexdigest()


def _same(given: bytes, expected: str) -> bool:
    return hmac.compare_digest(given, expected.encode())
