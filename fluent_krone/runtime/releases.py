"""Kept records on their way out: delivered row by row until their receiver confirms."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import SinkBusy, StoreError
from ..keeping.releases import Row, first_ref_of
from ..sink import Sink
from ..timing import BackOff
from ..types import Packed
from .chunk_keeper import ChunkKeeper
from .storage import Storage

_log = logging.getLogger(__name__)

# Seconds between two tries to read kept records that could not be read.
_READ_AGAIN_S = 10.0
# Seconds without a confirmation after which the health check reports a problem.
_STUCK_S = 60.0


@dataclass(slots=True)
class _Leaving:
    """A row on its way: what it is saved under, and its oldest reference.

    `data` is None where the store has the row.
    """

    number: int
    first_ref: int | None
    data: bytes | None


class Releases:
    """Rows between their commit and their receiver's confirmation.

    `room` is cleared while the records that are held take more room than they may: then no more
    records are read. `empty` is set while no row waits.
    """

    def __init__(self, sink: Sink, storage: Storage, counters: Counter[str]) -> None:
        # What holds the records; None where nothing is held.
        self.keeper: ChunkKeeper | None = None
        self.room = asyncio.Event()
        self.room.set()
        self.empty = asyncio.Event()
        self.empty.set()
        self._filled = asyncio.Event()
        self._sink = sink
        self._storage = storage
        self._counters = counters
        self._rows: deque[_Leaving] = deque()
        self._confirmed_at = time.monotonic()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def oldest_ref(self) -> int | None:
        """The oldest reference in the rows that wait."""
        found = [row.first_ref for row in self._rows if row.first_ref is not None]
        return min(found, default=None)

    def restore(self) -> None:
        """Go on with the rows that the last process left."""
        for number, data in self._storage.saved_rows():
            self._rows.append(_Leaving(number, first_ref_of(data), None))
        self._signal()

    def add(self, numbered: Iterable[tuple[int, Row, bytes | None]]) -> None:
        """Take over rows that were committed."""
        if not self._rows:
            self._confirmed_at = time.monotonic()
        for number, row, data in numbered:
            self._rows.append(_Leaving(number, row.first_ref, data))
        self._signal()

    def troubles(self) -> Sequence[str]:
        """What keeps records from leaving; empty while all is well."""
        if not self._rows:
            return []
        waited = time.monotonic() - self._confirmed_at
        if waited <= _STUCK_S:
            return []
        return [f"kept records wait, none was confirmed for {waited:.0f} s"]

    async def run(self) -> None:
        """Deliver rows until cancelled."""
        # 1. Read the oldest row, and build its records frame by frame: they are held in the spool.
        # 2. Deliver each frame until it is confirmed. A kill in between sends the row again, with
        #    the same ids.
        # 3. Only when all of it is confirmed is the row forgotten, here and in the store. The
        #    next commit frees what it referred to.
        while True:
            await self._filled.wait()
            row = self._rows[0]
            try:
                await self._deliver(row)
            except StoreError as error:
                _log.error("kept records cannot be read reason=%s", error)
                await asyncio.sleep(_READ_AGAIN_S)
                continue
            self._rows.popleft()
            self._storage.confirm_rows(row.number)
            self._signal()

    async def _deliver(self, row: _Leaving) -> None:
        assert self.keeper is not None, "BUG: rows without records"
        data = row.data
        if data is None:
            data = self._storage.row(row.number)
        if data is None:
            _log.error("kept records lost: the store that named them was set aside")
            return
        for packed in self.keeper.releaser.packed(data):
            await self._deliver_packed(packed)

    async def _deliver_packed(self, packed: Packed) -> None:
        back_off = BackOff()
        while True:
            try:
                await self._sink.deliver_packed(packed)
            except SinkBusy as error:
                wait_s = back_off.next_s()
                self._counters["deliveries_failed"] += 1
                _log.warning(
                    "kept records wait rows=%d retry_in_s=%.1f reason=%s",
                    len(self._rows),
                    wait_s,
                    error,
                )
                await asyncio.sleep(wait_s)
                continue
            self._confirmed_at = time.monotonic()
            self._counters["records_delivered"] += packed.count
            return

    def look_for_room(self) -> None:
        """Let records be read, or not, by the room that those which are held take."""
        if self.keeper is None or not self.keeper.is_full:
            self.room.set()
        elif self.room.is_set():
            self._counters["keep_size_reached"] += 1
            _log.warning(
                "keep_size is reached: no records are read until the receiver has taken some "
                "held_bytes=%d rows=%d",
                self.keeper.spool.size_bytes,
                len(self._rows),
            )
            self.room.clear()

    def _signal(self) -> None:
        if self._rows:
            self._filled.set()
            self.empty.clear()
        else:
            self._filled.clear()
            self.empty.set()
