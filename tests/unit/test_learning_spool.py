"""The spool of a service that learns: what is in it after any kind of end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent_krone.inputs import read_events
from fluent_krone.learning.spool import StreamSpool
from fluent_krone.reading.records import TAG
from fluent_krone.segments import segment_files
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_events

NS = 10**9
T0 = 1_700_000_000 * NS
MOST = 10 * 2**20


def chunk(*texts: str, tag: str = "app") -> Chunk:
    events = [(T0 + at * NS, {"message": text}) for at, text in enumerate(texts)]
    [found] = ForwardDecoder().feed(encode_events(tag, events, texts[0]))
    assert isinstance(found, Chunk)
    return found


def taken(spool: StreamSpool, *names: str) -> None:
    """Take a chunk of each name, and commit them together."""
    for name in names:
        assert spool.take(chunk(name), T0)
    spool.commit([name.encode() for name in names], {"last": names[-1]})


def texts(folder: Path) -> list[str]:
    return [record[b"message"].decode() for _, record in read_events(folder)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "learning"


def test_a_spool_is_read_as_the_inputs_saw_it(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    spool.take(chunk("one", "two", tag="web.a"), T0)
    # A chunk in forward mode comes decoded; a record that is no map is no event.
    spool.take(Chunk("web.b", [[T0 // NS, {b"message": b"three"}], [T0 // NS, b"odd"]], "id"), T0)
    spool.commit([], {})
    found = list(read_events(spool.collected))
    assert [(t, record.get(b"message"), record.get(TAG)) for t, record in found] == [
        (T0, b"one", b"web.a"),
        (T0 + NS, b"two", b"web.a"),
        (T0, b"three", b"web.b"),
        (T0, None, None),
    ]


def test_files_of_a_spool_are_read_in_the_order_of_arrival(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "late")
    spool.freeze()
    early = Chunk("app", [[T0 // NS - 1000, {b"message": b"early"}]], "id")
    spool.take(early, T0)
    spool.commit([], {})
    spool.thaw(MOST)
    assert len(segment_files(spool.collected)) == 2
    assert texts(spool.collected) == ["late", "early"]


def test_what_was_not_committed_is_cut_off_and_comes_again(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "one", "two")
    spool.take(chunk("three"), T0)
    again = StreamSpool(folder, MOST)
    assert texts(folder / "collected") == ["one", "two"]
    assert again.keys == [b"one", b"two"]
    assert again.facts == {"last": "two"}
    taken(again, "three")
    assert texts(folder / "collected") == ["one", "two", "three"]


def test_a_spool_without_any_commit_is_empty(folder: Path) -> None:
    StreamSpool(folder, MOST).take(chunk("one"), T0)
    again = StreamSpool(folder, MOST)
    assert (again.keys, again.facts, texts(folder / "collected") if again.size_bytes else []) == (
        [],
        {},
        [],
    )


def test_what_comes_during_a_fit_goes_elsewhere_and_is_read_behind_it(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "one")
    spool.freeze()
    taken(spool, "two")
    assert texts(spool.collected) == ["one"]
    again = StreamSpool(folder, MOST)
    assert again.is_frozen
    taken(again, "three")
    found = [(since, spooled.chunk.chunk) for _, since, spooled in again.read((0, 0))]
    assert [since for since, _ in found] == [False, True, True]
    assert texts(spool.collected) == ["one"]
    again.thaw(MOST)
    assert texts(spool.collected) == ["one", "two", "three"]
    assert not StreamSpool(folder, MOST).is_frozen


def test_a_kill_right_after_the_freeze_loses_nothing(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "one")
    spool.freeze()
    spool.take(chunk("two"), T0)
    again = StreamSpool(folder, MOST)
    assert again.facts == {"last": "one"}
    assert again.keys == [b"one"]
    taken(again, "two")
    again.thaw(MOST)
    assert texts(spool.collected) == ["one", "two"]


def test_reading_goes_on_from_a_place(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "one", "two")
    places = [place for place, _, _ in spool.read((0, 0))]
    spool.freeze()
    taken(spool, "three")
    rest = [list(spooled.chunk.events()) for _, _, spooled in spool.read(places[0])]
    assert [record[b"message"] for [(_, record)] in rest] == [b"two", b"three"]


def test_a_full_spool_takes_no_more_and_says_so(folder: Path) -> None:
    spool = StreamSpool(folder, 2000)
    taken(spool, "one")
    before = spool.size_bytes
    while spool.take(chunk("x" * 20), T0):
        pass
    assert before < spool.size_bytes <= 2000
    assert spool.left_out == 1


def test_thawing_makes_room_by_the_oldest_files(folder: Path) -> None:
    spool = StreamSpool(folder, MOST)
    for name in ("one", "two", "three"):
        spool.freeze()
        taken(spool, name)
        spool.thaw(MOST)
    newest = segment_files(spool.collected)[-1].stat().st_size
    spool.thaw(newest)
    assert texts(spool.collected) == ["three"]


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """While the list has an element, nothing can be written: as on a full disk."""
    full: list[bool] = []
    write = os.write

    def writes(file: int, data: bytes) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", writes)
    yield full


def test_a_full_disk_costs_what_was_not_committed_and_no_more(
    folder: Path, unwritable: list[bool]
) -> None:
    spool = StreamSpool(folder, MOST)
    taken(spool, "one")
    spool.take(chunk("two"), T0)
    unwritable.append(True)
    spool.commit([b"two"], {"last": "two"})
    assert not spool.take(chunk("three"), T0)
    assert spool.trouble is not None
    unwritable.clear()
    taken(spool, "four")
    assert spool.trouble is None
    assert texts(spool.collected) == ["one", "four"]
    assert StreamSpool(folder, MOST).facts == {"last": "four"}
