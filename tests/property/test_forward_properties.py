"""What holds of the Forward codec for any input."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import gzipped

from fluent_krone.errors import ProtocolError
from fluent_krone.transport.forward import (
    Chunk,
    ForwardDecoder,
    FrameSplitter,
    decode_frame,
    encode_events,
)

TIMES = st.integers(0, 2**32 * 10**9 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)
EVENTS = st.lists(st.tuples(TIMES, RECORDS), max_size=4)
PLAIN = st.builds(encode_events, st.text(max_size=5), EVENTS, st.none() | st.text(max_size=5))
# Forward mode, in which the entries are an array.
MESSAGES = st.builds(
    lambda tag, events, chunk_id: msgpack.packb([tag, events, {"chunk": chunk_id}]),
    st.text(max_size=5),
    st.lists(st.tuples(st.integers(0, 2**32), RECORDS), max_size=4),
    st.text(max_size=5),
)
FRAMES = PLAIN | PLAIN.map(gzipped)
CONTROLS = st.builds(
    lambda key, value: msgpack.packb({key: value}),
    st.sampled_from(["ack", "flush"]),
    st.integers(0, 9),
)
GARBAGE = st.binary(max_size=20)
STREAMS = st.lists(FRAMES | CONTROLS | GARBAGE, max_size=5).map(b"".join)


def as_bytes(value: Any) -> Any:
    """Return a value as the codec gives it: strings as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    if isinstance(value, dict):
        return {as_bytes(key): as_bytes(item) for key, item in value.items()}
    return value


def run(pieces: list[bytes]) -> tuple[list[Any], str]:
    """Feed all pieces; everything that came out, and the error that ended it."""
    decoder, frames = ForwardDecoder(max_frame_bytes=500), []
    try:
        for piece in [*pieces, b""]:
            frames += decoder.feed(piece)
    except ProtocolError as error:
        return frames, str(error)
    return frames, ""


@given(st.text(), EVENTS, st.none() | st.text(), st.booleans())
def test_what_is_encoded_is_decoded(
    tag: str, events: list[tuple[int, dict[str, Any]]], chunk_id: str | None, compress: bool
) -> None:
    frame = encode_events(tag, events, chunk_id)
    [chunk] = ForwardDecoder().feed(gzipped(frame) if compress else frame)
    assert isinstance(chunk, Chunk)
    assert (chunk.tag, chunk.chunk, chunk.size) == (tag, chunk_id, len(events))
    assert list(chunk.events()) == [(time, as_bytes(record)) for time, record in events]


@given(STREAMS, st.data())
def test_portions_do_not_matter(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    whole = run([stream])
    assert run([stream[i : i + 1] for i in range(len(stream))]) == whole
    assert (
        run([stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == whole
    )


@given(st.lists(FRAMES | MESSAGES, max_size=5).map(b"".join), st.data())
def test_frames_that_go_to_a_file_hold_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    in_memory = FrameSplitter()
    in_files = FrameSplitter(large_bytes=20)
    chunks = [decode_frame(frame) for frame in in_memory.feed(stream)]
    spooled = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        spooled += [decode_frame(frame) for frame in in_files.feed(stream[start:end])]
    assert in_files.pending_bytes == 0
    for chunk, other in zip(chunks, spooled, strict=True):
        assert isinstance(chunk, Chunk)
        assert isinstance(other, Chunk)
        assert (chunk.tag, chunk.chunk, chunk.size) == (other.tag, other.chunk, other.size)
        assert list(map(repr, chunk.events())) == list(map(repr, other.events()))


@given(st.binary(max_size=200))
def test_events_never_raise_and_tell_good_from_bad(packed: bytes) -> None:
    for time_ns, record in Chunk("t", packed).events():
        assert type(time_ns) in (int, type(None))
        assert time_ns is not None or type(record) is not dict


@given(EVENTS, st.data())
def test_a_cut_loses_only_what_was_cut(
    events: list[tuple[int, dict[str, Any]]], data: st.DataObject
) -> None:
    [chunk] = ForwardDecoder().feed(encode_events("t", events, None))
    assert isinstance(chunk, Chunk) and isinstance(chunk.entries, bytes)
    whole = list(chunk.events())
    cut = data.draw(st.integers(0, len(chunk.entries)))
    kept = list(Chunk("t", chunk.entries[:cut]).events())
    sound = [event for event in kept if event[0] is not None]
    assert sound == whole[: len(sound)]
    assert len(kept) - len(sound) <= 1


@given(STREAMS)
def test_a_dead_decoder_stays_dead(stream: bytes) -> None:
    decoder = ForwardDecoder()
    with contextlib.suppress(ProtocolError):
        decoder.feed(stream + b"\xc1")
    if decoder.error is not None:
        with pytest.raises(ProtocolError):
            decoder.feed(msgpack.packb({"ack": 1}))


ODD = st.one_of(
    PLAIN,
    PLAIN.map(gzipped),
    st.builds(
        lambda frame, at, byte: frame[: at % len(frame)] + bytes([byte]) + frame[at % len(frame) :],
        PLAIN,
        st.integers(0, 300),
        st.integers(0, 255),
    ),
    st.builds(
        lambda tag, run, option: msgpack.packb([tag, run, option]),
        st.text(max_size=3) | st.binary(max_size=3) | st.integers(0, 9),
        st.binary(max_size=20) | st.lists(VALUES, max_size=2) | VALUES.map(msgpack.packb),
        st.fixed_dictionaries(
            {},
            optional={
                "size": st.integers(-1, 20) | VALUES,
                "chunk": VALUES,
                "compressed": st.sampled_from(["gzip", "text", "x"]),
                "fluent_signal": st.just(0),
            },
        )
        | VALUES,
    ),
)


@given(ODD)
def test_the_short_way_gives_what_the_long_way_gives(frame: bytes) -> None:
    def seen() -> Any:
        try:
            decoded = decode_frame(frame)
        except ProtocolError as error:
            return str(error)
        if not isinstance(decoded, Chunk):
            return decoded
        # Errors are compared by their words.
        events = [(time, repr(record)) for time, record in decoded.events()]
        return replace(decoded, entries=b""), events

    short = seen()
    with (
        patch("fluent_krone.transport.forward.framing.small_message", lambda packed: None),
        patch("fluent_krone.transport.forward.entries._FEW", 0),
    ):
        assert seen() == short
