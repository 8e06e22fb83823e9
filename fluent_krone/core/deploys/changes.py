"""What becomes of messages that the bundle does not know: one change, or many odd lines.

How a deploy is distinguished from an odd line:

1. A message that speaks of an error is never part of a change, and is judged as unknown at once.
2. Any other one gets a template (`reading/newforms.py`), and *waits* for at most `settle`, or for
   twice as long where it spreads. Sessions that end meanwhile are held, and judged when it is known
   what the message is.
3. If several sessions have it, or have others that are as new, a *change* has begun
   (`spreading.py`). So it has at the first such message under a version label that is as new.
4. Steps of a change are renamed or added: `replacing.py` decides, after a few sessions. A renamed
   step is judged as the old one; an added one is passed over, so that sessions are judged without
   it. For a time, further new steps join the change as they come. A message that is an old one
   but for one word may have a wrong value instead: it joins only once it spreads, and never where
   that word is a status.
5. What belongs to no change when its time is over is *odd*: it is judged as before, and its first
   line is reported. If it spreads later, it is a change after all.

Nothing here depends on how records are cut into chunks: whoever calls `key_of` or `note_run` has
first judged all sessions that ended before, and called `fire` for all that was due (`settling.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...reading.levels import LevelReader
from ...reading.newforms import NO_FORM, NUMBERS, NewForms
from ...reading.records import SessionKey
from ..steps import NEVER_NS
from .newsteps import Change, FirstSeen, NewStep, speaks_of_error, step_of_row
from .open_changes import Fired, OpenChanges
from .places import PASSED, Places
from .replacing import Replacing
from .spreading import Spreading
from .versions import Versions

_NS = 1_000_000_000
# Log keys are 16 bits, and new steps have those behind the bundle's: a bundle with more templates
# leaves no room for them.
MOST_LOG_KEYS = 2**16 - NUMBERS
# When there is no room for another step, those are forgotten that have not come for so long: odd
# ones, and those of changes, which a new bundle should know by then.
_OLD_ODD_NS = 3600 * _NS
_OLD_NS = 7 * 24 * 3600 * _NS
# How exactly it is remembered when a step came last: what is saved should not change with each.
_LAST_NS = 600 * _NS
# Values of the version label that a change remembers.
_MOST_VALUES = 10


class Meaning(NamedTuple):
    """What a new message stands for, and whether its session counts as one of a change.

    Of a session that waits, that is known only at its end.
    """

    log_key: int
    is_changed: bool


class Changes:
    """The new steps of one stream. `settle` is in seconds of stream time.

    `unknown` is the log key of messages without a template; new steps have those behind it.
    """

    def __init__(
        self,
        *,
        settle: float,
        unknown: int,
        forms: NewForms,
        levels: LevelReader,
        versions: Versions,
        replacing: Replacing,
    ) -> None:
        self.versions = versions
        # Sessions that have begun.
        self.begun = 0
        # Whether `save` would return something else than last time.
        self.is_dirty = False
        # The next moment at which there is something to do; None: it has to be found.
        self._due_ns: int | None = None
        # The last moment at which `fire` was called, and that at which room was made.
        self._fired_ns = 0
        self._cleared_ns = 0
        # Whether changes are looked for at all.
        self.is_on = settle > 0 and unknown < MOST_LOG_KEYS
        self._settle_ns = int(settle * _NS)
        self._unknown = unknown
        self._forms = forms
        self._levels = levels
        self._steps: dict[int, NewStep] = {}
        self._places = Places(self._steps, forms, replacing, unknown, self._settle_ns)
        self._open = OpenChanges(self._steps, forms, self._places, versions, self._settle_ns)
        self._spreading = Spreading(
            self._steps, self._open, versions, self._settle_ns, self._places
        )
        self.counters = self._open.counters
        # Text → the old template that it replaces, or an empty text.
        self._accepted: dict[str, str] = {}

    # --- events ------------------------------------------------------------------------------

    def key_of(
        self, session: SessionKey, tag: bytes, message: bytes, record: Any, clock: int
    ) -> Meaning:
        """What a message stands for that the bundle does not know, at stream time `clock`.

        Its log key is that of an old step, that of a new one (above `unknown`), `unknown`, or
        `PASSED`.
        """
        number = NO_FORM
        is_error = speaks_of_error(message, self._levels.rank(record))
        if message:
            number = self._forms.number(message, only_known=is_error)
            if self._forms.folded:
                self._merge()
        step = self._steps.get(number)
        if step is not None and step.accepted:
            return Meaning(self._places.key_of(step, message), is_changed=False)
        if number == NO_FORM or is_error:
            if message and not is_error:
                self._make_room(clock)
            return Meaning(self._unknown, is_changed=False)
        if step is None:
            step = self._begin(number, clock)
        elif clock - step.last_ns > _LAST_NS:
            step.last_ns = clock
            self.is_dirty = True
        if step.state in ("added", "renamed"):
            is_changed = not self._open.is_accepted(step)
            return Meaning(self._places.key_of(step, message), is_changed)
        version = self.versions.look(record, clock)
        change = self._open.of(step)
        if change is None:
            change = self._look_for_change(step, session, version, clock)
        if change is not None:
            change.tag = change.tag or tag
            if version is not None and len(change.values) < _MOST_VALUES:
                change.values[version] += 1
                self.is_dirty = True
        if step.state == "odd":
            return Meaning(self._unknown, is_changed=False)
        return Meaning(self._unknown + 1 + number, is_changed=False)

    def note_first(self, log_key: int, first: FirstSeen) -> None:
        """The first event of a new step, unless another one was."""
        step = self._steps.get(self._number(log_key))
        if step is not None and step.first is None:
            step.first = first
            self.is_dirty = True

    def may_stand_for(self, log_key: int) -> Collection[int]:
        """The log keys of the bundle that a new step may stand for while it is not identified."""
        return self._places.may_stand_for(self._number(log_key))

    # --- sessions ----------------------------------------------------------------------------

    def note_run(self, before: int, log_keys: Sequence[int], behind: int, clock: int) -> bool:
        """New steps stand between two known ones; whether it is clear now what some of them are."""
        numbers = [self._number(log_key) for log_key in log_keys]
        is_clear = self._places.note_run(before, numbers, behind, clock)
        self._note(is_clear)
        return is_clear

    def note_end(self, log_keys: Sequence[int], clock: int) -> bool:
        """A session with new steps has ended; whether it is clear now what some of them are."""
        new = {self._number(log_key) for log_key in log_keys if log_key > self._unknown}
        is_clear = self._places.note_end(sorted(new), log_keys, clock)
        self._note(is_clear)
        return is_clear

    def settles_at(self, log_keys: Iterable[int]) -> int:
        """The stream time at which it is known what all new steps of a session are; 0: it is."""
        latest = 0
        for log_key in log_keys:
            if log_key > self._unknown:
                step = self._steps.get(self._number(log_key))
                if step is not None and step.state == "waiting":
                    latest = max(latest, self._spreading.until_ns(step))
        return latest

    def read_as(self, log_key: int, message: bytes) -> int:
        """What a log key of a new step stands for: a log key of the bundle, or `PASSED`."""
        if log_key <= self._unknown:
            return log_key
        number = self._number(log_key)
        step = self._steps.get(number)
        if step is None or step.state == "odd":
            return self._unknown
        if step.state == "waiting":
            if not step.change:
                return self._unknown
            return max(self._places.meanings().get(number, PASSED), PASSED)
        return self._places.key_of(step, message)

    def is_of_change(self, log_key: int) -> bool:
        """Whether a log key of a session is that of a new step which belongs to a change."""
        if log_key <= self._unknown:
            return False
        step = self._steps.get(self._number(log_key))
        return step is not None and step.change > 0 and not self._open.is_accepted(step)

    def count(self, is_abnormal: bool) -> None:
        """A session with steps of a change has ended."""
        self._open.count(is_abnormal)
        self.is_dirty = True

    # --- time --------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        """The next stream time at which `fire` has something to do."""
        if self._due_ns is None:
            waiting = [step for step in self._steps.values() if step.state == "waiting"]
            given_up = [at for at in map(self._spreading.until_ns, waiting) if at > self._fired_ns]
            self._due_ns = min((*self._open.due(), *given_up), default=NEVER_NS)
        return self._due_ns

    def fire(self, at_ns: int) -> list[Fired]:
        """Do what is due at the stream time `at_ns`, which is `due_ns`."""
        self._fired_ns = at_ns
        found = self._give_up(at_ns, at_ns)
        found += self._open.fire(at_ns)
        self._touch()
        return found

    def finish(self, at_ns: int) -> list[Fired]:
        """The end of the input: what waits is odd, and what was not reported is reported."""
        found = self._give_up(NEVER_NS, at_ns)
        found += self._open.finish(at_ns)
        self._touch()
        return found

    # --- persons -----------------------------------------------------------------------------

    def accept(self, accepted: Mapping[str, str], names: Collection[str] = ()) -> None:
        """Make templates normal, and those that no longer are accepted new again.

        `accepted` has by the text of each the old template that it replaces, or an empty text.
        `names` are those of changes that are accepted with all that still joins them.
        """
        self._open.accepted = frozenset(names)
        if accepted == self._accepted:
            return
        gone = [text for text in self._accepted if text not in accepted]
        self._accepted = dict(accepted)
        self._forget([self._forms.find(text) for text in gone])
        for text, old in accepted.items():
            number = self._forms.add(text)
            if number == NO_FORM:
                self.counters["new_steps_over_cap"] += 1
                continue
            step = self._steps.get(number)
            if step is None:
                step = self._steps[number] = NewStep(number, 0, 0)
            step.accepted = True
            step.state = "added"
            replacing = self._places.replacing
            if old in replacing.templates:
                step.state = "renamed"
                step.log_keys = replacing.siblings(replacing.templates.index(old))
        self._touch()

    @property
    def open(self) -> int:
        """How many changes are open."""
        return len(self._open)

    @property
    def renamed(self) -> int:
        """How many new steps are judged as old ones."""
        return sum(step.state == "renamed" for step in self._steps.values())

    # --- what is saved -----------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        return {
            "forms": self._forms.save(),
            "steps": [step.save() for step in self._steps.values()],
            "open": self._open.save(),
            "runs": self._places.save(),
            "accepted": self._accepted,
            "fired": self._fired_ns,
        }

    def load(self, saved: Mapping[str, Any], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; `log_keys` are ours by those of the snapshot."""
        self._forms.load(saved["forms"])
        self._steps.clear()
        for row in saved["steps"]:
            step = step_of_row(row)
            self._steps[step.number] = step
            if step.state == "renamed":
                step.log_keys = [log_keys[key] for key in step.log_keys]
            step.present = {log_keys[key]: count for key, count in step.present.items()}
            if step.state == "renamed" and self._unknown in step.log_keys:
                # The bundle of now lacks the old step: what replaces it is passed over.
                step.state = "added"
        self._open.load(saved["open"])
        self._places.load(saved["runs"], log_keys)
        self._accepted = dict(saved["accepted"])
        self._fired_ns = saved["fired"]
        self._touch()

    # --- within ------------------------------------------------------------------------------

    def _touch(self) -> None:
        """Steps or changes have changed."""
        self.is_dirty = True
        self._places.forget()
        self._due_ns = None

    def _note(self, is_clear: bool) -> None:
        """Something was noted of steps; with `is_clear`, some of them are settled now."""
        self.is_dirty = True
        if is_clear:
            self._due_ns = None

    def _give_up(self, until_ns: int, at_ns: int) -> list[Fired]:
        """Steps that wait until `until_ns` at most, and belong to no change, are odd."""
        found = []
        for step in self._steps.values():
            if step.state != "waiting" or step.change:
                continue
            if self._spreading.until_ns(step) <= until_ns:
                step.state = "odd"
                found.append(Fired(at_ns, odd=replace(step)))
                if step.first is not None:
                    step.first = replace(step.first, line=b"")
        return found

    def _number(self, log_key: int) -> int:
        return self._forms.whole(log_key - self._unknown - 1)

    def _merge(self) -> None:
        """Templates became parts of others: what is known of the parts holds for the whole."""
        for number, whole in self._forms.folded:
            part = self._steps.pop(number, None)
            step = self._steps.get(whole)
            if part is None:
                continue
            if step is None:
                step = replace(part, number=whole, places=0, ended=0, present={})
                self._steps[whole] = step
            is_settled = part.state in ("added", "renamed") and step.state == "waiting"
            if part.change and (is_settled or not step.change):
                step.change = part.change
                step.state = part.state
                step.log_keys = part.log_keys
            self._spreading.merge(step, part)
            self._places.merge(number, part, whole)
        self._forms.folded.clear()
        self._touch()

    def _begin(self, number: int, clock: int) -> NewStep:
        step = self._steps[number] = NewStep(number, clock, clock)
        step.is_variant = self._places.replacing.wording.is_variant(self._forms.text(number))
        self.counters["new_steps"] += 1
        self._touch()
        return step

    def _make_room(self, clock: int) -> None:
        """Forget steps that have not come for long, since there are too many."""
        self.counters["new_steps_over_cap"] += 1
        if clock - self._cleared_ns < _LAST_NS:
            return
        self._cleared_ns = clock
        ages = {"odd": _OLD_ODD_NS, "added": _OLD_NS, "renamed": _OLD_NS}
        self._forget(
            [
                step.number
                for step in self._steps.values()
                if not step.accepted and clock - step.last_ns > ages.get(step.state, NEVER_NS)
            ]
        )

    def _forget(self, numbers: Sequence[int]) -> None:
        numbers = [number for number in numbers if number != NO_FORM]
        for number in numbers:
            self._steps.pop(number, None)
        self._forms.forget(numbers)
        self._touch()

    def _look_for_change(
        self, step: NewStep, session: SessionKey, version: bytes | None, clock: int
    ) -> Change | None:
        """The change that a step belongs to from now on, if any."""
        if step.change:
            # Its change is closed: what belonged to it is known.
            return None
        if self._spreading.note(step, session, clock, self.begun):
            self.is_dirty = True
            # One that came in two sessions waits longer.
            self._due_ns = None
        change = self._spreading.change_of(step, version, clock, self.begun)
        if change is not None:
            self._touch()
        return change
