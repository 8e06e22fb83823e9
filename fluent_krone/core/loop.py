"""The loop over a chunk's events, where a record's time goes; and the same for single events.

A call costs more than most of what the loop does. So some things that have functions elsewhere are
written out in it:

1. Reading: `EventReader.read_all` gives log key, text and session keys, mostly by one look-up of
   the message's shape, and with them what is known of all events of that shape (`OddEvents`).
2. Time: an event ahead of the watermark may move it, and one far behind may show that the stream
   has stepped back: `StreamTime.meet` is called for these, and for no others.
3. Session: an open session whose due time has not passed goes on. Any other session is looked at,
   and ends or hangs (`Engine.find`).
4. Step: the state knows the next state of a step that was seen before; this is `Tracker.step`
   without its call.
5. Hardly any number that is made here is kept. Numbers that live as long as a session would lie
   between those that do not, and memory would be far from the processor. So the gap before an event
   is to the last but one of the session's times; that of its first event is to itself.
6. What few events need is behind one test: a template that training did not have, one that ends the
   session, or a value that deviates; a gap outside the limits that the state holds. A state that
   needs attention itself (an early verdict, a step whose order deviates, as many events as a
   session may have) has limits that no gap keeps.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ..errors import RecordError
from ..reading.records import SessionKey
from ..reading.seam import Events, ReadAll
from ..types import Finding
from .odd_events import OddEvents
from .sessions import NOBODY, Session

if TYPE_CHECKING:
    from .engine import Engine, Event


class Loop:
    """Feeds an engine's events; holds what it looks up for each, made once for all chunks."""

    def __init__(self, engine: Engine, read_all: ReadAll) -> None:
        self._engine = engine
        self._read_all = read_all
        self._time = engine.time
        self._names: tuple[Any, ...] = (
            engine.sessions.open.get,
            engine.sessions.to_end,
            engine.tracker.work_out,
            engine.single.odd.checked,
            engine.single.odd.is_odd,
            engine.hanging.set_alarm,
            engine.doubted.settle,
            engine.time.flow.counts,
            engine.limits.keep_lines,
            engine.reader.has_time,
            engine.settling.new_key,
            engine.settling.take_all,
            engine.judging.note_level,
        )

    def again(self) -> Loop:
        """The loop of an engine that has changed."""
        return Loop(self._engine, self._read_all)

    # `clock`, `watermark` and `behind` are copies of what `StreamTime` holds, and are read anew
    # whenever it was asked: a look-up of a local name costs a third of that of an attribute.
    def feed(self, tag: bytes, events: Events, now_ns: int) -> list[Finding]:
        """Take a chunk's events; see `Engine.feed`."""
        findings: list[Finding] = []
        engine = self._engine
        (find, to_end, work_out, checked, is_odd, set_alarm, settle, *others) = self._names
        (counts, kept, own_time, new_key, take_new, note_level) = others
        time = self._time
        latest = time.arrive(now_ns)
        clock = time.clock
        watermark = time.watermark
        behind = time.behind
        record_count = event_count = 0
        found = self._read_all(tag, events, engine.count_aside)
        for time_ns, record, log_key, text, keys, checks in found:
            record_count += 1
            event_count += len(keys)
            rank, rare, places = checks or checked(log_key, text, record)
            for judged, whole, slot, fine in places:
                if text[judged] not in fine:
                    rare |= is_odd(log_key, slot, text[whole], fine)
            if own_time or not time_ns:
                time_ns = engine.single.own_time(record, time_ns, now_ns)
            if not behind <= time_ns <= watermark:
                own_ns = time_ns
                time_ns = time.meet(time_ns, latest, tag, record)
                watermark = time.watermark
                behind = time.behind
                clock = time.clock
                if time.is_unusual and settle(keys, (tag, own_ns, log_key, text), record, findings):
                    continue
            if log_key == new_key:
                keys = take_new(keys, (tag, time_ns, log_key, text), record, clock, findings)
            for key in keys:
                counts[log_key] += 1
                session = find(key, NOBODY)
                if clock > session.due:
                    session = engine.find(key, tag, time_ns, record, clock, findings)
                to_end(key)
                so_far = session.keys
                so_far.append(log_key)
                state = session.state.next.get(log_key) or work_out(session.state, log_key, so_far)
                session.state = state
                session.seen = clock
                due = clock + state.waits_ns
                if due < session.due:
                    session.due = due
                if due < session.alarm:
                    set_alarm(session, due)
                times = session.times
                times.append(time_ns)
                gap_ns = time_ns - times[len(so_far) - 2]
                if len(so_far) <= kept:
                    session.lines.append(text)
                    if rank != session.level:
                        note_level(session, record, rank)
                if rare or not state.shortest_ns <= gap_ns <= state.longest_ns:
                    engine.special_event(session, text, record, gap_ns, findings, rare)
        time.fed_at = now_ns
        engine.fed(record_count, event_count, clock, findings)
        return findings


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
            own_ns: int | None = 0
            with contextlib.suppress(RecordError):
                own_ns = engine.reader.time(record)
            if own_ns:
                return own_ns
            # Of several formats of lines, one may have no time.
            engine.counters["time_unreadable"] += own_ns is not None
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
            gap_ns = self.odd.usual_gap(session.keys, gap_ns, text)
        if len(session.keys) <= engine.limits.keep_lines:
            session.lines.append(text)
            engine.judging.note_level(session, record)
        rare = self.odd.is_rare(log_key, text, record)
        fits = session.state.shortest_ns <= gap_ns <= session.state.longest_ns
        if rare or not fits:
            engine.special_event(session, text, record, gap_ns, findings, rare)
        return session
