"""Where a command finds the knowledge file, and who runs the command."""

from __future__ import annotations

import argparse
import getpass
import os
from pathlib import Path

from ..config import from_flags
from ..errors import KroneError


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
