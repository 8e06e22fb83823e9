"""Nested-Aware detector: how likely a session is among normal ones, in a nested count space.

A session is three kinds of counts at once: its log keys, the runs of its entities, the runs of its actions. Its density
is a Gaussian kernel estimate over the distinct sessions of normal training, so the nearest of them explains it. Counts
only grow as events come, which gives a lower bound of the final score at any time.

The idea of judging a Seq together with its children, against the nearest normal ones, is KRONE's (arXiv 2602.07303),
where an LLM is the judge. The count space, the weights and the density are ours; `export/train.py` fits them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from lru import LRU

from ..core.hierarchy import Hierarchy, runs
from ..errors import BundleError
from ..timing import Histogram
from .onnx import load_model

Kind = Literal["key", "entity", "action"]
Feature = tuple[Kind, int]  # a log key, or a node that had a run
KIND_WEIGHT: Mapping[Kind, float] = {
    "key": 1.0,
    "entity": 0.5,
    "action": 0.5,
}  # runs move with harmless interleaving

# How much what a session lacks counts, beside what it has too much of, when the nearest normal session is looked for.
_MISSING_SHARE, _MISSING_SHARE_YET = 0.3, 0.02


def nested_counts(log_keys: Sequence[int], hierarchy: Hierarchy) -> Counter[Feature]:
    """How often each log key occurs, and how many runs each entity and each action has."""
    counts: Counter[Feature] = Counter()
    for key, n in Counter(log_keys).items():
        counts["key", key] = n
    layers: tuple[tuple[Kind, list[int]], ...] = (
        ("entity", hierarchy.entity_of),
        ("action", hierarchy.action_of),
    )
    for kind, node_of in layers:
        nodes = [node_of[key] for key in log_keys]
        for node, n in Counter(nodes[start] for start, _ in runs(nodes)).items():
            counts[kind, node] = n
    return counts


def magnitude(feature: Feature, count: int) -> float:
    """A count as it enters the space: logarithmic, and half for runs."""
    return KIND_WEIGHT[feature[0]] * math.log2(1 + count)


def sparse_vector(
    counts: Mapping[Feature, int], columns: Mapping[Feature, int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Columns int64[K] and their values float32[K]; the last column is the norm of all features without a column.

    In logarithms: a raw count of unseen features would overflow float32, and the worst session would pass as NaN.
    """
    unseen: list[float] = []
    index: list[int] = []
    values: list[float] = []
    for feature, count in counts.items():
        column = columns.get(feature)
        if column is None:
            unseen.append(magnitude(feature, count) ** 2)
        else:
            index.append(column)
            values.append(magnitude(feature, count))
    if unseen:
        index.append(len(columns))
        values.append(
            math.sqrt(math.fsum(unseen))
        )  # exact, so in any order: a longer session never has less
    return np.array(index, dtype=np.int64), np.array(values, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Density:
    """`score` is −ln of the session's density; `bound` is a score that no continuation can fall below.

    `nearest` are indices of normal sessions, nearest first.
    """

    score: float
    bound: float
    nearest: tuple[int, ...]


class NestedAware:
    """Scores whole sessions, or what there is of one. `threshold`: abnormal above it.

    `band` is the uncertainty band around the threshold: scores in it are doubtful.
    """

    name = "nested_aware"

    def __init__(
        self,
        hierarchy: Hierarchy,
        model: bytes,
        *,
        columns: Mapping[Feature, int],
        weights: Sequence[float],
        normal: Sequence[Sequence[int]],
        threshold: float,
        band: tuple[float, float],
        decimals: int = 4,
        where: str = "nested_aware.onnx",
        cache_size: int = 20_000,
    ) -> None:
        self.threshold = threshold
        self.band = band
        self.normal = [tuple(log_keys) for log_keys in normal]
        self._most: dict[int, int] = {}
        for log_keys in self.normal:
            for key, count in Counter(log_keys).items():
                self._most[key] = max(count, self._most.get(key, 0))
        self._exact = {frozenset(nested_counts(keys, hierarchy).items()) for keys in self.normal}
        self._hierarchy = hierarchy
        self._columns = columns
        self._weights = weights
        self._decimals = decimals
        self._session = load_model(model, where)
        self._cache: Any = LRU(cache_size)
        self.latency = Histogram()  # of the model's runs
        if len(weights) != len(columns) + 1:
            raise BundleError(
                f"{where}: {len(weights)} weights for {len(columns)} columns and the unseen one"
            )

    def density(self, log_keys: Sequence[int], *, ended: bool = True) -> Density:
        """Score, bound and nearest normal sessions of `log_keys`; sessions of equal counts are judged once.

        Of a session that has not `ended`, what it lacks says next to nothing about which normal session is nearest.
        """
        counts = nested_counts(log_keys, self._hierarchy)
        key = (ended, frozenset(counts.items()))
        found: Density | None = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._run(
                counts, _MISSING_SHARE if ended else _MISSING_SHARE_YET
            )
        return found

    def is_abnormal(self, score: float) -> bool:
        """Whether a rounded score lies above the threshold; a score that is no number does."""
        return not score <= self.threshold

    def most(self, log_key: int) -> int:
        """The largest count of a log key in any normal session; 0 if it was never seen."""
        return self._most.get(log_key, 0)

    def excess(self, log_key: int, here: int, there: int) -> float:
        """What a log key's count of `here` where normal has `there` adds to the squared distance."""
        feature: Feature = ("key", log_key)
        weight = self._weights[self._columns.get(feature, -1)]
        return (weight * (magnitude(feature, here) - magnitude(feature, there))) ** 2

    def has_counts(self, log_keys: Sequence[int]) -> bool:
        """Whether a normal session had exactly these nested counts."""
        return frozenset(nested_counts(log_keys, self._hierarchy).items()) in self._exact

    def _run(self, counts: Mapping[Feature, int], missing_share: float) -> Density:
        columns, values = sparse_vector(counts, self._columns)
        inputs = {"columns": columns, "values": values, "missing_share": np.array(missing_share)}
        began = time.perf_counter()
        score, bound, nearest = self._session.run(("score", "bound", "nearest"), inputs)
        self.latency.add(time.perf_counter() - began)
        return Density(
            round(float(score[0]), self._decimals),
            round(float(bound[0]), self._decimals),
            tuple(int(i) for i in nearest),
        )
