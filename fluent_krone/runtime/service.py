"""The service from start to stop: one engine for any number of inputs, on one event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from ..alerts.incident import Incident
from ..alerts.incidents import Incidents
from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware
from ..explain.knowledge import Knowledge
from ..explain.marks import Marks
from ..explain.queue import ExplanationQueue
from ..learning.bundles import BundleFolder
from ..learning.learning import Learning, LearningStatus
from ..learning.refit import RefitStatus, Refitting
from ..sink import Sink
from ..timing import Histogram
from ..transport import Delivery, Sender
from ..transport.forward import Chunk
from ..types import Alert
from .activation import Activation
from .chunk_keeper import ChunkKeeper
from .committer import Committer
from .figures import Figures, Halt, engine_stats
from .intake import Intake
from .judge import Judge
from .kept import KeptSaved
from .outbox import Outbox
from .releases import Releases
from .repeats import Repeats
from .spool import RecordSpool
from .storage import Storage
from .store import Store

_log = logging.getLogger(__name__)

# Seconds between two looks for sessions that ended by idle timeout while no record came. An alert
# about such a session is late by at most this long.
_TICK_S = 0.5
# Seconds for which a chunk may wait for its commit before the health check reports a problem.
_STUCK_S = 60.0
# How many of the tasks run until the service is closed; those behind them end when they are done.
_ENDLESS = 2


class Service:
    """Runs one engine for any number of inputs. Implements `transport.Inlet`.

    `torn` is set when the process must end, `has_bug` says whether a bug was the reason.
    """

    def __init__(
        self,
        engine: Engine,
        maker: AlertMaker,
        sink: Sink,
        config: Config,
        *,
        store: Store | None = None,
        left_over: Sequence[Alert] = (),
        explanations: ExplanationQueue | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        figures = Figures()
        self.counters = figures.counters
        self.timings = figures.timings
        self._config = config
        self._clock_ns = clock_ns
        self._sink = sink
        self._explanations = explanations or ExplanationQueue(Knowledge(None))
        self._halt = Halt()
        self._storage = Storage(store, config)
        incidents = Incidents(
            config.incident_quiet,
            each=config.alerts == "session",
            counters=self.counters,
            is_silenced=self._explanations.covers,
        )
        self._judge = Judge(engine, maker, config, self._explanations, incidents)
        self._keeper: ChunkKeeper | None = None
        releases = Releases(sink, self._storage, self.counters)
        self._outbox = Outbox(
            sink, self._explanations, self._storage, config, releases, self.counters, left_over
        )
        repeats = Repeats(self._storage)
        self._committer = Committer(
            self._judge, repeats, self._storage, self._outbox, config, figures, self._halt, clock_ns
        )
        self._intake = Intake(
            self._judge, self._committer, repeats, self._outbox, figures, self._halt, clock_ns
        )
        self._learning: Learning | None = None
        self._refitting: Refitting | None = None
        # Set while the stream is judged by a bundle.
        self._armed = asyncio.Event()
        self._armed.set()
        self._tasks: list[asyncio.Task[None]] = []

    def restore_incidents(self, saved: Iterable[Mapping[str, Any]]) -> None:
        """Go on with the incidents that the last run left open; call it before `start`."""
        self._judge.incidents.restore(saved)

    @property
    def knowledge(self) -> Knowledge:
        """What persons and models said."""
        return self._explanations.knowledge

    @property
    def marks(self) -> Marks:
        """What persons said of deviations."""
        return self._explanations.marks

    @property
    def incidents(self) -> Incidents:
        """The incidents of the stream."""
        return self._judge.incidents

    def watch_incidents(self, on_joined: Callable[[Incident, Alert], None]) -> None:
        """Call `on_joined` with each incident and the alert that joined it, before its commit."""
        self._judge.on_joined = on_joined

    @property
    def torn(self) -> asyncio.Event:
        """Set once what is in memory must never be committed: the process has to end."""
        return self._halt.event

    @property
    def has_bug(self) -> bool:
        """Whether `torn` was set by a bug, and not by a cancelled task."""
        return self._halt.has_bug

    @property
    def unconfirmed(self) -> int:
        """Alerts that were committed and that no receiver has confirmed."""
        return len(self._outbox)

    def learn_first(self, learning: Learning) -> None:
        """Collect the stream and learn a bundle from it before anything is judged.

        Call it before `start`.
        """
        self._learning = self._intake.learning = self._committer.learning = learning
        self._armed.clear()

    def refit_by(self, refitting: Refitting) -> None:
        """Record the stream from now on, for the bundles to come."""
        self._refitting = refitting
        self._intake.recorder = refitting.recorder

    def hold_records(self, spool: RecordSpool) -> None:
        """Hold records in a spool, and send those that are kept. Call it before `start`."""
        saved = KeptSaved()
        if self._storage.store is not None:
            saved = self._storage.store.kept.load()
        keeper = ChunkKeeper(self._config, spool, self.counters, saved)
        keeper.attach(self._judge.engine, self._judge.maker)
        self._keeper = self._judge.keeper = self._outbox.releases.keeper = keeper

    async def start(self) -> None:
        """Send the alerts left over from the last run, and end sessions while no record comes."""
        if self._storage.store is not None:
            self._outbox.restore()
        running = [self._outbox.run(), self._tick()]
        if self._keeper is not None:
            self._outbox.releases.restore()
            running.append(self._outbox.releases.run())
        self._tasks = [asyncio.create_task(task) for task in running]
        if self._learning is not None:
            # The last process may have been killed between its spool and its store.
            self._storage.write({}, self._learning.spool.keys, [], [], self._clock_ns() / 1e9)
            self._tasks.append(asyncio.create_task(self._learn(self._learning)))
        elif self._storage.store is not None:
            self._judge.engine.track()
        for task in self._tasks:
            task.add_done_callback(self._halt.on_bug)

    async def close(self) -> None:
        """Stop the tasks, and report alerts that nobody confirmed.

        Chunks that are not committed stay unacked: their senders send them again.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._committer.close()
        if self._learning is not None:
            self._learning.spool.close()
        if self._refitting is not None:
            self._refitting.close()
        waiting = len(self._outbox)
        if waiting and self._storage.store is not None:
            _log.warning("alerts wait in the store for the next start count=%d", waiting)
        elif waiting:
            _log.error("alerts lost: nobody confirmed them count=%d", waiting)
        self._storage.close()
        if self._keeper is not None:
            self._keeper.spool.close()
        await self._explanations.close()
        await self._sink.close()

    def take(
        self, chunk: Chunk, ack: Callable[[], None], sender: Sender | None = None
    ) -> Coroutine[Any, Any, None]:
        """Feed a chunk; `ack` is called once it is committed. A repeated chunk is acked only."""
        return self._intake.take(chunk, ack, sender)

    def take_burst(self, burst: Sequence[Delivery]) -> Coroutine[Any, Any, None]:
        """Feed small chunks that came together."""
        return self._intake.take_burst(burst)

    async def flush(self) -> None:
        """The last call: returns when everything is committed and every alert confirmed.

        Open sessions are judged with `on_shutdown judge`, else they stay in the store. Later chunks
        are not taken.
        """
        async with self._judge.turn:
            self._intake.open.clear()
            await self._committer.writable.wait()
            if self._config.judges_on_shutdown:
                self._judge.finish()
            if self._storage.store is None:
                self._judge.end_incidents()
            self._committer.commit()
            await self._committer.writable.wait()
        self._explanations.release("stopping")
        await self._outbox.empty.wait()
        await self._outbox.releases.empty.wait()

    async def reload(self, bundle: Bundle) -> None:
        """Judge by another bundle from the next chunk on; open sessions continue.

        Raises KroneError when the configuration does not fit the bundle; then nothing has changed.
        """
        engine = bundle.engine(self._config)
        maker = AlertMaker(bundle, self._config)
        async with self._judge.turn:
            # Everything that the old engine made is committed first: the new engine takes over
            # its sessions, but not its list of what changed.
            await self._committer.writable.wait()
            self._committer.commit()
            await self._committer.writable.wait()
            self._judge.change_to(bundle, engine, maker)
            self.counters["reloads"] += 1
            if self._storage.store is not None:
                engine.track()
                self._committer.commit()

    @property
    def bundle_folder(self) -> BundleFolder | None:
        """Where bundles are fitted; None where none are."""
        if self._refitting is None:
            return None
        return self._refitting.folder

    @property
    def judging_by(self) -> Bundle:
        """The bundle at work; while one is learnt, one without content."""
        return self._judge.bundle

    async def bundle(self) -> Bundle:
        """The bundle that the stream is judged by, as soon as there is one."""
        await self._armed.wait()
        return self._judge.bundle

    def learning(self) -> LearningStatus | None:
        """How far the learning of the first bundle is; None once there is a bundle."""
        if self._learning is None:
            return None
        return self._learning.status()

    def refit(self) -> RefitStatus | None:
        """How far the next bundle is; None where none is fitted."""
        if self._refitting is None:
            return None
        return self._refitting.status()

    def stats(self) -> dict[str, float]:
        """Counters since start, by name."""
        engine = self._judge.engine
        found: dict[str, float] = {
            **self.counters,
            **engine_stats(
                engine.counters,
                engine.set_aside,
                engine.reader,
                engine.tracker.misses,
                [engine],
                self._clock_ns(),
            ),
            **self._explanations.stats(),
            "alerts_outgoing": len(self._outbox),
            "incidents_open": len(self._judge.incidents.open),
            "chunks_unacked": len(self._committer.unacked()),
            "chunk_unacked_age": self._committer.unacked_age_s(),
            "store_size": self._storage.size_bytes,
        }
        for learning in (self._learning, self._refitting):
            if learning is not None:
                found |= learning.stats()
        if self._keeper is not None:
            found |= self._keeper.stats()
            found["kept_rows_outgoing"] = len(self._outbox.releases)
        for name, took in self.histograms().items():
            found |= took.numbers(name)
        return found

    def histograms(self) -> dict[str, Histogram]:
        """How long feeding, committing, acking and scoring took, by name."""
        nested = self._judge.engine.cascade.nested
        if isinstance(nested, NestedAware):
            return self.timings | {"score": nested.latency}
        return self.timings

    def troubles(self) -> list[str]:
        """Why records are not judged, or alerts not sent; empty while all is well."""
        found = []
        if not self._intake.open.is_set():
            found.append("stopping")
        if self._halt.is_set or any(task.done() for task in self._tasks[:_ENDLESS]):
            found.append("BUG: the service can't go on")
        if not self._committer.writable.is_set():
            found.append("the store can't be written, nothing is acked")
        found += self._outbox.troubles()
        found += self._outbox.releases.troubles()
        found += self._judge.troubles()
        if self._learning is not None:
            found += self._learning.troubles()
        waited = self._committer.unacked_age_s()
        if waited > _STUCK_S:
            found.append(f"a chunk has waited {waited:.0f} s for its commit")
        return found

    def notes(self) -> list[str]:
        """What an operator may want to know although all is well."""
        if self._learning is not None:
            return [self._learning.status().words]
        if self._refitting is not None:
            return self._refitting.notes()
        return []

    async def _learn(self, learning: Learning) -> None:
        """Learn a bundle, and judge by it from then on."""
        bundle = await learning.run()
        activation = Activation(
            self._judge, self._intake, self._committer, self._storage, self._config, learning
        )
        await activation.activate(bundle)
        self._learning = None
        learning.end()
        self._armed.set()

    async def _tick(self) -> None:
        """End idle sessions while no record comes. Like feeding, it pauses with alerts or store."""
        while True:
            await asyncio.sleep(_TICK_S)
            await self._outbox.room.wait()
            async with self._judge.turn:
                await self._committer.writable.wait()
                if self._judge.advance(self._clock_ns()):
                    self._committer.commit()
