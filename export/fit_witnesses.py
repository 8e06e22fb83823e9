"""All witnesses of a bundle, fitted on the same sessions: what each says of another session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.budget import DECIMALS, UNSEEN
from fluent_krone.detect.counts import Counts
from fluent_krone.detect.durations import Span, measure_durations
from fluent_krone.detect.levels import learn_levels
from fluent_krone.detect.order import Order, count_order
from fluent_krone.detect.precedence import OCCURRENCES, REACH, Precedence, Rule
from fluent_krone.detect.progress import Progress, count_progress
from fluent_krone.detect.recent import Recent, count_recent
from fluent_krone.detect.tails import STEEPEST
from fluent_krone.detect.times import measure_times
from fluent_krone.detect.values import Slot
from fluent_krone.detect.waits import measure_waits
from fluent_krone.detect.witnesses import StepWitnesses
from fluent_krone.reading.wildcards import INSTANCE, WILDCARD
from fluent_krone.types import Level

from .facets import other_leaves
from .fit_proportions import learn_proportions
from .fit_values import learn_values
from .traces import Trace

LogKeys = tuple[int, ...]
Scores = dict[str, float]
# What `density` scores is added by the caller, who has many sessions at once.
DENSITY = "density"
# Scores of a session as a whole.
WHOLE = (DENSITY, "counts", "needs", "loops", "patterns", "unseen")
# Scores that are 0 or one other number: there is no lower threshold than 0.
BINARY = ("patterns", "unseen")
# Scores of what is new: 0 for all that training had.
NOVELTIES = ("values", "levels", "unseen")
# Scores of what training never had after the steps before it, over several ways to look at them.
NEVER_HAD = ("order.recent", "order.progress")

# What tells that a session hangs while it does.
WAITING = ("time.wait",)


class Forms:
    """What sessions are compared by: shared by the folds, and small beside the counts."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self._hierarchy = hierarchy
        self._number: dict[tuple[Level, tuple[int, ...]], int] = {}
        self._patterns: dict[LogKeys, frozenset[int]] = {}

    def patterns(self, keys: LogKeys) -> frozenset[int]:
        """The patterns of all its Seqs, as numbers."""
        if keys not in self._patterns:
            seqs = self._hierarchy.decompose(keys)
            numbers = (
                self._number.setdefault((seq.level, seq.pattern), len(self._number)) for seq in seqs
            )
            self._patterns[keys] = frozenset(numbers)
        return self._patterns[keys]


@dataclass(slots=True)
class FittedWitnesses:
    """Fitted witnesses, all but the density."""

    forms: Forms
    counts: Counts
    steps: StepWitnesses
    _patterns: set[int]
    _known: frozenset[int]
    _by_keys: dict[LogKeys, Scores] = field(default_factory=dict)
    # Of each course: the surprise of its end after each event, and its Seqs of known duration.
    _timed: dict[LogKeys, tuple[list[float], list[Span]]] = field(default_factory=dict)

    def scores(self, session: Trace) -> Scores:
        """What each witness says of a session; 0 where it has nothing to say."""
        if session.keys not in self._by_keys:
            self._by_keys[session.keys] = self._step_scores(session.keys)
        return self._by_keys[session.keys] | {
            "time": round(self.steps.times.worst(session.keys, session.gaps_ns), DECIMALS),
            **self._time_scores(session),
            **self._value_scores(session),
            "proportion": self._proportion(session),
            "levels": round(self.steps.levels.worst(session.keys, session.levels), DECIMALS),
        }

    def _value_scores(self, session: Trace) -> Scores:
        scores = self.steps.values.worst_of(session.keys, session.values)
        return {name: round(score, DECIMALS) for name, score in scores.items()}

    def _proportion(self, session: Trace) -> float:
        proportions = self.steps.proportions
        return round(proportions.worst(session.keys, session.gaps_ns, session.values), DECIMALS)

    def _time_scores(self, session: Trace) -> Scores:
        """How long it waited for a next event at most, and how long its Seqs took."""
        keys = session.keys
        gaps_ns = session.gaps_ns
        if not self.steps.waits.after or (len(keys) > 1 and not gaps_ns):
            return {"time.wait": 0.0, "time.seq": 0.0}
        if keys not in self._timed:
            order = self.steps.order
            ends = [order.end_surprise(order.last_steps(keys[: at + 1])) for at in range(len(keys))]
            self._timed[keys] = (ends, self.steps.durations.spans(keys))
        ends, spans = self._timed[keys]
        return {
            "time.wait": round(self.steps.waits.worst(keys, gaps_ns, ends), DECIMALS),
            "time.seq": round(self.steps.durations.worst(spans, gaps_ns), DECIMALS),
        }

    def _step_scores(self, keys: LogKeys) -> Scores:
        order = self.steps.order.worst(keys)
        unseen = 0.0
        if not self._known.issuperset(keys):
            unseen = UNSEEN
        return {
            "counts": round(self.counts.score(keys), DECIMALS),
            "needs": round(self.counts.lacking(keys), DECIMALS),
            "loops": round(self.counts.looping(keys), DECIMALS),
            "patterns": float(not self.forms.patterns(keys) <= self._patterns),
            "unseen": unseen,
            **{f"order.{view}": round(score, DECIMALS) for view, score in order.items()},
        }


def fit_steps(
    sessions: Sequence[Trace], hierarchy: Hierarchy, silence_ns: int = 0, steepest: float = STEEPEST
) -> StepWitnesses:
    """The witnesses of single steps, from normal `sessions`.

    `silence_ns` is how long a silence of the whole stream counts as waiting (`usual_silence_ns`),
    `steepest` how fast the tails of gaps may fall (`steepest_of`).
    """
    values = learn_values(
        [(s.keys, s.values) for s in sessions if s.values],
        never_seen(sessions, hierarchy),
        which_instance(sessions, hierarchy),
    )
    return StepWitnesses(
        order=Order(
            hierarchy,
            count_order((session.keys for session in sessions), hierarchy),
            count_precedence(session.keys for session in sessions),
            weighed=True,
            recent=Recent(count_recent(session.keys for session in sessions)),
            progress=Progress(count_progress(session.keys for session in sessions)),
        ),
        times=measure_times(((s.keys, s.gaps_ns) for s in sessions), hierarchy, steepest),
        values=values,
        levels=learn_levels((s.keys, s.levels) for s in sessions),
        durations=measure_durations(((s.keys, s.gaps_ns) for s in sessions), hierarchy),
        waits=measure_waits(((s.keys, s.gaps_ns) for s in sessions), silence_ns),
        proportions=learn_proportions(sessions, values, steepest),
    )


def which_instance(sessions: Sequence[Trace], hierarchy: Hierarchy) -> set[Slot]:
    """The places that say which instance of a component wrote a line (`instances.py`).

    A new instance does what the others do. A place in the message is among them where each line
    has the value of its component there, as `pay-north: paid at north` has.
    """
    in_name = {
        key: [slot for slot, kind in enumerate(WILDCARD.findall(row.template)) if kind in INSTANCE]
        for key, row in enumerate(hierarchy.rows)
    }
    found = {(key, slot) for key, slots in in_name.items() for slot in slots}
    again: dict[int, set[int]] = {}
    instances: dict[int, set[bytes]] = {}
    for session in sessions:
        for key, values in zip(session.keys, session.values, strict=False):
            own = {values[slot] for slot in in_name.get(key, ()) if slot < len(values)}
            if own:
                instances.setdefault(key, set()).update(own)
                same = {slot for slot, value in enumerate(values) if value in own}
                again[key] = again.get(key, same) & same
    # Of one instance alone nothing is known: the value may be the same by chance.
    return found | {
        (key, slot) for key, slots in again.items() if len(instances[key]) > 1 for slot in slots
    }


def never_seen(sessions: Sequence[Trace], hierarchy: Hierarchy) -> dict[Slot, float]:
    """The places of facets in those plain templates whose leaves alone training had.

    The surprise of one is −ln of the share of sessions that it may be expected in.
    """
    having: Counter[int] = Counter()
    for session in sessions:
        having.update(set(session.keys))
    templates = [row.template for row in hierarchy.rows]
    found: dict[Slot, float] = {}
    del having[hierarchy.unknown]
    for plain, leaves in other_leaves(templates[: hierarchy.unknown], having.keys()).items():
        [slot, *_] = leaves.values()
        found[plain, slot] = math.log(1 + sum(having[leaf] for leaf in leaves))
    return found


def fit_witnesses(
    sessions: Sequence[Trace],
    hierarchy: Hierarchy,
    forms: Forms,
    counts: Counts,
    steepest: float = STEEPEST,
) -> FittedWitnesses:
    """The witnesses of normal `sessions`; `counts` are of the same sessions."""
    courses = {session.keys for session in sessions}
    return FittedWitnesses(
        forms=forms,
        counts=counts,
        steps=fit_steps(sessions, hierarchy, steepest=steepest),
        _patterns=set[int]().union(*(forms.patterns(keys) for keys in courses)),
        _known=frozenset[int]().union(*courses),
    )


# --- what never comes before what -----------------------------------------------------------------

# A rule that fewer sessions could have broken says nothing.
_FEWEST = 20
# Log keys for which there are rules: the table has the square of their number.
_MOST_KEYS = 2_000

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def count_precedence(sessions: Iterable[Sequence[int]]) -> Precedence:
    """The rules that all of these sessions keep."""
    courses = Counter(tuple(keys[:REACH]) for keys in sessions if keys)
    known = sorted({key for keys in courses for key in keys})
    if not known or len(known) > _MOST_KEYS:
        return Precedence({})
    place = {key: i for i, key in enumerate(known)}
    numbered = {tuple(place[key] for key in keys): times for keys, times in courses.items()}
    size = len(known)
    # By step, occurrence, other step: how many there were before it at most, in any session; in how
    # many sessions there were so many, and more of them came later.
    most: Bytes = np.zeros((size, OCCURRENCES, size), np.uint8)
    reached: Ints = np.zeros((size, OCCURRENCES, size), np.int64)
    # By step and number: how many sessions have this many of it.
    having: Ints = np.zeros((size, OCCURRENCES + 1), np.int64)
    for keys in numbered:
        for step, occurrence, before in _occurrences(keys, size):
            np.maximum(most[step, occurrence], before, out=most[step, occurrence])
    for keys, times in numbered.items():
        totals = np.minimum(np.bincount(keys, minlength=size), OCCURRENCES)
        having[np.arange(size), totals] += times
        for step, occurrence, before in _occurrences(keys, size):
            reached[step, occurrence] += times * (
                (before == most[step, occurrence]) & (totals > before)
            )
    rules = {}
    for key, step in place.items():
        occurrences = _rules_of(step, most[step], reached[step], having[step], known)
        if occurrences:
            rules[key] = occurrences
    return Precedence(rules)


def _occurrences(keys: Sequence[int], size: int) -> Iterator[tuple[int, int, Bytes]]:
    """Each of the first occurrences of a step: its number, and what came before it how often."""
    before: Bytes = np.zeros(size, np.uint8)
    for step in keys:
        occurrence = int(before[step])
        if occurrence < OCCURRENCES:
            yield step, occurrence, before
            before[step] += 1


def _rules_of(
    step: int, most: Bytes, reached: Ints, having: Ints, known: Sequence[int]
) -> list[list[Rule]]:
    """The rules of each occurrence of a step that has any."""
    found: list[list[Rule]] = []
    for occurrence in range(OCCURRENCES):
        if not having[occurrence + 1 :].any():
            # One more of them than any session had.
            often = int(having[occurrence])
            if often >= _FEWEST:
                found.append([Rule(known[step], occurrence - 1, often)])
            break
        could = np.where(most[occurrence] < OCCURRENCES, reached[occurrence], 0)
        could[step] = 0
        found.append(
            [
                Rule(known[other], int(most[occurrence, other]), int(could[other]))
                for other in np.flatnonzero(could >= _FEWEST).tolist()
            ]
        )
    while found and not found[-1]:
        found.pop()
    return found
