"""How far a number lies beyond what training had: one scale for gaps and for values.

Only the order of the largest and smallest numbers of training is used, in logarithms, since gaps
and sizes have heavy tails. The score is roughly −ln of the share of normal numbers that lie as far
out (Hill, "A simple general approach to inference about the tail of a distribution", 1975), so
that scores of different steps can be compared. No threshold depends on that estimate: thresholds
come from held-out scores.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import TypeVar

_Name = TypeVar("_Name", bound=Hashable)

# How many of the most extreme numbers say where the tail begins and how fast it falls …
_EXTREMES = 10
# … though never more than this share of all of them.
_EXTREME_SHARE = 0.1
# The share of these at the very end that count only as lying there, whatever their size.
_OUTLIER_SHARE = 0.2
# For a tail of which only the scale is known: as if it had been estimated from infinitely many.
CERTAIN = math.inf
# Distances that are none: a bundle keeps where a tail begins to six decimals, and a number just
# there was in training.
_SAME = 1e-6
# What is smaller than this share of the median is next to nothing, however many times smaller it
# is: of two steps that run at once, one may come 1 ms after the other, or 3 s. Without this, such
# gaps set the threshold for all that are too long, and one small size that for all large ones.
_NEXT_TO_NOTHING = 1 / 20
# A tail is taken to fall no faster than this (in ln units a nat): numbers that were all alike in
# training say little about the next one, and 25 % more is nothing to report. A machine that stands
# still for a moment is not what most gaps are drawn from, and with 0.12 such moments hid a quarter
# of the slow steps of a service. Where they do not, an export takes less (`export/calibrate.py`).
STEEPEST = 0.25
# A tail is not taken to be surer than one of this many numbers.
_MOST = 1_000.0
# A first zero is nothing new where two things hold. The least number of training lies less than so
# many units of resolution above it; and that number came less often than this share of what each
# of those up to twice as large did. After 58 stops where one passenger got on, and 165 with two,
# a stop with none is to be expected.
_NEAR_ZERO, _THINNER = 10, 1 / 2
# Nor is it new where numbers below the least one would hardly have come, if they were as usual as
# that one and those just above it: this many of either are enough to tell. Of 320 checksums from
# 000 to 255, none was 000, and a normal session had the first one.
_TELLING = 10
# e to the power of more overflows.
_LARGEST_EXPONENT = 600.0


@dataclass(frozen=True, slots=True)
class Tail:
    """One side of a distribution of `x ≥ 0`, in x' = ln(x + unit).

    Beyond `start` the score is `base` and grows by one for each `scale`, and by less farther out
    where the scale was estimated from few numbers: the fewer these are, the less is known of what
    comes next. (The distance to the next number then has a Pareto distribution, whose shape is how
    `many` there were.)
    """

    start: float
    scale: float
    base: float
    many: float = CERTAIN

    def beyond(self, distance: float) -> float:
        """The score at `distance` beyond `start`; 0 on this side of it.

        >>> Tail(0.0, 1.0, 3.0).beyond(4.0), round(Tail(0.0, 1.0, 3.0, many=4).beyond(4.0), 2)
        (7.0, 5.77)
        """
        if distance <= _SAME:
            return 0.0
        if self.many == CERTAIN:
            return self.base + distance / self.scale
        return self.base + self.many * math.log1p(distance / (self.many * self.scale))

    def reach(self, threshold: float) -> float:
        """The distance beyond `start` from which on scores exceed `threshold`."""
        over = max(threshold - self.base, 0.0)
        if self.many == CERTAIN:
            return over * self.scale
        return self.many * self.scale * math.expm1(min(over / self.many, _LARGEST_EXPONENT))


@dataclass(frozen=True, slots=True)
class Range:
    """What training had of a number: both tails, the middle, and how many there were.

    What is smaller than the `unit` counts as nothing: it is the resolution of the numbers, or what
    is next to nothing beside them.
    """

    count: int
    median: float
    unit: float
    low: Tail
    high: Tail

    def score(self, x: float) -> float:
        """How far `x` lies out, to either side.

        >>> sizes = range_of([10.0, 11.0, 12.0, 13.0] * 25, unit=1.0)
        >>> sizes.score(12.0), sizes.score(5000.0) > sizes.score(100.0) > 0
        (0.0, True)
        """
        at = math.log(max(x, 0.0) + self.unit)
        return max(self.high.beyond(at - self.high.start), self.low.beyond(self.low.start - at))

    def low_end(self) -> float:
        """Where the low tail begins: hardly a number of training is smaller."""
        return max(math.exp(self.low.start) - self.unit, 0.0)

    def high_end(self) -> float:
        """Where the high tail begins: hardly a number of training is larger."""
        return math.exp(self.high.start) - self.unit

    def beyond(self, x: float) -> float:
        """How many times as large as the usual ones at most `x` is."""
        return (x + self.unit) / math.exp(self.high.start)

    def limits(self, threshold: float) -> tuple[float, float]:
        """The smallest and the largest number whose score does not exceed `threshold`."""
        # Numbers are multiples of the unit: half of one more, so that rounding excludes none.
        low = math.exp(self.low.start - self.low.reach(threshold)) - 1.5 * self.unit
        reach = min(self.high.start + self.high.reach(threshold), _LARGEST_EXPONENT)
        return low, math.exp(reach) - 0.5 * self.unit


def range_of(numbers: Sequence[float], unit: float, steepest: float = STEEPEST) -> Range:
    """The range of `numbers`, none of them negative, at least one; `unit` is their resolution.

    Their tails fall no faster than a nat in `steepest`.
    """
    unit = max(unit, _NEXT_TO_NOTHING * median(numbers))
    x = sorted(math.log(number + unit) for number in numbers)
    extremes = extremes_of(len(x))
    base = math.log(len(x) / extremes)
    return Range(
        count=len(x),
        median=math.exp(x[len(x) // 2]) - unit,
        unit=unit,
        low=tail_of([-value for value in reversed(x[:extremes])], base, -1, steepest),
        high=tail_of(x[-extremes:], base, 1, steepest),
    )


def reaches_zero(numbers: Sequence[float], unit: float) -> bool:
    """Whether a zero is to be expected among such numbers.

    There was one, or some lie on either side of it, or they become so rare towards it that it is
    just the next one. Where the least of them is as usual as others, there is a reason that none is
    zero.

    >>> passengers = [1] * 58 + [2] * 165 + [3] * 233
    >>> pages = [1] * 400 + [2] * 100
    >>> attempts = [1] * 955 + [2] * 9
    >>> [reaches_zero(numbers, unit=1) for numbers in (passengers, pages, attempts)]
    [True, False, False]
    """
    least = min(numbers)
    if least < 0 < max(numbers):
        return True
    if not 0 < least < _NEAR_ZERO * unit:
        return 0 in numbers
    next_ones = sum(least < number <= 2 * least for number in numbers)
    if max(next_ones, numbers.count(least)) < _TELLING:
        return True
    # Of each size among these, as many as the resolution tells apart.
    usual = next_ones * unit / least
    return numbers.count(least) < _THINNER * usual


def pooled(ranges: Mapping[_Name, Range]) -> dict[_Name, Range]:
    """The ranges of numbers of one sort, the scales of whose tails are drawn towards their median.

    Each is estimated from a few extremes and is off by a third. Of hundreds of ranges, those that
    are too steep by chance would raise most false alarms, and set the threshold of all others;
    what lies beyond those that are too flat by chance would not be found.
    """
    if not ranges:
        return {}
    highs = _drawn([found.high for found in ranges.values()])
    lows = _drawn([found.low for found in ranges.values()])
    return {
        name: replace(found, high=high, low=low)
        for (name, found), high, low in zip(ranges.items(), highs, lows, strict=True)
    }


def _drawn(tails: Sequence[Tail]) -> list[Tail]:
    """Tails with scales that are drawn towards their median, and the surer for it.

    1. By chance alone, the logarithm of a scale that was estimated from `many` numbers has a
       variance of 1 / many. What the scales of all tails vary more than that is their own.
    2. The more chance varies in comparison with the tails, the more the median counts beside a
       tail's own numbers (empirical Bayes): steps of a service that are alike become nearly one,
       those of HDFS keep their own.
    3. Few tails say little of how much they vary. It is taken to be more, by one standard
       deviation.
    """
    usual = median(tail.scale for tail in tails)
    chance = fmean(1 / tail.many for tail in tails)
    found = fmean(math.log(tail.scale / usual) ** 2 for tail in tails)
    own = max(found - chance, 0.0) + math.sqrt(2 / len(tails)) * max(found, chance)
    weight = min(chance / own, len(tails) - 1)
    return [
        replace(
            tail,
            scale=(tail.scale + weight * usual) / (1 + weight),
            many=(1 + weight) * tail.many,
        )
        for tail in tails
    ]


def extremes_of(count: int) -> int:
    """How many of `count` numbers say where a tail begins and how fast it falls."""
    return max(1, min(_EXTREMES, int(count * _EXTREME_SHARE)))


def tail_of(extremes: Sequence[float], base: float, sign: int, steepest: float) -> Tail:
    """From the most extreme numbers, ascending.

    1. Of an exponential tail, the mean excess of the numbers beyond `start` is its scale.
    2. Of the outermost ones it is only taken that they lie beyond the others: a handful of outliers
       must not say how fast the tail falls. They count as if they were as far out as the last of
       the others, and the sum is divided by the number of the others. For an exponential tail this
       is the estimate of the greatest likelihood, as for lamps that still burn when a test ends.
    """
    start = extremes[0]
    outliers = int(len(extremes) * _OUTLIER_SHARE)
    others = extremes[: len(extremes) - outliers]
    excess = sum(value - start for value in others) + outliers * (others[-1] - start)
    scale = max(excess / len(others), steepest)
    # A tail that falls faster than is taken is the surer, the faster it falls.
    many = min(len(others) ** 2 * scale / max(excess, _SAME), _MOST)
    return Tail(start=sign * start, scale=scale, base=base, many=round(many, 1))
