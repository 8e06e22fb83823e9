"""Which session an event belongs to, and when a session ends.

Stream time (the engine's watermark) never goes back, so open sessions lie in the order of their last event and the
idle ones are at the front: every step is O(1), and *when* expired sessions are collected changes no verdict.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lru import LRU

from ..errors import ConfigError
from .records import SessionKey

_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """When a session ends. Part of a bundle's manifest; durations in seconds, 0 for none."""

    idle_timeout: float
    window: float = 0.0
    max_age: float = 0.0
    max_events: int = 10_000
    end_templates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.idle_timeout <= 0:
            raise ConfigError(f"idle_timeout must be positive, got {self.idle_timeout:g}")
        if self.max_events < 1:
            raise ConfigError(f"max_events must be at least 1, got {self.max_events}")
        if self.window < 0 or self.max_age < 0:
            raise ConfigError("window and max_age must not be negative")

    def override(self, **values: Any) -> SessionSettings:
        """These settings with the operator's, where given (not None)."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


@dataclass(slots=True, eq=False)
class Session:
    """One open instance of a session key. Stream times and event times in ns UTC."""

    key: SessionKey
    tag: bytes
    opened: int  # stream time of its first event
    first_ns: int
    instance: int  # 1, 2, … among those of its key
    ordinal: int  # 0, 1, … among those of its key that have the same first time
    state: Any  # the tracker's
    seen: int = 0  # stream time of its last event
    last_ns: int = 0
    keys: array[int] = field(default_factory=lambda: array("H"))
    lines: list[bytes] = field(default_factory=list)


class Sessionizer:
    """Opens, finds and ends sessions. Ended ones come back in the order in which they ended."""

    def __init__(self, settings: SessionSettings, *, max_sessions: int = 200_000, remembered: int = 200_000) -> None:
        self.open: OrderedDict[SessionKey, Session] = OrderedDict()
        self._by_age: OrderedDict[SessionKey, Session] = OrderedDict()
        self._idle_ns = int(settings.idle_timeout * _NS)
        self._window_ns = int(settings.window * _NS)
        self._max_age_ns = int(settings.max_age * _NS)
        self._max_events = settings.max_events
        self._max_sessions = max_sessions
        self._instances: Any = LRU(remembered)  # key → instances so far
        self._starts: Any = LRU(remembered)  # (key, first event's time) → instances so far
        self.over_cap = 0

    def route(self, key: SessionKey, now: int) -> tuple[Session | None, Session | None]:
        """The open session of `key` at stream time `now` (None: open one), and the one that ended before it."""
        session = self.open.get(key)
        if session is None:
            return None, None
        if self._has_ended(session, now):
            self.end(session)
            return None, session
        session.seen = now
        self.open.move_to_end(key)
        return session, None

    def start(self, key: SessionKey, tag: bytes, now: int, time_ns: int, state: Any) -> tuple[Session, Session | None]:
        """Open an instance of `key`; with it comes the session that had to make room, if any."""
        instance = self._instances.get(key, 0) + 1
        ordinal = self._starts.get((key, time_ns), 0)
        self._instances[key] = instance
        self._starts[key, time_ns] = ordinal + 1
        session = Session(key, tag, now, time_ns, instance, ordinal, state, seen=now)
        evicted = None
        if len(self.open) >= self._max_sessions:
            evicted = next(iter(self.open.values()))
            self.end(evicted)
            self.over_cap += 1
        self.open[key] = session
        if self._max_age_ns:
            self._by_age[key] = session
        return session, evicted

    def is_full(self, session: Session) -> bool:
        """Whether the event cap ends it now."""
        return len(session.keys) >= self._max_events

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
                if not self._has_ended(session, now):
                    break
                self.end(session)
                yield session

    def drain(self) -> Iterator[Session]:
        """Take out every open session: end of input."""
        while self.open:
            session = next(iter(self.open.values()))
            self.end(session)
            yield session

    def _has_ended(self, session: Session, now: int) -> bool:
        if now - session.seen > self._idle_ns:
            return True
        if self._max_age_ns and now - session.opened > self._max_age_ns:
            return True
        return self._window_ns > 0 and now // self._window_ns != session.opened // self._window_ns
