"""`python -m export` in a checkout, `fluent-krone export` anywhere: from a log file to a model bundle."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fluent_krone.config import parse_duration, parse_list
from fluent_krone.core.records import InputSettings
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import find_bundle, load_bundle
from fluent_krone.errors import KroneError

from . import hierarchy
from .fit import FitOptions, fit


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; exit codes as `fluent-krone`."""
    flags = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], None] = flags.command
    try:
        command(flags)
    except (KroneError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export", description="Fit a model bundle to a log file, offline, without an LLM."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser("fit", help="log file → bundle", description="From a log file to a model bundle.")
    command.set_defaults(command=_fit)
    command.add_argument(
        "--input", required=True, type=Path, metavar="FILE", help="parquet, csv, jsonl or text, in log order"
    )
    command.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="the bundle; replaced if it is there"
    )
    command.add_argument("--name", default="", help="name of the bundle (default: that of the directory)")
    command.add_argument(
        "--session-key", required=True, metavar="LIST", help="field names, `tag`, or one /regex/ over the message"
    )
    command.add_argument("--message-field", default="message", metavar="NAME")
    command.add_argument("--component-field", metavar="NAME", help="logger component: becomes the entity")
    command.add_argument("--time-field", metavar="NAME")
    command.add_argument("--time-format", metavar="FORMAT", help="strptime format of the time")
    command.add_argument(
        "--line-format", metavar="REGEX", help="named groups (?<message>…) that cut a raw line into fields"
    )
    command.add_argument("--idle-timeout", default="30m", metavar="DURATION", help="(default 30m)")
    command.add_argument(
        "--window", default="0", metavar="DURATION", help="cut each key's events into windows (default none)"
    )
    command.add_argument("--max-age", default="0", metavar="DURATION", help="(default no limit)")
    command.add_argument("--max-events", default=10_000, type=int, metavar="N", help="(default 10000)")
    command.add_argument(
        "--end-template", action="append", default=[], metavar="TEXT", help="a template that ends a session"
    )
    command.add_argument(
        "--labels", type=Path, metavar="FILE", help="abnormal sessions named here are left out of training"
    )
    command.add_argument("--templates", type=Path, metavar="FILE.csv", help="column EventTemplate; default: mined")
    command.add_argument("--tree", type=Path, metavar="FILE.csv", help="a corrected hierarchy; default: extracted")
    command.add_argument(
        "--train-fraction",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="fit on sessions that begin in this first part",
    )
    command = commands.add_parser("show", help="draw a bundle's tree", description="Draw a bundle's tree.")
    command.set_defaults(command=_show)
    command.add_argument("bundle", help="a directory, or the name of a shipped bundle")
    return parser


def _fit(flags: argparse.Namespace) -> None:
    try:
        durations = {name: parse_duration(getattr(flags, name)) for name in ("idle_timeout", "window", "max_age")}
    except ValueError as error:
        raise KroneError(str(error)) from None
    options = FitOptions(
        input=flags.input,
        output=flags.output,
        name=flags.name,
        input_settings=InputSettings(
            session_key=parse_list(flags.session_key),
            message_field=flags.message_field,
            component_field=flags.component_field,
            time_field=flags.time_field,
            time_format=flags.time_format,
            line_format=flags.line_format,
        ),
        session_settings=SessionSettings(
            **durations, max_events=flags.max_events, end_templates=tuple(flags.end_template)
        ),
        labels=flags.labels,
        templates=flags.templates,
        tree=flags.tree,
        train_fraction=flags.train_fraction,
    )
    bundle = fit(options)
    print(f"bundle: {flags.output} ({bundle.hash}), {len(bundle.golden)} golden runs")


def _show(flags: argparse.Namespace) -> None:
    bundle = load_bundle(flags.bundle)
    leaves = hierarchy.read_tree(find_bundle(flags.bundle) / "hierarchy.csv", bundle.templates)
    print(hierarchy.show_tree(leaves, color=sys.stdout.isatty()))
