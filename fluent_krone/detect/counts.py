"""How far the counts of a session are from those of every normal session.

Some steps come in a number that varies from session to session (retries, reads), others never do.
A session is compared with each normal session: each log key that comes in another number adds its
cost, and the smallest sum counts. A step that the normal session does not have costs −ln of the
share of all normal sessions that differ in it from the nearest ones unlike them. One that the
normal session has, and in another number, costs −ln of that share of the sessions that have it: a
dozen sessions with a step prove little of how often it comes. So a missing step of a sort that is
never missing is far out, and one more retry is not, however small both are beside the whole
session; a distance of counts takes them for alike.

Steps that come equally often in each normal session, as all steps of a loop do, are one *group*:
one more round of the loop is one difference, and not as many as it has steps. A session that has
some steps of a group more often than the others pays for each of those. However much the number of
rounds varies, no round of training had only some of the steps: each costs the logarithm of how many
sessions had it. A step that a session lacks where all normal sessions with another of its steps
have it is judged by itself (`needs.py`), as a session that is unlike the others in several small
things would hide it.

A kind of session that only a dozen of training were of, as the few in which a lost copy was made
again, may have its own ways. What all other sessions never do proves little about it. So where both
sessions have a step that few normal sessions had, no other step costs more than those few prove.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .loops import Loops
from .needs import Need, Needs

Bag = frozenset[tuple[int, int]]
_Rows = NDArray[np.int64]

# Sessions of training that are a kind of their own: more of them prove enough for any threshold
# that is usual, and fewer are outliers, after which nothing can be judged.
_FEWEST_OF_KIND, _MOST_OF_KIND = 5, 100
# One kind in this many has its own ways. With two, sessions of the authors' HDFS hid five faults;
# without this limit, half of the false alarms of full HDFS were of a kind that 15 sessions were of.
_OWN_WAYS = 5
# Scores that are remembered; then all are forgotten, and worked out anew.
_MOST_REMEMBERED = 50_000


def bag_of(log_keys: Iterable[int]) -> Bag:
    """How often each log key occurs."""
    return frozenset(Counter(log_keys).items())


class Counts:
    """Scores of the counts of sessions; `normal` are the log keys of normal sessions.

    `costs` of steps that a normal session lacks, and `number_costs` of those that it has in another
    number, are by log key; a log key without one costs `unknown`. With `proving`, a step that comes
    in another number than its group costs what the sessions prove that had it; bundles of earlier
    versions take the cost of another number. They have neither `needs` nor `loops` of their own.

    >>> counts = Counts([(1, 2, 2), (1, 2, 2, 2)], {1: 7.0, 2: 0.5}, unknown=9.0)
    >>> [counts.score(keys) for keys in ((2, 1, 2), (1, 2), (2, 2), (1, 2, 2, 3))]
    [0.0, 0.5, 7.0, 9.0]
    """

    def __init__(
        self,
        normal: Iterable[Sequence[int]],
        costs: Mapping[int, float],
        unknown: float,
        number_costs: Mapping[int, float] | None = None,
        *,
        proving: bool = False,
        needs: Needs | None = None,
        loops: Loops | None = None,
    ) -> None:
        bags = list(dict.fromkeys(map(bag_of, normal)))
        self._known = frozenset(bags)
        self._costs = costs
        self._number_costs = costs if number_costs is None else number_costs
        self._unknown = unknown
        self._proving = proving
        self._needs = self._earlier_needs(bags) if needs is None else needs
        self._loops = loops or Loops({})
        self._groups = _groups(bags)
        self._group_of = {key: group for group in self._groups for key in group}
        # Of a group, its first log key stands for all.
        firsts = {group[0] for group in self._groups}
        bags = [frozenset(pair for pair in bag if pair[0] in firsts) for bag in bags]
        # What each normal session would add if nothing in it were found again.
        self._whole = np.array([sum(self._number_cost(key) for key, _ in bag) for bag in bags])
        self._having = _rows((key, row) for row, bag in enumerate(bags) for key, _ in bag)
        self._exact = _rows((pair, row) for row, bag in enumerate(bags) for pair in bag)
        # Of the first log key of a rare kind: the most that a step costs in it, and what each
        # normal session of the kind would add if nothing in it were found again.
        self._rare = self._rare_kinds(bags)
        self._remembered: dict[Bag, float] = {}

    def _rare_kinds(self, bags: Sequence[Bag]) -> dict[int, tuple[float, NDArray[np.float64]]]:
        row = np.array([row for row, bag in enumerate(bags) for _ in bag], np.int64)
        cost = np.array([self._number_cost(key) for bag in bags for key, _ in bag])
        kinds: dict[int, tuple[float, NDArray[np.float64]]] = {}
        for key, rows in self._having.items():
            had = self._had(key)
            if _FEWEST_OF_KIND <= round(had) <= _MOST_OF_KIND:
                most = math.log(_OWN_WAYS * (1 + had))
                whole = np.bincount(row, np.minimum(cost, most), minlength=len(bags))
                kinds[key] = most, whole[rows].astype(np.float64)
        return kinds

    def is_known(self, log_keys: Sequence[int]) -> bool:
        """Whether a normal session had the very same counts."""
        return bag_of(log_keys) in self._known

    def score(self, log_keys: Sequence[int]) -> float:
        """0 for counts that a normal session had; else the distance to the nearest one."""
        bag = bag_of(log_keys)
        if bag in self._known or not self._known:
            return 0.0
        found = self._remembered.get(bag)
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[bag] = self._distance(bag)
        return found

    def _distance(self, bag: Bag) -> float:
        firsts, odd = self._by_group(bag)
        found = float(self._distances(self._whole.copy(), firsts, math.inf).min()) + sum(odd)
        for key, _ in firsts:
            if key in self._rare:
                most, whole = self._rare[key]
                rows = self._having[key]
                distances = np.full(len(self._whole), math.inf)
                distances[rows] = whole
                nearest = float(self._distances(distances, firsts, most)[rows].min())
                found = min(found, nearest + sum(min(cost, most) for cost in odd))
        return found

    def lacking(self, log_keys: Sequence[int]) -> float:
        """0 where a session has all that its steps need; else the score of what it lacks."""
        need = self._needs.lacking(Counter(log_keys))
        return need.score if need else 0.0

    def looping(self, log_keys: Sequence[int]) -> float:
        """0 where a session has no step more often than those of training; else how odd that is."""
        return self._loops.score(Counter(log_keys))

    def _earlier_needs(self, bags: Sequence[Bag]) -> Needs:
        """What a bundle of an earlier version knows of needs."""
        if not self._proving:
            return Needs({})
        return Needs(
            {
                key: [[Need(other, 1, round(self._had(key))) for other in needed - {key}]]
                for key, needed in _needed(bags).items()
            }
        )

    def _distances(
        self, whole: NDArray[np.float64], firsts: Sequence[tuple[int, int]], most: float
    ) -> NDArray[np.float64]:
        """From `whole`, what each normal session costs if nothing is found again, to what it costs.

        No step that training had costs more than `most`.
        """
        # 1. At first, all steps of the normal session count as missing here, and all steps here as
        #    missing there.
        # 2. A step that both have is not missing here, but in another number: both cost the same.
        #    And it is not missing there.
        # 3. Where they have it equally often, nothing is left of it.
        own = 0.0
        for key, times in firsts:
            if key not in self._having:
                own += self._cost(key)
                continue
            cost = min(self._cost(key), most)
            own += cost
            whole[self._having[key]] -= cost
            if (key, times) in self._exact:
                whole[self._exact[key, times]] -= min(self._number_cost(key), most)
        return whole + own

    def _by_group(self, bag: Bag) -> tuple[list[tuple[int, int]], list[float]]:
        """How often each group comes, by its first log key, and the cost of each step that comes in
        another number than most of its group."""
        times_of = dict(bag)
        firsts: list[tuple[int, int]] = []
        costs: list[float] = []
        for group in {self._group_of.get(key, (key,)) for key in times_of}:
            times = Counter(times_of.get(key, 0) for key in group)
            usual = max(times, key=lambda number: (times[number], number))
            if usual:
                firsts.append((group[0], usual))
            if len(times) > 1:
                cost_of = self._number_cost if usual else self._cost
                if self._proving:
                    cost_of = self._proven
                costs += [cost_of(key) for key in group if times_of.get(key, 0) != usual]
        return firsts, costs

    def _proven(self, key: int) -> float:
        return math.log(1 + self._had(key))

    def _had(self, key: int) -> float:
        """How many normal sessions had a step: it costs less where it is there, by that much."""
        return math.exp(self._unknown - self._cost(key) + self._number_cost(key)) - 1

    def _cost(self, key: int) -> float:
        return self._costs.get(key, self._unknown)

    def _number_cost(self, key: int) -> float:
        return self._number_costs.get(key, self._unknown)


def _needed(bags: Sequence[Bag]) -> dict[int, set[int]]:
    """Of each log key, the log keys that all bags with it have."""
    needed: dict[int, set[int]] = {}
    for bag in bags:
        here = {key for key, _ in bag}
        for key in here:
            if key in needed:
                needed[key] &= here
            else:
                needed[key] = set(here)
    return needed


def _groups(bags: Sequence[Bag]) -> list[tuple[int, ...]]:
    """The log keys, those together that come equally often in each of the bags."""
    there: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for row, bag in enumerate(bags):
        for key, times in bag:
            there[key].append((row, times))
    alike: defaultdict[tuple[tuple[int, int], ...], list[int]] = defaultdict(list)
    for key in sorted(there):
        alike[tuple(there[key])].append(key)
    return [tuple(group) for group in alike.values()]


def _rows(pairs: Iterable[tuple[Any, int]]) -> dict[Any, _Rows]:
    """By what stands first in each pair: all rows, which are different ones."""
    found: defaultdict[Any, list[int]] = defaultdict(list)
    for name, row in pairs:
        found[name].append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}
