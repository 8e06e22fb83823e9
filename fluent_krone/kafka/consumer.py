"""The loop of an instance: what the group assigns to it is opened, fed and committed.

The loop is synchronous, in the main thread, and without asyncio. There is one source, the consumer,
and its client calls back for rebalances from within `consume`, in the same thread: so no lock is
needed anywhere, and an engine never changes while a partition is taken away. Requests that wait for
a broker run in a pool of threads, where the client lets go of the interpreter: a partition that is
opened or committed holds up no other. Metrics are served by a thread that is handed figures.

What happens to a partition:

1. *Assigned*: it is paused, and opened in a thread (`transactions.py`: fence, position, changelog).
2. *Opened*: its engine is restored, the consumer seeks the position, and the pause ends.
3. *Fed* with what `consume` gives, and committed twice a second, or as soon as nothing is left.
4. *Revoked*: committed for the last time, before the group gives it to another instance.
5. *Lost*, or an error: thrown away without a commit. If it still is ours, it is opened again.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillWaiting
from typing import Any

from ..config import Config
from ..errors import KroneError
from ..timing import BackOff, Histogram, RareReport
from .clients import Clients
from .partition import Partition
from .transactions import Fenced, Transactions
from .work import InstanceWork

_log = logging.getLogger(__name__)

# Messages taken at once, and seconds to wait for the first of them. An alert is late by that much.
_MOST = 5_000
_WAIT_S = 0.05
# Seconds between two looks for idle sessions, and for what else is not urgent.
_TICK_S = 0.5
# Threads for requests that wait for brokers: partitions that are opened or committed at once.
_THREADS = 16
# Seconds that a revoked partition may take for its last commit.
_LAST_COMMIT_S = 30.0
# Seconds before a partition that failed is opened again: the first pause, and the longest. A short
# one would let two instances that both believe to own it fence each other all the time.
_REOPEN_S = (0.5, 10.0)
# Seconds between two questions whether brokers answer again.
_PROBE_S = 2.0


class ConsumerLoop:
    """One instance of a group. `run` returns after `stop`; call `close` then."""

    def __init__(self, config: Config, clients: Clients, work: InstanceWork) -> None:
        self.counters: Counter[str] = Counter()
        self.timings = {name: Histogram() for name in ("feed", "commit")}
        self.partitions: dict[int, Partition] = {}
        self.work = work
        self._config = config
        self._clients = clients
        self._kafka = clients.kafka
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="kafka")
        self._consumer = clients.consumer()
        self._is_stopping = False
        # When partitions that failed are opened again, in monotonic seconds; and how long to wait
        # after the next failure.
        self._reopen_at: dict[int, float] = {}
        self._back_offs: defaultdict[int, BackOff] = defaultdict(lambda: BackOff(*_REOPEN_S))
        self._ticked_at = 0.0
        self._is_cut_off = False
        self._rare_report = RareReport()
        self._probe: Any = None

    def stop(self) -> None:
        """End `run` soon; may be called from a signal handler."""
        self._is_stopping = True

    def on_error(self, error: Any) -> None:
        """An error of the consumer's connections, in whatever thread it is reported."""
        if error.code() == self._kafka.KafkaError._ALL_BROKERS_DOWN:
            self._note_cut_off()

    def run(self, each_turn: Callable[[], None] = lambda: None) -> None:
        """Work until stopped; then commit everything and leave the group."""
        self._consumer.subscribe(
            [self._config.topic],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        try:
            while not self._is_stopping:
                self._take(self._consumer.consume(_MOST, _WAIT_S))
                self._turn()
                each_turn()
        finally:
            # It calls `_revoked`, which commits. After an error it must not: half is not whole.
            if not self._is_stopping:
                self._lost(self._consumer, list(map(self._place, self.partitions)))
            self._consumer.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def stats(self) -> dict[str, float]:
        """Counters since start, by name, and the lag of each partition."""
        found: dict[str, float] = {**self.work.stats(), **self.counters}
        found["partitions_assigned"] = len(self.partitions)
        for number, partition in self.partitions.items():
            if partition.is_running:
                found[f"partition_lag_{number}"] = self._lag(partition)
            if partition.opened is not None:
                found[f"partition_restore_{number}"] = partition.opened.seconds
        for name, took in self.timings.items():
            found |= took.numbers(name)
        return found

    def troubles(self) -> list[str]:
        """Why records are not judged as they should be; empty while all is well."""
        found = []
        if self._is_cut_off:
            found.append("no broker can be reached")
        failed = sorted(self._reopen_at)
        if failed:
            found.append(f"partitions failed and are opened again: {failed}")
        return found + self.work.troubles()

    # --- what the consumer gives

    def _take(self, messages: Sequence[Any]) -> None:
        now_ns = time.time_ns()
        for number, group in itertools.groupby(messages, key=self._number):
            if number is None:
                for event in group:
                    self._note(event)
                continue
            partition = self.partitions.get(number)
            # What comes for a partition that is not open yet is read again from its position.
            if partition is not None and partition.is_running:
                self._feed(partition, list(group), now_ns)

    def _feed(self, partition: Partition, messages: Sequence[Any], now_ns: int) -> None:
        began = time.monotonic()
        try:
            self.counters["messages"] += partition.feed(messages, now_ns)
        except KroneError as error:
            # Such as no room for what is held: nothing of them was committed.
            self._fail(partition, error)
            return
        except Exception:
            # The process ends, and nothing of them is committed. Whoever looks must find the cause.
            _log.error(
                "BUG: messages can't be taken partition=%d first_offset=%d last_offset=%d",
                partition.number,
                messages[0].offset(),
                messages[-1].offset(),
            )
            raise
        self.timings["feed"].add(time.monotonic() - began)

    def _number(self, message: Any) -> int | None:
        """The partition of a message; None for what is no message but an event."""
        if message.error() is not None:
            return None
        return int(message.partition())

    def _note(self, event: Any) -> None:
        error = event.error()
        codes = self._kafka.KafkaError
        if error.code() == codes._PARTITION_EOF:
            partition = self.partitions.get(event.partition())
            if partition is not None:
                partition.reach_end(event.offset())
            return
        if error.fatal() or error.code() == codes._FATAL:
            # Such as another process with our `member_name`: no try will ever succeed.
            raise KroneError(f"consumer of group {self._config.group}: {error.str()}")
        if error.code() == codes._ALL_BROKERS_DOWN:
            self._note_cut_off()
        self._report(error)

    def _note_cut_off(self) -> None:
        if not self._is_cut_off:
            self._is_cut_off = True
            _log.warning(
                "no broker can be reached, nothing is read until one answers brokers=%s",
                self._config.brokers,
            )

    def _report(self, error: Any) -> None:
        if self._rare_report.is_due():
            _log.warning("consumer: %s", error.str())

    # --- what is done besides

    def _turn(self) -> None:
        """Everything that is due, without waiting for any broker."""
        now = time.monotonic()
        is_tick = now - self._ticked_at >= _TICK_S
        if is_tick:
            self._ticked_at = now
            self.work.tick(time.time_ns())
            self._look_for_brokers()
        for number in list(self.partitions):
            partition = self.partitions[number]
            try:
                self._serve(partition, is_tick)
            except KroneError as error:
                self._fail(partition, error)
        for number, at in list(self._reopen_at.items()):
            if now >= at and number not in self.partitions:
                del self._reopen_at[number]
                self._open(number)

    def _serve(self, partition: Partition, is_tick: bool) -> None:
        if partition.has_opened():
            partition.start(time.time_ns())
            self._seek(partition)
            self._back_offs.pop(partition.number, None)
        took_s = partition.settle()
        if took_s is not None:
            self.timings["commit"].add(took_s)
        if is_tick and partition.is_running and not self._is_cut_off:
            partition.advance(time.time_ns())
        if partition.is_due(self._config.commit_interval, self._config.commit_records):
            partition.commit(self._pool)
        self._pause_or_resume(partition)

    def _pause_or_resume(self, partition: Partition) -> None:
        if not partition.is_running:
            return
        is_ahead = partition.is_too_far_ahead(self._config.commit_records)
        if is_ahead and not partition.is_paused:
            self._consumer.pause([self._place(partition.number)])
            partition.is_paused = True
        elif partition.is_paused and not is_ahead:
            self._consumer.resume([self._place(partition.number)])
            partition.is_paused = False

    def _look_for_brokers(self) -> None:
        """Ask again and again while no broker answers; that time does not count as silence."""
        if self._probe is None and self._is_cut_off:
            self._probe = self._pool.submit(self._ask)
        elif self._probe is not None and self._probe.done():
            self._is_cut_off = not self._probe.result()
            self._probe = None
            if not self._is_cut_off:
                _log.info("brokers answer again")
                for partition in self.partitions.values():
                    partition.work.resume(time.time_ns())

    def _ask(self) -> bool:
        try:
            self._consumer.list_topics(self._config.topic, timeout=_PROBE_S)
        except self._kafka.KafkaException:
            time.sleep(_PROBE_S)
            return False
        return True

    def _fail(self, partition: Partition, error: KroneError) -> None:
        """Throw a partition away that failed; it is opened again if it still is ours."""
        reason = "uncertain"
        if isinstance(error, Fenced):
            reason = "fenced"
        self.counters[f"transactions_failed_{reason}"] += 1
        wait_s = self._back_offs[partition.number].next_s()
        _log.warning(
            "partition begins again from what was committed partition=%d retry_in_s=%.1f reason=%s",
            partition.number,
            wait_s,
            error,
        )
        self._consumer.pause([self._place(partition.number)])
        self._drop(partition.number)
        self._reopen_at[partition.number] = time.monotonic() + wait_s

    def _drop(self, number: int) -> None:
        partition = self.partitions.pop(number, None)
        if partition is not None:
            partition.close(self._pool)
        self._reopen_at.pop(number, None)

    # --- what the group decides

    def _assigned(self, consumer: Any, places: Sequence[Any]) -> None:
        consumer.incremental_assign(places)
        # Paused before anything is fetched: the position is known only once it was opened.
        consumer.pause(places)
        for place in places:
            self._open(place.partition)
        _log.info("assigned partitions=%s", [place.partition for place in places])

    def _revoked(self, consumer: Any, places: Sequence[Any]) -> None:
        for place in places:
            partition = self.partitions.get(place.partition)
            if partition is not None and partition.is_running:
                try:
                    partition.commit_last(self._pool, _LAST_COMMIT_S)
                except (KroneError, StillWaiting) as error:
                    # What is not committed, the next owner reads again.
                    reason = str(error) or "no answer in time"
                    _log.warning(
                        "last commit failed partition=%d reason=%s", place.partition, reason
                    )
            self._drop(place.partition)
        consumer.incremental_unassign(places)
        _log.info("revoked partitions=%s", [place.partition for place in places])

    def _lost(self, consumer: Any, places: Sequence[Any]) -> None:
        """The group has given them to others already: nothing may be committed any more."""
        for place in places:
            self._drop(place.partition)
        consumer.incremental_unassign(places)
        _log.warning("lost partitions=%s", [place.partition for place in places])

    def _open(self, number: int) -> None:
        transactions = Transactions(
            self._clients, self._config.group, self._place(number), self.work.state_topic
        )
        partition = Partition(number, transactions, self.work.partition(number))
        self.partitions[number] = partition
        partition.open(self._pool, self.work.prepare)

    def _seek(self, partition: Partition) -> None:
        place = self._place(partition.number, partition.position)
        try:
            self._consumer.seek(place)
        except self._kafka.KafkaException as error:
            raise KroneError(f"seek: {error.args[0].str()}") from None
        self._consumer.resume([place])

    def _place(self, number: int, offset: int | None = None) -> Any:
        if offset is None:
            return self._kafka.TopicPartition(self._config.topic, number)
        return self._kafka.TopicPartition(self._config.topic, number, offset)

    def _lag(self, partition: Partition) -> int:
        """Records that the brokers have and that were not fed yet, where that is known."""
        found = self._consumer.get_watermark_offsets(self._place(partition.number), cached=True)
        if not found or found[1] < 0:
            return 0
        return max(int(found[1]) - partition.position, 0)
