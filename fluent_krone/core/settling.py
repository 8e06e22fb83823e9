"""Sessions with steps that nobody knows yet: how they run, wait, and are judged in the end.

How a session fares whose message matches no template:

1. `Changes` says what the message is. An old step under a new name goes on as the old one would.
2. A step that a change added is passed over: the session lives on by it, and nothing else.
3. A step of which it is not known yet gets a log key behind those of the bundle, and the session
   leads to the tracker's state `waiting`. Only values and levels are judged there, since what
   comes before and after depends on what the new step is.
4. When such a session ends, it is *held* until all its new steps are known, at most for as long as
   these wait. It is then read again with what they stand for, and judged as any other.

A held session is saved as it was when it ended, so that no kill loses it.

So that nothing depends on how records are cut into chunks, time passes in one order: before a
session or a step changes what is known of new steps, all sessions that ended before are closed, and
all that was due before has been done (`pass_time`).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..reading.levels import levels_of
from ..reading.newforms import NewForms
from ..reading.records import RecordReader, SessionKey
from ..types import Deviation, Finding
from .absent import Absent
from .changes import NEVER, Changes
from .findings import FindingMaker
from .newsteps import FirstSeen
from .odd_events import OddEvents
from .open_changes import Fired
from .parts import EngineParts, Limits
from .places import PASSED
from .replacing import END, START, Replacing
from .sessions import ALERTED, Session
from .shifts import Shifts
from .tracker import State
from .versions import Versions

if TYPE_CHECKING:
    from .engine import Engine, Event

# Sessions that are held at one time, some 2 KB each. One more is judged as it ends. A stream that
# has so many in the time that steps wait shows within seconds what its new steps are.
MOST_HELD = 2_000
# Bytes of the first line of a new step, which is kept until it is told.
_LONGEST_LINE = 2_000


class Settling:
    """The sessions of an engine that have new steps."""

    def __init__(
        self,
        engine: Engine,
        looking: tuple[Changes, Shifts],
        make: FindingMaker,
        odd: OddEvents,
    ) -> None:
        self.changes, self.shifts = looking
        self._engine = engine
        self._make = make
        self._odd = odd
        if self.changes.is_on:
            self.shifts.absent = engine.judging.absent = Absent(engine.cascade, self.shifts)
        self.tracker = engine.tracker
        self._unknown = engine.hierarchy.unknown
        # The log key of messages that are looked at here; none where changes are not looked for.
        self.new_key = PASSED
        if self.changes.is_on:
            self.new_key = self._unknown
        # (time of release, number, session);
        self._held: list[tuple[int, int, Session]] = []
        self._numbers = 0

    # --- events ------------------------------------------------------------------------------

    def note_start(self, record: Any, clock: int) -> None:
        """A session starts with a record: what version does it name?"""
        if self.new_key != PASSED:
            self.changes.versions.look(record, clock)
            if self.changes.versions.is_useless:
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
        """An event of a session whose message matches no template."""
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
        """A session had an event that is no step of it; gaps are counted over it."""
        engine = self._engine
        session = engine.find(key, tag, time_ns, None, clock, findings)
        engine.sessions.to_end(key)
        session.seen = clock
        end = engine.sessions.end_of(session)
        session.due = min(clock + session.state.waits_ns, end)
        if session.due < min(session.alarm, end):
            engine.hanging.set_alarm(session, session.due)
        if not session.keys:
            session.passed_ns = time_ns
        # Its fields are others than those saved, though it has no further step.
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
        """A session that waits has ended, at a stream time: hold it, or judge it."""
        if session.keys[-1] > self._unknown:
            self._note_run(session, len(session.keys), END, findings)
        if self.changes.note_end(session.keys, self._engine.clock):
            self._release_settled(findings)
        settled = self.changes.settles_at(session.keys)
        if settled > ended and len(self._held) < MOST_HELD:
            self._hold_until(session, settled)
        else:
            self._judge(session, ended, findings)

    def _hold_until(self, session: Session, until_ns: int) -> None:
        session.saved.held = until_ns
        self._engine.journal.note_held(session)
        self.hold(session)

    def hold(self, session: Session) -> None:
        """Hold a session that has ended; `session.saved.held` says until when."""
        self._numbers += 1
        heapq.heappush(self._held, (session.saved.held, self._numbers, session))

    def held(self) -> Iterator[Session]:
        """The sessions that are held, in the order in which they are released."""
        return (session for _, _, session in sorted(self._held, key=_release_order))

    def count(self, session: Session, ended: int) -> None:
        """A session has ended, and its verdict is known."""
        if session.saved.new_steps:
            self.changes.count(session.is_abnormal)
        self.shifts.note(session, ended)

    def _judge(self, session: Session, told_ns: int, findings: list[Finding]) -> None:
        """Read a session again, with what its new steps stand for, and judge it.

        All of it is told at one time. So what is odd about single steps is a part of the alert
        about the whole session, if there is one.
        """
        engine = self._engine
        engine.journal.note_end(session)
        session.saved.held = 0
        self._read_again(session)
        keys = session.keys
        state = engine.tracker.start
        odd: list[Deviation] = []
        for place, log_key in enumerate(keys):
            state = engine.tracker.step(state, log_key, keys)
            if session.alerted != ALERTED:
                odd += self._odd_step(session, state, place)
        session.state = state
        if keys and session.alerted != ALERTED:
            engine.judging.judge_end(session, told_ns, findings, steps=odd)
        self.count(session, told_ns)
        for hear in engine.on_close:
            hear(session)

    def _odd_step(self, session: Session, state: State, place: int) -> Sequence[Deviation]:
        """What is odd about the order of a step, and the gap before it."""
        gap_ns = session.times[place] - session.times[max(place - 1, 0)]
        gap_ns = self._engine.judging.certain_gap(session, place, gap_ns)
        if not state.deviations and state.shortest_ns <= gap_ns <= state.longest_ns:
            return ()
        line = b""
        if place < len(session.lines):
            line = session.lines[place]
        keys = session.keys[: place + 1]
        return self._odd.deviations(state, keys, gap_ns, line, None, rare=True)

    def _read_again(self, session: Session) -> None:
        kept = []
        for place, log_key in enumerate(session.keys):
            line = b""
            if place < len(session.lines):
                line = session.lines[place]
            known = self.changes.read_as(log_key, line)
            session.saved.new_steps += self.changes.is_of_change(log_key)
            if known != PASSED:
                session.keys[place] = known
                kept.append(place)
        levels = session.levels
        session.saved.last_ns = session.last_ns
        session.lines = [session.lines[place] for place in kept if place < len(session.lines)]
        if levels is not None:
            session.levels = bytes(levels[place] for place in kept if place < len(levels))
        session.times = array("q", [session.times[place] for place in kept])
        session.keys = array("H", [session.keys[place] for place in kept])

    def stats(self) -> dict[str, int]:
        """Figures for metrics, by name."""
        return {
            **self.changes.counters,
            "changes_running": self.changes.open,
            "steps_renamed": self.changes.renamed,
            "sessions_held": len(self._held),
        }

    # --- what is saved -----------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of new steps; sessions that are held are among its sessions."""
        return {
            "changes": self.changes.save(),
            "versions": self.changes.versions.save(),
            "shifts": self.shifts.save(),
        }

    def changed(self) -> dict[str, Any]:
        """The same, as far as it changed since the last call."""
        found: dict[str, Any] = {}
        if self.changes.is_dirty:
            found["changes"] = self.changes.save()
        if self.changes.versions.is_dirty:
            found["versions"] = self.changes.versions.save()
        if self.shifts.is_dirty:
            found["shifts"] = self.shifts.save()
        self.shifts.is_dirty = False
        self.changes.is_dirty = False
        self.changes.versions.is_dirty = False
        return found

    def load(self, saved: Mapping[str, Any], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; one of an earlier version has nothing of it."""
        if "changes" in saved:
            self.changes.load(saved["changes"], log_keys)
        if "versions" in saved:
            self.changes.versions.load(saved["versions"])
        if "shifts" in saved:
            self.shifts.load(saved["shifts"], log_keys)

    # --- time --------------------------------------------------------------------------------

    def pass_time(self, clock: int, findings: list[Finding]) -> None:
        """Do what is due until a stream time, each after the sessions that ended before it."""
        while (due := self._due_ns()) <= clock:
            self._engine.close_expired(due, findings)
            findings += self._findings(self.changes.fire(due))
            findings += self._shifted(due)
            self._release(due, findings)

    def finish(self, findings: list[Finding]) -> None:
        """End of input: nothing waits any longer."""
        findings += self._findings(self.changes.finish(self._engine.clock))
        self._release(NEVER, findings)
        findings += self._shifted(min(self.shifts.due_ns, NEVER - 1))

    def _due_ns(self) -> int:
        due = min(self.changes.due_ns, self.shifts.due_ns)
        if self._held:
            due = min(due, self._held[0][0])
        return due

    def _release(self, now: int, findings: list[Finding]) -> None:
        """Judge the sessions that are held until `now` at most."""
        while self._held and self._held[0][0] <= now:
            until, _, session = heapq.heappop(self._held)
            settled = self.changes.settles_at(session.keys)
            if now == NEVER:
                self._judge(session, self._engine.clock, findings)
            elif settled > now:
                # Its steps have spread since, and wait longer than they would have.
                self._hold_until(session, settled)
            else:
                self._judge(session, until, findings)

    def _release_settled(self, findings: list[Finding]) -> None:
        """Judge the sessions whose new steps are all known."""
        known = [entry for entry in self._held if not self.changes.settles_at(entry[2].keys)]
        if not known:
            return
        gone = {number for _, number, _ in known}
        self._held = [entry for entry in self._held if entry[1] not in gone]
        heapq.heapify(self._held)
        for _, _, session in sorted(known, key=_release_order):
            self._judge(session, self._engine.clock, findings)

    def _shifted(self, at_ns: int) -> list[Finding]:
        report = self.shifts.fire(at_ns)
        if report is None:
            return []
        return list(self._findings([Fired(at_ns, report=report)]))

    def _findings(self, fired: Iterable[Fired]) -> Iterator[Finding]:
        for one in fired:
            finding = self._make.fired(one)
            if finding is not None:
                yield finding


def _release_order(entry: Sequence[Any]) -> tuple[int, int]:
    return entry[0], entry[1]


def looking_for_changes(
    parts: EngineParts, reader: RecordReader, limits: Limits
) -> tuple[Changes, Shifts]:
    """What looks for changes of the program, built from a bundle's parts."""
    levels = levels_of(reader)
    pattern = None
    if reader.sole_regex is not None:
        pattern = parts.input_settings.session_key[0][1:-1]
    normal: Iterable[Sequence[int]] = ()
    if parts.nested is not None:
        normal = parts.nested.normal
    unknown = parts.hierarchy.unknown
    steps = parts.steps
    rows = None
    if steps is not None:
        rows = steps.rows
    changes = Changes(
        settle=limits.change_settle,
        unknown=unknown,
        forms=NewForms(pattern, parts.templates),
        levels=levels,
        versions=Versions(limits.version_field),
        replacing=Replacing(parts.templates, normal, rows),
        names=parts.templates,
    )
    settle_ns = int(limits.change_settle * 1e9)
    if steps is None:
        return changes, Shifts(normal, parts.templates, unknown, settle_ns)
    seen = lambda log_key: steps.seen(log_key)[0]  # noqa: E731
    return changes, Shifts(normal, parts.templates, unknown, settle_ns, seen, steps.rows)
