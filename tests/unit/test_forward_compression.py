"""Compressed chunks: many members, damage, and more than is allowed to come out."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from frames import GOOD, GOOD_EVENT, decode, pack
from synthetic import gzipped

from fluent_krone.transport.forward import Chunk, ForwardDecoder, compression, encode_events


@pytest.fixture(params=["gzip", "zstd"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def compress(kind: str) -> Callable[[bytes], bytes]:
    module = gzip
    if kind == "zstd":
        module = pytest.importorskip("zstandard")
    packing: Callable[[bytes], bytes] = module.compress
    return packing


def test_members_in_a_row_are_one_run_of_entries(
    kind: str, compress: Callable[[bytes], bytes]
) -> None:
    members = b"".join(compress(GOOD) for _ in range(3))
    chunk = decode(["t", members, {"compressed": kind, "chunk": "id"}])
    assert list(chunk.events()) == [GOOD_EVENT] * 3


def test_a_damaged_chunk_gives_what_came_out_and_one_marker(
    kind: str, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(GOOD)
    cut = {"gzip": whole[:-3], "zstd": whole + whole[:6]}[kind]
    for broken in (cut, whole + b"junk", b"junk"):
        chunk = decode(["t", broken, {"compressed": kind, "chunk": "id"}])
        *sound, (time, marker) = chunk.events()
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
    monkeypatch.setattr(compression, "_MAX_MEMBERS", 3)
    option, member = {"compressed": "gzip", "chunk": "id"}, gzip.compress(GOOD)
    assert list(decode(["t", member * 3, option]).events()) == [GOOD_EVENT] * 3
    *sound, (_, marker) = decode(["t", member * 4 + gzip.compress(b"") * 9, option]).events()
    assert sound == [GOOD_EVENT] * 3
    assert marker.reason == "undecodable" and "more than 3 members" in str(marker)


def test_zstd_bomb_is_one_marker_and_still_acked() -> None:
    bomb = pytest.importorskip("zstandard").compress(bytes(10**9))
    decoder = ForwardDecoder(max_inflated_bytes=10_000)
    [chunk] = decoder.feed(pack(["t", bomb, {"compressed": "zstd", "chunk": "id"}]))
    assert isinstance(chunk, Chunk) and chunk.chunk == "id"
    [(_, marker)] = chunk.events()
    assert "10000 bytes" in str(marker)


def test_zstd_without_its_package_says_what_to_install() -> None:
    code = """
import sys
sys.modules["zstandard"] = None
import msgpack
from fluent_krone.transport.forward import ForwardDecoder
ForwardDecoder().feed(msgpack.packb(["t", b"x", {"compressed": "zstd"}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert "zstd, which needs another package: pip install zstandard" in done.stderr
