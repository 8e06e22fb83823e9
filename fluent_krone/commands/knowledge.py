"""The commands `knowledge …` and `ledger …`: what persons say of alerts, shared and reviewed; what was sent."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import getpass
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config import from_flags, parse_duration
from ..errors import KroneError
from ..explain.knowledge import (
    ALERTS_KEPT,
    Knowledge,
    Learned,
    Mark,
    Merged,
    Seen,
    iso_ms,
    merge,
    read_rows,
    write_rows,
)

AddParser = Callable[
    ..., argparse.ArgumentParser
]  # `add_parser` of an ArgumentParser's sub-parsers
_Run = Callable[[argparse.Namespace], int]


def add_commands(add_parser: AddParser) -> None:
    """Add `knowledge` and `ledger`; each command puts what runs it into the flag `command`, as cli.py expects."""
    add = _group(
        add_parser, "knowledge", "what is known about patterns: look it up, correct it, share it"
    )
    where = [_where()]
    command = add("list", _list, "everything that persons and models said", parents=where)
    _json_flag(command)
    command = add("show", _show, "all that is known of an alert's pattern", parents=where)
    _json_flag(_name(command))
    command = add(
        "mark", _mark, "say what an alert's pattern is; normal: no more alerts of it", parents=where
    )
    _name(command).add_argument("verdict", choices=("normal", "abnormal"))
    _mark_flags(command, required=False)
    command = add("mute", _mark, "send no alerts of a pattern for some time", parents=where)
    _name(command).set_defaults(verdict="normal")
    _mark_flags(command, required=True)
    _name(add("unmark", _unmark, "take back what a person said of a pattern", parents=where))
    _name(
        add(
            "forget",
            _forget,
            "delete what a model said of a pattern: it is asked again",
            parents=where,
        )
    )
    command = add("export", _export, "write it as JSON lines, for Git", parents=where)
    command.add_argument("file", metavar="FILE", type=Path)
    command = add(
        "import", _import, "take in what was exported, all of it or nothing", parents=where
    )
    command.add_argument("file", metavar="FILE", type=Path)
    command = add("merge", _merge, "make one exported file of two")
    command.add_argument("files", metavar="FILE", type=Path, nargs=2)
    command.add_argument("-o", dest="output", metavar="FILE", type=Path, required=True)

    add = _group(add_parser, "ledger", "what was sent to a model")
    command = add(
        "verify", _verify, "check that nothing in a ledger was changed, taken out or put in"
    )
    command.add_argument("file", metavar="FILE", type=Path)
    command.add_argument(
        "--expect",
        metavar="HASH",
        help="hash that it told before: nothing may be missing up to there",
    )


def _group(add_parser: AddParser, name: str, summary: str) -> AddParser:
    group = add_parser(name, help=summary, description=summary, allow_abbrev=False)
    leaves = group.add_subparsers(title="commands", required=True, metavar="COMMAND")
    return functools.partial(_leaf, leaves.add_parser)


def _leaf(
    add_parser: AddParser, name: str, run: _Run, summary: str, **options: Any
) -> argparse.ArgumentParser:
    leaf = add_parser(name, help=summary, description=summary, allow_abbrev=False, **options)
    leaf.set_defaults(command=run)
    return leaf


def _where() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--knowledge", metavar="FILE", help="file of the knowledge")
    place.add_argument(
        "--store", metavar="FILE", help="the service's store: the knowledge lies beside it"
    )
    place.add_argument(
        "--config", metavar="FILE.toml", help="the service's parameters, which name either"
    )
    return parser


def _name(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("name", metavar="ALERT_ID|PATTERN", type=lambda text: text.strip().lower())
    return command


def _json_flag(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON, a line for each pattern")


def _mark_flags(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "--note", default="", metavar="TEXT", help="why; whoever looks next will be glad of it"
    )
    command.add_argument(
        "--by", metavar="NAME", help="who says so (default: the user who runs this)"
    )
    command.add_argument(
        "--for",
        dest="lasting",
        type=_lasting,
        required=required,
        metavar="7d",
        help="then it expires",
    )
    command.add_argument(
        "--pattern",
        action="store_true",
        help="it is a pattern, although nothing is known of it here yet",
    )


def _lasting(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0")
    return seconds


def _list(flags: argparse.Namespace) -> int:
    now_s = time.time()
    with _open(flags) as knowledge:
        entries = [
            _Entry.of(knowledge, pattern)
            for pattern in dict.fromkeys(row.pattern for row in knowledge.rows())
        ]
    entries.sort(key=lambda entry: (-entry.at_ms, entry.pattern))
    for entry in entries:
        print(json.dumps(entry.as_json(now_s)) if flags.json else "\n".join(entry.in_short(now_s)))
    if not flags.json:
        muted = sum(entry.mutes(now_s) for entry in entries)
        persons = sum(entry.mark is not None for entry in entries)
        print(
            f"{_count(len(entries), 'pattern')}, {persons} of them marked by persons; {muted} muted now"
        )
    return 0


def _show(flags: argparse.Namespace) -> int:
    now_s = time.time()
    with _open(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        entry, alerts = _Entry.of(knowledge, pattern), knowledge.seen(pattern)
    if flags.json:
        print(json.dumps(entry.as_json(now_s) | {"last": [_as_json(alert) for alert in alerts]}))
    else:
        print("\n".join(entry.in_full(now_s, alerts)))
    return 0


def _mark(flags: argparse.Namespace) -> int:
    now_s = time.time()
    until = None if flags.lasting is None else now_s + flags.lasting
    with _open(flags) as knowledge:
        pattern = flags.name if flags.pattern else _pattern(knowledge, flags.name)
        before = knowledge.said(pattern, now_s)
        mark = knowledge.mark(pattern, flags.verdict, flags.note, flags.by or _user(), until, now_s)
        known = knowledge.count_seen(pattern)
    effect = "its alerts are no longer sent" if mark.verdict == "normal" else "its alerts say so"
    print(f"pattern {pattern} is {_told(mark)}: {effect} ({_count(known, 'alert')} until now)")
    if before:
        print(f"in place of: {_told(before)}{_noted(before)}")
    return 0


def _unmark(flags: argparse.Namespace) -> int:
    with _open(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        if not knowledge.unmark(pattern):
            raise KroneError(f"nobody marked pattern {pattern}")
    print(f"pattern {pattern} is no longer marked")
    return 0


def _forget(flags: argparse.Namespace) -> int:
    with _open(flags) as knowledge:
        pattern = _pattern(knowledge, flags.name)
        if not knowledge.forget(pattern):
            raise KroneError(f"no model said anything of pattern {pattern}")
    print(
        f"what a model said of pattern {pattern} is forgotten: it is asked again at the next alert"
    )
    return 0


def _export(flags: argparse.Namespace) -> int:
    with _open(flags) as knowledge:
        rows = knowledge.rows()
    write_rows(flags.file, rows)
    print(f"{_count(len(rows), 'row')} written to {flags.file}")
    return 0


def _import(flags: argparse.Namespace) -> int:
    rows = read_rows(flags.file)
    path = _path(flags)
    with contextlib.closing(
        Knowledge(path, existing=path.exists())
    ) as knowledge:  # the one command that may begin a file
        before = set(knowledge.rows())
        outcome = knowledge.take(rows)
    _tell_conflicts(outcome)
    changed = len(set(outcome.rows) - before)
    print(
        f"{_count(len(rows), 'row')} read from {flags.file}, {changed} of them new or later than what was known"
    )
    return 0


def _merge(flags: argparse.Namespace) -> int:
    outcome = merge(row for file in flags.files for row in read_rows(file))
    write_rows(flags.output, outcome.rows)
    _tell_conflicts(outcome)
    print(f"{_count(len(outcome.rows), 'row')} written to {flags.output}")
    return 0


def _verify(flags: argparse.Namespace) -> int:
    from ..explain.ledger import verify

    found = verify(flags.file, expect=flags.expect)
    span = f", {found.first} to {found.last}" if found.first else ""
    print(f"{flags.file} holds together: {_count(found.entries, 'line')}{span}")
    print(
        f"{_count(found.requests, 'request')}, {_count(found.tokens, 'token')}, {found.cost_usd:.6f} dollars"
    )
    if found.torn:
        print(f"{_count(found.torn, 'line')} left unfinished by a kill or a power cut")
    print(f"hash of the last line, to keep elsewhere and give to --expect: {found.hash}")
    return 0


def _open(flags: argparse.Namespace) -> contextlib.closing[Knowledge]:
    return contextlib.closing(Knowledge(_path(flags), existing=True))


def _path(flags: argparse.Namespace) -> Path:
    only = argparse.Namespace(config=flags.config, knowledge=flags.knowledge, store=flags.store)
    path = from_flags(only, "serve").knowledge_path
    if path is None:
        raise KroneError(
            f"{flags.config} names no store and no knowledge: what is known dies with the service"
        )
    return path


def _pattern(knowledge: Knowledge, name: str) -> str:
    pattern = knowledge.pattern_of(name)
    if pattern is None:
        raise KroneError(
            f"{name} is no alert and no pattern known to {knowledge.path}, which keeps the last {ALERTS_KEPT:,} alerts"
            " (`mark --pattern` takes an alert's field `pattern`)"
        )
    return pattern


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"


def _tell_conflicts(outcome: Merged) -> None:
    for kept, other in outcome.conflicts:
        print(
            f"persons disagree on {kept.pattern}: kept {_told(kept)}{_noted(kept)}; not {_told(other)}{_noted(other)}"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """All that is known of one pattern."""

    pattern: str
    mark: Mark | None
    learned: Learned | None
    alerts: int

    @classmethod
    def of(cls, knowledge: Knowledge, pattern: str) -> _Entry:
        return cls(pattern, *knowledge.row_of(pattern), knowledge.count_seen(pattern))

    @property
    def at_ms(self) -> int:
        return max((row.at_ms for row in (self.mark, self.learned) if row), default=0)

    def mutes(self, now_s: float) -> bool:
        return self.mark is not None and self.mark.verdict == "normal" and self.mark.holds(now_s)

    def as_json(self, now_s: float) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "muted": self.mutes(now_s),
            "person": self.mark and _as_json(self.mark) | {"expired": not self.mark.holds(now_s)},
            "model": self.learned and _as_json(self.learned),
            "alerts": self.alerts,
        }

    def in_short(self, now_s: float) -> list[str]:
        lines = [f"{self.pattern}  {_count(self.alerts, 'alert')}"]
        if self.mark:
            lines.append(f"    {_told(self.mark, now_s)}{_noted(self.mark)}")
        if self.learned:
            lines.append(f"    {_answered(self.learned)}: {self.learned.summary}")
        return lines

    def in_full(self, now_s: float, alerts: list[Seen]) -> list[str]:
        lines = [f"pattern  {self.pattern}"]
        if self.mark:
            lines += [
                f"person   {_told(self.mark, now_s)}",
                f"         said {_day(self.mark.at_ms)}",
            ]
            lines += [f"         {text}" for text in (self.mark.note, self.mark.about) if text]
        if self.learned:
            said = self.learned
            lines += [
                f"model    {_answered(said)}, {_day(said.at_ms)}, {said.cost_usd:.6f} dollars"
            ]
            lines += [
                f"         {said.summary}",
                f"cause    {said.cause}",
                f"check    {said.check}",
            ]
            lines += [
                f"step     {ascii(step)[1:-1] if not step.isprintable() else step}"
                for step in said.steps
            ]
        lines.append(f"alerts   {self.alerts}" + (", the last ones:" if alerts else ""))
        for alert in alerts:
            lines.append(
                f"         {_day(alert.at_ms)}  {alert.alert_id}  {alert.tag}  {alert.session}"
            )
            lines.append(f"             {alert.explanation}")
        return lines


def _told(mark: Mark, now_s: float | None = None) -> str:
    expired = now_s is not None and not mark.holds(now_s)
    until = (
        ""
        if mark.until_ms is None
        else f" until {_day(mark.until_ms)}{' (expired)' if expired else ''}"
    )
    return f"{mark.verdict} by {mark.by}{until}"


def _noted(mark: Mark) -> str:
    return f" ({mark.note})" if mark.note else ""


def _answered(learned: Learned) -> str:
    return f"{learned.verdict} by {learned.model}, {learned.confidence:.0%} sure"


def _as_json(row: Mark | Learned | Seen) -> dict[str, Any]:
    """As exported, without the pattern that stands around it."""
    values = dataclasses.asdict(row)
    del values["pattern"]
    return {
        name.removesuffix("_ms"): iso_ms(value)
        if name.endswith("_ms") and value is not None
        else value
        for name, value in values.items()
    }


def _day(ms: int) -> str:
    return iso_ms(ms)[:16].replace("T", " ") + " UTC"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
