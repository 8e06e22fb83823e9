"""How commands are declared on the command line, and how wrong usage is reported: in one line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from ..config import add_flags, suggestion

# What a command runs: it takes the parsed flags and returns the exit code.
Run = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports wrong usage in one line, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2, as argparse does."""
        self.exit(2, f"{self.prog}: {message} (usage: {self.prog} --help)\n")


class Commands:
    """The commands of `fluent-krone`, in the order in which `--help` lists them."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._added = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(self, name: str, run: Run, summary: str, *, door: str | None = None) -> Parser:
        """Declare a command; with `door` it gets one flag for each parameter of that door."""
        command: Parser = self._added.add_parser(
            name, help=summary, description=_sentence(summary), allow_abbrev=False
        )
        command.set_defaults(command=run, parser=command)
        if door is not None:
            # A usage line with some eighty options would hide what the groups below it show.
            command.usage = f"{command.prog} [OPTION ...]"
            add_flags(command, door)
        return command

    def add_parser(self, name: str, **options: Any) -> Any:
        """Declare a command that has commands of its own, as argparse does it."""
        return self._added.add_parser(name, **options)

    def check_name(self, arguments: list[str]) -> None:
        """End with the nearest name if the first argument is no command."""
        if not arguments or arguments[0].startswith("-"):
            return
        name = arguments[0]
        if name not in self._added.choices:
            nearest = suggestion(name, self._added.choices)
            self._parser.error(f"unknown command {name!r}{nearest}")


def parse(parser: Parser, commands: Commands, arguments: list[str]) -> argparse.Namespace:
    """The parsed flags. An unknown option ends the program with 2 and names the nearest one."""
    commands.check_name(arguments)
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = [f"--{name.replace('_', '-')}" for name in vars(flags)]
        nearest = suggestion(unknown[0].split("=")[0], known)
        wrong: argparse.ArgumentParser = getattr(flags, "parser", parser)
        wrong.error(f"unknown argument {unknown[0]}{nearest}")
    return flags


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."
