"""Chunks in: one at a time, repeats skipped, large ones fed in slices."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from ..errors import StoreError
from ..learning.learning import Learning
from ..learning.recorder import Recorder
from ..transport import Delivery, Sender
from ..transport.forward import Chunk
from .chunk_keeper import ChunkKeeper
from .committer import Committer, Fed
from .figures import Figures, Halt
from .judge import Judge
from .outbox import Outbox
from .repeats import Repeats

# Events between two looks at the event loop: 5,000 take about 15 ms, which is how long other
# clients and the health check may have to wait for a large chunk.
_SLICE = 5_000
# Bytes of the smallest entry that can be an event: a time, and a map with a message. A chunk with
# less than `_SLICE` times this is one slice, and its events need not be counted.
_MIN_EVENT_BYTES = 11
# Seconds of small chunks between two looks at the event loop. A look costs as much as half a chunk
# of one record, so there is not one after each.
_LOOK_S = 0.005


class Intake:
    """Takes chunks whole, one after the other, and leaves acks to the committer."""

    def __init__(
        self,
        judge: Judge,
        committer: Committer,
        repeats: Repeats,
        outbox: Outbox,
        figures: Figures,
        halt: Halt,
        clock_ns: Callable[[], int],
    ) -> None:
        # Cleared by the last flush: later chunks stay unacked, and so with their senders.
        self.open = asyncio.Event()
        self.open.set()
        self._judge = judge
        self._committer = committer
        self._repeats = repeats
        self._outbox = outbox
        self._counters = figures.counters
        self._fed_in = figures.timings["feed"]
        self._halt = halt
        self._clock_ns = clock_ns
        self._looked_at = time.monotonic()
        # What takes the chunks in place of the judge, until there is a bundle.
        self.learning: Learning | None = None
        # What records the stream for the next bundle.
        self.recorder: Recorder | None = None

    async def take(
        self, chunk: Chunk, ack: Callable[[], None], sender: Sender | None = None
    ) -> None:
        """Feed a chunk; `ack` is called once it is committed.

        A chunk that was fed before is not fed again, but acked with the next commit.
        """
        came = time.monotonic()
        await self._wait_for_room()
        async with self._judge.turn:
            await self._wait_for_turn(came)
            events = None
            keeper = self._judge.keeper
            if isinstance(keeper, ChunkKeeper) and self.learning is None:
                # Before the chunk counts as fed: a commit while the disk is full must not make
                # its id final.
                events = await self._held(chunk, keeper)
            is_repeat = self._is_repeat(chunk, sender)
            while is_repeat is None:
                # The store can't be read. Feeding a chunk twice could not be undone.
                await self._committer.writable.wait()
                is_repeat = self._is_repeat(chunk, sender)
            self._count(1, int(is_repeat))
            if is_repeat:
                pass
            elif self.learning is not None:
                self._committer.pending.records += self.learning.take(chunk)
            else:
                events = events or chunk.events()
                self._record(chunk)
                if _is_small(chunk):
                    self._feed(chunk.tag, events)
                else:
                    await self._feed_slices(chunk.tag, events)
            self._committer.add(Fed(came, ack))
        self._committer.commit_soon()

    async def take_burst(self, burst: Sequence[Delivery]) -> None:
        """Feed small chunks that came together, those of one tag as one.

        It is the same as to take them one by one, but that no commit falls between them.
        """
        hooked = (self._judge.keeper, self.learning)
        if len(burst) == 1 or hooked != (None, None):
            for delivery in burst:
                await self.take(*delivery)
            return
        came = time.monotonic()
        await self._wait_for_room()
        async with self._judge.turn:
            await self._wait_for_turn(came)
            new: list[Chunk] = []
            acks: list[Fed] = []
            for chunk, ack, sender in burst:
                is_repeat = self._is_repeat(chunk, sender)
                while is_repeat is None:
                    # The commit that finds the store readable again makes the ids final that were
                    # met so far, so their chunks must be fed before it.
                    self._feed_small(new, acks)
                    new = []
                    acks = []
                    await self._committer.writable.wait()
                    is_repeat = self._is_repeat(chunk, sender)
                if not is_repeat:
                    new.append(chunk)
                acks.append(Fed(came, ack))
            self._feed_small(new, acks)
        self._committer.commit_soon()

    def _feed_small(self, new: list[Chunk], acks: list[Fed]) -> None:
        """Feed small chunks, and have the next commit ack them and those that were repeats."""
        for chunk in new:
            self._record(chunk)
        for tag, chunks in itertools.groupby(new, attrgetter("tag")):
            self._feed(tag, itertools.chain.from_iterable(chunk.events() for chunk in chunks))
        self._count(len(acks), len(acks) - len(new))
        self._committer.pending.fed += acks

    def _count(self, chunks: int, repeats: int) -> None:
        self._counters["chunks"] += chunks
        if repeats:
            self._counters["chunks_repeated"] += repeats

    # A chunk of one record costs more on its way than to judge. So nothing is awaited here that
    # does not have to be waited for: each wait would cost a turn of the loop.

    async def _wait_for_room(self) -> None:
        """Return when alerts and records on their way out leave room for more."""
        if not self._outbox.room.is_set():
            await self._outbox.room.wait()
        if not self._outbox.releases.room.is_set():
            await self._outbox.releases.room.wait()

    async def _wait_for_turn(self, came: float) -> None:
        """Return, with the turn, when a chunk may be fed."""
        if came - self._looked_at > _LOOK_S:
            # With the turn, so that nobody takes it for a pause and commits.
            await self._look()
        if not self.open.is_set():
            await self.open.wait()
        if not self._committer.writable.is_set():
            await self._committer.writable.wait()

    def _record(self, chunk: Chunk) -> None:
        if self.recorder is not None:
            self.recorder.take(chunk, self._clock_ns())

    async def _held(self, chunk: Chunk, keeper: ChunkKeeper) -> Iterator[Any]:
        """The events of a chunk whose records are held; waits while the disk is full."""
        while True:
            await self._committer.writable.wait()
            try:
                return keeper.events(chunk, self._clock_ns())
            except StoreError as error:
                self._committer.stall(error)

    def _is_repeat(self, chunk: Chunk, sender: Sender | None) -> bool | None:
        """Whether a chunk was fed before, see `Repeats`; None while the store can't be read."""
        if chunk.chunk is None:
            self._counters["chunks_without_id"] += 1
            return False
        try:
            return self._repeats.is_repeat(chunk, sender)
        except StoreError as error:
            self._committer.stall(error)
            return None

    def _feed(self, tag: str, events: Iterator[Any]) -> None:
        """Feed events of one chunk. An error leaves half a chunk fed, so the service halts."""
        began = time.monotonic()
        try:
            records = self._judge.feed(tag, events, self._clock_ns())
        except BaseException as error:
            self._halt.fail(error)
            raise
        if self._judge.keeper is not None:
            self._judge.keeper.fed()
        self._fed_in.add(time.monotonic() - began)
        self._committer.pending.records += records

    async def _feed_slices(self, tag: str, events: Iterator[Any]) -> None:
        """Feed a large chunk slice by slice. Cancelled between two of them, the service halts."""
        for some in slices(events):
            self._feed(tag, some)
            try:
                await self._look()
            except BaseException as error:
                self._halt.fail(error)
                raise

    async def _look(self) -> None:
        """Let the event loop do what else there is to do."""
        await asyncio.sleep(0)
        self._looked_at = time.monotonic()


def _is_small(chunk: Chunk) -> bool:
    """Whether a chunk certainly has no more events than a slice."""
    if isinstance(chunk.entries, bytes):
        return len(chunk.entries) < _SLICE * _MIN_EVENT_BYTES
    return len(chunk.entries) <= _SLICE


def slices(events: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Cut an iterator into iterators of at most `_SLICE`; use each up before you take the next."""
    for first in events:
        yield itertools.chain((first,), itertools.islice(events, _SLICE - 1))
