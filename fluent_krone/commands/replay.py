"""`fluent-krone replay`: judges a file in its own order, with the same engine as a live stream."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ..alerts.incidents import Incidents, in_order
from ..alerts.records import AlertMaker
from ..config import Config, from_flags
from ..core.engine import Engine
from ..core.listing import numbered
from ..detect.bundle import Bundle, key_hash, load_bundle
from ..errors import ConfigError, reason_of
from ..inputs import Event, Inputs, count_events, find_files, no_time_in, read_events, read_labels
from ..inputs.files import describe as describe_files
from ..reading.records import SessionKey, key_text
from ..runtime.misfit import Misfit
from ..types import Alert, Finding
from . import running
from .parser import Commands
from .replay_keep import Holder, KeepWriter, WhatIf

# How far ahead of the clock the times of a file may be, in seconds: a century.
_ANY_TIME_S = 100 * 365 * 86_400.0
# Records fed at a time: few enough that progress is shown often, enough that this costs nothing.
_SLICE = 10_000
# Records and events of a file from which on a misfit is worth a warning. A file is all there is, so
# they are fewer than of a stream.
_ENOUGH_RECORDS = 20
_ENOUGH_EVENTS = 100
# How the figures of records that were set aside begin, before the reason.
_ASIDE = "set_aside_"
# Characters of the progress bar.
_BAR_WIDTH = 30


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "replay",
        run,
        "judge a file of log events: parquet, csv, jsonl, text",
        parameters_of="replay",
    )
    command.add_argument(
        "--input",
        required=True,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="the events: files, directories, patterns, or - for standard input; several files are "
        "read in the order of their times",
    )
    command.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        help="a table with the columns session and anomaly; adds precision, recall and F1",
    )
    command.add_argument(
        "--alerts", metavar="OUT.jsonl", type=Path, help="write the alerts to this file"
    )
    kept = command.add_mutually_exclusive_group()
    kept.add_argument(
        "--keep",
        metavar="OUT.jsonl",
        type=Path,
        help="write the records that would be kept to this file, with the fields that are added",
    )
    kept.add_argument(
        "--what-if",
        action="store_true",
        help="print how much would be kept under the keep_… parameters, and of what",
    )
    command.add_argument(
        "--all",
        action="store_true",
        help="with --labels: count the sessions that the bundle was fitted on as well",
    )
    command.add_argument(
        "--json", action="store_true", help="print the summary as one line of JSON"
    )
    command.add_argument(
        "--input-tag", default="replay", metavar="TAG", help="tag of the events (default replay)"
    )


def run(flags: argparse.Namespace) -> int:
    """Judge the file, and print a summary."""
    config = from_flags(flags, "replay")
    running.start_logging(config)
    bundle = load_bundle(config.bundle)
    labels = None
    if flags.labels:
        labels = read_labels(flags.labels)
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {}
        if flags.alerts:
            file = stack.enter_context(_opened("--alerts", flags.alerts))
            options["on_alert"] = write_alert(file)
        what_if = None
        if flags.keep:
            kept = stack.enter_context(_opened("--keep", flags.keep))
            writer = contextlib.closing(KeepWriter(config, kept))
            options["holder"] = stack.enter_context(writer)
        elif flags.what_if:
            what_if = options["holder"] = WhatIf(config)
        outcome = replay(
            bundle, config, flags.input, tag=flags.input_tag, progress=sys.stderr, **options
        )
    if outcome.stats["records"] and not outcome.stats["events"]:
        raise ConfigError(_nothing_read(flags.input, outcome))
    if not outcome.stats["records"]:
        print(f"warning: {describe_files(find_files(flags.input))}: no records", file=sys.stderr)
    if outcome.trouble:
        print(f"warning: {outcome.trouble}", file=sys.stderr)
    result = summary(outcome, bundle, labels, keep_fitted=flags.all)
    if what_if is not None:
        result["what_if"] = what_if.figures()
    if flags.json:
        print(json.dumps(result))
    else:
        print(describe(result, bundle))
        if what_if is not None:
            print(*what_if.describe(), sep="\n")
    return 0


def _opened(option: str, path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option} {reason_of(error)}") from None


def _nothing_read(inputs: Inputs, outcome: Outcome) -> str:
    """That no record of the files is an event, and why."""
    why = outcome.trouble
    if why is None:
        aside = (name for name in outcome.stats if name.startswith(_ASIDE))
        why = ", ".join(name.removeprefix(_ASIDE) for name in aside)
    records = numbered(outcome.stats["records"], "record")
    return f"{describe_files(find_files(inputs))}: none of {records} is an event: {why}"


@dataclass(slots=True)
class Outcome:
    """What a replay found: `instances` and `flagged` count session instances by session key."""

    instances: Counter[SessionKey] = field(default_factory=Counter)
    flagged: Counter[SessionKey] = field(default_factory=Counter)
    alerts: int = 0
    seconds: float = 0.0
    stats: dict[str, int] = field(default_factory=dict)
    # What does not fit the bundle or its settings, in one line; None where all is well.
    trouble: str | None = None


def replay(
    bundle: Bundle,
    config: Config,
    inputs: Inputs,
    *,
    tag: str = "replay",
    on_alert: Callable[[Alert], None] | None = None,
    holder: Holder | None = None,
    progress: TextIO | None = None,
) -> Outcome:
    """Feed files and judge all sessions at the end. `on_alert` gets every alert once decided.

    `holder` sees the records as well.
    """
    # A file may have local times that are ahead of the clock, and nobody waits for its sessions.
    engine = bundle.engine(dataclasses.replace(config, max_future=_ANY_TIME_S))
    maker = AlertMaker(bundle, config)
    incidents = Incidents(config.incident_quiet, each=True)
    outcome = Outcome()
    misfit = Misfit(
        engine, enough_records=_ENOUGH_RECORDS, enough_events=_ENOUGH_EVENTS, live=False
    )
    engine.on_close.append(lambda session: outcome.instances.update((session.key,)))
    if holder is not None:
        holder.attach(engine, maker)

    def keep(findings: list[Finding]) -> None:
        for finding in in_order(findings):
            if finding.kind not in ("unseen_template", "change", "flow"):
                outcome.flagged[finding.session] += 1
            outcome.alerts += 1
            if on_alert is None and holder is None:
                continue
            # Every alert, as with `alerts session`: labels and figures need each session.
            made = maker.make(finding)
            joined = incidents.join(made, finding.told_ns)
            if holder is not None:
                holder.note_alert(finding, made.alert_id, joined.incident_id)
            if on_alert is not None:
                for alert in joined.events:
                    on_alert(alert)
        if holder is not None:
            holder.took()

    started = time.perf_counter()
    bar = _Progress(progress, count_events(inputs))
    untimed = 0
    for events in _slices(read_events(inputs, engine.reader.settings.timezone)):
        untimed += sum(time_ns is None for time_ns, _ in events)
        shown: Iterable[Event] = events
        if holder is not None:
            shown = holder.events(tag, events)
        keep(engine.feed(tag, shown, time.time_ns()))
        bar.show(engine.counters["records"])
    keep(engine.finish())
    bar.end()
    outcome.seconds = time.perf_counter() - started
    outcome.trouble = misfit.trouble() or _no_time(engine, untimed)
    outcome.stats = _stats_of(engine)
    return outcome


def _no_time(engine: Engine, untimed: int) -> str | None:
    """That the file has no times, neither beside its records nor in them; None where it has."""
    records = engine.counters["records"]
    if engine.reader.has_time or records < _ENOUGH_RECORDS:
        return None
    return no_time_in(untimed, records)


def _stats_of(engine: Engine) -> dict[str, int]:
    """What the engine counted."""
    return {
        "records": engine.counters["records"],
        "events": engine.counters["events"],
        "unmatched": engine.counters["unmatched"],
        "changes": engine.settling.changes.counters["changes"],
        "sessions_changed": engine.settling.changes.counters["sessions_changed"],
        **{f"{_ASIDE}{reason}": count for reason, count in engine.set_aside.items()},
    }


def summary(
    outcome: Outcome, bundle: Bundle, labels: dict[str, bool] | None, *, keep_fitted: bool
) -> dict[str, Any]:
    """The figures of the last line of `--json`.

    With labels they are for the sessions that the bundle was not fitted on, unless `keep_fitted`.
    """
    result: dict[str, Any] = {
        "events": outcome.stats["events"],
        "unmatched": outcome.stats["unmatched"],
        "sessions": len(outcome.instances),
        "instances": outcome.instances.total(),
        "left_out": 0,
        "flagged": len(outcome.flagged),
        "alerts": outcome.alerts,
    }
    if outcome.stats["changes"]:
        result["changes"] = outcome.stats["changes"]
        result["sessions_changed"] = outcome.stats["sessions_changed"]
    if labels is not None:
        result |= _scored(outcome, bundle, labels, keep_fitted)
    result["events_per_s"] = 0
    if outcome.seconds:
        result["events_per_s"] = round(outcome.stats["events"] / outcome.seconds)
    set_aside = {name: n for name, n in outcome.stats.items() if name.startswith(_ASIDE)}
    return result | set_aside


def _scored(
    outcome: Outcome, bundle: Bundle, labels: dict[str, bool], keep_fitted: bool
) -> dict[str, Any]:
    # Flagged and abnormal, flagged and normal, and so on, by (flagged, label).
    tally: Counter[tuple[bool, bool]] = Counter()
    left_out = 0
    unlabelled = 0
    for key in outcome.instances:
        label = labels.get(key_text(key))
        if label is None:
            unlabelled += 1
        elif not keep_fitted and key_hash(key) in bundle.training:
            left_out += 1
        else:
            tally[key in outcome.flagged, label] += 1
    tp = tally[True, True]
    fp = tally[True, False]
    fn = tally[False, True]
    return {
        "left_out": left_out,
        "unlabelled": unlabelled,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tally[False, False],
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def _ratio(part: int, whole: int) -> float | None:
    if not whole:
        return None
    return round(part / whole, 4)


def describe(result: dict[str, Any], bundle: Bundle) -> str:
    """A summary for a person."""
    sessions = f"{result['sessions']:,} sessions"
    if result["instances"] != result["sessions"]:
        sessions += f" ({result['instances']:,} instances: some keys came back after an end)"
    lines = [
        f"{result['events']:,} events in {sessions}, {result['events_per_s']:,} events/s, "
        f"bundle {bundle.name} ({bundle.hash})",
        f"{numbered(result['flagged'], 'session')} flagged, {numbered(result['alerts'], 'alert')}, "
        f"{numbered(result['unmatched'], 'event')} matched no template",
    ]
    if "changes" in result:
        lines.append(
            f"{numbered(result['changes'], 'change')} of the program, with steps in "
            f"{numbered(result['sessions_changed'], 'session')}"
        )
    if "f1" in result:
        lines += _by_labels(result)
    aside = {name.removeprefix(_ASIDE): n for name, n in result.items() if name.startswith(_ASIDE)}
    if aside:
        lines.append("set aside: " + ", ".join(f"{n:,} × {reason}" for reason, n in aside.items()))
    return "\n".join(lines)


def _by_labels(result: Mapping[str, Any]) -> list[str]:
    """How the verdicts agree with the labels."""
    abnormal = result["tp"] + result["fn"]
    normal = result["fp"] + result["tn"]
    lines = [
        f"by the labels: {result['tp']:,} of {numbered(abnormal, 'abnormal session')} flagged, "
        f"and {result['fp']:,} of {normal:,} normal ones "
        f"(precision {result['precision']}, recall {result['recall']}, F1 {result['f1']})"
    ]
    if result["left_out"]:
        fitted = numbered(result["left_out"], "session")
        lines.append(f"  not counted: {fitted} that the bundle was fitted on (--all counts them)")
    if result["unlabelled"]:
        lines.append(f"  not counted: {numbered(result['unlabelled'], 'session')} without a label")
    return lines


def write_alert(file: TextIO) -> Callable[[Alert], None]:
    """A function that writes an alert's record to `file` as a line of JSON."""

    def write(alert: Alert) -> None:
        print(json.dumps(alert.record, ensure_ascii=False), file=file)

    return write


def _slices(events: Iterator[Event]) -> Iterator[list[Event]]:
    while chunk := list(itertools.islice(events, _SLICE)):
        yield chunk


class _Progress:
    """A progress line on a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO | None, total: int | None) -> None:
        self._stream: TextIO | None = None
        if stream is not None and stream.isatty():
            self._stream = stream
        self._total = total

    def show(self, done: int) -> None:
        if self._stream is None:
            return
        text = f"\r{done:,} records"
        if self._total:
            bar = "█" * (_BAR_WIDTH * done // self._total)
            text = f"\r[{bar:<{_BAR_WIDTH}}] {done:,} of {self._total:,} records"
        print(text, end="", file=self._stream, flush=True)

    def end(self) -> None:
        if self._stream is not None:
            # Back to the start of the line, and erase it.
            print("\r\x1b[K", end="", file=self._stream, flush=True)
