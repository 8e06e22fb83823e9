"""What a report card is made of: sessions, labels and settings, as the export has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluent_krone.core.hierarchy import Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.reading.records import InputSettings, SessionKey, key_text

from ..calibrate import Calibration
from ..sequences import NEVER_NS, TrainingSession
from .baselines import Flags, Floats, LogKeys

# Eleven days after 1970, in nanoseconds. A `first_ns` below it is a position in the input instead
# of a time, because no log is that old.
_A_TIME_NS = 10**15


@dataclass(frozen=True, slots=True)
class FittedDetector:
    """A fitted detector. `judge` gives the score of each session, and whether it is flagged."""

    judge: Callable[[Sequence[LogKeys]], tuple[Floats, Flags]]
    threshold: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """What the export knows when everything is fitted.

    `sessions` are all session instances of the log, including abnormal ones. `labels` are by
    session key, its values joined by a space. The bundle was fitted on sessions that begin
    before `cut_ns`. `fit` makes a judge of normal sessions; by default it does what the export
    did for the bundle.
    `on_progress` takes the number of steps done and their total.
    """

    name: str
    source: str
    sessions: Sequence[TrainingSession]
    rows: Sequence[Leaf]
    input_settings: InputSettings
    session_settings: SessionSettings
    calibration: Calibration
    fit: Callable[[Sequence[LogKeys]], FittedDetector] | None = None
    labels: Mapping[str, bool] | None = None
    cut_ns: int | None = None
    alerts: Sequence[Mapping[str, Any]] = ()
    records: int | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    seed: int = 0
    on_progress: Callable[[int, int], None] = lambda done, total: None


@dataclass(frozen=True, slots=True)
class Execution:
    """All instances of one session key. It counts as flagged when any of them is flagged."""

    key: SessionKey
    first_ns: int
    instances: tuple[LogKeys, ...]
    # None where the session has no label.
    abnormal: bool | None


def executions_of(given: ReportInput) -> list[Execution]:
    """All executions in the order of their first events; without times, in their own order."""
    together: dict[SessionKey, list[TrainingSession]] = {}
    for session in given.sessions:
        together.setdefault(session.key, []).append(session)
    executions = [
        Execution(
            key,
            min(session.first_ns for session in instances),
            tuple(session.log_keys for session in instances),
            (given.labels or {}).get(key_text(key)),
        )
        for key, instances in together.items()
    ]
    return sorted(executions, key=lambda execution: execution.first_ns)


def has_times(executions: Sequence[Execution]) -> bool:
    times = {execution.first_ns for execution in executions}
    return len(times) > 1 and min(times) >= _A_TIME_NS and max(times) < NEVER_NS


def events_by_key(given: ReportInput) -> Counter[int]:
    """The number of events of each log key in the sessions that training may use."""
    counts: Counter[int] = Counter()
    for session in training_sessions(given):
        counts.update(session.log_keys)
    return counts


def training_sessions(given: ReportInput) -> list[TrainingSession]:
    """The sessions that training may use: not labelled abnormal, and begun before `cut_ns`."""
    labels = given.labels or {}
    cut_ns = given.cut_ns
    early = (session for session in given.sessions if cut_ns is None or session.first_ns < cut_ns)
    return [session for session in early if not labels.get(key_text(session.key), False)]
