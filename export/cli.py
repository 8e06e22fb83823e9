"""The commands that turn a log into a bundle.

They are `python -m export` in a checkout and `fluent-krone export` anywhere.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from fluent_krone.background import run_as_child
from fluent_krone.config import Parser, default_of, parse_list
from fluent_krone.detect.bundle import find_bundle, load_bundle
from fluent_krone.errors import KroneError, reason_of
from fluent_krone.inputs import STDIN

from . import hierarchy
from .fit import STAGES, fit
from .option_types import count, duration, llm, positive, rate, share
from .source import InputNotes
from .stage_bundle import check_output
from .stages import Options, Work, load_options, save_options
from .suggest import as_line, suggest
from .work_files import source_of

# Where standard input and pipes are kept while an export reads them.
_STANDARD_INPUT = "standard_input.log"
_PIPE = "pipe_{}.log"
_WHAT = {
    "mine": "find the templates of the messages; guess and show how lines are built",
    "hierarchy": "find entity, action and status of each template (hierarchy.csv, to be corrected)",
    "sequences": "cut the log into sessions, as the plugin will",
    "calibrate": "find the thresholds, from normal sessions alone",
    "train": "fit the density of normal sessions, as an ONNX model",
    "report": "measure what the bundle is worth, and write the report card",
    "bundle": "write the bundle",
}


def main(argv: Sequence[str] | None = None, prog: str = "python -m export") -> int:
    """Run one command and return its exit code. `prog` is what the user typed."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that can't show the lines of a tree gets escapes instead of an error.
        sys.stdout.reconfigure(errors="backslashreplace")
    flags = _parser(prog).parse_args(argv)
    command: Callable[[argparse.Namespace], None] = flags.command
    notes = InputNotes()
    try:
        command(flags)
    except BrokenPipeError:
        sys.stderr.close()
    except KroneError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"export: {reason_of(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("export: interrupted", file=sys.stderr)
        return 1
    finally:
        notes.close()
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = Parser(prog=prog, description="Fit a model bundle to a log, offline.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "fit",
        help="run all stages, from a log to a bundle",
        description="From a log to a model bundle.",
    )
    command.set_defaults(command=_fit, until="bundle")
    _add_options(command, work_required=False)
    _add_child(command)
    command = commands.add_parser(
        "suggest",
        help="say which session key and idle timeout a log offers",
        description="Say which settings a log offers; the last line has them as JSON.",
    )
    command.set_defaults(command=_suggest)
    _add_input_options(command)
    _add_child(command)
    for stage in STAGES:
        what = _WHAT[stage.name]
        command = commands.add_parser(
            stage.name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}. Stages before it run if needed. Options "
            "are remembered in the work directory.",
        )
        command.set_defaults(command=_stage, until=stage.name)
        _add_options(command, work_required=True)
    command = commands.add_parser(
        "show", help="draw a tree", description="Draw the tree of a bundle or of a hierarchy.csv."
    )
    command.set_defaults(command=_show)
    command.add_argument(
        "tree", help="a bundle's directory, the name of a shipped one, or a hierarchy.csv"
    )
    return parser


def _add_options(command: argparse.ArgumentParser, *, work_required: bool) -> None:
    """Add one flag for each option, in groups.

    An option that is not given keeps its value in the work directory, or has its default.
    """
    command.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        required=work_required,
        help="where stages keep their files (default: OUTPUT.work, which is removed after success)",
    )
    _add_input_options(command)
    _add_training_options(command)
    _add_session_options(command)
    _add_tree_options(command)
    _add_output_options(command)


def _add_child(command: argparse.ArgumentParser) -> None:
    # How a service runs an export.
    command.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def _add_input_options(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("input")
    group.add_argument(
        "--input",
        nargs="+",
        action="extend",
        type=Path,
        metavar="FILE",
        help="logs: files, directories, patterns, or - for standard input; what a file is (text, "
        "JSON lines, a container's log, csv, parquet; compressed or not) is decided by its content",
    )
    _add(
        group,
        (
            "session_key",
            parse_list,
            "LIST",
            "names of fields, `tag`, or one /regex/ over the message; auto: the log decides",
        ),
        (
            "message_field",
            str,
            "NAME",
            "field of the message (default: message, msg, log and the like)",
        ),
        (
            "facet_fields",
            parse_list,
            "LIST",
            "fields whose value tells steps apart, such as level; '' for none (default: found)",
        ),
        ("component_field", str, "NAME", "field of the logger's name, which becomes the entity"),
        (
            "time_field",
            str,
            "NAME",
            "field of the time (default: time, timestamp, @timestamp or ts)",
        ),
        ("time_format", str, "FORMAT", "format of the time, as for strptime"),
        (
            "timezone",
            str,
            "NAME",
            "zone of times without an offset, such as Europe/Berlin (default: UTC)",
        ),
        ("level_field", str, "NAME", "field of the level (default: found)"),
        (
            "line_format",
            str,
            "REGEX",
            "regex with named groups (?<message>…) for a line; '' for none (default: guessed)",
        ),
    )


def _add_training_options(command: argparse.ArgumentParser) -> None:
    _group(
        command,
        "training",
        (
            "sessions",
            Path,
            "FILE.jsonl",
            'sessions that are already cut, {"session", "keys", "label"?} on each line',
        ),
        (
            "templates",
            Path,
            "FILE.csv",
            "file with the columns EventId,EventTemplate (default: mined)",
        ),
        (
            "labels",
            Path,
            "FILE",
            "file that names abnormal sessions, which are left out of training",
        ),
        (
            "train_fraction",
            share,
            "SHARE",
            "fit on the sessions that begin in this first part of the log (default 1)",
        ),
    )


def _add_session_options(command: argparse.ArgumentParser) -> None:
    _group(
        command,
        "sessions",
        (
            "idle_timeout",
            duration,
            "DURATION",
            "a session ends after this pause (default: suggested by the log)",
        ),
        (
            "window",
            duration,
            "DURATION",
            "cut each session into windows of this length (default: none)",
        ),
        ("max_age", duration, "DURATION", "a session ends at this age (default: no limit)"),
        (
            "allowed_lateness",
            duration,
            "DURATION",
            "events that are up to this much late are put in order (default: as they come)",
        ),
        ("max_events", int, "N", "a session ends after this many events (default 10000)"),
    )
    command.add_argument(
        "--end-template",
        action="append",
        dest="end_templates",
        metavar="TEXT",
        help="a template whose event ends a session; may be given several times",
    )


def _add_tree_options(command: argparse.ArgumentParser) -> None:
    _group(
        command,
        "tree",
        (
            "tree",
            Path,
            "FILE.csv",
            "a corrected hierarchy.csv (default: read from the templates by rules)",
        ),
        ("llm", llm, "claude", "ask Claude for the tree; only redacted template texts are sent"),
        ("llm_model", str, "NAME", f"model to ask (default {default_of('explain_model')})"),
        (
            "llm_base_url",
            str,
            "URL",
            "URL of a gateway instead of the Anthropic API: https, or http on this machine",
        ),
        (
            "llm_cache",
            Path,
            "FILE",
            "file of answers, to ask nothing twice (default: in the user's cache directory)",
        ),
        ("llm_timeout", duration, "DURATION", "how long an answer may take (default 60s)"),
        ("llm_retries", count, "N", "how often a failed request is tried again (default 2)"),
        (
            "llm_concurrency",
            positive,
            "N",
            "requests that are under way at the same time (default 1)",
        ),
    )


def _add_output_options(command: argparse.ArgumentParser) -> None:
    _group(
        command,
        "output",
        (
            "output",
            Path,
            "DIR",
            "the bundle; an existing bundle is replaced (default: INPUT.bundle)",
        ),
        ("name", str, "NAME", "name of the bundle (default: that of its directory)"),
        ("seed", int, "N", "seed of all random choices (default 0)"),
        ("false_alarms", rate, "N", "false alarms to accept in 1,000 normal sessions (default 1)"),
        (
            "require",
            share,
            "SHARE",
            "write no bundle that finds a smaller share of the injected faults, such as 0.8",
        ),
        (
            "usual_of",
            Path,
            "BUNDLE",
            "the input is a sample of a stream: take from this bundle how often steps usually come",
        ),
    )


# Name, how its value is read, what stands for the value in the help, and the help.
_Option = tuple[str, Callable[[str], Any], str, str]


def _group(command: argparse.ArgumentParser, title: str, *options: _Option) -> None:
    _add(command.add_argument_group(title), *options)


def _add(group: argparse._ArgumentGroup, *options: _Option) -> None:
    for name, kind, metavar, help_text in options:
        group.add_argument(
            f"--{name.replace('_', '-')}", dest=name, type=kind, metavar=metavar, help=help_text
        )


def _given(flags: argparse.Namespace) -> dict[str, Any]:
    known = Options.__dataclass_fields__
    given = {
        name: value for name, value in vars(flags).items() if name in known and value is not None
    }
    if "input" in given:
        given["input"] = tuple(given["input"])
    return given


def _with_pipes_as_files(options: Options, work: Path) -> Options:
    """Standard input and pipes as files of the work directory: an export reads its input several
    times.
    """
    given = options.input
    if given is None:
        return options
    files = tuple(_as_file(path, work, number) for number, path in enumerate(_as_tuple(given)))
    if files == _as_tuple(given):
        return options
    return replace(options, input=files)


def _as_file(path: Path, work: Path, number: int) -> Path:
    """The file, or the copy of what comes through a pipe."""
    is_standard = str(path) == STDIN
    if not is_standard and not path.is_fifo():
        return path
    work.mkdir(parents=True, exist_ok=True)
    copy = work / (_STANDARD_INPUT if is_standard else _PIPE.format(number))
    source = nullcontext(sys.stdin.buffer) if is_standard else path.open("rb")
    with source as read, copy.open("wb") as file:
        shutil.copyfileobj(read, file)
    return copy


def _as_tuple(given: Path | tuple[Path, ...]) -> tuple[Path, ...]:
    if isinstance(given, tuple):
        return given
    return (given,)


def _stage(flags: argparse.Namespace) -> None:
    options = load_options(flags.work, _given(flags))
    if flags.until == "bundle":
        options = _with_output(options)
    options = _with_pipes_as_files(options, flags.work)
    save_options(flags.work, options)
    fit(Work(flags.work, options), flags.until)


def _with_output(options: Options) -> Options:
    """The options with an output: by default, INPUT.bundle in the current directory."""
    output = options.output or Path(f"{source_of(options).name.split('.')[0]}.bundle")
    check_output(output)
    return replace(options, output=output)


def _suggest(flags: argparse.Namespace) -> None:
    if flags.child:
        run_as_child(None)
    with tempfile.TemporaryDirectory(prefix="krone-suggest-") as work:
        options = _with_pipes_as_files(Options(**_given(flags)), Path(work))
        print(as_line(suggest(options, print)))


def _fit(flags: argparse.Namespace) -> None:
    if flags.child:
        run_as_child(flags.work)
    if flags.work:
        _stage(flags)
        return
    options = _with_output(Options(**_given(flags)))
    assert options.output
    work = options.output.with_name(options.output.name + ".work")
    options = _with_pipes_as_files(options, work)
    try:
        fit(Work(work, options))
    except (KroneError, OSError, KeyboardInterrupt):
        if _is_worth_keeping(work):
            print(
                f"export: finished stages are kept in {work}; "
                "the same command continues from there",
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
    if path.is_file() or (path.suffix == ".csv" and not path.is_dir()):
        leaves = hierarchy.read_tree(path)
    else:
        leaves = hierarchy.read_tree(
            find_bundle(flags.tree) / "hierarchy.csv", load_bundle(flags.tree).templates
        )
    print(
        hierarchy.show_tree(leaves, color=sys.stdout.isatty() and not os.environ.get("NO_COLOR")),
        end="",
    )
