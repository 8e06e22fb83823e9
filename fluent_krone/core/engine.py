"""Records in, findings out: feed · advance · finish. Pure: time is an argument, nothing is random.

What comes out depends on the order of the records and on their times only. It depends neither on
how the records were cut into chunks nor on when `advance` was called in between, which only makes
findings come sooner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RecordError
from ..reading.events import EventReader
from ..reading.records import InputSettings, RecordReader, SessionKey
from ..reading.slots import SlotReader
from ..reading.templates import TemplateMatcher
from ..types import Finding
from .cascade import Cascade, Clearing
from .findings import FindingMaker
from .hierarchy import Hierarchy
from .journal import Journal, Pack
from .localise import NestedDetector, SeqDetector
from .novelties import Novelties
from .odd_events import OddEvents
from .sessions import Session, Sessionizer, SessionSettings
from .steps import StepJudge
from .stream_time import StreamTime

# Findings of one call. When more sessions have ended, the next call collects the rest: after a long
# pause of the stream, the findings of all open sessions must not fill the memory at once.
_MOST_FINDINGS = 5_000
# What a remembered message shape takes on average, with its objects: `cache_size` counts shapes,
# and the cache is bounded in bytes, since one shape may have a kilobyte.
_SHAPE_BYTES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The engine's parameters that are no part of a bundle.

    Names, meanings and units are those of `Config`, where the defaults stand; times in seconds.
    """

    max_message_size: int
    max_keys_per_record: int
    max_sessions: int
    cache_size: int
    keep_lines: int
    max_lines: int
    max_future: float
    max_leap: float
    novelty_interval: float
    idle_clock: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine is built from besides its limits: all of it comes from a bundle.

    `templates` are in the order of the hierarchy's rows; `seen` tells which of them normal
    training had, and `wide` which wildcards of each take several tokens (see `TemplateMatcher`).
    Without `nested`, patterns alone judge.
    """

    templates: Sequence[str]
    wide: Sequence[Collection[int] | None] | None = None
    seen: Sequence[bool]
    hierarchy: Hierarchy
    patterns: SeqDetector
    nested: NestedDetector | None = None
    clearing: Clearing | None = None
    steps: StepJudge | None = None
    input_settings: InputSettings
    session_settings: SessionSettings


def _reader_of(parts: EngineParts, limits: Limits) -> RecordReader:
    return RecordReader(
        parts.input_settings,
        max_message_size=limits.max_message_size,
        max_keys=limits.max_keys_per_record,
    )


def _cascade_of(parts: EngineParts, limits: Limits) -> Cascade:
    return Cascade(
        parts.hierarchy,
        parts.patterns,
        parts.nested,
        parts.clearing,
        limits.cache_size,
        parts.steps,
    )


class Engine:
    """One stream of records, judged by one bundle.

    `counters` and `set_aside` count from the start of the stream; `set_aside` counts records that
    became no event, by reason. `on_close` is called with every session instance that ends.
    """

    def __init__(self, parts: EngineParts, limits: Limits) -> None:
        settings = parts.session_settings
        self.limits = limits
        self.session_settings = settings
        self.hierarchy = parts.hierarchy
        self.counters: Counter[str] = Counter()
        self.set_aside: Counter[str] = Counter()
        self.on_close: Callable[[Session], None] | None = None
        self.reader = _reader_of(parts, limits)
        self.matcher = TemplateMatcher(
            parts.templates, unmatched=parts.hierarchy.unknown, wide=parts.wide
        )
        self.events = EventReader(self.reader, self.matcher, limits.cache_size * _SHAPE_BYTES)
        self.sessions = Sessionizer(
            settings, max_sessions=limits.max_sessions, remembered=limits.cache_size
        )
        self.cascade = _cascade_of(parts, limits)
        self.tracker = self.cascade.tracker
        self._templates = parts.templates
        self._time = StreamTime(
            max_future=limits.max_future,
            max_leap=limits.max_leap,
            by_stream=limits.idle_clock == "stream",
            counters=self.counters,
            on_begin=self._begin,
        )
        novelties = Novelties(limits.novelty_interval, self.counters)
        self._make = FindingMaker(
            parts.templates, parts.hierarchy, novelties, self.counters, limits.max_lines
        )
        self._odd = OddEvents(parts.steps, SlotReader(parts.templates, parts.wide))
        self._journal = Journal(
            templates=parts.templates,
            sessions=self.sessions,
            time=self._time,
            novelties=novelties,
            tracker=self.tracker,
            keep_lines=limits.keep_lines,
        )
        # Log keys that normal training never had, the unknown leaf among them.
        self._novel = frozenset(i for i, seen in enumerate([*parts.seen, False]) if not seen)
        self._end_keys = frozenset(
            i for i, text in enumerate(parts.templates) if text in settings.end_templates
        )
        # What the loop of `feed` looks up for every event, made once for all chunks.
        self._loop = (
            self.events.read,
            self.sessions.open.get,
            self.sessions.open.move_to_end,
            self.tracker.work_out,
            self._novel | self._end_keys,
            self._odd.watched,
            self._odd.has_odd_value,
            self.sessions.idle_ns,
            settings.max_events,
            limits.keep_lines,
            self.reader.has_time,
        )

    @property
    def watermark(self) -> int:
        """The largest event time believed, in ns UTC; 0 before the first."""
        return self._time.watermark

    # The loop of `feed` is where a record's time goes, and a call costs more than most of what
    # the loop does. So three things that have functions elsewhere are written out in it:
    #
    # 1. Reading: one call gives log key, text and session keys, mostly by one look-up of the
    #    message's shape (`EventReader`).
    # 2. Time: only an event ahead of the watermark can move it, and only then `believe` is asked.
    #    An event that is not ahead ends a row of leaps, since the stream is still where it was.
    # 3. Session: a session that is open, and whose deadline stream time has not passed, goes on.
    #    Its deadline moves, but never beyond its limit, and the session moves to the end of the
    #    order, which is the order of deadlines (`Sessionizer`). Any other key starts an instance.
    # 4. Step: the state knows the next state of a step that was seen before; this is
    #    `Tracker.step` without its call.
    # 5. What few events need is behind one test: a template that training did not have, one that
    #    ends the session, or a value that deviates; the number of events that ends the session; a
    #    gap outside the limits that the state holds. A state that needs attention itself (an early
    #    verdict, a step whose order deviates) has limits that no gap keeps.
    #
    # `clock` and `watermark` are copies of what `StreamTime` holds, and are read anew whenever
    # it was asked, since a look-up of a local name costs a third of that of an attribute.
    def feed(
        self, tag: str, events: Iterable[tuple[int | None, Any]], now_ns: int
    ) -> list[Finding]:
        """Take a chunk's events `(time_ns, record)`, which arrive at wall time `now_ns`.

        A record that cannot become an event is counted in `set_aside` by its reason.
        """
        findings: list[Finding] = []
        (read, find, to_end, work_out, special, watched, is_odd, *numbers) = self._loop
        (idle_ns, most, most_lines, own_time) = numbers
        time = self._time
        tag_bytes = tag.encode("utf-8", "surrogateescape")
        latest = time.arrive(now_ns)
        clock = time.clock
        watermark = time.watermark
        record_count = event_count = 0
        for time_ns, record in events:
            record_count += 1
            try:
                log_key, text, keys = read(tag_bytes, record)
            except RecordError as error:
                self._set_aside(record, error)
                continue
            rare = log_key in special or (log_key in watched and is_odd(log_key, text))
            if own_time or time_ns is None:
                time_ns = self._own_time(record, time_ns)
            if time_ns > watermark:
                time_ns = time.believe(time_ns, latest)
                watermark = time.watermark
                clock = time.clock
            elif time.leaps:
                time.leaps = 0
            for key in keys:
                event_count += 1
                session = find(key)
                if session is None or clock > session.deadline:
                    session = self._start(key, tag_bytes, time_ns, findings)
                else:
                    deadline = clock + idle_ns
                    limit = session.limit
                    session.deadline = deadline if deadline < limit else limit
                    to_end(key)
                log_keys = session.keys
                log_keys.append(log_key)
                state = session.state
                state = state.next.get(log_key) or work_out(state, log_key, log_keys)
                session.state = state
                gap_ns = time_ns - session.last_ns
                session.last_ns = time_ns
                length = len(log_keys)
                if length <= most_lines:
                    session.lines.append(text)
                if rare or length >= most or not state.shortest_ns <= gap_ns <= state.longest_ns:
                    self._special_event(session, log_key, text, gap_ns, findings)
        time.fed_at = now_ns
        self.counters["records"] += record_count
        self.counters["events"] += event_count
        self._collect(clock, findings)
        return findings

    def advance(self, now_ns: int) -> list[Finding]:
        """End sessions by idle timeout while no record comes.

        Stream time goes on with wall time, `now_ns`.
        """
        findings: list[Finding] = []
        clock = self._time.idle_until(now_ns)
        if clock is not None:
            self._collect(clock, findings)
        return findings

    def finish(self) -> list[Finding]:
        """End of input: judge every open session."""
        return self._close_all(self.sessions.drain())

    def shed(self, count: int) -> list[Finding]:
        """End and judge the `count` sessions that are idle longest, to free memory."""
        return self._close_all(self.sessions.shed(count))

    def snapshot(self) -> dict[str, Any]:
        """The whole state in values that msgpack carries; log keys go with their template ids."""
        return self._journal.snapshot(list(self._journal.parts()))

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Call it on a new engine.

        `sessions` may be any iterable, and may hold a session in several parts. The bundle may be
        another one: templates are found again by their ids, those that it lacks become `unknown`,
        and open sessions are judged by it from now on. Raises SnapshotError when the snapshot is
        damaged or of another version.
        """
        self._journal.restore(snapshot)

    def resume(self, now_ns: int) -> None:
        """Go on after a pause in which nobody listened: no session was idle in it."""
        self._time.resume(now_ns)

    def adopt(self, other: Engine) -> None:
        """Take over the state and the counters of another bundle's engine.

        The other engine must not be used afterwards.
        """
        # Session by session: a snapshot of all at once would double the memory.
        self.restore(other._journal.snapshot(other._journal.parts()))
        self._journal.save_everything()
        self.counters.clear()
        self.counters.update(other.counters)
        self.set_aside.clear()
        self.set_aside.update(other.set_aside)
        self.sessions.over_cap = other.sessions.over_cap
        self.reader.keys_over_cap = other.reader.keys_over_cap
        self.reader.messages_cut = other.reader.messages_cut
        self.tracker.misses += other.tracker.misses
        self.on_close = other.on_close

    def track(self, *, everything: bool = False) -> None:
        """Note from now on what changes, for `changes`.

        With `everything`, the next changes are all there is.
        """
        self._journal.track()
        if everything:
            self._journal.save_everything()

    def changes(self, pack: Pack) -> dict[str, Any]:
        """What changed since the last call, as a snapshot; it costs what changed, not what is open.

        `sessions` are new parts of the sessions that changed, with the events that their earlier
        parts do not have, as rows (number, what `pack` makes of the part). Parts are packed one by
        one, so that a session's lines are read into the processor's cache once. `dropped` are the
        numbers of parts that are void. Where there is `templates`, these are no changes but
        everything there is: the first time, and when log keys were renumbered.
        """
        return self._journal.changes(pack)

    def log_key_text(self, log_key: int) -> str:
        """The template of a log key; the `unknown` leaf has none."""
        if log_key < len(self._templates):
            return self._templates[log_key]
        return "<unknown>"

    def _begin(self, time_ns: int) -> None:
        """Stream time begins; what is open came with no time that could be believed."""
        self.sessions.settle(time_ns)
        self._journal.save_again(self.sessions.open.values())

    def _set_aside(self, record: Any, error: RecordError) -> None:
        reason = error.reason
        # The door hands on what it could not decode as an error in the record's place.
        if isinstance(record, RecordError):
            reason = record.reason
        self.set_aside[reason] += 1

    def _own_time(self, record: Any, arrived_ns: int | None) -> int:
        """The record's own time where it has one; else the door's, else the watermark."""
        if self.reader.has_time:
            try:
                return self.reader.time(record)
            except RecordError:
                self.counters["time_unreadable"] += 1
        if arrived_ns is None:
            return self._time.watermark
        return arrived_ns

    def _start(self, key: SessionKey, tag: bytes, time_ns: int, findings: list[Finding]) -> Session:
        clock = self._time.clock
        session, ended = self.sessions.start(key, tag, clock, time_ns, self.tracker.start)
        self._journal.note_start(session)
        for other in ended:
            self._close(other, findings)
        return session

    def _collect(self, now: int, findings: list[Finding]) -> None:
        for session in self.sessions.expired(now):
            self._close(session, findings)
            if len(findings) >= _MOST_FINDINGS:
                break

    def _close_all(self, sessions: Iterator[Session]) -> list[Finding]:
        findings: list[Finding] = []
        for session in sessions:
            self._close(session, findings)
        return findings

    def _special_event(
        self,
        session: Session,
        log_key: int,
        text: bytes,
        gap_ns: int,
        findings: list[Finding],
    ) -> None:
        """What few events need: an early verdict, deviations, a new template, the session's end."""
        state = session.state
        odd = self._odd.deviations(state, session.keys, gap_ns, text)
        findings += self._make.deviations(session, odd, "early")
        if state.decided and not session.alerted:
            session.alerted = True
            verdict = self.cascade.early(state, session.keys)
            findings.append(self._make.sequence(session, verdict, "early"))
        if log_key in self._novel:
            novelty = self._make.novelty(session, log_key, text, self._time.clock)
            if novelty is not None:
                findings.append(novelty)
        if log_key in self._end_keys or len(session.keys) >= self.session_settings.max_events:
            self.sessions.end(session)
            self._close(session, findings)

    def _close(self, session: Session, findings: list[Finding]) -> None:
        self.counters["instances"] += 1
        self._journal.note_end(session)
        if self.on_close is not None:
            self.on_close(session)
        if session.alerted:
            return
        verdict = self.cascade.at_end(session.state, session.keys)
        odd = self.cascade.odd_end(session.state, session.keys)
        if verdict is None:
            findings += self._make.deviations(session, odd, "end")
            return
        session.alerted = True
        findings.append(self._make.sequence(session, verdict, "end", odd))
