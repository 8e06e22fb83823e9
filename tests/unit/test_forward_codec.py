"""The Forward codec, example by example; what holds for any input is in property/."""

from __future__ import annotations

import gzip
import tracemalloc
from typing import Any

import msgpack
import pytest
from synthetic import gzipped

from fluent_krone.errors import ProtocolError, RecordError
from fluent_krone.transport import forward_codec
from fluent_krone.transport.forward_codec import (
    Chunk,
    ClientHandshake,
    ForwardDecoder,
    ServerHandshake,
    ack_bytes,
    encode_event_time,
    encode_events,
)

pack = msgpack.packb
T0 = 1_700_000_000_123_456_789
GOOD = pack([encode_event_time(T0), {"m": "x"}])
GOOD_EVENT = (T0, {b"m": b"x"})


def decode(frame: Any) -> Chunk:
    [chunk] = ForwardDecoder().feed(frame if isinstance(frame, bytes) else pack(frame))
    assert isinstance(chunk, Chunk)
    return chunk


def events(packed: bytes) -> list[Any]:
    """What a chunk of these packed entries gives out; RecordErrors as their reason."""
    found = Chunk("t", packed).events()
    return [
        (time, record.reason if isinstance(record, RecordError) else record)
        for time, record in found
    ]


# --- carriers


@pytest.mark.parametrize(
    "frame",
    [
        ["app", encode_event_time(T0), {"m": "x"}, {"chunk": "id"}],
        ["app", [[encode_event_time(T0), {"m": "x"}]], {"chunk": "id"}],
        ["app", GOOD, {"chunk": "id"}],
        ["app", gzip.compress(GOOD), {"chunk": "id", "compressed": "gzip"}],
        [b"app", GOOD, {b"chunk": "id", b"compressed": b"text"}],
    ],
    ids=["Message", "Forward", "PackedForward", "CompressedPackedForward", "bin for str"],
)
def test_every_carrier_gives_the_same_events(frame: list[Any]) -> None:
    chunk = decode(frame)
    assert (chunk.tag, list(chunk.events())) == ("app", [GOOD_EVENT])


def test_packed_entries_may_come_as_str() -> None:
    chunk = decode(b"\x92\xa1t" + bytes([0xA0 + len(GOOD)]) + GOOD)
    assert list(chunk.events()) == [GOOD_EVENT]


def test_a_long_tag_is_cut() -> None:
    assert decode(["t" * 1024, GOOD]).tag == "t" * 1024
    assert decode(["t" * 1023 + "ü" * 9, GOOD]) == Chunk("t" * 1023 + "\ufffd", GOOD)


def test_option_may_be_absent_or_nil() -> None:
    assert decode(["t", GOOD]).chunk is None
    assert decode(["t", GOOD, None]).chunk is None
    assert decode(["t", 1, {}]) == Chunk("t", pack([1, {}]))


def test_chunk_id_is_acked_as_it_came() -> None:
    for chunk_id in ("p8n9gmxTQVC8/nh2wlKKeQ==", b"\x00\xff"):
        chunk = decode(["t", GOOD, {"chunk": chunk_id, "size": 1}])
        assert (chunk.chunk, chunk.size) == (chunk_id, 1)
        assert chunk.chunk is not None
        assert ack_bytes(chunk.chunk) == pack({"ack": chunk_id})


def test_chunk_id_that_is_no_utf_8_is_acked_byte_by_byte() -> None:
    chunk = decode(b"\x93\xa1t\xa0\x81\xa5chunk\xa2\xff\xfe")
    assert chunk.chunk is not None
    assert ack_bytes(chunk.chunk) == b"\x81\xa3ack\xa2\xff\xfe"


def test_gzip_members_in_a_row_are_one_run_of_entries() -> None:
    members = b"".join(gzip.compress(GOOD) for _ in range(3))
    assert list(decode(["t", members, {"compressed": "gzip"}]).events()) == [GOOD_EVENT] * 3


def test_heartbeat_nil_is_dropped() -> None:
    assert ForwardDecoder().feed(b"\xc0\xc0" + pack({"flush": 3})) == [{"flush": 3}]


def test_runs_of_nil_are_dropped_wherever_a_piece_ends() -> None:
    decoder, nils, flush = (
        ForwardDecoder(max_frame_bytes=10),
        b"\xc0" * 3_000_000,
        pack({"flush": 3}),
    )
    assert decoder.feed(nils + flush[:2]) == []
    assert decoder.feed(flush[2:] + nils + flush + b"\xc0" + flush) == [{"flush": 3}] * 3


# --- Fluent Bit, by hand from its documented format

EVENT_TIME = b"\xd7\x00\x65\x53\xf1\x00\x07\x5b\xcd\x15"  # 1700000000.123456789
RECORD = b"\x81\xa3log\xa2hi"


@pytest.mark.parametrize(
    "entry",
    [
        b"\x92" + EVENT_TIME + RECORD,
        b"\x92\x92" + EVENT_TIME + b"\x80" + RECORD,
        b"\x92\x92" + EVENT_TIME + b"\x81\xa4otlp\x80" + RECORD,
    ],
    ids=["up to 5.0.4", "event form", "event form with metadata"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["Forward", "PackedForward"])
def test_fluent_bit_frames(entry: bytes, packed: bool) -> None:
    entries = b"\xc4" + bytes([2 * len(entry)]) + entry * 2 if packed else b"\x92" + entry * 2
    option = b"\xdf\0\0\0\x03\xa5chunk\xa4a1b2\xa4size\x02\xadfluent_signal\x00"
    chunk = decode(b"\x93\xa5cpu.0" + entries + option)
    assert (chunk.tag, chunk.chunk, chunk.size) == ("cpu.0", "a1b2", 2)
    assert list(chunk.events()) == [(1_700_000_000_123_456_789, {b"log": b"hi"})] * 2


# --- times


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000_000_000),
        (-1, -1_000_000_000),
        (1_700_000_000.25, 1_700_000_000_250_000_000),
        (encode_event_time(T0), T0),
        (encode_event_time(0), 0),
        ([encode_event_time(T0), {}], T0),
        ([12, {}], 12_000_000_000),
    ],
)
def test_time(time: Any, expected: int) -> None:
    assert events(pack([time, {}])) == [(expected, {})]


@pytest.mark.parametrize(
    "time",
    [
        None,
        True,
        "1700000000",
        "12345678",
        float("nan"),
        float("inf"),
        2**63,
        1e300,
        {},
        [],
        [[1]],
        msgpack.ExtType(0, b""),
    ],
)
def test_what_is_no_time_makes_no_event(time: Any) -> None:
    [(time_ns, entry), good] = events(pack([time, {}]) + GOOD)
    assert (time_ns, type(entry), good) == (None, list, GOOD_EVENT)


def test_time_that_event_time_can_not_hold_is_sent_as_seconds() -> None:
    far = 2**33 * 1_000_000_000
    assert list(decode(encode_events("t", [(-1, {}), (far, {})], None)).events()) == [
        (-1_000_000_000, {}),
        (far, {}),
    ]


# --- bad entries cost only themselves


@pytest.mark.parametrize(
    ("bad", "given_out"),
    [
        (pack(3), (None, 3)),
        (pack("ab"), (None, b"ab")),
        (pack([1]), (None, [1])),
        (pack([1, {}, {}]), (None, [1, {}, {}])),
        (pack({"a": 1, "b": 2}), (None, [{b"a": 1, b"b": 2}])),
        (pack([1, "text"]), (1_000_000_000, b"text")),
        (pack([1, None]), (1_000_000_000, None)),
        (b"\x92\x01\x81\x90\x01", (None, "undecodable")),  # a list for a key
        (
            b"\x92\x01\x81\xa1t\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            (None, "undecodable"),
        ),  # no such timestamp
    ],
)
def test_bad_entry_keeps_its_neighbours(bad: bytes, given_out: Any) -> None:
    assert events(GOOD + bad + GOOD + bad + GOOD) == [
        GOOD_EVENT,
        given_out,
        GOOD_EVENT,
        given_out,
        GOOD_EVENT,
    ]
    entry = [msgpack.unpackb(bad, raw=True)] if given_out[1] != "undecodable" else []
    assert list(Chunk("t", entry).events()) == [given_out] * len(entry)


def test_a_dict_for_record_means_a_sound_event() -> None:
    for time_ns, record in events(pack({}) + pack([None, {}]) + pack([]) + GOOD):
        assert (type(record) is dict) == (time_ns is not None)


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_truncated_entries_end_with_one_marker(cut: int) -> None:
    assert events(GOOD + GOOD[:cut]) == [GOOD_EVENT, (None, "undecodable")]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xc1",
        b"\xc1" + GOOD,
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff" * 9,
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\x40\0\0\0",
    ],
    ids=["never used", "in front", "deep", "huge arrays", "huge str", "huge bin"],
)
def test_garbage_ends_with_one_marker(garbage: bytes) -> None:
    assert events(GOOD + garbage) == [GOOD_EVENT, (None, "undecodable")]


EMPTY_MAPS = b"\xdd\x00\x50\x00\x00" + bytes([0x80]) * 0x500000  # 5 MiB that would weigh 370


@pytest.mark.parametrize(
    "giant", [pack([1, {"m": "x" * 5_000_000}]), EMPTY_MAPS], ids=["long", "nested"]
)
def test_an_entry_of_many_bytes_is_not_built_and_costs_only_itself(giant: bytes) -> None:
    tracemalloc.start()
    before, marker, after = Chunk("t", GOOD + giant + GOOD).events()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert before == after == GOOD_EVENT
    assert isinstance(marker[1], RecordError) and "it has 5" in str(marker[1])
    assert peak < 25 * len(giant)


@pytest.mark.parametrize("garbage", [b"\x00", b"\x80", b"\x81\x90\x00", b"\xc7\x00\x00"])
def test_garbage_is_given_up_soon_however_much_there_is(garbage: bytes) -> None:
    *some, marker = Chunk("t", GOOD + garbage * 1_000_000).events()
    assert len(some) == 10_001 and some[0] == GOOD_EVENT
    assert isinstance(marker[1], RecordError) and "are no events" in str(marker[1])


def test_a_mebibyte_of_entries_too_small_for_a_message_is_garbage() -> None:
    *some, marker = Chunk("t", pack([0, {}]) * 1_000_000).events()
    assert len(some) == 2**20 // 3 and isinstance(marker[1], RecordError)
    smallest = pack([1_700_000_000, {"m": "x"}])
    assert len(events(smallest * 200_000)) == 200_000


def test_every_entry_is_read_wherever_a_piece_ends() -> None:
    entries = [(i, {b"m": b"x" * (i % 997), b"list": [[i]] * (i % 7)}) for i in range(6_000)]
    packed = b"".join(pack([i, record]) for i, record in entries)
    assert len(packed) > 3 * 2**20
    assert events(packed) == [(i * 10**9, record) for i, record in entries]


def test_damaged_gzip_gives_what_came_out_and_one_marker() -> None:
    for broken in (gzip.compress(GOOD)[:-3], gzip.compress(GOOD) + b"junk", b"junk"):
        *sound, (time, marker) = decode(
            ["t", broken, {"compressed": "gzip", "chunk": "id"}]
        ).events()
        assert sound == ([] if broken == b"junk" else [GOOD_EVENT])
        assert time is None and marker.reason == "undecodable"


def test_gzip_bomb_is_one_marker_and_still_acked() -> None:
    decoder = ForwardDecoder(max_inflated_bytes=10_000)
    bomb = gzipped(encode_events("t", [(0, {"m": "x" * 20_000})], "id"))
    [chunk] = decoder.feed(bomb)
    assert isinstance(chunk, Chunk) and chunk.chunk == "id"
    [(_, marker)] = chunk.events()
    assert marker.reason == "undecodable" and "10000 bytes" in str(marker)


def test_gzip_members_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_codec, "_MAX_MEMBERS", 3)
    option, member = {"compressed": "gzip", "chunk": "id"}, gzip.compress(GOOD)
    assert list(decode(["t", member * 3, option]).events()) == [GOOD_EVENT] * 3
    *sound, (_, marker) = decode(["t", member * 4 + gzip.compress(b"") * 9, option]).events()
    assert sound == [GOOD_EVENT] * 3
    assert marker.reason == "undecodable" and "more than 3 members" in str(marker)


def test_integer_keys_and_foreign_ext_types_are_content() -> None:
    [(_, record)] = events(pack([1, {7: msgpack.ExtType(5, b"abc")}]))
    assert record == {7: b"abc"}


# --- bad framing ends the stream


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"\xc1", "not msgpack"),
        (b"GET / HTTP/1.1\r\n\r\n", "got byte 0x47"),
        (pack(["t"]), "array of 1"),
        (pack([1, b""]), "tag begins with byte 0x01"),
        (pack(["t", 1]), "entries begin with byte 0x01"),
        (pack(["t", b"", 3]), "option is of type int"),
        (pack(["t", b"", {}, {}]), "2 elements after"),
        (pack(["t", 1, {}, {}, {}]), "array of 5"),
        (pack(["t", b"", {"chunk": 3}]), "chunk must be a string, got int"),
        (pack(["t", b"", {"compressed": "zstd"}]), "must be gzip or text, got 'zstd'"),
        (pack(["t", b"", {"chunk": "x" * 70_000}]), r"option or control map of \d+ bytes"),
        (pack({"ack": "x" * 70_000}), r"option or control map of \d+ bytes"),
        (b"\x92\xa1t\x91" + b"\x91" * 3000, "nested too deep"),
    ],
)
def test_bad_framing(stream: bytes, message: str) -> None:
    decoder = ForwardDecoder()
    with pytest.raises(ProtocolError, match=message):
        decoder.feed(stream)
    with pytest.raises(ProtocolError, match=message):
        decoder.feed(pack({"ack": "id"}))


def test_frames_before_bad_framing_come_out_first() -> None:
    decoder = ForwardDecoder()
    assert decoder.feed(pack({"ack": "id"}) + b"\xc1") == [{"ack": "id"}]
    assert decoder.error is not None
    with pytest.raises(ProtocolError, match="not msgpack"):
        decoder.feed(b"")


def test_frame_over_the_cap() -> None:
    fits = encode_events("t", [(0, {"m": "x" * 100})], None)
    assert len(ForwardDecoder(max_frame_bytes=len(fits)).feed(fits * 3)) == 3
    with pytest.raises(ProtocolError, match=f"larger than {len(fits) - 1} bytes"):
        ForwardDecoder(max_frame_bytes=len(fits) - 1).feed(fits)


def test_header_of_a_gigabyte_allocates_nothing() -> None:
    for header in (b"\xc6\x40\0\0\0", b"\xdd\x40\0\0\0", b"\xdf\x40\0\0\0"):
        splitter = forward_codec.FrameSplitter()
        assert list(splitter.feed(b"\x92\xa1t" + header)) == []
        assert splitter.pending_bytes == 8


# --- handshake


def shake(server: ServerHandshake, client: ClientHandshake) -> str:
    """Run both machines against each other; the reason of a refusal, or nothing."""
    ping, nonce = client.ping(server.helo())
    outcome = server.answer(ping)
    try:
        client.check_pong(outcome.pong, nonce)
    except ProtocolError as error:
        assert not outcome.accepted and outcome.reason in str(error)
    else:
        assert outcome.accepted
    assert outcome.client == client.hostname
    return outcome.reason


def test_handshake_by_shared_key() -> None:
    assert shake(ServerHandshake("key", "s"), ClientHandshake("key", "c")) == ""
    assert shake(ServerHandshake("key", "s"), ClientHandshake("kex", "c")) == "shared_key mismatch"


def test_handshake_by_user() -> None:
    server = ServerHandshake("key", "s", {"ann": "pw", "empty": ""})
    assert shake(server, ClientHandshake("key", "c", "ann", "pw")) == ""
    assert shake(server, ClientHandshake("key", "c", "empty", "")) == ""
    for login in (("ann", "no"), ("bob", "pw"), ("bob", ""), ("", "")):
        assert shake(server, ClientHandshake("key", "c", *login)) == "username/password mismatch"


def test_handshake_digests_follow_the_specification() -> None:
    """sha512 hex of salt + hostname + nonce + key, worked out with `sha512sum`."""
    server = ServerHandshake("key", "srv", nonce=b"nonce")
    ping, _ = ClientHandshake("key", "cli", salt="salt").ping(server.helo())
    assert msgpack.unpackb(ping) == ["PING", "cli", "salt", PING_DIGEST, "", ""]
    assert msgpack.unpackb(server.answer(ping).pong) == ["PONG", True, "", "srv", PONG_DIGEST]


def test_client_refuses_a_server_that_does_not_know_the_key() -> None:
    client = ClientHandshake("key", "c")
    _, nonce = client.ping(ServerHandshake("other", "s").helo())
    with pytest.raises(ProtocolError, match="shared_key differs"):
        client.check_pong(pack(["PONG", True, "", "s", "0" * 128]), nonce)


@pytest.mark.parametrize(
    "message", [b"", b"\xc1", pack(3), pack(["PING"]), pack(["PING", 1, 2, 3, 4, 5]), GOOD]
)
def test_what_is_no_handshake(message: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected PING"):
        ServerHandshake("key", "s").answer(message)
    with pytest.raises(ProtocolError, match="expected HELO"):
        ClientHandshake("key", "c").ping(message)
    with pytest.raises(ProtocolError, match="expected PONG"):
        ClientHandshake("key", "c").check_pong(message, b"")


def test_secrets_stay_out_of_repr() -> None:
    assert "hush" not in repr(ServerHandshake("hush", "s", {"u": "hush"})) + repr(
        ClientHandshake("hush", "c", "u", "hush")
    )


PING_DIGEST = (
    "3a003bbae734141a26397258dc13409bf7e4c16504115fe8e393675278687ea7"
    "325f1ece63582efe05710ef5e793b865ade5e4b444e0e1be83d94973116eb6b7"
)
PONG_DIGEST = (
    "9d93928d1b0d20a9660c3b404624a76d503741111fdb11afc494a539260591ce"
    "55846fc9f8162032b47c19bee57c4bc2adf24fe50c251963321f91c1c34687a0"
)
