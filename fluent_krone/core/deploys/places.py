"""Where new steps stand in their sessions, and what they are found to stand for by that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...reading.newforms import NewForms
from .newsteps import NewStep
from .replacing import UNDECIDED, Replacing, Run

# What a message stands for that is passed over. No log key is negative.
PASSED = -1
# Places of a step that must be known before it is decided what it stands for; fewer are enough
# when its time to wait is over. Where nothing is clear after this many, it is passed over.
_PLACES = 5
_PLACES_AFTER_TIME = 3
_UNCLEAR_PLACES = 25
# Places that must be known where several new steps may be one old one.
_CONTESTED_PLACES = 15
# Distinct runs that are remembered while they are undecided.
_MOST_RUNS = 2_000


class Places:
    """Notes the places of the new steps in `steps`, which it shares with `Changes`.

    `unknown` is the log key behind those of the bundle's templates, and new steps have those behind
    that one.
    """

    def __init__(
        self,
        steps: dict[int, NewStep],
        forms: NewForms,
        replacing: Replacing,
        unknown: int,
        settle_ns: int,
    ) -> None:
        self.replacing = replacing
        self._steps = steps
        self._forms = forms
        self._unknown = unknown
        self._settle_ns = settle_ns
        self._runs: Counter[Run] = Counter()
        self._meant: dict[int, int] | None = None
        self._contested: set[int] = set()
        # Asked for each event of a step that waits, and worked out anew when there is a new run.
        self._may_stand_for: dict[int, Collection[int]] = {}

    def note_run(self, before: int, numbers: Sequence[int], behind: int, clock: int) -> bool:
        """New steps stand between two known ones; whether it is clear now what some of them are."""
        run = Run(before, tuple(numbers), behind)
        states = {self._steps[number].state for number in numbers if number in self._steps}
        if self._unknown in (before, behind) or "waiting" not in states:
            return False
        if run not in self._runs and len(self._runs) >= _MOST_RUNS:
            return False
        if run not in self._runs:
            self._may_stand_for.clear()
        self._runs[run] += 1
        self._meant = None
        for number in set(numbers):
            if number in self._steps:
                self._steps[number].places += 1
        return self._decide(numbers, clock)

    def note_end(self, numbers: Sequence[int], log_keys: Sequence[int], clock: int) -> bool:
        """A session with new steps has ended; whether it is clear now what some of them are."""
        own = {self._unknown + 1 + number for number in numbers}
        known = {log_key for log_key in log_keys if log_key < self._unknown} | own
        for number in numbers:
            step = self._steps.get(number)
            if step is not None and step.state == "waiting":
                step.ended += 1
                for log_key in known:
                    step.present[log_key] = step.present.get(log_key, 0) + 1
        self._meant = None
        return self._decide(numbers, clock)

    def key_of(self, step: NewStep, message: bytes = b"") -> int:
        """The old step that a message of a step stands for, or `PASSED`; the step is settled."""
        if step.state != "renamed":
            return PASSED
        if len(step.log_keys) == 1 or not message:
            return step.log_keys[0]
        return self.replacing.wording.nearest(message.decode("utf-8", "replace"), step.log_keys)

    def meanings(self) -> Mapping[int, int]:
        """What the waiting steps of changes stand for, where it is known by now."""
        if self._meant is None:
            waiting = {
                number: self._forms.text(number)
                for number, step in self._steps.items()
                if step.state == "waiting" and step.change
            }
            known = {
                number: self.key_of(step)
                for number, step in self._steps.items()
                if step.state in ("added", "renamed")
            }
            self._meant, self._contested = self.replacing.stand_for(
                self._runs, waiting, known, self._lacking
            )
        return self._meant

    def may_stand_for(self, number: int) -> Collection[int]:
        """The old steps that a waiting one may stand for, judged by its known places."""
        found = self._may_stand_for.get(number)
        if found is None:
            found = self.replacing.may_stand_for(number, self._runs)
            self._may_stand_for[number] = found
        return found

    def is_reworded(self, step: NewStep) -> bool:
        """Whether a step that waits is an old one but for one plain word, and stands in its place.

        Only the places that are known so far count, in any order that training had.
        """
        old = self.replacing.wording.says_otherwise(self._forms.text(step.number))
        return old is not None and old in self.may_stand_for(step.number)

    def is_other_status(self, step: NewStep) -> bool:
        """Whether a step is an old one with another status, such as `DENY` in place of `OK`."""
        return self.replacing.wording.is_other_status(self._forms.text(step.number))

    def forget(self) -> None:
        """Steps have changed: forget runs in which none is undecided any more."""
        self._meant = None
        self._may_stand_for.clear()
        for run in list(self._runs):
            states = [self._steps[n].state for n in run.steps if n in self._steps]
            if "waiting" not in states:
                del self._runs[run]

    def merge(self, number: int, part: NewStep, into: int) -> None:
        """A step turned out to be a part of another one: the places of both are that one's.

        `number` is what it was known by, and `part` what was known of it.
        """
        runs = self._runs
        self._runs = Counter()
        for run, count in runs.items():
            steps = tuple(into if step == number else step for step in run.steps)
            self._runs[Run(run.before, steps, run.behind)] += count
        whole = self._steps[into]
        whole.places += part.places
        whole.ended += part.ended
        for log_key, count in part.present.items():
            whole.present[log_key] = whole.present.get(log_key, 0) + count
        log_key = self._unknown + 1 + number
        into_key = self._unknown + 1 + into
        for step in self._steps.values():
            if log_key in step.present:
                # A session that had both counts twice, but no more sessions have ended than these.
                both = step.present.pop(log_key) + step.present.get(into_key, 0)
                step.present[into_key] = min(both, step.ended)

    def save(self) -> list[list[Any]]:
        """What a snapshot holds of it."""
        return [[*run, count] for run, count in self._runs.items()]

    def load(self, saved: Sequence[Sequence[Any]], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; `log_keys` are ours by those of the snapshot."""
        self._meant = None
        self._may_stand_for.clear()
        self._runs = Counter()
        for before, steps, behind, count in saved:
            known = [key if key < 0 else log_keys[key] for key in (before, behind)]
            if self._unknown not in known:
                self._runs[Run(known[0], tuple(steps), known[1])] += count

    def _decide(self, numbers: Sequence[int], clock: int) -> bool:
        """Settle those steps of a change whose places tell what they stand for."""
        settled = False
        for number in dict.fromkeys(numbers):
            step = self._steps.get(number)
            if step is None or step.state != "waiting" or not step.change:
                continue
            is_over = step.first_ns + self._settle_ns <= clock
            if step.places < _PLACES and not (is_over and step.places >= _PLACES_AFTER_TIME):
                continue
            log_key = self.meanings().get(number, UNDECIDED)
            if log_key == UNDECIDED and step.places < _UNCLEAR_PLACES:
                continue
            if number in self._contested and step.places < _CONTESTED_PLACES:
                continue
            if log_key == UNDECIDED:
                log_key = self.replacing.by_words(number, self._forms.text(number), self._runs)
            settled = True
            step.present = {}
            step.state = "added"
            if log_key >= 0:
                step.state = "renamed"
                step.log_keys = self.replacing.siblings(log_key)
        if settled:
            self.forget()
        return settled

    def _lacking(self, number: int, log_keys: Sequence[int], others: Sequence[int]) -> float | None:
        """The share of ended sessions with a new step that have neither log keys nor new steps."""
        step = self._steps[number]
        if not step.ended:
            return None
        having = sum(step.present.get(log_key, 0) for log_key in log_keys)
        having += sum(step.present.get(self._unknown + 1 + other, 0) for other in others)
        return 1 - min(having / step.ended, 1.0)
