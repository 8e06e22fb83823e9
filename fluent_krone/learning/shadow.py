"""What a candidate would have reported about the last day, beside the bundle in use.

Both judge what was recorded of the last day. Sessions that were held out of the training tell how
many false alarms to expect. Faults are injected into copies of them: records are left out, doubled,
swapped, cut off, or delayed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..core.references import PLAIN, References
from ..core.sessions import Session
from ..detect.bundle import Bundle
from ..inputs.spooled import Gap, Spooled, unpacked
from ..reading.records import SessionKey
from ..segments import read_frames
from .reservoir import ABNORMAL, IsCleared, is_held_out

_NS = 1_000_000_000
# Normal sessions that faults are injected into.
_INJECTED = 200
# What a delayed record waits, in ns: longer than anything that a session pauses for.
_DELAY_TIMES = 50
# Sessions below which nothing can be said about false alarms.
ENOUGH_SESSIONS = 200
# How many times the asked number of false alarms a candidate may have in the shadow, and this many
# more, since few sessions tell little.
_ALARMS_TIMES = 2.0
_ALARMS_MORE = 3
# The share of the alerts of the bundle in use that a candidate may lose, and this many more.
_LOST_SHARE = 0.2
_LOST_MORE = 2
# How much less of the injected faults a candidate may find.
_FOUND_LESS = 0.05

# Time, tag and record.
_Event = tuple[int, str, dict[bytes, Any]]


@dataclass(frozen=True, slots=True)
class Shadow:
    """The figures of a candidate, beside those of the bundle in use."""

    # Sessions that both judged, and those of them that were held out of the training.
    sessions: int
    held_out: int
    # Sessions that only the candidate flags, only the bundle in use, and both.
    new_alerts: int
    lost_alerts: int
    common_alerts: int
    # Of the held-out sessions that the bundle in use takes for normal, those that the candidate
    # flags; and how many that are in 1,000.
    false_alarms: int
    false_alarms_per_1000: float
    # The share of the injected faults that each finds.
    found_live: float
    found_candidate: float
    injected: int
    # What is against the candidate, in sentences; empty where nothing is.
    objections: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The figures by name."""
        return asdict(self) | {"objections": list(self.objections)}

    @property
    def words(self) -> str:
        """The figures in one line."""
        return (
            f"of {self.sessions:,} sessions, {self.new_alerts} alerts are new, {self.lost_alerts} "
            f"are lost and {self.common_alerts} are common; about {self.false_alarms_per_1000:.1f} "
            f"false alarms in 1,000; of injected faults {self.found_candidate:.0%} are found, and "
            f"{self.found_live:.0%} by the bundle in use"
        )


def compare(
    live: Bundle,
    candidate: Bundle,
    recorded: Path,
    config: Config,
    is_cleared: IsCleared,
    *,
    since_ns: int,
    rng: random.Random,
) -> Shadow:
    """Judge what was recorded since a time by both bundles."""
    seen = _judged(live, recorded, config, is_cleared, since_ns, rng)
    other = _judged(candidate, recorded, config, is_cleared, since_ns)
    keys = seen.ended & other.ended
    live_flags = seen.flagged & keys
    candidate_flags = other.flagged & keys
    held_out = {key for key in keys - live_flags if is_held_out(key)}
    false_alarms = len(candidate_flags & held_out)
    normal = [events for key, events in seen.samples if key in held_out]
    faulty = list(_faulty(normal, rng))
    shadow = Shadow(
        sessions=len(keys),
        held_out=len(held_out),
        new_alerts=len(candidate_flags - live_flags),
        lost_alerts=len(live_flags - candidate_flags),
        common_alerts=len(live_flags & candidate_flags),
        false_alarms=false_alarms,
        false_alarms_per_1000=1000 * false_alarms / max(len(held_out), 1),
        found_live=_found(live, faulty, config),
        found_candidate=_found(candidate, faulty, config),
        injected=len(faulty),
    )
    return _with_objections(shadow, config.false_alarms or candidate.false_alarms)


def _with_objections(shadow: Shadow, asked: float) -> Shadow:
    """Say what is against the candidate, by fixed rails."""
    found: list[str] = []
    if shadow.held_out < ENOUGH_SESSIONS:
        found.append(
            f"only {shadow.held_out} held-out sessions were recorded, and {ENOUGH_SESSIONS} are "
            "needed to tell its false alarms"
        )
    if shadow.false_alarms > _ALARMS_MORE + _ALARMS_TIMES * asked * shadow.held_out / 1000:
        found.append(
            f"it flags {shadow.false_alarms} of {shadow.held_out} held-out sessions that the "
            "bundle in use takes for normal"
        )
    flagged = shadow.lost_alerts + shadow.common_alerts
    if shadow.lost_alerts > _LOST_MORE + _LOST_SHARE * flagged:
        found.append(f"it misses {shadow.lost_alerts} of {flagged} sessions that alerted")
    if shadow.found_candidate < shadow.found_live - _FOUND_LESS:
        found.append(
            f"it finds {shadow.found_candidate:.0%} of the injected faults, and the bundle in use "
            f"finds {shadow.found_live:.0%}"
        )
    values = {name: getattr(shadow, name) for name in shadow.__slots__}
    return Shadow(**values | {"objections": tuple(found)})


@dataclass(slots=True)
class _Judged:
    ended: set[SessionKey]
    flagged: set[SessionKey]
    # Held-out sessions that did not alert at their end, with their events.
    samples: list[tuple[SessionKey, list[_Event]]]
    # How many such sessions there were; the samples are drawn from them.
    drawn_from: int = 0


def _judged(
    bundle: Bundle,
    recorded: Path,
    config: Config,
    is_cleared: IsCleared,
    since_ns: int,
    rng: random.Random | None = None,
) -> _Judged:
    """Which sessions of a recording end, and which alert; with `rng`, a sample of normal ones."""
    run = _Run(bundle, config, is_cleared, rng)
    for _, frame in read_frames(recorded):
        content = unpacked(frame)
        if isinstance(content, Gap):
            run.begin()
        elif isinstance(content, Spooled) and content.arrived_ns >= since_ns:
            run.feed(content)
    return run.judged


class _Run:
    """Feeds a recording to one bundle's engine."""

    def __init__(
        self, bundle: Bundle, config: Config, is_cleared: IsCleared, rng: random.Random | None
    ) -> None:
        self.judged = _Judged(set(), set(), [])
        self._bundle = bundle
        self._config = config
        self._maker = AlertMaker(bundle, config)
        self._is_cleared = is_cleared
        self._rng = rng
        self._held: dict[int, _Event] = {}
        self._next_ref = 0
        self.begin()

    def begin(self) -> None:
        """Begin with a new engine: sessions that are open are not whole."""
        self._engine: Engine = self._bundle.engine(self._config)
        self._references = References()
        self._references.notes_aside = True
        if self._rng is not None:
            self._engine.note_records(self._references)
        self._engine.on_close.append(self._close)
        self._held.clear()

    def feed(self, spooled: Spooled) -> None:
        """Judge a chunk."""
        events = spooled.chunk.events()
        if self._rng is not None:
            events = self._noted(spooled)
        for finding in self._engine.feed(spooled.chunk.tag, events, spooled.arrived_ns):
            if finding.kind not in ABNORMAL:
                continue
            if not self._is_cleared(self._maker.make(finding).record):
                self.judged.flagged.add(finding.session)
        for ref, _ in self._references.aside:
            self._held.pop(ref & PLAIN, None)
        self._references.aside.clear()

    def _noted(self, spooled: Spooled) -> Iterator[tuple[int | None, Any]]:
        for time_ns, record in spooled.chunk.events():
            self._next_ref += 1
            self._references.current = self._next_ref
            if record.__class__ is dict:
                at = time_ns or spooled.arrived_ns
                self._held[self._next_ref] = (at, spooled.chunk.tag, record)
            yield time_ns, record

    def _close(self, session: Session) -> None:
        self.judged.ended.add(session.key)
        events = []
        for ref in session.refs or ():
            event = self._held.pop(ref & PLAIN, None)
            if event is not None:
                events.append(event)
        is_wanted = is_held_out(session.key) and not session.alerted
        if is_wanted and len(events) == len(session.keys):
            self._draw(session.key, events)

    def _draw(self, key: SessionKey, events: list[_Event]) -> None:
        """Keep as many sessions as faults are injected into, each with the same chance."""
        assert self._rng is not None
        judged = self.judged
        judged.drawn_from += 1
        if len(judged.samples) < _INJECTED:
            judged.samples.append((key, events))
            return
        place = self._rng.randrange(judged.drawn_from)
        if place < _INJECTED:
            judged.samples[place] = (key, events)


def _faulty(normal: list[list[_Event]], rng: random.Random) -> Iterator[list[_Event]]:
    """Each session with each fault that can be injected into it."""
    for events in normal:
        for inject in _FAULTS:
            faulty = inject(list(events), rng)
            if [event[2] for event in faulty] != [event[2] for event in events]:
                yield faulty
        yield _slow(events, rng)


def _skip(events: list[_Event], rng: random.Random) -> list[_Event]:
    del events[rng.randrange(len(events))]
    return events


def _repeat(events: list[_Event], rng: random.Random) -> list[_Event]:
    at = rng.randrange(len(events))
    return [*events[:at], events[at], *events[at:]]


def _swap(events: list[_Event], rng: random.Random) -> list[_Event]:
    """Two neighbours change their places, and keep the times of these."""
    if len(events) < 2:
        return events
    at = rng.randrange(len(events) - 1)
    (time, tag, record), (later, later_tag, later_record) = events[at : at + 2]
    events[at : at + 2] = [(time, later_tag, later_record), (later, tag, record)]
    return events


def _truncate(events: list[_Event], rng: random.Random) -> list[_Event]:
    return events[: max(1, rng.randrange(len(events)))]


_FAULTS: tuple[Callable[[list[_Event], random.Random], list[_Event]], ...] = (
    _skip,
    _repeat,
    _swap,
    _truncate,
)


def _slow(events: list[_Event], rng: random.Random) -> list[_Event]:
    """One pause is many times as long."""
    if len(events) < 2:
        return events
    at = 1 + rng.randrange(len(events) - 1)
    pause = max(events[at][0] - events[at - 1][0], _NS) * _DELAY_TIMES
    return [*events[:at], *((time + pause, tag, record) for time, tag, record in events[at:])]


def _found(bundle: Bundle, faulty: list[list[_Event]], config: Config) -> float:
    """The share of faulty sessions that a bundle flags. Each is fed behind the one before."""
    if not faulty:
        return 1.0
    engine = bundle.engine(config)
    # Their times are shifted, so those that stand in the records themselves do not count.
    engine.reader.has_time = False
    engine.note_records(References())
    clock = max(event[0] for events in faulty for event in events)
    found = 0
    for events in faulty:
        shift = clock - events[0][0] + _NS
        findings = []
        for time_ns, tag, record in events:
            clock = time_ns + shift
            findings += engine.feed(tag, [(clock, record)], clock)
        findings += engine.finish()
        found += any(finding.kind in ABNORMAL for finding in findings)
    return found / len(faulty)
