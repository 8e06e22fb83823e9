"""How frames are cut and read, example by example; what holds for any input is in property/."""

from __future__ import annotations

import gzip
from typing import Any

import msgpack
import pytest
from frames import GOOD, GOOD_EVENT, T0, decode, pack

from fluent_krone.errors import ProtocolError
from fluent_krone.transport.forward import (
    Chunk,
    ForwardDecoder,
    FrameSplitter,
    ack_bytes,
    encode_event_time,
    encode_events,
)


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


# Fluent Bit, by hand from its documented format
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
        (pack(["t", b"", {"compressed": "lz4"}]), "must be gzip, zstd or text, got 'lz4'"),
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
    with pytest.raises(ProtocolError, match=f"larger than {len(fits) - 1} bytes: raise"):
        ForwardDecoder(max_frame_bytes=len(fits) - 1).feed(fits)


def test_header_of_a_gigabyte_allocates_nothing() -> None:
    for header in (b"\xc6\x40\0\0\0", b"\xdd\x40\0\0\0", b"\xdf\x40\0\0\0"):
        splitter = FrameSplitter()
        assert list(splitter.feed(b"\x92\xa1t" + header)) == []
        assert splitter.pending_bytes == 8


@pytest.mark.parametrize("carrier", ["PackedForward", "Forward", "Message"])
def test_fluent_bit_is_known_by_an_option_and_not_by_the_form_of_its_ids(carrier: str) -> None:
    """Its ids have the form of Fluentd's: 16 bytes in Base64. The bytes are like those of 5.1."""
    entry = [[encode_event_time(1_700_000_000_000_000_000), {}], {"message": "hi"}]
    body: list[Any] = {
        "PackedForward": [msgpack.packb(entry)],
        "Forward": [[entry]],
        "Message": [entry[0][0], entry[1]],
    }[carrier]
    option = {"chunk": "FeVj/bHjd3okIlzYFC9GnA==", "size": 1, "fluent_signal": 0}
    for sent, is_digest in ((option, True), ({"chunk": option["chunk"], "size": 1}, False)):
        [chunk] = ForwardDecoder().feed(msgpack.packb(["app", *body, sent]))
        assert isinstance(chunk, Chunk)
        assert chunk.has_digest_id is is_digest
        assert [record for _, record in chunk.events()] == [{b"message": b"hi"}]


# --- What we pack: acks, and times that an EventTime cannot hold


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


def test_time_that_event_time_can_not_hold_is_sent_as_seconds() -> None:
    far = 2**33 * 1_000_000_000
    assert list(decode(encode_events("t", [(-1, {}), (far, {})], None)).events()) == [
        (-1_000_000_000, {}),
        (far, {}),
    ]
