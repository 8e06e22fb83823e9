"""`fluent-krone export …`: hands its arguments to the offline export, wherever that lies."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


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
