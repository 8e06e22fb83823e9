"""Stream time that was led astray: by one line ahead, by clocks that go back, by local times."""

from __future__ import annotations

from itertools import pairwise

import msgpack
import pytest
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    T0,
    S,
    event,
    lift_engine,
    make_limits,
    ride,
    sequences,
    step_judge,
)

from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.core.stream.offsets import AGREED
from fluent_krone.demo.simulator import SimulatedSession, simulate, stream
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.reading.values import as_fields
from fluent_krone.runtime.misfit import Misfit
from fluent_krone.transport.forward import Chunk

NOW = T0 + 30 * 86400 * S
# Ten rides at a time, an event every tenth of a second.
NAMES = [f"ride{number}" for number in range(10)]


def busy(start_s: float, rounds: int) -> list[object]:
    """Rounds of one event of each ride, which alone is decided only at the end."""
    return [
        event(name, GOING, start_s + turn + i / 10)
        for turn in range(rounds)
        for i, name in enumerate(NAMES)
    ]


def opened() -> list[object]:
    return [event(name, GOING, i / 10) for i, name in enumerate(NAMES)]


@pytest.mark.parametrize("ahead_s", [90, 600, 3000])
@pytest.mark.parametrize("live", [False, True])
def test_one_line_ahead_of_its_stream_cuts_no_session(ahead_s: int, live: bool) -> None:
    """Wrong before: all ten open sessions ended (19 alerts): the largest time was believed."""
    engine = lift_engine()
    findings = []
    events = [*opened(), *busy(1, 5)]
    slip = event("ride3", GOING, 6 + ahead_s)
    after = busy(6, 5)
    for i, one in enumerate([*events, slip, *after]):
        now = NOW
        if live:
            now = T0 + (i + 1) * S // 10 + S
        findings += engine.feed("app", [one], now)  # type: ignore[list-item]
    assert findings == []
    assert engine.counters["instances"] == 0
    assert len(engine.sessions.open) == 10
    assert engine.watermark < T0 + 12 * S
    assert engine.counters["time_leap"] + engine.counters["time_in_future"] == 1


def test_a_stream_that_moves_on_after_a_pause_ends_sessions_as_before() -> None:
    """The same ride goes on after the pause: it is another instance, cut where the pause was."""
    cut: list[list[int]] = []
    engine = lift_engine()
    engine.on_close.append(lambda session: cut.append(list(session.keys)))
    engine.feed("app", [*opened(), *busy(1, 5), *busy(1000, 5)], NOW)  # type: ignore[arg-type]
    assert cut == [[GOING] * 6] * 10
    assert [len(session.keys) for session in engine.sessions.open.values()] == [5] * 10
    assert {session.instance for session in engine.sessions.open.values()} == {2}
    engine.finish()
    assert engine.counters["time_leap"] == 0


@pytest.mark.parametrize("killed", [False, True])
def test_a_session_that_begins_at_the_end_of_a_chunk_after_a_pause_does_not_hang(
    killed: bool,
) -> None:
    """Wrong before: one `stuck` alert, as its first events seemed to have come before the pause."""
    engine = lift_engine(steps=step_judge(silence_s=60))
    now = T0 + 300 * S
    rides = [one for n in range(20) for one in ride(f"r{n}", (OPEN, OPENED, CLOSE), 3 * n)]
    findings = engine.feed("app", [*rides, *ride("late", (OPEN, OPENED), 100)], now)
    assert engine.watermark < T0 + 100 * S
    if killed:
        saved = msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False)
        engine = lift_engine(steps=step_judge(silence_s=60))
        engine.restore(saved)
    # The next chunk comes a minute later, as chunks do: its times need no doubt.
    rest = ride("late", (GOING, ARRIVED, CLOSE), 102)
    findings += engine.feed("app", rest, now + 60 * S)
    findings += engine.finish()
    assert findings == []
    assert engine.counters["time_leap"] == 0


@pytest.mark.parametrize("pieces", [1, 20])
@pytest.mark.parametrize("rides", [1, 3])
def test_a_session_that_begins_after_a_silence_stays_whole(rides: int, pieces: int) -> None:
    """Wrong before: it was cut after its first event, and all others had the time of the second."""
    engine = lift_engine()
    closed: dict[tuple[bytes, ...], list[int]] = {}
    engine.on_close.append(lambda session: closed.update({session.key: list(session.times)}))
    after = [
        event(f"late{number}", GOING, 1000 + i / 10 + number / 100)
        for i in range(20)
        for number in range(rides)
    ]
    events = [*opened(), *busy(1, 5), *after]
    size = -(-len(events) // pieces)
    for start in range(0, len(events), size):
        engine.feed("app", events[start : start + size], NOW)  # type: ignore[arg-type]
    engine.finish()
    assert engine.counters["instances"] == len(NAMES) + rides
    for number in range(rides):
        times = closed[(f"late{number}".encode(),)]
        gaps_ms = [round((later - before) / 1e6) for before, later in pairwise(times)]
        assert gaps_ms == [100] * 19


def test_an_odd_step_after_a_silence_cuts_no_other_session() -> None:
    """Wrong before: where a session from before the silence went on and was cut, all that seemed to
    have ended was ended as well. The events behind, which were doubted too, still had a time before
    the silence, so a session that was half written was cut in two: two alerts.
    """
    engine = lift_engine(steps=step_judge(), limits=make_limits(change_settle=60.0))
    closed: list[tuple[tuple[bytes, ...], list[int]]] = []
    engine.on_close.append(lambda session: closed.append((session.key, list(session.keys))))
    lively = [one for i in range(40) for one in ride(f"ride{i}", NORMAL[1], i * 5)]
    first, rest = NORMAL[1][:2], NORMAL[1][2:]
    goes_on = [*ride("old", first, 200), *ride("old", rest, 1200)]
    behind = [one for i in range(9) for one in ride(f"behind{i}", NORMAL[1], 1210 + 5 * i)]
    findings = engine.feed("app", [*lively, *goes_on, *behind], NOW)
    findings += engine.finish()
    assert [keys for key, keys in closed if key != (b"old",)] == [list(NORMAL[1])] * 49
    assert [keys for key, keys in closed if key == (b"old",)] == [list(first), list(rest)]
    assert {finding.session for finding in findings} == {(b"old",)}


def test_a_slow_step_after_a_silence_is_found() -> None:
    """Wrong before: events that were doubted had no gap before them, also once they were believed.

    It is found in the session that has it, and in no other.
    """
    engine = lift_engine(steps=step_judge())
    lively = [one for i in range(40) for one in ride(f"ride{i}", NORMAL[1], i * 5)]
    slow = [*ride("slow", NORMAL[1][:2], 1000), *ride("slow", NORMAL[1][2:], 1040)]
    behind = [one for i in range(9) for one in ride(f"behind{i}", NORMAL[1], 1050 + 5 * i)]
    findings = engine.feed("app", [*lively, *slow, *behind], NOW)
    findings += engine.finish()
    assert {finding.session for finding in findings} == {(b"slow",)}
    [deviation] = findings[0].deviations
    assert (deviation.direction, deviation.event) == ("slow", 2)


def test_after_a_pause_a_session_is_where_its_last_event_is_although_clocks_differ() -> None:
    """Wrong before: the gap before the next event was one from the host whose clock is ahead, so a
    step came “only -10 ms” after the one before it.
    """
    engine = lift_engine()
    engine.feed("app", [*opened(), *busy(1, 5)], NOW)  # type: ignore[arg-type]
    ahead = [event("new", OPEN, 1000.0), event("new", GOING, 1000.4), event("new", GOING, 1000.36)]
    engine.feed("app", [*ahead, *busy(1001, 2)], NOW)  # type: ignore[arg-type]
    session = next(s for s in engine.sessions.open.values() if s.key == (b"new",))
    assert list(session.times) == [time_ns for time_ns, _ in ahead]
    assert session.last_ns == session.times[-1]


def test_the_last_events_of_a_log_are_believed_at_its_end() -> None:
    cut: list[list[int]] = []
    engine = lift_engine()
    engine.on_close.append(lambda session: cut.append(list(session.keys)))
    engine.feed("app", [*opened(), *busy(1, 5), event("ride3", GOING, 1000)], NOW)  # type: ignore[list-item]
    engine.finish()
    assert sorted(map(len, cut)) == [1, *[6] * 10]


def test_a_doubt_outlasts_a_restart() -> None:
    events = [*opened(), *busy(1, 5), *busy(1000, 5)]
    whole = lift_engine()
    whole.feed("app", events, NOW)  # type: ignore[arg-type]
    engine = lift_engine()
    engine.feed("app", events[:65], NOW)  # type: ignore[arg-type]
    again = lift_engine()
    again.restore(msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False))
    again.feed("app", events[65:], NOW)  # type: ignore[arg-type]
    assert again.snapshot()["sessions"] == whole.snapshot()["sessions"]


def test_clocks_that_go_back_are_followed() -> None:
    """Wrong before: for an hour no session ended by stream time."""
    engine = lift_engine()
    engine.feed("app", [*opened(), *busy(1, 5)], NOW)  # type: ignore[arg-type]
    before = engine.watermark
    engine.feed("app", busy(-3600, 5), NOW)  # type: ignore[arg-type]
    assert engine.watermark < before - 3500 * S
    assert len(engine.sessions.open) == 10
    [finding] = [
        f
        for f in engine.feed("app", [event("x", GOING, -3600 + t) for t in range(5, 130)], NOW)
        if f.session == (b"ride1",)
    ]
    assert finding.decided == "end"


def test_old_records_among_new_ones_end_no_session() -> None:
    """A chunk of an hour ago comes again, and the stream goes on where it was."""
    engine = lift_engine()
    engine.feed("app", [*opened(), *busy(1, 5)], NOW)  # type: ignore[arg-type]
    old = [event(f"old{i}", GOING, -3600 + i) for i in range(40)]
    engine.feed("app", [*old, *busy(6, 5)], NOW)  # type: ignore[arg-type]
    assert {(name.encode(),) for name in NAMES} <= set(engine.sessions.open)
    assert engine.watermark >= T0 + 10 * S


def test_a_source_that_is_late_all_the_time_is_not_followed() -> None:
    """Among records of one second there are more than enough of a source that is an hour late."""
    engine = lift_engine()
    for turn in range(40):
        late = [event(f"late{i}", GOING, turn - 3600) for i in range(5)]
        now = [event(f"ride{i}", GOING, turn) for i in range(5)]
        for pair in zip(late, now, strict=True):
            engine.feed("app", pair, NOW)
    assert engine.watermark == T0 + 39 * S


@pytest.mark.parametrize("hours", [2, 5.5, 8])
def test_local_times_without_an_offset_are_noticed(hours: float) -> None:
    """Wrong before: 262 of 262 times were not believed, no session ended, and nothing was said."""
    engine = lift_engine()
    misfit = Misfit(engine)
    findings = []
    for turn in range(262):
        now = T0 + turn * S
        findings += engine.feed("app", [event(f"ride{turn}", GOING, turn + hours * 3600)], now)
    assert engine.time_offset_s == hours * 3600
    trouble = misfit.trouble()
    assert trouble is not None and "timezone" in trouble and f"{hours:g} h ahead" in trouble
    assert len(sequences(findings)) > 150  # by arrival, after 60 s
    assert len(sequences(engine.advance(T0 + 400 * S))) + len(sequences(findings)) == 262


def test_no_session_is_cut_when_local_times_are_noticed() -> None:
    """Wrong before: all that were open ended at once, and alerts told of a common trouble."""
    engine = lift_engine()
    findings = []
    for turn in range(40):
        now = T0 + turn * S
        names = NAMES[turn % 2 :: 2]
        findings += engine.feed("app", [event(n, GOING, turn + 7200) for n in names], now)
    assert engine.time_offset_s == 7200
    assert sequences(findings) == []
    assert len(engine.sessions.open) == len(NAMES)


def test_local_times_an_hour_ahead_are_noticed_although_they_are_believed() -> None:
    """Wrong before: an offset up to max_future, as in half of Europe in winter, was not said."""
    engine = lift_engine()
    misfit = Misfit(engine)
    for turn in range(100):
        engine.feed("app", [event(f"ride{turn}", GOING, turn + 3590)], T0 + turn * S)
    trouble = misfit.trouble()
    assert trouble is not None and "timezone" in trouble and "1 h ahead" in trouble
    assert engine.counters["time_in_future"] == 0


def test_sessions_end_by_arrival_when_a_clock_is_years_ahead() -> None:
    """Wrong before: beyond 14 hours no session ended, and nothing was said for 1,000 records."""
    engine = lift_engine()
    misfit = Misfit(engine)
    findings = []
    for turn in range(262):
        one = event(f"ride{turn}", GOING, turn + 4 * 365 * 86400)
        findings += engine.feed("app", [one], T0 + turn * S)
    trouble = misfit.trouble()
    assert trouble is not None and "days ahead" in trouble and "clock of the source" in trouble
    assert len(sequences(findings)) > 150


def test_times_that_are_right_give_no_offset() -> None:
    engine = lift_engine()
    for turn in range(50):
        engine.feed("app", [event("a", GOING, turn)], T0 + turn * S)
    assert engine.time_offset_s is None


@pytest.mark.parametrize("time", [None, 0])
def test_a_time_of_nil_or_0_is_now(time: int | None) -> None:
    """Wrong before: nil was acked and lost as `not_a_map`, and 0 was 1970."""
    entries = b"".join(
        msgpack.packb([time, {"message": "gate: open door 3", "ride": str(i)}]) for i in range(3)
    )
    engine = lift_engine()
    engine.feed("app", Chunk("app", entries).events(), NOW)
    assert engine.set_aside == {}
    assert [session.first_ns for session in engine.sessions.open.values()] == [NOW] * 3


def rides(engine: Engine, order: list[object]) -> list[object]:
    return engine.feed("app", order, NOW) + engine.finish()  # type: ignore[arg-type,return-value]


def test_lines_that_arrive_out_of_order_are_put_in_order() -> None:
    """Wrong before: 197 of 200 sessions read from several files were false alarms."""
    lines = ride("a", NORMAL[1]) + ride("b", NORMAL[3])
    shuffled = [lines[i] for i in (1, 0, 3, 2, 4, 6, 5, 8, 7, 10, 9)]
    assert rides(lift_engine(allowed_lateness=5.0), shuffled) == []
    assert rides(lift_engine(), shuffled) != []


def test_events_of_one_time_keep_their_order() -> None:
    lines = [event("a", key, 0) for key in NORMAL[1]]
    assert rides(lift_engine(allowed_lateness=5.0), lines) == []  # type: ignore[arg-type]


def test_what_is_held_outlasts_a_restart_and_ends_sessions_as_if_it_were_not() -> None:
    lines = [*ride("a", NORMAL[1]), event("a", OPEN, 100), event("a", CLOSE, 101)]
    engine = lift_engine(allowed_lateness=5.0)
    engine.feed("app", lines[:4], NOW)
    saved = msgpack.unpackb(msgpack.packb(engine.snapshot()), strict_map_key=False)
    again = lift_engine(allowed_lateness=5.0)
    again.restore(saved)
    cut: list[list[int]] = []
    again.on_close.append(lambda session: cut.append(list(session.keys)))
    again.feed("app", lines[4:], NOW)
    again.finish()
    assert cut == [list(NORMAL[1]), [OPEN, CLOSE]]


def test_a_leap_beyond_max_leap_is_doubted_at_once() -> None:
    """Even the first events of a stream are not believed then, as before."""
    engine = lift_engine(limits=make_limits(max_leap=3600.0))
    engine.feed("app", [event("a", OPEN, 0), event("b", OPEN, 7200), event("a", GOING, 1)], NOW)
    assert engine.watermark == T0 + S


@pytest.mark.parametrize("order", ["abc", "acb", "abbc"])
@pytest.mark.parametrize("live", [False, True])
def test_a_host_that_is_ahead_from_its_first_event_cuts_no_session(order: str, live: bool) -> None:
    """Wrong before: its first event ended what the other hosts had begun: the first sixteen events
    of a stream were believed whatever they said.
    """
    engine = lift_engine()
    findings = []
    for number in range(200):
        host = order[number % len(order)]
        at_s = number / 10
        now = NOW
        if live:
            now = T0 + round((at_s + 1) * S)
        if host == "c":
            at_s += 90
        time_ns, record = event(NAMES[number % 10], GOING, at_s)
        findings += engine.feed("app", [(time_ns, {**record, b"host": host.encode()})], now)
    assert findings == []
    assert len(engine.sessions.open) == 10


def told_in_whole_seconds(
    sessions: list[SimulatedSession],
) -> tuple[set[tuple[bytes, ...]], str | None]:
    """The sessions of the demo with a time that is odd, and what is amiss with their stream, which
    an output has cut to whole seconds. The demo's bundle was fitted to milliseconds."""
    engine = load_bundle("demo").engine(Config())
    misfit = Misfit(engine)
    events = [(time_ns // S * S, as_fields(record)) for time_ns, record in stream(sessions)]
    findings = engine.feed("t", events, 2 * 10**18) + engine.finish()
    told = {
        finding.session
        for finding in findings
        if any(deviation.witness == "time" for deviation in finding.deviations)
    }
    return told, misfit.trouble()


def test_times_in_whole_seconds_are_no_slow_or_hanging_steps() -> None:
    """Was wrong: with `time_as_integer`, sessions were said to hang for more than 721 ms."""
    told, trouble = told_in_whole_seconds(simulate(200, 7, faults=False))
    assert not told
    assert trouble is not None
    assert trouble.startswith("event times are whole seconds")


def test_steps_that_are_slow_by_far_are_told_in_whole_seconds_as_well() -> None:
    sessions = simulate(600, 7)
    slow = {
        (session.block.encode(),)
        for session in sessions
        if session.fault is not None and session.fault.kind == "slow step"
    }
    told, _ = told_in_whole_seconds(sessions)
    assert slow
    assert slow <= told


@pytest.mark.parametrize("hours", [3, 5, 9.5])
def test_local_times_behind_utc_are_noticed(hours: float) -> None:
    """Wrong before: times west of UTC are hours behind the clock, and nothing was said."""
    engine = lift_engine()
    misfit = Misfit(engine)
    for turn in range(90):
        now = T0 + turn * 10 * S
        engine.feed("app", [event(f"ride{turn}", GOING, turn * 10 - 1 - hours * 3600)], now)
    trouble = misfit.trouble()
    assert trouble is not None and "timezone" in trouble and f"{hours:g} h behind" in trouble


def test_a_clock_that_is_days_behind_is_noticed() -> None:
    """Wrong before: nothing was said."""
    engine = lift_engine()
    misfit = Misfit(engine)
    for turn in range(90):
        engine.feed("app", [event("ride", GOING, turn * 10 - 9 * 86400)], T0 + turn * 10 * S)
    trouble = misfit.trouble()
    assert trouble is not None and "9.0 days behind the clock" in trouble


def test_a_backlog_and_records_that_wait_are_no_offset() -> None:
    engine = lift_engine()
    misfit = Misfit(engine)
    for turn in range(120):
        # Three hours behind at the start, read twice as fast as it was written.
        engine.feed("app", [event("a", GOING, turn * 20 - 3 * 3600)], T0 + turn * 10 * S)
        assert misfit.trouble() is None
    for turn in range(120, 240):
        # A buffer that is flushed after twenty minutes.
        engine.feed("app", [event("a", GOING, turn * 10 - 1200)], T0 + turn * 10 * S)
        assert misfit.trouble() is None


@pytest.mark.parametrize("growing", [0, 1])
def test_times_of_1970_are_noticed(growing: int) -> None:
    """Wrong before: seconds since a start, or zeros, were taken for times of 1970 silently."""
    engine = lift_engine()
    misfit = Misfit(engine, enough_records=100)
    for turn in range(120):
        one = (turn * growing * S or 5, {b"message": b"gate: open door 3", b"ride": b"a"})
        engine.feed("app", [one], T0 + turn * S)
    trouble = misfit.trouble()
    assert trouble is not None and "years behind the clock" in trouble and "time_field" in trouble


def test_a_source_that_is_minutes_behind_all_the_time_does_not_hang() -> None:
    """Was wrong: each chunk of the others made its sessions wait for longer than any does, since
    only events of up to a minute late were allowed for."""
    engine = lift_engine(steps=step_judge(silence_s=60))
    findings = []
    for turn in range(40):
        begin = 30 * turn
        behind = begin - 240
        rides = [one for n in range(10) for one in ride(f"a{turn}.{n}", NORMAL[0], begin + 3 * n)]
        findings += engine.feed("a", rides, NOW)
        # Each chunk ends in the middle of a ride, which goes on in the next one.
        rest = ride(f"b{turn - 1}", NORMAL[0][1:], behind + 1) if turn else []
        findings += engine.feed("b", [*rest, *ride(f"b{turn}", NORMAL[0][:1], behind + 30)], NOW)
    late = [f for f in findings if f.session and f.session[0].startswith(b"b")]
    assert {f.session for f in late} <= {(f"b{turn}".encode(),) for turn in range(AGREED)}
    assert engine.watermark > T0 + 39 * 30 * S


def test_old_records_once_in_a_while_do_not_put_off_what_hangs() -> None:
    """Was wrong: sixteen rows of old records, however far apart, were a source that is behind all
    the time, for which each session that hangs was reported a minute later for good."""
    engine = lift_engine(steps=step_judge(silence_s=60))
    for turn in range(2 * AGREED):
        begin = 2 * 3600 * turn
        now = [one for n in range(20) for one in ride(f"a{turn}.{n}", NORMAL[0], begin + 3 * n)]
        old = ride(f"b{turn}", NORMAL[0][:2], begin - 240)
        engine.feed("a", [*now, *old, *ride(f"c{turn}", NORMAL[0], begin + 60)], NOW)
    assert engine.time.delays.lag_ns < 60 * S
