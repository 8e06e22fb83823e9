"""The one place with a clock, tasks and shutdown: doors hand chunks in, the sink takes alerts out.

A chunk's way: decode and feed · commit · ack. What a commit does is one function, `_commit`. Where there is a store, a
commit is one transaction in it; what is not committed is not acked, so its sender has it still.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lru import LRU

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware
from ..errors import SinkBusy, SnapshotError, StoreDamaged, StoreError
from ..explain.cases import CaseMaker
from ..explain.desk import Desk, Ticket
from ..explain.knowledge import Knowledge
from ..sink import Sink
from ..sqlite import set_aside
from ..timing import Histogram
from ..transport.forward_codec import Chunk
from ..types import Alert, Finding
from .doors import explanation_desk
from .store import Store, chunk_key

_log = logging.getLogger(__name__)
_FIRST_EVENTS = 10_000  # of a bundle, by which is seen whether it fits the stream
_SLICE = 5_000  # events between two looks at the event loop
_CHUNKS_REMEMBERED = 100_000  # without a store
_CHUNKS_AT_LEAST = 1_000  # ids that stay, however full the store is
_SHED_SHARE = 20  # a store that is too large is rid of this part of the sessions at a time
_BATCH = 100  # alerts in one delivery: receivers cap their frames, Fluent Bit at 6 MB
_REST = 9  # times what a commit took: then the next one is welcome, commits take a tenth of the time at most
_PAUSE_REST_S = 0.05  # where no chunk comes it is sooner
_TICK_S = 0.5  # how often idle sessions are looked for
_BACK_OFF_S = (0.1, 10.0)
_STUCK_S = 60.0  # without progress for so long, something is wrong
_TELL_S = 60.0  # how often a trouble that goes on is told


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one commit makes final; kept until the store has it."""

    changes: dict[str, Any]
    chunks: list[bytes]
    tickets: list[Ticket]
    acks: list[tuple[float, Callable[[], None]]]


class Service:
    """Runs one engine for any number of doors, on one event loop. Implements `transport.Inlet`."""

    def __init__(
        self,
        engine: Engine,
        maker: AlertMaker,
        sink: Sink,
        config: Config,
        *,
        store: Store | None = None,
        left_over: Sequence[Alert] = (),
        desk: Desk | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.timings = {name: Histogram() for name in ("feed", "commit", "chunk_ack")}
        self._engine = engine
        self._maker = maker
        self._cases = CaseMaker(maker.bundle, config)
        self._desk = desk or Desk(Knowledge(None))
        self._sink = sink
        self._config = config
        self._clock_ns = clock_ns
        self._open = (
            asyncio.Event()
        )  # cleared by `flush`: later chunks stay with their sender, unacked
        self._open.set()
        self._turn = asyncio.Lock()  # chunks are taken whole, one after the other
        self._counted_before: Counter[str] | None = (
            engine.counters.copy()
        )  # until it is clear that the bundle fits
        self._store = store
        self._seen_chunks: Any = LRU(
            min(config.max_chunk_ids, _CHUNKS_REMEMBERED)
        )  # without a store
        self._new_chunks: dict[bytes, None] = {}  # fed since the last commit
        self._batch: _Batch | None = None  # gathered, but the store could not take it yet
        self._stored = asyncio.Event()  # it took the last one; while it is not set nothing is fed
        self._stored.set()
        self._retry_s = _BACK_OFF_S[0]
        self._told_at = -_TELL_S
        self._damage: StoreDamaged | None = None
        self._store_is_new = False
        self._store_bytes = 0
        self.torn = (
            asyncio.Event()
        )  # what is in memory must never be committed: the process is to end
        self.has_bug = False  # which is why
        self._acks: list[tuple[float, Callable[[], None]]] = []  # with the time their chunk came
        self._fresh: list[Ticket] = []  # since the last commit
        self._outgoing = deque(
            map(Ticket, left_over)
        )  # committed, not yet confirmed by the receiver
        self._uncommitted = 0
        self._committed_at = time.monotonic()
        self._commit_took = 0.0
        self._fed_at = self._committed_at
        self._later: asyncio.TimerHandle | None = None
        self._sent_at = time.monotonic()  # since then the receiver has confirmed nothing
        self._room = asyncio.Event()  # outgoing alerts below their cap
        self._work = asyncio.Event()  # there are outgoing alerts
        self._empty = asyncio.Event()  # there are none
        self._room.set()
        self._empty.set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the tasks that send alerts, those left over from the last run first, and end idle sessions."""
        if self._store is not None:
            self._engine.track()
            self._desk.restore(self._outgoing)
            self._signal()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._tick())]
        for task in self._tasks:
            task.add_done_callback(self._end_on_bug)

    async def close(self) -> None:
        """Stop the tasks; alerts that nobody confirmed are counted and told. What is not committed is left unacked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._later is not None:
            self._later.cancel()
        if self._outgoing and self._store is not None:
            _log.warning(
                "alerts wait in the store for the next start count=%d", len(self._outgoing)
            )
        elif self._outgoing:
            _log.error("alerts lost: nobody confirmed them count=%d", len(self._outgoing))
        if self._store is not None:
            self._store.close()
        await self._desk.close()
        await self._sink.close()

    async def take(self, chunk: Chunk, ack: Callable[[], None]) -> None:
        """Feed a chunk; `ack` is called once it is committed. A chunk seen before is acked and skipped."""
        came = time.monotonic()
        await self._room.wait()
        async with self._turn:
            await self._open.wait()
            await self._stored.wait()
            repeated = await self._is_repeated(chunk)
            self.counters["chunks"] += 1
            if repeated:
                self.counters["chunks_repeated"] += 1
            else:
                await self._feed(chunk)
            self._acks.append((came, ack))
            self._fed_at = time.monotonic()
        if self._is_commit_due():
            self._commit()
        else:
            asyncio.get_running_loop().call_soon(self._commit_when_idle)

    async def flush(self) -> None:
        """The last call: judge what is open (`on_shutdown judge`); return when every alert is confirmed."""
        async with self._turn:
            self._open.clear()
            await self._stored.wait()
            if self._config.judges_on_shutdown:
                self._keep(self._engine.finish())
            self._commit()
            await self._stored.wait()
        self._desk.release("stopping")
        await self._empty.wait()

    async def reload(self, bundle: Bundle) -> None:
        """Judge by another bundle from the next chunk on; open sessions go on under their template ids.

        Raises KroneError when its engine can't be made under our configuration; then nothing has changed.
        """
        engine, maker = bundle.engine(self._config), AlertMaker(bundle, self._config)
        async with self._turn:
            await self._stored.wait()
            self._commit()
            await self._stored.wait()
            engine.adopt(self._engine)
            self._engine, self._maker, self._cases = engine, maker, CaseMaker(bundle, self._config)
            self._counted_before = engine.counters.copy()
            self.counters["reloads"] += 1
            if self._store is not None:
                engine.track()
                self._commit()

    def stats(self) -> dict[str, float]:
        """Counters since start, by name."""
        engine = self._engine
        return {
            **self.counters,
            **engine.counters,
            **self._desk.stats(),
            **{f"set_aside_{reason}": count for reason, count in engine.set_aside.items()},
            "keys_over_cap": engine.reader.keys_over_cap,
            "messages_cut": engine.reader.messages_cut,
            "sessions_over_cap": engine.sessions.over_cap,
            "sessions_open": len(engine.sessions.open),
            "cache_hits": engine.counters["events"] - engine.tracker.misses,
            "cache_misses": engine.tracker.misses,
            "alerts_outgoing": len(self._outgoing),
            "chunks_unacked": len(self._unacked()),
            "chunk_unacked_age": self._unacked_age(),
            "store_size": self._store_bytes,
            "stream_lag": max(self._clock_ns() - engine.watermark, 0) / 1e9
            if engine.watermark
            else 0.0,
            **{
                key: value
                for name, took in self.histograms().items()
                for key, value in took.numbers(name).items()
            },
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
        if self.torn.is_set() or any(task.done() for task in self._tasks):
            found.append("BUG: the service can't go on")
        if not self._stored.is_set():
            found.append("the store can't be written, nothing is acked")
        if self._outgoing and (waited := time.monotonic() - self._sent_at) > _STUCK_S:
            found.append(
                f"{len(self._outgoing)} alerts wait, none was confirmed for {waited:.0f} s"
            )
        if (waited := self._unacked_age()) > _STUCK_S:
            found.append(f"a chunk has waited {waited:.0f} s for its commit")
        return found

    def _unacked_age(self) -> float:
        acks = self._unacked()
        return time.monotonic() - acks[0][0] if acks else 0.0

    def _unacked(self) -> list[tuple[float, Callable[[], None]]]:
        return self._batch.acks if self._batch is not None else self._acks

    async def _is_repeated(self, chunk: Chunk) -> bool:
        """Whether a chunk with this id was fed before; if not, remember it. Waits until the store can tell."""
        if chunk.chunk is None:
            self.counters["chunks_without_id"] += 1
            return False
        key = chunk_key(chunk.chunk)
        while True:
            try:
                if key in self._new_chunks or self._is_committed(key):
                    return True
            except StoreError as error:
                self._stall(error)
                await self._stored.wait()
                continue
            self._new_chunks[key] = None
            return False

    def _is_committed(self, key: bytes) -> bool:
        return key in self._seen_chunks if self._store is None else self._store.has_chunk(key)

    async def _feed(self, chunk: Chunk) -> None:
        """Feed a chunk slice by slice. Between two slices nothing may be committed: we have the turn."""
        try:
            for events in _slices(chunk.events()):
                before = self._engine.counters["records"]
                began = time.monotonic()
                self._keep(self._engine.feed(chunk.tag, events, self._clock_ns()))
                self.timings["feed"].add(time.monotonic() - began)
                self._uncommitted += self._engine.counters["records"] - before
                self._tell_misfit()
                await asyncio.sleep(0)
        except BaseException as error:
            self._tear(error)
            raise

    def _tell_misfit(self) -> None:
        """Once a bundle, after the first events that it judged: of another log it would only ever say `unknown`."""
        if self._counted_before is None:
            return
        now, before = self._engine.counters, self._counted_before
        events, unmatched = now["events"] - before["events"], now["unmatched"] - before["unmatched"]
        if events < _FIRST_EVENTS:
            return
        self._counted_before = None
        if unmatched > events / 2:
            text = "bundle does not fit this stream: %d of %d events match no template; export one for it"
            _log.warning(text, unmatched, events)

    def _keep(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            alert = self._maker.make(finding)
            case = self._cases.make(finding, alert) if self._desk.asks else None
            if (ticket := self._desk.admit(alert, case)) is not None:
                self._fresh.append(ticket)

    def _is_commit_due(self) -> bool:
        waited = time.monotonic() - self._committed_at
        return (
            self._uncommitted >= self._config.commit_records
            or waited >= self._config.commit_interval
        )

    def _commit_when_idle(self) -> None:
        """No chunk is being fed. Commit in a pause: nothing was fed for as long as a commit takes; or after a rest."""
        if not self._acks or self._turn.locked() or not self._stored.is_set():
            return
        done, took = self._committed_at, self._commit_took
        wait = (
            min(done + _REST * took, max(done + _PAUSE_REST_S, self._fed_at + took))
            - time.monotonic()
        )
        if self._later is not None:
            self._later.cancel()
        if wait <= 0:
            self._commit()
        else:
            self._later = asyncio.get_running_loop().call_later(wait, self._commit_when_idle)

    def _commit(self) -> None:
        """Make what was fed since the last commit final: 1. into the store, 2. alerts go out, 3. chunks are acked.

        Only to be called between two chunks. While the store can't take it, all that stays undone and is tried again.
        """
        if self.torn.is_set():
            return
        try:
            self._commit_all()
        except BaseException as error:
            self._tear(error)
            raise

    def _commit_all(self) -> None:
        began = time.monotonic()
        try:
            self._renew_store()
            batch = self._batch = self._batch or self._gather()
            if self._store is not None:
                self._write(self._store, batch)
        except StoreError as error:
            self._stall(error)
            return
        self._batch = None
        self._settle()
        self._committed_at = time.monotonic()
        self._commit_took = self._committed_at - began
        self.timings["commit"].add(self._commit_took)
        self.counters["alerts"] += len(batch.tickets)
        if not self._outgoing:
            self._sent_at = began
        self._outgoing.extend(batch.tickets)
        self._signal()
        for came, ack in batch.acks:
            ack()
            self.timings["chunk_ack"].add(self._committed_at - came)
        self._desk.submit(batch.tickets)
        if len(self._outgoing) > self._config.max_alerts // 2:
            self._desk.release("busy")  # or records would wait for explanations

    def _gather(self) -> _Batch:
        """All that was done since the last commit, taken out of the hands that hold it."""
        changes: dict[str, Any] = {}
        if self._store is not None:
            self._make_room(self._store)
            changes = self._engine.changes(self._store.pack)
        else:
            self._seen_chunks.update(self._new_chunks)
        batch = _Batch(changes, list(self._new_chunks), self._fresh, self._acks)
        self._new_chunks, self._fresh, self._acks = {}, [], []
        self._uncommitted = 0
        return batch

    def _make_room(self, store: Store) -> None:
        """Above the store's cap chunk ids go first, the older half; then the longest idle sessions are judged."""
        self._store_bytes = store.size()
        if self._store_bytes <= self._config.max_store_size:
            return
        forgotten = store.forget_chunks(_CHUNKS_AT_LEAST)
        self.counters["chunk_ids_over_cap"] += forgotten
        if not forgotten:
            self._keep(self._engine.shed(1 + len(self._engine.sessions.open) // _SHED_SHARE))
        if self._is_time_to_tell():
            size = self._store_bytes
            _log.warning(
                "store is larger than max_store_size bytes=%d chunk_ids_forgotten=%d",
                size,
                forgotten,
            )

    def _stall(self, error: StoreError) -> None:
        """Feed and ack nothing until the store can be read and written again; try that ever more rarely."""
        self._stored.clear()
        self.counters["commits_failed"] += 1
        if isinstance(error, StoreDamaged):
            self._damage = error
        elif self._is_time_to_tell():
            _log.error("nothing is acked until the store can be written reason=%s", error)
        if self._later is not None:
            self._later.cancel()  # one is enough, and must not come in the middle of a chunk fed after the first
        self._later = asyncio.get_running_loop().call_later(self._retry_s, self._commit)
        self._retry_s = min(self._retry_s * 2, _BACK_OFF_S[1])

    def _settle(self) -> None:
        self._retry_s = _BACK_OFF_S[0]
        if not self._stored.is_set():
            _log.warning("the store is written again")
            self._stored.set()

    def _renew_store(self) -> None:
        """Set a store aside that was damaged under us."""
        if self._store is not None and self._damage is not None:
            _tell_set_aside(self._store.renew(), self._damage)
            self._damage, self._store_is_new = None, True

    def _write(self, store: Store, batch: _Batch) -> None:
        """One transaction. Into a new store goes all that is in memory: all that the old one had, but for chunk ids."""
        changes, tickets = batch.changes, batch.tickets
        if self._store_is_new:
            self._engine.track(everything=True)
            changes, tickets = self._engine.changes(store.pack), [*self._outgoing, *tickets]
        alerts = [ticket.alert for ticket in tickets]
        store.commit(changes, batch.chunks, alerts, self._clock_ns() / 1e9)
        self._store_is_new = False

    def _is_time_to_tell(self) -> bool:
        if time.monotonic() - self._told_at < _TELL_S:
            return False
        self._told_at = time.monotonic()
        return True

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
            await self._desk.ready(self._outgoing[0])
            batch = list(
                itertools.takewhile(self._desk.is_ready, itertools.islice(self._outgoing, _BATCH))
            )
            leaving = [alert for alert in map(self._desk.leave, batch) if alert is not None]
            try:
                if leaving:
                    await self._sink.deliver(leaving)
            except SinkBusy as error:
                self.counters["deliveries_failed"] += 1
                _log.warning(
                    "alerts wait count=%d retry_in_s=%.1f reason=%s",
                    len(self._outgoing),
                    wait,
                    error,
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, _BACK_OFF_S[1])
                continue
            wait = _BACK_OFF_S[0]
            self._forget(len(batch))
            self._desk.forget(batch)
            self.counters["alerts_delivered"] += len(leaving)
            self._sent_at = time.monotonic()
            self._signal()

    def _forget(self, count: int) -> None:
        """The receiver has the oldest alerts."""
        for _ in range(count):
            self._outgoing.popleft()
        if self._store is not None and not self._store_is_new:  # which has none yet
            with contextlib.suppress(StoreError):  # then the next commit does it
                self._store.confirm(count)

    def _end_on_bug(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._tear(error)

    def _tear(self, error: BaseException) -> None:
        """Something was left half done: the process is to end, and the next one begins at the last commit."""
        self.torn.set()
        if isinstance(error, Exception):  # and not cancelled in between
            self.has_bug = True
            _log.error("BUG: the service can't go on", exc_info=error)

    async def _tick(self) -> None:
        """End idle sessions while no record comes; as feeding, not while alerts or the store are stuck."""
        while True:
            await asyncio.sleep(_TICK_S)
            await self._room.wait()
            async with self._turn:
                await self._stored.wait()
                if findings := self._engine.advance(self._clock_ns()):
                    self._keep(findings)
                    self._commit()


def open_service(
    bundle: Bundle, sink: Sink, config: Config, *, clock_ns: Callable[[], int] = time.time_ns
) -> Service:
    """A service as it was when it ended, where there is a store. A store that can't be read is set aside.

    Raises ConfigError when another process has the store, StoreError when it can't be opened.
    """
    store, left_over = None, list[Alert]()
    if config.store is None:
        engine = bundle.engine(config)
    else:
        try:
            engine, store, left_over = _resumed(bundle, config, clock_ns, Path(config.store))
        except (StoreDamaged, SnapshotError) as error:
            _tell_set_aside(set_aside(Path(config.store)), error)
            engine, store, left_over = _resumed(bundle, config, clock_ns, Path(config.store))
    try:
        maker, desk = AlertMaker(bundle, config), explanation_desk(config)
    except BaseException:
        if store is not None:
            store.close()
        raise
    return Service(
        engine, maker, sink, config, store=store, left_over=left_over, desk=desk, clock_ns=clock_ns
    )


def _resumed(
    bundle: Bundle, config: Config, clock_ns: Callable[[], int], path: Path
) -> tuple[Engine, Store, list[Alert]]:
    store = Store(
        path,
        sync=config.store_sync,
        max_chunks=config.max_chunk_ids,
        chunks_kept_s=config.keep_chunk_ids,
        starts_kept=config.cache_size,
    )
    engine = bundle.engine(config)
    try:
        if (saved := store.load()) is not None:
            engine.restore(saved)
            engine.resume(clock_ns())
            _log.info("sessions restored open=%d", len(engine.sessions.open))
        return engine, store, store.alerts()
    except BaseException:
        store.close()
        raise


def _tell_set_aside(path: Path, error: Exception) -> None:
    _log.error("the store was set aside, what only it knew is lost file=%s reason=%s", path, error)


def _slices(events: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Cut an iterator into iterators of at most `_SLICE`; each is to be used up before the next."""
    for first in events:
        yield itertools.chain((first,), itertools.islice(events, _SLICE - 1))


def tune_gc() -> None:
    """Spare the garbage collector what the bundle holds, and let it come less often: records make no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def log_stats(stats: Mapping[str, float]) -> None:
    """One line with every counter that is not zero."""
    _log.info(
        "stats %s", " ".join(f"{name}={value:g}" for name, value in sorted(stats.items()) if value)
    )
