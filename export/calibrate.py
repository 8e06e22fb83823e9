"""From normal training sessions alone: the threshold, what is doubtful, and which detector may clear which.

Each fold of the sessions is judged by a density and by pattern sets fitted on the other folds. No label is used: what
a detector is worth shows on faults injected into those sessions, what it costs on the sessions as they are.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from fluent_krone.core.cascade import Clearing
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.nested_aware import nested_counts
from fluent_krone.types import Level

from .train import DensityModel, Doubles, Ints, LogKeys, Table, fit_table, prototype_limit, tabulate

FOLDS, REPEATS = 5, 3
FREAKS = 3  # training sessions that may be freaks without moving the threshold …
FREAK_SHARE = 1 / 20  # … though not in a small training set
ALPHA = 1 / 2000  # tolerated share of false alarms, on top of the freaks
FLOOR = math.log(
    10_000
)  # what the density deems likelier than one session in ten thousand is never flagged
DOUBTFUL_SHARE = 0.01  # of normal sessions, at most, in the uncertainty band
MANY_SESSIONS = 30_000  # from here one repeat settles the threshold
FAULTS = 200  # injected per kind and fold
TIE = 0.01  # of mean detection rate: no reason to leave the preferred rule
DECIMALS = 4  # to which the runtime rounds scores before it compares

KINDS = ("missing", "extra", "repeated", "reordered", "truncated", "wrong_status", "foreign_step")
# What makes a session abnormal, in order of preference.
RULES: Mapping[str, Clearing] = {
    "nested": Clearing(patterns_clear=False, nested_clears=True),
    "either": Clearing(patterns_clear=False, nested_clears=False),
    "any": Clearing(patterns_clear=False, nested_clears=False, counts_flag=True),
    "patterns": Clearing(patterns_clear=True, nested_clears=False),
    "both": Clearing(patterns_clear=True, nested_clears=True),
}
_TOLD = ("nested", "patterns", "both", "either", "any")  # the order in which reports name them

Progress = Callable[[int, int], None]  # steps done, of how many
Judged = tuple[float, bool, bool]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the bundle keeps beside the model.

    `threshold`: abnormal above it. `band`: scores in it are doubtful. `detection` (kind of fault → rule → share found)
    and `false_alarms` (rule → share of held-out normal sessions) are why the two may clear each other, or may not.
    """

    threshold: float
    band: tuple[float, float]
    patterns_clear: bool
    nested_clears: bool
    counts_flag: bool
    detection: dict[str, dict[str, float]]
    false_alarms: dict[str, float]

    @property
    def clearing(self) -> Clearing:
        """Who may clear whom, as a bundle says it."""
        return Clearing(self.patterns_clear, self.nested_clears, self.counts_flag)

    @property
    def words(self) -> str:
        """The same, as an operator reads it."""
        said = "A session is flagged when it is unlikely as a whole, or has a Seq that training never had."
        if self.patterns_clear and self.nested_clears:
            said = "A session is flagged only when it is unlikely as a whole and has a Seq that training never had."
        elif self.patterns_clear:
            said = "The pattern sets alone decide: a session is flagged when it has a Seq that training never had."
        elif self.nested_clears:
            said = "The density alone decides: a session is flagged when it is unlikely as a whole, known Seqs or not."
        also = " It is also flagged when no normal session had the same counts of steps and runs."
        return said + (also if self.counts_flag else "")


def calibrate(
    sessions: Sequence[Sequence[int]],
    hierarchy: Hierarchy,
    *,
    seed: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> Calibration:
    """Threshold, band and clearing rule for normal `sessions`."""
    table = tabulate(sessions, hierarchy)
    size, folds, repeats = len(sessions), _folds(len(sessions)), _repeats(len(sessions))
    if folds < 2:
        return _uncalibrated()
    scores = np.zeros((repeats, size))
    trial = _Trial(sessions, hierarchy, np.random.default_rng(seed))
    for repeat in range(repeats):
        fold = np.random.default_rng(seed * REPEATS + repeat).permutation(size) % folds
        for i in range(folds):
            held = np.flatnonzero(fold == i)
            model = fit_table(table, np.flatnonzero(fold != i), hierarchy, seed=seed)
            scores[repeat, held] = _score(model, table, held)
            if repeat == 0:
                trial.run(model, held, scores[0, held])
            on_progress(repeat * folds + i + 1, repeats * folds)
    threshold = round(threshold_of(scores), DECIMALS)
    detection, false_alarms = trial.rates(threshold)
    if len(table.example) > prototype_limit(
        len(table.column_of)
    ):  # the detector would not know all counts of training
        false_alarms = false_alarms | {"any": 1.0}
    rule = choose_rule(detection, false_alarms, tolerated=2 * _tolerated(size) / size)
    return Calibration(
        threshold=threshold,
        band=band_of(scores, threshold),
        **asdict(RULES[rule]),
        detection=detection,
        false_alarms=false_alarms,
    )


def threshold_of(scores: Doubles) -> float:
    """The first out-of-fold score, from the top, that is not tolerated; repeats are pooled. Never below `FLOOR`."""
    repeats, size = scores.shape
    ranked = np.sort(scores, axis=None)[::-1]
    return max(float(ranked[repeats * _tolerated(size)]), FLOOR)


def band_of(scores: Doubles, threshold: float) -> tuple[float, float]:
    """The uncertainty band: from the score that one normal session in a hundred exceeds, as far above the threshold.

    At least a tenth of the threshold either way, so that a small training set knows doubt too.
    """
    low = min(float(np.quantile(scores, 1 - DOUBTFUL_SHARE)), 0.9 * threshold)
    return round(low, DECIMALS), round(2 * threshold - low, DECIMALS)


def choose_rule(
    detection: Mapping[str, Mapping[str, float]],
    false_alarms: Mapping[str, float],
    tolerated: float,
) -> str:
    """The rule that finds most faults, mean over kinds, among those that raise no more false alarms than tolerated.

    A rule must be clearly better than those preferred to it, above all the nested density's own: its false alarms the
    threshold holds down on data to come. Twice what one detector may cost is tolerated, since two have a say.
    """
    mean = {
        rule: float(np.mean([rates[rule] for rates in detection.values()] or [0.0]))
        for rule in RULES
    }
    affordable = [rule for rule in RULES if false_alarms[rule] <= tolerated] or ["nested"]
    best = affordable[0]
    for rule in affordable[1:]:
        if mean[rule] > mean[best] + TIE:
            best = rule
    return best


def inject(
    session: Sequence[int],
    kind: str,
    rng: np.random.Generator,
    hierarchy: Hierarchy,
    pool: Sequence[int],
) -> LogKeys:
    """A copy of `session` with one fault of `kind`; `pool` are the log keys known to training.

    The copy equals the session where the fault has nothing to work on, such as a second status of an action.
    """
    keys, size = list(session), len(session)
    at = int(rng.integers(size))
    if kind == "missing":
        del keys[at]
    elif kind == "extra":
        keys.insert(int(rng.integers(size + 1)), keys[at])
    elif kind == "repeated":
        keys[at:at] = [keys[at]] * 3
    elif kind == "reordered":
        other = int(rng.integers(size))
        keys[at], keys[other] = keys[other], keys[at]
    elif kind == "truncated":
        del keys[max(1, int(size * rng.uniform(0.3, 0.8))) :]
    elif kind == "wrong_status":
        keys[at] = _pick(rng, _alternatives(keys[at], hierarchy, pool), keys[at])
    elif kind == "foreign_step":
        own = {hierarchy.entity_of[key] for key in keys}
        foreign = [key for key in pool if hierarchy.entity_of[key] not in own]
        keys.insert(at, _pick(rng, foreign or sorted(set(pool) - set(keys)), hierarchy.unknown))
    else:
        raise ValueError(f"BUG: no fault is called {kind!r}")
    return tuple(keys)


def _alternatives(key: int, hierarchy: Hierarchy, pool: Sequence[int]) -> list[int]:
    """Other outcomes of a step: leaves of its action, else of its entity, else any."""
    others = [other for other in pool if other != key]
    for node_of in (hierarchy.action_of, hierarchy.entity_of):
        if alike := [other for other in others if node_of[other] == node_of[key]]:
            return alike
    return others


def _pick(rng: np.random.Generator, keys: Sequence[int], default: int) -> int:
    return keys[int(rng.integers(len(keys)))] if keys else default


@dataclass(slots=True)
class _Trial:
    """Both detectors on held-out sessions, as they are and with faults: (score, unseen pattern?, new counts?)."""

    sessions: Sequence[Sequence[int]]
    hierarchy: Hierarchy
    rng: np.random.Generator
    normal: list[Judged] = field(default_factory=list)
    faulty: dict[str, list[Judged]] = field(default_factory=lambda: defaultdict(list))
    _patterns: _Patterns = field(init=False)
    _known: set[LogKeys] = field(init=False)
    _counts_of: dict[LogKeys, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._patterns = _Patterns(self.hierarchy)
        self._known = {tuple(session) for session in self.sessions}

    def run(self, model: DensityModel, held: Ints, scores: Doubles) -> None:
        """One fold: `held` were not among what `model` was fitted on, `scores` are theirs."""
        fitted = np.setdiff1d(np.arange(len(self.sessions)), held)
        courses = {tuple(self.sessions[i]) for i in fitted}
        seen = self._patterns.of_all(courses)
        counts = {self._counts(keys) for keys in courses}

        def judged(keys: LogKeys, score: float) -> Judged:
            return score, not self._patterns.of(keys) <= seen, self._counts(keys) not in counts

        self.normal += [
            judged(tuple(self.sessions[i]), score) for i, score in zip(held, scores, strict=True)
        ]
        pool = sorted(node for kind, node in model.columns if kind == "key")
        hosts = [i for i in held if len(self.sessions[i])]
        for kind in KINDS:
            for i in self.rng.permutation(hosts)[:FAULTS]:
                keys = inject(self.sessions[i], kind, self.rng, self.hierarchy, pool)
                if (
                    keys and keys not in self._known
                ):  # else the fault made a normal session of another
                    self.faulty[kind].append(judged(keys, model.score(keys)))

    def _counts(self, keys: LogKeys) -> int:
        """A hash of the nested counts: what is compared are shares, and the counts themselves would fill the memory."""
        if keys not in self._counts_of:
            self._counts_of[keys] = hash(frozenset(nested_counts(keys, self.hierarchy).items()))
        return self._counts_of[keys]

    def rates(self, threshold: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        """Detection rates by kind and rule, and false alarms by rule."""
        detection = {
            kind: _rates(self.faulty[kind], threshold) for kind in KINDS if self.faulty[kind]
        }
        return detection, _rates(self.normal, threshold)


def _rates(judged: Sequence[Judged], threshold: float) -> dict[str, float]:
    """Share flagged, by rule."""
    flagged = Counter(rule for session in judged for rule in _flagged_by(session, threshold))
    return {rule: flagged[rule] / max(1, len(judged)) for rule in _TOLD}


def _flagged_by(session: Judged, threshold: float) -> list[str]:
    score, unseen, new_counts = session
    return [
        rule
        for rule, clearing in RULES.items()
        if clearing.finds_abnormal(unseen, lambda: not score <= threshold, lambda: new_counts)
    ]


class _Patterns:
    """Which patterns a session has, of all levels, as numbers: compact enough to hold for every session."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._number: dict[tuple[Level, tuple[int, ...]], int] = {}
        self._of: dict[LogKeys, frozenset[int]] = {}

    def of(self, log_keys: LogKeys) -> frozenset[int]:
        if log_keys not in self._of:
            seqs = self._hierarchy.decompose(log_keys)
            numbers = (
                self._number.setdefault((seq.level, seq.pattern), len(self._number)) for seq in seqs
            )
            self._of[log_keys] = frozenset(numbers)
        return self._of[log_keys]

    def of_all(self, sessions: Iterable[Sequence[int]]) -> set[int]:
        return set[int]().union(*map(self.of, {tuple(session) for session in sessions}))


def _score(model: DensityModel, table: Table, sessions: Ints) -> Doubles:
    """Scores of a table's sessions, each distinct vector once."""
    rows, back = np.unique(table.member[sessions], return_inverse=True)
    return model.scores(table, rows)[back]


def _tolerated(size: int) -> int:
    """How many out-of-fold scores may lie above the threshold, per repeat."""
    return min(FREAKS, int(size * FREAK_SHARE)) + round(ALPHA * size)


def _folds(size: int) -> int:
    return min(FOLDS, size)


def _repeats(size: int) -> int:
    return REPEATS if size < MANY_SESSIONS else 1


def _uncalibrated() -> Calibration:
    """One session says nothing of how normal ones differ."""
    return Calibration(
        threshold=FLOOR,
        band=(0.9 * FLOOR, 1.1 * FLOOR),
        **asdict(RULES["nested"]),
        detection={},
        false_alarms={},
    )
