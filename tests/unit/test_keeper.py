"""Records of sessions are held until they are judged, and those that are kept leave unchanged."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest
from service_rig import BAD, Receiver, Rig, killed, run, settle
from synthetic import CLOSE, GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK, T0, S

from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError
from fluent_krone.transport.forward import Chunk, encode_event_time

# What one record of a chunk is: session, log key, seconds after T0, and further fields.
Line = tuple[str, int, int]
# So that only abnormal sessions are kept.
ONLY_ABNORMAL: dict[str, Any] = {"keep": True, "keep_per_kind": 0, "keep_share": 0.0}


def chunk_of(chunk_id: str | None, *lines: Line, tag: str = "app", **fields: Any) -> Chunk:
    entries = [
        msgpack.packb(
            [
                encode_event_time(T0 + at * S),
                {"ride": ride, "message": MESSAGES[key], "at": at, **fields},
            ]
        )
        for ride, key, at in lines
    ]
    return Chunk(tag, b"".join(entries), chunk_id, len(entries))


def ride_of(name: str, keys: tuple[int, ...], at: int = 0) -> list[Line]:
    return [(name, key, at + i) for i, key in enumerate(keys)]


async def take(rig: Rig, chunk: Chunk) -> None:
    await rig.service.take(chunk, lambda: rig.acked.append(str(chunk.chunk)))


def records(receiver: Receiver, tag: str = "keep.app") -> list[dict[str, Any]]:
    found = []
    for packed in receiver.packed:
        entries = [record for _, record in Chunk("", packed.entries).events()]
        assert len(entries) == packed.count
        if packed.tag == tag:
            found += [{k.decode(): plain(v) for k, v in record.items()} for record in entries]
    return found


def plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def told(receiver: Receiver, tag: str = "keep.app") -> list[tuple[str, int, str]]:
    return [(r["ride"], r["at"], r["krone.verdict"]) for r in records(receiver, tag)]


async def finished(rig: Rig) -> None:
    await rig.service.flush()
    await rig.service.close()


def test_only_the_records_of_abnormal_sessions_come_back_all_and_in_order(story: Any) -> None:
    async def body(rig: Rig) -> None:
        lines = [*ride_of("good", NORMAL[0]), *ride_of("bad", BAD), ("bad", CLOSE, 9)]
        await take(rig, chunk_of("one", *sorted(lines, key=lambda line: line[2])))
        await finished(rig)
        assert told(rig.receiver) == [("bad", at, "abnormal") for at in (0, 1, 2, 3, 9)]
        [alert] = [a for a in rig.receiver.alerts if a.record["kind"] == "sequence"]
        assert {r["krone.alert_id"] for r in records(rig.receiver)} == {alert.alert_id}
        assert {r["krone.kept"] for r in records(rig.receiver)} == {"abnormal"}
        assert len({r["krone.record_id"] for r in records(rig.receiver)}) == 5

    story(body, **ONLY_ABNORMAL)


def test_the_rest_of_a_session_follows_its_early_alert_with_each_commit(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await take(rig, chunk_of("one", *ride_of("bad", BAD), ("bad", CLOSE, 9)))
        await settle(lambda: len(records(rig.receiver)) == 5)
        before = told(rig.receiver)
        await take(rig, chunk_of("two", ("bad", OPEN, 12), ("bad", OPENED, 13)))
        await settle(lambda: len(records(rig.receiver)) == 7)
        assert [at for _, at, _ in told(rig.receiver)] == [0, 1, 2, 3, 9, 12, 13]
        assert [record["decided"] for record in sequence_alerts(rig)] == ["early"]
        assert len(before) == 5
        await finished(rig)
        assert len(records(rig.receiver)) == 7

    story(body, **ONLY_ABNORMAL, commit_interval=0.0)


def sequence_alerts(rig: Rig) -> list[Any]:
    return [a.record for a in rig.receiver.alerts if a.record["kind"] == "sequence"]


def test_records_stay_as_they_came_but_for_the_fields_that_are_added(story: Any) -> None:
    async def body(rig: Rig) -> None:
        odd = {"raw": b"\xff\x00", "big": 2**63, "nested": {"a": [1, None, 1.5]}, "n": -1}
        chunk = chunk_of("one", *ride_of("bad", BAD), **odd)
        await take(rig, chunk)
        await finished(rig)
        before = [
            msgpack.unpackb(entry, raw=True, timestamp=0) for entry in entries_of(chunk.entries)
        ]
        after = [
            msgpack.unpackb(entry, raw=True, timestamp=0)
            for packed in rig.receiver.packed
            if packed.tag == "keep.app"
            for entry in entries_of(packed.entries)
        ]
        for (time, record), (own_time, own) in zip(after, before, strict=True):
            added = {name for name in record if name.startswith(b"krone.")}
            assert time == own_time
            assert {name: record[name] for name in record if name not in added} == own
            assert list(record)[: len(own)] == list(own)

    story(body, **ONLY_ABNORMAL)


def entries_of(packed: Any) -> list[bytes]:
    """The packed entries of a run, each by itself."""
    reader = msgpack.Unpacker()
    reader.feed(packed)
    found = []
    start = 0
    while start < len(packed):
        reader.skip()
        found.append(packed[start : reader.tell()])
        start = reader.tell()
    return found


def test_of_each_kind_of_normal_session_the_first_few_of_a_day_are_kept(story: Any) -> None:
    async def body(rig: Rig) -> None:
        names = [f"{kind}{n}" for kind in (0, 1) for n in range(4)]
        lines = [line for name in names for line in ride_of(name, NORMAL[int(name[0])])]
        await take(rig, chunk_of("one", *lines))
        await finished(rig)
        assert {r["ride"] for r in records(rig.receiver)} == {"00", "01", "10", "11"}
        assert {r["krone.kept"] for r in records(rig.receiver)} == {"kind"}
        assert rig.service.counters["records_dropped"] == 2 * (len(NORMAL[0]) + len(NORMAL[1]))

    story(body, keep=True, keep_per_kind=2, keep_share=0.0)


def test_a_share_of_the_others_is_kept_and_says_for_how_many_it_stands(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await take(
            rig, chunk_of("one", *((f"r{n}", key, n) for n in range(60) for key in NORMAL[0]))
        )
        await finished(rig)
        kept = {r["ride"] for r in records(rig.receiver)}
        assert 15 < len(kept) < 45
        assert {r["krone.sampled"] for r in records(rig.receiver)} == {2}

    story(body, keep=True, keep_per_kind=0, keep_share=0.5)


@pytest.mark.parametrize(("outside", "kept"), [("keep", 1), ("drop", 0)])
def test_records_of_no_session_leave_at_once_or_never(story: Any, outside: str, kept: int) -> None:
    async def body(rig: Rig) -> None:
        stray = msgpack.packb([T0 // S, {"message": "nobody's line"}])
        broken = msgpack.packb([T0 // S, "no map"])
        await take(rig, Chunk("app", stray + broken, "one", 2))
        await finished(rig)
        found = records(rig.receiver)
        assert len(found) == kept
        assert all(r["message"] == "nobody's line" for r in found)

    story(body, **ONLY_ABNORMAL, keep_outside=outside)


@pytest.mark.parametrize(
    "rule", [{"keep_always": ("/is open/",), "keep_level": "none"}, {"keep_level": "error"}]
)
def test_some_records_of_normal_sessions_are_kept_whatever_the_verdict(
    story: Any, rule: dict[str, Any]
) -> None:
    async def body(rig: Rig) -> None:
        await take(rig, chunk_of("one", ("a", OPEN, 0), level="info"))
        await take(rig, chunk_of("two", ("a", OPENED, 1), level="ERROR"))
        await take(rig, chunk_of("three", ("a", CLOSE, 2), level="info"))
        await finished(rig)
        assert [(r["at"], r["krone.kept"]) for r in records(rig.receiver)] == [(1, "always")]

    story(body, **ONLY_ABNORMAL, **rule)


def test_what_was_not_kept_is_counted_in_an_event_of_its_own(story: Any, lift: Bundle) -> None:
    async def body(rig: Rig) -> None:
        await take(rig, chunk_of("one", *ride_of("a", NORMAL[0]), *ride_of("b", NORMAL[1], 10)))
        rig.service._committer.commit()
        await take(rig, chunk_of("two", ("c", OPEN, 60)))
        rig.service._committer.commit()
        await settle(lambda: bool(rig.receiver.packed))
        [packed] = rig.receiver.packed
        [(_, event)] = Chunk("", packed.entries).events()
        assert packed.tag == "keep.summary"
        assert event[b"sessions"] == 2
        assert event[b"records"] == len(NORMAL[0]) + len(NORMAL[1])
        by_step = {
            (s[b"entity"], s[b"action"], s[b"status"]): s[b"records"] for s in event[b"steps"]
        }
        assert by_step[b"lift", b"move", b"arrived"] == 1
        assert by_step[b"gate", b"open", b"asked"] == 2

    story(body, **ONLY_ABNORMAL, keep_summary=30.0, idle_timeout=5.0)


def test_at_the_end_the_rest_of_what_was_not_kept_is_counted(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await take(rig, chunk_of("one", *ride_of("a", NORMAL[0]), *ride_of("bad", BAD)))
        await finished(rig)
        [packed] = [packed for packed in rig.receiver.packed if packed.tag == "keep.summary"]
        [(_, event)] = Chunk("", packed.entries).events()
        assert event[b"records"] == len(NORMAL[0])

    story(body, **ONLY_ABNORMAL, keep_summary=3600.0)


def test_after_a_kill_nothing_is_lost_and_ids_are_the_same(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        receiver = Receiver()
        receiver.open.clear()
        rig = Rig(lift, receiver, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await take(rig, chunk_of("one", *ride_of("bad", BAD), *ride_of("late", BAD[:2], 4)))
        rig.service._committer.commit()
        # Fed, but never committed: its sender has no ack, and sends it again.
        await take(rig, chunk_of("two", ("late", GOING, 6)))
        await killed(rig)
        rig = Rig(lift, Receiver(failures=1), store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await settle()
        await killed(rig)
        receiver = Receiver()
        rig = Rig(lift, receiver, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await take(rig, chunk_of("two", ("late", GOING, 6)))
        await take(rig, chunk_of("three", ("late", STUCK, 7), ("late", CLOSE, 8)))
        rig.service._judge.finish()
        await finished(rig)
        found = [(r["ride"], r["at"]) for r in records(receiver)]
        # The early alert about the one comes before the end of the other.
        assert found == [("late", at) for at in range(4, 9)] + [("bad", at) for at in range(4)]

    run(story)


def test_a_row_that_is_delivered_twice_has_the_same_ids(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await take(rig, chunk_of("one", *ride_of("bad", BAD), ("bad", CLOSE, 9)))
        # The store cannot delete the row after its delivery.
        rig.service._storage.confirm_rows = lambda last: None  # type: ignore[method-assign]
        rig.service._committer.commit()
        await settle(lambda: bool(rig.receiver.packed))
        await killed(rig)
        again = Rig(lift, store=store_path, **ONLY_ABNORMAL)
        await again.service.start()
        await settle(lambda: bool(again.receiver.packed))
        ids = [r["krone.record_id"] for r in records(rig.receiver)]
        assert [r["krone.record_id"] for r in records(again.receiver)] == ids
        assert len(set(ids)) == 5
        await killed(again)

    run(story)


def test_equal_records_of_chunks_without_an_id_have_ids_of_their_own(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for _ in range(2):
            await take(rig, chunk_of(None, *ride_of("bad", BAD)))
        await finished(rig)
        ids = [r["krone.record_id"] for r in records(rig.receiver)]
        assert len(ids) == len(set(ids)) == 8

    story(body, **ONLY_ABNORMAL)


def test_a_full_spool_releases_the_oldest_sessions_and_drops_none(
    lift: Bundle, store_path: str
) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path, **ONLY_ABNORMAL, keep_size=20_000)
        await rig.service.start()
        for n in range(100):
            await take(rig, chunk_of(f"c{n}", (f"r{n}", OPEN, n % 50), pad="x" * 1000))
            rig.service._committer.commit()
            await settle(lambda: rig.service._outbox.releases.empty.is_set())
        assert rig.service.stats()["spool_size"] < 40_000
        kept = {r["ride"] for r in records(rig.receiver) if r["krone.kept"] == "size"}
        assert {f"r{n}" for n in range(70)} <= kept
        assert rig.service.stats()["kept_missing"] == 0
        await killed(rig)

    run(story)


def test_a_chunk_larger_than_the_spool_may_be_stops_nothing(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path, **ONLY_ABNORMAL, keep_size=5_000)
        await rig.service.start()
        for n in range(20):
            large = [(f"r{n}-{i}", OPEN, n) for i in range(8)]
            await take(rig, chunk_of(f"c{n}", *large, pad="x" * 1000))
            rig.service._committer.commit()
            await settle(lambda: rig.service._outbox.releases.empty.is_set())
            rig.service._committer.commit()
        assert len({r["ride"] for r in records(rig.receiver)}) == 160
        assert rig.service.stats()["spool_size"] < 30_000
        await killed(rig)

    run(story)


def test_without_a_receiver_a_full_spool_stops_the_reading(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        receiver = Receiver()
        receiver.open.clear()
        rig = Rig(lift, receiver, store=store_path, **ONLY_ABNORMAL, keep_size=20_000)
        await rig.service.start()
        sending = 0
        for n in range(60):
            if not rig.service._outbox.releases.room.is_set():
                break
            await take(rig, chunk_of(f"c{n}", (f"r{n}", OPEN, n % 50), pad="x" * 1000))
            rig.service._committer.commit()
            sending += 1
        assert sending < 40
        receiver.open.set()
        await settle(lambda: rig.service._outbox.releases.empty.is_set())
        rig.service._committer.commit()
        assert rig.service._outbox.releases.room.is_set()
        await killed(rig)

    run(story)


def test_annotated_records_leave_at_once_with_what_was_read_in_them(
    story: Any, lift: Bundle
) -> None:
    async def body(rig: Rig) -> None:
        chunk = chunk_of("one", ("a", OPEN, 0), ("a", GOING, 1))
        stray = msgpack.packb([T0 // S, {"message": "nobody's line"}])
        await take(rig, Chunk("app", chunk.entries + stray, "one", 3))
        rig.service._committer.commit()
        await settle(lambda: bool(rig.receiver.packed))
        first, second, third = records(rig.receiver, "annotated.app")
        assert first["krone.entity"] == "gate"
        assert (second["krone.action"], second["krone.status"]) == ("move", "going")
        assert second["krone.template"] == "lift: going to floor <num>"
        assert second["krone.session"] == "a"
        assert third == {"message": "nobody's line"}

    story(body, annotate=True)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"keep_always": ("error",)}, "'error' is not a /regex/: write /error/"),
        ({"keep_always": ("/(/",)}, "keep_always: /\\(/ is not a regular expression"),
        ({"keep_tag": "keep.${host}"}, r"keep_tag: \${host} is not a placeholder"),
        ({"annotate_tag": "${x}"}, r"annotate_tag: \${x} is not a placeholder"),
        ({"keep_tag": "kept", "keep_add_tag_prefix": "keep"}, "exclude each other"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_before_a_file_is_made(
    lift: Bundle, store_path: str, wrong: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Rig(lift, store=store_path, **({"keep": True} | wrong))
    assert not Path(f"{store_path}.keep").exists()


def test_what_was_held_is_delivered_even_if_nothing_is_kept_any_more(
    lift: Bundle, store_path: str
) -> None:
    async def story() -> None:
        receiver = Receiver()
        receiver.open.clear()
        rig = Rig(lift, receiver, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await take(rig, chunk_of("one", *ride_of("bad", BAD), ("bad", CLOSE, 9)))
        rig.service._committer.commit()
        await killed(rig)
        again = Rig(lift, store=store_path)
        await again.service.start()
        await settle(lambda: bool(again.receiver.packed))
        assert len(records(again.receiver)) == 5
        await killed(again)

    run(story)


def test_another_bundle_goes_on_with_the_records_that_are_held(story: Any, lift: Bundle) -> None:
    async def body(rig: Rig) -> None:
        await take(rig, chunk_of("one", *ride_of("bad", BAD[:2]), *ride_of("worse", BAD)))
        await take(rig, chunk_of("two", ("worse", CLOSE, 9)))
        await rig.service.reload(lift)
        await take(
            rig, chunk_of("three", ("bad", GOING, 2), ("bad", STUCK, 3), ("worse", OPEN, 10))
        )
        await finished(rig)
        found = [(r["ride"], r["at"]) for r in records(rig.receiver)]
        assert sorted(found) == [
            *[("bad", at) for at in range(4)],
            *[("worse", at) for at in (0, 1, 2, 3, 9, 10)],
        ]

    story(body, **ONLY_ABNORMAL)


def test_while_the_spool_cannot_be_written_nothing_is_fed_or_acked(
    story: Any, store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(rig: Rig) -> None:
        keeper = rig.service._judge.keeper
        assert keeper is not None
        segments = keeper.spool._segments
        append = segments.append

        def full(parts: Any) -> Any:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(segments, "append", full)
        taking = asyncio.create_task(take(rig, chunk_of("one", *ride_of("bad", BAD))))
        await settle()
        rig.service._committer.commit()
        await settle()
        assert not taking.done() and not rig.acked
        # Killed here, the next process must take the chunk for a new one.
        assert rig.service._committer._repeats.hand_over() == ([], [])
        assert rig.service.counters["records"] == 0
        assert "the store can't be written, nothing is acked" in rig.service.troubles()
        monkeypatch.setattr(segments, "append", append)
        rig.service._committer.commit()
        await taking
        await finished(rig)
        assert rig.acked == ["one"]

    story(body, store=store_path, **ONLY_ABNORMAL)


def shared_chunk(chunk_id: str, key: int, at: int, *rides: str) -> Chunk:
    """A chunk of one record that belongs to several sessions."""
    record = {"ride": list(rides), "message": MESSAGES[key], "at": at}
    return Chunk("app", msgpack.packb([encode_event_time(T0 + at * S), record]), chunk_id, 1)


def ats(receiver: Receiver) -> list[tuple[int, str]]:
    found = []
    for packed in receiver.packed:
        for _, record in Chunk("", packed.entries).events():
            found.append((record[b"at"], record[b"krone.session"].decode()))
    return found


def test_a_record_of_several_sessions_is_kept_once(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        rig = Rig(lift, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        for at, key in enumerate(BAD):
            await take(rig, shared_chunk(f"c{at}", key, at, "a", "b", "good"))
        # The one is abnormal at once, and its records leave.
        await take(rig, chunk_of("end of a", ("a", CLOSE, 9)))
        rig.service._committer.commit()
        await settle(lambda: bool(rig.receiver.packed))
        await killed(rig)
        # The other ends after a kill: what left with the first one does not leave again.
        again = Rig(lift, store=store_path, on_shutdown="judge", **ONLY_ABNORMAL)
        await again.service.start()
        await take(again, chunk_of("end of b", ("b", CLOSE, 9)))
        await finished(again)
        assert ats(rig.receiver) == [(0, "a"), (1, "a"), (2, "a"), (3, "a"), (9, "a")]
        assert ats(again.receiver) == [(9, "b")]

    run(story)


def test_records_that_wait_to_be_put_in_order_are_held_as_well(
    lift: Bundle, store_path: str
) -> None:
    async def story() -> None:
        late: dict[str, Any] = ONLY_ABNORMAL | {"allowed_lateness": 20.0, "store": store_path}
        rig = Rig(lift, **late)
        await rig.service.start()
        await take(rig, chunk_of("one", ("bad", OPENED, 1), ("bad", OPEN, 0), ("bad", STUCK, 3)))
        rig.service._committer.commit()
        await killed(rig)
        again = Rig(lift, **late, on_shutdown="judge")
        await again.service.start()
        await take(again, chunk_of("two", ("bad", GOING, 2), ("bad", CLOSE, 4)))
        await finished(again)
        assert [at for _, at, _ in told(again.receiver)] == [0, 1, 2, 3, 4]

    run(story)


def test_a_record_that_the_disk_destroyed_stops_no_other(lift: Bundle, store_path: str) -> None:
    async def story() -> None:
        receiver = Receiver()
        receiver.open.clear()
        rig = Rig(lift, receiver, store=store_path, **ONLY_ABNORMAL)
        await rig.service.start()
        await take(rig, chunk_of("one", *ride_of("bad", BAD)))
        await take(rig, chunk_of("two", ("bad", CLOSE, 9)))
        rig.service._committer.commit()
        await killed(rig)
        [path] = Path(f"{store_path}.keep").iterdir()
        data = path.read_bytes()
        at = data.index(MESSAGES[GOING].encode()) - 30
        path.write_bytes(data[:at] + b"\xc1" * 40 + data[at + 40 :])
        again = Rig(lift, store=store_path, **ONLY_ABNORMAL)
        await again.service.start()
        await settle(lambda: again.service._outbox.releases.empty.is_set())
        # What lies behind the damage cannot be told from what was never written whole.
        assert again.service.stats()["kept_missing"] == 5
        assert not again.service.torn.is_set()
        await take(again, chunk_of("three", *ride_of("worse", BAD), ("worse", CLOSE, 9)))
        again.service._committer.commit()
        await settle(lambda: bool(again.receiver.packed))
        assert [at for _, at, _ in told(again.receiver)] == [0, 1, 2, 3, 9]
        await killed(again)

    run(story)
