"""Messages to all instances of a group: marks, and which bundle to use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..detect.bundle import load_bundle
from ..errors import KroneError
from ..explain.rows import Row, read_rows
from .clients import Clients
from .shared_knowledge import messages_of
from .topics import Topics, ensure_known

# Seconds that the brokers may take.
_WITHIN_S = 30.0


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
        producer.init_transactions(_WITHIN_S)
        producer.begin_transaction()
        for key, value in messages:
            producer.produce(Topics.of(config.group).knowledge, value, key=key, partition=0)
        producer.commit_transaction(_WITHIN_S)
    except clients.kafka.KafkaException as error:
        raise KroneError(f"nothing was shared: {error.args[0].str()}") from None
    return len(messages)
