"""Records in, findings out: what is counted, when sessions end, which times are believed."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from synthetic import (
    BYE,
    CLOSE,
    GOING,
    MESSAGES,
    NORMAL,
    OPEN,
    OPENED,
    STUCK,
    T0,
    UNKNOWN,
    S,
    event,
    lift_engine,
    make_limits,
    novelties,
    ride,
    sequences,
)

from fluent_krone.core.sessions import Session
from fluent_krone.errors import RecordError, SnapshotError

NOW = T0 + 1000 * S
YEAR_2099 = 4_070_908_800.0 - T0 / S  # seconds after T0
DAY = 86400.0


def keys_of(engine: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Notes every instance as it ends: its name and log keys."""
    ended: list[tuple[str, tuple[int, ...]]] = []

    def note(session: Session) -> None:
        ended.append((session.key[0].decode(), tuple(session.keys)))

    engine.on_close.append(note)
    return ended


def test_normal_rides_give_nothing() -> None:
    engine = lift_engine()
    for number, keys in enumerate(NORMAL):
        assert engine.feed("app", ride(str(number), keys), NOW) == []
    assert engine.finish() == []
    assert engine.counters["instances"] == len(NORMAL)
    assert engine.counters["flagged"] == 0


def test_an_abnormal_ride_is_one_finding() -> None:
    engine = lift_engine()
    assert sequences(engine.feed("app.lift", ride("a", (OPEN, OPENED, GOING, STUCK)), NOW)) == []
    [finding] = engine.finish()
    assert (finding.kind, finding.decided, finding.tag, finding.session) == (
        "sequence",
        "end",
        b"app.lift",
        (b"a",),
    )
    assert (finding.instance, finding.ordinal, finding.events) == (1, 0, 4)
    assert (finding.first_ns, finding.last_ns) == (T0, T0 + 3 * S)
    assert finding.log_keys == (OPEN, OPENED, GOING, STUCK)
    assert finding.verdict is not None and (finding.verdict.seq.start, finding.verdict.seq.end) == (
        2,
        4,
    )
    assert finding.lines == (MESSAGES[GOING].encode(), MESSAGES[STUCK].encode())
    assert engine.finish() == []


def test_what_no_end_can_reverse_is_told_early_and_once() -> None:
    engine = lift_engine()
    early = (OPEN, OPENED, GOING, STUCK, CLOSE)
    [finding] = sequences(
        engine.feed("app", [*ride("a", early), event("a", STUCK, 5), event("a", OPEN, 6)], NOW)
    )
    assert (finding.decided, finding.events, finding.log_keys) == ("early", 5, early)
    assert (finding.first_ns, finding.last_ns) == (T0, T0 + 4 * S)
    assert engine.finish() == []
    [again] = engine.feed("app", ride("a", (GOING, CLOSE), 7), NOW)  # a new instance is judged anew
    assert (again.decided, again.instance) == ("early", 2)
    assert (
        engine.counters["flagged"],
        engine.counters["decided_early"],
        engine.counters["instances"],
    ) == (2, 2, 1)


def test_what_can_not_be_an_event_is_counted_by_reason_and_the_rest_goes_on() -> None:
    engine = lift_engine()
    good = ride("a", NORMAL[0])
    bad = [
        (T0, {b"ride": b"a"}),
        (T0, {b"message": b"x"}),
        (T0, [b"no map"]),
        (None, b"no event"),
        (None, RecordError("undecodable", "bytes that can't be read")),
    ]
    mixed = [entry for pair in zip(bad, good + good, strict=False) for entry in pair]
    engine.feed("app", mixed, NOW)
    assert engine.set_aside == {
        "no_message": 1,
        "no_session_key": 1,
        "not_a_map": 2,
        "undecodable": 1,
    }
    assert (engine.counters["records"], engine.counters["events"]) == (10, 5)


def test_odd_bytes_and_a_long_line_are_events() -> None:
    engine = lift_engine()
    long = MESSAGES[BYE].encode() + b" " + b"x" * 10_000_000
    records = [{b"message": b"\xff\xfe", b"ride": b"\xff"}, {b"message": long, b"ride": b"\xff"}]
    [finding] = sequences(engine.feed("app", [(T0, record) for record in records], NOW))
    assert finding.session == (b"\xff",) and finding.events == 2
    assert max(map(len, finding.lines)) <= 8192
    assert engine.reader.messages_cut == 1


def test_one_record_may_be_an_event_of_several_sessions() -> None:
    engine = lift_engine(limits=make_limits(max_keys_per_record=2))
    ended = keys_of(engine)
    engine.feed(
        "app", [(T0, {b"message": MESSAGES[OPEN].encode(), b"ride": [b"a", b"b", b"c"]})], NOW
    )
    engine.finish()
    assert ended == [("a", (OPEN,)), ("b", (OPEN,))]
    assert (engine.counters["records"], engine.counters["events"]) == (1, 2)
    assert engine.reader.keys_over_cap == 1


# -- when sessions end


def test_idle_timeout_by_stream_time() -> None:
    engine = lift_engine()
    assert engine.feed("app", [event("a", GOING, 0), event("b", OPEN, 60)], NOW) == []
    [finding] = engine.feed("app", [event("b", OPENED, 60.001)], NOW)
    assert finding.session == (b"a",)


def test_a_gap_inside_one_chunk_cuts_a_session_too() -> None:
    engine = lift_engine()
    ended = keys_of(engine)
    findings = (
        engine.feed("app", [event("a", OPEN, 0), event("a", OPENED, 61)], NOW) + engine.finish()
    )
    assert ended == [("a", (OPEN,)), ("a", (OPENED,))]
    assert [finding.instance for finding in findings] == [1, 2]


def test_advance_ends_idle_sessions_while_no_record_comes() -> None:
    engine = lift_engine()
    engine.feed("app", [event("a", GOING, 0)], NOW)
    assert engine.advance(NOW + 60 * S) == []
    [finding] = engine.advance(NOW + 60 * S + 1)
    assert finding.session == (b"a",)
    assert engine.advance(NOW + 600 * S) == []


def test_advance_before_the_first_record_or_back_in_time_is_nothing() -> None:
    engine = lift_engine()
    assert engine.advance(NOW) == []
    engine.feed("app", [event("a", GOING, 0)], NOW)
    assert engine.advance(NOW - 1000 * S) == []
    assert len(engine.sessions.open) == 1


def test_wall_clock_ages_by_arrival() -> None:
    engine = lift_engine(limits=make_limits(idle_clock="wall"))
    ended = keys_of(engine)
    engine.feed("app", [event("a", OPEN, 0), event("a", OPENED, 500)], NOW)
    engine.feed("app", [event("a", CLOSE, 501)], NOW + 60 * S)
    assert ended == []
    engine.advance(NOW + 121 * S)
    assert ended == [("a", (OPEN, OPENED, CLOSE))]


def test_time_going_backwards_keeps_arrival_order_and_ends_nothing() -> None:
    engine = lift_engine()
    engine.feed("app", [event("a", OPEN, 30), event("a", OPENED, 0), event("a", GOING, -5000)], NOW)
    assert engine.watermark == T0 + 30 * S
    [finding] = engine.finish()
    assert (finding.log_keys, finding.first_ns, finding.last_ns) == (
        (OPEN, OPENED, GOING),
        T0 + 30 * S,
        T0 - 5000 * S,
    )


def test_end_templates_end_a_session_at_once() -> None:
    engine = lift_engine(end_templates=("gate: close door <num>",))
    ended = keys_of(engine)
    [first] = engine.feed("app", ride("a", (GOING, CLOSE, OPEN)), NOW)
    assert (first.instance, first.events) == (1, 2)
    assert ended == [("a", (GOING, CLOSE))]
    [second] = engine.finish()
    assert (second.instance, second.log_keys) == (2, (OPEN,))


def test_max_events_ends_a_session() -> None:
    engine = lift_engine(max_events=2)
    ended = keys_of(engine)
    [first] = engine.feed("app", ride("a", (OPEN, GOING, OPENED)), NOW)
    assert ended == [("a", (OPEN, GOING))]
    [second] = engine.finish()
    assert (first.instance, second.instance, second.log_keys) == (1, 2, (OPENED,))


def test_a_session_of_one_event_at_most() -> None:
    engine = lift_engine(max_events=1)
    ended = keys_of(engine)
    engine.feed("app", ride("a", (OPEN, OPENED)), NOW)
    assert ended == [("a", (OPEN,)), ("a", (OPENED,))]


def test_max_age_ends_a_session() -> None:
    engine = lift_engine(max_age=2.0)
    ended = keys_of(engine)
    engine.feed("app", ride("a", (OPEN, OPENED, GOING, CLOSE)), NOW)
    assert ended == [("a", (OPEN, OPENED, GOING))]


def test_windows_cut_by_the_clock() -> None:
    engine = lift_engine(window=50.0)  # T0 is a multiple of 50 s
    ended = keys_of(engine)
    engine.feed(
        "app", [event("a", OPEN, 48), event("a", OPENED, 49.999), event("a", GOING, 50)], NOW
    )
    assert ended == [("a", (OPEN, OPENED))]


def test_above_max_sessions_the_longest_idle_is_judged_and_counted() -> None:
    engine = lift_engine(limits=make_limits(max_sessions=2))
    findings = engine.feed("app", [event(name, GOING, i) for i, name in enumerate("abc")], NOW)
    assert [finding.session for finding in findings] == [(b"a",)]
    assert (len(engine.sessions.open), engine.sessions.over_cap) == (2, 1)


def test_ordinals_tell_instances_with_the_same_first_time_apart() -> None:
    engine = lift_engine(max_events=1)
    findings = engine.feed(
        "app", [event("a", GOING, 0), event("a", GOING, 0), event("a", GOING, 1)], NOW
    )
    assert [(f.instance, f.ordinal) for f in findings] == [(1, 0), (2, 1), (3, 0)]


def test_an_alerts_tag_is_that_of_the_sessions_first_event() -> None:
    engine = lift_engine()
    engine.feed("one", [event("a", OPEN)], NOW)
    [finding] = sequences(engine.feed("two", [event("a", STUCK)], NOW))
    assert finding.tag == b"one"


def test_the_tag_may_be_the_session() -> None:
    engine = lift_engine(session_key=("tag",))
    for tag in ("one", "two"):
        engine.feed(tag, [event("a", OPEN)], NOW)
    assert set(engine.sessions.open) == {(b"one",), (b"two",)}


# -- which times are believed


def test_a_lone_date_in_2099_is_not_believed_live() -> None:
    engine = lift_engine()
    ended = keys_of(engine)
    engine.feed(
        "app", [event("a", OPEN, 0), event("b", OPEN, YEAR_2099), event("a", OPENED, 1)], NOW
    )
    assert ended == []
    assert (engine.counters["time_in_future"], engine.watermark) == (1, T0 + S)
    assert engine.sessions.open[(b"b",)].first_ns == T0


def test_nor_any_number_of_them() -> None:
    engine = lift_engine()
    engine.feed("app", [event("a", OPEN, 0)] + [event("b", OPEN, YEAR_2099)] * 100, NOW)
    assert (engine.counters["time_in_future"], engine.watermark) == (100, T0)


@pytest.mark.parametrize("at_s", [YEAR_2099, None])
def test_a_first_line_without_a_time_to_believe_starts_its_session_all_the_same(
    at_s: float | None,
) -> None:
    engine = lift_engine()
    findings = (
        engine.feed("app", [event("a", OPEN, at_s), *ride("a", NORMAL[0][1:])], NOW)
        + engine.finish()
    )
    assert findings == []
    assert engine.counters["instances"] == 1
    assert engine.watermark == T0 + S


def test_a_first_line_in_the_future_is_dated_now() -> None:
    engine = lift_engine()
    engine.feed("app", [event("a", GOING, YEAR_2099)], NOW)
    [finding] = engine.finish()
    assert finding.first_ns == NOW


def test_the_clock_may_be_a_little_slow() -> None:
    engine = lift_engine(limits=make_limits(max_future=10.0))
    engine.feed("app", [event("a", OPEN, 1010), event("a", OPEN, 1010.001)], NOW)
    assert (engine.watermark, engine.counters["time_in_future"]) == (NOW + 10 * S, 1)


def test_a_lone_leap_in_a_replay_is_not_believed() -> None:
    engine = lift_engine()
    ended = keys_of(engine)
    late = T0 + 400 * int(DAY) * S
    engine.feed(
        "app", [event("a", OPEN, 0), event("b", OPEN, 31 * DAY), event("a", OPENED, 1)], late
    )
    assert ended == []
    assert (engine.counters["time_leap"], engine.watermark) == (1, T0 + S)


def test_leaps_apart_from_each_other_are_never_believed() -> None:
    engine = lift_engine()
    late = T0 + 400 * int(DAY) * S
    pair = [
        event("a", OPEN, 0),
        event("b", OPEN, 31 * DAY),
    ]  # all of one second, so the watermark stays
    engine.feed("app", pair * 50, late)
    assert (engine.counters["time_leap"], engine.watermark) == (50, T0)


def test_a_real_jump_of_the_stream_is_believed_soon() -> None:
    engine = lift_engine()
    ended = keys_of(engine)
    late = T0 + 400 * int(DAY) * S
    engine.feed(
        "app", [event("a", OPEN, 0)] + [event("b", OPEN, 40 * DAY + i) for i in range(16)], late
    )
    assert engine.watermark == T0 + (40 * int(DAY) + 15) * S
    assert ("a", (OPEN,)) in ended
    assert engine.counters["time_leap"] == 15


def test_a_short_jump_needs_no_believing() -> None:
    engine = lift_engine()
    engine.feed("app", [event("a", OPEN, 0), event("b", OPEN, 29 * DAY)], T0 + 400 * int(DAY) * S)
    assert engine.watermark == T0 + 29 * int(DAY) * S


def test_an_event_without_time_has_the_watermark() -> None:
    engine = lift_engine()
    [finding] = engine.feed("app", [event("a", OPEN, 7), event("a", GOING, None)], NOW)
    assert finding.last_ns == T0 + 7 * S


# -- what normal training never had


def test_an_unseen_template_leaves_at_once_and_weighs_in_its_session() -> None:
    engine = lift_engine()
    [finding] = engine.feed("app", ride("a", (OPEN, OPENED, GOING, STUCK)), NOW)
    assert (finding.kind, finding.log_keys, finding.verdict) == ("unseen_template", (STUCK,), None)
    assert (finding.first_ns, finding.events) == (T0 + 3 * S, 1)
    assert finding.lines == (MESSAGES[STUCK].encode(),)
    assert engine.counters["unseen"] == 1
    assert len(sequences(engine.finish())) == 1


def test_a_line_of_no_template_is_the_unknown_leaf() -> None:
    engine = lift_engine()
    [finding] = novelties(engine.feed("app", [event("a", UNKNOWN)], NOW))
    assert finding.log_keys == (UNKNOWN,)
    assert engine.counters["unmatched"] == 1
    [sequence] = engine.finish()
    assert sequence.log_keys == (UNKNOWN,)


def test_unseen_template_leaves_once_per_novelty_interval_and_tells_how_many_there_were() -> None:
    engine = lift_engine(limits=make_limits(novelty_interval=100.0), idle_timeout=1000.0)
    at = [0, 1, 50, 100, 101, 102]
    findings = novelties(engine.feed("app", [event(str(t), STUCK, t) for t in at], NOW))
    assert [(finding.first_ns, finding.events) for finding in findings] == [
        (T0, 1),
        (T0 + 101 * S, 4),
    ]
    assert engine.counters["unseen"] == len(at)


def test_each_template_and_shape_has_an_interval_of_its_own() -> None:
    engine = lift_engine()
    texts = [b"disk sda1 lost 3", b"disk sdb2 lost 4", b"fan lost 3"]
    records = [{b"message": text, b"ride": b"a"} for text in texts]
    findings = novelties(
        engine.feed("app", [(T0, record) for record in records] + [event("a", STUCK)], NOW)
    )
    assert [finding.lines[0] for finding in findings] == [
        texts[0],
        texts[2],
        MESSAGES[STUCK].encode(),
    ]


# -- raw lines


def test_lines_are_few_and_the_odd_event_is_among_them() -> None:
    engine = lift_engine(limits=make_limits(max_lines=3))
    engine.feed("app", ride("a", (GOING, GOING, STUCK, STUCK, STUCK, GOING, GOING)), NOW)
    [finding] = engine.finish()
    assert finding.lines == tuple(MESSAGES[key].encode() for key in (GOING, STUCK, STUCK))


@pytest.mark.parametrize(
    ("limits", "lines"), [({"keep_lines": 1}, 1), ({"keep_lines": 0}, 0), ({"max_lines": 0}, 0)]
)
def test_lines_may_be_forgone(limits: dict[str, int], lines: int) -> None:
    engine = lift_engine(limits=make_limits(**limits))
    engine.feed("app", ride("a", (GOING, GOING)), NOW)
    [finding] = engine.finish()
    assert len(finding.lines) == lines


def test_log_key_text() -> None:
    engine = lift_engine()
    assert (engine.log_key_text(BYE), engine.log_key_text(UNKNOWN)) == ("bye <*>", "<unknown>")


# -- snapshot


def test_a_snapshot_of_another_version_or_a_damaged_one_is_refused() -> None:
    engine = lift_engine()
    engine.feed("app", ride("a", (OPEN, STUCK)), NOW)
    saved = engine.snapshot()
    with pytest.raises(SnapshotError, match="version 0, and this program reads version 3"):
        lift_engine().restore(saved | {"version": 0})
    # What did not exist at first may be absent.
    since = {"told", "pace", "shift", "slips", "back", "offset", "doubts", "lags", "pauses"}
    since |= {"changes", "versions", "shifts", "sources", "doubted_from", "begun"}
    for name in saved.keys() - {"version"} - since:
        with pytest.raises(SnapshotError):
            lift_engine().restore({key: value for key, value in saved.items() if key != name})


def test_a_restored_session_ends_by_the_settings_of_now() -> None:
    engine = lift_engine(idle_timeout=14 * 3600.0)
    engine.feed("app", ride("a", (OPEN, OPENED)), NOW)
    again = lift_engine(idle_timeout=60.0, max_age=600.0)
    again.restore(engine.snapshot())
    again.feed("app", [event("b", OPEN, 5)], NOW)
    again.feed("app", [event("c", OPEN, 70)], NOW)
    assert list(again.sessions.open) == [(b"c",)]
    aging = lift_engine(idle_timeout=14 * 3600.0, max_age=600.0)
    aging.restore(engine.snapshot())
    aging.feed("app", [event("c", OPEN, 700)], NOW)
    assert list(aging.sessions.open) == [(b"c",)]


def test_a_log_of_another_kind_does_not_drown_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluent_krone.core.novelties._MOST_REPORTED", 3)
    engine = lift_engine(limits=make_limits(novelty_interval=600.0))

    def strange(words: str, at_s: int) -> list[Any]:
        return [
            (T0 + at_s * S, {b"message": b"of another log: " + w.encode(), b"ride": b"a"})
            for w in words.split()
        ]

    told = engine.feed("app", strange("ene mene muh und", 0), NOW)
    assert ([f.lines[0][-3:] for f in novelties(told)], engine.counters["novelties_over_cap"]) == (
        [b"ene", b"ene", b"muh"],
        1,
    )
    again = lift_engine(limits=make_limits(novelty_interval=600.0))
    again.restore(engine.snapshot())
    assert not novelties(again.feed("app", strange("raus", 1), NOW))
    assert len(novelties(again.feed("app", strange("raus und bist du", 700), NOW))) == 3


def test_findings_come_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [str(number) for number in range(7)]

    def ended(most: int) -> list[list[Any]]:
        monkeypatch.setattr("fluent_krone.core.engine._MOST_FINDINGS", most)
        engine = lift_engine()
        portions = [engine.feed("app", [event(name, OPEN) for name in names], NOW)]
        portions.append(engine.feed("app", [event("late", OPEN, 1000)], NOW))
        portions += [engine.advance(NOW) for _ in range(4)]
        return [[finding.session for finding in sequences(portion)] for portion in portions]

    assert ended(3)[1:4] == [[(b"0",), (b"1",), (b"2",)], [(b"3",), (b"4",), (b"5",)], [(b"6",)]]
    assert ended(5_000)[1] == [(name.encode(),) for name in names]


def test_any_time_that_a_record_may_claim_can_be_saved() -> None:
    engine = lift_engine(time_field="ts")
    times = [
        b"0001-01-01T00:00:00",
        b"9999-12-31T23:59:59",
        b"99999999999999999999",
        -(10**30),
        1e300,
        -1e300,
        2.5e9,
    ]
    for number, ts in enumerate(times):
        record = {b"message": MESSAGES[OPEN].encode(), b"ride": b"%d" % number, b"ts": ts}
        engine.feed("app", [(T0, record)], NOW)
    restored = lift_engine(time_field="ts")
    restored.restore(msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False))
    assert len(restored.sessions.open) == len(times)
    assert engine.watermark <= NOW + 3600 * S
