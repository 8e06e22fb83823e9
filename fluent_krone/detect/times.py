"""Time witness: how unusual is the time between two steps of a session.

Each transition has the range of gaps that training had. Where these are like the gaps before the
same step after any other one, since the step itself takes that long, all of them count: there are
more of them, which proves more of how long it may take. All rare transitions to a step are judged
as one. Where they are rare even together, though the step itself is not, the gaps between their
actions are taken. Where these are rare too, and where the step is rare itself, there is no limit.
At serve time a transition is two numbers, the shortest and the longest gap that is no deviation.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, TypeVar

from ..core.hierarchy import Hierarchy
from ..core.steps import NEVER_NS
from .tails import CERTAIN, STEEPEST, Range, Tail, pooled, range_of

Pair = tuple[int, int]
_Name = TypeVar("_Name", bound=Hashable)
_NS = 1_000_000_000
# Gaps that a transition needs for limits of its own: fewer say nothing of its longest.
FEWEST = 30
# The gaps of a transition are like all gaps before its second step where none of these quantiles
# differs by more than this, as a difference of logarithms: 0.25 is a factor of 1.28.
_QUANTILES, _ALIKE = (0.25, 0.5, 0.75, 0.9), 0.25
# Quantiles of few gaps differ by chance. They are also alike where the share of the gaps below the
# quantile of all is no more than this many standard errors from what it should be, and the
# difference is smaller than this. Of 131 orders that were cancelled after one step, two waited for
# half an hour: by the ten longest of these alone that was out of all likelihood, and hid slow
# steps.
_ERRORS, _ALIKE_BY_CHANCE = 3.0, 0.7
# All gaps are taken only where they are at least this many times as many as those of the
# transition: a few more would prove no more.
_MANY_MORE = 2
# Stands for all steps that come before another one rarely. No log key is negative.
_ANY = -1
# A gap is called too short only where even the shortest of training are this many units long:
# below, it is the resolution of the clock that is judged.
_SHORTEST_UNITS = 10
# Less than a millisecond tells nothing, but where the usual gap is shorter than one; and never less
# than a microsecond.
_COARSEST_PART, _FINEST = 0.001, 1e-6
# Decimals of the numbers of a range in a bundle.
_PLACES = 9


class Times:
    """Scores and limits of gaps, by (log key, log key) and by (action, action)."""

    def __init__(
        self, hierarchy: Hierarchy, steps: Mapping[Pair, Range], actions: Mapping[Pair, Range]
    ) -> None:
        self.steps = steps
        self.actions = actions
        self._action_of = hierarchy.action_of
        self._known = frozenset(step for _, step in steps)

    def range_between(self, before: int, step: int) -> Range | None:
        """The gaps that training had from `before` to `step`; None where it had too few."""
        found = self.steps.get((before, step)) or self.steps.get((_ANY, step))
        # What other steps of the same action take says nothing of a step that came too rarely: one
        # that waits for a person would be far beyond them. A step that the bundle does not know has
        # no action.
        if found is None and step in self._known and before < len(self._action_of):
            found = self.actions.get((self._action_of[before], self._action_of[step]))
        return found

    def is_of_any(self, before: int, step: int) -> bool:
        """Whether the gaps are those from all steps that `step` follows rarely, taken as one."""
        return (before, step) not in self.steps and (_ANY, step) in self.steps

    def score(self, before: int, step: int, gap_ns: int) -> float:
        found = self.range_between(before, step)
        if found is None:
            return 0.0
        gap_s = max(gap_ns, 0) / _NS
        if gap_s < found.median and not _has_shortest(found):
            return 0.0
        return found.score(gap_s)

    def limits_ns(self, before: int, step: int, threshold: float) -> tuple[int, int]:
        """The shortest and the longest gap, in ns, that is no deviation."""
        found = self.range_between(before, step)
        if found is None:
            return -NEVER_NS, NEVER_NS
        shortest, longest = found.limits(threshold)
        longest_ns = min(int(longest * _NS), NEVER_NS)
        return (int(shortest * _NS) if _has_shortest(found) else -NEVER_NS), longest_ns

    def worst(self, keys: Sequence[int], gaps_ns: Sequence[int]) -> float:
        """The largest score of a session; `gaps_ns[i]` is the gap before event i + 1."""
        pairs = zip(keys, keys[1:], gaps_ns, strict=False)
        return max((self.score(*pair) for pair in pairs), default=0.0)


def _has_shortest(found: Range) -> bool:
    return found.limits(0.0)[0] >= _SHORTEST_UNITS * found.unit


def measure_times(
    sessions: Iterable[tuple[Sequence[int], Sequence[int]]],
    hierarchy: Hierarchy,
    steepest: float = STEEPEST,
) -> Times:
    """Ranges of the gaps of normal sessions, each its log keys and gaps in ns.

    Their tails fall no faster than a nat in `steepest`.
    """
    steps: dict[Pair, list[float]] = {}
    actions: dict[Pair, list[float]] = {}
    action_of = hierarchy.action_of
    for keys, gaps_ns in sessions:
        for before, step, gap_ns in zip(keys, keys[1:], gaps_ns, strict=False):
            gap_s = max(gap_ns, 0) / _NS
            steps.setdefault((before, step), []).append(gap_s)
            actions.setdefault((action_of[before], action_of[step]), []).append(gap_s)
    unit = resolution(gaps for table in steps.values() for gaps in table)
    of_steps = _of_steps(_with_rare_as_one(steps), unit, steepest)
    return Times(hierarchy, of_steps, _ranges(actions, unit, steepest))


def _with_rare_as_one(table: Mapping[Pair, list[float]]) -> dict[Pair, list[float]]:
    """The gaps of transitions, all rare ones to a step as one from any step."""
    found: dict[Pair, list[float]] = {}
    for (before, step), gaps in table.items():
        other = before if len(gaps) >= FEWEST else _ANY
        found.setdefault((other, step), []).extend(gaps)
    return found


def _of_steps(
    table: Mapping[Pair, Sequence[float]], unit: float, steepest: float
) -> dict[Pair, Range]:
    """The range of each transition, by all gaps before its step where these are like its own."""
    before: dict[int, list[float]] = {}
    for (_, step), gaps in table.items():
        before.setdefault(step, []).extend(gaps)
    of_all = _ranges(before, unit, steepest)
    quantiles = {step: _quantiles(before[step], found.unit) for step, found in of_all.items()}
    ranges = _ranges(table, unit, steepest)
    for (other, step), own in ranges.items():
        gaps = table[other, step]
        if len(before[step]) < _MANY_MORE * len(gaps):
            continue
        if _are_alike(gaps, own.unit, quantiles[step]):
            # What an alert says of them is still of this transition.
            ranges[other, step] = replace(of_all[step], count=own.count, median=own.median)
    return ranges


def _are_alike(gaps: Sequence[float], unit: float, quantiles: Sequence[float]) -> bool:
    """Whether gaps have these `quantiles`, or others only by chance, since they are few."""
    ranked = [math.log(gap + unit) for gap in sorted(gaps)]
    own = _quantiles(gaps, unit)
    for share, one, another in zip(_QUANTILES, own, quantiles, strict=True):
        error = math.sqrt(share * (1 - share) / len(gaps))
        by_chance = abs(bisect_right(ranked, another) / len(gaps) - share) < _ERRORS * error
        if abs(one - another) >= (_ALIKE_BY_CHANCE if by_chance else _ALIKE):
            return False
    return True


def _quantiles(gaps: Sequence[float], unit: float) -> list[float]:
    """The quantiles of gaps that are compared, as logarithms."""
    ranked = sorted(gaps)
    return [math.log(ranked[int(share * len(ranked))] + unit) for share in _QUANTILES]


def _ranges(
    table: Mapping[_Name, Sequence[float]], unit: float, steepest: float
) -> dict[_Name, Range]:
    enough = {name: gaps for name, gaps in table.items() if len(gaps) >= FEWEST}
    return pooled({name: range_of(gaps, unit, steepest) for name, gaps in enough.items()})


def resolution(gaps_s: Iterable[float]) -> float:
    """What is to be told apart of these gaps.

    Seconds, milliseconds, or a tenth of the usual gap of a program that takes several steps in a
    millisecond.

    >>> resolution([1.0, 7.0]), resolution([0.004, 1.5]), resolution([0.000134, 0.00002, 1.5])
    (1.0, 0.001, 1e-05)
    """
    gaps = [gap for gap in gaps_s if gap > 0]
    if all(gap % 1 == 0 for gap in gaps):
        return 1.0
    usual = median(gaps)
    if usual >= _COARSEST_PART:
        return _COARSEST_PART
    return max(10.0 ** math.floor(math.log10(usual / 10)), _FINEST)


def times_to_json(times: Times) -> dict[str, Any]:
    """Plain values, as a bundle keeps them."""
    return {
        "steps": [[*pair, *_row(found)] for pair, found in times.steps.items()],
        "actions": [[*pair, *_row(found)] for pair, found in times.actions.items()],
    }


def times_from_json(values: Mapping[str, Any], hierarchy: Hierarchy) -> Times:
    def table(name: str) -> dict[Pair, Range]:
        return {(row[0], row[1]): range_from_row(row[2:]) for row in values[name]}

    return Times(hierarchy, table("steps"), table("actions"))


def _row(found: Range) -> list[float]:
    return range_to_row(found)


def range_to_row(found: Range) -> list[float]:
    """A range as one list of numbers; the last two say how many its tails were estimated from."""
    low, high = found.low, found.high
    numbers = (found.median, found.unit, low.start, low.scale, high.start, high.scale, low.base)
    row = [found.count, *(round(number, _PLACES) for number in numbers)]
    if low.many != CERTAIN:
        row += (low.many, high.many)
    return row


def range_from_row(row: Sequence[float]) -> Range:
    count, median, unit, low_start, low_scale, high_start, high_scale, base, *more = row
    # Bundles of earlier versions do not say it, and their scores grow evenly.
    low_many, high_many = more or (CERTAIN, CERTAIN)
    low = Tail(low_start, low_scale, base, low_many)
    high = Tail(high_start, high_scale, base, high_many)
    return Range(int(count), median, unit, low, high)
