"""From normal sessions: which steps need which others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.needs import OCCURRENCES, Need, Needs

# A rule that fewer sessions kept says nothing.
_FEWEST = 20
# With more log keys than this there are no rules: their number grows with the square of it.
_MOST_KEYS = 600

Bytes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


def count_needs(bags: Sequence[Mapping[int, int]], sessions: Sequence[int]) -> Needs:
    """The rules that all sessions keep: `sessions` of them have each step as often as `bags` says.

    A rule that says no more than that of an earlier occurrence is left out.
    """
    known = sorted({key for bag in bags for key in bag})
    if not known or len(known) > _MOST_KEYS:
        return Needs({})
    place = {key: i for i, key in enumerate(known)}
    times: Bytes = np.zeros((len(bags), len(known)), np.uint8)
    for row, bag in enumerate(bags):
        for key, number in bag.items():
            times[row, place[key]] = min(number, OCCURRENCES)
    weights = np.asarray(sessions, np.int64)
    rules = {}
    for key, column in place.items():
        of_step = _needs_of(column, times, weights, known)
        if of_step:
            rules[key] = of_step
    return Needs(rules)


def _needs_of(column: int, times: Bytes, weights: Ints, known: Sequence[int]) -> list[list[Need]]:
    """What each occurrence of a step needs, if anything."""
    found: list[list[Need]] = []
    before: Bytes = np.zeros(len(known), np.uint8)
    for occurrence in range(OCCURRENCES):
        having = times[:, column] > occurrence
        if int(weights[having].sum()) < _FEWEST:
            break
        least = times[having].min(axis=0)
        # How often the step itself comes is what the rule is about.
        least[column] = 0
        more = least > before
        kept = _kept_by(times[having][:, more], least[more], weights[having])
        of_one = zip(np.flatnonzero(more).tolist(), least[more].tolist(), kept, strict=True)
        found.append([Need(known[i], number, n) for i, number, n in of_one if n >= _FEWEST])
        before = least
    while found and not found[-1]:
        found.pop()
    return found


def _kept_by(times: Bytes, least: Bytes, weights: Ints) -> list[int]:
    """How many sessions tried to do with fewer than the `least`, by step."""
    tried: Flags = (times == least) | (least == 1)
    kept: list[int] = (weights @ tried).tolist()
    return kept
