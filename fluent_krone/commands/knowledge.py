"""The commands `knowledge …`: look up what is known of patterns, correct it, and share it."""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..config import parse_duration
from ..core.listing import numbered
from ..errors import ConfigError, KroneError
from ..explain.accepted import Accepted
from ..explain.knowledge import ALERTS_KEPT, Knowledge
from ..explain.marks import Marks, Says, Target
from ..explain.rows import SCOPES, Merged, Scope, merge, read_rows, write_rows
from .entries import Entry, mark_in_words, note_in_words, row_as_json
from .parser import Commands, Run, add_place, knowledge_path, user_name

# What a command is given, in words; `_normalised` reads it.
_NAME_HELP = "an alert_id, an incident_id, or a signature (the field pattern of alerts)"


def add(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group(
        "knowledge", "show, correct and share what persons and models said about alerts"
    )
    _add_lookups(group)
    _add_corrections(group)
    _add_exchange(group)


def _add_lookups(group: Commands) -> None:
    command = _added(group, "list", _list, "list what persons and models said")
    _add_json_flag(command)
    command = _added(group, "show", _show, "show all that is known about an alert or a signature")
    _add_name(command)
    _add_json_flag(command)


def _add_corrections(group: Commands) -> None:
    summary = "say that an alert is normal or abnormal; alerts that are normal are no longer sent"
    command = _added(group, "mark", _mark, summary)
    _add_name(command)
    command.add_argument(
        "verdict", choices=("normal", "abnormal"), help="what you say about the alert"
    )
    _add_mark_flags(command, is_expiry_required=False)
    command = _added(group, "mute", _mark, "do not send such alerts for some time")
    _add_name(command)
    command.set_defaults(verdict="normal")
    _add_mark_flags(command, is_expiry_required=True)
    summary = "delete what a person said about an alert or a signature"
    command = _added(group, "unmark", _unmark, summary)
    _add_name(command)
    _add_scope(command, "delete marks of this scope only (default: all on this alert)")
    summary = "delete what a model said about a signature, or all that it said; it is asked again"
    command = _added(group, "forget", _forget, summary)
    command.add_argument(
        "name", metavar="ALERT_ID|PATTERN", type=_normalised, nargs="?", help=_NAME_HELP
    )
    command.add_argument("--model", metavar="NAME", help="all answers of this model")


def _add_exchange(group: Commands) -> None:
    command = _added(group, "export", _export, "write all of it as JSON lines, for Git")
    command.add_argument("file", metavar="FILE", type=Path, help="the file to write")
    summary = "import an exported file, all of it or nothing"
    command = _added(group, "import", _import, summary)
    command.add_argument("file", metavar="FILE", type=Path, help="what `export` wrote")
    command = group.add("merge", _merge, "merge two exported files into one")
    command.add_argument("files", metavar="FILE", type=Path, nargs=2, help="what `export` wrote")
    command.add_argument(
        "-o", dest="output", metavar="FILE", type=Path, required=True, help="the file to write"
    )


def _added(group: Commands, name: str, run: Run, summary: str) -> argparse.ArgumentParser:
    """The parser of a new command that is told where the knowledge file is."""
    command = group.add(name, run, summary)
    add_place(command)
    return command


def _add_name(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="ALERT_ID|PATTERN", type=_normalised, help=_NAME_HELP)


def _normalised(name: str) -> str:
    return name.strip().lower()


def _add_json_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--json", action="store_true", help="print JSON lines, one for each thing that is known"
    )


def _add_mark_flags(command: argparse.ArgumentParser, *, is_expiry_required: bool) -> None:
    command.add_argument("--note", default="", metavar="TEXT", help="the reason, for other readers")
    command.add_argument(
        "--by", metavar="NAME", help="who makes the mark (default: the user who runs the command)"
    )
    command.add_argument(
        "--for",
        dest="lasting",
        type=_duration,
        required=is_expiry_required,
        metavar="7d",
        help="how long the mark holds",
    )
    _add_scope(
        command,
        "what the mark covers: the deviations of the alert (default), sessions that ran exactly "
        "alike, or whatever is odd about its templates or entities",
    )
    command.add_argument(
        "--pattern",
        action="store_true",
        help="ALERT_ID|PATTERN is a pattern that this file does not know yet",
    )


def _add_scope(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--scope", choices=SCOPES, help=text)


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0")
    return seconds


def _list(flags: argparse.Namespace) -> int:
    now_s = time.time()
    with opened(flags) as knowledge:
        said = [row for row in knowledge.rows() if not isinstance(row, Accepted)]
        patterns = dict.fromkeys(row.pattern for row in said)
        entries = [Entry.of(knowledge, pattern) for pattern in patterns]
    entries.sort(key=lambda entry: (-entry.at_ms, entry.pattern))
    if flags.json:
        for entry in entries:
            print(json.dumps(entry.as_json(now_s)))
        return 0
    for entry in entries:
        print("\n".join(entry.in_short(now_s)))
    muted = sum(entry.is_muted(now_s) for entry in entries)
    marked = sum(entry.mark is not None for entry in entries)
    total = numbered(len(entries), "signature")
    print(f"{total}, {marked} of them marked by persons; {muted} muted now")
    return 0


def _show(flags: argparse.Namespace) -> int:
    now_s = time.time()
    with opened(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        entry = Entry.of(knowledge, pattern)
        last = knowledge.seen(pattern)
    if flags.json:
        print(json.dumps(entry.as_json(now_s) | {"last": [row_as_json(alert) for alert in last]}))
    else:
        print("\n".join(entry.in_full(now_s, last)))
    return 0


def _mark(flags: argparse.Namespace) -> int:
    now_s = time.time()
    until = None
    if flags.lasting is not None:
        until = now_s + flags.lasting
    says = Says(verdict=flags.verdict, by=flags.by or user_name(), note=flags.note, until=until)
    with opened(flags) as knowledge:
        marks = Marks(knowledge)
        scope = flags.scope or _scope_of(knowledge, marks, flags)
        if scope == "pattern":
            _mark_pattern(knowledge, marks, flags, says, now_s)
            return 0
        made = marks.mark(flags.name, scope, says, now_s)
    effect = "alerts with them say so"
    if says.verdict == "normal":
        effect = "alerts are no longer sent where nothing else deviates"
    what = numbered(len(made), scope)
    print(f"{what} of {flags.name} marked {mark_in_words(made[0])}: {effect}")
    for mark in made:
        print(f"    {mark.pattern}  {mark.about}")
    return 0


def _scope_of(knowledge: Knowledge, marks: Marks, flags: argparse.Namespace) -> Scope:
    """The scope where none is given: that of a pattern for its name, else what deviates."""
    if flags.pattern or knowledge.pattern_of(flags.name) == flags.name:
        return "pattern"
    return marks.default_scope(flags.name)


def _mark_pattern(
    knowledge: Knowledge, marks: Marks, flags: argparse.Namespace, says: Says, now_s: float
) -> None:
    pattern = flags.name
    if not flags.pattern:
        pattern = _pattern(knowledge, flags.name)
    before = marks.on({"pattern": pattern}, now_s)
    mark = marks.mark_pattern(pattern, says, now_s)
    known = numbered(knowledge.count_seen(pattern), "alert")
    effect = "its alerts say so"
    if mark.verdict == "normal":
        effect = "its alerts are no longer sent"
    print(f"signature {pattern} is {mark_in_words(mark)}: {effect} ({known} until now)")
    if before:
        print(f"this replaces: {mark_in_words(before)}{note_in_words(before)}")


def _unmark(flags: argparse.Namespace) -> int:
    scopes = SCOPES
    if flags.scope is not None:
        scopes = (flags.scope,)
    with opened(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        deleted = list(_deleted(knowledge, flags.name, pattern, scopes))
    if not deleted:
        raise KroneError(f"nobody marked signature {pattern}")
    for scope, name in deleted:
        what = scope
        if scope == "pattern":
            what = "signature"
        print(f"{what} {name} is no longer marked")
    return 0


def _deleted(
    knowledge: Knowledge, name: str, pattern: str, scopes: Iterable[Scope]
) -> Iterator[tuple[str, str]]:
    """Delete the marks on an alert, or the one with this name; scope and name of each."""
    marks = Marks(knowledge)
    for scope in scopes:
        if scope == "pattern":
            for mark in marks.unmark([Target("pattern", pattern, "")]):
                yield "pattern", mark.pattern
            continue
        with contextlib.suppress(ConfigError):
            for mark in marks.unmark(marks.targets(name, scope)):
                yield mark.scope, mark.pattern


def _forget(flags: argparse.Namespace) -> int:
    if (flags.name is None) == (flags.model is None):
        raise KroneError("name either an alert or a signature, or a model with --model")
    if flags.model is not None:
        with opened(flags) as knowledge:
            forgotten = knowledge.forget_model(flags.model)
        print(f"{numbered(forgotten, 'answer')} of model {flags.model} deleted")
        return 0
    with opened(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        if not knowledge.forget(pattern):
            raise KroneError(f"no model said anything about signature {pattern}")
    print(
        f"what a model said about signature {pattern} is deleted: "
        "the model is asked again at the next alert"
    )
    return 0


def _export(flags: argparse.Namespace) -> int:
    with opened(flags) as knowledge:
        rows = knowledge.rows()
    write_rows(flags.file, rows)
    print(f"{numbered(len(rows), 'row')} written to {flags.file}")
    return 0


def _import(flags: argparse.Namespace) -> int:
    rows = read_rows(flags.file)
    path = knowledge_path(flags)
    # Only this command may create a file: a new machine starts with what others exported.
    with contextlib.closing(Knowledge(path, existing=path.exists())) as knowledge:
        before = set(knowledge.rows())
        outcome = knowledge.take(rows)
    _print_conflicts(outcome)
    changed = len(set(outcome.rows) - before)
    print(
        f"{numbered(len(rows), 'row')} read from {flags.file}, "
        f"{changed} of them new or later than what was known"
    )
    return 0


def _merge(flags: argparse.Namespace) -> int:
    outcome = merge(row for file in flags.files for row in read_rows(file))
    write_rows(flags.output, outcome.rows)
    _print_conflicts(outcome)
    print(f"{numbered(len(outcome.rows), 'row')} written to {flags.output}")
    return 0


def opened(flags: argparse.Namespace) -> contextlib.closing[Knowledge]:
    """The knowledge file that the options name, which must exist."""
    return contextlib.closing(Knowledge(knowledge_path(flags), existing=True))


def _pattern(knowledge: Knowledge, name: str) -> str:
    pattern = knowledge.pattern_of(name)
    if pattern is None:
        raise KroneError(
            f"{knowledge.path} knows no alert and no signature {name}; "
            f"it keeps the last {ALERTS_KEPT:,} alerts "
            "(`mark --pattern` accepts the field `pattern` of any alert)"
        )
    return pattern


def _print_conflicts(outcome: Merged) -> None:
    for kept, other in outcome.conflicts:
        print(
            f"persons disagree on {kept.pattern}: "
            f"kept {mark_in_words(kept)}{note_in_words(kept)}; "
            f"not {mark_in_words(other)}{note_in_words(other)}"
        )
