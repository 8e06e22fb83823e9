"""What we pack: acks, and times that an EventTime cannot hold."""

from __future__ import annotations

from frames import GOOD, decode, pack

from fluent_krone.transport.forward import ack_bytes, encode_events


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
