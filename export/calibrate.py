"""The threshold, the uncertainty band and the clearing rule, from normal sessions alone.

No label is used. The steps are:

1. The sessions are divided into folds. Each fold is judged by a density and by pattern sets that
   were fitted on the other folds, so that every session gets a score as an unknown one would.
2. The threshold is an order statistic of these out-of-fold scores.
3. Faults are injected into copies of held-out sessions. How many of them a rule finds is what the
   rule is worth; how many unchanged sessions it flags is what the rule costs.
4. The rule that finds most faults at a tolerable cost becomes the clearing rule of the bundle.
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

# Parts into which the sessions are divided. With five, four fifths of the sessions remain to fit
# on; more folds would cost time in proportion and change the threshold little.
FOLDS = 5
# Divisions into folds whose scores are pooled. One division alone lets chance move the threshold.
REPEATS = 3
# Training sessions that may be freaks (far from all others) without moving the threshold.
FREAKS = 3
# In a small training set freaks are at most this share of the sessions.
FREAK_SHARE = 1 / 20
# Share of false alarms that is tolerated on top of the freaks.
ALPHA = 1 / 2000
# Natural logarithm of 10,000: a session that the density considers likelier than one in ten
# thousand is never flagged.
FLOOR = math.log(10_000)
# Largest share of normal sessions that may lie in the uncertainty band.
DOUBTFUL_SHARE = 0.01
# From this number of sessions on, one division into folds settles the threshold.
MANY_SESSIONS = 30_000
# Faults that are injected for each kind and fold. Detection rates are then exact to about 2 %.
FAULTS = 200
# A rule must find this much more (mean detection rate) to replace the rule that is preferred to it.
TIE = 0.01
# Decimal places to which the runtime rounds a score before it compares it with the threshold.
# Different builds of the ONNX runtime differ in the digits after them.
DECIMALS = 4

# The kinds of injected fault; `inject` says what each does.
KINDS = ("missing", "extra", "repeated", "reordered", "truncated", "wrong_status", "foreign_step")
# What makes a session abnormal, in order of preference.
RULES: Mapping[str, Clearing] = {
    "nested": Clearing(patterns_clear=False, nested_clears=True),
    "either": Clearing(patterns_clear=False, nested_clears=False),
    "any": Clearing(patterns_clear=False, nested_clears=False, counts_flag=True),
    "patterns": Clearing(patterns_clear=True, nested_clears=False),
    "both": Clearing(patterns_clear=True, nested_clears=True),
}
# The order in which reports name the rules: first one detector alone, then combinations.
_REPORTED = ("nested", "patterns", "both", "either", "any")

# Takes the number of steps done and their total.
Progress = Callable[[int, int], None]
# Score of a session, whether it has a Seq pattern that training never had, and whether its counts
# are new.
Judged = tuple[float, bool, bool]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the bundle keeps beside the model.

    A score above `threshold` is abnormal; a score inside `band` is doubtful. `detection` (kind of
    fault → rule → share found) and `false_alarms` (rule → share of held-out normal sessions) are
    the reasons for the clearing rule.
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
        """Which detector may clear a session that the other flags, in the form of a bundle."""
        return Clearing(self.patterns_clear, self.nested_clears, self.counts_flag)

    @property
    def words(self) -> str:
        """The clearing rule in one or two sentences for an operator."""
        if self.patterns_clear and self.nested_clears:
            rule = (
                "A session is flagged only when it is unlikely as a whole and also has a Seq "
                "that never occurred in training."
            )
        elif self.patterns_clear:
            rule = (
                "Only the pattern sets decide: a session is flagged when it has a Seq "
                "that never occurred in training."
            )
        elif self.nested_clears:
            rule = (
                "Only the density decides: a session is flagged when it is unlikely as a whole, "
                "even if all of its Seqs occurred in training."
            )
        else:
            rule = (
                "A session is flagged when it is unlikely as a whole, or when it has a Seq "
                "that never occurred in training."
            )
        if not self.counts_flag:
            return rule
        return (
            f"{rule} It is also flagged when no normal session had the same counts of steps "
            "and runs."
        )


def calibrate(
    sessions: Sequence[Sequence[int]],
    hierarchy: Hierarchy,
    *,
    seed: int = 0,
    on_progress: Progress = lambda done, total: None,
) -> Calibration:
    """Threshold, band and clearing rule for normal `sessions` (log keys).

    The same sessions and `seed` give the same result.
    """
    size = len(sessions)
    folds = _folds(size)
    repeats = _repeats(size)
    if folds < 2:
        return _uncalibrated()
    table = tabulate(sessions, hierarchy)
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
    if len(table.example) > prototype_limit(len(table.column_of)):
        # The served model can't hold all counts of training, so the rule `any` would flag
        # normal sessions whose counts were dropped. It is ruled out.
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
    """The highest out-of-fold score that is not tolerated as a freak or a false alarm.

    `scores` is float64[repeats, sessions]; the repeats are pooled. The result is never below
    `FLOOR`.
    """
    repeats, size = scores.shape
    ranked = np.sort(scores, axis=None)[::-1]
    return max(float(ranked[repeats * _tolerated(size)]), FLOOR)


def band_of(scores: Doubles, threshold: float) -> tuple[float, float]:
    """The uncertainty band around the threshold, as (lowest, highest) doubtful score.

    It begins at the score that one normal session in a hundred exceeds, and reaches as far above
    the threshold as it does below it. It reaches at least a tenth of the threshold to either side,
    because a small training set says little about scores near the threshold.
    """
    low = min(float(np.quantile(scores, 1 - DOUBTFUL_SHARE)), 0.9 * threshold)
    return round(low, DECIMALS), round(2 * threshold - low, DECIMALS)


def choose_rule(
    detection: Mapping[str, Mapping[str, float]],
    false_alarms: Mapping[str, float],
    tolerated: float,
) -> str:
    """The rule that finds most faults (mean over kinds) without more false alarms than tolerated.

    A rule replaces one that is preferred to it only if it is better by more than `TIE`. The density
    alone comes first in preference, because its threshold also limits false alarms on future data.
    The caller tolerates twice what one detector may cost, because two detectors take part.
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
    """A copy of `session` with one fault of `kind`; `pool` holds the log keys known to training.

    The copy equals the session where the fault can't be made, for example a wrong status for an
    action that has only one.
    """
    keys = list(session)
    size = len(session)
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
    """Other log keys of the same action; without any, of the same entity; without any, all."""
    others = [other for other in pool if other != key]
    for node_of in (hierarchy.action_of, hierarchy.entity_of):
        if alike := [other for other in others if node_of[other] == node_of[key]]:
            return alike
    return others


def _pick(rng: np.random.Generator, keys: Sequence[int], default: int) -> int:
    if not keys:
        return default
    return keys[int(rng.integers(len(keys)))]


@dataclass(slots=True)
class _Trial:
    """What both detectors say of held-out sessions, as they are (`normal`) and with faults."""

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
        """Judge one fold: `model` was fitted without the sessions `held`; `scores` are theirs."""
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
                # A copy that equals a normal session is no fault and is not counted.
                if keys and keys not in self._known:
                    self.faulty[kind].append(judged(keys, model.score(keys)))

    def _counts(self, keys: LogKeys) -> int:
        """A hash of the nested counts, because the counts of all sessions would fill the memory.

        A collision would change a share of flagged sessions by one session at most.
        """
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
    return {rule: flagged[rule] / max(1, len(judged)) for rule in _REPORTED}


def _flagged_by(session: Judged, threshold: float) -> list[str]:
    score, unseen, new_counts = session
    return [
        rule
        for rule, clearing in RULES.items()
        if clearing.finds_abnormal(unseen, lambda: not score <= threshold, lambda: new_counts)
    ]


class _Patterns:
    """The patterns of a session's Seqs on all levels, as numbers to save memory."""

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
    """Scores of a table's sessions. Each distinct vector is scored once."""
    rows, back = np.unique(table.member[sessions], return_inverse=True)
    return model.scores(table, rows)[back]


def _tolerated(size: int) -> int:
    """How many out-of-fold scores may lie above the threshold, per repeat."""
    return min(FREAKS, int(size * FREAK_SHARE)) + round(ALPHA * size)


def _folds(size: int) -> int:
    return min(FOLDS, size)


def _repeats(size: int) -> int:
    if size < MANY_SESSIONS:
        return REPEATS
    return 1


def _uncalibrated() -> Calibration:
    """The calibration of a single session, which can't show how normal sessions differ."""
    return Calibration(
        threshold=FLOOR,
        band=(0.9 * FLOOR, 1.1 * FLOOR),
        **asdict(RULES["nested"]),
        detection={},
        false_alarms={},
    )
