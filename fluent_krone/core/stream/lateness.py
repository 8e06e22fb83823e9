"""Events of one execution that arrive out of order, put in order again.

Lines of one execution that are read from several files, or sent by several hosts, arrive later than
others that were written after them. With `allowed_lateness`, every event is held until the
watermark has gone on by that much, and then taken in the order of times:

1. An event that arrives waits in a heap, in the order of (time, arrival): events of one time stay
   in the order in which they arrived.
2. An event is taken when the watermark is `allowed_lateness` beyond its time, and the clock that
   its session is aged by is that of this moment, whenever the watermark really moved on. So it
   makes no difference how many events came at once.
3. An event that is later than allowed is taken at once.
4. What is held is saved with each commit, since its chunk has been acked by then.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import RecordError
from ...reading.levels import Excerpt
from ...reading.records import SessionKey
from ...types import Finding

if TYPE_CHECKING:
    from ..engine import Engine

# Time, arrival, keys, tag, log key, text, excerpt of the record, and reference to it (see
# `references.py`).
_Held = tuple[int, int, Sequence[SessionKey], bytes, int, bytes, Excerpt, int]


class InOrder:
    """Holds events until they can be taken in the order of their times."""

    def __init__(self, engine: Engine, lateness_ns: int) -> None:
        self._engine = engine
        self._lateness_ns = lateness_ns
        self._held: list[_Held] = []
        self._arrivals = 0
        # The stream time at which the last event was taken; it never goes back.
        self.clock = 0

    def feed(
        self, tag: bytes, events: Iterable[tuple[int | None, Any]], now_ns: int
    ) -> list[Finding]:
        """Take a chunk's events as `Engine.feed` does, in the order of their times."""
        engine = self._engine
        time = engine.time
        findings: list[Finding] = []
        latest = time.arrive(now_ns)
        for time_ns, record in events:
            try:
                log_key, text, keys, _ = engine.read(tag, record)
            except RecordError as error:
                engine.count_aside(record, error)
                continue
            engine.counters["records"] += 1
            if engine.reader.has_time or not time_ns:
                time_ns = engine.single.own_time(record, time_ns, now_ns)
            believed = time_ns
            if time_ns > time.watermark or time_ns < time.behind:
                believed = time.meet(time_ns, latest, tag, record)
            if time.in_doubt and time_ns <= latest:
                # It waits at its own time until the stream is there.
                believed = time_ns
            self._arrivals += 1
            excerpt = engine.judging.excerpt(record)
            ref = engine.sessions.ref
            held = (believed, self._arrivals, keys, tag, log_key, text, excerpt, ref)
            heapq.heappush(self._held, held)
            self.release(time.clock, findings)
        time.fed_at = now_ns
        return findings

    def release(self, clock: int, findings: list[Finding]) -> None:
        """Take the events that are due when the stream's clock shows `clock`."""
        due = self._engine.time.clock_at
        while self._held and due(self._held[0][0] + self._lateness_ns) <= clock:
            self._take(findings)

    def finish(self, findings: list[Finding]) -> None:
        """The input ends: take all that is held."""
        while self._held:
            self._take(findings)

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        return {"held": sorted(self._held), "held_clock": self.clock}

    def load(self, saved: Mapping[str, Any], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; `log_keys` are ours by those of the snapshot."""
        self.clock = saved.get("held_clock", 0)
        for time_ns, number, keys, tag, log_key, text, said, ref in saved.get("held", ()):
            self._arrivals = max(self._arrivals, number)
            own_keys = [tuple(key) for key in keys]
            excerpt = _excerpt_of(said)
            held = (time_ns, number, own_keys, tag, log_keys[log_key], text, excerpt, ref)
            heapq.heappush(self._held, held)

    def _take(self, findings: list[Finding]) -> None:
        time_ns, _, keys, tag, log_key, text, excerpt, ref = heapq.heappop(self._held)
        engine = self._engine
        self.clock = max(self.clock, engine.time.clock_at(time_ns + self._lateness_ns))
        engine.collect(self.clock, findings)
        with engine.sessions.referring(ref):
            for key in keys:
                engine.counters["events"] += 1
                event = (tag, time_ns, log_key, text)
                engine.single.take(key, event, excerpt, self.clock, findings)

    def refs(self) -> Iterator[int]:
        """References of the records that are held."""
        return (held[-1] for held in self._held)


def _excerpt_of(said: Any) -> Excerpt:
    """An excerpt as it was saved; the last version saved the rank of the level alone."""
    if isinstance(said, int):
        return Excerpt(said)
    rank, context = said
    return Excerpt(rank, tuple((name, value) for name, value in context))
