"""Divides a budget of false alarms among the scores of a bundle, by what injected faults they find.

The budget is spent step by step. Each step lowers the threshold of one score: of all thresholds
that can be paid, the one that finds most more of the injected faults for a false alarm. False
alarms of all scores together are counted on held-out sessions, not added up. On the way from few
false alarms to many, the thresholds are noted down for several numbers of them. So thresholds only
fall with the number that is asked for, and whatever few false alarms find is found with more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.budget import DECIMALS, Budget, Plan

from .panel import BINARY, DENSITY, NEVER_HAD

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

# False alarms in 1,000 sessions that there are plans for.
PLANNED = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
# Of what is asked for, the share that the density gets before the others: it alone sees a session
# as a whole, and a single injected fault, by which the rest is divided, is not what it is for.
# Where it finds a good part of these nevertheless, it is given more: on the authors' HDFS, half as
# many real failures are missed then.
_DENSITY_SHARE, _GOOD_SHARE, _GOOD_PART = 0.25, 0.5, 1 / 6
# Beyond this many false alarms in 1,000 sessions the density gets no more of them unasked.
_DENSITY_MOST = 1.0
# A threshold that is the largest held-out score flags none of these sessions, but of as many new
# ones, one is expected to lie above it, as above any order statistic. So each score that has a say
# pays for that one. How many there will be is a matter of chance, with a variance of two, and so is
# how many will be flagged of those that lie farther in, with their number as the variance. The
# budget must hold what is expected and so many standard deviations. Without these, every second log
# has more false alarms than were asked for; with one whole, counts had no say in some splits of the
# authors' HDFS for 0.7 false alarms, and nearly a third of the failures were missed.
_SAY_VARIES, _DEVIATIONS = 2.0, 0.5
# Up to one false alarm in 1,000, a small training may expect as many false alarms as so many times
# its sessions would have, at most as many as `_FEWEST` sessions would. It cannot tell what one
# session in 1,000 looks like, and could afford hardly any score. With more than `_FEWEST` sessions
# this allowance shrinks, and with twice as many there is none. It is for false alarms that are
# expected: what is flagged among its own sessions, with the outliers, must fit into the budget of
# these, since on calls of `lpr` the density took it all. The scores of steps have a smaller
# allowance than those of whole sessions: with as much for the order, nine times as many were
# flagged as were asked for after 600 sessions of HDFS, and nothing was left for the counts, which
# find the failures. The export warns that such a bundle flags more than was asked.
_WHOLE_TIMES, _STEP_TIMES, _FEWEST = 4, 2.5, 4_000
_PATTERNS = "patterns"
_WHOLE = (DENSITY, "counts", _PATTERNS, "unseen")
# What a step costs that flags no more held-out session, beside the others.
_FREE = 0.1
# The threshold of a score that was given nothing: this far (in nats) beyond all held-out scores,
# where a false alarm is an eighth as likely as beyond the largest.
_BEYOND = math.log(8)
# These scores are themselves logarithms of how likely a number is (`detect/tails.py`). So what lies
# half, or a quarter, as far beyond costs that share of the price of the largest: several of
# them can be had for what one would cost, and each finds most of what it would find there.
_MEASURED = ("time", "time.wait", "time.seq", "values.range")
_SHARES = (1 / 4, 1 / 2)
# The order's is so many times as large before that. What training never had after certain steps is
# hardly more of a surprise than what is next to never, so that a few nats are no distance.
_BEYOND_ORDER = 2.0
# Sessions that score so many times the density's floor are no normal sessions. So few of them, and
# no more than this share of a small training set, never set a threshold. With a ratio of 5, two of
# 4,855 sessions of HDFS hid three of ten faults for one false alarm in 2,000.
_OUTLIER_RATIO = 2
_OUTLIERS, _OUTLIER_SHARE = 3, 1 / 20
# As many later sessions are like them, and flagged. That is for nothing where the sessions after
# them are hardly likelier: calls of `lpr` have some at every distance, and for one false alarm in
# 2,000 that was asked for, three were raised. So outliers either score this many times what any
# other session does, or they are at most one in so many of what the budget may flag …
_OUTLIERS_APART, _OUTLIERS_OF_BUDGET = 2, 2
# … or they score so many times the floor that failures could not be farther out: one such session
# of 1,350 of ThunderBird hid all of them.
_BEYOND_ALL = 10
# How many lower thresholds of a score are tried for the next step.
_LOOK_AHEAD = 24
# Where less than this share of a budget is spent when no threshold finds more, the rest is spent on
# these scores, so that about as many false alarms are raised as were asked for.
_SPENT = 0.75
_FILLING = ("unseen", "counts", "order.session", DENSITY)
# Scores of what is new: 0 for all that training had.
NOVELTIES = ("values", "levels", "unseen")
# Largest held-out scores that a bundle keeps, for p-values.
_KEPT = 200
# What is likelier than one normal session in so many, for one false alarm in 1,000, is never
# flagged; nor is a step that is likelier than one in so many.
_DENSITY_FLOOR, _STEP_FLOOR = 20_000, 1_000
# Where enough sessions are held out, a step is flagged by its order up to one in so many. What
# training never had is never flagged if it had fewer chances than that: with rules that 30 of 600
# sessions kept, two in a hundred new ones broke one.
_ORDER, _ORDER_FLOOR = ("order.session", "order.entity"), 100
_RULES = ("order.before", "order.pair")
# Counts are never flagged that are likelier than one in so many, for one false alarm in 1,000. That
# is little: no session had them, so they are odder than what they differ in.
_COUNTS_FLOOR = 150
# Where so many false alarms are to be expected among the sessions that are held out, these alone
# say how far out normal counts are: on 15,000 simulated sessions the floor hid lost replicas. They
# also say what is new and normal. And outliers are counted among what is flagged, as later sessions
# have as many of them; a smaller training could not pay for three.
_PLENTY = 10
# More held-out sessions than this share cannot be flagged in the dearest plan; the others' scores
# need not be looked at.
_LOOKED_AT = 0.08


def density_floor(false_alarms: float) -> float:
    """The lowest threshold of the density, in nats."""
    return math.log(_DENSITY_FLOOR / false_alarms)


def plan_budget(
    normal: Mapping[str, Doubles], faulty: Mapping[str, Mapping[str, Doubles]]
) -> Budget:
    """The budget of a bundle.

    `normal` are held-out scores of normal sessions, one array a score; `faulty` are those of
    sessions with a fault, by kind.
    """
    division = _Division(normal, faulty)
    plans = tuple(Plan(asked, division.spend(asked)) for asked in PLANNED)
    largest = {
        name: tuple(float(score) for score in scores[:_KEPT])
        for name, scores in division.ranked.items()
        if name not in BINARY
    }
    return Budget(division.rows, largest, plans)


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
        if threshold > scores[largest] > _beyond(name, float(np.delete(scores, largest).max())):
            holders = np.array([largest])
        # A score of 0 says that there is nothing to say.
        if threshold > 0 and len(holders) and not flagged[holders].any():
            holding.add(int(holders[0]))
    return float(flagged.sum() + len(holding)) / len(flagged)


def _beyond(name: str, largest: float) -> float:
    """The threshold of a score that was given nothing."""
    if name.startswith("order."):
        return _BEYOND_ORDER * largest + _BEYOND
    return largest + _BEYOND


def _outliers(density: Doubles, budget: float) -> Ints:
    """The sessions that set no threshold: few, and out of all likelihood.

    `budget` is how many of the sessions may be flagged.
    """
    most = min(_OUTLIERS, int(len(density) * _OUTLIER_SHARE))
    worst = np.argsort(-density, kind="stable")[:most]
    found: Ints = worst[density[worst] > _OUTLIER_RATIO * density_floor(1)]
    if not len(found) or budget >= _OUTLIERS_OF_BUDGET * len(found):
        return found
    others = float(np.delete(density, found).max())
    if density[found[-1]] >= _OUTLIERS_APART * others:
        return found
    return found[density[found] > _BEYOND_ALL * density_floor(1)]


def _without(normal: Mapping[str, Doubles], places: Ints) -> dict[str, Doubles]:
    """The scores of all sessions but some."""
    return {name: np.delete(scores, places) for name, scores in normal.items()}


def _extremes(normal: Mapping[str, Doubles], ranked: Mapping[str, Doubles]) -> NDArray[np.int64]:
    """Held-out sessions that some threshold may flag."""
    rows = len(next(iter(normal.values())))
    most = min(rows - 1, int(_LOOKED_AT * rows) + 10)
    looked_at = np.zeros(rows, np.bool_)
    for name, scores in normal.items():
        looked_at |= scores > min(ranked[name][most], ranked[name][0] - 1e-9)
    return np.flatnonzero(looked_at)


class _Division:
    """A budget as it is divided: the thresholds so far, and what all of them flag together.

    `ranked` are the scores of the `rows` sessions that count, in falling order. The more false
    alarms are asked for, the more outliers there may be, and these do not count.
    """

    def __init__(
        self,
        normal: Mapping[str, Doubles],
        faulty: Mapping[str, Mapping[str, Doubles]],
    ) -> None:
        self._all = normal
        self._faulty = faulty
        self._false_alarms = PLANNED[0]
        self._thresholds: dict[str, float] = {}
        self._found = {
            kind: np.zeros(len(next(iter(scores.values()))), np.bool_)
            for kind, scores in faulty.items()
        }
        self._outliers = self._outliers_now()
        self._count()
        self._give_first()

    def _outliers_now(self) -> Ints:
        density = self._all[DENSITY]
        return _outliers(density, self._false_alarms * len(density) / 1000)

    def _count(self) -> None:
        """Count false alarms among all sessions but the outliers."""
        normal = _without(self._all, self._outliers)
        self.rows = len(normal[DENSITY])
        self.ranked = {name: np.sort(scores)[::-1] for name, scores in normal.items()}
        looked_at = _extremes(normal, self.ranked)
        self._normal = {name: scores[looked_at] for name, scores in normal.items()}
        self._levels = {name: self._levels_of(name) for name in normal}
        self._flagged = np.zeros(len(looked_at), np.bool_)
        for name, threshold in self._thresholds.items():
            self._flagged |= self._normal[name] > threshold

    def spend(self, false_alarms: float) -> dict[str, float]:
        """The thresholds for this number of false alarms, which is larger than the one before."""
        self._false_alarms = false_alarms
        outliers = self._outliers_now()
        if len(outliers) > len(self._outliers):
            self._outliers = outliers
            self._count()
            self._give_first()
        self._give_density()
        for name, threshold in iter(self._best, None):
            self._lower(name, threshold)
        self._use_up()
        floors = {name: max(self._floor(name), 0.0) for name in self._thresholds}
        return {
            name: round(max(threshold, floors[name]), DECIMALS)
            for name, threshold in self._thresholds.items()
        }

    @property
    def _budget(self) -> float:
        return self._false_alarms * self.rows / 1000

    @property
    def _are_plenty(self) -> bool:
        """Whether the held-out sessions are many for what is asked."""
        return self._budget >= _PLENTY

    def _affords(self, name: str, threshold: float) -> bool:
        """Whether a score may have this threshold."""
        flagged = self._flagged_with(name, threshold)
        paid = self._paid_with(name, threshold)
        counted = flagged + len(self._outliers) * self._are_plenty
        varies = _DEVIATIONS * math.sqrt(counted + _SAY_VARIES * paid)
        if counted + paid + varies <= self._budget:
            return True
        if flagged and flagged + len(self._outliers) > self._budget:
            return False
        times: float = _STEP_TIMES
        if name in _WHOLE:
            times = _WHOLE_TIMES
        allowance = min(times * self.rows, _FEWEST, 2 * _FEWEST - self.rows)
        return flagged + paid <= min(self._false_alarms, 1.0) * allowance / 1000

    def _levels_of(self, name: str) -> Doubles:
        """The thresholds that a score may have, the highest first."""
        if name in BINARY:
            return np.zeros(1)
        levels: Doubles = np.unique(self._normal[name])[::-1]
        if name in _MEASURED:
            beyond = [float(self.ranked[name][0]) - math.log(share) for share in _SHARES]
            levels = np.concatenate((beyond, levels))
        return levels

    def _floor(self, name: str) -> float:
        if name == DENSITY:
            return density_floor(self._false_alarms)
        # A value or a level that is new was in no session of training. Where so many sessions are
        # held out that a false alarm is to be expected among them, they say how often that comes.
        is_told = _WHOLE_TIMES * self.rows * self._false_alarms >= 1000
        if name in NOVELTIES and is_told:
            return 0.0
        if name == _PATTERNS:
            return 0.0
        least = max(math.log(_ORDER_FLOOR / self._false_alarms), math.log(_ORDER_FLOOR))
        if name in _RULES:
            return least
        if self._are_plenty and (name == "counts" or name in NEVER_HAD):
            return 0.0
        if name == "counts":
            return max(math.log(_COUNTS_FLOOR / self._false_alarms), 0.0)
        floor = max(math.log(_STEP_FLOOR / self._false_alarms), 0.0)
        if name in _ORDER and is_told:
            # They also say how far the surprises of normal steps go, which may be less far.
            floor = min(floor, least)
        return floor

    def _lower(self, name: str, threshold: float) -> None:
        self._thresholds[name] = threshold
        self._flagged = self._flagged | (self._normal[name] > threshold)
        for kind, found in self._found.items():
            self._found[kind] = found | (self._faulty[kind][name] > threshold)

    def _cost(self, name: str, threshold: float) -> float:
        """Held-out sessions that are flagged with this threshold lowered, and those yet unseen."""
        return self._flagged_with(name, threshold) + self._paid_with(name, threshold)

    def _flagged_with(self, name: str, threshold: float) -> int:
        return int((self._flagged | (self._normal[name] > threshold)).sum())

    def _paid(self) -> float:
        """How many scores have a say: their thresholds are among the held-out scores, or so near to
        these that a share of them has."""
        return sum(self._price(name, threshold) for name, threshold in self._thresholds.items())

    def _paid_with(self, name: str, threshold: float) -> float:
        """The same with a threshold lowered."""
        now = self._thresholds.get(name, math.inf)
        return self._paid() - self._price(name, now) + self._price(name, min(now, threshold))

    def _price(self, name: str, threshold: float) -> float:
        """How much of a say a score has with this threshold: none, or all, or a share of it."""
        if name in NOVELTIES and threshold <= 0:
            # All that is new is flagged, and held-out sessions tell how often that comes. No score
            # of theirs was chosen for a threshold.
            return 0.0
        beyond = threshold - float(self.ranked[name][0])
        if beyond <= 0:
            return 1.0
        if name not in _MEASURED or beyond >= _BEYOND:
            return 0.0
        return math.exp(-beyond)

    def _gain(self, name: str, threshold: float) -> float:
        """The mean share of injected faults that are found more, over the kinds."""
        more = [
            float(((self._faulty[kind][name] > threshold) & ~found).mean())
            for kind, found in self._found.items()
        ]
        return float(np.mean(more)) if more else 0.0

    def _give_first(self) -> None:
        """What each score has before any false alarm is given to it."""
        for name, ranked in self.ranked.items():
            threshold = float(ranked[0])
            if name == _PATTERNS:
                continue
            if name != DENSITY:
                threshold = _beyond(name, threshold)
            self._lower(name, min(threshold, self._thresholds.get(name, math.inf)))

    def _give_density(self) -> None:
        """The lowest threshold that keeps the density within its share."""
        threshold = self._density_at(_DENSITY_SHARE)
        if self._found_by(DENSITY, threshold) > _GOOD_PART:
            threshold = self._density_at(_GOOD_SHARE)
        if threshold < self._thresholds[DENSITY]:
            self._lower(DENSITY, threshold)

    def _density_at(self, share: float) -> float:
        most = min(self._false_alarms, _DENSITY_MOST)
        ranked = self.ranked[DENSITY]
        at = min(int(share * most * len(ranked) / 1000), len(ranked) - 1)
        return max(float(ranked[at]), density_floor(most))

    def _found_by(self, name: str, threshold: float) -> float:
        """The mean share of injected faults that a score finds alone, over the kinds."""
        found = [float((scores[name] > threshold).mean()) for scores in self._faulty.values()]
        return float(np.mean(found)) if found else 0.0

    def _best(self) -> tuple[str, float] | None:
        """The affordable threshold that finds most for a false alarm."""
        found: tuple[float, str, float] | None = None
        now = float(self._flagged.sum()) + self._paid()
        for name in self._normal:
            for threshold in self._next_levels(name):
                if not self._affords(name, threshold):
                    break
                cost = self._cost(name, threshold)
                # Even a free step costs a little, so that the one that finds most comes first.
                rate = self._gain(name, threshold) / max(cost - now, _FREE)
                if rate > 0 and (found is None or rate > found[0]):
                    found = (rate, name, threshold)
        return found[1:] if found else None

    def _next_levels(self, name: str) -> Iterator[float]:
        """Thresholds below the present one, the highest first; the last one is the floor."""
        now = self._thresholds.get(name, math.inf)
        floor = self._floor(name)
        first = int(np.searchsorted(-self._levels[name], -now, side="right"))
        for level in self._levels[name][first : first + _LOOK_AHEAD]:
            if level <= floor:
                if floor < now:
                    yield floor
                return
            yield float(level)

    def _use_up(self) -> None:
        """Lower counts, order and density further where little of the budget is spent."""
        for name in (name for name in _FILLING if name in self._normal):
            for threshold in self._next_levels(name):
                if self._flagged.sum() >= _SPENT * self._budget:
                    return
                if not self._affords(name, threshold):
                    break
                self._lower(name, threshold)
