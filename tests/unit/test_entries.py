"""Fields are added to packed records, and all else stays as it came."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.keeping.entries import NotARecord, packed_fields, record_id, with_fields
from fluent_krone.transport.forward import encode_event_time

TIME = encode_event_time(1_700_000_000_123_456_789)
ARRIVED = 1_600_000_000 * 10**9
ADDED = packed_fields({"krone.session": "a", "krone.sampled": 1, "absent": None})

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
    | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def unpacked(packed: bytes) -> Any:
    return msgpack.unpackb(packed, raw=False, strict_map_key=False, timestamp=0)


@given(st.dictionaries(st.text(), values, max_size=40))
def test_every_field_stays_and_the_new_ones_come_last(record: dict[str, Any]) -> None:
    record.pop("krone.session", None)
    record.pop("krone.sampled", None)
    entry = msgpack.packb([TIME, record])
    _, found = unpacked(with_fields(entry, ADDED, ARRIVED))
    assert found == {**record, "krone.session": "a", "krone.sampled": 1}
    assert list(found)[-2:] == ["krone.session", "krone.sampled"]


@pytest.mark.parametrize("size", [0, 13, 14, 15, 16, 65_533, 65_534, 65_535, 65_536])
def test_a_map_of_any_size_has_the_right_header(size: int) -> None:
    record = {str(i): i for i in range(size)}
    _, found = unpacked(with_fields(msgpack.packb([TIME, record]), ADDED, ARRIVED))
    assert len(found) == size + 2


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (TIME, TIME),
        (1_700_000_000, 1_700_000_000),
        (1_700_000_000.5, 1_700_000_000.5),
        ([TIME, {"meta": {"a": 1}}], TIME),
        ([1_700_000_000, {}], 1_700_000_000),
        (None, encode_event_time(ARRIVED)),
        (0, encode_event_time(ARRIVED)),
        (encode_event_time(0), encode_event_time(ARRIVED)),
    ],
)
def test_times_stay_unless_they_mean_now_and_metadata_is_left_out(time: Any, expected: Any) -> None:
    entry = msgpack.packb([time, {"message": "hi"}])
    found = with_fields(entry, (0, b""), ARRIVED)
    assert found == msgpack.packb([expected, {"message": "hi"}])


@pytest.mark.parametrize("entry", [[TIME, "text"], [TIME, [1]], {"message": "hi"}])
def test_what_is_no_record_is_refused(entry: Any) -> None:
    with pytest.raises(NotARecord):
        with_fields(msgpack.packb(entry), ADDED, ARRIVED)


def test_ids_tell_tags_times_chunks_and_places_apart() -> None:
    entry = msgpack.packb([TIME, {"message": "hi"}])
    later = msgpack.packb([encode_event_time(1), {"message": "hi"}])
    ids = {
        record_id("app", entry, b"one", 0),
        record_id("web", entry, b"one", 0),
        record_id("app", later, b"one", 0),
        record_id("app", entry, b"two", 0),
        record_id("app", entry, b"one", 40),
    }
    assert len(ids) == 5
    assert record_id("app", entry, b"one", 0) in ids
