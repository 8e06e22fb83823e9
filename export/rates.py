"""From a normal stream: how often each node of the tree comes, and the extremes of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.core.stream.flow_findings import SCALES, WINDOW_NS
from fluent_krone.detect.rates import RareNode, Rate, Rates, Silences
from fluent_krone.types import LEVELS, FlowLevel

from .sequences import TrainingSession

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]

# Windows that tell what is usual at all: with fewer no flow is judged.
FEWEST_WINDOWS = 20
# Windows from which on hours of the day have rates of their own, and hours of the week: nearly a
# day, so that a training of one day counts, and two weeks. A shorter training has one rate, and
# says nothing of the hours that it does not have.
WHOLE_DAY, _WEEKS = 20 * 60, 14 * 1440
_HOURS_OF_DAY, _HOURS_OF_WEEK = 24, 168
# Events of a node in whole windows below which its rate by the hour, and its silences, say nothing,
_FEWEST_EVENTS = 30
# and in all of training, below which not even a burst of it can be told.
_FEWEST_OF_BURST = 5
# A run of empty windows that is this many times the second longest is a hole in the log.
_HOLE = 5.0
# Of the longest silences, this many tell how long others may be, but at most a quarter of all.
# Where silences have a heavy tail, the few longest say so; where they have none, many say it best.
_LONGEST, _LONGEST_SHARE = (10, 40), 1 / 4
# Fewer silences than this say nothing.
_FEWEST_SILENCES = 3
# A silence is no longer than the next one by less than one usual event.
_LEAST_SCALE = 1.0
# Windows of the longest log that is measured, a year: one with a wrong date would be longer.
_MOST_WINDOWS = 366 * 1440


def measure_rates(sessions: Sequence[TrainingSession], hierarchy: Hierarchy) -> Rates:
    """The rates of the sessions of a stream; none where they have no times, or too few."""
    events = [session for session in sessions if session.gaps_ns or len(session.log_keys) == 1]
    if len(events) < len(sessions) or not events:
        return Rates()
    starts = np.array([session.first_ns for session in events])
    times = np.fromiter((at for session in events for at in session.times_ns), np.int64)
    keys = np.fromiter((key for session in events for key in session.log_keys), np.int64)
    # The first and the last window are not whole.
    first = int(starts.min()) // WINDOW_NS + 1
    size = int(times.max()) // WINDOW_NS - first
    if not FEWEST_WINDOWS <= size <= _MOST_WINDOWS:
        return Rates()
    cells = _cells(first, size)
    found: list[Rate] = []
    rare: list[RareNode] = []
    has_stream = True
    for level, node, of_node in _nodes(starts, times, keys, hierarchy):
        at = of_node // WINDOW_NS - first
        at = at[(at >= 0) & (at < size)]
        if len(at) >= _FEWEST_EVENTS:
            found.append(_rate(level, node, np.bincount(at, minlength=size), cells, first))
        elif level == "stream":
            has_stream = False
        elif has_stream and len(of_node) >= _FEWEST_OF_BURST:
            rare.append(RareNode(level, node, len(of_node), _most(of_node)))
    return Rates(size, tuple(found), tuple(rare))


def _nodes(
    starts: Ints, times: Ints, keys: Ints, hierarchy: Hierarchy
) -> Iterator[tuple[FlowLevel, int, Ints]]:
    """Each node and the times of its events; the stream, which counts the starts, first."""
    yield "stream", 0, starts
    for level in reversed(LEVELS):
        node_of = np.array(hierarchy.nodes(level))[keys]
        order = np.argsort(node_of, kind="stable")
        bounds = np.searchsorted(node_of[order], np.arange(node_of.max() + 2))
        for node, (begin, end) in enumerate(pairwise(bounds)):
            if end > begin and node != hierarchy.nodes(level)[hierarchy.unknown]:
                yield level, node, times[order[begin:end]]


def _most(times: Ints) -> tuple[int, ...]:
    """The most events within each of `SCALES`, from the first moment of training to the last.

    Windows begin with any event, so that a burst counts as a whole wherever it falls. When serving
    windows are aligned: none of them has more of the same events.

    >>> _most(np.array([0, 59, 61, 65, 3600]) * 10**9)
    (3, 4, 4)
    """
    times = np.sort(times)
    ends = [np.searchsorted(times, times + scale * WINDOW_NS) for scale in SCALES]
    return tuple(int((end - np.arange(len(times))).max()) for end in ends)


def _cells(first: int, size: int) -> Ints:
    """For each window its hour: of the week in a long training, else of the day."""
    hours = np.arange(first, first + size) // 60
    if size >= _WEEKS:
        return hours % _HOURS_OF_WEEK
    return hours % _HOURS_OF_DAY


def _rate(level: FlowLevel, node: int, counts: Ints, cells: Ints, first: int) -> Rate:
    rates = _rates(counts, cells)
    usual = np.maximum(rates, 0.0)[cells]
    runs = _silences(counts, usual)
    return Rate(
        level=level,
        node=node,
        rates=tuple(round(float(rate), 5) for rate in rates),
        missing=round(max(runs, default=0.0), 3),
        highest=tuple(round(_highest(counts, usual, first, scale), 4) for scale in SCALES),
        silences=_longest(runs),
    )


def _rates(counts: Ints, cells: Ints) -> Doubles:
    """Events in a window, by cell; −1 where training has no window of a cell.

    A cell's rate is that of the hours around it as well, so that one day is not taken literally.
    """
    size = _HOURS_OF_DAY
    if len(counts) >= _WEEKS:
        size = _HOURS_OF_WEEK
    events = np.bincount(cells, counts, size).astype(float)
    windows = np.bincount(cells, minlength=size).astype(float)
    has_any = windows > 0
    if len(counts) >= WHOLE_DAY:
        events = (np.roll(events, 1) + 2 * events + np.roll(events, -1)) / 4
        windows = (np.roll(windows, 1) + 2 * windows + np.roll(windows, -1)) / 4
    else:
        events[:] = events.sum()
        windows[:] = windows.sum()
    found: Doubles = np.where(has_any, events / np.maximum(windows, 0.25), -1.0)
    return found


def _silences(counts: Ints, usual: Doubles) -> list[float]:
    """The usual events that were missing in each run of empty windows, the longest run first."""
    runs = []
    at = 0
    for is_empty, run in groupby((counts == 0).tolist()):
        length = len(list(run))
        if is_empty:
            runs.append(float(usual[at : at + length].sum()))
        at += length
    runs.sort(reverse=True)
    if len(runs) > 1 and runs[0] > _HOLE * max(runs[1], 1.0):
        return runs[1:]
    return runs


def _longest(runs: Sequence[float]) -> tuple[Silences, ...]:
    """What the longest of the silences tell, the longest one first.

    Of that one it is only taken that it is no shorter than the next, so that an outlier does not
    say how fast silences become rare. For an exponential tail this is the estimate of the greatest
    likelihood, as for lamps that still burn when a test ends.
    """
    found = []
    for count in sorted({min(count, int(len(runs) * _LONGEST_SHARE)) for count in _LONGEST}):
        if count < _FEWEST_SILENCES:
            continue
        start = runs[count]
        excess = runs[1] - start + sum(run - start for run in runs[1:count])
        scale = max(excess / (count - 1), _LEAST_SCALE)
        found.append(Silences(count, round(start, 3), round(scale, 3)))
    return tuple(found)


def _highest(counts: Ints, usual: Doubles, first: int, scale: int) -> float:
    """The largest ln((count + 1) / (usual + 1)) of windows of `scale`; aligned as when serving."""
    skip = -first % scale
    whole = (len(counts) - skip) // scale
    if whole < 1:
        skip, whole = 0, 1
    end = skip + whole * scale
    many = counts[skip:end].reshape(whole, -1).sum(axis=1)
    # As when serving, the usual number is that of the first window's hour.
    expected = usual[skip:end].reshape(whole, -1)[:, 0] * scale
    return max(float(np.log((many + 1) / (expected + 1)).max()), 0.0)
