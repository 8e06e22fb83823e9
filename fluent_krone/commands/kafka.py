"""The commands on Kafka: `kafka` judges a topic's partitions, `kafka-key` writes a topic with keys,
and `kafka-share` sends marks and the choice of a bundle to all instances of a group.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import Config, from_flags
from . import running
from .parser import Commands

# `..kafka` is imported where a command needs it: other commands do without Kafka's package.


def add(commands: Commands) -> None:
    """Declare the commands."""
    commands.add(
        "kafka",
        judge,
        "judge the partitions of a Kafka topic, together with other instances of the group",
        parameters_of="kafka",
    )
    commands.add(
        "kafka-key",
        give_keys,
        "write the messages of a Kafka topic to another one, keyed by their sessions",
        parameters_of="kafka-key",
    )
    command = commands.add(
        "kafka-share",
        share,
        "share marks, or announce a bundle, to all instances of a Kafka group",
        parameters_of="kafka-share",
    )
    command.add_argument(
        "--rows",
        metavar="FILE",
        type=Path,
        help="what `knowledge export` wrote: marks of persons and answers of models",
    )
    command.add_argument(
        "--announce",
        metavar="BUNDLE",
        help="every instance changes to this bundle as soon as it has it",
    )
    command.add_argument(
        "--unmark",
        metavar="PATTERN",
        nargs="+",
        default=[],
        help="take back what a person said of these signatures",
    )


def judge(flags: argparse.Namespace) -> int:
    """Judge until SIGINT or SIGTERM."""
    config = _logging_config(flags, "kafka")
    from ..kafka import instance

    instance.judge(config)
    return 0


def give_keys(flags: argparse.Namespace) -> int:
    """Write keyed messages until SIGINT or SIGTERM."""
    config = _logging_config(flags, "kafka-key")
    from ..kafka import instance

    instance.give_keys(config)
    return 0


def share(flags: argparse.Namespace) -> int:
    """Write all that is to be shared, or nothing; returns once the brokers have it."""
    config = _logging_config(flags, "kafka-share")
    from ..kafka import shared_knowledge

    count = shared_knowledge.share(config, flags.rows, flags.announce, flags.unmark)
    print(f"shared {count} with group {config.group}")
    return 0


def _logging_config(flags: argparse.Namespace, name: str) -> Config:
    """The parameters of a command, whose log begins here."""
    config = from_flags(flags, name)
    running.start_logging(config)
    return config
