"""What a verdict and an alert cost, in milliseconds of CPU: on raw HDFS and its shipped bundle.

    python bench/verdicts.py [--data ../shared/data/hdfs_raw] [--rounds 5] [--json]

- `verdict`: each distinct session that is found abnormal, with everything that is worked out for
  it: density, nearest normal session, place, evidence;
- `end`: what is asked at the end of each distinct session, abnormal or not;
- `long`: a session of 10,000 events, which are those of many blocks at once;
- `alert`: the record of an alert, made of a finding;
- `abnormal_us` and `usual_us`: microseconds an event, from the record to the alert, for a log of
  nothing but abnormal sessions, and for one without any.

Each round has a bundle of its own, so that no cache is warm; each figure is the best of the rounds
for one session, and then the median, or the 99th percentile, of the sessions.
"""

from __future__ import annotations

import json
import platform
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import checkout
import numpy as np
from machine import processor

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.inputs import read_events
from fluent_krone.types import Finding

# Events of a long session.
LONG = 10_000
# Long sessions that are judged.
LONG_SESSIONS = 4
# Events that are fed at once.
CHUNK = 5_000

Keys = tuple[int, ...]
Event = tuple[int, Any]


def took_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def feed(bundle: Bundle, events: Sequence[Event]) -> list[Finding]:
    engine = bundle.engine()
    findings: list[Finding] = []
    for start in range(0, len(events), CHUNK):
        findings += engine.feed("app.hdfs", events[start : start + CHUNK], events[-1][0])
    return findings + engine.finish()


def figures(best: np.ndarray[Any, Any]) -> dict[str, float]:
    return {
        "median_ms": round(float(np.median(best)), 3),
        "mean_ms": round(float(best.mean()), 3),
        "p99_ms": round(float(np.quantile(best, 0.99)), 3),
    }


def verdicts(path: Path, sessions: dict[Keys, str], rounds: int) -> dict[str, Any]:
    """`sessions` are log keys, and when they are judged: early or at the end."""
    took = []
    for _ in range(rounds):
        cascade = load_bundle(str(path)).engine().cascade
        row = []
        for keys, decided in sessions.items():
            state = cascade.tracker.replay(keys)
            held = array("H", keys)
            judge: Callable[..., object] = cascade.at_end
            if decided == "early":
                judge = cascade.early
            row.append(took_ms(partial(judge, state, held)))
        took.append(row)
    return {"sessions": len(sessions), **figures(np.array(took).min(axis=0))}


def alerts(path: Path, findings: Sequence[Finding], rounds: int) -> dict[str, Any]:
    took = []
    for _ in range(rounds):
        maker = AlertMaker(load_bundle(str(path)), Config())
        took.append([took_ms(partial(maker.make, one)) for one in findings])
    return {"alerts": len(findings), **figures(np.array(took).min(axis=0))}


def per_event_us(path: Path, events: Sequence[Event], rounds: int) -> float:
    """From the record to the alert."""

    def whole_way(bundle: Bundle) -> None:
        maker = AlertMaker(bundle, Config())
        for finding in feed(bundle, events):
            maker.make(finding)

    bundles = [load_bundle(str(path)) for _ in range(rounds)]
    best = min(took_ms(partial(whole_way, bundle)) for bundle in bundles)
    return round(best * 1e3 / len(events), 2)


def _stream(sessions: Iterable[Sequence[Event]]) -> list[Event]:
    """The events of some sessions in the order of their times."""
    return sorted((event for own in sessions for event in own), key=lambda event: event[0])


def measure(path: Path, events: Sequence[Event], rounds: int) -> dict[str, Any]:
    bundle = load_bundle(str(path))
    findings = feed(bundle, events)
    odd = [one for one in findings if one.kind == "sequence"]
    reader = bundle.engine().events
    by_session: dict[Any, list[Event]] = {}
    log_keys: dict[Any, list[int]] = {}
    stream: list[int] = []
    for event in events:
        log_key, _, sessions, _ = reader.read(b"", event[1])
        stream.append(log_key)
        for session in sessions:
            by_session.setdefault(session, []).append(event)
            log_keys.setdefault(session, []).append(log_key)
    ends = {tuple(keys): "end" for keys in log_keys.values()}
    starts = range(0, LONG * LONG_SESSIONS, LONG)
    longest = {tuple(stream[start : start + LONG]): "end" for start in starts}
    flagged = {one.session for one in odd}
    abnormal = _stream(own for name, own in by_session.items() if name in flagged)
    usual = _stream(own for name, own in by_session.items() if name not in flagged)
    return {
        "verdict": verdicts(path, {one.log_keys: one.decided for one in odd}, rounds),
        "end": verdicts(path, ends, rounds),
        "long": verdicts(path, longest, rounds),
        "alert": alerts(path, findings, rounds),
        "abnormal_us": per_event_us(path, abnormal, rounds),
        "usual_us": per_event_us(path, usual[: len(abnormal)], rounds),
    }


def main() -> None:
    parser = checkout.parser(__doc__, "hdfs_raw")
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    source = checkout.raw_hdfs(flags.data)
    events = [(time_ns or 0, record) for time_ns, record in read_events(source)]
    result: dict[str, Any] = {"processor": processor(), "python": platform.python_version()}
    result |= measure(root / "models/hdfs", events, flags.rounds)
    print(json.dumps(result, indent=None if flags.json else 2))


if __name__ == "__main__":
    main()
