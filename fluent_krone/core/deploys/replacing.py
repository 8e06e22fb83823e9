"""Which old step a new one stands for, by its place among the others and by its words.

A deploy renames steps and adds new ones. Whoever reads the log sees which is which: where sessions
had `cart loaded` between two steps, they now have `fetched basket`. What is done here is the same:

1. A *run* is what new steps stand between: the known step before, the new ones, the known one
   behind. Runs are counted over many sessions, so that one faulty session does not decide.
2. A new step was *added* if normal training had the known steps around it next to each other: the
   session is normal without it.
3. Otherwise it *replaces* the old step that training had in just that place. Where several would
   do, the one with the most words in common wins.
4. Steps that run side by side come in any order, so that 2. says little: training had those around
   the new step next to each other, and the old one elsewhere. There the sessions decide that have
   ended: the new step replaces an old one that nearly all sessions of training had with these
   neighbours, and that most sessions with the new step lack.
   Where no session has ended in time, because sessions end long after their last step, most of the
   words must be the same.
5. One run may have several new steps. The surest one is settled first, and then counts as the old
   step when the others are looked at. Where two are about as sure, they are *contested*: more
   sessions must tell, since other kinds of sessions may have one of them in another place.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..steps import END, START, Row
from .wording import Wording, shared_words

# What a new step stands for: no old step, or nobody knows yet. Old steps are log keys from 0.
ADDED = -1
UNDECIDED = -2
# The share of a step's places that must speak for what it is taken to stand for.
_MOST = 0.5
# What one place says for an old step: training had all three in a row; it had both pairs, though
# never in one session; it had one pair, and on the other side stands another new step; or new steps
# stand on both sides, so that what these are has to be found first.
_ROW = 1.0
_PAIRS = 0.8
_ONE_SIDE = 0.4
_INSIDE = 0.2
# The share of normal sessions with the neighbours of a step that must have an old step, so that it
# can be missed where it is not.
_EXPECTED = 0.8
# Normal sessions that are looked at for that.
_MOST_SESSIONS = 20_000
# How much words in common count beside the place. Less than a place alone, since a new version may
# say something like an old step at quite another place.
_WORDS = 0.5
# How much it counts that a new step has the same neighbours as the old one, as often.
_AROUND = 0.3
# The share of words that a new step and an old one must have in common to be one step where only
# their words can tell.
_MOSTLY_ALIKE = 0.6
# Two new steps for one old one are contested where their scores differ by less.
_CLOSE = 0.15
# Steps in a row that are remembered of normal training. A bundle with more normal sessions is
# judged by pairs alone from there on.
_MOST_ROWS = 500_000


class Run(NamedTuple):
    """New steps in a row, by number, and the log keys of the known steps around them."""

    before: int
    steps: tuple[int, ...]
    behind: int


class _Context(NamedTuple):
    """The place of one step: its neighbours, and whether undecided steps lie between."""

    before: int
    behind: int
    is_open_before: bool
    is_open_behind: bool
    # How many undecided steps come before it in its run.
    nth: int
    times: int


# Takes a new step, old ones, and other new ones.
Lacking = Callable[[int, Sequence[int], Sequence[int]], float | None]
# Takes an old step.
_Lacks = Callable[[int], float | None]


class Replacing:
    """Finds what new steps stand for.

    `templates` are the bundle's, in the order of log keys, and `normal` the log keys of normal
    sessions. A bundle holds only some of these: one for all that have the same steps in another
    order. So `rows` gives every three steps that training had in a row, with `START` and `END`;
    where it gives None, those of `normal` are taken.
    """

    def __init__(
        self,
        templates: Sequence[str],
        normal: Iterable[Sequence[int]],
        rows: Callable[[], Iterable[Row] | None] = lambda: None,
    ) -> None:
        self.templates = templates
        self.wording = Wording(templates)
        self._normal = normal
        self._rows_of_training = rows
        # Worked out when it is first asked for: most services never see a deploy with their bundle.
        self._followers: dict[int, set[int]] | None = None
        self._leaders: dict[int, set[int]] = {}
        # How often each step has each other one before it, and behind it.
        self._befores: dict[int, Counter[int]] = {}
        self._behinds: dict[int, Counter[int]] = {}
        self._rows: set[tuple[int, int, int]] = set()
        self._sessions: list[frozenset[int]] = []
        self._shares: dict[tuple[int, int, int], float] = {}

    def stand_for(
        self,
        runs: Mapping[Run, int],
        texts: Mapping[int, str],
        known: Mapping[int, int],
        lacking: Lacking,
    ) -> tuple[dict[int, int], set[int]]:
        """For each new step of `texts` a log key, `ADDED` or `UNDECIDED`; and the contested ones.

        `runs` counts the runs that were seen, `known` is what was settled before. `lacking` gives
        the share of the sessions with a new step that lack all of some old ones, and all of some
        other new ones; None where none has ended.
        """
        self._learn()
        settled = dict(known)
        contested: set[int] = set()
        left = [number for number in sorted(texts) if number not in settled]
        while left:
            found = []
            for number in left:
                contexts = _contexts(number, runs, settled)
                lacks = self._lacks(number, settled, lacking)
                candidate = self._old_step(texts[number], contexts, lacks)
                if candidate is not None:
                    score, log_key = candidate
                    nth = min(context.nth for context in contexts)
                    found.append((score, -nth, -number, log_key))
            if not found:
                break
            score, _, number, log_key = max(found)
            settled[-number] = log_key
            left.remove(-number)
            family = self.siblings(log_key)
            close = {-one[2] for one in found if one[3] in family and one[0] > score - _CLOSE}
            if len(close) > 1:
                contested |= close
        for number in left:
            lacks = self._lacks(number, settled, lacking)
            settled[number] = self._added(_contexts(number, runs, settled), lacks)
        return {number: settled[number] for number in texts}, contested

    def by_words(self, number: int, text: str, runs: Mapping[Run, int]) -> int:
        """The old step that a new one stands for where no session has ended that could tell.

        It is one that nearly all normal sessions have with the neighbours of the new step, and
        that has most of its words; `ADDED` where there is none.
        """
        contexts = _contexts(number, runs, {})
        scores, _ = self._scores(contexts)
        found = [
            (shared_words(text, self.templates[log_key]), scores[log_key], log_key)
            for log_key in self._expected(contexts, scores)
        ]
        alike, _, log_key = max(found, default=(0.0, 0.0, ADDED))
        if alike < _MOSTLY_ALIKE:
            return ADDED
        return log_key

    def siblings(self, log_key: int) -> list[int]:
        """The log keys whose templates differ from this one's in one word at most, itself first."""
        return self.wording.siblings(log_key)

    def may_stand_for(self, number: int, runs: Mapping[Run, int]) -> set[int]:
        """The old steps that a new one may stand for by its places, which say no more yet."""
        self._learn()
        scores, _ = self._scores(_contexts(number, runs, {}))
        return {sibling for log_key in scores for sibling in self.siblings(log_key)}

    def _learn(self) -> None:
        if self._followers is not None:
            return
        self._followers = {}
        self._sessions = [
            frozenset(keys) for keys in itertools.islice(self._normal, _MOST_SESSIONS)
        ]
        rows = self._rows_of_training()
        if rows is None:
            rows = _rows_of(self._normal)
        for before, step, behind, times in rows:
            self._note_pair(before, step)
            self._note_pair(step, behind)
            self._befores.setdefault(step, Counter())[before] += times
            self._behinds.setdefault(step, Counter())[behind] += times
            if len(self._rows) < _MOST_ROWS:
                self._rows.add((before, step, behind))

    def _note_pair(self, before: int, behind: int) -> None:
        assert self._followers is not None, "BUG: noted before anything is learnt"
        self._followers.setdefault(before, set()).add(behind)
        self._leaders.setdefault(behind, set()).add(before)

    def _is_pair(self, before: int, behind: int) -> bool:
        assert self._followers is not None, "BUG: asked before it was learnt"
        return behind in self._followers.get(before, ())

    def _lacks(self, number: int, settled: Mapping[int, int], lacking: Lacking) -> _Lacks:
        """A function of an old step: the share of sessions with a new step that lack it."""

        def lacks(log_key: int) -> float | None:
            family = self.siblings(log_key)
            others = [other for other, key in settled.items() if key in family]
            return lacking(number, family, others)

        return lacks

    def _added(self, contexts: Sequence[_Context], lacks: _Lacks) -> int:
        """What a step is that replaces none: added, unless sessions must end to tell."""
        if self._share_without(contexts) < _MOST:
            return UNDECIDED
        expected = self._expected(contexts, self._scores(contexts)[0])
        if any(lacks(log_key) is None for log_key in expected):
            return UNDECIDED
        return ADDED

    def _share_without(self, contexts: Sequence[_Context]) -> float:
        """The share of places at which training had the neighbours next to each other."""
        total = sum(context.times for context in contexts)
        if not total:
            return 0.0
        fits = sum(c.times for c in contexts if self._is_pair(c.before, c.behind))
        return fits / total

    def _old_step(
        self, text: str, contexts: Sequence[_Context], lacks: _Lacks
    ) -> tuple[float, int] | None:
        """The old step that a new one replaces, with a score; None where it replaces none."""
        total = sum(context.times for context in contexts)
        scores, filled = self._scores(contexts)
        if not filled or filled < _MOST * total:
            return None
        if self._share_without(contexts) >= _MOST:
            expected = self._expected(contexts, scores)
            scores = {
                log_key: scores[log_key] for log_key in expected if (lacks(log_key) or 0.0) >= _MOST
            }
            if not scores:
                return None
        ranked = []
        for log_key, score in scores.items():
            words = _WORDS * shared_words(text, self.templates[log_key])
            around = _AROUND * self._alike(log_key, contexts)
            ranked.append((score / total + words + around, -log_key))
        best, log_key = max(ranked)
        return best, -log_key

    def _alike(self, log_key: int, contexts: Sequence[_Context]) -> float:
        """How alike the neighbours of a new step are to those that an old one has in training.

        0 to 1: they are of the same sorts, and as often.
        """
        family = self.siblings(log_key)
        befores: Counter[int] = Counter()
        behinds: Counter[int] = Counter()
        for context in contexts:
            befores[context.before] += context.times
            behinds[context.behind] += context.times
        old_befores: Counter[int] = Counter()
        old_behinds: Counter[int] = Counter()
        for key in family:
            old_befores.update(self._befores.get(key, {}))
            old_behinds.update(self._behinds.get(key, {}))
        return (_overlap(befores, old_befores) + _overlap(behinds, old_behinds)) / 2

    def _scores(self, contexts: Sequence[_Context]) -> tuple[dict[int, float], int]:
        """How well old steps fit into the places of a new one, and into how many any does."""
        scores: dict[int, float] = {}
        filled = 0
        for context in contexts:
            fits = self._fits(context)
            filled += context.times * bool(fits)
            for log_key, fit in fits.items():
                scores[log_key] = scores.get(log_key, 0.0) + fit * context.times
        return scores, filled

    def _expected(self, contexts: Sequence[_Context], log_keys: Iterable[int]) -> list[int]:
        """Those of some old steps that nearly all normal sessions have with these neighbours."""
        total = sum(context.times for context in contexts)
        found = []
        for log_key in log_keys:
            share = sum(
                self._share_with(context.before, context.behind, log_key) * context.times
                for context in contexts
            )
            if share >= _EXPECTED * total:
                found.append(log_key)
        return found

    def _share_with(self, before: int, behind: int, log_key: int) -> float:
        """Of the normal sessions with two steps, the share that has a third one, or a sibling."""
        known = self._shares.get((before, behind, log_key))
        if known is None:
            around = {step for step in (before, behind) if step >= 0}
            family = set(self.siblings(log_key))
            sessions = [steps for steps in self._sessions if around <= steps]
            having = sum(not family.isdisjoint(steps) for steps in sessions)
            known = having / max(1, len(sessions))
            self._shares[before, behind, log_key] = known
        return known

    def _fits(self, context: _Context) -> dict[int, float]:
        """Old steps that training had in this place, and how surely."""
        assert self._followers is not None, "BUG: asked before it was learnt"
        after = self._followers.get(context.before, set())
        ahead = self._leaders.get(context.behind, set())
        found: dict[int, float] = {}
        fit = _ONE_SIDE
        if context.is_open_before and context.is_open_behind:
            fit = _INSIDE
        if context.is_open_behind:
            found |= dict.fromkeys(after, fit)
        if context.is_open_before:
            found |= dict.fromkeys(ahead, fit)
        for log_key in after & ahead:
            fit = _PAIRS
            if (context.before, log_key, context.behind) in self._rows:
                fit = _ROW
            found[log_key] = fit
        # Lines of training that matched no template are steps without one, and so are both ends
        # of a session: nothing stands for those.
        known = range(len(self.templates))
        return {log_key: fit for log_key, fit in found.items() if log_key in known}


def _rows_of(sessions: Iterable[Sequence[int]]) -> Iterator[Row]:
    """All three steps in a row of some sessions."""
    for keys in sessions:
        row = (START, *keys, END)
        for before, step, behind in zip(row, row[1:], row[2:], strict=False):
            yield before, step, behind, 1


def _contexts(number: int, runs: Mapping[Run, int], settled: Mapping[int, int]) -> list[_Context]:
    """The places of a new step, where those that are settled count as what they stand for."""
    found = []
    for run, count in runs.items():
        befores = _neighbours(run.steps, number, run.before, settled)
        behinds = _neighbours(run.steps[::-1], number, run.behind, settled)
        for (before, open_before), (behind, open_behind) in zip(
            befores, reversed(behinds), strict=True
        ):
            found.append(
                _Context(before, behind, open_before > 0, open_behind > 0, open_before, count)
            )
    return found


def _neighbours(
    steps: Sequence[int], number: int, known: int, settled: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Of each place of a step: the nearest known step before it, and how many undecided ones lie
    between. In one pass, as a session may be nothing but new steps.

    >>> _neighbours([7, 8, 7], 7, 3, {8: 5})
    [(3, 0), (5, 0)]
    """
    found = []
    undecided = 0
    for step in steps:
        if step == number:
            found.append((known, undecided))
        log_key = settled.get(step, UNDECIDED)
        if log_key >= 0:
            known = log_key
            undecided = 0
        elif log_key == UNDECIDED:
            undecided += 1
    return found


def _overlap(one: Counter[int], other: Counter[int]) -> float:
    """The share that two distributions have in common."""
    total = one.total()
    others = other.total()
    if not total or not others:
        return 0.0
    return sum(min(count / total, other[key] / others) for key, count in one.items())
