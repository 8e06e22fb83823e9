"""One partition's transactions: opened, restored from what was committed, and committed.

Why every record counts exactly once, whichever instance owns the partition and however it ends:

1. Each input partition has a transactional id of its own, made of group, topic and partition.
   All that is written for the partition (changelog, alerts, position) is written by the producer
   of that id, in transactions.
2. Whoever gets the partition first calls `init_transactions`. From then on the broker refuses every
   request of an earlier producer of that id: an owner that was believed dead, and is not, can
   commit nothing more. What it had begun is aborted; what it had committed is complete, in all
   topics, before the call returns.
3. So after step 2 nobody else writes for this partition, and no transaction of it is open. Only
   now are the position and the changelog read. They are of the same last commit, because one
   transaction wrote both, and the changelog can be read to its end.
4. The engine is restored, and reading begins at the position. Everything after it was not
   committed by anybody: neither its state nor its alerts. It is judged again, and `alert_id`
   depends on the records alone.
5. A commit is one transaction. Where its outcome is not known, the engine in memory is thrown
   away, and the partition begins again at step 2, which finds out. Nothing is ever repaired.
6. If two instances believe for a while that they own the partition, the last one that took step 2
   does; the other learns of it at its next commit. Both read what was committed, so which one
   works changes nothing. The group's next rebalance settles who goes on.

The rejected alternative is one transactional id for each instance, fenced by the group's
generation, as Kafka Streams does it since 2.6. It needs fewer producers. But it is right only if
the generation that is sent along belongs to the moment at which the partition was owned: the
client gives the present one, and gives none at all after it lost its membership, which the broker
takes for a consumer without a group and does not fence. During cooperative rebalances both
happen. And after a kill, the next owner waits until the transaction of the dead one has timed out.
Epochs of a partition's own id need no such care, so we send no generation on purpose.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from ..errors import KroneError
from ..timing import BackOff, RareReport
from .changelog import compact
from .clients import Clients

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# Seconds that one request may take before it is repeated.
_REQUEST_S = 10.0
# Seconds between two tries: the first pause, and the longest. Each pause doubles the one before.
_BACK_OFF_S = (0.05, 5.0)
# Records of the changelog that are read at once, and seconds that a reader waits for more.
_READ = 10_000
_READ_S = 0.1
# Seconds to wait for room in the producer's queue while a large commit is written.
_ROOM_S = 0.1


# Errors of a broker that has just started, or of a connection; the next try may not meet them.
_PASSING = frozenset(
    {
        "NOT_COORDINATOR",
        "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "NOT_LEADER_FOR_PARTITION",
        "LEADER_NOT_AVAILABLE",
        "_TIMED_OUT",
        "_TRANSPORT",
        "_WAIT_COORD",
        "_ALL_BROKERS_DOWN",
    }
)


class Out(NamedTuple):
    """A message to be written with the next commit. `partition` -1 lets the key decide."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int = -1
    headers: Sequence[tuple[str, bytes]] = ()
    # Milliseconds since 1970; 0 is now.
    timestamp: int = 0


class Opened(NamedTuple):
    """What was committed for a partition: the next offset, and its changelog.

    `is_new` says that nothing was committed yet, and `lost` how many records were deleted by the
    topic's retention before they were read.
    """

    offset: int
    is_new: bool
    lost: int
    rows: dict[bytes, bytes]
    # Records of the changelog that were read, and their bytes; and seconds that this took.
    read: int
    read_bytes: int
    seconds: float


class Fenced(KroneError):
    """Another instance has taken the partition over."""


class Uncertain(KroneError):
    """A transaction failed: the partition must begin again from what was committed."""


class Transactions:
    """The producer of one input partition. Its methods block, and belong to a thread.

    `state_topic` is None where there is no state to restore. `give_up` makes all waiting end.
    """

    def __init__(self, clients: Clients, group: str, source: Any, state_topic: str | None) -> None:
        self._clients = clients
        self._kafka = clients.kafka
        self._source = source
        self._state_topic = state_topic
        self._id = f"{group}-{source.topic}-{source.partition}"
        self._is_given_up = threading.Event()
        self._rare_report = RareReport()
        self._producer: Any = None
        self._membership: Any = None

    def give_up(self) -> None:
        """Let every call that waits for a broker fail soon."""
        self._is_given_up.set()

    def open(self) -> Opened:
        """Steps 2 and 3 above. Raises Uncertain when the brokers can't be asked."""
        began = time.monotonic()
        try:
            producer = self._clients.producer(self._id)
            self._patiently("init", producer.init_transactions)
            self._producer = producer
            reader = self._clients.reader()
            try:
                # A consumer that joined no group has no generation: see above.
                self._membership = reader.consumer_group_metadata()
                offset, is_new, lost = self._position(reader)
                rows: dict[bytes, bytes] = {}
                read = read_bytes = 0
                if self._state_topic is not None:
                    read, read_bytes = self._read_back(reader, rows)
            finally:
                reader.close()
        except self._kafka.KafkaException as error:
            raise self._failed(error) from None
        took_s = time.monotonic() - began
        return Opened(offset, is_new, lost, rows, read, read_bytes, took_s)

    def read_again(self, first: int, end: int, take: Callable[[Sequence[Any]], None]) -> int:
        """Give the messages of the partition from offset `first` up to `end`; returns how many.

        Raises Uncertain when the brokers can't be asked.
        """
        reader = self._clients.reader()
        try:
            return self._read_source(reader, first, end, take)
        except self._kafka.KafkaException as error:
            raise self._failed(error) from None
        finally:
            reader.close()

    def commit(self, outs: Sequence[Out], offset: int) -> float:
        """Write it all in one transaction, and the position; returns the seconds that it took."""
        began = time.monotonic()
        producer = self._producer
        position = self._kafka.TopicPartition(self._source.topic, self._source.partition, offset)
        try:
            producer.begin_transaction()
            for out in outs:
                self._produce(producer, out)
            self._patiently(
                "send position",
                lambda wait_s: producer.send_offsets_to_transaction(
                    [position], self._membership, wait_s
                ),
            )
            self._patiently("commit", producer.commit_transaction)
        except (self._kafka.KafkaException, BufferError) as error:
            self._abort(producer)
            raise self._failed(error) from None
        return time.monotonic() - began

    def close(self) -> None:
        """Let go of the producer; what it has begun, the next owner aborts. It may take a while."""
        self.give_up()
        producer = self._producer
        self._producer = None
        if producer is not None:
            producer.purge()

    def _produce(self, producer: Any, out: Out) -> None:
        given: dict[str, Any] = {"key": out.key, "value": out.value, "headers": list(out.headers)}
        if out.partition >= 0:
            given["partition"] = out.partition
        if out.timestamp:
            given["timestamp"] = out.timestamp
        while True:
            try:
                producer.produce(out.topic, **given)
                return
            except BufferError:
                # More than the queue holds: it empties as the broker confirms.
                if self._is_given_up.is_set():
                    raise
                producer.poll(_ROOM_S)

    def _position(self, reader: Any) -> tuple[int, bool, int]:
        """The next offset, whether it was never committed, and how many records are lost."""
        where = self._kafka.TopicPartition(self._source.topic, self._source.partition)
        (found,) = self._patiently("position", lambda wait_s: reader.committed([where], wait_s))
        if found.error is not None:
            raise self._kafka.KafkaException(found.error)
        low, high = self._patiently(
            "end of partition", lambda wait_s: reader.get_watermark_offsets(where, wait_s)
        )
        if found.offset < 0 and self._clients.begins_at_end:
            return high, True, 0
        if found.offset < 0:
            return low, True, 0
        return max(found.offset, low), False, max(low - found.offset, 0)

    def _read_source(
        self, reader: Any, first: int, end: int, take: Callable[[Sequence[Any]], None]
    ) -> int:
        place = self._kafka.TopicPartition(self._source.topic, self._source.partition, first)
        low, _ = self._patiently(
            "held records", lambda wait_s: reader.get_watermark_offsets(place, wait_s)
        )
        if low > first:
            _log.error(
                "records were deleted by retention before their sessions were judged, so they "
                "cannot be kept partition=%d count=%d",
                self._source.partition,
                min(low, end) - first,
            )
            place.offset = low
        reader.assign([place])
        count = 0
        at = place.offset
        while at < end and not self._is_given_up.is_set():
            found = reader.consume(_READ, _READ_S)
            messages = [m for m in found if m.error() is None and m.offset() < end]
            if messages:
                take(messages)
                count += len(messages)
            for message in found:
                error = message.error()
                if error is None or error.code() == self._kafka.KafkaError._PARTITION_EOF:
                    at = max(at, message.offset() + (error is None))
                elif not error.retriable():
                    raise self._kafka.KafkaException(error)
        return count

    def _read_back(self, reader: Any, rows: dict[bytes, bytes]) -> tuple[int, int]:
        """Read the changelog to its end; the last record of each key stays, in that order."""
        place = self._kafka.TopicPartition(
            self._state_topic, self._source.partition, self._kafka.OFFSET_BEGINNING
        )
        # Asked for its leader now, so that reading does not wait for the next look, a second later.
        self._patiently("changelog", lambda wait_s: reader.get_watermark_offsets(place, wait_s))
        reader.assign([place])
        end = self._kafka.KafkaError._PARTITION_EOF
        read = read_bytes = 0
        while not self._is_given_up.is_set():
            for message in reader.consume(_READ, _READ_S):
                if message.error() is None:
                    value = message.value()
                    read += 1
                    read_bytes += len(value or b"")
                    compact(rows, [(message.key(), value)])
                elif message.error().code() == end:
                    return read, read_bytes
                elif not message.error().retriable():
                    raise self._kafka.KafkaException(message.error())
        raise Uncertain(f"partition {self._source.partition}: given up")

    def _patiently(self, what: str, call: Callable[[float], _T]) -> _T:
        """Make a request until it succeeds, or fails in a way that repeating can't mend."""
        back_off = BackOff(*_BACK_OFF_S)
        while True:
            try:
                return call(_REQUEST_S)
            except self._kafka.KafkaException as error:
                if not _is_retriable(error.args[0]) or self._is_given_up.is_set():
                    raise
                self._report(what, error.args[0])
            self._is_given_up.wait(back_off.next_s())

    def _report(self, what: str, error: Any) -> None:
        if not self._rare_report.is_due():
            return
        _log.warning(
            "brokers do not answer, trying again partition=%d request=%s reason=%s",
            self._source.partition,
            what,
            error.str(),
        )

    def _abort(self, producer: Any) -> None:
        """Abort if that can be done at once; otherwise the next `init_transactions` does it."""
        try:
            producer.purge()
            producer.abort_transaction(_REQUEST_S)
        except self._kafka.KafkaException:
            _log.debug("abort failed partition=%d", self._source.partition)

    def _failed(self, error: Exception) -> KroneError:
        where = f"partition {self._source.partition}"
        if not isinstance(error, self._kafka.KafkaException):
            return Uncertain(f"{where}: {error}")
        found = error.args[0]
        codes = self._kafka.KafkaError
        fences = (codes._FENCED, codes.INVALID_PRODUCER_EPOCH, codes.PRODUCER_FENCED)
        if found.code() in fences:
            return Fenced(f"{where}: another instance has taken it over")
        return Uncertain(f"{where}: {found.str()}")


def _is_retriable(error: Any) -> bool:
    if error.fatal() or error.txn_requires_abort():
        return False
    # Errors of transactions say it themselves; those of readers are known by their code.
    return bool(error.retriable()) or error.name() in _PASSING
