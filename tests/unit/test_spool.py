"""The spool: chunks are written in bulk, and single records are read again."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from fluent_krone.core.references import MARKED, SHARED, References
from fluent_krone.errors import StoreError
from fluent_krone.runtime.spool import RecordSpool, segment_of
from fluent_krone.transport.forward import Chunk

ENTRIES = [msgpack.packb([i, {"n": i, "pad": "x" * (i * 700)}]) for i in range(1, 6)]


def places(run: bytes, base: int) -> list[int]:
    """The references that a feeder gives to the records of a chunk."""
    references = References()
    return [references.current for _ in Chunk("app", run).events_with(references, base)]


def test_each_record_is_found_by_its_reference_whatever_marks_it_has(tmp_path: Path) -> None:
    spool = RecordSpool(tmp_path / "spool", 2**30)
    refs = []
    for name in (b"one", b"two"):
        base = spool.hold(f"app.{name.decode()}", name, 77, b"".join(ENTRIES))
        refs += places(b"".join(ENTRIES), base)
    assert len(set(refs)) == 10
    for marks in (0, SHARED, MARKED, SHARED | MARKED):
        assert segment_of(refs[0] | marks) == segment_of(refs[0])
    assert [spool.entry(ref) for ref in refs] == ENTRIES * 2
    blocks = [spool.block(ref) for ref in refs]
    assert [block.name for block in blocks] == [b"one"] * 5 + [b"two"] * 5
    assert blocks[-1].tag == "app.two"
    assert blocks[-1].arrived_ns == 77
    assert refs[5] == blocks[-1].base
    spool.close()


def test_another_process_finds_what_the_last_one_held(tmp_path: Path) -> None:
    spool = RecordSpool(tmp_path / "spool", 2**30)
    base = spool.hold("app", b"one", 0, b"".join(ENTRIES))
    spool.sync()
    spool.close()
    again = RecordSpool(tmp_path / "spool", 2**30)
    refs = places(b"".join(ENTRIES), base)
    assert [again.entry(ref) for ref in refs] == ENTRIES
    later = again.hold("app", b"two", 0, ENTRIES[0])
    assert segment_of(later) > segment_of(base)
    again.drop_before(segment_of(later))
    assert not again.has(base) and again.has(later)
    again.close()


def test_chunks_without_an_id_are_named_by_their_place(tmp_path: Path) -> None:
    spool = RecordSpool(tmp_path / "spool", 2**30)
    names = {spool.block(spool.hold("app", None, 0, ENTRIES[0])).name for _ in range(3)}
    assert len(names) == 3
    spool.close()


def test_room_is_freed_from_the_oldest_segment_on(tmp_path: Path) -> None:
    spool = RecordSpool(tmp_path / "spool", 16_000)
    refs = [spool.hold("app", b"%d" % i, 0, ENTRIES[0]) for i in range(100)]
    assert segment_of(refs[-1]) - segment_of(refs[0]) > 10
    before = spool.size_bytes
    spool.drop_before(segment_of(refs[50]))
    assert spool.size_bytes < before
    assert [spool.has(ref) for ref in (refs[0], refs[50], refs[99])] == [False, True, True]
    # The segment at work stays, whatever is asked.
    spool.drop_before(segment_of(refs[-1]) + 5)
    assert spool.has(refs[-1])
    spool.close()


def test_a_temporary_spool_is_gone_when_it_is_closed() -> None:
    spool = RecordSpool(None, 2**20)
    folder = spool.folder
    spool.hold("app", b"one", 0, ENTRIES[0])
    assert folder.is_dir()
    spool.close()
    assert not folder.exists()


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(StoreError, match=r"spool .*spool: "):
        RecordSpool(tmp_path / "spool", 2**20)
