"""Which session an event belongs to, and when a session ends.

Why every step is O(1), and why it changes no verdict *when* ended sessions are collected:

1. Stream time never goes back, and all sessions have the same idle timeout. So the order of last
   events is the order of deadlines, and `open` is kept in it: an event moves its session to the
   end. It would cost more to note the events and to move each session once for a chunk.
2. The sessions that stream time has ended are therefore the first ones. A session that ends by its
   age is found in the same way, in the order of starts (`_by_age`).
3. An event whose session has ended, but was not collected yet, starts a new instance all the same,
   since its end is compared with stream time.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from lru import LRU

from ..errors import ConfigError
from ..reading.records import SessionKey
from .context import Context
from .references import NONE, References

_NS = 1_000_000_000
# A stream time that is never reached: the limit of a session that has neither window nor age.
_FOREVER = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """When a session ends. Part of a bundle's manifest; durations in seconds, 0 for none."""

    idle_timeout: float
    window: float = 0.0
    max_age: float = 0.0
    max_events: int = 10_000
    end_templates: tuple[str, ...] = ()
    # How much later than others an event may arrive and still be taken in the order of times.
    allowed_lateness: float = 0.0

    def __post_init__(self) -> None:
        if self.idle_timeout <= 0:
            raise ConfigError(f"idle_timeout must be positive, got {self.idle_timeout:g}")
        if self.max_events < 1:
            raise ConfigError(f"max_events must be at least 1, got {self.max_events}")
        if self.allowed_lateness < 0:
            raise ConfigError(
                f"allowed_lateness must not be negative, got {self.allowed_lateness:g}: 0 takes "
                "events as they come"
            )
        if self.window < 0 or self.max_age < 0:
            raise ConfigError(
                "window and max_age must not be negative, "
                f"got window {self.window:g} and max_age {self.max_age:g}: 0 switches them off"
            )

    def override(self, **values: Any) -> SessionSettings:
        """These settings, with those of the operator that are given (not None) in their place."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


# Stands for the level of a session's lines where not all of them have the same.
SEVERAL_LEVELS = -1

# Nothing was reported about the session as a whole; it had its alert; or that alert was silenced,
# because a person had marked as normal what had been seen by then: it is judged again at its end.
NOT_ALERTED = 0
ALERTED = 1
SILENCED = 2


@dataclass(slots=True, eq=False)
class Saved:
    """What is saved of a session. The journal alone writes `parts` and `events`."""

    # The numbers of its saved parts (int64 each), and how many of its events they hold.
    parts: bytes = b""
    events: int = 0
    # The stream time until which it is held, where it has ended and its new steps are not known yet
    # (`deploys/settling.py`); else 0.
    held: int = 0
    # What its first record says of where it runs, see `context.py`.
    context: Context = ()
    # The ranks of the levels of the events in `lines`, where `Session.level` does not say them.
    levels: bytearray | None = None
    # How many of its events were steps of a change (`deploys/changes.py`).
    new_steps: int = 0
    # Event time of its last event, once it was read again: that event may be no step any more.
    last_ns: int = 0


@dataclass(slots=True, eq=False)
class Session:
    """One open instance of a session key. Stream times and event times are in ns UTC."""

    key: SessionKey
    tag: bytes
    # Stream time at its first event.
    opened: int
    # 1, 2, … among the instances of its key.
    instance: int
    # 0, 1, … among the instances of its key that have the same first event time.
    ordinal: int
    # The tracker's state after all its events.
    state: Any
    # Stream time after which it ends, whatever comes (by age or window).
    limit: int
    # Stream time at its last event.
    seen: int
    # Stream time up to which there is nothing to do before an event is taken: it has not ended, and
    # does not hang. Events move that moment away, which is noted once this one is over (`Hanging`).
    due: int
    # Stream time of its valid entry in the heap of `Hanging`.
    alarm: int = 0
    # Event time of its last event that was passed over; 0 where none was.
    passed_ns: int = 0
    # Whether it has had the one sequence alert that a session may have: `NOT_ALERTED` and so on.
    alerted: int = NOT_ALERTED
    saved: Saved = field(default_factory=Saved)
    # Signatures of the deviations that were reported.
    told: tuple[str, ...] = ()
    # Log keys of its events, two bytes each, and their event times.
    keys: array[int] = field(default_factory=partial(array, "H"))
    times: array[int] = field(default_factory=partial(array, "q"))
    # The texts of its first `keep_lines` events.
    lines: list[bytes] = field(default_factory=list)
    # References to the records of its events, in their order; None where nobody holds them. Of
    # these, the first `passed` were handed on already. See `references.py`.
    refs: array[int] | None = None
    passed: int = 0
    # The rank of the level (`reading/levels.py`) that all its `lines` have so far, which nearly
    # always stays that of the first; or `SEVERAL_LEVELS`. 0 where its first record has no level:
    # then those of the others are not kept.
    level: int = 0

    @property
    def levels(self) -> bytes | None:
        """The ranks of the levels of the events in `lines`; None where they are not kept."""
        if self.level == SEVERAL_LEVELS:
            return bytes(self.saved.levels or b"")
        if not self.level:
            return None
        return bytes((self.level,)) * len(self.lines)

    @levels.setter
    def levels(self, ranks: bytes | None) -> None:
        self.level = 0
        self.saved.levels = None
        if ranks is None:
            return
        first = ranks[:1]
        if ranks == first * len(self.lines) and any(first):
            self.level = first[0]
        else:
            self.level = SEVERAL_LEVELS
            self.saved.levels = bytearray(ranks)

    def note_level(self, rank: int) -> None:
        """The last of `lines` has this level, which may be another one than those before it."""
        if self.level not in (0, SEVERAL_LEVELS, rank):
            before = len(self.lines) - 1
            self.saved.levels = bytearray((self.level,)) * before
            self.level = SEVERAL_LEVELS
        if self.level == SEVERAL_LEVELS and self.saved.levels is not None:
            self.saved.levels.append(rank)

    @property
    def first_ns(self) -> int:
        """Event time of its first event; of the last one, where all were passed over."""
        if not self.times:
            return self.passed_ns
        return self.times[0]

    @property
    def last_ns(self) -> int:
        """Event time of its last event."""
        if self.saved.last_ns or not self.times:
            return self.saved.last_ns or self.passed_ns
        return max(self.times[-1], self.passed_ns)

    @property
    def is_abnormal(self) -> bool:
        """Whether anything about it was reported so far; once it has ended, that is its verdict."""
        return self.alerted == ALERTED or bool(self.told)


# Stands for the session of a key that has none open: its end is always over.
NOBODY = Session((), b"", 0, 0, 0, None, 0, 0, due=-1)


class Sessionizer:
    """Opens, finds and ends sessions. Ended ones come in the order in which they ended.

    `remembered` keys are remembered for counting their instances.
    """

    def __init__(self, settings: SessionSettings, *, max_sessions: int, remembered: int) -> None:
        self.settings = settings
        self.open: OrderedDict[SessionKey, Session] = OrderedDict()
        # Moves a session that had an event to the end of `open`.
        self.to_end: Callable[[SessionKey], None] = self.open.move_to_end
        self.references: References | None = None
        self._by_age: OrderedDict[SessionKey, Session] = OrderedDict()
        self.idle_ns = int(settings.idle_timeout * _NS)
        self._window_ns = int(settings.window * _NS)
        self._max_age_ns = int(settings.max_age * _NS)
        self._max_sessions = max_sessions
        # Key → instances so far.
        self._instances: Any = LRU(remembered)
        # (key, time of the first event) → instances so far.
        self._starts: Any = LRU(remembered)
        # Sessions that were ended to make room.
        self.over_cap = 0
        # Open sessions about which something was reported without an event of theirs, since they
        # were last taken to be saved.
        self.touched: list[Session] = []
        # What `Session.alarm` begins with: with 0 no session is ever put into the heap.
        self.first_alarm = 0

    def start(
        self, key: SessionKey, tag: bytes, now: int, time_ns: int, state: Any
    ) -> tuple[Session, list[Session]]:
        """Open an instance of `key` at stream time `now`, with a first event of `time_ns`.

        The second value holds the sessions that this ends: the one of the same key, or those that
        have to make room.
        """
        ended: list[Session] = []
        if (previous := self.open.get(key)) is not None:
            self.end(previous)
            ended = [previous]
        elif len(self.open) >= self._max_sessions:
            ended = list(self.expired(now)) or [self._longest_idle()]
        instance = self._instances.get(key, 0) + 1
        begun = (key, time_ns)
        ordinal = self._starts.get(begun, 0)
        self._instances[key] = instance
        self._starts[begun] = ordinal + 1
        limit = self.limit(now)
        due = min(now + self.idle_ns, limit)
        session = Session(key, tag, now, instance, ordinal, state, limit, now, due)
        session.alarm = self.first_alarm
        self.open[key] = session
        if self._max_age_ns:
            self._by_age[key] = session
        if self.references is not None:
            self.references.begin(session)
        return session, ended

    def note_records(self, references: References) -> None:
        """Note from now on in each session which records its events were."""
        self.references = references
        self.to_end = references.mover(self.open)
        for session in self.open.values():
            if session.refs is None:
                session.refs = array("q")

    @property
    def ref(self) -> int:
        """The reference of the record that is fed; `NONE` where nobody notes records."""
        if self.references is None:
            return NONE
        return self.references.current

    @contextlib.contextmanager
    def referring(self, ref: int) -> Iterator[None]:
        """Events in the block are of another record than of the one that is fed."""
        if self.references is None:
            yield
            return
        current = self.references.current
        self.references.current = ref
        yield
        self.references.current = current

    def restart(self, session: Session, now: int, time_ns: int) -> None:
        """A session began at another stream time `now`, and event time, than was thought."""
        session.opened = now
        session.times[0] = time_ns
        session.ordinal = self._starts.get((session.key, time_ns), 0)
        self._starts[session.key, time_ns] = session.ordinal + 1
        session.limit = self.limit(now)
        session.seen = now
        session.due = self.end_of(session)

    def settle(self, now: int) -> None:
        """Stream time begins at `now`: what is open came with no time that could be believed."""
        for session in self.open.values():
            session.opened = now
            session.limit = self.limit(now)
            session.seen = now
            session.due = self.end_of(session)

    def end_of(self, session: Session) -> int:
        """Stream time after which a session ends unless an event comes before."""
        return min(session.seen + self.idle_ns, session.limit)

    def end(self, session: Session) -> None:
        """Take an open session out."""
        del self.open[session.key]
        if self._max_age_ns:
            del self._by_age[session.key]

    def expired(self, now: int) -> Iterator[Session]:
        """Take out the sessions that stream time `now` has ended."""
        for order in (self.open, self._by_age):
            while order:
                session = next(iter(order.values()))
                if now <= self.end_of(session):
                    break
                self.end(session)
                yield session

    def drain(self) -> Iterator[Session]:
        """Take out every open session: end of input."""
        while self.open:
            session = next(iter(self.open.values()))
            self.end(session)
            yield session

    def shed(self, count: int) -> Iterator[Session]:
        """Take out the sessions that are idle longest, as if there were too many."""
        for _ in range(min(count, len(self.open))):
            yield self._longest_idle()

    def _longest_idle(self) -> Session:
        session = next(iter(self.open.values()))
        self.end(session)
        self.over_cap += 1
        return session

    def dump(self) -> list[list[Any]]:
        """What was counted so far, least recent first.

        Rows are [key, instances, None, 0] or [key, 0, first time, instances].
        """
        instances = [[key, count, None, 0] for key, count in reversed(self._instances.items())]
        return instances + [
            [key, 0, time_ns, count] for (key, time_ns), count in reversed(self._starts.items())
        ]

    def load(self, dumped: Iterable[Sequence[Any]]) -> None:
        """Count on from rows of `dump` or of the journal. Call it when `open` is as it was."""
        for key, instances, time_ns, count in dumped:
            if instances:
                self._instances[tuple(key)] = instances
            if count:
                self._starts[tuple(key), time_ns] = count
        if self._max_age_ns:
            by_age = sorted(self.open.values(), key=lambda session: session.opened)
            self._by_age.update((session.key, session) for session in by_age)

    def limit(self, opened: int) -> int:
        """Stream time after which a session that began at `opened` ends, whatever comes."""
        limit = _FOREVER
        if self._max_age_ns:
            limit = opened + self._max_age_ns
        if self._window_ns:
            limit = min(limit, (opened // self._window_ns + 1) * self._window_ns - 1)
        return limit
