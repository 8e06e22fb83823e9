"""Held-out normal sessions, as a budget of false alarms counts them.

Of each score they show how high it goes in sessions that its witness was not fitted on, and which
sessions a threshold flags. A few of them are outliers and do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.budget import DECIMALS
from fluent_krone.detect.recent import REACH

from .fit_witnesses import BINARY, DENSITY, NOVELTIES
from .floors import density_floor

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Sessions that score this many times the density's floor are no normal sessions. So few of them,
# and no more than this share of a small training set, never set a threshold. With a ratio of 5, two
# of 4,855 sessions of HDFS hid three of ten faults for one false alarm in 2,000.
_OUTLIER_RATIO = 2
_OUTLIERS, _OUTLIER_SHARE = 3, 1 / 20
# As many later sessions are like them, and flagged. That is for nothing where the sessions after
# them are hardly likelier: calls of `lpr` have some at every distance, and for one false alarm in
# 2,000 that was asked for, three were raised. So outliers either score this many times what any
# other session does, or they are at most one in this many of what the budget may flag …
_OUTLIERS_APART, _OUTLIERS_OF_BUDGET = 2, 2
# … or they score this many times the floor that failures could not be farther out: one such session
# of 1,350 of ThunderBird hid all of them.
_BEYOND_ALL = 10
# A session that is two in one, as where an id comes twice, is hardly out of all likelihood as a
# whole, but each step of it comes where no session has it. By these scores together it is an
# outlier if its surprise is as many times that of any other session as above, and this many nats
# more. Of 1,996 simulated claims, two such sessions hid a quarter to a half of the steps that were
# added, done twice or swapped.
_SURPRISES = ("order.session", "order.recent", "order.progress", "order.pair")
_SURPRISES_APART = 12.0
# The threshold of a score that was given nothing: this far (in nats) beyond all held-out scores. It
# costs nothing, though a false alarm is an eighth to a third as likely as beyond the largest.
_BEYOND = math.log(8)
# The order's is this many times as large before that. What training never had after certain steps
# is hardly more of a surprise than what is next to never, so that a few nats are no distance.
_BEYOND_ORDER = 2.0
# Beyond the largest of these scores, new sessions become rarer by a factor of e in this many nats:
# they are themselves logarithms of how likely a number is (`detect/tails.py`), and that of values
# is on the safe side. So what lies half, or a quarter, as far beyond costs that share of the price
# of the largest: several of them can be had for what one would cost, and each finds most of what
# it would find there.
_MEASURED = {
    **dict.fromkeys(("time", "time.wait", "time.seq", "proportion", "loops"), 1.0),
    "values.range": 0.6,
}
_SHARES = (1 / 4, 1 / 2)
# … and beyond the largest of any other score. After 1,000 sessions of 20 simulated logs, about half
# as many new ones scored two nats more than the largest as scored more at all: by order, counts and
# rules alike. That is 2.9, with which hardly another threshold is chosen.
_FALLS = 2.0
# One in twenty lies beyond this many standard deviations, to either side. So nine in ten should lie
# between; it was four in five, as logs change.
_DEVIATES = 1.645
# More held-out sessions than this share cannot be flagged in the dearest plan; the others' scores
# need not be looked at.
_LOOKED_AT = 0.08


class HeldOut:
    """The sessions that count. `ranked` are their scores in falling order, by name.

    `scores` are those of the `looked_at` sessions that any threshold may flag.
    """

    def __init__(self, normal: Mapping[str, Doubles], outliers: Ints) -> None:
        counting = {name: np.delete(scores, outliers) for name, scores in normal.items()}
        self.outliers = len(outliers)
        self.rows = len(counting[DENSITY])
        self.ranked = {name: np.sort(scores)[::-1] for name, scores in counting.items()}
        looked_at = self._extremes(counting)
        self.looked_at = len(looked_at)
        self.scores = {name: scores[looked_at] for name, scores in counting.items()}
        self._levels = {name: self._levels_of(name) for name in counting}

    def levels_below(self, name: str, threshold: float, most: int) -> Doubles:
        """The thresholds that a score may have below its present one, the highest first."""
        levels = self._levels[name]
        first = int(np.searchsorted(-levels, -threshold, side="right"))
        return levels[first : first + most]

    def flagged(self, name: str, threshold: float) -> Flags:
        flags: Flags = self.scores[name] > threshold
        return flags

    def exceedance(self, name: str, threshold: float) -> float:
        """How many new sessions, of as many as are held out, are to be expected beyond a threshold
        of a score in addition to those that it flags here: none, one, or a share of one.
        """
        if name in NOVELTIES and threshold <= 0:
            # All that is new is flagged, and held-out sessions tell how often that comes. No score
            # of theirs was chosen for a threshold.
            return 0.0
        largest = float(self.ranked[name][0])
        if threshold <= largest:
            return 1.0
        if threshold >= beyond(name, largest):
            return 0.0
        return math.exp((largest - threshold) / _MEASURED.get(name, _FALLS))

    def _extremes(self, counting: Mapping[str, Doubles]) -> Ints:
        """The sessions that some threshold may flag."""
        most = min(self.rows - 1, int(_LOOKED_AT * self.rows) + 10)
        looked_at = np.zeros(self.rows, np.bool_)
        for name, scores in counting.items():
            ranked = self.ranked[name]
            looked_at |= scores > min(ranked[most], ranked[0] - 1e-9)
        return np.flatnonzero(looked_at)

    def _levels_of(self, name: str) -> Doubles:
        """The thresholds that a score may have, the highest first."""
        if name in BINARY:
            return np.zeros(1)
        levels: Doubles = np.unique(self.scores[name])[::-1]
        if name in _MEASURED:
            falls = _MEASURED[name]
            higher = [float(self.ranked[name][0]) - falls * math.log(share) for share in _SHARES]
            levels = np.concatenate((higher, levels))
        return levels


def beyond(name: str, largest: float) -> float:
    """The threshold of a score that was given nothing."""
    if name.startswith("order."):
        return _BEYOND_ORDER * largest + _BEYOND
    return largest + _MEASURED.get(name, 1.0) * _BEYOND


def as_of_all(scores: Mapping[str, Doubles], sessions: int, folds: int) -> dict[str, Doubles]:
    """Held-out `scores` as they would be if all `sessions` had been fitted on.

    Each of this many `folds` is judged by what the others taught. What none of these sessions did
    scores the logarithm of how many they are, so all sessions together make a little more of it.
    Without this, the oddest steps of a simulated scheduler, which were all equally odd, lay just
    above a threshold that one of them had set: four of nine false alarms.

    The score of recent steps is a sum of such logarithms, up to one for each step that it looks
    back, and each of them grows. They are smaller, as few sessions had just these steps: each is
    taken to be half as large. Where one alone was taken to grow, five of seven false alarms of that
    scheduler were left.

    >>> as_of_all({"order.pair": np.array([math.log(1 + 80)])}, 100, 5)["order.pair"].round(4)
    array([4.6151])
    """
    fitted = sessions * (1 - 1 / folds)
    largest = math.log(1 + fitted)
    growth = math.log(1 + sessions) - largest

    def grown(name: str, values: Doubles) -> Doubles:
        terms = values / largest
        if name == "order.recent":
            terms = np.minimum(2 * terms, REACH)
        return np.round(values + terms * growth, DECIMALS)

    return {
        name: grown(name, values) if name.startswith("order.") else values
        for name, values in scores.items()
    }


def outliers(normal: Mapping[str, Doubles], budget: float) -> Ints:
    """The sessions that set no threshold: few, and out of all likelihood as a whole, or far beyond
    all others by their order.

    `budget` is how many of the sessions may be flagged.
    """
    density = normal[DENSITY]
    most = min(_OUTLIERS, int(len(density) * _OUTLIER_SHARE))
    found = _unlikely_as_a_whole(density, most, budget)
    if len(found) == most:
        return found
    by_order = [scores for name, scores in normal.items() if name in _SURPRISES]
    surprise = np.sum([np.zeros(len(density)), *by_order], axis=0)
    surprise[found] = 0.0
    return np.append(found, _apart_by_order(surprise, density, most - len(found)))


def _unlikely_as_a_whole(density: Doubles, most: int, budget: float) -> Ints:
    worst = np.argsort(-density, kind="stable")[:most]
    found: Ints = worst[density[worst] > _OUTLIER_RATIO * density_floor(1)]
    if not len(found) or budget >= _OUTLIERS_OF_BUDGET * len(found):
        return found
    others = float(np.delete(density, found).max())
    if density[found[-1]] >= _OUTLIERS_APART * others:
        return found
    return found[density[found] > _BEYOND_ALL * density_floor(1)]


def _apart_by_order(surprise: Doubles, density: Doubles, most: int) -> Ints:
    """The few sessions whose order is a far greater surprise than that of any other. As a whole,
    they must be unlikely as well: a step at a place of its own alone is a rare way to run."""
    worst = np.argsort(-surprise, kind="stable")
    for many in range(most, 0, -1):
        found: Ints = worst[:many]
        last, others = surprise[worst[many - 1 : many + 1]]
        is_apart = last >= max(_OUTLIERS_APART * others, others + _SURPRISES_APART)
        if is_apart and density[found].min() > density_floor(1):
            return found
    return worst[:0]


def expected_share(normal: Mapping[str, Doubles], thresholds: Mapping[str, float]) -> float:
    """Of new normal sessions, the share that is to be expected above the `thresholds`.

    Each held-out session is taken as if it were new: it is flagged where it lies above a threshold,
    or above the one that there would be without it. That is so of the session whose score the
    threshold was taken from, and of one that is far beyond all others where the threshold lies
    beyond all. A session that holds several thresholds counts once.

    >>> scores = {"density": np.array([9.0, 5.0, 4.0, 1.0]), "time": np.array([0.0, 3.0, 0.0, 0.0])}
    >>> expected_share(scores, {"density": 5.0, "time": 3.0})
    0.5
    """
    flagged = np.any([normal[name] > threshold for name, threshold in thresholds.items()], axis=0)
    holding: set[int] = set()
    for name, threshold in thresholds.items():
        scores = normal[name]
        holders = np.flatnonzero(scores == threshold)
        largest = int(scores.argmax())
        if threshold > scores[largest] > beyond(name, float(np.delete(scores, largest).max())):
            holders = np.array([largest])
        # A score of 0 says that there is nothing to say.
        if threshold > 0 and len(holders) and not flagged[holders].any():
            holding.add(int(holders[0]))
    return float(flagged.sum() + len(holding)) / len(flagged)


def bounds_of(expected: float, sessions: int) -> tuple[float, float]:
    """Between which shares of new sessions lies what is flagged, where `expected` is the share that
    this many held-out `sessions` let expect, in four of five logs.

    The share beyond the k-th largest of n scores has a Gamma distribution of shape k and scale 1/n;
    its quantiles are those of Wilson and Hilferty. Half a session more is taken for the upper one,
    as sessions that are wholly new are hardly among those that are held out. In 33 of 42 fits to
    simulated and real logs, as many later sessions were flagged as these bounds say.

    >>> [round(1000 * share, 1) for share in bounds_of(0.003, 1_000)]
    [0.8, 7.0]
    """
    flagged = max(expected * sessions, 0.5)
    return (
        _gamma_quantile(flagged, -_DEVIATES) / sessions,
        _gamma_quantile(flagged + 0.5, _DEVIATES) / sessions,
    )


def _gamma_quantile(shape: float, deviates: float) -> float:
    """The quantile that lies this many standard deviations out in a normal distribution."""
    ninth = 1 / (9 * shape)
    return shape * max(1 - ninth + deviates * math.sqrt(ninth), 0.0) ** 3
