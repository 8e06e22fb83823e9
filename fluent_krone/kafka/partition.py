"""One assigned partition: opened in a thread, fed by the main loop, committed in a thread.

At most one transaction of a partition is under way. Feeding goes on meanwhile; what it changes
belongs to the next transaction. An error ends this object, and the loop begins a new one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import Any

from .transactions import Opened, Transactions
from .work import PartitionWork

_log = logging.getLogger(__name__)

# A partition is not fed while its transaction is under way and more records than this many times
# `commit_records` wait for the next one. They would only fill the memory.
_MOST_WAITING = 4
# Seconds after a commit before the next one may use a pause in the stream. Each transaction costs
# the brokers some requests, however little it holds.
_PAUSE_REST_S = 0.05


class Partition:
    """The life of one partition with this instance; `number` is its number."""

    def __init__(self, number: int, transactions: Transactions, work: PartitionWork) -> None:
        self.number = number
        self.work = work
        # Offset of the next record; what is before it was fed.
        self.position = 0
        self.is_running = False
        # Whether all that the brokers have of it was fed.
        self.is_at_end = False
        self.is_paused = False
        self.opened: Opened | None = None
        self._transactions = transactions
        self._opening: Future[Opened] | None = None
        self._committing: Future[float] | None = None
        # Position and records of the transaction under way, and of what waits for the next one.
        self._committed = 0
        self._waiting = 0
        self._must_commit = False
        self._committed_at = time.monotonic()

    def open(self, pool: Executor, prepare: Any) -> None:
        """Begin to open it, in a thread."""

        def opening() -> Opened:
            prepare(self.number)
            opened = self._transactions.open()
            first = self.work.held_from(opened.rows)
            if first is not None and first < opened.offset:
                began = time.monotonic()
                count = self._transactions.read_again(first, opened.offset, self.work.hold_again)
                _log.info(
                    "records that are held were read again partition=%d first_offset=%d "
                    "records=%d seconds=%.2f",
                    self.number,
                    first,
                    count,
                    time.monotonic() - began,
                )
            return opened

        self._opening = pool.submit(opening)

    def has_opened(self) -> bool:
        """Whether it can be started. Raises what opening raised."""
        if self._opening is None or not self._opening.done():
            return False
        self.opened = self._opening.result()
        self._opening = None
        return True

    def start(self, now_ns: int) -> None:
        """Restore its work; from now on it can be fed."""
        opened = self.opened
        assert opened is not None
        self.position = opened.offset
        self._committed = opened.offset
        # The position where a group began is fixed at once: it must not depend on later starts.
        self._must_commit = opened.is_new
        began = time.monotonic()
        self.work.restore(opened.rows, now_ns)
        restored_s = time.monotonic() - began
        self.is_running = True
        if opened.lost:
            _log.error(
                "records were deleted by retention before they were read partition=%d count=%d",
                self.number,
                opened.lost,
            )
        _log.info(
            "partition started partition=%d offset=%d changelog_records=%d changelog_bytes=%d "
            "read_s=%.2f restore_s=%.2f",
            self.number,
            opened.offset,
            opened.read,
            opened.read_bytes,
            opened.seconds,
            restored_s,
        )
        opened.rows.clear()

    def feed(self, messages: Sequence[Any], now_ns: int) -> int:
        """Take messages in their order; returns how many records they held."""
        # After a seek, an answer that was under way may still hold messages that were fed before.
        fresh = messages
        if messages[0].offset() < self.position:
            fresh = [message for message in messages if message.offset() >= self.position]
        if not fresh:
            return 0
        self.is_at_end = False
        records = self.work.feed(fresh, now_ns)
        self.position = fresh[-1].offset() + 1
        self._waiting += records
        return records

    def reach_end(self, offset: int) -> None:
        """Nothing is left before `offset`, which may lie behind marks of other transactions."""
        if self.is_running and offset >= self.position:
            self.position = offset
            self.is_at_end = True

    def advance(self, now_ns: int) -> None:
        """Let time go on where nothing is left to be read."""
        if self.is_at_end:
            self.work.advance(now_ns)
            self._must_commit = True

    def is_due(self, interval_s: float, records: int) -> bool:
        """Whether a commit should begin now."""
        if self._committing is not None or not self.is_running:
            return False
        rested_s = time.monotonic() - self._committed_at
        if self.position == self._committed and not self._must_commit:
            return False
        if rested_s >= interval_s or self._waiting >= records:
            return True
        return self.is_at_end and self._waiting > 0 and rested_s >= _PAUSE_REST_S

    def commit(self, pool: Executor) -> None:
        """Begin a transaction with everything that was done since the last one."""
        outs = self.work.outs(self.position)
        self._must_commit = False
        if not outs and self.position == self._committed:
            return
        self._committed = self.position
        self._waiting = 0
        self._committing = pool.submit(self._transactions.commit, outs, self.position)

    def settle(self, timeout_s: float | None = 0) -> float | None:
        """The seconds that the transaction took, once it is done; None: not yet, or there is none.

        Raises what it raised: then nothing of this object may be committed any more.
        """
        committing = self._committing
        if committing is None:
            return None
        if timeout_s == 0 and not committing.done():
            return None
        took_s = committing.result(timeout_s)
        self._committing = None
        self._committed_at = time.monotonic()
        _log.debug("committed partition=%d offset=%d", self.number, self._committed)
        if self.work.committed():
            self._must_commit = True
        return took_s

    def is_too_far_ahead(self, records: int) -> bool:
        """Whether a transaction under way holds up more than may wait for it."""
        return self._committing is not None and self._waiting > _MOST_WAITING * records

    def commit_last(self, pool: Executor, within_s: float) -> None:
        """Commit everything and wait for it: the partition goes to another instance."""
        deadline = time.monotonic() + within_s
        self.settle(within_s)
        self.commit(pool)
        self.settle(max(deadline - time.monotonic(), 0.1))

    def close(self, pool: Executor) -> None:
        """Forget it, without a commit."""
        self.is_running = False
        self.work.close()
        self._transactions.give_up()
        # In a thread: a client that has lost its broker takes seconds to be let go of.
        pool.submit(self._transactions.close)
