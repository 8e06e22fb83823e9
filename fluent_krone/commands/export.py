"""`fluent-krone export …`: hands its arguments to the offline export, wherever that lies."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command. Its arguments are not parsed here; see `run`."""
    summary = "fit a model bundle to a log file (see `fluent-krone export --help`)"
    commands.add("export", lambda flags: run([]), summary)


def run(arguments: list[str]) -> int:
    """Run an export command.

    The export lies inside the package where it is installed, and beside it in a checkout.
    """
    try:
        command = importlib.import_module("fluent_krone.export.cli")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("fluent_krone.export"):
            raise
        sys.path.insert(0, str(Path(__file__).parents[2]))
        command = importlib.import_module("export.cli")
    return int(command.main(arguments, prog="fluent-krone export"))
