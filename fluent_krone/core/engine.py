"""Records in, findings out: feed · advance · finish. Pure: time is an argument, randomness there is none.

What comes out depends on the order of the records and their times only, not on how they were cut into chunks, nor on
when `advance` was called in between (which only makes findings come sooner).
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lru import LRU

from ..errors import RecordError, SnapshotError
from ..reading.events import EventReader
from ..reading.records import InputSettings, RecordReader, SessionKey
from ..reading.templates import TemplateMatcher, novel_shape, template_id
from ..types import Finding, Verdict
from .cascade import Cascade, Clearing
from .hierarchy import Hierarchy
from .localise import NestedDetector, SeqDetector
from .sessions import Session, Sessionizer, SessionSettings

SNAPSHOT_VERSION = 1
NOVELTIES_KEPT = 10_000
_NS = 1_000_000_000
_NUMBER = struct.Struct("q")
_MOST_PARTS = 8  # that a session is saved in; then they are made one
_MOST_FINDINGS = 5_000  # of one call; the sessions that ended besides are collected by the next
_MOST_NOVELTIES = 1_000  # told in `novelty_interval`: a log of another kind would drown its reader
_LEAPS_BELIEVED = 16  # so many leaping events in a row are no slip: the stream has moved on


def _part(s: Session, number: int = 0, since: int = 0) -> list[Any]:
    """A session as it is saved: its fields, and its events from `since` on."""
    new_keys, new_lines = s.keys[since:].tobytes(), s.lines[since:]
    when = (s.opened, s.first_ns, s.instance, s.ordinal, s.limit, s.deadline, s.last_ns)
    return [number, since, s.key, s.tag, *when, s.alerted, new_keys, new_lines]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The engine's parameters that are no part of a bundle; as in `Config`, times in seconds."""

    max_message_size: int = 8192
    max_keys_per_record: int = 16
    max_sessions: int = 200_000
    cache_size: int = 100_000
    keep_lines: int = 256
    max_lines: int = 5
    max_future: float = 3600.0
    max_leap: float = 30 * 86400.0
    novelty_interval: float = 3600.0
    idle_clock: str = "stream"


class Engine:
    """One stream of records, judged by one bundle.

    `templates` are in the order of the hierarchy's rows; `seen` tells which of them normal training had.
    """

    def __init__(
        self,
        *,
        templates: Sequence[str],
        seen: Sequence[bool],
        hierarchy: Hierarchy,
        patterns: SeqDetector,
        nested: NestedDetector | None = None,
        clearing: Clearing | None = None,
        input_settings: InputSettings,
        session_settings: SessionSettings,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits = limits or Limits()
        self.session_settings = session_settings
        self.hierarchy = hierarchy
        self.counters: Counter[str] = Counter()  # records, events, …
        self.set_aside: Counter[str] = Counter()  # by reason: records that became no event
        self.reader = RecordReader(
            input_settings,
            max_message_size=limits.max_message_size,
            max_keys=limits.max_keys_per_record,
        )
        self.matcher = TemplateMatcher(templates, limits.cache_size, unmatched=hierarchy.unknown)
        self.events = EventReader(self.reader, self.matcher, limits.cache_size)
        self.sessions = Sessionizer(
            session_settings, max_sessions=limits.max_sessions, remembered=limits.cache_size
        )
        self.cascade = Cascade(hierarchy, patterns, nested, clearing, limits.cache_size)
        self.tracker = self.cascade.tracker
        self.on_close: Callable[[Session], None] | None = None  # told of every instance that ends
        self.watermark = 0  # largest event time believed, ns UTC
        self._templates = templates
        self._novel = frozenset(i for i, known in enumerate([*seen, False]) if not known)
        self._end_keys = frozenset(
            i for i, text in enumerate(templates) if text in session_settings.end_templates
        )
        self._special = self._novel | self._end_keys
        self._fed_at = 0
        self._clock = 0  # stream time: the watermark, or arrival times with `idle_clock wall`
        self._leaps = 0
        self._novelties: Any = LRU(
            NOVELTIES_KEPT
        )  # novel template → [stream time of its alert, events since]
        self._told_since, self._told = 0, 0  # novelties, in the interval that began then
        self._numbers = 0  # given to parts of sessions so far
        self._dropped = array("q")  # parts that hold nothing any more, since the last `changes`
        self._noted: dict[bytes, list[int]] | None = (
            None  # novelties since then; None: nobody asks for changes
        )
        self._everything = True  # the next `changes` are all there is

    def feed(
        self, tag: str, events: Iterable[tuple[int | None, Any]], now_ns: int
    ) -> list[Finding]:
        """Take a chunk's events `(time_ns, record)` that arrive at wall time `now_ns`.

        A record that can't be an event is counted in `set_aside` by its reason and the rest goes on.
        """
        findings: list[Finding] = []
        read, work_out = self.events.read, self.tracker.work_out
        find, to_end, idle_ns = (
            self.sessions.open.get,
            self.sessions.open.move_to_end,
            self.sessions.idle_ns,
        )
        special, most_events, most_lines = (
            self._special,
            self.session_settings.max_events,
            self.limits.keep_lines,
        )
        own_time, by_stream = self.reader.has_time, self.limits.idle_clock == "stream"
        tag_bytes = tag.encode("utf-8", "surrogateescape")
        latest = now_ns + int(self.limits.max_future * _NS)
        if not by_stream:
            self._clock = max(self._clock, now_ns)
        clock, watermark = self._clock, self.watermark
        record_count = event_count = 0
        for time_ns, record in events:
            record_count += 1
            try:
                log_key, text, keys = read(tag_bytes, record)
            except RecordError as error:
                reason = record.reason if isinstance(record, RecordError) else error.reason
                self.set_aside[reason] += 1
                continue
            if own_time or time_ns is None:
                time_ns = self._own_time(record, time_ns)
            if time_ns > watermark:
                time_ns = self._believe(time_ns, latest)
                watermark = self.watermark
                if by_stream:
                    self._clock = clock = watermark
            elif self._leaps:
                self._leaps = 0
            for key in keys:
                event_count += 1
                session = find(key)
                if session is None or clock > session.deadline:
                    session = self._start(key, tag_bytes, time_ns, findings)
                else:  # kept alive here, as below Tracker.step is spelled out: a call would cost more than what it does
                    deadline, limit = clock + idle_ns, session.limit
                    session.deadline = deadline if deadline < limit else limit
                    to_end(key)
                log_keys = session.keys
                log_keys.append(log_key)
                state = session.state
                session.state = state = state.next.get(log_key) or work_out(
                    state, log_key, log_keys
                )
                session.last_ns = time_ns
                length = len(log_keys)
                if length <= most_lines:
                    session.lines.append(text)
                if state.decided or log_key in special or length >= most_events:
                    self._special_event(session, log_key, text, findings)
        self._fed_at = now_ns
        self.counters["records"] += record_count
        self.counters["events"] += event_count
        self._collect(clock, findings)
        return findings

    def advance(self, now_ns: int) -> list[Finding]:
        """End sessions by idle timeout while no record comes: stream time goes on with wall time."""
        findings: list[Finding] = []
        if self._fed_at:
            self._collect(self._clock + max(now_ns - self._fed_at, 0), findings)
        return findings

    def finish(self) -> list[Finding]:
        """End of input: judge every open session."""
        findings: list[Finding] = []
        for session in self.sessions.drain():
            self._close(session, findings)
        return findings

    def snapshot(self) -> dict[str, Any]:
        """The whole state in values that msgpack carries; log keys go with their template ids."""
        return self._snapshot([_part(session) for session in self.sessions.open.values()])

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot; call it on a new engine.

        `sessions` may be any iterable, and hold a session in several parts. The bundle may be
        another one: templates are found again by their ids, those that it lacks are `unknown`, and open sessions are
        judged by it from now on. Raises SnapshotError when the snapshot is damaged or of another version.
        """
        if snapshot.get("version") != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"saved state has version {snapshot.get('version')!r}, this program reads {SNAPSHOT_VERSION}: "
                "set it aside and start afresh"
            )
        try:
            self._restore(snapshot)
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise SnapshotError(
                f"saved state is damaged ({error.__class__.__name__}: {error})"
            ) from None

    def resume(self, now_ns: int) -> None:
        """Go on after a pause: while nobody listened no session was idle."""
        if self._fed_at:
            self._fed_at = now_ns

    def adopt(self, other: Engine) -> None:
        """Take over what another bundle's engine holds, counters too; that one is of no use then."""
        self.restore(other._snapshot(_part(session) for session in other.sessions.open.values()))
        self._everything = True
        self.counters, self.set_aside = other.counters, other.set_aside
        self.sessions.over_cap = other.sessions.over_cap
        self.reader.keys_over_cap, self.reader.messages_cut = (
            other.reader.keys_over_cap,
            other.reader.messages_cut,
        )
        self.tracker.misses += other.tracker.misses
        self.on_close = other.on_close

    def track(self, *, everything: bool = False) -> None:
        """From now on note what changes, for `changes`; with `everything` the next ones are all there is."""
        self._everything = self._everything or everything
        if self._noted is None:
            self._noted, self.sessions.started = {}, []

    def changes(self, pack: Callable[[list[Any]], bytes]) -> dict[str, Any]:
        """What changed since the last call, in the form of a snapshot; it costs what changed, not what is open.

        `sessions` are new parts of those that changed, with the events that the parts before them have not, as rows
        (number, what `pack` makes of it): packed one by one their lines are fetched into the cache once. Besides there
        is `dropped`, the numbers of parts that are void. Where there is `templates`, these are no changes but all there
        is: the first time, and when log keys were renumbered.
        """
        if self._noted is None:
            raise RuntimeError("BUG: changes without track")
        if self._everything:
            self._dropped = array("q")
            for session in self.sessions.open.values():
                session.saved, session.parts = 0, b""
        parts = [self._save(session, pack) for session in self.sessions.unsaved()]
        if self._everything:
            found = self._snapshot(parts)
        else:
            novelties, started = list(self._noted.items()), self.sessions.started
            found = self._clocks() | {"novelties": novelties, "sessions": parts, "started": started}
        found["dropped"] = self._dropped
        self._dropped, self._noted, self.sessions.started, self._everything = (
            array("q"),
            {},
            [],
            False,
        )
        return found

    def shed(self, count: int) -> list[Finding]:
        """End and judge the `count` longest idle sessions, to make room."""
        findings: list[Finding] = []
        for session in self.sessions.shed(count):
            self._close(session, findings)
        return findings

    def _clocks(self) -> dict[str, Any]:
        return {
            "version": SNAPSHOT_VERSION,
            "watermark": self.watermark,
            "clock": self._clock,
            "fed_at": self._fed_at,
            "leaps": self._leaps,
            "told": [self._told_since, self._told],
        }

    def _snapshot(self, sessions: Iterable[Any]) -> dict[str, Any]:
        return self._clocks() | {
            "templates": self._template_ids(),
            "novelties": list(reversed(self._novelties.items())),
            "sessions": sessions,
            "started": self.sessions.dump(),
        }

    def _template_ids(self) -> list[str]:
        return [template_id(text) for text in self._templates]

    def _save(self, session: Session, pack: Callable[[list[Any]], bytes]) -> tuple[int, bytes]:
        """The session's next part, with its number; or, when it would have too many, all of it in one."""
        if not session.saved or len(session.parts) == _MOST_PARTS * _NUMBER.size:
            self._dropped.frombytes(session.parts)
            session.saved, session.parts = 0, b""
        self._numbers += 1
        part = pack(_part(session, self._numbers, session.saved))
        session.saved = len(session.keys)
        session.parts += _NUMBER.pack(self._numbers)
        return self._numbers, part

    def _restore(self, snapshot: Mapping[str, Any]) -> None:
        own = self._template_ids()
        index = {name: i for i, name in enumerate(own)}
        log_keys = [index.get(name, self.hierarchy.unknown) for name in snapshot["templates"]]
        log_keys.append(self.hierarchy.unknown)
        self.watermark, self._clock = snapshot["watermark"], snapshot["clock"]
        self._fed_at, self._leaps = snapshot["fed_at"], snapshot["leaps"]
        self._told_since, self._told = snapshot.get("told", (0, 0))
        for name, entry in snapshot["novelties"]:
            self._novelties[name] = list(entry)
        for part in snapshot["sessions"]:
            self._load_part(part, log_keys)
        for session in self.sessions.open.values():
            session.state = self.tracker.replay(session.keys)
            session.saved = len(session.keys)
            due = min(session.saved, self.limits.keep_lines)  # `keep_lines` may be another one now
            session.lines = [*session.lines[:due], *[b""] * (due - len(session.lines))]
        self.sessions.load(snapshot["started"])
        self._everything = own != list(snapshot["templates"])

    def _load_part(self, part: Sequence[Any], log_keys: Sequence[int]) -> None:
        number, since, key, tag, opened, first_ns, instance, ordinal, *rest = part
        limit, deadline, last_ns, alerted, keys, lines = rest
        key = tuple(key)
        session = self.sessions.open.get(key)
        if session is None:
            start = self.tracker.start
            session = Session(key, tag, opened, first_ns, instance, ordinal, start, limit, deadline)
            self.sessions.open[key] = session
        if since != len(session.keys):
            raise ValueError(
                f"a session of {len(session.keys)} events can't go on with event {since}"
            )
        session.opened = opened
        # Shorter settings hold for it too; and whose deadline is late would hide the sessions behind it.
        session.limit = min(limit, self.sessions.limit(opened))
        session.deadline = min(deadline, session.limit, self._clock + self.sessions.idle_ns)
        session.last_ns, session.alerted = last_ns, alerted
        session.keys.extend([log_keys[i] for i in array("H", keys)])
        if lines:  # with another `keep_lines` the parts before may have none
            session.lines += [b""] * (since - len(session.lines)) + lines
        if number:
            session.parts += _NUMBER.pack(number)
            self._numbers = max(self._numbers, number)
        self.sessions.open.move_to_end(key)

    def log_key_text(self, log_key: int) -> str:
        """The template of a log key; the `unknown` leaf has none."""
        return self._templates[log_key] if log_key < len(self._templates) else "<unknown>"

    def _start(self, key: SessionKey, tag: bytes, time_ns: int, findings: list[Finding]) -> Session:
        session, ended = self.sessions.start(key, tag, self._clock, time_ns, self.tracker.start)
        for other in ended:
            self._close(other, findings)
        return session

    def _collect(self, now: int, findings: list[Finding]) -> None:
        for session in self.sessions.expired(now):
            self._close(session, findings)
            if len(findings) >= _MOST_FINDINGS:
                break

    def _special_event(
        self, session: Session, log_key: int, text: bytes, findings: list[Finding]
    ) -> None:
        """What few events need: an early verdict, a new template, the event that ends its session."""
        if session.state.decided and not session.alerted:
            session.alerted = True
            verdict = self.cascade.early(session.state, session.keys)
            findings.append(self._sequence(session, verdict, "early"))
        if log_key in self._novel:
            self._novelty(session, log_key, text, findings)
        if log_key in self._end_keys or len(session.keys) >= self.session_settings.max_events:
            self.sessions.end(session)
            self._close(session, findings)

    def _close(self, session: Session, findings: list[Finding]) -> None:
        self.counters["instances"] += 1
        self._dropped.frombytes(session.parts)
        if self.on_close is not None:
            self.on_close(session)
        if session.alerted:
            return
        verdict = self.cascade.at_end(session.state, session.keys)
        if verdict is not None:
            session.alerted = True
            findings.append(self._sequence(session, verdict, "end"))

    def _sequence(
        self, session: Session, verdict: Verdict, decided: Literal["early", "end"]
    ) -> Finding:
        self.counters["flagged"] += 1
        self.counters[f"flagged_{verdict.detector}"] += 1
        self.counters[f"decided_{decided}"] += 1
        lines = session.lines[verdict.seq.start : verdict.seq.end]
        most = self.limits.max_lines
        first = max(0, min(verdict.event - verdict.seq.start - most // 2, len(lines) - most))
        return Finding(
            kind="sequence",
            decided=decided,
            tag=session.tag,
            session=session.key,
            instance=session.instance,
            ordinal=session.ordinal,
            first_ns=session.first_ns,
            last_ns=session.last_ns,
            events=len(session.keys),
            log_keys=tuple(session.keys),
            verdict=verdict,
            lines=tuple(lines[first : first + most]),
            line=session.lines[verdict.event] if verdict.event < len(session.lines) else b"",
            unmatched=self._unmatched(session),
        )

    def _unmatched(self, session: Session) -> tuple[bytes, ...]:
        unknown = self.hierarchy.unknown
        if unknown not in session.keys:
            return ()
        both = zip(session.keys, session.lines, strict=False)
        return tuple(novel_shape(line) for key, line in both if key == unknown)

    def _novelty(
        self, session: Session, log_key: int, text: bytes, findings: list[Finding]
    ) -> None:
        """One `unseen_template` finding per template and `novelty_interval`; later ones are counted."""
        known = log_key != self.hierarchy.unknown
        self.counters["unseen" if known else "unmatched"] += 1
        name = template_id(self._templates[log_key]).encode() if known else novel_shape(text)
        entry = self._novelties.get(name)
        if entry is not None and self._clock - entry[0] <= self.limits.novelty_interval * _NS:
            entry[1] += 1
            self._note(name, entry)
            return
        if self._clock - self._told_since > self.limits.novelty_interval * _NS:
            self._told_since, self._told = self._clock, 0
        if self._told >= _MOST_NOVELTIES:
            self.counters["novelties_over_cap"] += 1
            return
        self._told += 1
        findings.append(
            Finding(
                kind="unseen_template",
                decided="end",
                tag=session.tag,
                session=session.key,
                instance=session.instance,
                ordinal=session.ordinal,
                first_ns=session.last_ns,
                last_ns=session.last_ns,
                events=1 + (entry[1] if entry else 0),
                log_keys=(log_key,),
                verdict=None,
                lines=(text,),
            )
        )
        self._novelties[name] = entry = [self._clock, 0]
        self._note(name, entry)

    def _note(self, name: bytes, entry: list[int]) -> None:
        if self._noted is not None:
            self._noted.pop(name, None)  # the last one touched is the last one
            self._noted[name] = entry

    def _own_time(self, record: Any, arrived_ns: int | None) -> int:
        """The record's own time where it has one; else the door's, else the watermark."""
        if self.reader.has_time:
            try:
                return self.reader.time(record)
            except RecordError:
                self.counters["time_unreadable"] += 1
        return self.watermark if arrived_ns is None else arrived_ns

    def _believe(self, time_ns: int, latest: int) -> int:
        """The event's time, if it may move the watermark; else the watermark (now, while there is none), and counted.

        One line dated 2099 must not end every session.
        """
        if time_ns > latest:
            self.counters["time_in_future"] += 1
            return self.watermark or latest - int(self.limits.max_future * _NS)
        if self.watermark and time_ns - self.watermark > self.limits.max_leap * _NS:
            self._leaps += 1
            if self._leaps < _LEAPS_BELIEVED:
                self.counters["time_leap"] += 1
                return self.watermark
        self._leaps = 0
        if not self.watermark and self.limits.idle_clock == "stream":
            self.sessions.settle(time_ns)
        self.watermark = time_ns
        return time_ns
