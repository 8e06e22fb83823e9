"""One knowledge for all instances of a group: a compacted topic that each of them reads whole.

The topic holds marks of persons, what they accepted, and answers of models, as `knowledge export`
writes them, and the hash of the bundle that the group is to use:

- `row/PATTERN/WHO`: one line of JSON; an empty message deletes it.
- `bundle`: the announced hash. An instance changes to a bundle only if it is the announced one, so
  that all instances change at the same time, and only those that have it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..config import Config
from ..detect.bundle import load_bundle
from ..errors import ConfigError, KroneError
from ..explain.accepted import Accepted
from ..explain.knowledge import Knowledge
from ..explain.rows import Learned, Mark, Row, line_of, read_rows, row_of_line
from .clients import Clients, Topics, ensure_known

_log = logging.getLogger(__name__)

_BUNDLE = b"bundle"
_ROW = b"row/"
# Who a row may be from; the tables of the knowledge have these names.
_KINDS = frozenset(kind.who for kind in (Mark, Learned, Accepted))
# Messages that are taken at once.
_MOST = 1000
# Seconds that the start waits for what the group knows, and for each part of it.
_LOAD_S = 20.0
_WAIT_S = 0.2
# Seconds that the brokers may take when something is shared.
_SHARED_S = 30.0


class SharedKnowledge:
    """The group's knowledge, in memory. `poll` takes in what is new."""

    def __init__(self, clients: Clients, topic: str) -> None:
        self.knowledge = Knowledge(None)
        self.bundle_hash: str | None = None
        self._clients = clients
        self._topic = topic
        self._reader: Any = None

    def load(self) -> None:
        """Read the topic to its end, as far as that is possible within a few seconds."""
        kafka = self._clients.kafka
        self._reader = self._clients.reader()
        self._reader.assign([kafka.TopicPartition(self._topic, 0, kafka.OFFSET_BEGINNING)])
        deadline = time.monotonic() + _LOAD_S
        while not self._poll(_WAIT_S):
            if time.monotonic() > deadline:
                _log.warning("shared knowledge is not read yet topic=%s", self._topic)
                return

    def poll(self) -> None:
        """Take in what came since the last call."""
        if self._reader is not None:
            self._poll(0)

    def _poll(self, wait_s: float) -> bool:
        """Take in what comes within `wait_s`; whether the end of the topic was reached."""
        end = self._clients.kafka.KafkaError._PARTITION_EOF
        is_end = False
        for message in self._reader.consume(_MOST, wait_s):
            if message.error() is None:
                self._take(message.key() or b"", message.value())
            elif message.error().code() == end:
                is_end = True
        return is_end

    def mismatch(self, bundle_hash: str) -> str | None:
        """Why a bundle must not be changed to: another one was announced."""
        if self.bundle_hash is None or self.bundle_hash == bundle_hash:
            return None
        return (
            f"the group is to use bundle {self.bundle_hash}, and this is {bundle_hash}: copy that "
            "bundle here, or announce this one with kafka-share"
        )

    def _take(self, key: bytes, value: bytes | None) -> None:
        try:
            if key == _BUNDLE:
                self.bundle_hash = None
                if value:
                    self.bundle_hash = value.decode()
            elif key.startswith(_ROW):
                self._take_row(key, value)
        except (KroneError, ValueError) as error:
            _log.warning("shared knowledge not taken in key=%s reason=%s", key[:80], error)

    def _take_row(self, key: bytes, value: bytes | None) -> None:
        pattern, _, who = key.removeprefix(_ROW).decode().rpartition("/")
        if value is not None:
            self.knowledge.take([row_of_line(value.decode())])
        elif who in _KINDS:
            with self.knowledge.transaction() as db:
                db.execute(f"DELETE FROM {who} WHERE pattern = ?", (pattern,))


def share(config: Config, rows: Path | None, announced: str | None, unmarked: Sequence[str]) -> int:
    """Write rows of knowledge, the hash of a bundle, and marks taken back; returns how many.

    They are one transaction. Raises KroneError when the brokers do not take it.
    """
    known: list[Row] = []
    if rows is not None:
        known = read_rows(rows)
    bundle_hash = None
    if announced is not None:
        bundle_hash = load_bundle(announced).hash
    messages = messages_of(known, bundle_hash, unmarked)
    clients = Clients(config, lambda error: None)
    ensure_known(clients, config)
    producer = clients.producer(f"{config.group}-share")
    try:
        producer.init_transactions(_SHARED_S)
        producer.begin_transaction()
        for key, value in messages:
            producer.produce(Topics.of(config.group).knowledge, value, key=key, partition=0)
        producer.commit_transaction(_SHARED_S)
    except clients.kafka.KafkaException as error:
        raise KroneError(f"nothing was shared: {error.args[0].str()}") from None
    return len(messages)


def messages_of(
    rows: Iterable[Row], bundle_hash: str | None, unmarked: Iterable[str]
) -> list[tuple[bytes, bytes | None]]:
    """Key and value of each message that shares rows, announces a bundle, and takes marks back."""
    found: list[tuple[bytes, bytes | None]] = [
        (b"%s%s/%s" % (_ROW, row.pattern.encode(), row.who.encode()), line_of(row).encode())
        for row in rows
    ]
    found += [
        (b"%s%s/%s" % (_ROW, pattern.encode(), who.encode()), None)
        for pattern in unmarked
        for who in (Mark.who, Accepted.who)
    ]
    if bundle_hash is not None:
        found.append((_BUNDLE, bundle_hash.encode()))
    if not found:
        raise ConfigError("there is nothing to share: give --rows, --announce or --unmark")
    return found
