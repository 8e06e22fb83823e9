"""`fluent-krone kafka-key`: writes a topic's messages to another topic, keyed by their sessions."""

from __future__ import annotations

import argparse

from ..config import from_flags
from . import running
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    commands.add(
        "kafka-key",
        run,
        "write the messages of a Kafka topic to another one, keyed by their sessions",
        door="kafka-key",
    )


def run(flags: argparse.Namespace) -> int:
    """Write keyed messages until SIGINT or SIGTERM."""
    config = from_flags(flags, "kafka-key")
    running.start_logging(config)
    # Imported here because only this command needs it.
    from ..kafka.instance import give_keys

    give_keys(config)
    return 0
