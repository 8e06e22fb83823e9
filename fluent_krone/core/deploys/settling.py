"""Sessions with steps that are not identified yet: how they run, wait, and are judged in the end.

How a session fares whose message matches no template:

1. `Changes` says what the message is. An old step under a new name goes on as the old one would.
2. A step that a change added is passed over: the session lives on by it, and nothing else.
3. A step that is not identified yet gets a log key behind those of the bundle, and the session goes
   to the tracker's state `waiting`. Only values and levels are judged there, since what comes
   before and after depends on what the new step is.
4. When such a session ends, it is *held* until all its new steps are known, at most for as long as
   these wait (`HeldSessions`). It is then read again with what they stand for, and judged as any
   other (`Rejudging`).

A held session is saved as it was when it ended, so that no kill loses it.

So that nothing depends on how records are cut into chunks, time passes in one order: before a
session or a step changes what is known of new steps, all sessions that ended before are closed, and
all that was due before has been done (`pass_time`).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ...reading.records import SessionKey
from ...types import Deviation, Finding
from ..findings import FindingMaker
from ..odd_events import COMPARED, RARE, OddEvents
from ..sessions import ALERTED, Session
from ..steps import END, NEVER_NS, START
from ..tracker import State
from .change_watch import ChangeWatch
from .changes import Changes
from .newsteps import FirstSeen
from .open_changes import Fired
from .places import PASSED
from .shifts import Absent

if TYPE_CHECKING:
    from ..engine import Engine, Event

# What a session is ordered by: the time of its release; of several with one time, the one that was
# held first. Sessions themselves are not compared.
_ORDER = itemgetter(0, 1)
# Sessions that are held at one time, some 2 KB each. One more is judged as it ends. A stream that
# has this many in the time that steps wait shows within seconds what its new steps are.
MOST_HELD = 2_000
# Bytes of the first line of a new step, which is kept until it is reported.
_LONGEST_LINE = 2_000


class HeldSessions:
    """A queue of sessions; `session.saved.held` says until which stream time (ns) each is held.

    A session is given out once, and then forgotten here.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Session]] = []
        # How many were ever held.
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Session]:
        """All of them, in the order of their release."""
        return (session for _, _, session in sorted(self._heap, key=_ORDER))

    @property
    def due_ns(self) -> int:
        """The stream time of the next release; `NEVER_NS` where none is held."""
        if not self._heap:
            return NEVER_NS
        return self._heap[0][0]

    def add(self, session: Session) -> None:
        """Hold a session."""
        self._numbers += 1
        heapq.heappush(self._heap, (session.saved.held, self._numbers, session))

    def pop(self) -> Session:
        """Give out the session that is due next. Raises IndexError where none is held."""
        return heapq.heappop(self._heap)[2]

    def take(self, is_wanted: Callable[[Session], bool]) -> list[Session]:
        """Give out the sessions for which that is true, in the order of their release."""
        wanted = [entry for entry in self._heap if is_wanted(entry[2])]
        if wanted:
            numbers = {number for _, number, _ in wanted}
            self._heap = [entry for entry in self._heap if entry[1] not in numbers]
            heapq.heapify(self._heap)
        return [session for _, _, session in sorted(wanted, key=_ORDER)]


class Settling:
    """The sessions of an engine that have new steps.

    Whatever is found on the way is added to the `findings` of each call. Times are stream times, in
    ns.
    """

    def __init__(
        self, engine: Engine, change_watch: ChangeWatch, make: FindingMaker, odd: OddEvents
    ) -> None:
        self.change_watch = change_watch
        self.changes = change_watch.changes
        self.shifts = change_watch.shifts
        self.tracker = engine.tracker
        self.held = HeldSessions()
        self._engine = engine
        self._make = make
        self._rejudging = Rejudging(engine, change_watch.changes, odd)
        self._unknown = engine.hierarchy.unknown
        # The log key of messages that are looked at here; none where changes are not looked for.
        self.new_key = PASSED
        if self.changes.is_on:
            self.new_key = self._unknown
            self.shifts.absent = engine.judging.absent = Absent(engine.cascade, self.shifts)

    # --- events ------------------------------------------------------------------------------

    def note_start(self, record: Any, clock: int) -> None:
        """A session starts with a record: what version does it name?"""
        if self.new_key != PASSED:
            self.changes.begun += 1
            self.change_watch.versions.look(record, clock)
            if self.change_watch.versions.is_useless:
                self._engine.counters["version_label_useless"] = 1

    def take_all(
        self,
        keys: Sequence[SessionKey],
        event: Event,
        record: Any,
        clock: int,
        findings: list[Finding],
    ) -> Sequence[SessionKey]:
        """An event whose message matches no template, in all its sessions; none of them is left."""
        for key in keys:
            self.take(key, event, record, clock, findings)
        return ()

    def take(
        self, key: SessionKey, event: Event, record: Any, clock: int, findings: list[Finding]
    ) -> Session:
        """An event of a session whose message matches no template; returns that session."""
        self._engine.collect(clock, findings)
        tag, time_ns, _, text = event
        meaning = self.changes.key_of(key, tag, text, record, clock)
        log_key = meaning.log_key
        if log_key != self._unknown:
            self._engine.counters["new_step_events"] += 1
        if log_key > self._unknown:
            # Nobody knows the step yet: whether the bundle fits must show before somebody does.
            self._engine.counters["unmatched"] += 1
            self._engine.time.flow.hear(self.changes.may_stand_for(log_key))
        if log_key == PASSED:
            session = self._pass_over(key, tag, time_ns, clock, findings)
        else:
            event = (tag, time_ns, log_key, text)
            session = self._engine.single.step(key, event, record, clock, findings)
        if log_key <= self._unknown:
            session.saved.new_steps += meaning.is_changed
        else:
            line = text[:_LONGEST_LINE]
            first = FirstSeen(tag, key, session.instance, time_ns, line)
            self.changes.note_first(log_key, first)
        return session

    def _pass_over(
        self, key: SessionKey, tag: bytes, time_ns: int, clock: int, findings: list[Finding]
    ) -> Session:
        """A session had an event that is no step of it, and lives on by it."""
        engine = self._engine
        session = engine.find(key, tag, time_ns, None, clock, findings)
        engine.sessions.to_end(key)
        session.seen = clock
        end = engine.sessions.end_of(session)
        session.due = min(clock + session.state.waits_ns, end)
        if session.due < min(session.alarm, end):
            engine.hanging.set_alarm(session, session.due)
        session.passed_ns = time_ns
        # Its fields differ from those that were saved, though it has no further step.
        engine.journal.save_again([session])
        return session

    def look(self, session: Session, findings: list[Finding]) -> None:
        """A session had an event that is looked at.

        Where it waits, note what new steps before the event stand between. Where something may be
        told of it, first end what has ended: that may show that a step is gone.
        """
        keys = session.keys
        if session.state is not self.tracker.waiting:
            if self.shifts.absent is not None and self._engine.judging.has_news(session):
                self._engine.collect(self._engine.clock, findings)
            return
        if len(keys) > 1 and keys[-1] <= self._unknown < keys[-2]:
            self._engine.collect(self._engine.clock, findings)
            self._note_run(session, len(keys) - 1, keys[-1], findings)

    def _note_run(self, session: Session, end: int, behind: int, findings: list[Finding]) -> None:
        """New steps of a session stand before event `end`: note what is around them."""
        keys = session.keys
        start = end
        while start and keys[start - 1] > self._unknown:
            start -= 1
        before = START
        if start:
            before = keys[start - 1]
        if self.changes.note_run(before, keys[start:end], behind, self._engine.clock):
            self._release_settled(findings)

    # --- the end of sessions -----------------------------------------------------------------

    def close(self, session: Session, ended: int, findings: list[Finding]) -> None:
        """A session that waits has ended: hold it, or judge it."""
        if session.keys[-1] > self._unknown:
            self._note_run(session, len(session.keys), END, findings)
        if self.changes.note_end(session.keys, self._engine.clock):
            self._release_settled(findings)
        settled = self.changes.settles_at(session.keys)
        if settled > ended and len(self.held) < MOST_HELD:
            self._hold_until(session, settled)
        else:
            self._judge(session, ended, findings)

    def count(self, session: Session, ended: int) -> None:
        """A session has ended, and its verdict is known."""
        if session.saved.new_steps:
            self.changes.count(session.is_abnormal)
        self.shifts.note(session, ended)

    def _hold_until(self, session: Session, until_ns: int) -> None:
        session.saved.held = until_ns
        self._engine.journal.note_held(session)
        self.held.add(session)

    def _judge(self, session: Session, told_ns: int, findings: list[Finding]) -> None:
        """Judge a session by what its new steps stand for, where that is known by now."""
        self._engine.journal.note_end(session)
        session.saved.held = 0
        self._rejudging.judge(session, told_ns, findings)
        self.count(session, told_ns)
        for hear in self._engine.on_close:
            hear(session)

    # --- time --------------------------------------------------------------------------------

    def pass_time(self, clock: int, findings: list[Finding]) -> None:
        """Do what is due until a stream time, each after the sessions that ended before it."""
        while (due := min(self.change_watch.due_ns, self.held.due_ns)) <= clock:
            self._engine.close_expired(due, findings)
            self._tell(self.changes.fire(due), findings)
            self._tell(self.shifts.fire(due), findings)
            self._release(due, findings)

    def finish(self, findings: list[Finding]) -> None:
        """End of input: nothing waits any longer."""
        clock = self._engine.clock
        self._tell(self.changes.finish(clock), findings)
        while self.held:
            self._judge(self.held.pop(), clock, findings)
        self._tell(self.shifts.fire(min(self.shifts.due_ns, NEVER_NS - 1)), findings)

    def stats(self) -> dict[str, int]:
        """Figures for metrics, by name."""
        return {**self.change_watch.stats(), "sessions_held": len(self.held)}

    def _release(self, now: int, findings: list[Finding]) -> None:
        """Judge the sessions that are held until `now` at most."""
        while self.held.due_ns <= now:
            session = self.held.pop()
            settled = self.changes.settles_at(session.keys)
            if settled > now:
                # Its steps have spread since, and wait longer than they would have.
                self._hold_until(session, settled)
            else:
                self._judge(session, session.saved.held, findings)

    def _release_settled(self, findings: list[Finding]) -> None:
        """Judge the sessions whose new steps are all known."""
        for session in self.held.take(lambda held: not self.changes.settles_at(held.keys)):
            self._judge(session, self._engine.clock, findings)

    def _tell(self, fired: Iterable[Fired], findings: list[Finding]) -> None:
        for one in fired:
            finding = self._make.fired(one)
            if finding is not None:
                findings.append(finding)


class Rejudging:
    """Judges sessions of an engine by what `changes` knows of their new steps."""

    def __init__(self, engine: Engine, changes: Changes, odd: OddEvents) -> None:
        self._engine = engine
        self._changes = changes
        self._odd = odd

    def judge(self, session: Session, told_ns: int, findings: list[Finding]) -> None:
        """Read an ended session again, and judge it.

        All of it is reported at the stream time `told_ns`. So what is odd about single steps is a
        part of the alert about the whole session, if there is one.
        """
        passed = self._read_again(session)
        keys = session.keys
        state = self._engine.tracker.start
        odd: list[Deviation] = []
        for place, log_key in enumerate(keys):
            state = self._engine.tracker.step(state, log_key, keys)
            if session.alerted != ALERTED:
                odd += self._odd_step(session, state, place, passed.get(place, 0))
        session.state = state
        if keys and session.alerted != ALERTED:
            self._engine.judging.judge_end(session, told_ns, findings, steps=odd)

    def _read_again(self, session: Session) -> dict[int, int]:
        """Put the steps that new ones stand for into a session, and take out those it is to pass.

        Returns the event times of these, by the places of the steps that come after them. Lines
        and levels may be fewer than steps: only the first of a long session are kept.
        """
        kept: list[int] = []
        passed: dict[int, int] = {}
        for place, log_key in enumerate(session.keys):
            known = self._changes.read_as(log_key, _line(session, place))
            session.saved.new_steps += self._changes.is_of_change(log_key)
            if known == PASSED:
                passed[len(kept)] = session.times[place]
            else:
                session.keys[place] = known
                kept.append(place)
        session.saved.last_ns = session.last_ns
        session.lines = [session.lines[place] for place in kept if place < len(session.lines)]
        levels = session.levels
        if levels is not None:
            session.levels = bytes(levels[place] for place in kept if place < len(levels))
        session.times = array("q", [session.times[place] for place in kept])
        session.keys = array("H", [session.keys[place] for place in kept])
        return passed

    def _odd_step(
        self, session: Session, state: State, place: int, passed_ns: int
    ) -> Sequence[Deviation]:
        """What is odd about the order of the step at a place, and the gap before it.

        `state` is the session's with that step, and `passed_ns` the time of an event before it that
        was passed over. Values and levels were judged as the step came.
        """
        gap_ns = session.times[place] - session.times[max(place - 1, 0)]
        line = _line(session, place)
        gap_ns = self._engine.judging.certain_gap(session, place, gap_ns, passed_ns, line)
        keys = session.keys[: place + 1]
        fits = state.shortest_ns <= gap_ns <= state.longest_ns
        if fits and not state.deviations and not self._odd.is_disproportionate(keys, gap_ns, line):
            return ()
        return self._odd.deviations(state, keys, gap_ns, line, None, rare=RARE | COMPARED)


def _line(session: Session, place: int) -> bytes:
    """The raw line of an event; empty where it was not kept."""
    if place < len(session.lines):
        return session.lines[place]
    return b""
