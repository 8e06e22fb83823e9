"""`fluent-krone report`: alerts as one page that needs nothing but a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..page import render
from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add("report", run, "write alerts as a page that needs nothing but a browser")
    command.add_argument(
        "alerts", metavar="ALERTS.jsonl", type=Path, help="alerts, one JSON object in each line"
    )
    command.add_argument(
        "-o", "--output", metavar="PAGE.html", type=Path, required=True, help="write the page here"
    )


def run(flags: argparse.Namespace) -> int:
    """Write the page."""
    return render.run(flags.alerts, flags.output)
