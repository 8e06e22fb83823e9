"""Frames above what is kept in memory: their entries come from a file, and memory stays small."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from frames import pack

from fluent_krone.errors import ProtocolError, RecordError
from fluent_krone.transport.forward import (
    Chunk,
    ForwardDecoder,
    FrameSplitter,
    FrameTooLarge,
    LargeFrame,
    decode_frame,
    encode_events,
)
from fluent_krone.transport.forward.spool import IN_MEMORY_BYTES, Spool

EVENT = pack([1, {"m": "x" * 1000}])
MIB = 2**20


def test_a_large_frame_is_read_into_a_file_and_keeps_its_neighbours() -> None:
    small = encode_events("t", [(0, {"m": "x"})], "small")
    entries = EVENT * 100
    large = pack(["large", entries, {"chunk": "id", "size": 100}])
    splitter = FrameSplitter(large_bytes=10_000)
    stream = small + large + small
    portions = [stream[at : at + 5000] for at in range(0, len(stream), 5000)]
    before, frame, after = [frame for portion in portions for frame in splitter.feed(portion)]
    assert isinstance(before, bytes) and isinstance(after, bytes)
    assert isinstance(frame, LargeFrame)
    chunk = decode_frame(frame)
    assert isinstance(chunk, Chunk)
    assert (chunk.tag, chunk.chunk, chunk.size) == ("large", "id", 100)
    assert isinstance(chunk.entries, Spool)
    assert chunk.entries[:] == entries
    assert list(chunk.events()) == [(1_000_000_000, {b"m": b"x" * 1000})] * 100


@pytest.mark.parametrize("option", [None, {}, {"chunk": "id"}])
@pytest.mark.parametrize("packed", [True, False], ids=["PackedForward", "Forward"])
def test_a_large_frame_with_any_option(packed: bool, option: object) -> None:
    entries: object = EVENT * 50 if packed else [[1, {"m": "x" * 1000}]] * 50
    parts = ["t", entries] if option == {} else ["t", entries, option]
    splitter = FrameSplitter(large_bytes=1000)
    stream = pack(parts) + pack({"ack": "next"})
    frames = [frame for byte in stream for frame in splitter.feed(bytes([byte]))]
    assert [type(frame) for frame in frames] == [LargeFrame, bytes]
    chunk = decode_frame(frames[0])
    assert isinstance(chunk, Chunk)
    assert len(list(chunk.events())) == 50


def test_a_frame_that_says_that_it_is_too_large_is_refused_before_it_has_come() -> None:
    splitter = FrameSplitter(max_frame_bytes=10**6, large_bytes=1000)
    start = pack(["t", EVENT * 2000])[:2000]
    with pytest.raises(FrameTooLarge, match=r"of 20\d+ bytes .* than 1000000 bytes: raise"):
        list(splitter.feed(start))


def test_an_array_that_becomes_too_large_is_refused() -> None:
    splitter = FrameSplitter(max_frame_bytes=10**6, large_bytes=1000)
    with pytest.raises(FrameTooLarge, match="larger than 1000000 bytes"):
        for _ in splitter.feed(pack(["t", [[1, {"m": "x" * 1000}]] * 2000])):
            pass


@pytest.mark.parametrize(
    ("rest", "message"),
    [(b"\xc1", "not msgpack"), (pack({"chunk": "x" * 70_000}), "an option"), (b"\x01", "int")],
)
def test_a_bad_option_of_a_large_frame_breaks_the_framing(rest: bytes, message: str) -> None:
    splitter = FrameSplitter(large_bytes=1000)
    stream = b"\x93\xa1t\xc6" + len(EVENT * 9).to_bytes(4, "big") + EVENT * 9 + rest
    with pytest.raises(ProtocolError, match=message):
        for at in range(0, len(stream), 1000):
            for frame in splitter.feed(stream[at : at + 1000]):
                decode_frame(frame)


def test_damage_in_a_large_run_costs_what_it_costs_in_memory() -> None:
    unreadable = b"\x92\x01\x81\x90\x01"
    giant = pack([1, {"m": "x" * 5 * MIB}])
    packed = EVENT * 2000 + unreadable + EVENT + giant + EVENT * 2 + b"\xc1"
    spool = Spool()
    spool.write(packed)
    in_memory = [repr(event) for event in Chunk("t", packed).events()]
    assert [repr(event) for event in Chunk("t", spool).events()] == in_memory
    assert sum("undecodable" in event for event in in_memory) == 3


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_what_inflates_to_much_goes_to_a_file(kind: str) -> None:
    entries = EVENT * (IN_MEMORY_BYTES // len(EVENT) + 100)
    compressed = gzip.compress(entries)
    if kind == "zstd":
        compressed = pytest.importorskip("zstandard").compress(entries)
    [chunk] = ForwardDecoder().feed(pack(["t", compressed, {"compressed": kind}]))
    assert isinstance(chunk, Chunk)
    assert isinstance(chunk.entries, Spool)
    assert sum(1 for _ in chunk.events()) == len(entries) // len(EVENT)


def test_memory_stays_small_while_a_large_frame_is_read() -> None:
    """In a process of its own, since the peak of a process never shrinks."""
    code = """
import msgpack
import resource
from fluent_krone.transport.forward import FrameSplitter, decode_frame
event = msgpack.packb([1, {"m": "x" * 1000}])
piece = event * 1000
count = 200 * 1000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
splitter = FrameSplitter()
head = b"\\x92\\xa1t\\xc6" + (len(event) * count).to_bytes(4, "big")
frames = list(splitter.feed(head))
for _ in range(count // 1000):
    frames += splitter.feed(piece)
[frame] = frames
assert sum(1 for _ in decode_frame(frame).events()) == count
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100, "MiB, for a frame of 200"


def test_an_entry_that_never_ends_is_given_up() -> None:
    spool = Spool()
    spool.write(EVENT + b"\xdb\x7f\xff\xff\xff" + bytes(80 * MIB))
    first, (time_ns, marker) = Chunk("t", spool).events()
    assert first[0] is not None
    assert time_ns is None and isinstance(marker, RecordError)
