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
from dataclasses import dataclass, field
from itertools import permutations
from typing import NamedTuple

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
# Two numbers whose logarithms correlate less than this do not determine one another …
_CORRELATED = 0.8
# … and beside a given number, the other one may vary at most this part of what it does altogether,
# in logarithms.
_NARROWER = 0.5
# Points of the curve, each of the median of as many events, and the fewest events of one.
_KNOTS, _A_KNOT = 10, 20
# A gap below this part of the median is next to nothing, as for ranges (`detect/tails.py`).
_NEXT_TO_NOTHING = 1 / 20


@dataclass(slots=True)
class _Events:
    """The numbers of a step's events, one list for each slot; `GAP` is the time before them."""

    sessions: list[int] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    numbers: dict[int, list[float]] = field(default_factory=dict)


class _Candidate(NamedTuple):
    """Two numbers that may be compared; the lower `spread`, the more the one says of the other."""

    spread: float
    found: Proportion


def learn_proportions(
    sessions: Sequence[Trace], values: ValueWitness, steepest: float
) -> Proportions:
    """The numbers worth comparing, from normal `sessions` in the order of their times.

    The tails of times fall no faster than a nat in `steepest`.
    """
    gaps = (gap_ns / _NS for session in sessions for gap_ns in session.gaps_ns)
    unit = resolution(gaps) if any(session.gaps_ns for session in sessions) else 1.0
    found = {}
    for log_key, events in _events(sessions, values).items():
        units = {
            slot: known.range.unit
            for slot in events.numbers
            if isinstance(known := values.slots.get((log_key, slot)), KnownRange)
        }
        candidates = [*_of_slots(events, units), *_of_gaps(events, units, unit, steepest)]
        if candidates:
            found[log_key] = _chosen(candidates)
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
            if seen[log_key] % left_out[log_key]:
                continue
            events = found[log_key]
            events.sessions.append(number)
            has_gap = 0 < at <= len(session.gaps_ns)
            events.before.append(session.keys[at - 1] if has_gap else ANY)
            events.numbers[GAP].append(session.gaps_ns[at - 1] / _NS if has_gap else math.nan)
            for slot, known in slots[log_key]:
                one = known.number(of_event[slot]) if slot < len(of_event) else None
                events.numbers[slot].append(math.nan if one is None else one)
    return found


def _left_out(sessions: Sequence[Trace], wanted: Collection[int]) -> dict[int, int]:
    """Of how many events of each step one is looked at."""
    events = Counter(key for session in sessions for key in session.keys if key in wanted)
    return {key: math.ceil(many / _MOST) for key, many in events.items()}


def _of_slots(events: _Events, units: Mapping[int, float]) -> Iterator[_Candidate]:
    """The values in one message that may be compared."""
    everywhere = np.ones(len(events.sessions), np.bool_)
    for given, judged in permutations(units, 2):
        pair = (units[given], units[judged])
        yield from _candidate(events, everywhere, (given, judged), pair, ANY, STEEPEST)


def _of_gaps(
    events: _Events, units: Mapping[int, float], unit: float, steepest: float
) -> Iterator[_Candidate]:
    """The times before a step that may be compared with a value in its message."""
    steps = np.array(events.before)
    for before in sorted({*events.before} - {ANY}):
        after = steps == before
        gaps_s = np.array(events.numbers[GAP])[after]
        gap_unit = max(unit, _NEXT_TO_NOTHING * float(np.median(gaps_s)))
        for given in units:
            pair = (units[given], gap_unit)
            yield from _candidate(events, after, (given, GAP), pair, before, steepest)


def _candidate(
    events: _Events,
    where: NDArray[np.bool_],
    slots: tuple[int, int],
    units: tuple[float, float],
    before: int,
    steepest: float,
) -> Iterator[_Candidate]:
    """The proportion of the numbers at two slots, the given one and the judged one, if any."""
    given, judged = (np.array(events.numbers[slot])[where] for slot in slots)
    both = np.isfinite(given) & np.isfinite(judged)
    sessions = np.array(events.sessions)[where][both]
    if len(sessions) < _FEWEST or len(np.unique(sessions)) < _FEWEST_SESSIONS:
        return
    x = np.log(given[both] + units[0])
    y = np.log(judged[both] + units[1])
    if min(_spread(x, _NEARLY_ALL), _spread(y, _NEARLY_ALL)) < math.log(_VARIES):
        return
    if abs(np.corrcoef(x, y)[0, 1]) < _CORRELATED:
        return
    knots = _knots(x, y)
    if len(knots) < 2:
        return
    line = Proportion(*slots, before, units, knots, range_of([1.0], 0.0))
    numbers = zip(given[both].tolist(), judged[both].tolist(), strict=True)
    ratios = [line.ratio(*pair) for pair in numbers]
    rest = np.log(ratios)
    spread = _spread(rest, _CENTRAL) / _spread(y, _CENTRAL)
    if max(spread, _spread(rest, _NEARLY_ALL) / _spread(y, _NEARLY_ALL)) > _NARROWER:
        return
    if outside_too_often(*halves(ratios, sessions.tolist())) or drifts(ratios):
        return
    yield _Candidate(
        spread, Proportion(*slots, before, units, knots, range_of(ratios, 0.0, steepest))
    )


def _spread(numbers: Doubles, quantiles: tuple[float, float]) -> float:
    low, high = np.quantile(numbers, quantiles)
    return float(high - low)


def _knots(x: Doubles, y: Doubles) -> tuple[tuple[float, float], ...]:
    """Points of the curve of the usual `y` beside `x`."""
    ranked = np.argsort(x, kind="stable")
    parts = np.array_split(ranked, max(1, min(_KNOTS, len(x) // _A_KNOT)))
    found = {float(np.median(x[part])): float(np.median(y[part])) for part in parts}
    return tuple(sorted(found.items()))


def _chosen(candidates: Sequence[_Candidate]) -> list[Proportion]:
    """Of the candidates of a step, for each number the one that says most of it; of two numbers
    that say much of each other, one is judged by the other."""
    chosen: list[Proportion] = []
    for _, one in sorted(candidates, key=lambda candidate: candidate.spread):
        is_judged = any((one.judged, one.before) == (o.judged, o.before) for o in chosen)
        is_turned = any((one.given, one.judged) == (o.judged, o.given) for o in chosen)
        if not is_judged and not is_turned:
            chosen.append(one)
    return chosen
