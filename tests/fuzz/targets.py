"""What any bytes at all must not break: one function a target, each raising on what must not be.

Hypothesis calls them in CI (`test_fuzz.py`), a coverage-guided fuzzer at length (`bench/fuzz.py`).
A target lives through all inputs of a run, as a server would: its caches and caps are small, so
that growth shows.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import msgpack
from synthetic import NORMAL, T0, gzipped, lift_engine, make_limits, ride

from fluent_krone.core.engine import Engine
from fluent_krone.errors import ProtocolError, RecordError
from fluent_krone.reading.events import EventReader
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.templates import WILDCARD, TemplateMatcher, novel_shape
from fluent_krone.transport.forward import (
    Chunk,
    ClientHandshake,
    ForwardDecoder,
    FrameSplitter,
    ServerHandshake,
    ack_bytes,
    decode_frame,
    encode_events,
)

MAX_KEYS = 4
MAX_SESSIONS = 20


def codec(data: bytes) -> None:
    """A stream of frames: whole or in portions, the same comes out."""
    size = 1 + data[0] if data else 1
    whole = _decoded([data])
    assert _decoded([data[at : at + size] for at in range(0, len(data), size)]) == whole
    for frame in whole[0]:
        if isinstance(frame, Chunk):
            _check_events(frame)
            if frame.chunk is not None:
                assert decode_frame(ack_bytes(frame.chunk)) == {"ack": frame.chunk}


def large(data: bytes) -> None:
    """Frames of a few bytes are read into files; a sound stream gives what it gives in memory."""
    in_memory = _split(FrameSplitter(2**16), [data])
    in_files = _split(FrameSplitter(2**16, large_bytes=8), [data[:9], data[9:20], data[20:]])
    if in_memory is None or in_files is None:
        return
    for one, other in zip(in_memory, in_files, strict=True):
        if isinstance(one, Chunk):
            assert (one.tag, one.chunk, one.size) == (other.tag, other.chunk, other.size)
            assert [repr(event) for event in one.events()] == [repr(e) for e in other.events()]
        else:
            assert one == other


def entries(data: bytes) -> None:
    """What a chunk packs, also where gzip was damaged on the way."""
    _check_events(Chunk("t", data))
    damaged = gzip.compress(data, 1, mtime=0)[: 10 + len(data)]
    [chunk] = ForwardDecoder().feed(msgpack.packb(["t", damaged, {"compressed": "gzip"}]))
    assert isinstance(chunk, Chunk)
    _check_events(chunk)


def handshake(data: bytes) -> None:
    """Any message in place of a HELO, PING or PONG lets nobody in."""
    with contextlib.suppress(ProtocolError):
        assert not ServerHandshake("key", "server", {"ann": "pw"}).answer(data).accepted
    client = ClientHandshake("key", "client", "ann", "pw")
    with contextlib.suppress(ProtocolError):
        client.ping(data)
    try:
        client.check_pong(data, b"nonce")
    except ProtocolError:
        return
    raise AssertionError("a stranger was taken for the server")


def matcher(data: bytes) -> None:
    """Templates and messages: the cache changes nothing, and a template that is found does begin
    the message.
    """
    *texts, messages = data.split(b"\0", 8)
    templates = ["lift <*> at <num>", *(text.decode("utf-8", "ignore") for text in texts)]
    small, large = TemplateMatcher(templates), TemplateMatcher(templates)
    for message in (*messages.split(b"\n", 20), messages):
        found = small.match(message)
        assert found == large.match(message) == large.match(message)
        assert len(large.slots(found, message)) == _wildcards(templates, found)
        assert -1 <= found < len(templates)
        assert len(novel_shape(message)) <= 200
        _long_lived_matcher().match(message)


def _wildcards(templates: list[str], found: int) -> int:
    if found < 0:
        return 0
    return len(WILDCARD.findall(templates[found]))


def reader(data: bytes) -> None:
    """Records of any type, under settings of each kind; what was remembered of a record's shape
    changes nothing.
    """
    records = [record for _, record in Chunk("t", data).events()]
    for one, events in _readers():
        for record in (*records, {b"message": data, b"ride": data, b"time": data}):
            expected = _outcome(partial(_the_long_way, one), record)
            found = _outcome(partial(events.read, b"app.web"), record)
            if isinstance(expected, str):
                assert found == expected
                continue
            log_key, text, keys, _ = found
            assert (log_key, text) == expected and type(text) is bytes and text
            assert list(keys) == one.read(b"app.web", record)[1] and len(keys) <= MAX_KEYS
            assert all(type(part) is bytes for key in keys for part in key)
            if one.has_time:
                with contextlib.suppress(RecordError):
                    assert type(one.time(record)) is int


def engine(data: bytes) -> None:
    """Records into sessions into findings that JSON and msgpack can carry."""
    one = _engine()
    findings = one.feed("app", Chunk("t", data).events(), T0 + len(data))
    findings += one.feed("app", ride(str(len(data)), NORMAL[0]), T0 + len(data))
    findings += one.advance(T0 + 10**9 * len(data))
    assert len(one.sessions.open) <= MAX_SESSIONS
    for finding in findings:
        json.dumps(
            [finding.kind, finding.events, finding.first_ns, finding.last_ns, *finding.log_keys]
        )
        assert finding.first_ns <= 2**63 and finding.last_ns <= 2**63
    if len(data) % 16 == 0:
        msgpack.packb(one.snapshot())


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (codec, large, entries, handshake, matcher, reader, engine)
}


def _decoded(portions: list[bytes]) -> tuple[list[Any], str]:
    decoder, frames = ForwardDecoder(2**16, 2**20), []
    try:
        for portion in [*portions, b""]:
            frames += decoder.feed(portion)
    except ProtocolError as error:
        return frames, str(error)
    return frames, ""


def _split(splitter: FrameSplitter, portions: list[bytes]) -> list[Any] | None:
    """What a whole stream holds; None where it is at fault or cut."""
    frames = []
    try:
        for portion in portions:
            frames += [decode_frame(frame, 2**20) for frame in splitter.feed(portion)]
    except ProtocolError:
        return None
    if splitter.pending_bytes:
        return None
    return frames


def _the_long_way(one: RecordReader, record: Any) -> tuple[int, bytes]:
    text, _ = one.read(b"app.web", record)
    return _long_lived_matcher().match(text), text


def _outcome(read: Callable[[Any], Any], record: Any) -> Any:
    try:
        return read(record)
    except RecordError as error:
        return error.reason


def _check_events(chunk: Chunk) -> None:
    for time_ns, record in chunk.events():
        assert time_ns is None or (type(time_ns) is int and abs(time_ns) <= 2**63)
        assert time_ns is not None or type(record) is not dict
        if isinstance(record, RecordError):
            assert time_ns is None and record.reason == "undecodable"


@cache
def _long_lived_matcher() -> TemplateMatcher:
    return TemplateMatcher(["lift <*> at <num>", "7 <*>", "<*>7", "a<*>b<*>c"])


@cache
def _readers() -> list[tuple[RecordReader, EventReader]]:
    settings = [
        InputSettings(session_key=("/[a-z]+-?[0-9]+/",), component_field="component"),
        InputSettings(session_key=("tag", "ride", "/x(.)?/"), component_field="component"),
        InputSettings(session_key=("$.a.b",), message_field="$.m.n", time_field="time"),
        InputSettings(session_key=("ride",), time_field="time", time_format="%y%m%d %H%M%S"),
        InputSettings(
            session_key=("pid",),
            line_format=r"^(?<date>\S+) (?<time>\S+) (?<pid>\d+)? ?(?<message>.*)$",
        ),
    ]
    caps = {"max_message_size": 200, "max_keys": MAX_KEYS}
    return [
        (
            RecordReader(one, **caps),
            EventReader(RecordReader(one, **caps), _long_lived_matcher(), 1000),
        )
        for one in settings
    ]


@cache
def _engine() -> Engine:
    limits = make_limits(
        max_sessions=MAX_SESSIONS, cache_size=200, keep_lines=4, max_message_size=200
    )
    return lift_engine(
        limits=limits, session_key=("ride", "/[0-9]/"), max_events=50, idle_timeout=30.0
    )


def seeds() -> list[bytes]:
    """Valid inputs to mutate: frames of each carrier, packed events, log lines."""
    packed = [
        [
            1_700_000_000 + i,
            {"message": "gate: open door 3", "ride": str(i), "time": "081109 203518"},
        ]
        for i in (1, 2)
    ]
    run = b"".join(map(msgpack.packb, packed))
    frame = encode_events("app", [(T0, {"message": "lift: stuck at floor 3", "ride": "7"})], "id")
    return [
        *(
            frame,
            gzipped(
                encode_events("app", [(T0, {"message": "x", "a": {"b": [1, "2", None]}})], None)
            ),
        ),
        *(
            msgpack.packb(["app", packed, {"chunk": "f"}]),
            msgpack.packb(["app", *packed[0], {"chunk": "m", "size": 1}]),
        ),
        *(frame + b"\xc0" + frame, msgpack.packb({"ack": "id"}), run),
        msgpack.packb(
            [
                [msgpack.ExtType(0, bytes(8)), {"k": 1}],
                {"message": "served blk_7 blk_8", "m": {"n": "hi"}},
            ]
        ),
        msgpack.packb(["PING", "client", "salt", "0" * 128, "ann", "0" * 128]),
        msgpack.packb(["HELO", {"nonce": b"n", "auth": b"a", "keepalive": True}]),
        msgpack.packb(["PONG", True, "", "server", "0" * 128]),
        b"open <num> of <*>\0<*> 404\0081109 203518 148 open 7 of 9\nlift 1 at 2",
    ]
