"""The command `ledger verify`: whether a ledger is as it was written, and what it adds up to."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.listing import numbered
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("ledger", "check what was sent to a model")
    command = group.add(
        "verify", _verify, "check that no line of a ledger was changed, removed or added"
    )
    command.add_argument("file", metavar="FILE", type=Path)
    command.add_argument(
        "--expect",
        metavar="HASH",
        help="the hash that an earlier run printed; if it is not in the file, lines are missing",
    )


def _verify(flags: argparse.Namespace) -> int:
    # Imported here, so that other commands start without the code that locks and hashes ledgers.
    from ..explain.ledger import verify

    found = verify(flags.file, expect=flags.expect)
    span = ""
    if found.first:
        span = f", {found.first} to {found.last}"
    print(f"{flags.file} is intact: {numbered(found.entries, 'line')}{span}")
    requests = numbered(found.requests, "request")
    tokens = numbered(found.tokens, "token")
    print(f"{requests}, {tokens}, {found.cost_usd:.6f} dollars")
    if found.torn:
        print(f"{numbered(found.torn, 'line')} left unfinished by a kill or a power cut")
    print(f"hash of the last line, to keep elsewhere and pass to --expect: {found.hash}")
    return 0
