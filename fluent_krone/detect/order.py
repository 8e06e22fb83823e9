"""Order witness: how surprising is each step, after the steps before it.

A model of the log keys (`detect/next_step.py`) says how surprising the next step is.

KRONE's promise is to judge each Seq by itself, so several views are heard, and each has its own
threshold:

- `session`: the step after the last steps of the session, and the session's end after them;
- `entity`: the step after the last steps *of its own entity*, wherever other entities went between;
- `before`: whether a step came after one that never came before it (`detect/precedence.py`);
- `pair`: the steps of the session so far that came directly after a step that training never had
  before them. A session that runs backwards has many, each of them hardly odder than a rare step.
  Each counts with the logarithm of how often training had the rarer of the two: two frequent steps
  have had many chances to meet;
- `recent`: whether training ever had it after the one to five steps before it
  (`detect/recent.py`);
- `progress`: whether training ever had it, or the end, after what came so far, in whatever order
  (`detect/progress.py`).

Bundles of earlier versions have `triple` in place of the last two: what `pair` is, with the two
steps before. New triples are more frequent than new pairs, so that one says little, and several in
one session say much.

The end of a session is no step of a pair or a triple, but its beginning is: a step that never comes
first is out of order, while a session ends early for many reasons, and `session` says how odd that
is.

A session's surprise is a function of its log keys, so the tracker works it out once per state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.hierarchy import Hierarchy
from ..core.steps import END, START, Row, SoFar
from .next_step import Context, Counts, NextStep
from .precedence import NO_PRECEDENCE, Precedence
from .progress import Progress
from .recent import Recent, recent_window

View = Literal["session", "entity", "before", "recent", "progress", "pair", "triple"]
VIEWS: tuple[View, ...] = ("session", "entity", "before", "pair", "recent", "progress")
# The views of a bundle of an earlier version.
EARLIER_VIEWS: tuple[View, ...] = ("session", "entity", "before", "pair", "triple")
# The views that ask the whole session. Of the others, those of `COUNTING` count what was new before
# as well, and say 0 where nothing is new at the place itself (`Order.place`); the rest depends on
# the place alone.
WHOLE: tuple[View, ...] = ("before", "progress")
COUNTING: tuple[View, ...] = ("pair", "triple")
# Steps before the present one that are looked at together with it, by view.
_REACH_OF: Mapping[View, int] = {"pair": 1, "triple": 2}
# Steps that a context reaches back: with 5 the tables double and nothing more is found.
ORDER = 3
# Events that the entity's view looks back for its own last steps: this bounds the work on long
# sessions.
REACH = 64
# Steps whose newness is remembered; then all are forgotten, and worked out anew.
_MOST_REMEMBERED = 50_000
# Pairs and triples of a session that are counted, back from the present one; this bounds the work
# as well.
_COUNTED_BACK = 128
# A longer context that training had less often predicts no better than the shorter one.
_RAREST = 3


def session_context(keys: Sequence[int], at: int) -> Context:
    """The steps before event `at`, as many as the model takes; `START` stands before the first one.

    >>> session_context([7, 8, 9, 10], 2)
    (-1, 7, 8)
    """
    if at >= ORDER:
        return tuple(keys[at - ORDER : at])
    return (START,) * (ORDER - at) + tuple(keys[:at])


def entity_context(keys: Sequence[int], at: int, entity_of: Sequence[int]) -> Context:
    """The steps of the same entity before event `at`.

    >>> entity_context([0, 1, 0, 1], 3, entity_of=[5, 6])
    (-1, -1, 1)
    """
    entity = entity_of[keys[at]]
    found: list[int] = []
    for key in reversed(keys[max(at - REACH, 0) : at]):
        if entity_of[key] == entity:
            found.append(key)
            if len(found) == ORDER:
                return tuple(reversed(found))
    return (START,) * (ORDER - len(found)) + tuple(reversed(found))


@dataclass(frozen=True, slots=True)
class Follows:
    """What training had after a step: `times` the step that came, of `total`; the usual one."""

    times: int
    total: int
    usual: int
    usual_times: int


class _NewSteps(dict[Context, float]):
    """How much it counts that training never had the last of some steps after those before it;
    0 where it had. Remembered.

    Where one of the steps is new itself, that is reported by itself.
    """

    def __init__(self, model: NextStep, known: frozenset[int], *, weighed: bool) -> None:
        self._model = model
        self._known = known
        self._weighed = weighed

    def __missing__(self, steps: Context) -> float:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        weight = 0.0
        is_new = steps[-1] not in self._model.counts.get(steps[:-1], {})
        if is_new and all(key == START or key in self._known for key in steps):
            weight = 1.0
            if self._weighed:
                weight = self._model.chances(steps[:-1], steps[-1])
        self[steps] = weight
        return weight


def _window(keys: Sequence[int], first: int, last: int, reach: int) -> Context:
    """Events `first` to `last`, and the `reach` steps before them.

    >>> _window([7, 8, 9], 1, 2, 2)
    (-1, 7, 8, 9)
    """
    return (*(START,) * max(reach - first, 0), *keys[max(first - reach, 0) : last + 1])


class Order:
    """Scores of the steps of a session, by view; `tables` are the counts of the two models."""

    def __init__(
        self,
        hierarchy: Hierarchy,
        tables: Mapping[str, Counts],
        precedence: Precedence = NO_PRECEDENCE,
        *,
        weighed: bool = False,
        recent: Recent | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.tables = tables
        self.recent = recent
        self.progress = progress
        self.views = VIEWS
        if recent is None or progress is None:
            self.views = EARLIER_VIEWS
        # Whether new pairs and triples count by how often they could have come; in bundles of
        # earlier versions each counts as one.
        self.weighed = weighed
        self.precedence = precedence
        self._entity_of = hierarchy.entity_of
        self._session = NextStep(tables["session"])
        self._entity = NextStep(tables["entity"])
        self._known = frozenset(self._session.counts.get((), {}))
        self._newness = _NewSteps(self._session, self._known, weighed=weighed)

    def scores(self, keys: Sequence[int], at: int) -> dict[View, float]:
        """The scores of event `at` of a session, by view. A step that training never had scores 0:
        that it is new is reported by itself, and what it does to the session shows in the density.
        """
        return {**self.whole(keys, at), **self.placed(keys, at)}

    def placed(self, keys: Sequence[int], at: int) -> dict[View, float]:
        """The scores of the views that do not ask the whole session."""
        step = keys[at]
        if step not in self._known:
            return {view: 0.0 for view in self.views if view not in WHOLE}
        context = session_context(keys, at)
        own = entity_context(keys, at, self._entity_of)
        found: dict[View, float] = {
            "session": self._session.surprise(context, step),
            "entity": self._entity.surprise(own, step),
        }
        for view, reach in _REACH_OF.items():
            if view in self.views:
                found[view] = self._new(keys, at, reach)
        if self.recent is not None:
            found["recent"] = self.recent.score(keys, at)
        return found

    def whole(self, keys: Sequence[int], at: int) -> dict[View, float]:
        """The scores of the views that ask the whole session up to event `at`."""
        return {"before": self.before(keys, at), "progress": self.so_far(keys, at)}

    def before(self, keys: Sequence[int], at: int) -> float:
        """The score of event `at` in the view of that name."""
        rule = self.precedence.broken(keys, at)
        if rule is None:
            return 0.0
        return rule.score

    def so_far(self, keys: Sequence[int], at: int, before: SoFar | None = None) -> float:
        """The score of event `at` in the view `progress`, where `before` came before it."""
        if self.progress is None:
            return 0.0
        return self.progress.score(keys, at, before)

    def place(self, keys: Sequence[int], at: int) -> Context:
        """Event `at` with the steps before it, in the session and in its own entity.

        It tells whether the step is new there, and gives the scores of the views that do not ask
        the whole session.
        """
        own = entity_context(keys, at, self._entity_of)
        return (*recent_window(keys, at), *own)

    def end_scores(self, keys: Sequence[int]) -> dict[View, float]:
        """The scores of ending here."""
        found: dict[View, float] = dict.fromkeys(self.views, 0.0)
        if keys:
            found["session"] = self.end_surprise(self.last_steps(keys))
        if keys and self.progress is not None:
            found["progress"] = self.progress.end_score(keys)
        return found

    def last_steps(self, keys: Sequence[int]) -> Context:
        """The steps that the session's score of ending here depends on."""
        return session_context(keys, len(keys))

    def end_surprise(self, last: Context) -> float:
        """The session's score of ending after its last steps."""
        if last[-1] not in self._known:
            return 0.0
        return self._session.surprise(last, END)

    def worst(self, keys: Sequence[int]) -> dict[View, float]:
        """The largest scores of a whole session: what thresholds are taken from."""
        found = self.end_scores(keys)
        for at in range(len(keys)):
            scores = self.placed(keys, at) | {"before": self.before(keys, at)}
            for view, score in scores.items():
                found[view] = max(found[view], score)
        if self.progress is not None:
            # All at once: each event adds to what came before it.
            found["progress"] = self.progress.worst(keys)
        return found

    def seen(self, step: int) -> tuple[int, int]:
        """How many such steps training had, and how many sessions."""
        steps = self._session.counts.get((), {})
        return steps.get(step, 0), steps.get(END, 0)

    def rows(self) -> Iterator[Row]:
        """All three steps that training had in a row, and how often; see `core/steps.py`."""
        for context, after in self._session.counts.items():
            if len(context) == 2 and context[-1] != START:
                for step, times in after.items():
                    yield (*context, step, times)

    def follows(self, before: int, step: int, view: View = "session") -> Follows:
        """How often `step` directly followed `before` in training; all zero where nothing did.

        The view `entity` looks at the steps of one entity alone.
        """
        counts = self._session.counts
        if view == "entity":
            counts = self._entity.counts
        return self._follows(counts, (before,), step)

    @staticmethod
    def _follows(counts: Counts, context: Context, step: int) -> Follows:
        after = counts.get(context, {})
        usual = max(after, key=lambda key: (after[key], -key), default=step)
        return Follows(after.get(step, 0), sum(after.values()), usual, after.get(usual, 0))

    def rare_after(
        self, keys: Sequence[int], at: int, view: View, rare: float
    ) -> tuple[Context, Follows]:
        """The fewest steps before event `at` after which it has at most a share of `rare`.

        Where it is usual after all that the model knows, these are the most steps that training
        had there. The view `entity` looks at the steps of the event's own entity, and `recent` at
        the fewest steps that training never had it after.
        """
        if view == "recent" and self.recent is not None:
            told, after = self.recent.told(keys, at)
            return told, self._follows({told: after}, told, keys[at])
        context = session_context(keys, at)
        counts = self._session.counts
        if view == "entity":
            context = entity_context(keys, at, self._entity_of)
            counts = self._entity.counts
            if context[-1] == START:
                return (START,), self._first_of_entity(keys[at])
        found = self._follows(counts, context[-1:], keys[at])
        reach = 1
        for length in range(2, len(context) + 1):
            if found.times <= rare * found.total:
                break
            longer = self._follows(counts, context[-length:], keys[at])
            if not longer.total:
                break
            found = longer
            reach = length
        return context[-reach:], found

    def _first_of_entity(self, step: int) -> Follows:
        """How often the steps of its entity began with it: the table has those of all entities."""
        entity_of = self._entity_of
        first = self._entity.counts.get((START,), {})
        own = {key: n for key, n in first.items() if key >= 0 and entity_of[key] == entity_of[step]}
        return self._follows({(START,): own}, (START,), step)

    def first_of_new(self, keys: Sequence[int], at: int) -> int:
        """The first of the events up to `at` whose places are new, without a gap between them.

        An event makes the places of those behind it new, as far as a place reaches.
        """
        first = at
        reach = max(_REACH_OF.values())
        for event in range(at - 1, max(at - _COUNTED_BACK, -1), -1):
            if event < first - reach:
                break
            if any(self._is_new_at(keys, event, own) for own in _REACH_OF.values()):
                first = event
        return first

    def had_pair(self, before: int, step: int) -> bool:
        """Whether training had `step` directly after `before`."""
        return step in self._session.counts.get((before,), {})

    def _is_new_at(self, keys: Sequence[int], at: int, reach: int) -> bool:
        """Whether training never had event `at` after the `reach` events before it."""
        return self._newness[_window(keys, at, at, reach)] > 0

    def _new(self, keys: Sequence[int], at: int, reach: int) -> float:
        """The pairs, or triples, up to this one that training never had; 0 where it had this."""
        if not self._is_new_at(keys, at, reach):
            return 0.0
        steps = _window(keys, max(at + 1 - _COUNTED_BACK, 0), at, reach)
        # Without a step of Python for each event: many new states ask this.
        windows = zip(*(steps[i:] for i in range(reach + 1)), strict=False)
        return float(sum(map(self._newness.__getitem__, windows)))


def count_order(sessions: Iterable[Sequence[int]], hierarchy: Hierarchy) -> dict[str, Counts]:
    """The tables of both views, from the log keys of normal sessions."""
    # Sessions of thousands of events have few different windows: these are counted first.
    session: Counter[Context] = Counter()
    entity: Counter[Context] = Counter()
    for keys, times in Counter(tuple(keys) for keys in sessions if keys).items():
        padded = (START,) * ORDER + keys + (END,)
        windows = zip(*(padded[i:] for i in range(ORDER + 1)), strict=False)
        _add(session, windows, times)
        own = (
            (*entity_context(keys, at, hierarchy.entity_of), step) for at, step in enumerate(keys)
        )
        _add(entity, own, times)
    return {"session": _table(session), "entity": _table(entity)}


def _add(counts: Counter[Context], windows: Iterable[Context], times: int) -> None:
    """Count each window this many times."""
    if times == 1:
        counts.update(windows)
        return
    for window in windows:
        counts[window] += times


def _table(windows: Mapping[Context, int]) -> dict[Context, Counter[int]]:
    """What followed each context, from counts of the longest contexts, each with its next step.

    A longest context that training had rarely is left out; those of one step and of two all stay,
    since `pair` and `triple` ask them.
    """
    table: dict[Context, Counter[int]] = {}
    for window, times in windows.items():
        for start in range(ORDER + 1):
            after = table.setdefault(window[start:-1], Counter())
            after[window[-1]] += times
    return {
        context: after
        for context, after in table.items()
        if len(context) < ORDER or after.total() >= _RAREST
    }


def order_to_json(tables: Mapping[str, Counts]) -> dict[str, list[list[list[int]]]]:
    """Plain values, as a bundle keeps them: a context, and the steps after it with their counts."""
    return {
        name: [
            [list(context), [number for pair in sorted(after.items()) for number in pair]]
            for context, after in sorted(table.items())
        ]
        for name, table in tables.items()
    }


def order_from_json(values: Mapping[str, Sequence[Sequence[Sequence[int]]]]) -> dict[str, Counts]:
    """The tables of counts as `order_to_json` wrote them."""
    return {
        name: {
            tuple(context): dict(zip(after[::2], after[1::2], strict=True))
            for context, after in rows
        }
        for name, rows in values.items()
    }
