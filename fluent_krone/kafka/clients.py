"""Clients of Kafka and the topics they write, with the settings on which exactly-once rests."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ConfigError, KroneError
from ..runtime.secrets import shared_key

# Milliseconds that a transaction may stay open. When the broker was away for longer, it aborts the
# transaction, and the partition begins again from its changelog.
_TRANSACTION_MS = 60_000
# Milliseconds for which the main loop may be busy before the brokers take its partitions. A bundle
# that is loaded, or a large engine that is restored, takes seconds.
_POLL_MS = 300_000
# Milliseconds between two looks for partitions that were added.
_REFRESH_MS = 30_000
# Bytes of the largest message that we write: a part of a session with all its lines. The topics
# that we create allow as much.
LARGEST_BYTES = 32 * 2**20
# Bytes of one answer of a broker; a single message that is larger is still delivered.
_FETCH_BYTES = 32 * 2**20
# Milliseconds that a broker waits for more before it says that a changelog ends.
_END_MS = 20
# Kilobytes of messages that are read ahead of the engines, for all partitions together.
_AHEAD_KB = 65_536
# Bytes of one answer that the client accepts at all: a message of 100 MB with what is around it.
_ANSWER_BYTES = 128 * 2**20
# Milliseconds before a request is repeated. The default of 100 would delay each transaction,
# because the one before it is still being finished by the broker.
_RETRY_MS = 10
_log = logging.getLogger(__name__)
# Seconds that a broker may take to answer about its topics.
_ANSWER_S = 10.0
# A changelog keeps the last record of each key. Segments of 64 MB are compacted as soon as half of
# them is outdated, so that a restart reads little more than what is open.
_STATE = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(LARGEST_BYTES),
    "segment.bytes": str(64 * 2**20),
    "min.cleanable.dirty.ratio": "0.5",
    # Milliseconds for which a deletion stays visible: a restart that reads while it is compacted
    # takes less than an hour.
    "delete.retention.ms": "3600000",
}
_COMPACT = {"cleanup.policy": "compact"}
# Records with the fields that we add.
_RECORDS = {"max.message.bytes": str(LARGEST_BYTES)}


def library() -> Any:
    """The package `confluent_kafka`. Raises ConfigError where it is not installed."""
    try:
        return importlib.import_module("confluent_kafka")
    except ModuleNotFoundError:
        raise ConfigError(
            "this command needs the package confluent-kafka: pip install 'fluent-krone[kafka]'"
        ) from None


class Clients:
    """Makes the clients of one instance. `on_error` is called with each error of a connection."""

    def __init__(self, config: Config, on_error: Callable[[Any], None]) -> None:
        if not config.brokers:
            raise ConfigError("brokers must be given, for example kafka1:9092,kafka2:9092")
        self.kafka = library()
        # Whether a group that has read nothing yet begins at the end of each partition.
        self.begins_at_end = config.offset_reset == "latest"
        self._config = config
        # What the operator sets wins over what we set.
        self._given: dict[str, str] = {}
        if config.client_properties is not None:
            self._given = _properties(Path(config.client_properties))
        self._common = _common(config) | {"error_cb": on_error, "logger": _quiet()}

    def consumer(self) -> Any:
        """The consumer that is a member of the group."""
        given: dict[str, Any] = {
            "group.id": self._config.group,
            # Partitions that stay with their instance go on while others move.
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": int(self._config.member_timeout * 1000),
            "heartbeat.interval.ms": int(self._config.member_timeout * 1000 / 5),
            "max.poll.interval.ms": _POLL_MS,
            "auto.offset.reset": self._config.offset_reset,
            "topic.metadata.refresh.interval.ms": _REFRESH_MS,
            "queued.max.messages.kbytes": _AHEAD_KB,
        }
        if self._config.member_name:
            given["group.instance.id"] = self._config.member_name
        return self.kafka.Consumer(self._reading() | given | self._given)

    def reader(self) -> Any:
        """A consumer that never joins the group: it reads what was committed."""
        return self.kafka.Consumer(
            self._reading()
            | {
                "group.id": self._config.group,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": _END_MS,
            }
            | self._given
        )

    def producer(self, transactional_id: str) -> Any:
        """A producer of transactions."""
        return self.kafka.Producer(
            self._common
            | {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": _TRANSACTION_MS,
                "message.max.bytes": LARGEST_BYTES,
                "compression.type": "lz4",
                # As producers in Java do it, so that all of them choose the same partition.
                "partitioner": "murmur2_random",
                "retry.backoff.ms": _RETRY_MS,
            }
            | self._given
        )

    def admin(self) -> Any:
        """A client that creates topics."""
        admin = importlib.import_module("confluent_kafka.admin")
        return admin.AdminClient(self._common | self._given)

    def _reading(self) -> dict[str, Any]:
        return self._common | {
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": _FETCH_BYTES,
            "fetch.max.bytes": _FETCH_BYTES,
            "receive.message.max.bytes": _ANSWER_BYTES,
        }


def _quiet() -> logging.Logger:
    """A logger for what librdkafka says of each connection; `on_error` reports what matters."""
    logger = logging.getLogger("fluent_krone.kafka.librdkafka")
    logger.setLevel(logging.CRITICAL)
    return logger


def _common(config: Config) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bootstrap.servers": config.brokers,
        "client.id": "fluent-krone",
        "log.connection.close": False,
    }
    is_secured = config.broker_tls or config.broker_ca_path or config.broker_cert_path
    protocol = "plaintext"
    if is_secured:
        protocol = "ssl"
    if config.sasl_mechanism:
        protocol = f"sasl_{protocol}"
    given = {
        "security.protocol": protocol,
        "ssl.ca.location": config.broker_ca_path,
        "ssl.certificate.location": config.broker_cert_path,
        "ssl.key.location": config.broker_private_key_path,
        "sasl.mechanism": config.sasl_mechanism,
        "sasl.username": config.sasl_username,
        "sasl.password": shared_key(config, "sasl_password"),
    }
    found |= {name: value for name, value in given.items() if value is not None}
    return found


def _properties(path: Path) -> dict[str, str]:
    """The properties in a file of `name=value` lines; empty lines and comments are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"client_properties {path}: {reason}") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        name, equals, value = line.partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals:
            raise ConfigError(f"client_properties {path}, line {number}: write name=value")
        found[name.strip()] = value.strip()
    return found


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of a group's own topics."""

    state: str
    alerts: str
    errors: str
    knowledge: str
    keep: str
    summary: str
    annotated: str

    @classmethod
    def of(cls, group: str) -> Topics:
        """Each name begins with the group's."""
        return cls(
            state=f"{group}-state",
            alerts=f"{group}-alerts",
            errors=f"{group}-errors",
            knowledge=f"{group}-knowledge",
            keep=f"{group}-keep",
            summary=f"{group}-keep-summary",
            annotated=f"{group}-annotated",
        )


def partition_count(admin: Any, config: Config, topic: str) -> int:
    """How many partitions a topic has; 0: there is no such topic.

    Raises KroneError when no broker answers.
    """
    errors = importlib.import_module("confluent_kafka")
    try:
        found = admin.list_topics(topic, timeout=_ANSWER_S).topics.get(topic)
    except errors.KafkaException as error:
        raise KroneError(
            f"brokers {config.brokers} do not answer ({error.args[0].str()}): check their address, "
            "and broker_tls, sasl_mechanism and the password if they ask for them"
        ) from None
    if found is None or found.error is not None:
        return 0
    return len(found.partitions)


def ensure_judged(clients: Clients, config: Config) -> int:
    """Create what `kafka` writes to; returns how many partitions the input has.

    A changelog with fewer partitions than the input gets the missing ones. Raises ConfigError.
    """
    topics = Topics.of(config.group)
    admin = clients.admin()
    count = input_partitions(admin, config)
    _ensure(admin, config, topics.state, count, _STATE)
    _ensure(admin, config, topics.alerts, 1, {})
    _ensure(admin, config, topics.errors, 1, {})
    _ensure(admin, config, topics.knowledge, 1, _COMPACT)
    if config.keep:
        _ensure(admin, config, topics.keep, count, _RECORDS)
        _ensure(admin, config, topics.summary, 1, {})
    if config.annotate:
        _ensure(admin, config, topics.annotated, count, _RECORDS)
    return count


def ensure_known(clients: Clients, config: Config) -> None:
    """Create the topic of what all instances of a group know."""
    _ensure(clients.admin(), config, Topics.of(config.group).knowledge, 1, _COMPACT)


def ensure_keyed(clients: Clients, config: Config) -> None:
    """Create what `kafka-key` writes to; the output gets as many partitions as the input has."""
    assert config.output_topic
    admin = clients.admin()
    count = input_partitions(admin, config)
    if not partition_count(admin, config, config.output_topic):
        _ensure(admin, config, config.output_topic, count, _RECORDS)
    _ensure(admin, config, Topics.of(config.group).errors, 1, {})


def input_partitions(admin: Any, config: Config) -> int:
    """The number of partitions of the input topic. Raises ConfigError where there is no topic."""
    if not config.topic:
        raise ConfigError("topic must be given: the topic that is read")
    count = partition_count(admin, config, config.topic)
    if not count:
        raise ConfigError(f"topic {config.topic}: the brokers have no such topic, create it first")
    return count


def _ensure(
    admin: Any, config: Config, topic: str, partitions: int, settings: Mapping[str, str]
) -> None:
    there = partition_count(admin, config, topic)
    if there >= partitions:
        return
    new = importlib.import_module("confluent_kafka.admin")
    if there:
        done = admin.create_partitions([new.NewPartitions(topic, partitions)])
    else:
        # -1 is the brokers' own default.
        replication = config.replication or -1
        wanted = new.NewTopic(topic, partitions, replication, config=dict(settings))
        done = admin.create_topics([wanted])
    try:
        done[topic].result(_ANSWER_S)
    except new.KafkaException as error:
        found = error.args[0]
        if found.code() not in (found.TOPIC_ALREADY_EXISTS, found.INVALID_PARTITIONS):
            raise ConfigError(
                f"topic {topic} can't be created with {partitions} partitions: "
                f"{found.str()}; create it yourself, or allow us to create topics"
            ) from None
        # Another instance was faster.
        return
    _log.info("topic created topic=%s partitions=%d", topic, partitions)
