"""How fast the tails of gaps are taken to fall, as the training itself shows it.

A log whose gaps vary evenly shows slow steps best where a tail may be steep. Where machines stand
still for a moment now and then, such moments would score so high that they set the threshold, and
hide slow steps. No figure of the gaps tells the two apart as well as what is found: so half of the
sessions are measured, slow steps are looked for in the other half, and the steep tails are taken
only where they find more.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.tails import STEEPEST
from fluent_krone.detect.times import Times, measure_times

from .traces import Trace

# The least scale of a steep tail.
_STEEPER = 0.12
# A step is slow that takes this many times as long as it did.
_SLOWER = 10
# A threshold lies somewhere among this many of the largest scores of sessions.
_LARGEST = 7
_SECOND_NS = 1_000_000_000
# Sessions that are looked at, and those of a half in which steps are made slow: enough to tell.
_FEWEST, _MOST, _MOST_SLOW = 500, 6_000, 800


def steepest_of(sessions: Sequence[Trace], hierarchy: Hierarchy) -> float:
    """The least scale that a tail of the gaps of normal `sessions` may have (`detect/tails.py`).

    Steep tails must find more in either half: what a few moments of standstill do to a threshold is
    a matter of chance.
    """
    timed = [session for session in sessions if session.gaps_ns]
    some = timed[:: max(1, len(timed) // _MOST)]
    gaps_ns = (gap_ns for session in some for gap_ns in session.gaps_ns)
    # A clock of whole seconds does not show how short gaps vary. On raw HDFS, 19 of 4,694 normal
    # blocks were flagged in place of 14.
    if len(some) < _FEWEST or all(gap_ns % _SECOND_NS == 0 for gap_ns in gaps_ns):
        return STEEPEST
    halves = some[::2], some[1::2]
    for fitted, held in (halves, halves[::-1]):
        found = _found(fitted, held, hierarchy, _STEEPER)
        if found <= _found(fitted, held, hierarchy, STEEPEST):
            return STEEPEST
    return _STEEPER


def _found(
    fitted: Sequence[Trace], held: Sequence[Trace], hierarchy: Hierarchy, steepest: float
) -> float:
    """The share of slow steps that one half finds in the other, as the mean over thresholds."""
    times = measure_times(((s.keys, s.gaps_ns) for s in fitted), hierarchy, steepest)
    worst = sorted((times.worst(s.keys, s.gaps_ns) for s in held), reverse=True)
    scores = np.array(_slow_scores(times, held[:_MOST_SLOW]))
    if not len(scores):
        return 0.0
    return float(np.mean([scores > threshold for threshold in worst[:_LARGEST]]))


def _slow_scores(times: Times, sessions: Sequence[Trace]) -> list[float]:
    """What each step of some sessions scores where it is slow.

    Steps that took no time that the clock can tell are left out: nobody knows how long one of them
    takes when it is slow.
    """
    return [
        times.score(before, step, gap_ns * _SLOWER)
        for session in sessions
        for before, step, gap_ns in zip(
            session.keys, session.keys[1:], session.gaps_ns, strict=False
        )
        if gap_ns > 0
    ]
