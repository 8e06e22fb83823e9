"""`fluent-krone demo`: a simulated cluster with injected faults, found live."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from .parser import Commands


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "demo",
        run,
        "simulate a cluster with injected faults, and find them live over the Forward protocol",
    )
    command.add_argument(
        "--sessions", type=int, default=600, help="how many write pipelines (default 600)"
    )
    command.add_argument("--seed", type=int, default=0, help="seed of the simulation (default 0)")
    command.add_argument(
        "--alerts", metavar="OUT.jsonl", type=Path, help="write the alerts to this file"
    )
    command.add_argument(
        "--json", action="store_true", help="print only a summary, as one line of JSON"
    )


def run(flags: argparse.Namespace) -> int:
    """Run the demonstration. Its module is loaded only now: other commands do not need it."""
    live = importlib.import_module("..demo.live", __package__)
    return int(
        live.run(sessions=flags.sessions, seed=flags.seed, alerts=flags.alerts, as_json=flags.json)
    )
