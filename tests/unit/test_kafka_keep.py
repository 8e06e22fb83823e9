"""Messages that are held and kept: fields that are added, what is held, and what is saved of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import pytest
from synthetic import CLOSE, GOING, MESSAGES, OPEN, OPENED, STUCK, T0, S

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError, SnapshotError, StoreError
from fluent_krone.kafka.changelog import (
    Changelog,
    KeptRows,
    cleared,
    compact,
    oldest_of,
    snapshot_of,
)
from fluent_krone.kafka.clients import LARGEST_BYTES
from fluent_krone.kafka.forms import Form, HeldMessage, form_of
from fluent_krone.kafka.message_keeper import MessageKeeper
from fluent_krone.kafka.message_spool import (
    MessageSpool,
    offset_of,
    place_of,
    prepare_folder,
    ref_of,
)
from fluent_krone.kafka.records import SESSION_HEADER, Decoder
from fluent_krone.keeping.entries import NotARecord
from fluent_krone.runtime.kept import KeptChanges

BAD = (OPEN, OPENED, GOING, STUCK)
ADDED: dict[str, Any] = {"krone.session": 'a "ü"', "krone.sampled": 100, "krone.alert_id": None}


def form(record_format: str) -> Form:
    config = Config(topic="logs", record_format=record_format)
    return form_of(record_format, Decoder(config, "message"))


def message(value: bytes, offset: int = 7, **given: Any) -> HeldMessage:
    return HeldMessage(offset, T0 // 10**6, b"k", value, **given)


def added(record_format: str, value: bytes, place: int = 0) -> tuple[bytes, dict[str, bytes]]:
    with_fields = form(record_format)
    one = with_fields.pack({"krone.kept": "kind"})
    more = with_fields.pack(ADDED)
    both = (one[0] + more[0], one[1] + more[1])
    found, headers = with_fields.with_fields(message(value), place, both)
    return found, dict(headers)


EXPECTED = {"krone.kept": "kind", "krone.session": 'a "ü"', "krone.sampled": 100}


@pytest.mark.parametrize(
    "value", [b'{"a": 1,  "b":"x}"}', b" {} \n", b'{"a": {}}', '{"ä": "€"}'.encode()]
)
def test_fields_are_added_to_an_object_whose_bytes_stay(value: bytes) -> None:
    found, _ = added("json", value)
    assert json.loads(found) == json.loads(value) | EXPECTED
    assert found.startswith(value.strip()[:-1].rstrip())


@pytest.mark.parametrize("count", [0, 1, 13, 15, 16, 70_000])
def test_fields_are_added_to_a_map_of_any_size(count: int) -> None:
    record = {f"f{i}": i for i in range(count)}
    found, _ = added("msgpack", msgpack.packb(record))
    assert msgpack.unpackb(found) == record | EXPECTED


def test_a_line_stays_as_it_is_and_gets_headers() -> None:
    found, headers = added("text", b"gate: open door 3\xff")
    assert found == b"gate: open door 3\xff"
    assert headers == {name: str(value).encode() for name, value in EXPECTED.items()}


def test_a_record_of_a_request_becomes_an_object_of_its_own() -> None:
    logs = [{"body": {"stringValue": text}, "traceId": "t1"} for text in ("one", "two")]
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]}
    found, _ = added("otlp_json", json.dumps(request).encode(), 1)
    assert json.loads(found) == {"message": "two", "trace_id": "t1"} | EXPECTED


@pytest.mark.parametrize(
    ("record_format", "value"),
    [("json", b"[1]"), ("json", b""), ("json", b'"}'), ("msgpack", b"\x01"), ("msgpack", b"")],
)
def test_what_is_no_record_gets_no_fields(record_format: str, value: bytes) -> None:
    with pytest.raises(NotARecord):
        added(record_format, value)


def test_headers_are_handed_on_but_for_those_that_mean_something_to_us_alone() -> None:
    given = message(b"{}", headers=[("a", b"1"), (SESSION_HEADER, b"x"), ("tag", b"y")])
    assert given.other_headers == [("a", b"1")]


# --- held


def test_messages_are_found_again_by_their_offsets_until_they_are_dropped(tmp_path: Path) -> None:
    spool = MessageSpool(tmp_path, 16 * 400)
    sent = [message(b"x" * (offset % 900), 3 * offset) for offset in range(100)]
    for at in range(0, 100, 10):
        spool.hold(sent[at : at + 10])
    assert all(spool.message(ref_of(one.offset, 5)) == one for one in sent)
    assert not spool.has(ref_of(1, 0))
    assert not spool.has(ref_of(3 * 100, 0))
    half = spool.segment_of(ref_of(150, 0))
    assert spool.oldest < half < spool.newest
    spool.drop_before(half)
    first = spool.first_offset(half)
    assert first is not None
    assert first <= 150
    assert spool.message(ref_of(first, 0)) is not None
    assert spool.message(ref_of(first - 3, 0)) is None
    assert spool.segment_of(ref_of(first - 3, 0)) < spool.oldest
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reference_names_offset_and_place() -> None:
    ref = ref_of(2**44, 65_535)
    assert (offset_of(ref), place_of(ref)) == (2**44, 65_535)


def test_only_what_nobody_holds_any_more_is_deleted(tmp_path: Path) -> None:
    spool = MessageSpool(tmp_path, 2**20)
    left = tmp_path / "fluent-krone-keep-dead"
    left.mkdir()
    (left / "lock").touch()
    (tmp_path / "others").mkdir()
    prepare_folder(tmp_path)
    assert not left.exists()
    assert (tmp_path / "others").exists()
    spool.hold([message(b"still here")])
    assert spool.message(ref_of(7, 0)) is not None
    spool.close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(ConfigError, match="keep_folder"):
        prepare_folder(taken)
    with pytest.raises(StoreError, match="keep_folder"):
        MessageSpool(tmp_path / "absent", 2**20)


# --- saved


def test_what_is_saved_comes_back_and_old_days_are_forgotten() -> None:
    rows: dict[bytes, bytes] = {}
    saving = KeptRows({})
    changes = KeptChanges(kinds=[(10, 5, 1), (11, 5, 2)], shared=[ref_of(3, 0)], counts={"a": 1})
    compact(rows, saving.changes(changes, 3))
    compact(rows, KeptRows(rows).changes(KeptChanges(kinds=[(13, 6, 1)]), 9))
    again = KeptRows(rows)
    assert sorted(again.saved.kinds) == [(11, 5, 2), (13, 6, 1)]
    assert (list(again.saved.shared), again.saved.counts) == ([ref_of(3, 0)], {"a": 1})
    assert oldest_of(rows) == 9
    compact(rows, again.forget_before(ref_of(4, 0)))
    assert list(KeptRows(rows).saved.shared) == []
    compact(rows, list(cleared(list(rows))))
    assert rows == {}


def test_rows_that_cannot_be_read_are_refused() -> None:
    for rows in ({b"kept/oldest": b"\xc1"}, {b"kept/kind/x": b"\x01"}, {b"kept/oldest": b"\xa1a"}):
        with pytest.raises(SnapshotError):
            KeptRows(rows)


# --- kept


class Side:
    """An engine and a keeper over the rows of a changelog, as each owner has them."""

    def __init__(self, bundle: Bundle, folder: Path, rows: dict[bytes, bytes], **given: Any):
        self.config = Config(**{"topic": "logs", "keep": True, "keep_per_kind": 0} | given)
        self.bundle = bundle
        self.rows = rows
        self.counters: Counter[str] = Counter()
        self.spool = MessageSpool(folder, self.config.keep_size)
        self.sent: list[dict[str, Any]] = []
        decoder = Decoder(self.config, "message")
        self.decoder = decoder
        self.keeper = MessageKeeper(
            self.config, ("logs", 2), self.spool, self.counters, KeptRows(rows), lambda: decoder
        )
        self.engine: Engine = bundle.engine(self.config)
        self.changelog = Changelog(rows, 1000)
        self.position = 0

    def begin(self, again: list[HeldMessage]) -> None:
        """Take over, with the messages that the last owner held."""
        first = oldest_of(self.rows)
        still = [one for one in again if first is not None and one.offset >= first]
        if still:
            self.keeper.hold(still)
        saved = snapshot_of(self.rows)
        if saved is not None:
            self.engine.restore(saved)
        self.keeper.attach(self.engine, AlertMaker(self.bundle, self.config))
        self.engine.track()

    def feed(self, messages: list[HeldMessage]) -> None:
        self.keeper.hold(messages)
        maker = AlertMaker(self.bundle, self.config)
        for one in messages:
            self.keeper.point_at(one.offset, 0)
            event = (one.time_ms * 10**6, self.decoder.decode(one.value))
            for finding in self.engine.feed("logs", [event], T0 + 10**6 * S):
                self.keeper.note_alert(finding, maker.make(finding).alert_id, None)
            self.keeper.settle()
            self.position = one.offset + 1

    def commit(self) -> int:
        """Commit; returns how many kept records that wrote."""
        # In this order: keeping notes in the sessions which of their records leave.
        outs, kept_rows = self.keeper.outs(self.position)
        changes = self.changelog.rows(self.engine.changes(self.changelog.pack))
        compact(self.rows, [*changes, *kept_rows])
        self.keeper.was_committed()
        kept = [json.loads(out.value or b"") for out in outs if out.topic.endswith("-keep")]
        self.sent += kept
        return len(kept)

    def finish(self) -> None:
        """End all sessions, and commit until nothing waits."""
        self.engine.finish()
        self.keeper.settle()
        self.commit()
        while self.keeper.has_more:
            self.commit()


def ride_of(name: str, first: int, keys: tuple[int, ...] = BAD, pad: int = 0) -> list[HeldMessage]:
    found = []
    for number, key in enumerate(keys):
        value = {"ride": name, "message": MESSAGES[key], "pad": "x" * pad}
        at_ms = T0 // 10**6 + first + number
        found.append(HeldMessage(first + number, at_ms, b"k", json.dumps(value).encode()))
    return found


def test_the_next_owner_keeps_what_the_last_one_held(lift: Bundle, tmp_path: Path) -> None:
    rows: dict[bytes, bytes] = {}
    messages = ride_of("r", 40)
    first = Side(lift, tmp_path, rows)
    first.begin([])
    first.feed(messages[:3])
    assert first.commit() == 0
    # Killed: what it fed since then is fed again.
    first.feed(messages[3:])
    second = Side(lift, tmp_path, rows)
    second.begin(messages[:3])
    second.feed(messages[3:])
    second.finish()
    assert [record["message"] for record in second.sent] == [MESSAGES[key] for key in BAD]
    assert {record["krone.kept"] for record in second.sent} == {"abnormal"}
    ids = [record["krone.record_id"] for record in second.sent]
    first.finish()
    assert [record["krone.record_id"] for record in first.sent] == ids
    assert len(set(ids)) == len(ids)


def test_what_left_early_does_not_leave_again_from_the_next_owner(
    lift: Bundle, tmp_path: Path
) -> None:
    rows: dict[bytes, bytes] = {}
    messages = ride_of("r", 40, (*BAD, CLOSE, OPEN, OPENED))
    first = Side(lift, tmp_path, rows)
    first.begin([])
    first.feed(messages[:6])
    assert first.commit() == 6
    second = Side(lift, tmp_path, rows)
    second.begin(messages[:6])
    second.feed(messages[6:])
    second.finish()
    assert len(second.sent) == 1


def test_what_one_transaction_does_not_hold_waits_for_the_next_ones(
    lift: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.kafka.message_keeper._MOST_BYTES", 20_000)
    monkeypatch.setattr(MessageKeeper, "most_in_row", 8)
    rows: dict[bytes, bytes] = {}
    messages = [one for n in range(20) for one in ride_of(f"r{n}", 4 * n, pad=500)]
    first = Side(lift, tmp_path, rows)
    first.begin([])
    first.feed(messages)
    first.engine.finish()
    first.keeper.settle()
    assert 0 < first.commit() < len(messages)
    # Killed with rows that wait; the next owner writes them, and only them.
    second = Side(lift, tmp_path, rows)
    second.begin(messages)
    second.finish()
    both = first.sent + second.sent
    assert len(both) == len({record["krone.record_id"] for record in both}) == len(messages)
    assert second.sent
    assert not any(key.startswith(b"kept/row/") for key in rows)


def test_above_the_limit_sessions_are_kept_as_they_are_and_room_is_freed(
    lift: Bundle, tmp_path: Path
) -> None:
    rows: dict[bytes, bytes] = {}
    side = Side(lift, tmp_path, rows, keep_size=100_000)
    side.begin([])
    for number in range(100):
        side.feed(ride_of(f"r{number}", 3 * number, (OPEN, OPENED, GOING), pad=1_000))
        side.commit()
        assert side.spool.size_bytes < 140_000
    assert {record["krone.kept"] for record in side.sent} >= {"size"}
    assert oldest_of(rows) == side.spool.first_offset(side.spool.oldest)


def test_a_record_that_is_too_large_with_its_fields_is_set_aside(
    lift: Bundle, tmp_path: Path
) -> None:
    side = Side(lift, tmp_path, {})
    side.begin([])
    side.feed(ride_of("r", 0, (*BAD[:3], STUCK), pad=0))
    huge = ride_of("r", 4, (STUCK,), pad=LARGEST_BYTES)
    side.feed(huge)
    side.engine.finish()
    side.keeper.settle()
    outs, _ = side.keeper.outs(side.position)
    reasons = [dict(out.headers).get("reason") for out in outs if out.topic.endswith("-errors")]
    assert reasons == [b"too_large"]
    assert len([out for out in outs if out.topic.endswith("-keep")]) == 4
