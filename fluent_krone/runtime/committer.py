"""Commits: what was fed becomes final, its alerts leave, its chunks are acked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..config import Config
from ..errors import StoreDamaged, StoreError
from ..explain.tickets import Ticket
from ..learning.learning import Learning
from ..timing import BackOff, RareReport
from .figures import Figures, Halt
from .judge import Judge
from .kept import KeptChanges
from .outbox import Outbox
from .repeats import Repeats
from .storage import Storage

_log = logging.getLogger(__name__)

# After a commit the next one waits for this many times the time that the commit took, so that
# commits take at most a tenth of the time of a busy stream.
_REST = 9
# Seconds after a commit before the next one may use a pause in the stream. Without it, a slow
# sender would cause one commit for each chunk.
_PAUSE_REST_S = 0.05


class Fed(NamedTuple):
    """A chunk that was fed: when it came (monotonic seconds), and what acks it."""

    came: float
    ack: Callable[[], None]


@dataclass(slots=True)
class Pending:
    """What was fed since the last commit."""

    fed: list[Fed] = field(default_factory=list)
    records: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit makes final; kept until the store has taken it."""

    changes: dict[str, Any]
    chunks: list[bytes]
    arrived: list[bytes]
    tickets: list[Ticket]
    fed: list[Fed]
    kept: KeptChanges | None


class Committer:
    """Decides when to commit, and commits. Without a store a commit happens in memory only.

    `writable` is cleared while the store can't be read or written. Nothing is fed meanwhile, so a
    store that fails for hours costs no memory: records stay with their senders, unacked.
    """

    def __init__(
        self,
        judge: Judge,
        repeats: Repeats,
        storage: Storage,
        outbox: Outbox,
        config: Config,
        figures: Figures,
        halt: Halt,
        clock_ns: Callable[[], int],
    ) -> None:
        self.writable = asyncio.Event()
        self.writable.set()
        self.pending = Pending()
        self._judge = judge
        self._repeats = repeats
        self._storage = storage
        self._outbox = outbox
        self._config = config
        self._figures = figures
        self._halt = halt
        self._clock_ns = clock_ns
        # What holds the chunks until there is a bundle, in place of the judge's engine.
        self.learning: Learning | None = None
        # The learning that the next commit ends, as a row of the engine's state.
        self._learnt: dict[str, Any] = {}
        self._batch: Batch | None = None
        # Whether the event loop is about to call `_commit_when_idle`.
        self._is_asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._back_off = BackOff()
        self._rare_report = RareReport()
        self.took_s = 0.0
        self._committed_at = time.monotonic()
        self._fed_at = self._committed_at

    def add(self, fed: Fed) -> None:
        """A chunk was fed, or was a repeat: it is acked by the next commit."""
        self.pending.fed.append(fed)

    def commit_soon(self) -> None:
        """Commit now when that is due, else when the stream pauses. Call it between two chunks."""
        self._fed_at = time.monotonic()
        waited = self._fed_at - self._committed_at
        if (
            waited >= self._config.commit_interval
            or self.pending.records >= self._config.commit_records
        ):
            self.commit()
        elif not self._is_asked:
            # One call serves all chunks that are fed before the event loop makes it.
            self._is_asked = True
            asyncio.get_running_loop().call_soon(self._commit_when_idle)

    def commit(self) -> None:
        """Make final what was fed since the last commit. Call it between two chunks only.

        While the store can't take it, everything stays undone and is tried again by a timer. Any
        other error halts the service.
        """
        if self._halt.is_set:
            return
        try:
            self._commit()
        except BaseException as error:
            self._halt.fail(error)
            raise

    def end_learning(self, learnt: dict[str, Any]) -> None:
        """From now on commits hold the engine's sessions; the next one also has this row."""
        self.learning = None
        self._learnt = learnt

    def stall(self, error: StoreError) -> None:
        """Feed and ack nothing until the store can be read and written again."""
        self.writable.clear()
        self._figures.counters["commits_failed"] += 1
        if isinstance(error, StoreDamaged):
            self._storage.note_damage(error)
        elif self._rare_report.is_due():
            _log.error("nothing is acked until the store can be written reason=%s", error)
        # One timer at a time: a second one could fire in the middle of a chunk that was fed after
        # the first had succeeded.
        self._call_later(self._back_off.next_s(), self.commit)

    def unacked(self) -> list[Fed]:
        """Chunks that were fed and wait for their commit, the oldest first."""
        if self._batch is not None:
            return self._batch.fed
        return self.pending.fed

    def unacked_age_s(self) -> float:
        """Seconds for which the oldest of them has waited."""
        waiting = self.unacked()
        if not waiting:
            return 0.0
        return time.monotonic() - waiting[0].came

    def close(self) -> None:
        """Commit no more."""
        self._cancel_timer()

    def _commit(self) -> None:
        # A commit in steps. It runs without an await, so no chunk can be fed in between.
        # 1. If the store was damaged under us, set it aside and begin an empty file.
        # 2. Gather what was done since the last commit. If the last write failed, its batch is
        #    still here and goes first: `Engine.changes` reports each change only once, so a batch
        #    that was dropped could never be gathered again.
        #    While a bundle is learnt, the chunks are in its spool, which is made final first.
        # 3. Write one transaction: changed sessions, chunk keys, alerts. If that fails, nothing
        #    was written and nothing below happens; the same batch is tried again later.
        # 4. The store works: let the next chunk be fed.
        # 5. Alerts go to the outbox. They leave after the commit, never before it: a kill could
        #    otherwise send an alert about records that come again and end in another one.
        # 6. Ack the chunks. Only now may their senders forget them.
        # 7. Ask for explanations last: it may take milliseconds, and acks should not wait.
        began = time.monotonic()
        try:
            self._storage.renew()
            batch = self._batch = self._batch or self._gather()
            if self.learning is not None:
                self.learning.commit(batch.chunks)
            self._write(batch)
        except StoreError as error:
            self.stall(error)
            return
        self._batch = None
        self._resume()
        self._committed_at = time.monotonic()
        self.took_s = self._committed_at - began
        self._figures.timings["commit"].add(self.took_s)
        self._outbox.add(batch.tickets, began)
        self._release(batch.kept)
        for fed in batch.fed:
            fed.ack()
        # Small chunks that came together have one time.
        for came, times in Counter(fed.came for fed in batch.fed).items():
            self._figures.timings["chunk_ack"].add(self._committed_at - came, times)
        self._outbox.ask(batch.tickets)

    def _gather(self) -> Batch:
        """All that was done since the last commit, taken out of the hands that hold it."""
        self._make_room()
        kept = None
        if self._judge.keeper is not None:
            # Before the sessions: it marks which of their records leave.
            kept = self._judge.keeper.gather()
        changes: dict[str, Any] = {"incidents": self._judge.incidents.changes()}
        if self.learning is None:
            changes |= self._storage.changes(self._judge.engine) | self._learnt
            self._learnt = {}
        chunks, arrived = self._repeats.hand_over()
        pending = self.pending
        self.pending = Pending()
        return Batch(changes, chunks, arrived, self._judge.hand_over(), pending.fed, kept)

    def _make_room(self) -> None:
        """Above the store's limit chunk ids go first, then the sessions that were idle longest."""
        forgotten = self._storage.forget_chunks_over_cap()
        if forgotten is None:
            return
        self._figures.counters["chunk_ids_over_cap"] += forgotten
        if not forgotten:
            self._judge.shed()
        if self._rare_report.is_due():
            _log.warning(
                "store is larger than max_store_size bytes=%d chunk_ids_forgotten=%d",
                self._storage.size_bytes,
                forgotten,
            )

    def _write(self, batch: Batch) -> None:
        """One transaction. A new store gets all that is in memory; only old chunk ids are lost."""
        changes = batch.changes
        alerts = [ticket.alert for ticket in batch.tickets]
        if self._storage.is_new:
            self._judge.incidents.save_everything()
            incidents = self._judge.incidents.changes()
            changes = self._storage.everything(self._judge.engine) | {"incidents": incidents}
            alerts = [ticket.alert for ticket in self._outbox.tickets] + alerts
        if self._judge.keeper is not None:
            # Never the other way round: the store must not refer to what a power cut may take.
            self._judge.keeper.sync()
        now_s = self._clock_ns() / 1e9
        self._storage.write(changes, batch.chunks, batch.arrived, alerts, now_s, batch.kept)

    def _release(self, kept: KeptChanges | None) -> None:
        """What was decided of held records is final: rows leave, and room is freed."""
        keeper = self._judge.keeper
        if keeper is None or kept is None:
            return
        releases = self._outbox.releases
        releases.add(self._storage.numbered(kept.rows))
        keeper.committed(kept, releases.oldest_ref)
        releases.look_for_room()

    def _resume(self) -> None:
        self._back_off.reset()
        if not self.writable.is_set():
            _log.warning("the store is written again")
            self.writable.set()

    def _commit_when_idle(self) -> None:
        # When to commit although no commit is due yet:
        # 1. In a pause: nothing was fed for as long as a commit takes. More chunks would otherwise
        #    wait for a commit that has just begun.
        # 2. But not sooner than `_PAUSE_REST_S` after the last one.
        # 3. Without a pause, after a rest of `_REST` times the last commit's time.
        # Without a store a commit takes microseconds, so this commits almost at once.
        self._is_asked = False
        if not self.pending.fed or self._judge.turn.locked() or not self.writable.is_set():
            return
        in_pause = max(self._committed_at + _PAUSE_REST_S, self._fed_at + self.took_s)
        rested = self._committed_at + _REST * self.took_s
        wait_s = min(rested, in_pause) - time.monotonic()
        if wait_s <= 0:
            self._cancel_timer()
            self.commit()
        else:
            self._call_later(wait_s, self._commit_when_idle)

    def _call_later(self, wait_s: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(wait_s, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
