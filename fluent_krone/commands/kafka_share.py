"""`fluent-krone kafka-share`: sends marks, and which bundle to use, to all instances of a group."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import from_flags
from . import running
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "kafka-share",
        run,
        "share marks, or announce a bundle, to all instances of a Kafka group",
        door="kafka-share",
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


def run(flags: argparse.Namespace) -> int:
    """Write it all, or nothing; returns once the brokers have it."""
    config = from_flags(flags, "kafka-share")
    running.start_logging(config)
    # Imported here because only this command needs it.
    from ..kafka.shared_knowledge import share

    count = share(config, flags.rows, flags.announce, flags.unmark)
    print(f"shared {count} with group {config.group}")
    return 0
