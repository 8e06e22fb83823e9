"""The keys of chunks: what the filter in memory must never do, and what an opened file has."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.runtime.chunk_table import KeyFilter
from fluent_krone.runtime.store import Store


def key_of(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=20).digest()


@given(st.integers(1, 40), st.lists(st.integers(0, 10**6), max_size=200))
def test_no_key_of_the_last_ones_is_missed(most: int, numbers: list[int]) -> None:
    known = KeyFilter(most)
    for number in numbers:
        known.add([key_of(number)])
    assert all(known.may_have(key_of(number)) for number in numbers[-most:])


def test_few_others_are_taken_for_known_and_old_ones_are_forgotten() -> None:
    known = KeyFilter(1_000)
    known.add(map(key_of, range(5_000)))
    others = sum(known.may_have(key_of(number)) for number in range(10_000, 20_000))
    assert others < 1_000
    assert sum(known.may_have(key_of(number)) for number in range(1_000)) < 200


def test_a_file_that_is_opened_again_has_its_keys(tmp_path: Path) -> None:
    store = Store(tmp_path / "krone.db")
    for start in range(0, 300, 100):
        keys = [key_of(number) for number in range(start, start + 100)]
        store.commit({"watermark": start, "templates": []}, keys, [], 0)
    store.chunks.forget([key_of(7)])
    store.close()
    again = Store(tmp_path / "krone.db")
    had = [number for number in range(400) if again.chunks.has(key_of(number))]
    assert had == [number for number in range(300) if number != 7]
    again.close()


@pytest.mark.parametrize("most", [3, 5])
def test_no_more_keys_are_kept_than_were_allowed_over_several_runs(
    tmp_path: Path, most: int
) -> None:
    path = tmp_path / "krone.db"
    for start in range(0, 12, 4):
        store = Store(path, max_chunks=most)
        store.commit({"watermark": start}, [key_of(start + i) for i in range(4)], [], 0)
        has = [number for number in range(start + 4) if store.chunks.has(key_of(number))]
        assert has == list(range(start + 4))[-most:]
        store.close()
