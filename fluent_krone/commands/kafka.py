"""`fluent-krone kafka`: judges the partitions of a topic, together with the group's others."""

from __future__ import annotations

import argparse

from ..config import from_flags
from . import running
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    commands.add(
        "kafka",
        run,
        "judge the partitions of a Kafka topic, together with other instances of the group",
        door="kafka",
    )


def run(flags: argparse.Namespace) -> int:
    """Judge until SIGINT or SIGTERM."""
    config = from_flags(flags, "kafka")
    running.start_logging(config)
    # Imported here because only this command needs them.
    from ..kafka.instance import judge

    judge(config)
    return 0
