"""The status Seq whose events score most together: the one that a verdict names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..types import Seq
from .hierarchy import Hierarchy, runs

# Digits to which the scores of Seqs are compared: their last bits depend on the order of sums.
_SCORE_DECIMALS = 6
# Half of the last of these digits: a sum that is smaller than another one by more is not equal to
# it. It leaves room for what the sums of NumPy are wrong by, which is less than a millionth of it.
_ROUNDING = 0.51e-6
# Events from which on the sums are NumPy's, without a step of Python for each Seq. For fewer
# events, its calls cost more than they save.
_LONG = 300


def heaviest(scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy) -> Seq:
    """The status Seq with the largest sum of event scores; of equals the first."""
    spans: Iterable[tuple[int, int]]
    if len(keys) < _LONG:
        spans = runs(list(map(hierarchy.action_of.__getitem__, keys)))
        most = float("inf")
    else:
        spans, most = _heavy_spans(scores, keys, hierarchy)
    found = (0, len(keys))
    largest = -1.0
    for start, end in spans:
        weight = sum(scores[start:end])
        # Most Seqs score nothing, or less by far. Rounding takes longer than summing up.
        if weight <= 0 or weight < largest - _ROUNDING:
            continue
        rounded = round(weight, _SCORE_DECIMALS)
        if rounded > largest:
            found = (start, end)
            largest = rounded
            if rounded >= most:
                break
    return hierarchy.seq("status", keys, *found)


def _heavy_spans(
    scores: Sequence[float], keys: Sequence[int], hierarchy: Hierarchy
) -> tuple[list[tuple[int, int]], float]:
    """The Seqs that may be the heaviest, and a sum, rounded, that none of them exceeds.

    Where many are equally heavy, the first of them reaches it.
    """
    # `fromiter` takes half of the time of `array`, which first looks for what the elements are.
    log_keys = np.fromiter(keys, np.int64, len(keys))
    actions = np.array(hierarchy.action_of)[log_keys]
    starts = np.concatenate(([0], np.flatnonzero(actions[1:] != actions[:-1]) + 1))
    weights = np.add.reduceat(np.fromiter(scores, np.float64, len(scores)), starts)
    largest = float(weights.max())
    inexact = largest * 1e-9
    heavy = np.flatnonzero(weights >= largest - 2 * _ROUNDING - inexact)
    ends = np.append(starts[1:], len(keys))
    spans = list(zip(starts[heavy].tolist(), ends[heavy].tolist(), strict=True))
    return spans, round(largest + inexact, _SCORE_DECIMALS)
