"""Fits the Nested-Aware detector: a kernel density over the nested counts of normal sessions.

A session's density among normal ones is `Σ_p prior_p · exp(-‖x - p‖² / 2h²)`, over the distinct count vectors p of
training. How often training had p is its prior, so one freak excuses less than five hundred sessions do. A feature
weighs more when few normal sessions have it, and when few of them differ in it from their nearest fellow.

The count space is the detector's own (`fluent_krone.detect.nested_aware`): what is trained is what is served.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.nested_aware import Feature, magnitude, nested_counts, sparse_vector
from fluent_krone.errors import ExportError

BANDWIDTH = 1.5  # kernel width h: a weighted difference of this size is ordinary
MAX_PROTOTYPES = (
    4_000  # one session is compared with all of them, on one thread, in well under a millisecond
)
MAX_CELLS = 2_000_000  # float32 in the model file: 8 MB
_MAX_LONE = 4_000  # sessions seen once, from which is learnt what varies among normal ones
_ROWS = 512  # of a table, made dense at once
_ROUNDS = 8  # in which a large table's far-off rows are chosen

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
LogKeys = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DensityModel:
    """A fitted density over `columns` and one more, the norm of all features that training never had.

    `prototypes` float32[P, V + 1] are distinct training vectors, already times `weights` float32[V + 1]; `log_prior`
    float64[P] their shares of training, `normal` one training session of each. `dropped`: distinct vectors of training
    beyond the caps, counted with the kept one nearest to them.
    """

    hierarchy: Hierarchy
    columns: dict[Feature, int]
    weights: Floats
    prototypes: Floats
    log_prior: Doubles
    normal: list[LogKeys]
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
        """No continuation of `log_keys` scores below: counts only grow, so what is too much stays too much."""
        x, held = self._held(log_keys)
        return self._minus_log((np.maximum(x - held, 0) ** 2).sum(1))

    def _held(self, log_keys: Sequence[int]) -> tuple[Doubles, Doubles]:
        """The session's own columns, weighted: its values float64[K], and the prototypes' float64[P, K]."""
        columns, values = sparse_vector(nested_counts(log_keys, self.hierarchy), self.columns)
        x = (values * self.weights[columns]).astype(np.float64)
        return x, self.prototypes[:, columns].astype(np.float64)

    def _minus_log(self, square: Doubles) -> float:
        return float(_minus_log_sum(self.log_prior - square[None] / (2 * BANDWIDTH**2))[0])

    def scores(self, table: Table, rows: Ints) -> Doubles:
        """Scores of a table's `rows`; it must have all of this model's columns."""
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
    """Distinct nested-count vectors of sessions, sparse: row d is `columns` and `values` [starts[d], starts[d + 1]).

    `column_of` numbers the features; `member` int64[N] is the row of each session, `example` each row's first session.
    """

    column_of: dict[Feature, int]
    starts: Ints
    columns: Ints
    values: Doubles
    member: Ints
    example: list[LogKeys]

    def project(self, rows: Ints, known: Ints) -> Floats:
        """float32[len(rows), len(known) + 1]: the columns `known`, then the norm of all the others."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        row = np.repeat(np.arange(len(rows)), lengths)
        at = np.arange(len(row)) + np.repeat(
            self.starts[rows] - np.cumsum(lengths) + lengths, lengths
        )
        place = np.full(len(self.column_of), len(known))
        place[known] = np.arange(len(known))
        column, value = place[self.columns[at]], self.values[at]
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
    """Nested counts of all sessions; each distinct sequence is counted once."""
    row_of: dict[LogKeys, int] = {}
    row_of_counts: dict[bytes, int] = {}
    column_of: dict[Feature, int] = {}
    example: list[LogKeys] = []
    starts, columns, values = array("q", [0]), array("q"), array("d")
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
    """The density of `sessions` (log keys of normal executions). Raises ExportError when there is none."""
    if not any(sessions):
        raise ExportError("no normal session with an event to train on")
    return fit_table(tabulate(sessions, hierarchy), np.arange(len(sessions)), hierarchy, seed=seed)


def fit_table(table: Table, use: Ints, hierarchy: Hierarchy, *, seed: int = 0) -> DensityModel:
    """As `fit_density`, for the sessions `use` (indices) of a table: what each fold of a calibration asks."""
    rows, times = np.unique(table.member[use], return_counts=True)
    known = table.columns_of(rows)
    having = _sessions_having(table, rows, times, known)
    rarity = np.log((1 + len(use)) / (1 + having)) + 1
    kept, mass = _thin_out(table, rows, times, known, rarity)
    x = table.project(rows[kept], known)
    varying = _sessions_varying(table, rows, times, known, kept, x, rarity, having == 1, seed)
    features = list(table.column_of)
    weights = (0.5 * (rarity + np.log((1 + len(use)) / (1 + varying)))).astype(np.float32)
    return DensityModel(
        hierarchy=hierarchy,
        columns={features[column]: i for i, column in enumerate(known)},
        weights=weights,
        prototypes=x * weights,
        log_prior=np.log(mass / mass.sum()),
        normal=[table.example[row] for row in rows[kept]],
        dropped=len(rows) - len(kept),
    )


def prototype_limit(columns: int) -> int:
    """How many prototypes of so many columns a model may have."""
    return max(1, min(MAX_PROTOTYPES, MAX_CELLS // (columns + 1)))


def _sessions_having(table: Table, rows: Ints, times: Ints, known: Ints) -> Doubles:
    """How many sessions have each known feature; none has an unseen one."""
    total = np.zeros(len(table.column_of))
    for row, n in zip(rows, times, strict=True):
        total[table.columns[table.starts[row] : table.starts[row + 1]]] += n
    return np.append(total[known], 0.0)


def _sessions_varying(
    table: Table,
    rows: Ints,
    times: Ints,
    known: Ints,
    kept: Ints,
    x: Floats,
    rarity: Doubles,
    own: NDArray[np.bool_],
    seed: int,
) -> Doubles:
    """How many sessions differ in each feature from the nearest *other* session; `x` are the rows `kept`.

    Only vectors seen once can differ. What such a session alone has (`own`) is unseen without it, and an unseen
    feature is never ordinary variation.
    """
    varying = np.zeros(len(known) + 1)
    lone = np.flatnonzero(times == 1)
    if not len(lone) or len(kept) < 2:
        return varying
    sample = (
        lone
        if len(lone) <= _MAX_LONE
        else np.sort(np.random.default_rng(seed).choice(lone, _MAX_LONE, False))
    )
    place = np.full(len(rows), -1)
    place[kept] = np.arange(len(kept))
    fellows = x * rarity
    norms = (fellows**2).sum(1)
    for part in _parts(sample):
        left = table.project(rows[part], known)
        left[:, -1] = np.sqrt((left[:, own] ** 2).sum(1))
        left[:, own] = 0
        gap = _squared(left * rarity, fellows, norms)
        itself = np.flatnonzero(place[part] >= 0)
        gap[itself, place[part][itself]] = np.inf
        varying += (np.abs(left - x[gap.argmin(1)]) > 1e-6).sum(0)
    varying[-1] = 0
    return varying * (len(lone) / len(sample))


def _thin_out(
    table: Table, rows: Ints, times: Ints, known: Ints, rarity: Doubles
) -> tuple[Ints, Ints]:
    """Which of `rows` to keep as prototypes, and how many sessions each stands for: its own, and those nearest to it.

    Half of what fits goes to the most frequent, half to those farthest from what is kept, so that neither the mass
    nor an outlying kind of session is lost.
    """
    limit = prototype_limit(len(known))
    if len(rows) <= limit:
        return np.arange(len(rows)), times
    chosen = np.argsort(-times, kind="stable")[: limit - limit // 2]
    kept, owner, distance = chosen, np.zeros(len(rows), np.int64), np.full(len(rows), np.inf)
    while len(chosen):
        near = table.project(rows[chosen], known) * rarity
        norms = (near**2).sum(1)
        for part in _parts(np.arange(len(rows))):
            gap = _squared(table.project(rows[part], known) * rarity, near, norms)
            best, nearest = gap.min(1), chosen[gap.argmin(1)]
            closer = best < distance[part]
            distance[part[closer]], owner[part[closer]] = best[closer], nearest[closer]
        distance[chosen], owner[chosen] = -1.0, chosen
        room = min(limit - len(kept), max(1, limit // 2 // _ROUNDS))
        chosen = np.argsort(-distance, kind="stable")[:room]
        kept = np.concatenate([kept, chosen])
    kept = np.sort(kept)
    return kept, np.bincount(owner, times, minlength=len(rows))[kept].astype(np.int64)


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (values[i:j] for i, j in pairwise([*range(0, len(values), _ROWS), len(values)]))


def _squared(a: NDArray[Any], b: NDArray[Any], b_norms: Doubles) -> Doubles:
    """Squared distances float64[A, B]."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    square: Doubles = np.maximum((x * x).sum(1)[:, None] + b_norms - 2 * (x @ y.T), 0)
    return square


def _minus_log_sum(terms: Doubles) -> Doubles:
    """−ln Σ exp over the last axis, shifted so that nothing overflows."""
    top = terms.max(1)
    log_sum: Doubles = top + np.log(np.exp(terms - top[:, None]).sum(1))
    return -log_sum
