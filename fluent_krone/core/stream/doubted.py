"""Events whose time was doubted: what they did to their sessions, until the doubt is settled.

A doubted event goes into its session as if no time had passed, see `StreamTime`. Here it is noted
what would have been otherwise:

1. If the doubt was right, the notes are thrown away: nothing was cut.
2. If it was wrong, each noted event is looked at in order. A session that had ended by then is cut
   at that event; one that was started by a doubted event gets the event's own time; any other goes
   on, from the event's own time. The event before may have been doubted as well, so what counts is
   when that one is believed to have come, and not what the clock showed meanwhile.
3. No gap before a doubted event is judged while it is doubted. It is judged with the event's own
   time, once that is believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...reading.levels import Excerpt
from ...reading.records import SessionKey
from ...types import Finding
from ..references import cut_refs
from ..sessions import Session

if TYPE_CHECKING:
    from ..engine import Engine, Event


@dataclass(frozen=True, slots=True)
class DoubtedEvent:
    """Event number `at` of a session; stream time and event time of the event before it."""

    session: Session
    at: int
    tag: bytes
    time_ns: int
    seen: int
    last_ns: int


@dataclass(slots=True)
class _Believed:
    """What is known of a session once some of its doubted events are believed: stream time and
    event time of the last of these, or of the event before the first one.

    `session` is the one that was doubted, or what was cut off at its event number `cut_at`.
    """

    session: Session
    seen: int
    last_ns: int
    cut_at: int = 0


class DoubtedEvents:
    """The doubted events since the last one that was not, in their order; few, see `StreamTime`."""

    __slots__ = ("_engine", "_notes", "are_settled")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._notes: list[DoubtedEvent] = []
        # False while they are looked at one by one. Sessions whose events were not looked at yet
        # seem to be idle since the doubt began, so that none may be ended meanwhile.
        self.are_settled = True

    def settle(
        self, keys: Sequence[SessionKey], event: Event, record: Any, findings: list[Finding]
    ) -> bool:
        """What an event means for the doubted ones before it; whether it is doubted itself.

        A doubted event is taken into its sessions here.
        """
        time = self._engine.time
        if time.in_doubt:
            for key in keys:
                self._take(key, event, record, findings)
            return True
        if time.confirmed:
            self.believe_after_all(findings)
        else:
            self._notes.clear()
            self._engine.time.flow.release()
        return False

    def believe_after_all(self, findings: list[Finding], *, at_end: bool = False) -> None:
        """The doubted events were right, or the input ends, and nothing speaks against them."""
        notes = self._notes
        self._notes = []
        self.are_settled = False
        try:
            self._believe(notes, findings, at_end=at_end)
        finally:
            self.are_settled = True

    def _believe(
        self, notes: Sequence[DoubtedEvent], findings: list[Finding], *, at_end: bool
    ) -> None:
        engine = self._engine
        now = engine.time.clock
        if at_end:
            now = max([now, *(engine.time.clock_at(note.time_ns) for note in notes)])
        believed: dict[int, _Believed] = {}
        for note in notes:
            so_far = believed.setdefault(
                id(note.session), _Believed(note.session, note.seen, note.last_ns)
            )
            session = so_far.session
            at = note.at - so_far.cut_at
            if engine.sessions.open.get(session.key) is not session or at >= len(session.keys):
                # It has ended since.
                continue
            # When an event was passed over, in doubt as well, is not known.
            session.passed_ns = 0
            # One that is ahead even of those that agree counts as the last of them.
            then = min(engine.time.clock_at(note.time_ns), now)
            if at == 0:
                engine.sessions.restart(session, now, note.time_ns)
                engine.journal.note_start(session, note.time_ns)
                engine.journal.save_again([session])
                engine.sessions.open.move_to_end(session.key)
                engine.hanging.watch(session)
            elif then > min(so_far.seen + engine.sessions.idle_ns, session.limit):
                so_far.session = self._cut(so_far, note, findings)
                so_far.cut_at = note.at
            else:
                session.times[at] = note.time_ns
                session.seen = now
                engine.hanging.watch(session)
                engine.journal.save_again([session])
                engine.sessions.open.move_to_end(session.key)
                gap_ns = note.time_ns - session.times[at - 1]
                gap_ns = engine.judging.certain_gap(session, at, gap_ns, session.passed_ns, b"")
                odd = engine.single.odd.gap(session.keys[: at + 1], gap_ns)
                findings += engine.judging.make.deviations(session, odd, "early", now)
            so_far.seen = then
            so_far.last_ns = note.time_ns

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it: notes on sessions that are still open."""
        is_open = self._engine.sessions.open.get
        return {
            "doubts": [
                [note.session.key, note.at, note.tag, note.time_ns, note.seen, note.last_ns]
                for note in self._notes
                if is_open(note.session.key) is note.session
            ]
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from a snapshot, whose sessions are open again."""
        rows: Iterable[Sequence[Any]] = saved.get("doubts", ())
        for key, *rest in rows:
            session = self._engine.sessions.open.get(tuple(key))
            if session is not None:
                self._notes.append(DoubtedEvent(session, *rest))

    def _take(self, key: SessionKey, event: Event, record: Any, findings: list[Finding]) -> None:
        engine = self._engine
        time = engine.time
        session = engine.sessions.open.get(key)
        seen = 0
        last_ns = 0
        if session is not None and time.clock <= engine.sessions.end_of(session):
            seen = session.seen
            last_ns = session.last_ns
        events = 0
        if session is not None and seen:
            events = len(session.keys)
        tag, time_ns, log_key, text = event
        held = (tag, time.watermark, log_key, text)
        started = session is None or time.clock > engine.sessions.end_of(session)
        with engine.time.flow.uncounted():
            session = engine.single.take(key, held, record, time.clock, findings, in_time=False)
        if len(session.keys) > events:
            # A new step may stand for an old one, which is the one that came.
            log_key = session.keys[-1]
        # What goes on with a session that has ended starts nothing.
        started = started and not session.state.deviations
        engine.time.flow.hold(time.clock_at(time_ns), log_key, int(started))
        if len(session.keys) == events:
            # It was passed over: it is no event of the session.
            return
        at = len(session.keys) - 1
        self._notes.append(DoubtedEvent(session, at, tag, time_ns, seen, last_ns))

    def _cut(self, so_far: _Believed, note: DoubtedEvent, findings: list[Finding]) -> Session:
        """End a session before the noted event; that one and those behind it are the next.

        Returns the next one. Its events have the noted event's time, until each gets its own.
        """
        engine = self._engine
        session = so_far.session
        at = note.at - so_far.cut_at
        later_keys = session.keys[at:]
        later_lines = session.lines[at:]
        levels = session.levels
        later_levels = (levels or b"")[at:]
        later_refs = cut_refs(session, len(later_keys))
        del session.keys[at:]
        del session.times[at:]
        del session.lines[at:]
        if levels is not None:
            session.levels = levels[:at]
        session.state = engine.tracker.replay(session.keys)
        session.seen = so_far.seen
        engine.sessions.end(session)
        engine.close(session, engine.time.clock, findings)
        for i, log_key in enumerate(later_keys):
            text = b""
            if i < len(later_lines):
                text = later_lines[i]
            excerpt = Excerpt()
            if i < len(later_levels):
                excerpt = Excerpt(later_levels[i])
            event = (note.tag, note.time_ns, log_key, text)
            with engine.sessions.referring(later_refs[i]), engine.time.flow.uncounted():
                # What its message is was decided before.
                session = engine.single.step(
                    session.key, event, excerpt, engine.time.clock, findings, in_time=False
                )
        return session
