"""The command `fluent-krone`.

Exit codes: 0 done, 1 a failure reported in one line, 2 wrong usage, 3 `serve` stopped while alerts
were left that no receiver had confirmed.
"""

# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from . import __version__
from .commands import (
    accept,
    bundles,
    check_config,
    demo,
    explain,
    export,
    incidents,
    kafka,
    knowledge,
    ledger,
    pipe,
    plugin_dir,
    refit,
    replay,
    report,
    serve,
)
from .commands.parser import Commands
from .config import Parser
from .errors import KroneError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show an arrow must not stop a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:])
    if argv is not None:
        arguments = list(argv)
    if arguments[:1] == ["export"]:
        return export.run(arguments[1:])
    parser = _declared()
    _complete(parser)
    flags = parser.parse_args(arguments)
    return _run(flags.command, flags)


def _run(command: Callable[[argparse.Namespace], int], flags: argparse.Namespace) -> int:
    try:
        code = command(flags)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. What is still buffered is thrown away.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KroneError, OSError) as error:
        print(f"fluent-krone: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1


def _declared() -> Parser:
    parser = Parser(
        prog="fluent-krone",
        description="Finds the executions that went wrong in a log stream.",
    )
    parser.add_argument("--version", action="version", version=f"fluent-krone {__version__}")
    commands = Commands(parser)
    for module in (
        *(serve, pipe, replay, demo, check_config),
        *(plugin_dir, report, refit, accept, kafka),
    ):
        module.add(commands)
    bundles.add_commands(commands.add_parser)
    incidents.add_commands(commands.add_parser)
    knowledge.add_commands(commands.add_parser)
    ledger.add_commands(commands.add_parser)
    explain.add_commands(commands.add_parser)
    commands.add_parser(
        "export", help="fit a model bundle to a log file (see `fluent-krone export --help`)"
    )
    return parser


def _complete(parser: Parser) -> None:
    """Answer the shell's question for completions, where argcomplete is installed."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        argcomplete = importlib.import_module("argcomplete")
    except ModuleNotFoundError:
        return
    argcomplete.autocomplete(parser)
