"""From packed entries to events, example by example."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack
import pytest
from frames import GOOD, GOOD_EVENT, T0, pack

from fluent_krone.errors import RecordError
from fluent_krone.transport.forward import Chunk, encode_event_time


def events(packed: bytes) -> list[Any]:
    """What a chunk of these packed entries gives out; RecordErrors as their reason."""
    found = Chunk("t", packed).events()
    return [
        (time, record.reason if isinstance(record, RecordError) else record)
        for time, record in found
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000_000_000),
        (-1, -1_000_000_000),
        # No time is read as the clock's, like 0.
        (None, 0),
        (1_700_000_000.25, 1_700_000_000_250_000_000),
        (encode_event_time(T0), T0),
        (encode_event_time(0), 0),
        ([encode_event_time(T0), {}], T0),
        ([12, {}], 12_000_000_000),
    ],
)
def test_time(time: Any, expected: int) -> None:
    assert events(pack([time, {}])) == [(expected, {})]


GROUP_BEGINS = pack([[msgpack.ExtType(0, b"\xff\xff\xff\xff\0\0\0\0"), {"scope": 1}], {"r": 1}])
GROUP_ENDS = pack([[msgpack.ExtType(0, b"\xff\xff\xff\xfe\0\0\0\0"), {}], {}])


@pytest.mark.parametrize("size", [None, 3])
@pytest.mark.parametrize("last", [b"", b"\xc1"], ids=["whole", "damaged"])
def test_marks_of_groups_are_no_events(size: int | None, last: bytes) -> None:
    chunk = Chunk("t", GROUP_BEGINS + GOOD + GROUP_ENDS + last, size=size)
    found = [event for event in chunk.events() if not isinstance(event[1], RecordError)]
    assert found == [GOOD_EVENT]
    assert chunk.first_time_ns() == T0


def test_a_plain_time_of_2106_is_an_event() -> None:
    [(time, _)] = events(pack([msgpack.ExtType(0, b"\xff\xff\xff\xff\0\0\0\0"), {}]))
    assert time == (2**32 - 1) * 10**9


@pytest.mark.parametrize(
    "time",
    [
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
    assert isinstance(marker[1], RecordError) and "are not events" in str(marker[1])


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


def test_integer_keys_and_foreign_ext_types_are_content() -> None:
    [(_, record)] = events(pack([1, {7: msgpack.ExtType(5, b"abc")}]))
    assert record == {7: b"abc"}


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (pack([7, {}]), 7_000_000_000),
        (pack([[7, {"otlp": "x" * 100}], {}]), 7_000_000_000),
        (GOOD, T0),
        (pack([7, {"m": "x" * 10_000}]), 7_000_000_000),
        (pack(3), None),
        (pack([]), None),
        (b"\xc1", None),
        (b"", None),
    ],
)
def test_the_time_of_the_first_event(first: bytes, expected: int | None) -> None:
    assert Chunk("t", first + GOOD).first_time_ns() == (expected if first else T0)
    assert Chunk("t", []).first_time_ns() is None
