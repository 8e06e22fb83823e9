"""The commands `bundles list|swap|rollback|add`: which bundle of a directory is in use."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..core.listing import numbered
from ..errors import KroneError
from ..learning.bundles import BundleFolder, Kept
from ..learning.refit import SHADOW
from ..learning.shadow import Shadow
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group(
        "bundles", "list, swap and roll back the bundles that a service has learnt"
    )
    command = group.add("list", _list, "list the bundles of a directory, the oldest first")
    _add_directory(command)
    command = group.add(
        "swap", _swap, "put a bundle into use; a running service takes it up within seconds"
    )
    _add_directory(command)
    command.add_argument("name", metavar="NAME", help="the bundle, as `bundles list` names it")
    command = group.add("rollback", _roll_back, "put the previous bundle back into use")
    _add_directory(command)
    command = group.add(
        "add", _add, "copy a bundle into a directory; the first one is put into use"
    )
    _add_directory(command)
    command.add_argument("bundle", metavar="BUNDLE", type=Path, help="the bundle to copy")


def _add_directory(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "directory", metavar="DIR", type=Path, help="the directory that `bundle` names"
    )


def _list(flags: argparse.Namespace) -> int:
    folder = _folder(flags)
    kept = folder.bundles()
    if not kept:
        print(f"{folder.path} has no bundle yet")
    for bundle in kept:
        print(_line(bundle))
        for line in _shadow_lines(folder.path / bundle.name):
            print(line)
    return 0


def _line(bundle: Kept) -> str:
    words = f"{bundle.name}  {bundle.hash}  fitted to {numbered(bundle.sessions, 'session')}"
    if bundle.is_current:
        words += "  in use"
    elif bundle.is_previous:
        words += "  in use before: rollback goes back to it"
    return words


def _shadow_lines(path: Path) -> list[str]:
    """What a candidate would have said of the last day, where it was judged."""
    try:
        figures = json.loads((path / SHADOW).read_text(encoding="utf-8"))
        figures["objections"] = tuple(figures["objections"])
        shadow = Shadow(**figures)
    except (OSError, ValueError, LookupError, TypeError):
        return []
    against = [f"    against it: {objection}" for objection in shadow.objections]
    return [f"    {shadow.words}", *against]


def _swap(flags: argparse.Namespace) -> int:
    folder = _folder(flags)
    folder.use(flags.name)
    print(f"{flags.name} is in use; `fluent-krone bundles rollback {folder.path}` undoes this")
    return 0


def _roll_back(flags: argparse.Namespace) -> int:
    folder = _folder(flags)
    print(f"{folder.roll_back()} is in use again")
    return 0


def _add(flags: argparse.Namespace) -> int:
    if not (flags.bundle / "manifest.json").is_file():
        raise KroneError(f"{flags.bundle} is not a bundle: it has no manifest.json")
    folder = BundleFolder(flags.directory)
    name = folder.add(flags.bundle)
    print(f"{flags.bundle} is {folder.path / name}")
    return 0


def _folder(flags: argparse.Namespace) -> BundleFolder:
    path: Path = flags.directory
    if not path.is_dir() or (path / "manifest.json").exists():
        raise KroneError(
            f"{path} is not a directory of bundles: name the one that `bundle` of the service names"
        )
    return BundleFolder(path)
