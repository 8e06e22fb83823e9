"""How much of a stream was seen: records, stream time, and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import RecordError
from ..reading.records import InputSettings, RecordReader, SessionKey
from ..transport.forward import Chunk

_NS = 1_000_000_000
# The longest step of event time, in ns, that counts as stream time: an hour. A record with a wrong
# date must not end the learning, and a gap between two old files is no stream.
_LONGEST_STEP_NS = 3600 * _NS


class SessionCount:
    """Counts the sessions of a stream by their keys; a key that pauses begins a new one.

    `most` bounds the memory: beyond it nothing needs to be counted.
    """

    def __init__(self, settings: InputSettings, idle_timeout_s: float, most: int) -> None:
        self.sessions = 0
        self._reader = RecordReader(settings)
        self._idle_ns = int(idle_timeout_s * _NS)
        self._most = most
        self._last: dict[SessionKey, int] = {}

    def note(self, chunk: Chunk, arrived_ns: int) -> None:
        """Count the sessions that begin in a chunk."""
        if self.sessions >= self._most:
            return
        tag = chunk.tag.encode("utf-8", "surrogateescape")
        for time_ns, record in chunk.events():
            try:
                _, keys = self._reader.read(tag, record)
            except RecordError:
                continue
            at = time_ns or arrived_ns
            for key in keys:
                last = self._last.get(key)
                if last is None or at - last > self._idle_ns:
                    self.sessions += 1
                self._last[key] = at


@dataclass(slots=True)
class Seen:
    """What has come so far. It is saved with each commit, and so it survives a kill."""

    records: int = 0
    # Wall time at which the first chunk arrived; 0 before it.
    began_ns: int = 0
    # Stream time that was seen, in seconds, and the largest event time.
    covered_s: float = 0.0
    last_ns: int = 0
    sessions: int | None = None
    # Records that were neither learnt from nor judged, because there was no room for them.
    left_out: int = 0

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Seen:
        """What the last process saved. Facts of an older program may lack a part."""
        return cls(**{name: facts[name] for name in cls.__slots__ if name in facts})

    def facts(self) -> dict[str, Any]:
        """What is saved."""
        return {name: getattr(self, name) for name in self.__slots__}

    def note(self, chunk: Chunk, arrived_ns: int) -> int:
        """A chunk has come; returns how many records it has."""
        self.began_ns = self.began_ns or arrived_ns
        records = 0
        covered_ns = 0
        latest = self.last_ns
        # Each record counts, because a log that is read at speed comes in few large chunks.
        for time_ns, _ in chunk.events():
            records += 1
            at = time_ns or arrived_ns
            if at > latest:
                if latest:
                    covered_ns += min(at - latest, _LONGEST_STEP_NS)
                latest = at
        self.last_ns = latest
        self.covered_s += covered_ns / _NS
        self.records += records
        return records

    def seconds(self, now_ns: int) -> float:
        """For how long the stream was seen: by its own time, or by the clock if that is more.

        An old log that is read at speed counts by its own time.
        """
        if not self.began_ns:
            return 0.0
        return max(self.covered_s, (now_ns - self.began_ns) / _NS)
