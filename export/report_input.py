"""What a report card is made of: sessions, labels and settings, as the export has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fluent_krone.core.hierarchy import Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.reading.records import InputSettings, SessionKey, key_text

from .baselines import Flags, Floats, LogKeys
from .calibrate import Calibration
from .sequences import TrainingSession

_A_TIME_NS = 10**15  # a first_ns below this is a position, not a time
_NO_TIME_NS = 2**62


@dataclass(frozen=True, slots=True)
class Judge:
    """A fitted detector: `judge` gives a score and a flag for each session, by the bundle's own rule."""

    judge: Callable[[Sequence[LogKeys]], tuple[Floats, Flags]]
    threshold: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """What the export has at hand when everything is fitted.

    `sessions` are all instances of the log, abnormal ones too; `labels` are by session key, its values joined by a
    space. `cut_ns`: the bundle was fitted on sessions that begin before it. `fit` (default: as the bundle was fitted)
    gives a judge from normal sessions; `on_progress` gets steps done, of how many.
    """

    name: str
    source: str
    sessions: Sequence[TrainingSession]
    rows: Sequence[Leaf]
    input_settings: InputSettings
    session_settings: SessionSettings
    calibration: Calibration
    fit: Callable[[Sequence[LogKeys]], Judge] | None = None
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
    """All instances under one session key: one thing to a user, flagged when any of them is."""

    key: SessionKey
    first_ns: int
    instances: tuple[LogKeys, ...]
    abnormal: bool | None  # None: not labelled


def executions_of(given: ReportInput) -> list[Execution]:
    """In order of their first events, or as they stand where there are no times."""
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
    return len(times) > 1 and min(times) >= _A_TIME_NS and max(times) < _NO_TIME_NS


def events_by_key(given: ReportInput) -> Counter[int]:
    """How often what training may use had each log key."""
    counts: Counter[int] = Counter()
    for session in training_sessions(given):
        counts.update(session.log_keys)
    return counts


def training_sessions(given: ReportInput) -> list[TrainingSession]:
    labels, cut_ns = given.labels or {}, given.cut_ns
    early = (session for session in given.sessions if cut_ns is None or session.first_ns < cut_ns)
    return [session for session in early if not labels.get(key_text(session.key), False)]
