"""The topics that we write: their names, and how they are created where they are missing."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..errors import ConfigError, KroneError
from .clients import LARGEST_BYTES, Clients

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
    """How many partitions the topic has that is read. Raises ConfigError where there is none."""
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
                f"{found.str()}; create it yourself, or allow it"
            ) from None
        # Another instance was faster.
        return
    _log.info("topic created topic=%s partitions=%d", topic, partitions)
