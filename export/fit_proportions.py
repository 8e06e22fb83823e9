"""Which numbers of an event are compared with one another (`detect/proportions.py`).

Two numbers are compared where the one says much of the other in all of training: beside a given
number, the other one varies far less than it does altogether, in either half of the sessions, and
does not drift. Only numbers are looked at of which training proves that they are quantities (the
ranges of `fit_values.py`), so that ids and counters never are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.proportions import ANY, GAP, Proportion, Proportions
from fluent_krone.detect.tails import range_of
from fluent_krone.detect.times import resolution
from fluent_krone.detect.values import KnownRange, ValueWitness

from .fit_values import STEEPEST, drifts, halves, outside_too_often
from .traces import Trace

Doubles = NDArray[np.float64]

_NS = 1_000_000_000
# Events and sessions that are needed, and events of a step that are enough to tell.
_FEWEST, _FEWEST_SESSIONS, _MOST = 100, 50, 5_000
# Nearly all of both numbers have to vary by this factor. Where they do not, the range of each alone
# says as much.
_VARIES = 1.5
_CENTRAL, _NEARLY_ALL = (0.05, 0.95), (0.01, 0.99)
# Two numbers whose logarithms correlate less than this do not determine one another, …
_CORRELATED = 0.8
# … and beside a given number, the other one may vary at most this part of what it does altogether,
# in logarithms.
_NARROWER = 0.5
# Points of the curve, each the median of as many events, and the fewest events of one. Those whose
# given numbers differ by less than this, in logarithms, are one: where most files are 64 MB and a
# few bytes, what is usual would rise or fall without bounds between them.
_KNOTS, _A_KNOT, _APART = 10, 20, 0.1
# Proportions of the values of one step that are judged, the surest ones: each of them costs as much
# as to read the event.
_MOST_OF_STEP = 4
# A gap below this part of the median is next to nothing, as for ranges (`detect/tails.py`).
_NEXT_TO_NOTHING = 1 / 20


@dataclass(slots=True)
class _Events:
    """The numbers of a step's events, one list for each slot; `GAP` is the time before them."""

    sessions: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    numbers: dict[int, list[float]] = field(default_factory=dict)


def learn_proportions(
    sessions: Sequence[Trace], values: ValueWitness, steepest: float
) -> Proportions:
    """The numbers worth comparing, from normal `sessions` in the order of their times.

    The tails of times fall no faster than a nat in `steepest`.
    """
    gaps = (gap_ns / _NS for session in sessions for gap_ns in session.gaps_ns)
    unit = resolution(gaps) if any(session.gaps_ns for session in sessions) else 1.0
    found: dict[int, list[Proportion]] = {}
    for log_key, events in _events(sessions, values).items():
        units = {
            slot: known.range.unit
            for slot in events.numbers
            if isinstance(known := values.slots.get((log_key, slot)), KnownRange)
        }
        of_step = [*_of_slots(events, units), *_of_gaps(events, units, unit, steepest)]
        if of_step:
            found[log_key] = of_step
    return Proportions(values, found)


def _events(sessions: Sequence[Trace], values: ValueWitness) -> dict[int, _Events]:
    """The numbers of events, by log key; of a step with many events, those of some."""
    slots: dict[int, list[tuple[int, KnownRange]]] = {}
    for (log_key, slot), known in values.slots.items():
        if isinstance(known, KnownRange) and not known.floor:
            slots.setdefault(log_key, []).append((slot, known))
    left_out = _left_out(sessions, slots)
    found = {
        log_key: _Events(numbers={slot: [] for slot in (GAP, *(slot for slot, _ in of_key))})
        for log_key, of_key in slots.items()
    }
    seen = Counter[int]()
    for number, session in enumerate(sessions):
        for at, (log_key, of_event) in enumerate(zip(session.keys, session.values, strict=False)):
            if log_key not in found:
                continue
            seen[log_key] += 1
            # Two at a time, so that of a step that each session has once, both halves keep some.
            if seen[log_key] // 2 % left_out[log_key]:
                continue
            events = found[log_key]
            events.sessions.append(number)
            has_gap = 0 < at <= len(session.gaps_ns)
            events.before.append(session.keys[at - 1] if has_gap else ANY)
            gap_s = max(session.gaps_ns[at - 1], 0) / _NS if has_gap else math.nan
            events.numbers[GAP].append(gap_s)
            for slot, known in slots[log_key]:
                one = known.number(of_event[slot]) if slot < len(of_event) else None
                events.numbers[slot].append(math.nan if one is None else one)
    return found


def _left_out(sessions: Sequence[Trace], wanted: Collection[int]) -> dict[int, int]:
    """Of how many events of each step one is looked at."""
    events = Counter(key for session in sessions for key in session.keys if key in wanted)
    return {key: math.ceil(many / _MOST) for key, many in events.items()}


def _of_slots(events: _Events, units: Mapping[int, float]) -> list[Proportion]:
    """The values in one message that are compared: of each, the one before that says most of it."""
    slots = list(units)
    columns = np.array([events.numbers[slot] for slot in slots])
    whole = np.isfinite(columns).all(axis=0)
    sessions = np.array(events.sessions)[whole]
    if len(slots) < 2 or not _are_enough(sessions):
        return []
    logs = np.log(columns[:, whole] + np.array([[units[slot]] for slot in slots]))
    correlated = _correlated(logs)
    found: list[tuple[float, Proportion]] = []
    for at in range(1, len(slots)):
        given = int(np.argmax(correlated[at, :at]))
        if correlated[at, given] < _CORRELATED:
            continue
        # Where any size takes some time, the size says more of the time than the time of it.
        for x, y in ((given, at), (at, given)):
            pair = _Pair(slots[x], slots[y], ANY, units[slots[x]], units[slots[y]])
            one = pair.proportion(logs[x], logs[y], sessions, STEEPEST)
            if one is not None:
                found.append((float(correlated[at, given]), one))
                break
    surest = sorted(found, key=itemgetter(0), reverse=True)
    return [one for _, one in surest[:_MOST_OF_STEP]]


def _of_gaps(
    events: _Events, units: Mapping[int, float], unit: float, steepest: float
) -> Iterator[Proportion]:
    """The times before a step that are compared with a value in its message."""
    steps = np.array(events.before)
    slots = list(units)
    columns = np.array([events.numbers[slot] for slot in (*slots, GAP)])
    for before in sorted({*events.before} - {ANY}):
        here = (steps == before) & np.isfinite(columns).all(axis=0)
        sessions = np.array(events.sessions)[here]
        if not _are_enough(sessions):
            continue
        gap_unit = max(unit, _NEXT_TO_NOTHING * float(np.median(columns[-1][here])))
        logs = np.log(columns[:, here] + np.array([[units[slot]] for slot in slots] + [[gap_unit]]))
        correlated = _correlated(logs)[-1, :-1]
        given = int(np.argmax(correlated))
        if correlated[given] >= _CORRELATED:
            pair = _Pair(slots[given], GAP, before, units[slots[given]], gap_unit)
            one = pair.proportion(logs[given], logs[-1], sessions, steepest)
            if one is not None:
                yield one


def _are_enough(sessions: NDArray[np.int64]) -> bool:
    """Whether these are events of enough sessions, and of either half of all sessions."""
    several = np.unique(sessions)
    return (
        len(sessions) >= _FEWEST
        and len(several) >= _FEWEST_SESSIONS
        and any(several % 2 != several[0] % 2)
    )


def _correlated(logs: Doubles) -> Doubles:
    """How far the rows determine one another, to either side: correlations without their signs.

    It is 0 for a row that hardly varies.
    """
    found: Doubles = np.zeros((len(logs), len(logs)))
    varying = np.flatnonzero([_spread(row, _NEARLY_ALL) >= math.log(_VARIES) for row in logs])
    if len(varying) > 1:
        found[np.ix_(varying, varying)] = np.abs(np.corrcoef(logs[varying]))
    return found


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two numbers of an event that may be compared."""

    given: int
    judged: int
    before: int
    given_unit: float
    judged_unit: float

    def proportion(
        self, x: Doubles, y: Doubles, sessions: NDArray[np.int64], steepest: float
    ) -> Proportion | None:
        """What is known of the two; None where the one says too little of the other.

        `x` and `y` are the logarithms of both numbers with their units added.
        """
        knots = _knots(x, y)
        if len(knots) < 2:
            return None
        units = (self.given_unit, self.judged_unit)
        line = Proportion(self.given, self.judged, self.before, units, knots, range_of([1.0], 0.0))
        rest = y - np.array([line.log_of_usual(one) for one in x.tolist()])
        for part in (_CENTRAL, _NEARLY_ALL):
            if _spread(rest, part) > _NARROWER * _spread(y, part):
                return None
        ratios = np.exp(rest).tolist()
        if outside_too_often(*halves(ratios, sessions.tolist())) or drifts(ratios):
            return None
        return replace(line, range=range_of(ratios, 0.0, steepest))


def _spread(numbers: Doubles, quantiles: tuple[float, float]) -> float:
    low, high = np.quantile(numbers, quantiles)
    return float(high - low)


def _knots(x: Doubles, y: Doubles) -> tuple[tuple[float, float], ...]:
    """Points of the curve of the usual `y` beside `x`."""
    ranked = np.argsort(x, kind="stable")
    parts = np.array_split(ranked, max(1, min(_KNOTS, len(x) // _A_KNOT)))
    found: list[list[NDArray[np.int64]]] = []
    first = -math.inf
    for part in parts:
        at = float(np.median(x[part]))
        if at - first < _APART:
            found[-1].append(part)
        else:
            found.append([part])
            first = at
    joined = [np.concatenate(near) for near in found]
    return tuple((float(np.median(x[part])), float(np.median(y[part]))) for part in joined)
