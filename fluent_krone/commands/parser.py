"""How the commands of `fluent-krone` are declared on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..config import Parser, add_flags
from .groups import sentence

# What a command runs: it takes the parsed flags and returns the exit code.
Run = Callable[[argparse.Namespace], int]


class Commands:
    """The commands of `fluent-krone`, in the order in which `--help` lists them."""

    def __init__(self, parser: Parser) -> None:
        self._added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, summary: str, *, door: str | None = None) -> Parser:
        """Declare a command; with `door` it gets one flag for each parameter of that door."""
        command: Parser = self._added.add_parser(name, help=summary, description=sentence(summary))
        command.set_defaults(command=run)
        if door is not None:
            # A usage line with some eighty options would hide what the groups below it show.
            command.usage = f"{command.prog} [OPTION ...]"
            add_flags(command, door)
        return command

    def add_parser(self, name: str, **options: Any) -> Any:
        """Declare a command that has commands of its own, as argparse does it."""
        return self._added.add_parser(name, **options)
