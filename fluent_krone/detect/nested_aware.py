"""Nested-Aware detector: how likely a session is among normal ones, in a nested count space.

A session is three kinds of counts at once: its log keys, the runs of its entities, and the runs of
its actions. Its density is a Gaussian kernel estimate over the distinct sessions of normal
training, so the nearest of them explains it. Counts only grow as events come, which gives a lower
bound of the final score at any time.

The idea of judging a Seq together with its children, against the nearest normal ones, is KRONE's
(arXiv 2602.07303), where an LLM is the judge. The count space, the weights and the density are
ours; `export/train.py` fits them.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.hierarchy import Hierarchy
from ..errors import BundleError
from ..reading.cache import Generation
from ..timing import Histogram
from .budget import judges_steps
from .counts import Counts
from .loops import Loops, loops_from_json
from .needs import Needs, needs_from_json

Kind = Literal["key", "entity", "action"]
# A log key, or a node that had a run.
Feature = tuple[Kind, int]
_Exact = frozenset[tuple[Feature, int]]
# Runs count half, since harmless interleaving of threads changes them.
KIND_WEIGHT: Mapping[Kind, float] = {
    "key": 1.0,
    "entity": 0.5,
    "action": 0.5,
}

# When the nearest normal session is looked for: the weight of what a session lacks, beside what it
# has too much of. A session that still runs lacks whatever has not come yet.
MISSING_SHARE = 0.3
MISSING_SHARE_YET = 0.02
# Both, as a model takes them.
_SHARES = {share: np.array(share) for share in (MISSING_SHARE, MISSING_SHARE_YET)}
# The output of a model that says by the second share which sessions are nearest. Models of earlier
# versions lack it, and are run once more.
NEAREST_YET = "nearest_yet"


# What a remembered result costs, and each of its counts.
_ENTRY_BYTES = 600
_FEATURE_BYTES = 200

# Events from which on counts are NumPy's. For fewer, its calls cost more than they save.
_LONG = 300

_OUTPUTS = ("score", "bound", "nearest")


def nested_counts(log_keys: Sequence[int], hierarchy: Hierarchy) -> Counter[Feature]:
    """How often each log key occurs, and how many runs each entity and each action has."""
    if len(log_keys) >= _LONG:
        return _counts_of_many(np.fromiter(log_keys, np.int64, len(log_keys)), hierarchy)
    entity_of = hierarchy.entity_of
    action_of = hierarchy.action_of
    keys: dict[int, int] = {}
    entities: dict[int, int] = {}
    actions: dict[int, int] = {}
    entity = -1
    action = -1
    for key in log_keys:
        keys[key] = keys.get(key, 0) + 1
        if action_of[key] != action:
            action = action_of[key]
            actions[action] = actions.get(action, 0) + 1
            # No action has two entities, so another entity begins with another action.
            if entity_of[key] != entity:
                entity = entity_of[key]
                entities[entity] = entities.get(entity, 0) + 1
    counts: Counter[Feature] = Counter()
    for key, times in keys.items():
        counts["key", key] = times
    for entity, times in entities.items():
        counts["entity", entity] = times
    for action, times in actions.items():
        counts["action", action] = times
    return counts


def _counts_of_many(log_keys: NDArray[np.int64], hierarchy: Hierarchy) -> Counter[Feature]:
    """The same without a step of Python for each event or run."""
    layers: tuple[tuple[Kind, list[int]], ...] = (
        ("entity", hierarchy.entity_of),
        ("action", hierarchy.action_of),
    )
    counts: Counter[Feature] = Counter()
    _count_nodes(counts, "key", log_keys)
    for kind, node_of in layers:
        nodes = np.array(node_of)[log_keys]
        begins = np.flatnonzero(nodes[1:] != nodes[:-1]) + 1
        _count_nodes(counts, kind, nodes[np.concatenate(([0], begins))])
    return counts


def _count_nodes(counts: Counter[Feature], kind: Kind, nodes: NDArray[np.int64]) -> None:
    times = np.bincount(nodes)
    for node in np.flatnonzero(times).tolist():
        counts[kind, node] = int(times[node])


def magnitude(feature: Feature, count: int) -> float:
    """A count as it enters the space: logarithmic, and half for runs."""
    return KIND_WEIGHT[feature[0]] * math.log2(1 + count)


def sparse_vector(
    counts: Mapping[Feature, int], columns: Mapping[Feature, int]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Columns int64[K] and their values float32[K].

    The last column is the norm of all features that have no column. It is a norm of logarithms: raw
    counts of unseen features could overflow float32, and the worst session would pass as NaN.
    """
    log2 = math.log2
    weight_of = KIND_WEIGHT
    unseen: list[float] = []
    index: list[int] = []
    values: list[float] = []
    for feature, count in counts.items():
        column = columns.get(feature)
        if column is None:
            unseen.append(magnitude(feature, count) ** 2)
        else:
            index.append(column)
            # As `magnitude` has it; a call for each of them would cost half of all this.
            values.append(weight_of[feature[0]] * log2(1 + count))
    if unseen:
        index.append(len(columns))
        # An exact sum does not depend on the order, so a longer session never has less.
        values.append(math.sqrt(math.fsum(unseen)))
    return np.array(index, dtype=np.int64), np.array(values, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Density:
    """`score` is −ln of the density; `bound` is a score that no continuation falls below.

    `nearest` are indices of normal sessions, nearest first; `nearest_yet` are those that are
    nearest where the session goes on, None where the model does not say it.
    """

    score: float
    bound: float
    nearest: tuple[int, ...]
    nearest_yet: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedFiles:
    """A trained Nested-Aware detector as a bundle holds it: the model, and what stands beside it.

    `columns` are (kind, node), one a column; `weights` has one more, for what has no column;
    `normal` are the log keys of the normal sessions that the model's `nearest` counts through.
    Scores above `threshold` are abnormal, and those within `band` are doubtful. Scores are rounded
    to `decimals`, so that no verdict depends on their last bits. Both costs are those of `Counts`,
    one a column as `weights`; without any, only the very counts of normal sessions are known.
    """

    model: bytes
    columns: Sequence[Feature]
    weights: Sequence[float]
    normal: Sequence[Sequence[int]]
    threshold: float
    band: tuple[float, float]
    decimals: int = 4
    costs: Sequence[float] = ()
    number_costs: Sequence[float] = ()
    # As `Counts` takes them: `needs` and `loops` as plain values. Bundles of earlier versions do
    # not say them.
    proving: bool = False
    needs: Sequence[Any] | None = None
    loops: Sequence[Any] = ()


def counts_of(
    normal: Sequence[Sequence[int]],
    columns: Iterable[Feature],
    costs: Sequence[float],
    number_costs: Sequence[float],
    *,
    proving: bool,
    needs: Needs | None,
    loops: Loops | None,
) -> Counts:
    """The witness of the counts of normal sessions; costs are one a column, and one more.

    Bundles of earlier versions have no costs of numbers: those of the steps stand for them.
    """
    if not costs:
        return Counts(normal, {}, 1.0)
    features = list(columns)
    by_key: list[dict[int, float]] = []
    for of_columns in (costs, number_costs or costs):
        pairs = zip(features, of_columns[:-1], strict=True)
        by_key.append({node: cost for (kind, node), cost in pairs if kind == "key"})
    return Counts(
        normal, by_key[0], costs[-1], by_key[1], proving=proving, needs=needs, loops=loops
    )


class NestedAware:
    """Scores whole sessions, or what there is of one so far.

    `where` names the model in error messages. Results are kept in `cache_bytes`.
    """

    name = "nested_aware"

    def __init__(
        self,
        hierarchy: Hierarchy,
        files: NestedFiles,
        *,
        where: str = "nested_aware.onnx",
        cache_bytes: int = 16_000_000,
    ) -> None:
        self.threshold = files.threshold
        self.band = files.band
        self.normal = [tuple(log_keys) for log_keys in files.normal]
        self._most: dict[int, int] = {}
        for log_keys in self.normal:
            for key, count in Counter(log_keys).items():
                self._most[key] = max(count, self._most.get(key, 0))
        self.counts = counts_of(
            files.normal,
            files.columns,
            files.costs,
            files.number_costs,
            proving=files.proving,
            needs=None if files.needs is None else needs_from_json(files.needs),
            loops=loops_from_json(files.loops),
        )
        # Counts that are farther than this from those of normal sessions are new ones, and so are
        # those of a session that lacks what more sessions have, or has a step far more often.
        self._above = {"counts": 0.0, "needs": 0.0, "loops": math.inf}
        self._known = frozenset(node for kind, node in files.columns if kind == "key")
        self._judges_steps = False
        self._last_keys: tuple[int, ...] | None = None
        self._last: tuple[Counter[Feature], _Exact] = (Counter(), frozenset())
        self._hierarchy = hierarchy
        self._columns = {feature: column for column, feature in enumerate(files.columns)}
        self._weights = files.weights
        self._decimals = files.decimals
        self._session = load_model(files.model, where)
        named = [output.name for output in self._session.get_outputs()]
        self._outputs = [*_OUTPUTS, *(name for name in named if name == NEAREST_YET)]
        self._cache: dict[tuple[bool, _Exact], Density] = {}
        self._generation = Generation(cache_bytes, self._cache.clear)
        # How long the model's runs took.
        self.latency = Histogram()
        if len(self._weights) != len(self._columns) + 1:
            raise BundleError(
                f"{where}: {len(self._weights)} weights for {len(self._columns)} columns and the "
                "one for what has no column: export the bundle again"
            )

    def at(self, thresholds: Mapping[str, float]) -> NestedAware:
        """The same detector with the thresholds of a budget; the band moves along."""
        other = copy.copy(self)
        other.threshold = threshold = thresholds["density"]
        counts_above = thresholds.get("counts", 0.0)
        # Bundles of earlier versions have one threshold for counts and needs, and none for loops.
        of_earlier = {"counts": counts_above, "needs": counts_above, "loops": math.inf}
        other._above = {name: thresholds.get(name, above) for name, above in of_earlier.items()}
        other._judges_steps = judges_steps(thresholds)
        low = min(self.band[0], 0.9 * threshold)
        other.band = (low, 2 * threshold - low)
        return other

    def density(self, log_keys: Sequence[int], *, ended: bool = True) -> Density:
        """Score, bound and nearest normal sessions of `log_keys`.

        Sessions of equal counts are judged once. Of a session that has not `ended`, what it lacks
        has next to no weight in which normal session is nearest.
        """
        counts, exact = self._counts_of(log_keys)
        if not ended and NEAREST_YET in self._outputs:
            whole = self.density(log_keys)
            yet = whole.nearest_yet or ()
            return Density(whole.score, whole.bound, yet, yet)
        key = (ended, exact)
        found = self._cache.get(key)
        if found is None:
            missing_share = MISSING_SHARE_YET
            if ended:
                missing_share = MISSING_SHARE
            found = self._run(counts, missing_share)
            self._generation.take(_ENTRY_BYTES + _FEATURE_BYTES * len(exact))
            self._cache[key] = found
        return found

    def is_abnormal(self, score: float) -> bool:
        """Whether a rounded score lies above the threshold; a score that is no number does."""
        # Not `score > threshold`, which is false for NaN.
        return not score <= self.threshold

    def most(self, log_key: int) -> int:
        """The largest count of a log key in any normal session; 0 if it was never seen."""
        return self._most.get(log_key, 0)

    def excess(self, log_key: int, here: int, there: int) -> float:
        """What a count of `here`, where normal has `there`, adds to the squared distance."""
        feature: Feature = ("key", log_key)
        weight = self._weights[self._columns.get(feature, -1)]
        return (weight * (magnitude(feature, here) - magnitude(feature, there))) ** 2

    def is_new_step(self, log_key: int) -> bool:
        """Whether a step makes the counts of any session new, as normal training never had it."""
        return self._judges_steps and log_key not in self._known

    def has_counts(self, log_keys: Sequence[int]) -> bool:
        """Whether a normal session had these log keys about as often; see `counts.py`."""
        if self._judges_steps and not self._known.issuperset(log_keys):
            return False
        if self.counts.is_known(log_keys):
            return True
        # The last one takes longest.
        for name, score in (
            ("needs", self.counts.lacking),
            ("loops", self.counts.looping),
            ("counts", self.counts.score),
        ):
            if round(score(log_keys), self._decimals) > self._above[name]:
                return False
        return True

    def _counts_of(self, log_keys: Sequence[int]) -> tuple[Counter[Feature], _Exact]:
        """The nested counts, as a mapping and as a set.

        Those of the same session are asked for several times: when it is decided, and by its
        verdict.
        """
        if log_keys is self._last_keys:
            return self._last
        # Only a tuple cannot change until it comes again.
        keys = tuple(log_keys)
        if keys != self._last_keys:
            counts = nested_counts(log_keys, self._hierarchy)
            self._last = (counts, frozenset(counts.items()))
        self._last_keys = keys
        return self._last

    def _run(self, counts: Mapping[Feature, int], missing_share: float) -> Density:
        columns, values = sparse_vector(counts, self._columns)
        inputs = {"columns": columns, "values": values, "missing_share": _SHARES[missing_share]}
        began = time.perf_counter()
        score, bound, nearest, *yet = self._session.run(self._outputs, inputs)
        self.latency.add(time.perf_counter() - began)
        return Density(
            round(float(score[0]), self._decimals),
            round(float(bound[0]), self._decimals),
            tuple(nearest.tolist()),
            tuple(yet[0].tolist()) if yet else None,
        )


def load_model(content: bytes, where: str) -> Any:
    """An onnxruntime session over a model's bytes.

    Raises BundleError when they are no model that onnxruntime can run. It is imported here, at the
    first model, so that programs without one do not pay its 0.1 s and 40 MB.
    """
    # Read at import: nothing may leave the machine.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # onnxruntime's own exceptions share no base class.
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise BundleError(
            f"{where} is not an ONNX model that onnxruntime {onnxruntime.__version__} can run: "
            f"{reason}"
        ) from None
