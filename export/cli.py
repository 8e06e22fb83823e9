"""`python -m export` in a checkout, `fluent-krone export` anywhere: from a log to a model bundle."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fluent_krone.config import default_of, parse_duration, parse_list
from fluent_krone.detect.bundle import find_bundle, load_bundle
from fluent_krone.errors import KroneError

from . import hierarchy
from .fit import STAGES, fit
from .stage_bundle import check_output
from .stages import Options, Work, load_options, save_options
from .work_files import source_of

_WHAT = {
    "mine": "messages → templates; guesses and shows how lines are built",
    "hierarchy": "templates → tree of entity, action, status: hierarchy.csv, to be corrected",
    "sequences": "cut the log into sessions, as the plugin will",
    "train": "fit the density of normal sessions, as an ONNX model",
    "calibrate": "threshold, and who may clear whom, from normal sessions alone",
    "report": "the report card",
    "bundle": "put it together",
}


def main(argv: Sequence[str] | None = None, prog: str = "python -m export") -> int:
    """Run one command; exit codes as `fluent-krone`. `prog` is what the user typed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal that can't draw a tree is no reason to stop
    flags = _parser(prog).parse_args(argv)
    command: Callable[[argparse.Namespace], None] = flags.command
    try:
        command(flags)
    except BrokenPipeError:
        sys.stderr.close()
    except KroneError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"export: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("export: interrupted", file=sys.stderr)
        return 1
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Fit a model bundle to a log, offline.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "fit", help="all stages: log → bundle", description="From a log to a model bundle."
    )
    command.set_defaults(command=_fit, until="bundle")
    _add_options(command, work_required=False)
    for stage in STAGES:
        what = _WHAT[stage.name]
        command = commands.add_parser(
            stage.name,
            help=what,
            description=f"{what}. Does what is missing before it; options are remembered in the work directory.",
        )
        command.set_defaults(command=_stage, until=stage.name)
        _add_options(command, work_required=True)
    command = commands.add_parser(
        "show", help="draw a tree", description="Draw the tree of a bundle or a file."
    )
    command.set_defaults(command=_show)
    command.add_argument(
        "tree", help="a bundle's directory, the name of a shipped one, or a hierarchy.csv"
    )
    return parser


def _add_options(command: argparse.ArgumentParser, *, work_required: bool) -> None:
    """One flag an option; what is not given stays as it was in the work directory, or has its default."""
    command.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        required=work_required,
        help="where stages keep their files (default: OUTPUT.work, removed when all went well)",
    )
    _group(
        command,
        "input",
        ("input", Path, "FILE", "log in its order: text, jsonl, csv, parquet; .gz too"),
        ("session_key", parse_list, "LIST", "field names, `tag`, or one /regex/ over the message"),
        ("message_field", str, "NAME", "(default: message, or what stands for it)"),
        ("component_field", str, "NAME", "logger component: becomes the entity"),
        ("time_field", str, "NAME", "(default: time, timestamp, @timestamp or ts, where there)"),
        ("time_format", str, "FORMAT", "strptime format of the time"),
        (
            "line_format",
            str,
            "REGEX",
            "named groups (?<message>…) that cut a line; '' for none (default: guessed)",
        ),
        (
            "sessions",
            Path,
            "FILE.jsonl",
            'sessions already cut: {"session", "keys", "label"?} a line',
        ),
        ("templates", Path, "FILE.csv", "EventId,EventTemplate (default: mined)"),
        ("labels", Path, "FILE", "abnormal sessions named here are left out of training"),
        (
            "train_fraction",
            _share,
            "SHARE",
            "fit on sessions that begin in this first part (default 1)",
        ),
    )
    _group(
        command,
        "sessions",
        ("idle_timeout", _duration, "DURATION", "(default: suggested by the pauses in the log)"),
        ("window", _duration, "DURATION", "cut each key's events into windows (default none)"),
        ("max_age", _duration, "DURATION", "(default no limit)"),
        ("max_events", int, "N", "(default 10000)"),
    )
    command.add_argument(
        "--end-template",
        action="append",
        dest="end_templates",
        metavar="TEXT",
        help="it ends a session",
    )
    _group(
        command,
        "tree",
        ("tree", Path, "FILE.csv", "a corrected hierarchy.csv (default: extracted)"),
        ("llm", _llm, "claude", "ask Claude for the tree; only template texts are sent, redacted"),
        ("llm_model", str, "NAME", f"(default {default_of('explain_model')})"),
        (
            "llm_base_url",
            str,
            "URL",
            "a gateway in place of the Anthropic API: https, or this machine",
        ),
        (
            "llm_cache",
            Path,
            "FILE",
            "answers, so that nothing is asked twice (default: in the user's cache directory)",
        ),
    )
    _group(
        command,
        "output",
        ("output", Path, "DIR", "the bundle; replaced if it is there (default: INPUT.bundle)"),
        ("name", str, "NAME", "of the bundle (default: that of the directory)"),
        ("seed", int, "N", "(default 0)"),
    )


def _group(
    command: argparse.ArgumentParser,
    title: str,
    *options: tuple[str, Callable[[str], Any], str, str],
) -> None:
    group = command.add_argument_group(title)
    for name, kind, metavar, help_text in options:
        group.add_argument(
            f"--{name.replace('_', '-')}", dest=name, type=kind, metavar=metavar, help=help_text
        )


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share: it lies above 0 and is at most 1")
    return share


def _llm(text: str) -> str:
    if text != "claude":
        raise argparse.ArgumentTypeError(f"{text!r}: only claude is known")
    return text


def _given(flags: argparse.Namespace) -> dict[str, Any]:
    known = Options.__dataclass_fields__
    return {
        name: value for name, value in vars(flags).items() if name in known and value is not None
    }


def _stage(flags: argparse.Namespace) -> None:
    options = load_options(flags.work, _given(flags))
    if flags.until == "bundle":
        options = _with_output(options)
    save_options(flags.work, options)
    fit(Work(flags.work, options), flags.until)


def _with_output(options: Options) -> Options:
    """Without --output the bundle has the input's name, in the current directory."""
    output = options.output or Path(f"{source_of(options).name.split('.')[0]}.bundle")
    check_output(output)
    return replace(options, output=output)


def _fit(flags: argparse.Namespace) -> None:
    if flags.work:
        _stage(flags)
        return
    options = _with_output(Options(**_given(flags)))
    assert options.output
    work = options.output.with_name(options.output.name + ".work")
    try:
        fit(Work(work, options))
    except (KroneError, OSError, KeyboardInterrupt):
        if _is_worth_keeping(work):
            print(
                f"export: what was done so far is in {work}: the same command goes on from there",
                file=sys.stderr,
            )
        raise
    shutil.rmtree(work)


def _is_worth_keeping(work: Path) -> bool:
    if (work / "templates.json").exists():
        return True
    shutil.rmtree(work, ignore_errors=True)
    return False


def _show(flags: argparse.Namespace) -> None:
    path = Path(flags.tree)
    if path.is_file():
        leaves = hierarchy.read_tree(path)
    else:
        leaves = hierarchy.read_tree(
            find_bundle(flags.tree) / "hierarchy.csv", load_bundle(flags.tree).templates
        )
    print(
        hierarchy.show_tree(leaves, color=sys.stdout.isatty() and not os.environ.get("NO_COLOR")),
        end="",
    )
