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
from .errors import KroneError, reason_of

# In the order in which `--help` lists their commands.
_MODULES = (
    *(demo, export, replay, check_config, serve, kafka, report, incidents, knowledge),
    *(accept, explain, ledger, bundles, refit, plugin_dir, pipe),
)


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
    except KroneError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(reason_of(error))
    except KeyboardInterrupt:
        return 1


def _failed(reason: str) -> int:
    print(f"fluent-krone: {reason}", file=sys.stderr)
    return 1


def _declared() -> Parser:
    parser = Parser(
        prog="fluent-krone", description="Finds the executions that went wrong in a log stream."
    )
    parser.add_argument("--version", action="version", version=f"fluent-krone {__version__}")
    commands = Commands(parser)
    for module in _MODULES:
        module.add(commands)
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
