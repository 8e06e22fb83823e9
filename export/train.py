"""Fits the Nested-Aware detector: a kernel density over the nested counts of normal sessions.

A session's density among normal ones is `Σ_p prior_p · exp(-‖x - p‖² / 2h²)`, where p runs over the
distinct count vectors of training. The prior of p is its share of the training sessions, so that
five hundred alike sessions count for more than one outlier. A feature has a higher weight when few
normal sessions have it, and when few of them differ in it from their nearest neighbour.

The counts are those of the detector itself (`fluent_krone.detect.nested_aware`), so that what is
trained is what is served.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.counts import Counts
from fluent_krone.detect.loops import Loops, measure_loops
from fluent_krone.detect.needs import Needs
from fluent_krone.detect.nested_aware import (
    Feature,
    counts_of,
    magnitude,
    nested_counts,
    sparse_vector,
)
from fluent_krone.errors import ExportError

from .needs import count_needs

# The kernel width h, in weighted counts: a difference of this size is ordinary.
BANDWIDTH = 1.5
# Most distinct vectors that a model keeps. A session is compared with all of them, which takes well
# under a millisecond on one thread; rarer vectors beyond this number are merged with their nearest.
MAX_PROTOTYPES = 4_000
# Most float32 values in a model file, which is then at most 8 MB. A model that would need more
# keeps fewer prototypes.
MAX_CELLS = 2_000_000
# Most vectors that occurred once and are used to learn which features vary. More are sampled.
_MAX_LONE = 4_000
# Rows of a table that are made dense at a time: enough for fast matrix products, little memory.
_ROWS = 512
# Rounds in which the outlying prototypes of a large table are chosen. One at a time would be exact,
# but would take thousands of passes over the table.
_ROUNDS = 8

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
LogKeys = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DensityModel:
    """A fitted density over V `columns` and one more: the norm of all features unknown to training.

    `prototypes` float32[P, V + 1] are distinct training vectors, already multiplied by `weights`
    float32[V + 1]. `log_prior` float64[P] holds the logarithms of their shares of training, and
    `normal` one training session of each. `costs` float64[V + 1] say for each feature how seldom a
    session differs in it from the nearest one unlike it, and `number_costs` how seldom one does
    that has it. `needs` are what the steps of a session need, and `loops` how often a step may
    come. `dropped` counts the distinct vectors
    beyond the limits; each of them adds to the share of the nearest vector that was kept.
    """

    hierarchy: Hierarchy
    columns: dict[Feature, int]
    weights: Floats
    prototypes: Floats
    log_prior: Doubles
    normal: list[LogKeys]
    costs: Doubles
    number_costs: Doubles
    needs: Needs
    loops: Loops
    dropped: int = 0
    norms: Doubles = field(init=False)

    def __post_init__(self) -> None:
        square = np.einsum("pv,pv->p", self.prototypes, self.prototypes, dtype=np.float64)
        object.__setattr__(self, "norms", square)

    def score(self, log_keys: Sequence[int]) -> float:
        """−ln density of a session: the higher, the less normal."""
        x, held = self._held(log_keys)
        square = self.norms + (x * (x - 2 * held)).sum(1)
        return self._minus_log(np.maximum(square, 0))

    def bound(self, log_keys: Sequence[int]) -> float:
        """A lower bound of the score of every continuation of `log_keys`.

        Counts only grow, so a count that exceeds a prototype's will never be smaller again.
        """
        x, held = self._held(log_keys)
        return self._minus_log((np.maximum(x - held, 0) ** 2).sum(1))

    def counts(self) -> Counts:
        """The witness of the counts of the same sessions."""
        costs = self.costs.tolist()
        number_costs = self.number_costs.tolist()
        return counts_of(
            self.normal,
            self.columns,
            costs,
            number_costs,
            proving=True,
            needs=self.needs,
            loops=self.loops,
        )

    def _held(self, log_keys: Sequence[int]) -> tuple[Doubles, Doubles]:
        """Weighted values in the session's own K columns.

        The session's are float64[K], the prototypes' float64[P, K].
        """
        columns, values = sparse_vector(nested_counts(log_keys, self.hierarchy), self.columns)
        x = (values * self.weights[columns]).astype(np.float64)
        return x, self.prototypes[:, columns].astype(np.float64)

    def _minus_log(self, square: Doubles) -> float:
        return float(_minus_log_sum(self.log_prior - square[None] / (2 * BANDWIDTH**2))[0])

    def scores(self, table: Table, rows: Ints) -> Doubles:
        """Scores of a table's `rows`. The table must have all columns of this model."""
        known = np.array([table.column_of[feature] for feature in self.columns], np.int64)
        found = [np.empty(0)]
        for part in _parts(rows):
            square = _squared(
                table.project(part, known) * self.weights, self.prototypes, self.norms
            )
            found.append(_minus_log_sum(self.log_prior - square / (2 * BANDWIDTH**2)))
        return np.concatenate(found)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The distinct nested-count vectors of sessions, as sparse rows.

    Row d is the part [starts[d], starts[d + 1]) of `columns` and `values`. `column_of` numbers the
    features, `member` int64[N] gives the row of each session, and `example` the first session of
    each row.
    """

    column_of: dict[Feature, int]
    starts: Ints
    columns: Ints
    values: Doubles
    member: Ints
    example: list[LogKeys]

    def project(self, rows: Ints, known: Ints) -> Floats:
        """The columns `known` of `rows`, then the norm of all other columns.

        The result is float32[len(rows), len(known) + 1].
        """
        # 1. `row` and `at` name every stored value: the place of its row in `rows`, and its index.
        # 2. `place` translates a column to its position in the result; unknown ones go to the last.
        # 3. Known values are copied; squares of unknown ones are added up, row by row.
        lengths = self.starts[rows + 1] - self.starts[rows]
        row = np.repeat(np.arange(len(rows)), lengths)
        at = np.arange(len(row)) + np.repeat(
            self.starts[rows] - np.cumsum(lengths) + lengths, lengths
        )
        place = np.full(len(self.column_of), len(known))
        place[known] = np.arange(len(known))
        column = place[self.columns[at]]
        value = self.values[at]
        seen = column < len(known)
        dense = np.zeros((len(rows), len(known) + 1))
        dense[row[seen], column[seen]] = value[seen]
        dense[:, -1] = np.sqrt(np.bincount(row[~seen], value[~seen] ** 2, minlength=len(rows)))
        return dense.astype(np.float32)

    def columns_of(self, rows: Ints) -> Ints:
        """The columns that any of `rows` holds, ascending."""
        held = np.zeros(len(self.column_of), dtype=bool)
        for row in rows:
            held[self.columns[self.starts[row] : self.starts[row + 1]]] = True
        return np.flatnonzero(held)


def tabulate(sessions: Sequence[Sequence[int]], hierarchy: Hierarchy) -> Table:
    """The nested counts of all sessions. Each distinct sequence of log keys is counted once."""
    row_of: dict[LogKeys, int] = {}
    row_of_counts: dict[bytes, int] = {}
    column_of: dict[Feature, int] = {}
    example: list[LogKeys] = []
    starts = array("q", [0])
    columns = array("q")
    values = array("d")
    member = np.zeros(len(sessions), np.int64)
    for i, session in enumerate(sessions):
        log_keys = tuple(session)
        if log_keys not in row_of:
            counts = nested_counts(log_keys, hierarchy)
            by_column = sorted(
                (column_of.setdefault(f, len(column_of)), f, n) for f, n in counts.items()
            )
            content = array(
                "q", [part for column, _, n in by_column for part in (column, n)]
            ).tobytes()
            row = row_of[log_keys] = row_of_counts.setdefault(content, len(example))
            if row == len(example):
                example.append(log_keys)
                columns.extend(column for column, _, _ in by_column)
                values.extend(magnitude(feature, n) for _, feature, n in by_column)
                starts.append(len(columns))
        member[i] = row_of[log_keys]
    return Table(
        column_of,
        np.array(starts, np.int64),
        np.array(columns, np.int64),
        np.array(values),
        member,
        example,
    )


def fit_density(
    sessions: Sequence[Sequence[int]], hierarchy: Hierarchy, *, seed: int = 0
) -> DensityModel:
    """The density of `sessions`, the log keys of normal executions.

    Raises ExportError when no session has an event.
    """
    if not any(sessions):
        raise ExportError(
            "no normal session with at least one event remains to train on: "
            "check --session-key, --labels and --train-fraction"
        )
    return fit_table(tabulate(sessions, hierarchy), np.arange(len(sessions)), hierarchy, seed=seed)


def fit_table(table: Table, use: Ints, hierarchy: Hierarchy, *, seed: int = 0) -> DensityModel:
    """The density of the sessions `use` (indices) of a table, as each fold of a calibration needs.

    1. `rarity` is the inverse document frequency of each feature: it is high where few sessions
       have the feature.
    2. Distinct vectors beyond the limits are merged, by distances in the space of `rarity`.
    3. `varying` counts the sessions that differ in a feature from their nearest neighbour. The
       weight of a feature is the mean of `rarity` and the logarithm of its inverse share.
    """
    rows, times = np.unique(table.member[use], return_counts=True)
    known = table.columns_of(rows)
    having = _sessions_having(table, rows, times, known)
    rarity = np.log((1 + len(use)) / (1 + having)) + 1
    part = _Part(table, rows, times, known, rarity)
    kept, mass = _thin_out(part)
    x = table.project(rows[kept], known)
    varying = _sessions_varying(part, kept, x, own=having == 1, seed=seed)
    features = list(table.column_of)
    weights = (0.5 * (rarity + np.log((1 + len(use)) / (1 + varying)))).astype(np.float32)
    differing = _sessions_varying(part, kept, x, own=having == 1, seed=seed, alone=False)
    costs = np.log((1 + len(use)) / (1 + differing))
    # A dozen sessions that have a step prove little of how often it comes, however many lack it.
    number_costs = np.log((1 + having) / (1 + np.minimum(differing, having)))
    bags = [Counter(table.example[row]) for row in rows]
    return DensityModel(
        hierarchy=hierarchy,
        columns={features[column]: i for i, column in enumerate(known)},
        weights=weights,
        prototypes=x * weights,
        log_prior=np.log(mass / mass.sum()),
        normal=[table.example[row] for row in rows[kept]],
        costs=costs,
        number_costs=number_costs,
        needs=count_needs(bags, times.tolist()),
        loops=measure_loops(bags, times.tolist()),
        dropped=len(rows) - len(kept),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The part of a table that is fitted on: its distinct rows and how often each occurs.

    `known` are the V columns that these rows hold; `rarity` is float64[V + 1].
    """

    table: Table
    rows: Ints
    times: Ints
    known: Ints
    rarity: Doubles


def prototype_limit(columns: int) -> int:
    """The largest number of prototypes that a model with `columns` columns may have."""
    return max(1, min(MAX_PROTOTYPES, MAX_CELLS // (columns + 1)))


def _sessions_having(table: Table, rows: Ints, times: Ints, known: Ints) -> Doubles:
    """The number of sessions that have each known feature, and 0 for the unknown ones."""
    total = np.zeros(len(table.column_of))
    for row, n in zip(rows, times, strict=True):
        total[table.columns[table.starts[row] : table.starts[row + 1]]] += n
    return np.append(total[known], 0.0)


def _sessions_varying(
    part: _Part, kept: Ints, x: Floats, *, own: NDArray[np.bool_], seed: int, alone: bool = True
) -> Doubles:
    """The number of sessions that differ in each feature from the nearest *other* session.

    Without `alone`, from the nearest session that is *unlike* them: what most often makes the
    difference between two kinds of normal sessions, however many there are of each.

    `x` holds the rows `kept`. `own` marks the features that one session alone has.

    1. Where any other session counts, only a vector that occurs once can differ: a vector that
       occurs twice has a neighbour at distance 0.
    2. Each such session is compared as if training had not had it. A feature that it alone has
       would then be unknown, so its value moves to the last column, and it never counts as varying.
    3. The session itself is excluded as a neighbour by an infinite distance.
    """
    varying = np.zeros(len(part.known) + 1)
    lone = np.arange(len(part.times))
    if alone:
        lone = np.flatnonzero(part.times == 1)
    if not len(lone) or len(kept) < 2:
        return varying
    sample = lone
    if len(lone) > _MAX_LONE:
        sample = np.sort(np.random.default_rng(seed).choice(lone, _MAX_LONE, False))
    place = np.full(len(part.rows), -1)
    place[kept] = np.arange(len(kept))
    neighbours = x * part.rarity
    norms = (neighbours**2).sum(1)
    for some in _parts(sample):
        left = part.table.project(part.rows[some], part.known)
        left[:, -1] = np.sqrt((left[:, own] ** 2).sum(1))
        left[:, own] = 0
        gap = _squared(left * part.rarity, neighbours, norms)
        itself = np.flatnonzero(place[some] >= 0)
        gap[itself, place[some][itself]] = np.inf
        varying += part.times[some] @ (np.abs(left - x[gap.argmin(1)]) > 1e-6)
    varying[-1] = 0
    return varying * (len(lone) / len(sample))


def _thin_out(part: _Part) -> tuple[Ints, Ints]:
    """Which rows to keep as prototypes, and how many sessions each stands for.

    A kept row stands for its own sessions and for those of the dropped rows nearest to it.

    1. Half of the places go to the most frequent rows, so that most sessions keep their own vector.
    2. The other half goes, in a few rounds, to the rows farthest from all that are kept, so that no
       outlying kind of session is lost.
    3. `distance` and `owner` are each row's distance to the nearest kept row, and that row. A kept
       row has the distance -1, so that it is never chosen again.
    """
    rows = part.rows
    limit = prototype_limit(len(part.known))
    if len(rows) <= limit:
        return np.arange(len(rows)), part.times
    chosen = np.argsort(-part.times, kind="stable")[: limit - limit // 2]
    kept = chosen
    owner = np.zeros(len(rows), np.int64)
    distance = np.full(len(rows), np.inf)
    while len(chosen):
        near = part.table.project(rows[chosen], part.known) * part.rarity
        norms = (near**2).sum(1)
        for some in _parts(np.arange(len(rows))):
            gap = _squared(part.table.project(rows[some], part.known) * part.rarity, near, norms)
            best = gap.min(1)
            nearest = chosen[gap.argmin(1)]
            closer = best < distance[some]
            distance[some[closer]] = best[closer]
            owner[some[closer]] = nearest[closer]
        distance[chosen] = -1.0
        owner[chosen] = chosen
        room = min(limit - len(kept), max(1, limit // 2 // _ROUNDS))
        chosen = np.argsort(-distance, kind="stable")[:room]
        kept = np.concatenate([kept, chosen])
    kept = np.sort(kept)
    return kept, np.bincount(owner, part.times, minlength=len(rows))[kept].astype(np.int64)


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (values[i:j] for i, j in pairwise([*range(0, len(values), _ROWS), len(values)]))


def _squared(a: NDArray[Any], b: NDArray[Any], b_norms: Doubles) -> Doubles:
    """Squared distances float64[A, B]."""
    # In double precision: the expanded form cancels most digits where a and b are close.
    x = a.astype(np.float64)
    y = b.astype(np.float64)
    square: Doubles = np.maximum((x * x).sum(1)[:, None] + b_norms - 2 * (x @ y.T), 0)
    return square


def _minus_log_sum(terms: Doubles) -> Doubles:
    """−ln Σ exp over the last axis. The largest term is taken out, so that nothing overflows."""
    top = terms.max(1)
    log_sum: Doubles = top + np.log(np.exp(terms - top[:, None]).sum(1))
    return -log_sum
