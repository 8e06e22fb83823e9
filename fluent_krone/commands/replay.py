"""`fluent-krone replay`: a file through the very same engine, in the file's order, sessions interleaved."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ..alerts.records import AlertMaker
from ..config import Config
from ..detect.bundle import Bundle, key_hash
from ..inputs import Event, count_events, read_events
from ..reading.records import SessionKey, key_text
from ..types import Alert, Finding

_SLICE = 10_000


@dataclass(slots=True)
class Outcome:
    """What a replay came to, per session key."""

    instances: Counter[SessionKey] = field(default_factory=Counter)
    flagged: Counter[SessionKey] = field(default_factory=Counter)
    alerts: int = 0
    seconds: float = 0.0
    stats: dict[str, int] = field(default_factory=dict)


def replay(
    bundle: Bundle,
    config: Config,
    path: Path,
    *,
    tag: str = "replay",
    on_alert: Callable[[Alert], None] = lambda alert: None,
    progress: TextIO | None = None,
) -> Outcome:
    """Feed a file and judge all sessions at its end. `on_alert` gets every alert as it is decided."""
    engine, maker, outcome = bundle.engine(config), AlertMaker(bundle, config), Outcome()
    engine.on_close = lambda session: outcome.instances.update((session.key,))

    def keep(findings: list[Finding]) -> None:
        for finding in findings:
            if finding.kind == "sequence":
                outcome.flagged[finding.session] += 1
            outcome.alerts += 1
            on_alert(maker.make(finding))

    started = time.perf_counter()
    bar = _Progress(progress, count_events(path))
    for events in _slices(read_events(path)):
        keep(engine.feed(tag, events, time.time_ns()))
        bar.show(engine.counters["records"])
    keep(engine.finish())
    bar.end()
    outcome.seconds = time.perf_counter() - started
    outcome.stats = {
        "records": engine.counters["records"],
        "events": engine.counters["events"],
        "unmatched": engine.counters["unmatched"],
        **{f"set_aside_{reason}": count for reason, count in engine.set_aside.items()},
    }
    return outcome


def summary(
    outcome: Outcome, bundle: Bundle, labels: dict[str, bool] | None, *, keep_fitted: bool
) -> dict[str, Any]:
    """The figures of the last line of `--json`. With labels they are for sessions that the bundle was not fitted on."""
    result: dict[str, Any] = {
        "events": outcome.stats["events"],
        "unmatched": outcome.stats["unmatched"],
        "sessions": len(outcome.instances),
        "instances": outcome.instances.total(),
        "left_out": 0,
        "flagged": len(outcome.flagged),
        "alerts": outcome.alerts,
    }
    if labels is not None:
        result |= _scored(outcome, bundle, labels, keep_fitted)
    result["events_per_s"] = (
        round(outcome.stats["events"] / outcome.seconds) if outcome.seconds else 0
    )
    set_aside = {name: n for name, n in outcome.stats.items() if name.startswith("set_aside_")}
    return result | set_aside


def _scored(
    outcome: Outcome, bundle: Bundle, labels: dict[str, bool], keep_fitted: bool
) -> dict[str, Any]:
    tally: Counter[str] = Counter()
    left_out = unlabelled = 0
    for key in outcome.instances:
        label = labels.get(key_text(key))
        if label is None:
            unlabelled += 1
        elif not keep_fitted and key_hash(key) in bundle.training:
            left_out += 1
        else:
            flagged = key in outcome.flagged
            tally[("t" if flagged == label else "f") + ("p" if flagged else "n")] += 1
    tp, fp, fn = tally["tp"], tally["fp"], tally["fn"]
    return {
        "left_out": left_out,
        "unlabelled": unlabelled,
        **{name: tally[name] for name in ("tp", "fp", "fn", "tn")},
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def describe(result: dict[str, Any], bundle: Bundle) -> str:
    """A summary for a person."""
    lines = [
        f"{result['events']:,} events in {result['sessions']:,} sessions ({result['instances']:,} instances), "
        f"{result['events_per_s']:,} events/s, bundle {bundle.name} ({bundle.hash})",
        f"{result['flagged']:,} sessions flagged, {result['alerts']:,} alerts, "
        f"{result['unmatched']:,} events matched no template",
    ]
    if "f1" in result:
        lines.append(
            f"precision {result['precision']}  recall {result['recall']}  F1 {result['f1']}  "
            f"(TP {result['tp']} FP {result['fp']} FN {result['fn']} TN {result['tn']}; "
            f"left out: {result['left_out']:,} sessions that the bundle was fitted on; "
            f"without label: {result['unlabelled']:,})"
        )
    aside = {
        name.removeprefix("set_aside_"): n
        for name, n in result.items()
        if name.startswith("set_aside_")
    }
    if aside:
        lines.append("set aside: " + ", ".join(f"{n:,} × {reason}" for reason, n in aside.items()))
    return "\n".join(lines)


def write_alert(file: TextIO) -> Callable[[Alert], None]:
    """Writes each alert's record as a line of JSON."""
    return lambda alert: print(json.dumps(alert.record, ensure_ascii=False), file=file)


def _slices(events: Iterator[Event]) -> Iterator[list[Event]]:
    while chunk := list(itertools.islice(events, _SLICE)):
        yield chunk


class _Progress:
    """A progress line on a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO | None, total: int | None) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._total = total

    def show(self, done: int) -> None:
        if self._stream and self._total:
            filled = 30 * done // self._total
            print(
                f"\r[{'█' * filled:<30}] {done:,} of {self._total:,} records",
                end="",
                file=self._stream,
                flush=True,
            )
        elif self._stream:
            print(f"\r{done:,} records", end="", file=self._stream, flush=True)

    def end(self) -> None:
        if self._stream:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
