"""Which session an event belongs to, and when a session ends.

Stream time (the engine's watermark) never goes back, so open sessions lie in the order of their last event and the
idle ones are at the front: every step is O(1), and *when* expired sessions are collected changes no verdict.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lru import LRU

from ..errors import ConfigError
from ..reading.records import SessionKey

_NS = 1_000_000_000
_FOREVER = 2**63


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
    opened: int  # stream time at its first event
    first_ns: int
    instance: int  # 1, 2, … among those of its key
    ordinal: int  # 0, 1, … among those of its key that have the same first time
    state: Any  # the tracker's
    limit: int  # stream time after which it ends, whatever comes (age, window)
    deadline: int  # stream time after which it ends unless an event comes before
    last_ns: int = 0
    alerted: bool = False  # it has had its one sequence alert
    parts: bytes = b""  # the numbers under which it is saved, int64 each
    saved: int = 0  # how many of its events are
    keys: array[int] = field(default_factory=lambda: array("H"))
    lines: list[bytes] = field(default_factory=list)


class Sessionizer:
    """Opens, finds and ends sessions. Ended ones come back in the order in which they ended."""

    def __init__(
        self, settings: SessionSettings, *, max_sessions: int = 200_000, remembered: int = 200_000
    ) -> None:
        self.open: OrderedDict[SessionKey, Session] = OrderedDict()
        self._by_age: OrderedDict[SessionKey, Session] = OrderedDict()
        self.idle_ns = int(settings.idle_timeout * _NS)
        self._window_ns = int(settings.window * _NS)
        self._max_age_ns = int(settings.max_age * _NS)
        self._max_sessions = max_sessions
        self._instances: Any = LRU(remembered)  # key → instances so far
        self._starts: Any = LRU(remembered)  # (key, first event's time) → instances so far
        self.over_cap = 0
        self.started: list[list[Any]] | None = (
            None  # if it is a list: rows of `dump`, one for each start
        )

    def start(
        self, key: SessionKey, tag: bytes, now: int, time_ns: int, state: Any
    ) -> tuple[Session, list[Session]]:
        """Open an instance of `key`; with it come the sessions that it ends: of the same key, or to make room."""
        ended: list[Session] = []
        if (previous := self.open.get(key)) is not None:
            self.end(previous)
            ended = [previous]
        elif len(self.open) >= self._max_sessions:
            ended = list(self.expired(now)) or [self._longest_idle()]
        instance = self._instances.get(key, 0) + 1
        ordinal = self._starts.get((key, time_ns), 0)
        self._instances[key] = instance
        self._starts[key, time_ns] = ordinal + 1
        if self.started is not None:
            self.started.append([key, instance, time_ns, ordinal + 1])
        limit = self.limit(now)
        session = Session(
            key, tag, now, time_ns, instance, ordinal, state, limit, min(now + self.idle_ns, limit)
        )
        self.open[key] = session
        if self._max_age_ns:
            self._by_age[key] = session
        return session, ended

    def settle(self, now: int) -> None:
        """Stream time begins, at `now`: whatever is open came with no time that could be believed."""
        for session in self.open.values():
            session.opened = now
            session.limit = self.limit(now)
            session.deadline = min(now + self.idle_ns, session.limit)
            session.saved = 0

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
                if now <= session.deadline:
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
        """Take out the longest idle sessions, as over a cap."""
        for _ in range(min(count, len(self.open))):
            yield self._longest_idle()

    def _longest_idle(self) -> Session:
        session = next(iter(self.open.values()))
        self.end(session)
        self.over_cap += 1
        return session

    def unsaved(self) -> list[Session]:
        """Open sessions that had an event since all of them were saved, in the order in which `open` holds them.

        An event moves its session to the end of `open`, so the look-back stops where it meets one that is saved.
        """
        found = []
        for session in reversed(self.open.values()):
            if session.saved == len(session.keys):
                break
            found.append(session)
        found.reverse()
        return found

    def dump(self) -> list[list[Any]]:
        """What was counted so far, least recent first: [key, instances, None, 0], [key, 0, first time, instances]."""
        instances = [[key, count, None, 0] for key, count in reversed(self._instances.items())]
        return instances + [
            [key, 0, time_ns, count] for (key, time_ns), count in reversed(self._starts.items())
        ]

    def load(self, dumped: Iterable[Sequence[Any]]) -> None:
        """Count on from a dump, or from what `started` noted. Call it when `open` is as it was."""
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
