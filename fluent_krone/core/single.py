"""One event of one session at a time: what the engine's loop does, for events out of its way."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ..errors import RecordError
from ..reading.records import SessionKey
from ..types import Finding
from .odd_events import OddEvents
from .sessions import Session

if TYPE_CHECKING:
    from .engine import Engine, Event


class SingleEvents:
    """Takes events that were held back, were doubted, or are steps that nobody knows yet."""

    def __init__(self, engine: Engine, odd: OddEvents) -> None:
        self._engine = engine
        self.odd = odd

    def own_time(self, record: Any, arrived_ns: int | None, now_ns: int) -> int:
        """The record's own time where it has one; else the input's, else the watermark.

        As in Fluentd, an input's time of 0 is now. A record's own time of 0 is none.
        """
        engine = self._engine
        if engine.reader.has_time:
            own_ns = 0
            with contextlib.suppress(RecordError):
                own_ns = engine.reader.time(record)
            if own_ns:
                return own_ns
            engine.counters["time_unreadable"] += 1
        if arrived_ns is None:
            return engine.time.watermark
        return arrived_ns or now_ns

    def take(
        self,
        key: SessionKey,
        event: Event,
        record: Any,
        clock: int,
        findings: list[Finding],
        *,
        in_time: bool = True,
    ) -> Session:
        """An event of one session.

        Where it was held back, its record is gone: an excerpt stands in its place.
        Without `in_time` nobody knows when it came, and the gap before it is not judged.
        """
        settling = self._engine.settling
        if event[2] == settling.new_key:
            return settling.take(key, event, record, clock, findings)
        return self.step(key, event, record, clock, findings, in_time=in_time)

    def step(
        self,
        key: SessionKey,
        event: Event,
        record: Any,
        clock: int,
        findings: list[Finding],
        *,
        in_time: bool = True,
    ) -> Session:
        """What the engine's loop does with one event of one session."""
        engine = self._engine
        tag, time_ns, log_key, text = event
        engine.time.flow.add(log_key)
        session = engine.sessions.open.get(key)
        if session is None or clock > session.due:
            session = engine.find(key, tag, time_ns, record, clock, findings)
        engine.sessions.to_end(key)
        session.keys.append(log_key)
        session.state = engine.tracker.step(session.state, log_key, session.keys)
        session.seen = clock
        session.due = min(clock + session.state.waits_ns, session.limit)
        if session.due < min(session.alarm, engine.sessions.end_of(session)):
            engine.hanging.set_alarm(session, session.due)
        session.times.append(time_ns)
        gap_ns = time_ns - session.times[len(session.keys) - 2]
        if not in_time:
            gap_ns = self.odd.usual_gap(session.keys, gap_ns)
        if len(session.keys) <= engine.limits.keep_lines:
            session.lines.append(text)
            engine.judging.note_level(session, record)
        rare = self.odd.is_rare(log_key, text, record)
        fits = session.state.shortest_ns <= gap_ns <= session.state.longest_ns
        if rare or not fits:
            engine.special_event(session, text, record, gap_ns, findings, rare)
        return session
