"""Records in, findings out: feed · advance · finish. Pure: time is an argument, nothing is random.

What comes out depends on the order of the records and on their times only. It depends neither on
how the records were cut into chunks nor on when `advance` was called in between, which only makes
findings come sooner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import RecordError
from ..reading.records import SessionKey
from ..reading.seam import Events, Read, reading_by
from ..types import Finding
from .context import ContextReader
from .deploys.change_watch import ChangeWatch
from .deploys.settling import Settling
from .findings import FindingMaker
from .hanging import Hanging
from .hierarchy import Hierarchy
from .journal import Journal, Pack
from .judging import Judging
from .loop import Loop, SingleEvents
from .novelties import Novelties
from .odd_events import COMPARED
from .parts import EngineParts, Limits, Shared
from .references import References
from .sessions import ALERTED, Session, Sessionizer, SessionSettings
from .stream.delays import StreamDelays
from .stream.doubted import DoubtedEvents
from .stream.lateness import InOrder
from .stream.stream_time import StreamTime
from .tracker import Tracker

# Findings of one call. When more sessions have ended, the next call collects the rest: after a long
# pause of the stream, the findings of all open sessions must not fill the memory at once.
_MOST_FINDINGS = 5_000

# Tag, time in ns, log key, text.
Event = tuple[bytes, int, int, bytes]


__all__ = ["Engine", "EngineParts", "Limits"]


class Engine:
    """One stream of records, judged by one bundle.

    `counters` and `set_aside` count from the start of the stream; `set_aside` counts records that
    became no event, by reason. Each function in `on_close` is called with every session instance
    that ends, once its verdict is known: see `Session.is_abnormal`. Engines of one bundle and one
    configuration may have one `shared`.
    """

    def __init__(self, parts: EngineParts, limits: Limits, shared: Shared | None = None) -> None:
        shared = shared or Shared(parts, limits)
        settings = parts.session_settings
        self.limits = limits
        self.counters: Counter[str] = Counter()
        self.set_aside: Counter[str] = Counter()
        self.on_close: list[Callable[[Session], None]] = []
        self.reader = shared.reader
        self.matcher = shared.matcher
        odd = shared.odd
        self.events = shared.events
        self.read: Callable[[bytes, Any], Read] = self.events.read
        self.sessions = Sessionizer(
            settings, max_sessions=limits.max_sessions, remembered=limits.cache_size
        )
        self.cascade = shared.cascade
        self._templates = parts.templates
        self.time = StreamTime(
            max_future=limits.max_future,
            max_leap=limits.max_leap,
            by_stream=limits.idle_clock == "stream",
            counters=self.counters,
            on_begin=self._begin,
            delays=StreamDelays(parts.silence_ns),
            flow=parts.flow(),
            sources=parts.sources(self.reader),
        )
        self.doubted = DoubtedEvents(self)
        # Holds events where they may come late; None where they are taken as they come.
        self.in_order: InOrder | None = None
        if settings.allowed_lateness:
            self.in_order = InOrder(self, int(settings.allowed_lateness * 1e9))
        novelties = Novelties(limits.novelty_interval, self.counters)
        make = FindingMaker(
            parts.templates, parts.hierarchy, novelties, self.counters, limits.max_lines
        )
        context = ContextReader(limits.alert_fields)
        self.judging = Judging(parts, self.cascade, odd, make, context, self.counters)
        self.settling = Settling(self, ChangeWatch(parts, self.reader, limits), make, odd)
        self.single = SingleEvents(self, odd)
        self.hanging = Hanging(parts.steps, self.sessions, self.time, make)
        self.journal = Journal(
            matcher=self.matcher,
            sessions=self.sessions,
            time=self.time,
            novelties=novelties,
            doubted=self.doubted,
            in_order=self.in_order,
            settling=self.settling,
            keep_lines=limits.keep_lines,
        )
        self._loop = Loop(self, self.events.read_all)

    @property
    def session_settings(self) -> SessionSettings:
        """When a session ends."""
        return self.sessions.settings

    @property
    def tracker(self) -> Tracker:
        """What steps sessions through the hierarchy."""
        return self.cascade.tracker

    @property
    def hierarchy(self) -> Hierarchy:
        """The tree over the log keys."""
        return self.cascade.hierarchy

    @property
    def time_offset_s(self) -> int | None:
        """By how many seconds all times are ahead of the wall clock, or behind it, where it is
        negative; None where they are not.
        """
        return self.time.offset_s

    @property
    def clock(self) -> int:
        """Stream time: what sessions are aged by."""
        if self.in_order is not None:
            return self.in_order.clock
        return self.time.clock

    @property
    def watermark(self) -> int:
        """The largest event time believed, in ns UTC; 0 before the first."""
        return self.time.watermark

    def feed(self, tag: str, events: Events, now_ns: int) -> list[Finding]:
        """Take a chunk's events `(time_ns, record)`, which arrive at wall time `now_ns`.

        A record that cannot become an event is counted in `set_aside` by its reason.
        """
        tag_bytes = tag.encode("utf-8", "surrogateescape")
        self.time.flow.meet(tag_bytes)
        if self.in_order is not None:
            return self.in_order.feed(tag_bytes, events, now_ns)
        return self._loop.feed(tag_bytes, events, now_ns)

    def advance(self, now_ns: int) -> list[Finding]:
        """End sessions by idle timeout while no record comes.

        Stream time goes on with wall time, `now_ns`.
        """
        findings: list[Finding] = []
        clock = self.time.idle_until(now_ns)
        self.time.flow.idle(clock, now_ns)
        if clock is not None and self.in_order is not None:
            self.in_order.release(clock, findings)
        self.collect(clock or 0, findings)
        return findings

    def finish(self) -> list[Finding]:
        """End of input: judge every open session."""
        findings: list[Finding] = []
        if self.time.give_up_doubt():
            self.doubted.believe_after_all(findings, at_end=True)
        if self.in_order is not None:
            self.in_order.finish(findings)
        findings += self._close_all(self.sessions.drain())
        self.settling.finish(findings)
        return findings

    def shed(self, count: int) -> list[Finding]:
        """End and judge the `count` sessions that are idle longest, to free memory."""
        return self._close_all(self.sessions.shed(count))

    def snapshot(self) -> dict[str, Any]:
        """The whole state in values that msgpack carries; log keys go with their template ids."""
        return self.journal.snapshot(list(self.journal.parts()))

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Call it on a new engine.

        `sessions` may be any iterable, and may hold a session in several parts. The bundle may be
        another one: templates are found again by their ids, else by the lines that are kept,
        and open sessions are judged by it from now on. Raises SnapshotError when the snapshot is
        damaged or of another version.
        """
        self.journal.restore(snapshot)
        for session in self.sessions.open.values():
            self.hanging.watch(session)

    def resume(self, now_ns: int) -> None:
        """Go on after a pause in which nobody listened: no session was idle in it."""
        self.time.resume(now_ns)
        self.time.flow.resume()

    def adopt(self, other: Engine) -> None:
        """Take over the state and the counters of another bundle's engine.

        The other engine must not be used afterwards. All that is taken over is saved by the next
        commit.
        """
        # Session by session: a snapshot of all at once would double the memory.
        self.restore(other.journal.snapshot(other.journal.parts()))
        self.journal.save_everything()
        for counters, before in (
            (self.counters, other.counters),
            (self.set_aside, other.set_aside),
            (self.settling.changes.counters, other.settling.changes.counters),
        ):
            counters.clear()
            counters.update(before)
        self.sessions.over_cap = other.sessions.over_cap
        self.reader.keys_over_cap = other.reader.keys_over_cap
        self.reader.messages_cut = other.reader.messages_cut
        self.tracker.misses += other.tracker.misses
        self.on_close = other.on_close

    def track(self, *, everything: bool = False) -> None:
        """Note from now on what changes, for `changes`.

        With `everything`, the next changes are all there is.
        """
        self.journal.track()
        if everything:
            self.journal.save_everything()

    def changes(self, pack: Pack) -> dict[str, Any]:
        """What changed since the last call, as a snapshot; it costs what changed, not what is open.

        `sessions` are new parts of the sessions that changed, with the events that their earlier
        parts do not have, as rows (number, what `pack` makes of the part). Parts are packed one by
        one, so that a session's lines are read into the processor's cache once. `dropped` are the
        numbers of parts that are void. Where there is `templates`, these are no changes but
        everything there is: the first time, and when log keys were renumbered.
        """
        return self.journal.changes(pack)

    def note_records(self, references: References) -> None:
        """Note in each session which records its events were; see `references.py`."""
        self.sessions.note_records(references)
        self._loop = self._loop.again()

    def read_by(self, read: Callable[[bytes, Any], Read]) -> None:
        """Read records by another function, which gives what `EventReader.read` gives."""
        self.read = read
        self._loop = Loop(self, reading_by(read))

    def silence_by(self, silences: Callable[[Finding], bool]) -> None:
        """Leave out findings that a person marked as normal, as `silences` says."""
        self.judging.make.silences = silences

    def log_key_text(self, log_key: int) -> str:
        """The template of a log key; the `unknown` leaf has none."""
        if log_key < len(self._templates):
            return self._templates[log_key]
        return "<unknown>"

    def _begin(self, time_ns: int) -> None:
        """Stream time begins; what is open came with no time that could be believed."""
        self.sessions.settle(time_ns)
        for session in self.sessions.open.values():
            self.hanging.watch(session)
        self.journal.save_again(self.sessions.open.values())

    def count_aside(self, record: Any, error: RecordError) -> None:
        """A record cannot become an event."""
        self.counters["records"] += 1
        reason = error.reason
        # The input hands on what it could not decode as an error in the record's place.
        if isinstance(record, RecordError):
            reason = record.reason
        self.set_aside[reason] += 1
        self.reader.note_aside(record, reason)
        if self.sessions.references is not None:
            self.sessions.references.note_aside(reason)

    def find(
        self,
        key: SessionKey,
        tag: bytes,
        time_ns: int,
        record: Any,
        clock: int,
        findings: list[Finding],
    ) -> Session:
        """The session that an event belongs to: the open one, which may hang, or a new one."""
        session = self.sessions.open.get(key)
        if session is not None and clock <= self.sessions.end_of(session):
            self.hanging.look_at(session, clock, findings)
            return session
        clock = self.time.clock
        self.settling.note_start(record, clock)
        self.time.sources.note(tag, record)
        session, ended = self.sessions.start(key, tag, clock, time_ns, self.tracker.start)
        self.judging.begin(session, record)
        self.journal.note_start(session, time_ns)
        self.time.flow.counts[-1] += 1
        for other in ended:
            self.close(other, clock, findings)
        return session

    def fed(self, records: int, events: int, clock: int, findings: list[Finding]) -> None:
        """A chunk was fed, after which stream time is `clock`."""
        # `Counter.update` would cost as much as a record, where a chunk has only one.
        self.counters["records"] += records
        self.counters["events"] += events
        self.collect(clock, findings)

    def collect(self, now: int, findings: list[Finding]) -> None:
        """Report what hangs, end what has ended, and do what else is due by stream time `now`."""
        if not self.doubted.are_settled:
            return
        self.settling.pass_time(now, findings)
        findings += self.time.flow.take()
        self.hanging.collect(now, findings, _MOST_FINDINGS)
        for session in self.sessions.expired(now):
            self.close(session, now, findings)
            if len(findings) >= _MOST_FINDINGS:
                break

    def close_expired(self, now: int, findings: list[Finding]) -> None:
        """Close all sessions that stream time has ended, however many there are."""
        if not self.doubted.are_settled:
            return
        for session in self.sessions.expired(now):
            self.close(session, now, findings)

    def _close_all(self, sessions: Iterator[Session]) -> list[Finding]:
        findings: list[Finding] = []
        for session in sessions:
            self.close(session, self.time.clock, findings)
        return findings

    def special_event(
        self,
        session: Session,
        text: bytes,
        record: Any,
        gap_ns: int,
        findings: list[Finding],
        rare: int,
    ) -> None:
        """What few events need: an early verdict, deviations, a new template, the session's end.

        Unless it is `rare` (`OddEvents.is_rare`), the event's own content is not odd.
        """
        tracker = self.tracker
        state = session.state
        if (
            rare == COMPARED
            and state.shortest_ns <= gap_ns <= state.longest_ns
            and not self.single.odd.is_disproportionate(session.keys, gap_ns, text)
        ):
            # So it is with nearly all events of a step whose numbers are compared.
            return
        if state is tracker.settled and not rare and not self.judging.is_full(session):
            return
        clock = self.time.clock
        if len(session.keys) == 1 and session.state.deviations:
            self.time.flow.uncount_start()
        self.settling.look(session, findings)
        if self.judging.judge_event(session, text, record, gap_ns, clock, findings, rare):
            self.sessions.end(session)
            self.close(session, clock, findings)
        elif self.judging.make.has_told_all(session) and session.state is not tracker.waiting:
            session.state = tracker.settled

    def close(self, session: Session, clock: int, findings: list[Finding]) -> None:
        """Judge a session that has ended, by stream time `clock` at the latest."""
        end = self.sessions.end_of(session)
        ended = min(clock, end)
        if ended > session.due:
            self.hanging.look_at(session, ended, findings)
        self.counters["instances"] += 1
        tracker = self.cascade.tracker
        if session.state is tracker.waiting:
            self.settling.close(session, ended, findings)
            return
        if session.state is tracker.settled:
            session.state = tracker.apart()
        self.journal.note_end(session)
        if session.keys and session.alerted != ALERTED:
            self.judging.judge_end(session, ended, findings, may_go_on=ended < end)
        self.settling.count(session, ended)
        for hear in self.on_close:
            hear(session)
