"""All witnesses of single steps under one budget: what they say as deviations, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from ..core.hierarchy import Hierarchy
from ..core.steps import ANY_GAP_NS, END, NEVER_NS, Limit, Row, Situation, SoFar, StepJudge
from ..types import Deviation, Level, Witness
from .budget import DECIMALS, Budget
from .measures import as_time
from .next_step import Context
from .order import COUNTING, View
from .proportions import ANY, GAP
from .situations import Situations
from .step_words import Said, StepWords
from .values import Known, KnownSet
from .witnesses import StepWitnesses

# Seconds below which two events are taken to have the same time: clocks of logs are coarse.
_SAME_TIME = 0.0005
_NS = 1_000_000_000
# Places that are remembered, about 200 bytes each.
_MOST_USUAL = 50_000
# The level of the tree that a score of the order speaks of; any other speaks of the status.
_LEVEL_OF: Mapping[str, Level] = {"order.session": "entity", "order.entity": "action"}
# Views that count steps of a session; a view that says more of one step is reported instead.
_COUNTING = tuple(f"order.{view}" for view in COUNTING)
# Views that look back over several steps, so that the step before may be what is odd.
_LOOKING_BACK = ("order.recent", "order.progress")
# How a sentence names the levels of `reading/levels.py`, by rank.
_LEVEL_NAMES = {5: "a warning", 6: "an error", 7: "critical", 8: "fatal"}
# A value in an alert is cut after this many characters.
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True)
class _Oddity:
    """The strongest of several scores: how many times its threshold."""

    name: str
    score: float
    threshold: float


class Steps(StepJudge):
    """Judges the steps of sessions by their witnesses; `thresholds` are the budget's.

    A witness without a threshold says nothing.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        witnesses: StepWitnesses,
        budget: Budget,
        thresholds: Mapping[str, float],
    ) -> None:
        self._of = witnesses
        self.order = witnesses.order
        self.times = witnesses.times
        self.values = witnesses.values
        self.waits = witnesses.waits
        words = StepWords(hierarchy, witnesses.order)
        self._step = words.step
        self._span = words.span
        self._out_of_order = words.out_of_order
        self._early_end = words.early_end
        self._budget = budget
        self._thresholds = thresholds
        # By transition: there are no more of them than log keys, squared.
        self._limits: dict[tuple[int, int], tuple[int, int]] = {}
        # By the last steps of a session: how long the next one may take.
        self._wait_after = lru_cache(_MOST_USUAL)(self._wait_ns)
        self._situations = Situations(hierarchy, self._situation)
        # Places that are no deviation: sessions that ran differently have most of them in common.
        self._usual: set[Context] = set()
        names = ((view, f"order.{view}") for view in self.order.views)
        self._views = [(view, name, thresholds[name]) for view, name in names if name in thresholds]
        self._before_threshold = thresholds.get("order.before", math.inf)
        self._progress_threshold = thresholds.get("order.progress", math.inf)
        value_threshold = thresholds.get("values", math.inf)
        # Bundles of earlier versions have one threshold for both.
        self._value_thresholds = {
            "values": value_threshold,
            "values.range": thresholds.get("values.range", value_threshold),
        }

    def seen(self, log_key: int) -> tuple[int, int]:
        return self.order.seen(log_key)

    def rows(self) -> Iterator[Row]:
        return self.order.rows()

    def begin(self) -> Situation:
        return self._situations.start

    def after(
        self, before: Situation, keys: Sequence[int]
    ) -> tuple[Situation, tuple[Deviation, ...]]:
        odd, is_usual = self._judged(keys, before.memory.sums)
        return self._situations.after(before, keys, is_usual=is_usual), odd

    def _situation(self, before: SoFar, keys: Sequence[int]) -> tuple[SoFar, int, tuple[int, int]]:
        """What has come so far, how long the next step may take, and how long the last one."""
        sums = before
        if self.order.progress is not None:
            sums = self.order.progress.with_last(before, keys)
        limits_ns = ANY_GAP_NS
        if len(keys) > 1:
            limits_ns = self.limits_ns(keys[-2], keys[-1])
        return sums, self.wait_ns(keys), limits_ns

    def at_step(self, keys: Sequence[int]) -> tuple[Deviation, ...]:
        """What is odd about the order of the last of `keys`."""
        return self._judged(keys)[0]

    def _judged(
        self, keys: Sequence[int], before: SoFar | None = None
    ) -> tuple[tuple[Deviation, ...], bool]:
        """The same, and whether nothing is odd about it in any session in the same situation."""
        at = len(keys) - 1
        order = self.order
        place = order.place(keys, at)
        is_usual = (
            place in self._usual
            and order.so_far(keys, at, before) <= self._progress_threshold
            and order.before(keys, at) <= self._before_threshold
        )
        if is_usual:
            return (), True
        scores = order.scores(keys, at)
        found = self._oddest(scores)
        if found is None:
            # What is new further back counts only where the step is new after those before it.
            is_usual = not any(scores.get(view) for view in COUNTING)
            if is_usual:
                self._note_usual(place)
            return (), is_usual
        direction = "unexpected"
        view = found.name
        if view in _COUNTING or view in _LOOKING_BACK:
            # A step too many makes the steps after it new as well: the first is what is odd.
            first = self.order.first_of_new(keys, at)
            if first < at and view in _LOOKING_BACK:
                view = "order.recent"
            at = first
        said = self._out_of_order(keys, at, view)
        if at == 0:
            direction = "unexpected_start"
        odd = self._order(found, direction, at, keys[at], said)
        if view == "order.before":
            rule = self.order.precedence.broken(keys, at)
            if rule is not None:
                odd = replace(odd, behind=rule.other)
        return (odd,), False

    def _note_usual(self, place: Context) -> None:
        if len(self._usual) >= _MOST_USUAL:
            self._usual.clear()
        self._usual.add(place)

    def at_end(self, keys: Sequence[int]) -> tuple[Deviation, ...]:
        if not keys:
            return ()
        found = self._oddest(self.order.end_scores(keys))
        if found is None:
            return ()
        last = len(keys) - 1
        said = self._early_end(keys, found.name)
        return (self._order(found, "early_end", last, keys[-1], said),)

    def limits_ns(self, before: int, step: int) -> tuple[int, int]:
        found = self._limits.get((before, step))
        if found is None:
            found = (-NEVER_NS, NEVER_NS)
            if (threshold := self._thresholds.get("time")) is not None:
                found = self.times.limits_ns(before, step, threshold)
            self._limits[before, step] = found
        return found

    def gap(self, keys: Sequence[int], gap_ns: int) -> Deviation | None:
        threshold = self._thresholds.get("time")
        if threshold is None or len(keys) < 2:
            return None
        shortest_ns, longest_ns = self.limits_ns(keys[-2], keys[-1])
        if shortest_ns <= gap_ns <= longest_ns:
            return None
        found = self.times.range_between(keys[-2], keys[-1])
        if found is None:
            return None
        direction = "slow"
        came = "came"
        median = as_time(found.median)
        usually = f"Normally it takes {median}, and at most {as_time(found.high_end())}"
        if found.high_end() < _SAME_TIME:
            usually = "They come at the same time"
        elif found.median < _SAME_TIME:
            usually = f"They come at the same time, or within {as_time(found.high_end())},"
        if gap_ns < shortest_ns:
            direction = "fast"
            usually = f"Normally it takes {median}, and at least {as_time(found.low_end())}"
            came = "came only"
        where = ""
        if self.times.is_of_any(keys[-2], keys[-1]):
            where = ", after any of the steps that it follows rarely"
        before = self._step(keys[-2])
        when = f"{came} {as_time(gap_ns / _NS)} after {before}"
        if gap_ns < 0:
            # The clock of another host differs, or a line was written late.
            when = f"followed {before}, but its time is {as_time(-gap_ns / _NS)} earlier"
        words = (
            f"{self._step(keys[-1])} {when}. "
            f"{usually} in nearly all of {found.count:,} normal cases{where}."
        )
        score = max(self.times.score(keys[-2], keys[-1], gap_ns), threshold)
        odd = _Oddity("time", score, threshold)
        last = len(keys) - 1
        said = Said(words, (last, last - 1))
        deviation = self._deviation("time", direction, "status", last, keys[-1], odd, said)
        if direction == "fast":
            return deviation
        return replace(deviation, beyond=found.beyond(gap_ns / _NS))

    def wait_ns(self, keys: Sequence[int]) -> int:
        return self._wait_after(self.order.last_steps(keys)) if keys else NEVER_NS

    def _wait_ns(self, last: Context) -> int:
        threshold = self._thresholds.get("time.wait")
        if threshold is None or round(self.order.end_surprise(last), DECIMALS) <= threshold:
            return NEVER_NS
        return self.waits.limit_ns(last[-1], threshold)

    def wait_score(self, keys: Sequence[int], waited_ns: int) -> float:
        if not self.waits.after:
            # Training had no times: nobody knows how long sessions wait.
            return math.inf
        return self.waits.score(keys[-1], waited_ns)

    @property
    def silence_ns(self) -> int:
        if "time.wait" not in self._thresholds:
            return 0
        return self.waits.silence_ns

    @cached_property
    def has_fractions(self) -> bool:
        # Any of them may tell: the unit of long gaps is a share of them, however fine times were.
        ranges = self.times.steps or self.times.actions
        return any(found.unit < 1 for found in ranges.values())

    def hanging(self, keys: Sequence[int]) -> Deviation:
        threshold = self._thresholds["time.wait"]
        found = self.waits.after[keys[-1]]
        limit_s = self.waits.limit_ns(keys[-1], threshold) / _NS
        ends = self.order.follows(keys[-1], END)
        words = (
            f"Nothing has followed {self._step(keys[-1])} for more than {as_time(limit_s)}. In "
            f"nearly all of {found.count:,} normal cases the next step came within "
            f"{as_time(found.high_end())}. "
        )
        if ends.times:
            words += f"Only {ends.times:,} of {ends.total:,} normal sessions ended there."
        else:
            words += "No normal session ended there."
        # The score at the limit: how long it lasts in the end is not known yet.
        odd = _Oddity("time.wait", threshold, threshold)
        last = len(keys) - 1
        said = Said(words, (last,))
        return self._deviation("time", "stuck", "status", last, keys[-1], odd, said)

    def spans(self, keys: Sequence[int]) -> tuple[Limit, ...]:
        threshold = self._thresholds.get("time.seq")
        if threshold is None:
            return ()
        return self._of.durations.limits(keys, threshold)

    def long(self, keys: Sequence[int], limit: Limit, duration_ns: int, event: int) -> Deviation:
        threshold = self._thresholds["time.seq"]
        start, end, _ = limit
        span = next(s for s in self._of.durations.spans(keys) if (s.start, s.end) == (start, end))
        which = f"step {event - start + 1} of them"
        if event == end - 1:
            which = "the last one"
        words = (
            f"{end - start} steps of {self._span(keys, span)} in a row took "
            f"{as_time(duration_ns / _NS)}, most of it before {which}, {self._step(keys[event])}. "
            f"Normally they take {as_time(span.range.median)}, and at most "
            f"{as_time(span.range.high_end())} in nearly all of {span.range.count:,} cases."
        )
        odd = _Oddity("time.seq", max(span.score(duration_ns), threshold), threshold)
        said = Said(words, (event,))
        return self._deviation("time", "long", span.level, event, keys[event], odd, said)

    @property
    def watched(self) -> frozenset[int]:
        watched: frozenset[int] = frozenset()
        if min(self._value_thresholds.values()) < math.inf:
            watched |= frozenset(self.values.by_key)
        watched |= self.compared
        if self.has_levels:
            watched |= frozenset(self._of.levels.seen)
        return watched

    @property
    def compared(self) -> frozenset[int]:
        if "proportion" not in self._thresholds:
            return frozenset()
        return frozenset(self._of.proportions.by_key)

    @property
    def has_levels(self) -> bool:
        return "levels" in self._thresholds and bool(self._of.levels.seen)

    def is_too_severe(self, log_key: int, rank: int) -> bool:
        return round(self._of.levels.score(log_key, rank), DECIMALS) > self._thresholds["levels"]

    def is_odd(self, log_key: int, slot: int, value: bytes) -> bool:
        return self._value_oddity(self.values.slots[log_key, slot], value) is not None

    def _value_oddity(self, known: Known, value: bytes) -> _Oddity | None:
        name = known.score_name(value)
        score = known.score(value)
        threshold = self._value_thresholds[name]
        if round(score, DECIMALS) <= threshold:
            return None
        return _Oddity(name, score, threshold)

    def judged_part(self, log_key: int, slot: int, value: bytes) -> bytes:
        known = self.values.slots[log_key, slot]
        if isinstance(known, KnownSet):
            return known.judged_part(value)
        return value

    def slots(self, log_key: int) -> Sequence[int]:
        return [slot for slot, _ in self.values.by_key.get(log_key, ())]

    def value(self, keys: Sequence[int], values: Sequence[bytes]) -> Deviation | None:
        found: tuple[_Oddity, int, Known] | None = None
        for slot, known in self.values.by_key.get(keys[-1], ()):
            if slot < len(values):
                odd = self._value_oddity(known, values[slot])
                if odd is not None and (found is None or odd.score > found[0].score):
                    found = (odd, slot, known)
        if found is None:
            return None
        odd, slot, known = found
        value = values[slot].decode("utf-8", "replace")[:_LONGEST_VALUE]
        direction, told, usual = known.told(values[slot])
        detail = f"{slot} {told}"
        words = f"Unusual value “{value}” in {self._step(keys[-1])}. {usual}."
        last = len(keys) - 1
        said = Said(words, (last,))
        return self._deviation("values", direction, "status", last, keys[-1], odd, said, detail)

    def proportion(
        self, keys: Sequence[int], gap_ns: int, values: Sequence[bytes]
    ) -> Deviation | None:
        threshold = self._thresholds.get("proportion", math.inf)
        before = keys[-2] if len(keys) > 1 else ANY
        found = self._of.proportions.found(before, keys[-1], gap_ns, values)
        most = max(found, key=lambda one: one.score, default=None)
        if most is None or round(most.score, DECIMALS) <= threshold:
            return None
        last = len(keys) - 1
        odd = _Oddity("proportion", most.score, threshold)
        if most.of.judged == GAP:
            direction, detail, words = most.gap_told(self._step(keys[-1]), self._step(keys[-2]))
            said = Said(words, (last, last - 1))
            return self._deviation("time", direction, "status", last, keys[-1], odd, said, detail)
        value = values[most.of.judged].decode("utf-8", "replace")[:_LONGEST_VALUE]
        direction, detail, usual = most.value_told()
        said = Said(f"Unusual value “{value}” in {self._step(keys[-1])}. {usual}.", (last,))
        return self._deviation("values", direction, "status", last, keys[-1], odd, said, detail)

    def fitting_gap(self, keys: Sequence[int], gap_ns: int, values: Sequence[bytes]) -> int:
        return self._of.proportions.fitting_gap(keys[-2], keys[-1], gap_ns, values)

    def severity(self, keys: Sequence[int], rank: int) -> Deviation | None:
        threshold = self._thresholds.get("levels")
        score = self._of.levels.score(keys[-1], rank)
        if threshold is None or round(score, DECIMALS) <= threshold:
            return None
        events = self._of.levels.seen[keys[-1]][1]
        words = (
            f"{self._step(keys[-1])} was logged as {_LEVEL_NAMES.get(rank, 'a severe event')}: a "
            f"higher level than in any of {events:,} normal cases."
        )
        odd = _Oddity("levels", score, threshold)
        last = len(keys) - 1
        said = Said(words, (last,))
        return self._deviation("levels", "severe", "status", last, keys[-1], odd, said, str(rank))

    def _oddest(self, scores: Mapping[View, float]) -> _Oddity | None:
        found: _Oddity | None = None
        for view, name, threshold in self._views:
            score = scores.get(view, 0.0)
            if round(score, DECIMALS) <= threshold:
                continue
            if found is None or found.name in _COUNTING:
                found = _Oddity(name, score, threshold)
        return found

    def _order(
        self, odd: _Oddity, direction: str, event: int, log_key: int, said: Said
    ) -> Deviation:
        level = _LEVEL_OF.get(odd.name, "status")
        return self._deviation("order", direction, level, event, log_key, odd, said)

    def _deviation(
        self,
        witness: Witness,
        direction: str,
        level: Level,
        event: int,
        log_key: int,
        odd: _Oddity,
        said: Said,
        detail: str = "",
    ) -> Deviation:
        return Deviation(
            witness=witness,
            direction=direction,
            level=level,
            event=event,
            log_key=log_key,
            score=round(odd.score, DECIMALS),
            threshold=odd.threshold,
            p_value=self._budget.p_value(odd.name, round(odd.score, DECIMALS)),
            words=said.words,
            detail=detail,
            named=said.named,
        )
