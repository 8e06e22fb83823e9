"""Divides a budget of false alarms among the scores of a bundle, by what injected faults they find.

For each of several numbers of false alarms there is a plan. In each, the density first gets its
share; the rest goes to the score whose lower threshold finds most more of the injected faults for a
false alarm, again and again. False alarms of all scores together are counted on held-out sessions,
not added up. What is left over in the end lowers the thresholds that still have room above their
floor, so that about as many false alarms are raised as were asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fluent_krone.detect.budget import DECIMALS, Budget, Plan

from .panel import BINARY, COUNTED, DENSITY

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

# False alarms in 1,000 sessions that there are plans for.
PLANNED = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
# Of the budget, what the density gets first: it alone sees a session as a whole, and a single
# injected fault, by which the rest is divided, is not what it is for.
_DENSITY_SHARE = 2 / 3
# Beyond this many false alarms in 1,000 sessions the density gets no more of them unasked.
_DENSITY_MOST = 1.0
# A score that has a say raises false alarms that held-out sessions do not show yet: about so many
# in as many sessions.
_UNSEEN = 0.75
# The threshold of a score that was given nothing: this far (in nats) beyond all held-out scores,
# where a false alarm is an eighth as likely as beyond the largest.
_BEYOND = math.log(8)
# Sessions that score so many times the density's floor are no normal sessions. So few of them, and
# no more than this share of a small training set, never set its threshold.
FREAK_RATIO = 10
_FREAKS, _FREAK_SHARE = 3, 1 / 20
# How many lower thresholds of a score are tried for the next step.
_LOOK_AHEAD = 16
# Largest held-out scores that a bundle keeps, for p-values.
_KEPT = 200
# What is likelier than one normal session in so many, for one false alarm in 1,000, is never
# flagged; nor is a step that is likelier than one in so many.
_DENSITY_FLOOR, _STEP_FLOOR = 10_000, 1_000
# More held-out sessions than this share cannot be flagged in the dearest plan; the others' scores
# need not be looked at.
_LOOKED_AT = 0.08


def density_floor(false_alarms: float) -> float:
    """The lowest threshold of the density, in nats."""
    return math.log(_DENSITY_FLOOR / false_alarms)


def plan_budget(
    normal: Mapping[str, Doubles], faulty: Mapping[str, Mapping[str, Doubles]], sessions: int
) -> Budget:
    """The budget of a bundle.

    `normal` are held-out scores of normal sessions, one array a score, all of one length: that is
    `sessions`, or a multiple of it where the sessions were held out several times. `faulty` are
    those of sessions with a fault, by kind.
    """
    rows = len(next(iter(normal.values())))
    repeats = max(1, rows // max(sessions, 1))
    ranked = {name: np.sort(scores)[::-1] for name, scores in normal.items()}
    looked_at = _extremes(normal, ranked)
    extremes = {name: scores[looked_at] for name, scores in normal.items()}
    plans = []
    for false_alarms in PLANNED:
        divisions = [
            _Division(extremes, faulty, ranked, repeats, false_alarms, rows).run(first)
            for first in (None, *(name for name in BINARY if name in normal))
        ]
        best = max(divisions, key=lambda division: division.found())
        plans.append(Plan(false_alarms, best.rounded()))
    largest = {
        name: tuple(float(score) for score in scores[: _KEPT * repeats])
        for name, scores in ranked.items()
        if name not in BINARY
    }
    return Budget(rows, largest, tuple(plans))


def _extremes(normal: Mapping[str, Doubles], ranked: Mapping[str, Doubles]) -> NDArray[np.int64]:
    """Held-out sessions that some threshold may flag."""
    rows = len(next(iter(normal.values())))
    most = min(rows - 1, int(_LOOKED_AT * rows) + 10)
    looked_at = np.zeros(rows, np.bool_)
    for name, scores in normal.items():
        looked_at |= scores > min(ranked[name][most], ranked[name][0] - 1e-9)
    return np.flatnonzero(looked_at)


class _Division:
    """One budget as it is divided: the thresholds so far, and what all of them flag together."""

    def __init__(
        self,
        normal: Mapping[str, Doubles],
        faulty: Mapping[str, Mapping[str, Doubles]],
        ranked: Mapping[str, Doubles],
        repeats: int,
        false_alarms: float,
        rows: int,
    ) -> None:
        self._normal = normal
        self._faulty = faulty
        self._ranked = ranked
        self._repeats = repeats
        self._false_alarms = false_alarms
        self._budget = false_alarms * rows / 1000
        self._thresholds: dict[str, float] = {}
        self._flagged = np.zeros(len(next(iter(normal.values()))), np.bool_)
        self._found = {
            kind: np.zeros(len(next(iter(scores.values()))), np.bool_)
            for kind, scores in faulty.items()
        }
        self._levels = {name: self._levels_of(name) for name in normal}

    def run(self, first: str | None) -> _Division:
        """Divide it. A score that flags all or nothing (`first`) comes before the others, if it can
        be paid: later on, what is left would be too little for it."""
        self._give_first()
        self._give_density()
        if first is not None and self._cost(first, 0.0) <= self._budget:
            self._lower(first, 0.0)
        self._give_the_rest()
        self._use_up()
        return self

    def found(self) -> float:
        """The share of the injected faults that is found: the mean over their kinds."""
        return float(np.mean([found.mean() for found in self._found.values()] or [0.0]))

    def rounded(self) -> dict[str, float]:
        return {name: round(t, DECIMALS) for name, t in self._thresholds.items()}

    def _levels_of(self, name: str) -> Doubles:
        """The thresholds that a score may have, the highest first."""
        if name in BINARY:
            return np.zeros(1)
        levels: Doubles = np.unique(self._normal[name])[::-1]
        return levels[levels >= self._floor(name)]

    def _floor(self, name: str) -> float:
        if name == DENSITY:
            return density_floor(self._false_alarms)
        if name in COUNTED:
            return 0.0
        return max(math.log(_STEP_FLOOR / self._false_alarms), 0.0)

    def _lower(self, name: str, threshold: float) -> None:
        self._thresholds[name] = threshold
        self._flagged = self._flagged | (self._normal[name] > threshold)
        for kind, found in self._found.items():
            self._found[kind] = found | (self._faulty[kind][name] > threshold)

    def _cost(self, name: str, threshold: float) -> float:
        """Held-out sessions that are flagged with this threshold lowered, and those yet unseen."""
        paid = {other for other, t in self._thresholds.items() if t <= self._ranked[other][0]}
        flagged = int((self._flagged | (self._normal[name] > threshold)).sum())
        return flagged + _UNSEEN * self._repeats * len(paid | {name})

    def _gain(self, name: str, threshold: float) -> float:
        """The mean share of injected faults that are found more, over the kinds."""
        more = [
            float(((self._faulty[kind][name] > threshold) & ~found).mean())
            for kind, found in self._found.items()
        ]
        return float(np.mean(more)) if more else 0.0

    def _give_first(self) -> None:
        """What each score has before any false alarm is given to it."""
        for name, ranked in self._ranked.items():
            if name == DENSITY:
                freaks = int((ranked > FREAK_RATIO * density_floor(1)).sum())
                most = int(len(ranked) * _FREAK_SHARE)
                at = min(freaks, _FREAKS * self._repeats, most, len(ranked) - 1)
                self._lower(name, max(float(ranked[at]), self._floor(name)))
            elif name not in BINARY:
                floor = self._floor(name)
                self._lower(name, max(float(ranked[0]) + _BEYOND, floor))

    def _give_density(self) -> None:
        """The lowest threshold that keeps the density within its share."""
        share = min(self._false_alarms, _DENSITY_MOST) / self._false_alarms
        ranked = self._ranked[DENSITY]
        at = min(int(_DENSITY_SHARE * share * self._budget), len(ranked) - 1)
        threshold = max(float(ranked[at]), density_floor(min(self._false_alarms, _DENSITY_MOST)))
        if threshold < self._thresholds[DENSITY]:
            self._lower(DENSITY, threshold)

    def _give_the_rest(self) -> None:
        while best := self._best():
            self._lower(*best)

    def _best(self) -> tuple[str, float] | None:
        """The affordable threshold that finds most for a false alarm."""
        found: tuple[float, str, float] | None = None
        now = float(self._flagged.sum())
        for name in self._normal:
            for threshold in self._next_levels(name):
                cost = self._cost(name, threshold)
                if cost > self._budget:
                    break
                # Even a free step costs a little, so that the one that finds most comes first.
                rate = self._gain(name, threshold) / max(cost - now, 0.25)
                if rate > 0 and (found is None or rate > found[0]):
                    found = (rate, name, threshold)
        return found[1:] if found else None

    def _next_levels(self, name: str) -> Sequence[float]:
        """Thresholds below the present one, the highest first."""
        now = self._thresholds.get(name, math.inf)
        first = int(np.searchsorted(-self._levels[name], -now, side="right"))
        return [float(level) for level in self._levels[name][first : first + _LOOK_AHEAD]]

    def _use_up(self) -> None:
        """Lower order and density further while that costs no more than asked."""
        for name in ("order.session", DENSITY):
            while lower := self._next_levels(name)[:1]:
                if self._cost(name, lower[0]) > self._budget:
                    break
                self._lower(name, lower[0])
