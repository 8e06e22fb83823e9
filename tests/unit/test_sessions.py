"""When a session ends, as the engine's clock goes on. Times in seconds; its own are nanoseconds."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import OPEN, T0, S, event, lift_engine, make_limits

from fluent_krone.core.sessions import Session, SessionSettings
from fluent_krone.errors import ConfigError

MINUTE = -(-T0 // (60 * S)) * 60 * S  # the first full one from T0 on


class Timeline:
    """Feeds an engine events at given seconds after the full minute, and remembers what ended."""

    def __init__(self, max_sessions: int = 100, **settings: Any) -> None:
        limits = make_limits(max_sessions=max_sessions)
        self.engine = lift_engine(limits=limits, **{"idle_timeout": 10.0} | settings)
        self.engine.on_close.append(self._note)
        self.sessions = self.engine.sessions
        self.ended: list[tuple[str, int]] = []

    def event(self, name: str, at: float | None) -> Session:
        return self.events((name, at))

    def events(self, *events: tuple[str, float | None]) -> Session:
        """All in one chunk; returns the session of the last."""
        seconds = (MINUTE - T0) / S
        chunk = [event(name, OPEN, None if at is None else seconds + at) for name, at in events]
        self.engine.feed("app", chunk, 2 * T0)
        return self.sessions.open[events[-1][0].encode(),]

    def expire(self, now: float) -> list[tuple[str, int]]:
        for session in self.sessions.expired(MINUTE + int(now * S)):
            self._note(session)
        return self.ended

    def _note(self, session: Session) -> None:
        self.ended.append((session.key[0].decode(), session.instance))


def test_idle_timeout_is_exact() -> None:
    line = Timeline()
    line.event("a", 0)
    assert line.event("a", 10).instance == 1  # idle for just as long as allowed
    assert line.event("a", 20 + 1e-6).instance == 2
    assert line.ended == [("a", 1)]


def test_collecting_is_exact_too() -> None:
    line = Timeline()
    line.event("a", 0)
    assert line.expire(10) == []
    assert line.expire(10 + 1e-6) == [("a", 1)]
    assert not line.sessions.open


def test_when_ended_sessions_are_collected_changes_nothing() -> None:
    eager, lazy = Timeline(), Timeline()
    times = (0, 5, 16, 30, 31)
    for now in times:
        eager.expire(now)
        last = eager.event("a", now)
    assert lazy.events(*(("a", now) for now in times)).instance == last.instance == 3


def test_the_longest_idle_end_first() -> None:
    line = Timeline()
    for name, now in (("a", 0), ("b", 1), ("c", 2), ("a", 3)):
        line.event(name, now)
    assert line.expire(100) == [("b", 1), ("c", 1), ("a", 1)]


def test_max_age_ends_a_busy_session() -> None:
    line = Timeline(max_age=25.0)
    for now in (0, 8, 16, 24):
        assert line.event("a", now).instance == 1
    line.event("b", 20)
    assert line.event("a", 25).instance == 1
    assert line.expire(25.5) == [("a", 1)]
    assert line.event("a", 26).instance == 2


def test_windows_are_aligned_and_half_open() -> None:
    line = Timeline(window=60.0, idle_timeout=1000.0)
    assert line.event("a", 59).instance == 1
    assert line.event("a", 60).instance == 2
    assert line.event("a", 60).instance == 2
    assert line.event("a", 119.999).instance == 2
    assert line.expire(120) == [("a", 1), ("a", 2)]


def test_window_and_max_age_whichever_comes_first() -> None:
    line = Timeline(window=60.0, max_age=10.0, idle_timeout=1000.0)
    line.event("a", 0)
    line.event("b", 55)
    assert line.expire(11) == [("a", 1)]
    assert line.expire(60) == [("a", 1), ("b", 1)]


def test_above_the_cap_the_longest_idle_makes_room() -> None:
    line = Timeline(max_sessions=2)
    for name, now in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        line.event(name, now)
    assert line.ended == [("b", 1)]
    assert line.sessions.over_cap == 1
    assert line.event("b", 4).instance == 2


def test_ended_sessions_make_room_before_open_ones() -> None:
    line = Timeline(max_sessions=2, max_age=10.0)
    for name, now in (("old", 0), ("young", 5), ("old", 9), ("new", 11)):
        line.event(name, now)
    assert line.ended == [("old", 1)]  # past its age, though its last event is later than young's
    assert line.sessions.over_cap == 0
    assert {key[0] for key in line.sessions.open} == {b"young", b"new"}


def test_a_new_instance_of_the_same_key_needs_no_room() -> None:
    line = Timeline(max_sessions=1)
    line.event("a", 0)
    line.event("a", 100)
    assert (line.ended, line.sessions.over_cap) == ([("a", 1)], 0)


def test_instances_and_ordinals() -> None:
    line = Timeline()
    said = [line.event(name, at) for name, at in (("a", 0), ("b", 100), ("a", 0), ("a", 200))]
    # the third is late: its first event has the time of the first instance
    assert [(session.instance, session.ordinal) for session in said] == [
        (1, 0),
        (1, 0),
        (2, 1),
        (3, 0),
    ]


def test_drain_takes_all_in_order() -> None:
    line = Timeline(max_age=100.0)
    for name in "abc":
        line.event(name, 0)
    assert [session.key for session in line.sessions.drain()] == [(b"a",), (b"b",), (b"c",)]
    assert not line.sessions.open and line.expire(1000) == []


def test_sessions_without_a_time_begin_with_the_stream() -> None:
    line = Timeline(window=60.0)
    line.event("a", None)
    line.event("b", 1000)
    assert line.event("a", 1010).instance == 1
    assert line.event("a", 1021).instance == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"idle_timeout": 0.0},
        {"idle_timeout": -1.0},
        {"idle_timeout": 1.0, "max_events": 0},
        {"idle_timeout": 1.0, "window": -1.0},
        {"idle_timeout": 1.0, "max_age": -1.0},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SessionSettings(**settings)
