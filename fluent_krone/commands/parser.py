"""How the commands of `fluent-krone` are declared, and options that several of them have."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Callable
from pathlib import Path

from ..config import Parser, add_flags, from_flags
from ..errors import KroneError

# What a command runs: it takes the parsed flags and returns the exit code.
Run = Callable[[argparse.Namespace], int]


class Commands:
    """The commands of a parser, in the order in which `--help` lists them.

    Abbreviated options are errors: an option that is added later must not change what they mean.
    """

    def __init__(self, parser: Parser) -> None:
        self._added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, summary: str, *, parameters_of: str | None = None) -> Parser:
        """Declare a command; `parameters_of` names the one whose parameters are its flags."""
        command = self._parser(name, summary)
        command.set_defaults(command=run)
        if parameters_of is not None:
            # A usage line with some eighty options would hide what the groups below it show.
            command.usage = f"{command.prog} [OPTION ...]"
            add_flags(command, parameters_of)
        return command

    def group(self, name: str, summary: str) -> Commands:
        """Declare a command such as `knowledge`; `knowledge list` is added to what this returns."""
        return Commands(self._parser(name, summary))

    def _parser(self, name: str, summary: str) -> Parser:
        return self._added.add_parser(name, help=summary, description=_sentence(summary))


def _sentence(summary: str) -> str:
    """What a command does, as `--help` of the command itself begins with it.

    >>> _sentence("list incidents, the newest first")
    'List incidents, the newest first.'
    """
    return f"{summary[0].upper()}{summary[1:]}."


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say, one or the other, where the knowledge file is."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--knowledge", metavar="FILE", help="the knowledge file itself")
    place.add_argument(
        "--store", metavar="FILE", help="the service's store: the knowledge file is beside it"
    )
    place.add_argument(
        "--config", metavar="FILE.toml", help="the service's parameters, which name one of the two"
    )


def knowledge_path(flags: argparse.Namespace) -> Path:
    """The knowledge file that the options name. Raises KroneError where they name none."""
    only = argparse.Namespace(config=flags.config, knowledge=flags.knowledge, store=flags.store)
    path = from_flags(only, "serve").knowledge_path
    if path is None:
        raise KroneError(
            f"{flags.config} sets neither store nor knowledge: "
            "what the service knows is lost when it stops"
        )
    return path


def user_name() -> str:
    """The name of the user who runs the command. In a container the user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
