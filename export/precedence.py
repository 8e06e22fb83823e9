"""From normal sessions: which steps never come before which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.precedence import OCCURRENCES, REACH, Precedence, Rule

# A rule that fewer sessions could have broken says nothing.
_FEWEST = 20
# Log keys for which there are rules: the table has the square of their number.
_MOST_KEYS = 2_000

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def count_precedence(sessions: Iterable[Sequence[int]]) -> Precedence:
    """The rules that all of these sessions keep."""
    courses = Counter(tuple(keys[:REACH]) for keys in sessions if keys)
    known = sorted({key for keys in courses for key in keys})
    if not known or len(known) > _MOST_KEYS:
        return Precedence({})
    place = {key: i for i, key in enumerate(known)}
    numbered = {tuple(place[key] for key in keys): times for keys, times in courses.items()}
    size = len(known)
    # By step, occurrence, other step: how many there were before it at most, in any session; in how
    # many sessions there were so many, and more of them came later.
    most: Bytes = np.zeros((size, OCCURRENCES, size), np.uint8)
    reached: Ints = np.zeros((size, OCCURRENCES, size), np.int64)
    # By step and number: how many sessions have this many of it.
    having: Ints = np.zeros((size, OCCURRENCES + 1), np.int64)
    for keys in numbered:
        for step, occurrence, before in _occurrences(keys, size):
            np.maximum(most[step, occurrence], before, out=most[step, occurrence])
    for keys, times in numbered.items():
        totals = np.minimum(np.bincount(keys, minlength=size), OCCURRENCES)
        having[np.arange(size), totals] += times
        for step, occurrence, before in _occurrences(keys, size):
            reached[step, occurrence] += times * (
                (before == most[step, occurrence]) & (totals > before)
            )
    rules = {}
    for key, step in place.items():
        occurrences = _rules_of(step, most[step], reached[step], having[step], known)
        if occurrences:
            rules[key] = occurrences
    return Precedence(rules)


def _occurrences(keys: Sequence[int], size: int) -> Iterator[tuple[int, int, Bytes]]:
    """Each of the first occurrences of a step: its number, and what came before it how often."""
    before: Bytes = np.zeros(size, np.uint8)
    for step in keys:
        occurrence = int(before[step])
        if occurrence < OCCURRENCES:
            yield step, occurrence, before
            before[step] += 1


def _rules_of(
    step: int, most: Bytes, reached: Ints, having: Ints, known: Sequence[int]
) -> list[list[Rule]]:
    """The rules of each occurrence of a step, as far as there are any."""
    found: list[list[Rule]] = []
    for occurrence in range(OCCURRENCES):
        if not having[occurrence + 1 :].any():
            # One more of them than any session had.
            often = int(having[occurrence])
            if often >= _FEWEST:
                found.append([Rule(known[step], occurrence - 1, often)])
            break
        could = np.where(most[occurrence] < OCCURRENCES, reached[occurrence], 0)
        could[step] = 0
        found.append(
            [
                Rule(known[other], int(most[occurrence, other]), int(could[other]))
                for other in np.flatnonzero(could >= _FEWEST).tolist()
            ]
        )
    while found and not found[-1]:
        found.pop()
    return found
