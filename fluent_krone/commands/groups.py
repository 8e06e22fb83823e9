"""What commands that have commands of their own share: their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

# `add_parser` of an ArgumentParser's sub-parsers.
AddParser = Callable[..., argparse.ArgumentParser]
# Runs a command and returns its exit code.
Run = Callable[[argparse.Namespace], int]


class CommandGroup:
    """A command such as `knowledge`, to which commands such as `knowledge list` are added.

    Abbreviated options are errors: an option that is added later must not change what they mean.
    """

    def __init__(self, add_parser: AddParser, name: str, summary: str) -> None:
        group = add_parser(name, help=summary, description=sentence(summary))
        commands = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
        self._add_parser: AddParser = commands.add_parser

    def add(self, name: str, run: Run, summary: str, **options: Any) -> argparse.ArgumentParser:
        """The parser of a new command. `run` is put into the flag `command`, as cli.py expects."""
        parser = self._add_parser(name, help=summary, description=sentence(summary), **options)
        parser.set_defaults(command=run)
        return parser


def sentence(summary: str) -> str:
    """What a command does, as `--help` of the command itself begins with it.

    >>> sentence("list incidents, the newest first")
    'List incidents, the newest first.'
    """
    return f"{summary[0].upper()}{summary[1:]}."
