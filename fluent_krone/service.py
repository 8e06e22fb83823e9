"""The one place with a clock, tasks and shutdown: doors hand chunks in, the sink takes alerts out.

A chunk's way: decode and feed · commit · ack. What a commit does is one function, `_commit`.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lru import LRU

from .alerts import AlertMaker
from .config import Config
from .core.engine import Engine
from .detect.nested_aware import NestedAware
from .errors import SinkBusy
from .sink import Sink
from .timing import Histogram
from .transport.forward_codec import Chunk
from .types import Alert, Finding

_log = logging.getLogger(__name__)
_SLICE = 5_000  # events between two looks at the event loop
_CHUNKS_REMEMBERED = 100_000
_BATCH = 100  # alerts in one delivery: receivers cap their frames, Fluent Bit at 6 MB
_TICK_S = 0.5  # how often idle sessions are looked for
_BACK_OFF_S = (0.1, 10.0)
_STUCK_S = 60.0  # without progress for so long, something is wrong


class Service:
    """Runs one engine for any number of doors, on one event loop. Implements `transport.Inlet`."""

    def __init__(
        self,
        engine: Engine,
        maker: AlertMaker,
        sink: Sink,
        config: Config,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.timings = {name: Histogram() for name in ("feed", "commit", "chunk_ack")}
        self._engine = engine
        self._maker = maker
        self._sink = sink
        self._config = config
        self._clock_ns = clock_ns
        self._open = asyncio.Event()  # cleared by `flush`: later chunks stay with their sender, unacked
        self._open.set()
        self._turn = asyncio.Lock()  # chunks are taken whole, one after the other
        self._seen_chunks: Any = LRU(_CHUNKS_REMEMBERED)
        self._acks: list[tuple[float, Callable[[], None]]] = []  # with the time their chunk came
        self._fresh: list[Alert] = []  # since the last commit
        self._outgoing: deque[Alert] = deque()  # committed, not yet confirmed by the receiver
        self._uncommitted = 0
        self._committed_at = time.monotonic()
        self._sent_at = time.monotonic()  # since then the receiver has confirmed nothing
        self._room = asyncio.Event()  # outgoing alerts below their cap
        self._work = asyncio.Event()  # there are outgoing alerts
        self._empty = asyncio.Event()  # there are none
        self._room.set()
        self._empty.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the tasks that send alerts and end idle sessions."""
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._tick())]
        for task in self._tasks:
            task.add_done_callback(_report_crash)

    async def close(self) -> None:
        """Stop the tasks; alerts that nobody confirmed are counted and told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._outgoing:
            _log.error("alerts lost: nobody confirmed them count=%d", len(self._outgoing))
        await self._sink.close()

    async def take(self, chunk: Chunk, ack: Callable[[], None]) -> None:
        """Feed a chunk; `ack` is called once it is committed. A chunk seen before is acked and skipped."""
        came = time.monotonic()
        await self._room.wait()
        async with self._turn:
            await self._open.wait()
            self.counters["chunks"] += 1
            if chunk.chunk is not None and chunk.chunk in self._seen_chunks:
                self.counters["chunks_repeated"] += 1
            else:
                if chunk.chunk is None:
                    self.counters["chunks_without_id"] += 1
                else:
                    self._seen_chunks[chunk.chunk] = True
                for events in _slices(chunk.events()):
                    before = self._engine.counters["records"]
                    began = time.monotonic()
                    self._keep(self._engine.feed(chunk.tag, events, self._clock_ns()))
                    self.timings["feed"].add(time.monotonic() - began)
                    self._uncommitted += self._engine.counters["records"] - before
                    await asyncio.sleep(0)
            self._acks.append((came, ack))
        if self._is_commit_due():
            self._commit()
        else:
            asyncio.get_running_loop().call_soon(self._commit_when_idle)

    async def flush(self) -> None:
        """The last call: judge what is open (`on_shutdown judge`); return when every alert is confirmed."""
        async with self._turn:
            self._open.clear()
            if self._config.on_shutdown == "judge":
                self._keep(self._engine.finish())
            self._commit()
        await self._empty.wait()

    def stats(self) -> dict[str, float]:
        """Counters since start, by name."""
        engine = self._engine
        return {
            **self.counters,
            **engine.counters,
            **{f"set_aside_{reason}": count for reason, count in engine.set_aside.items()},
            "keys_over_cap": engine.reader.keys_over_cap,
            "messages_cut": engine.reader.messages_cut,
            "sessions_over_cap": engine.sessions.over_cap,
            "sessions_open": len(engine.sessions.open),
            "cache_hits": engine.counters["events"] - engine.tracker.misses,
            "cache_misses": engine.tracker.misses,
            "alerts_outgoing": len(self._outgoing),
            "chunks_unacked": len(self._acks),
            "chunk_unacked_age": self._unacked_age(),
            "stream_lag": max(self._clock_ns() - engine.watermark, 0) / 1e9 if engine.watermark else 0.0,
            **{key: value for name, took in self.histograms().items() for key, value in took.numbers(name).items()},
        }

    def histograms(self) -> dict[str, Histogram]:
        """How long feeding, committing, acking and scoring took, by name."""
        nested = self._engine.cascade.nested
        return self.timings | ({"score": nested.latency} if isinstance(nested, NestedAware) else {})

    def troubles(self) -> list[str]:
        """Why records are not being judged, or alerts not leaving; empty while all is well."""
        found = []
        if not self._open.is_set():
            found.append("stopping")
        if any(task.done() for task in self._tasks):
            found.append("BUG: a task of the service died")
        if self._outgoing and (waited := time.monotonic() - self._sent_at) > _STUCK_S:
            found.append(f"{len(self._outgoing)} alerts wait, none was confirmed for {waited:.0f} s")
        if (waited := self._unacked_age()) > _STUCK_S:
            found.append(f"a chunk has waited {waited:.0f} s for its commit")
        return found

    def _unacked_age(self) -> float:
        return time.monotonic() - self._acks[0][0] if self._acks else 0.0

    def _keep(self, findings: Iterable[Finding]) -> None:
        self._fresh.extend(map(self._maker.make, findings))

    def _is_commit_due(self) -> bool:
        waited = time.monotonic() - self._committed_at
        return self._uncommitted >= self._config.commit_records or waited >= self._config.commit_interval

    def _commit_when_idle(self) -> None:
        """The loop came round with no chunk being fed: the input queue is empty."""
        if self._acks and not self._turn.locked():
            self._commit()

    def _commit(self) -> None:
        """Make what was fed since the last commit final: 1. alerts go out, 2. chunks are acked."""
        fresh, self._fresh = self._fresh, []
        acks, self._acks = self._acks, []
        self._uncommitted = 0
        began = time.monotonic()
        self.counters["alerts"] += len(fresh)
        if not self._outgoing:
            self._sent_at = began
        self._outgoing.extend(fresh)
        self._signal()
        for _, ack in acks:
            ack()
        self._committed_at = time.monotonic()
        self.timings["commit"].add(self._committed_at - began)
        for came, _ in acks:
            self.timings["chunk_ack"].add(self._committed_at - came)

    def _signal(self) -> None:
        for event, state in (
            (self._work, bool(self._outgoing)),
            (self._empty, not self._outgoing),
            (self._room, len(self._outgoing) < self._config.max_alerts),
        ):
            event.set() if state else event.clear()

    async def _send(self) -> None:
        """Deliver outgoing alerts until their receiver has them, in order."""
        wait = _BACK_OFF_S[0]
        while True:
            await self._work.wait()
            batch = list(itertools.islice(self._outgoing, _BATCH))
            try:
                await self._sink.deliver(batch)
            except SinkBusy as error:
                self.counters["deliveries_failed"] += 1
                _log.warning("alerts wait count=%d retry_in_s=%.1f reason=%s", len(self._outgoing), wait, error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _BACK_OFF_S[1])
                continue
            wait = _BACK_OFF_S[0]
            for _ in batch:
                self._outgoing.popleft()
            self.counters["alerts_delivered"] += len(batch)
            self._sent_at = time.monotonic()
            self._signal()

    async def _tick(self) -> None:
        """End idle sessions while no record comes."""
        while True:
            await asyncio.sleep(_TICK_S)
            async with self._turn:
                self._keep(self._engine.advance(self._clock_ns()))
                if self._fresh or self._acks:
                    self._commit()


def _slices(events: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Cut an iterator into iterators of at most `_SLICE`; each is to be used up before the next."""
    for first in events:
        yield itertools.chain((first,), itertools.islice(events, _SLICE - 1))


def tune_gc() -> None:
    """Spare the garbage collector what the bundle holds, and let it come less often: records make no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("BUG: a task of the service died", exc_info=error)


def log_stats(stats: Mapping[str, float]) -> None:
    """One line with every counter that is not zero."""
    _log.info("stats %s", " ".join(f"{name}={value:g}" for name, value in sorted(stats.items()) if value))
