"""Clients of Kafka, with the settings on which exactly-once rests."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import Config
from ..errors import ConfigError
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
