"""Topics, instances and alerts of one group, for tests and benches on a real broker."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kafka_broker import Broker
from synthetic import GOING, NORMAL, OPEN, OPENED, STUCK, T0, S, ride

from fluent_krone.alerts.incidents import Incidents, in_order
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.kafka.changelog import KeptRows
from fluent_krone.kafka.forms import HeldMessage
from fluent_krone.kafka.message_keeper import MessageKeeper, pointed
from fluent_krone.kafka.message_spool import MessageSpool
from fluent_krone.kafka.records import AddressedReader, Decoder
from fluent_krone.kafka.transactions import Out
from fluent_krone.types import Alert

_REPOSITORY = Path(__file__).resolve().parents[1]
# Seconds that something may take before a test gives up.
PATIENCE_S = 90.0
# Records that a reader takes at once.
_MOST = 10_000
# Records that one engine is fed at once.
_SLICE = 1_000


class Rig:
    """One group over one topic of a broker. Names are new, so that nothing is left over."""

    def __init__(self, broker: Broker, folder: Path, bundle: Path, partitions: int) -> None:
        self.kafka: Any = importlib.import_module("confluent_kafka")
        self.broker = broker
        self.bundle = bundle
        name = uuid.uuid4().hex[:8]
        self.topic = f"logs-{name}"
        self.group = f"krone-{name}"
        self.instances: list[subprocess.Popen[bytes]] = []
        self.folder = folder
        self._log = folder / f"{self.group}.log"
        self.producer: Any = None
        self.connect()
        self.create(self.topic, partitions)

    def connect(self) -> None:
        """Make a new producer: one that knows a broker from before its restart may wait for ever
        for the leaders that the partitions had then."""
        self.producer = self.kafka.Producer(
            {
                "bootstrap.servers": self.broker.address,
                "message.max.bytes": 32 * 2**20,
                "queue.buffering.max.messages": 1_000_000,
                "partitioner": "murmur2_random",
                "topic.metadata.refresh.interval.ms": 1000,
                "log_level": 0,
            }
        )

    def create(self, topic: str, partitions: int, **settings: str) -> None:
        """Create a topic."""
        new: Any = importlib.import_module("confluent_kafka.admin")
        admin = new.AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        # Records of old logs have old times, by which retention would delete them.
        config = {"max.message.bytes": "33554432", "retention.ms": "-1", **settings}
        wanted = new.NewTopic(topic, partitions, 1, config=config)
        admin.create_topics([wanted])[topic].result(30)

    def add_partitions(self, count: int) -> None:
        """Let the topic have `count` partitions."""
        new: Any = importlib.import_module("confluent_kafka.admin")
        admin = new.AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        admin.create_partitions([new.NewPartitions(self.topic, count)])[self.topic].result(30)

    def configure(self, topic: str, **settings: str) -> None:
        """Change settings of a topic."""
        new: Any = importlib.import_module("confluent_kafka.admin")
        admin = new.AdminClient({"bootstrap.servers": self.broker.address, "log_level": 0})
        entries = [
            new.ConfigEntry(name, value, incremental_operation=new.AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = new.ConfigResource(new.ResourceType.TOPIC, topic, incremental_configs=entries)
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(30)

    def produce(
        self, records: Iterable[tuple[int, str | None, Any]], topic: str | None = None, **given: Any
    ) -> int:
        """Write records (milliseconds, key, record); returns how many. Bytes are written as is."""
        count = 0
        for at_ms, key, record in records:
            value = record
            if isinstance(record, dict):
                value = json.dumps({k.decode(): v.decode() for k, v in record.items()}).encode()
            while True:
                try:
                    self.producer.produce(
                        topic or self.topic, value, key=key, timestamp=at_ms, **given
                    )
                    break
                except BufferError:
                    self.producer.poll(0.2)
                except self.kafka.KafkaException as error:
                    # A partition that was added is not known at once.
                    if error.args[0].code() != self.kafka.KafkaError._UNKNOWN_PARTITION:
                        raise
                    self.producer.poll(0.2)
            count += 1
        left = self.producer.flush(PATIENCE_S)
        assert not left, f"the broker did not take {left} records"
        return count

    def start(self, *flags: str, command: str = "kafka") -> subprocess.Popen[bytes]:
        """Start an instance; its log goes to the rig's."""
        given = {
            "--brokers": self.broker.address,
            "--topic": self.topic,
            "--group": self.group,
            "--bundle": str(self.bundle),
            "--member-timeout": "4",
        }
        if command == "kafka":
            given["--alerts"] = "session"
        line = [sys.executable, "-m", "fluent_krone", command]
        line += [word for pair in given.items() for word in pair]
        with self._log.open("ab") as log:
            instance = subprocess.Popen(
                [*line, *flags],
                cwd=_REPOSITORY,
                stderr=log,
                stdout=log,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        self.instances.append(instance)
        return instance

    def log(self) -> str:
        """What all instances logged."""
        return self._log.read_text(errors="replace")

    def stop(self, instance: subprocess.Popen[bytes] | None = None) -> None:
        """End one instance, or all that still run, as an operator does."""
        for running in [instance] if instance is not None else self.instances:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
        for running in [instance] if instance is not None else self.instances:
            try:
                running.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()

    def read(self, topic: str, *, committed: bool = True) -> list[Any]:
        """All messages of a topic, partition by partition, up to its present end."""
        isolation = "read_uncommitted"
        if committed:
            isolation = "read_committed"
        consumer: Any = self.kafka.Consumer(
            {
                "bootstrap.servers": self.broker.address,
                "group.id": f"reader-{uuid.uuid4().hex}",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        found: list[Any] = []
        try:
            places = self.places(consumer, topic)
            consumer.assign(places)
            left = len(places)
            while left:
                for message in consumer.consume(_MOST, 0.1):
                    if message.error() is None:
                        found.append(message)
                    else:
                        left -= message.error().code() == self.kafka.KafkaError._PARTITION_EOF
        finally:
            consumer.close()
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def places(self, client: Any, topic: str) -> list[Any]:
        """The beginnings of a topic's partitions."""
        partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
        begin = self.kafka.OFFSET_BEGINNING
        return [self.kafka.TopicPartition(topic, number, begin) for number in partitions]

    def lag(self) -> int:
        """Records of the topic that the group has not committed yet; -1: it can't be told."""
        consumer: Any = self.kafka.Consumer(
            {"bootstrap.servers": self.broker.address, "group.id": self.group, "log_level": 0}
        )
        try:
            places = self.places(consumer, self.topic)
            committed = consumer.committed(places, 10)
            ends = [consumer.get_watermark_offsets(place, 10)[1] for place in places]
            return int(sum(ends) - sum(max(place.offset, 0) for place in committed))
        except self.kafka.KafkaException:
            # The broker is still loading the group.
            return -1
        finally:
            consumer.close()

    def wait(self, until: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until something holds; fail with the instances' log."""
        deadline = time.monotonic() + patience_s
        while not until():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen; log:\n{self.log()[-6000:]}")
            time.sleep(0.3)

    def caught_up(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until the group has committed everything."""
        self.wait(lambda: self.lag() == 0, "catching up", patience_s)

    def alerts(self) -> list[dict[str, Any]]:
        """The records of all alerts that were committed."""
        return self.records("alerts")

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The records that the group wrote to its topic of `alerts`, or of what it may `keep`."""
        return [json.loads(message.value()) for message in self.read(f"{self.group}-{kind}")]

    def expected(self, bundle: Bundle, topic: str | None = None, **config: Any) -> list[Alert]:
        """The alerts of one engine for each partition, in this process, without any break."""
        settings = Config(topic=topic or self.topic, **config)
        found = []
        by_partition: dict[int, list[Any]] = {}
        for message in self.read(topic or self.topic):
            by_partition.setdefault(message.partition(), []).append(message)
        for messages in by_partition.values():
            found += judged(bundle, settings, messages)
        return found


def judged(bundle: Bundle, config: Config, messages: Sequence[Any]) -> list[Alert]:
    """The alerts of one engine that takes all messages, one for each finding.

    Open sessions stay open.
    """
    shared = bundle.shared(config, AddressedReader)
    engine = bundle.engine(config, shared)
    decoder = Decoder(config, shared.reader.settings.message_field)
    maker = AlertMaker(bundle, config)
    incidents = Incidents(config.incident_quiet, each=True)
    alerts: list[Alert] = []
    for tag, event, _ in decoder.tagged(messages):
        for finding in in_order(engine.feed(tag, [event], time.time_ns())):
            alerts += incidents.join(maker.make(finding), finding.told_ns).events
    return alerts


def kept_of(bundle: Bundle, config: Config, messages: Sequence[Any], folder: Path) -> list[Out]:
    """What one engine, and one keeper beside it, write of the messages of one partition."""
    shared = bundle.shared(config, AddressedReader)
    engine = bundle.engine(config, shared)
    maker = AlertMaker(bundle, config)
    decoder = Decoder(config, shared.reader.settings.message_field)
    spool = MessageSpool(folder, config.keep_size)
    place = (config.topic or "", messages[0].partition())
    keeper = MessageKeeper(config, place, spool, Counter(), KeptRows({}), lambda: decoder)
    keeper.attach(engine, maker)
    for at in range(0, len(messages), _SLICE):
        some = messages[at : at + _SLICE]
        keeper.hold([HeldMessage.of(message) for message in some])
        for tag, group in itertools.groupby(decoder.tagged(some), key=lambda entry: entry[0]):
            events = pointed(keeper, ((event, message) for _, event, message in group))
            for finding in engine.feed(tag, (event for event, _ in events), time.time_ns()):
                keeper.note_alert(finding, maker.make(finding).alert_id, None)
            keeper.settle()
    outs, _ = keeper.outs(messages[-1].offset() + 1)
    keeper.was_committed()
    while keeper.has_more:
        outs += keeper.outs(messages[-1].offset() + 1)[0]
        keeper.was_committed()
    spool.close()
    return outs


def ids(alerts: Iterable[Any]) -> list[str]:
    """The ids of alerts or of their records, sorted."""
    found = [alert["alert_id"] if isinstance(alert, dict) else alert.alert_id for alert in alerts]
    return sorted(found)


# --- Rides of the lift on a topic, for tests on a real broker


BAD = (OPEN, OPENED, GOING, STUCK)
PARTITIONS = 3
# Milliseconds of the first record: an hour ago, as a topic that is read late has it.
BEGIN_MS = int(time.time() * 1000) - 3_600_000


def rides(first: int, count: int) -> Iterator[tuple[int, str | None, Any]]:
    """Rides one after the other, every fifth a bad one, two seconds between two of them."""
    for number in range(first, first + count):
        log_keys = NORMAL[number % len(NORMAL)]
        if number % 5 == 0:
            log_keys = BAD
        name = f"ride{number}"
        for time_ns, record in ride(name, log_keys):
            assert time_ns is not None
            yield BEGIN_MS + (time_ns - T0) * 1000 // S + 2000 * number, name, record


def tail(rig: Rig, after: int, partitions: int = PARTITIONS) -> None:
    """Records that let every partition's time go on, so that all rides before have ended."""
    for partition in range(partitions):
        records = [
            (BEGIN_MS + 2000 * after + 4000 * i, None, record)
            for i, (_, record) in enumerate(ride(f"tail{partition}", (GOING,) * 40))
        ]
        rig.produce(records, partition=partition)
