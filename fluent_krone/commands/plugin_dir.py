"""`fluent-krone plugin-dir`: where Fluentd finds the plugin."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    commands.add(
        "plugin-dir",
        run,
        'print the directory of the Fluentd plugin: fluentd -p "$(fluent-krone plugin-dir)"',
    )


def run(flags: argparse.Namespace) -> int:
    """Print the directory."""
    print(Path(__file__).parents[1] / "fluentd")
    return 0
