"""Proportion witness: numbers of an event that grow with one another.

To copy ten megabytes takes a second, and ten gigabytes a quarter of an hour. Where both are normal,
neither the time nor the size alone tells that a copy was slow, but the one beside the other does.
Which numbers of an event are compared, training has decided (`export/fit_proportions.py`): two
values in its message, or a value and the time since the step before it.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .measures import as_figure, as_time
from .tails import Range
from .times import range_from_row, range_to_row
from .values import KnownRange, Told, Values, ValueWitness

_NS = 1_000_000_000
# Stands for the time since the step before, in seconds, where a slot is named.
GAP = -1
# Stands for any step before.
ANY = -1
# Beyond the outermost knots, what is usual goes on as it does from the outermost to this one, no
# steeper than this, and up to this factor, as a logarithm. What is usual farther out nobody knows.
_END_KNOTS, _STEEPEST, _FARTHEST = 2, 3.0, math.log(1_000)
# Decimals of the knots in a bundle.
_PLACES = 6


@dataclass(frozen=True, slots=True)
class Proportion:
    """How large the number at the slot `judged` usually is beside the one at the slot `given`.

    It holds after the step `before`, or after any. `knots` are points of the usual curve, at least
    two, in logarithms of both numbers with their units added. `range` is that of the ratio of a
    number to the usual one, which training had.
    """

    given: int
    judged: int
    before: int
    units: tuple[float, float]
    knots: tuple[tuple[float, float], ...]
    range: Range

    def is_known(self, given: float) -> bool:
        """Whether a number is near enough to those of training to say what is usual beside it."""
        x = self._log_of(given)
        return self.knots[0][0] - _FARTHEST <= x <= self.knots[-1][0] + _FARTHEST

    def usual(self, given: float) -> float:
        """The usual number beside a given one."""
        return math.exp(self.log_of_usual(self._log_of(given))) - self.units[1]

    def ratio(self, given: float, judged: float) -> float:
        """How many times as large as usual a number is."""
        return (max(judged, 0.0) + self.units[1]) / (self.usual(given) + self.units[1])

    def between(self, given: float) -> tuple[float, float]:
        """Where hardly a number of training is smaller, or larger, beside a given one."""
        usual = self.usual(given) + self.units[1]
        low = usual * self.range.low_end() - self.units[1]
        return max(low, 0.0), max(usual * self.range.high_end() - self.units[1], 0.0)

    def log_of_usual(self, x: float) -> float:
        """The curve: both numbers are logarithms, with the units added."""
        knots = self.knots
        at = bisect(knots, (x,))
        if 0 < at < len(knots):
            (x0, y0), (x1, y1) = knots[at - 1], knots[at]
            return y0 + (x - x0) * (y1 - y0) / (x1 - x0)
        end, inner = (0, _END_KNOTS) if at == 0 else (-1, -1 - _END_KNOTS)
        x0, y0 = knots[end]
        x1, y1 = knots[inner] if len(knots) > _END_KNOTS else knots[-1 - end]
        slope = (y1 - y0) / (x1 - x0)
        return y0 + (x - x0) * max(-_STEEPEST, min(slope, _STEEPEST))

    def _log_of(self, given: float) -> float:
        return math.log(max(given, 0.0) + self.units[0])


@dataclass(frozen=True, slots=True)
class Disproportion:
    """Two numbers of an event that do not go together, and by how much."""

    of: Proportion
    given: float
    judged: float
    score: float

    def gap_told(self, step: str, before: str) -> Told:
        """How the gap between two steps deviates; see `Told`, but that the words say it all."""
        direction, came = "slow", "came"
        if self._side() == "low":
            direction, came = "fast", "came only"
        low, high = map(as_time, self.of.between(self.given))
        words = (
            f"{step} {came} {as_time(self.judged)} after {before}. With the number "
            f"{as_figure(self.given)} in its message, it takes between {low} and {high} "
            f"{self._cases()}."
        )
        return direction, f"beside {self.of.given}", words

    def value_told(self) -> Told:
        """How a value deviates; see `Told`."""
        low, high = map(as_figure, self.of.between(self.given))
        usual = (
            f"Beside the number {as_figure(self.given)} in the same message, this one lies between "
            f"{low} and {high} {self._cases()}"
        )
        detail = f"{self.of.judged} {self._side()} beside {self.of.given}"
        return "out_of_proportion", detail, usual

    def _side(self) -> str:
        return "high" if self.judged > self.of.usual(self.given) else "low"

    def _cases(self) -> str:
        return f"in nearly all of {self.of.range.count:,} normal cases"


class Proportions:
    """What is known of the numbers of events, by log key."""

    def __init__(
        self, values: ValueWitness, by_key: Mapping[int, Sequence[Proportion]] | None = None
    ) -> None:
        self.by_key = dict(by_key or {})
        self._slots = values.slots

    def found(
        self, before: int, log_key: int, gap_ns: int | None, values: Values
    ) -> Iterator[Disproportion]:
        """All numbers of an event that are compared; `gap_ns` is None where nobody knows it."""
        for one in self.by_key.get(log_key, ()):
            if one.before not in (ANY, before):
                continue
            given = self._number(log_key, one.given, gap_ns, values)
            judged = self._number(log_key, one.judged, gap_ns, values)
            if given is not None and judged is not None and one.is_known(given):
                score = one.range.score(one.ratio(given, judged))
                yield Disproportion(one, given, judged, score)

    def fitting_gap(self, before: int, log_key: int, gap_ns: int, values: Values) -> int:
        """The gap before an event that fits its values and is nearest to `gap_ns`."""
        for one in self.found(before, log_key, gap_ns, values):
            if one.of.judged == GAP:
                low, high = one.of.between(one.given)
                gap_ns = min(max(gap_ns, int(low * _NS)), int(high * _NS))
        return gap_ns

    def worst(self, keys: Sequence[int], gaps_ns: Sequence[int], values: Sequence[Values]) -> float:
        """The largest score of a session; `gaps_ns[i]` is the gap before event i + 1."""
        worst = 0.0
        for at, (log_key, of_event) in enumerate(zip(keys, values, strict=False)):
            if log_key not in self.by_key:
                continue
            gap_ns = gaps_ns[at - 1] if 0 < at <= len(gaps_ns) else None
            found = self.found(keys[at - 1] if at else ANY, log_key, gap_ns, of_event)
            worst = max([worst, *(one.score for one in found)])
        return worst

    def _number(self, log_key: int, slot: int, gap_ns: int | None, values: Values) -> float | None:
        if slot == GAP:
            return None if gap_ns is None else max(gap_ns, 0) / _NS
        known = self._slots[log_key, slot]
        if slot >= len(values) or not isinstance(known, KnownRange):
            return None
        return known.number(values[slot])


def proportions_to_json(proportions: Proportions) -> list[list[Any]]:
    """Plain values, as a bundle keeps them."""
    return [
        [
            *(log_key, one.given, one.judged, one.before),
            list(one.units),
            [[round(x, _PLACES), round(y, _PLACES)] for x, y in one.knots],
            range_to_row(one.range),
        ]
        for log_key, of_key in sorted(proportions.by_key.items())
        for one in of_key
    ]


def proportions_from_json(
    rows: Iterable[Sequence[Any]] | None, values: ValueWitness
) -> Proportions:
    """Bundles of earlier versions have none."""
    by_key: dict[int, list[Proportion]] = {}
    for log_key, given, judged, before, units, knots, numbers in rows or ():
        points = tuple((x, y) for x, y in knots)
        one = Proportion(given, judged, before, tuple(units), points, range_from_row(numbers))
        by_key.setdefault(log_key, []).append(one)
    return Proportions(values, by_key)
