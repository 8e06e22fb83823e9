"""From normal training sessions alone: all thresholds, and what is doubtful.

Each fold of the sessions is judged by witnesses fitted on the other folds. No label is used: what a
witness is worth shows on faults injected into those sessions, what it costs on the sessions as they
are. `plan_budget` divides a budget of false alarms by both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.cascade import Clearing
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.budget import (
    DECIMALS,
    FALSE_ALARMS,
    Budget,
    budget_from_json,
    clearing_of,
    judges_steps,
)
from fluent_krone.detect.tails import STEEPEST
from fluent_krone.detect.times import Times, measure_times

from .faults import HANGING, KINDS, LOOP_KINDS, LOOPS_SHARE, Injector
from .fit_witnesses import DENSITY, WAITING, FittedWitnesses, Forms, fit_witnesses
from .floors import density_floor
from .held_out import as_of_all, expected_share
from .misfits import BEYOND_DOUBT, Misfits
from .plan_budget import plan_budget
from .traces import Trace
from .train import DensityModel, Doubles, Ints, Table, fit_table, tabulate

# Parts into which the sessions are cut; each is judged by what the others taught.
# The more there are, the more the witnesses of a fold are like those of the bundle; few sessions
# need many folds, and of many sessions a few folds are enough.
_FEWEST_FOLDS, _MOST_FOLDS, _FOLDED_SESSIONS = 5, 15, 60_000
# Events that are fitted on in all folds together: the same, for sessions of thousands of events.
_FOLDED_EVENTS = 6_000_000
# Injected faults of each kind, in all folds together, and the most events that they have: fewer are
# injected where sessions are long, so that an export does not take hours.
FAULTS, _FAULTY_EVENTS = 1_000, 200_000
# Of normal sessions, at most this many are in the density's uncertainty band.
_DOUBTFUL_SHARE = 0.01
# How often sessions are looked for that do not belong to the others (`misfits.py`).
_TRIMMING_ROUNDS = 3
# A kind of fault is a blind spot where less than this share of it is found.
_BLIND = 0.1
# Numbers of false alarms in 1,000 sessions for which a report tells what is found.
TOLD = (0.5, 1.0, 5.0, 20.0)

Flags = NDArray[np.bool_]
Progress = Callable[[int, int], None]  # steps done, of how many


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the bundle keeps beside the model.

    `threshold` is the density's for the fit's own number of `asked` false alarms, `band`: scores in
    it are doubtful. `budget` holds the plans, as `Budget.to_json` writes it.
    `detection` (kind of fault → false alarms asked → share found), `false_alarms` (asked → share of
    held-out normal sessions flagged) and `expected` (asked → share of new normal sessions that is
    to be expected) are what the report tells. `left_out` are the positions of
    training sessions that nothing was learnt from, as the training seems mixed with abnormal ones.
    `doubtful` of the others set no threshold by their steps. `too_many` are those that are unlike
    the others where they are so many that none was left out.
    `steepest` is how fast the tails of gaps may fall (`steepest_of`).
    """

    threshold: float
    band: tuple[float, float]
    budget: dict[str, Any]
    asked: float = FALSE_ALARMS
    detection: dict[str, dict[str, float]] = field(default_factory=dict)
    false_alarms: dict[str, float] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    doubtful: int = 0
    too_many: int = 0
    steepest: float = STEEPEST

    @property
    def trimmed(self) -> int:
        """How many training sessions nothing was learnt from."""
        return len(self.left_out)

    @property
    def plans(self) -> Budget:
        return budget_from_json(self.budget)

    @property
    def thresholds(self) -> dict[str, float]:
        return self.plans.thresholds(self.asked)

    @property
    def blind(self) -> tuple[str, ...]:
        """The kinds of fault that are hardly ever found with these thresholds."""
        return tuple(kind for kind, found in self._found().items() if found < _BLIND)

    @property
    def expected_of_asked(self) -> float:
        """How many times as many false alarms as asked for are to be expected; 0: not known."""
        if not self.expected:
            return 0.0
        nearest = self._nearest_told()
        return 1000 * self.expected[_told(nearest)] / nearest

    @property
    def found(self) -> float:
        """The share of the injected faults that is found: the mean over their kinds."""
        return float(np.mean([*self._found().values()] or [1.0]))

    def _found(self) -> dict[str, float]:
        """By kind, for the number of false alarms in the table that is nearest to the asked one."""
        column = _told(self._nearest_told())
        return {kind: found[column] for kind, found in self.detection.items()}

    def _nearest_told(self) -> float:
        return min(TOLD, key=lambda told: abs(told - self.asked))

    @property
    def clearing(self) -> Clearing:
        """What makes a `sequence` alert, by the budget."""
        return clearing_of(self.thresholds)

    @property
    def words(self) -> str:
        """The same, as an operator reads it."""
        said = ["A session is flagged when it is unlikely as a whole"]
        if "counts" in self.thresholds:
            said.append("when its steps come in numbers that no normal session had")
        if judges_steps(self.thresholds):
            said.append("when it has a step that training never had")
        if "patterns" in self.thresholds:
            said.append("when it has a Seq that training never had")
        steps = "a step is flagged when its order, time, value or severity is"
        return f"{', or '.join(said)}; {steps}."


def calibrate(
    sessions: Sequence[Trace | Sequence[int]],
    hierarchy: Hierarchy,
    *,
    seed: int = 0,
    false_alarms: float = FALSE_ALARMS,
    faults: int = FAULTS,
    labelled: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Calibration:
    """Thresholds and band for normal `sessions`: their log keys, or all that their events tell.

    This many `faults` of each kind are injected to divide the budget. With `labelled`, labels say
    of each session that it is normal.
    """
    traces = [_trace(session) for session in sessions]
    kept = np.arange(len(traces))
    doubtful = np.zeros(len(traces), np.bool_)
    trial = _Trial(traces, hierarchy, seed, faults)
    trial.run(on_progress)
    misfits = Misfits(labelled=labelled)
    for _ in range(_TRIMMING_ROUNDS):
        unlike, in_doubt = misfits.among(trial.normal)
        if not (unlike | in_doubt).any():
            break
        doubtful = (doubtful | in_doubt)[~unlike]
        kept = kept[~unlike]
        trial = _Trial([traces[i] for i in kept], hierarchy, seed, faults, doubtful)
        trial.run(on_progress)
    left_out = set(range(len(traces))).difference(kept.tolist())
    found = trial.result(false_alarms, tuple(sorted(left_out)))
    return replace(found, doubtful=int(doubtful.sum()), too_many=misfits.too_many)


def band_of(scores: Doubles, threshold: float) -> tuple[float, float]:
    """The uncertainty band: from the score that one normal session in a hundred exceeds, as far
    above the threshold.

    At least a tenth of the threshold either way, so that a small training set knows doubt too.
    """
    low = min(float(np.quantile(scores, 1 - _DOUBTFUL_SHARE)), 0.9 * threshold)
    return round(low, DECIMALS), round(2 * threshold - low, DECIMALS)


def _trace(session: Trace | Sequence[int]) -> Trace:
    if isinstance(session, Trace):
        return session
    return Trace(tuple(session))


class _Trial:
    """All witnesses on held-out sessions, as they are and with faults.

    Of `doubtful` sessions, scores that may be those of a fault count as 0, and none is injected.
    """

    def __init__(
        self,
        sessions: Sequence[Trace],
        hierarchy: Hierarchy,
        seed: int,
        faults: int = FAULTS,
        doubtful: Flags | None = None,
    ) -> None:
        self._most_faults = faults
        self._sessions = sessions
        self._doubtful = np.zeros(len(sessions), np.bool_)
        if doubtful is not None:
            self._doubtful = doubtful
        self._hierarchy = hierarchy
        self._seed = seed
        # Loops are drawn by themselves, so that the other faults are the same with and without.
        self._loops_rng = np.random.default_rng((seed, 1))
        self._forms = Forms(hierarchy)
        self._known = {session.keys for session in sessions}
        self._steepest = STEEPEST
        self._folds = 0
        self.normal: dict[str, Doubles] = {}
        self._faulty: dict[str, dict[str, list[float]]] = {}

    def run(self, on_progress: Progress) -> None:
        size = len(self._sessions)
        events = max(sum(len(session.keys) for session in self._sessions), 1)
        folds = min(_MOST_FOLDS, _FOLDED_SESSIONS // max(size, 1), _FOLDED_EVENTS // events)
        folds = min(max(_FEWEST_FOLDS, folds), size)
        if folds < 2:
            return
        self._folds = folds
        faults = min(self._most_faults, _FAULTY_EVENTS * size // events)
        table = tabulate([session.keys for session in self._sessions], self._hierarchy)
        self._steepest = steepest_of(self._sessions, self._hierarchy)
        rng = np.random.default_rng(self._seed)
        fold = rng.permutation(size) % folds
        for i in range(folds):
            held = np.flatnonzero(fold == i)
            fitted = np.flatnonzero(fold != i)
            self._run_fold(table, held, fitted, max(faults // folds, 1), rng)
            on_progress(i + 1, folds)

    def _run_fold(
        self, table: Table, held: Ints, fitted: Ints, faults: int, rng: np.random.Generator
    ) -> None:
        model = fit_table(table, fitted, self._hierarchy, seed=self._seed)
        training = [self._sessions[i] for i in fitted]
        witnesses = fit_witnesses(
            training, self._hierarchy, self._forms, model.counts(), self._steepest
        )
        self._keep(DENSITY, held, _density_scores(model, table, held))
        scores = [witnesses.scores(self._sessions[i]) for i in held]
        for name in scores[0]:
            self._keep(name, held, np.array([of_one[name] for of_one in scores]))
        for kind, faulty in self._inject(held, training, faults, rng):
            self._judge_faulty(kind, faulty, witnesses, model)

    def _keep(self, name: str, places: Ints, scores: Doubles) -> None:
        if name not in BEYOND_DOUBT:
            scores = np.where(self._doubtful[places], 0.0, scores)
        self.normal.setdefault(name, np.zeros(len(self._sessions)))[places] = scores

    def _inject(
        self, held: Ints, training: Sequence[Trace], faults: int, rng: np.random.Generator
    ) -> Iterator[tuple[str, list[Trace]]]:
        """Faulty copies of held-out sessions, by kind. What makes a normal session of another is
        no fault."""
        pool = sorted({key for session in training for key in session.keys})
        hosts = [i for i in held if self._sessions[i].keys and not self._doubtful[i]]
        injector = Injector(self._hierarchy, pool, rng)
        looping = Injector(self._hierarchy, pool, self._loops_rng)
        for kind in KINDS:
            if kind in LOOP_KINDS:
                # Few sessions may repeat anything, so all of them are tried.
                made = self._made(kind, self._loops_rng.permutation(hosts), looping)
                yield kind, [*islice(made, max(int(faults * LOOPS_SHARE), 1))]
            else:
                yield kind, [*self._made(kind, rng.permutation(hosts)[:faults], injector)]

    def _made(self, kind: str, hosts: Iterable[int], injector: Injector) -> Iterator[Trace]:
        for i in hosts:
            made = injector.inject(self._sessions[i], kind)
            if made and (made.keys == self._sessions[i].keys or made.keys not in self._known):
                yield made

    def _judge_faulty(
        self, kind: str, faulty: Sequence[Trace], witnesses: FittedWitnesses, model: DensityModel
    ) -> None:
        of_kind = self._faulty.setdefault(kind, defaultdict(list))
        for session in faulty:
            scores = witnesses.scores(session)
            scores[DENSITY] = round(model.score(session.keys), DECIMALS)
            for name, score in scores.items():
                # What only sees the end of a session does not see it hang.
                if kind in HANGING and name not in WAITING:
                    score = 0.0
                of_kind[name].append(score)

    def result(self, asked: float, left_out: tuple[int, ...] = ()) -> Calibration:
        if not self.normal:
            return _uncalibrated(asked)
        normal = self._as_of_all(self.normal)
        faulty = {
            kind: self._as_of_all({name: np.array(scores) for name, scores in of_kind.items()})
            for kind, of_kind in self._faulty.items()
            if of_kind
        }
        budget = plan_budget(normal, faulty)
        threshold = budget.thresholds(asked)[DENSITY]
        detection = {
            kind: {_told(n): _share(scores, budget.thresholds(n)) for n in TOLD}
            for kind, scores in faulty.items()
        }
        return Calibration(
            threshold=threshold,
            band=band_of(self.normal[DENSITY], threshold),
            budget=budget.to_json(),
            asked=asked,
            detection=detection,
            false_alarms={_told(n): _share(normal, budget.thresholds(n)) for n in TOLD},
            expected={_told(n): expected_share(normal, budget.thresholds(n)) for n in TOLD},
            left_out=left_out,
            steepest=self._steepest,
        )

    def _as_of_all(self, scores: Mapping[str, Doubles]) -> dict[str, Doubles]:
        return as_of_all(scores, len(self._sessions), self._folds)


def _told(false_alarms: float) -> str:
    return f"{false_alarms:g} in 1,000"


def _share(scores: Mapping[str, Doubles], thresholds: Mapping[str, float]) -> float:
    """Of some sessions, the share that any score flags."""
    flagged = [scores[name] > threshold for name, threshold in thresholds.items()]
    return float(np.any(flagged, axis=0).mean())


def _density_scores(model: DensityModel, table: Table, sessions: Ints) -> Doubles:
    """Scores of a table's sessions, each distinct vector once."""
    rows, back = np.unique(table.member[sessions], return_inverse=True)
    scores: Doubles = np.round(model.scores(table, rows)[back], DECIMALS)
    return scores


def _uncalibrated(asked: float) -> Calibration:
    """One session says nothing of how normal ones differ."""
    floor = round(density_floor(asked), DECIMALS)
    budget = {"sessions": 0, "largest": {}, "plans": [[0.0, {DENSITY: floor}]]}
    band = (round(0.9 * floor, DECIMALS), round(1.1 * floor, DECIMALS))
    return Calibration(threshold=floor, band=band, budget=budget, asked=asked)


# --- how fast tails fall --------------------------------------------------------------------------

# A log whose gaps vary evenly shows slow steps best where a tail may be steep. Where machines stand
# still for a moment now and then, such moments would score so high that they set the threshold, and
# hide slow steps. No figure of the gaps tells the two apart as well as what is found: so half of
# the sessions are measured, slow steps are looked for in the other half, and the steep tails are
# taken only where they find more.

# The least scale of a steep tail.
_STEEPER = 0.12
# A step is slow that takes this many times as long as it did.
_SLOWER = 10
# A threshold lies somewhere among this many of the largest scores of sessions.
_LARGEST = 7
_SECOND_NS = 1_000_000_000
# Sessions that are looked at, and those of a half in which steps are made slow: enough to tell.
_FEWEST, _MOST, _MOST_SLOW = 500, 6_000, 800


def steepest_of(sessions: Sequence[Trace], hierarchy: Hierarchy) -> float:
    """The least scale that a tail of the gaps of normal `sessions` may have (`detect/tails.py`).

    Steep tails must find more in either half: what a few moments of standstill do to a threshold is
    a matter of chance.
    """
    timed = [session for session in sessions if session.gaps_ns]
    some = timed[:: max(1, len(timed) // _MOST)]
    gaps_ns = (gap_ns for session in some for gap_ns in session.gaps_ns)
    # A clock of whole seconds does not show how short gaps vary. On raw HDFS, 19 of 4,694 normal
    # blocks were flagged in place of 14.
    if len(some) < _FEWEST or all(gap_ns % _SECOND_NS == 0 for gap_ns in gaps_ns):
        return STEEPEST
    halves = some[::2], some[1::2]
    for fitted, held in (halves, halves[::-1]):
        found = _found(fitted, held, hierarchy, _STEEPER)
        if found <= _found(fitted, held, hierarchy, STEEPEST):
            return STEEPEST
    return _STEEPER


def _found(
    fitted: Sequence[Trace], held: Sequence[Trace], hierarchy: Hierarchy, steepest: float
) -> float:
    """The share of slow steps that one half finds in the other, as the mean over thresholds."""
    times = measure_times(((s.keys, s.gaps_ns) for s in fitted), hierarchy, steepest)
    worst = sorted((times.worst(s.keys, s.gaps_ns) for s in held), reverse=True)
    scores = np.array(_slow_scores(times, held[:_MOST_SLOW]))
    if not len(scores):
        return 0.0
    return float(np.mean([scores > threshold for threshold in worst[:_LARGEST]]))


def _slow_scores(times: Times, sessions: Sequence[Trace]) -> list[float]:
    """What each step of some sessions scores where it is slow.

    Steps that took no time that the clock can tell are left out: nobody knows how long one of them
    takes when it is slow.
    """
    return [
        times.score(before, step, gap_ns * _SLOWER)
        for session in sessions
        for before, step, gap_ns in zip(
            session.keys, session.keys[1:], session.gaps_ns, strict=False
        )
        if gap_ns > 0
    ]
