"""The changes that are open: when and how each is reported, whether it goes wrong, and when it
closes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...reading.newforms import NewForms
from ...reading.templates import template_id
from ...types import ChangeReport, NewTemplate
from .newsteps import Change, NewStep, change_of_row
from .places import Places
from .replacing import ADDED
from .versions import Versions

_NS = 1_000_000_000
# For this long after its last new step a change takes in others, in ns of stream time.
OPEN_NS = 3600 * _NS
# Sessions after which it can be said that a change goes wrong, and the share of abnormal ones.
_ENOUGH_SESSIONS = 20
_MOST_ABNORMAL = 0.5
# Versions from before a change that its report names.
_BEFORE_TOLD = 5


@dataclass(frozen=True, slots=True)
class Fired:
    """What a moment brought: a report of a change, or a step that is odd. `at_ns` is the moment."""

    at_ns: int
    report: ChangeReport | None = None
    odd: NewStep | None = None


class OpenChanges:
    """The open changes of one stream; `steps` is shared with `Changes`.

    A change is reported once, when its first steps have had their time to settle. It is reported
    again only if most of its sessions go wrong, and at its end if more steps have joined it since.
    """

    def __init__(
        self,
        steps: dict[int, NewStep],
        forms: NewForms,
        places: Places,
        versions: Versions,
        settle_ns: int,
    ) -> None:
        self._steps = steps
        self._forms = forms
        self._places = places
        self._versions = versions
        self._settle_ns = settle_ns
        self._open: list[Change] = []
        # Names of changes that a person accepted.
        self.accepted: frozenset[str] = frozenset()
        self._next = 1
        # Sessions that had steps of any change, and changes, since the start.
        self.counters: Counter[str] = Counter(
            dict.fromkeys(("changes", "sessions_changed", "new_steps", "new_steps_over_cap"), 0)
        )

    def __len__(self) -> int:
        return len(self._open)

    @property
    def newest(self) -> Change | None:
        """The change that new steps join."""
        if not self._open:
            return None
        return self._open[-1]

    def of(self, step: NewStep) -> Change | None:
        """The open change that a step belongs to."""
        return next((change for change in self._open if change.number == step.change), None)

    def is_accepted(self, step: NewStep) -> bool:
        """Whether a step is normal since a person accepted it, or all of its change."""
        if step.accepted:
            return True
        change = self.of(step)
        return change is not None and change.name in self.accepted

    def begin(self, step: NewStep, since_ns: int, clock: int) -> Change:
        """A change begins with a step."""
        text = self._forms.text(step.number)
        digest = hashlib.blake2b(f"{since_ns} {text}".encode(), digest_size=8)
        due_ns = max(since_ns + self._settle_ns, clock)
        change = Change(self._next, digest.hexdigest(), b"", since_ns, clock, due_ns)
        self._next += 1
        self._open.append(change)
        self.counters["changes"] += 1
        return change

    def count(self, is_abnormal: bool) -> None:
        """A session with steps of a change has ended."""
        self.counters["sessions_changed"] += 1
        change = self.newest
        if change is not None:
            change.sessions += 1
            change.abnormal += is_abnormal

    def due(self) -> Iterator[int]:
        """When each of them is to be looked at."""
        return (change.due_ns for change in self._open)

    def fire(self, at_ns: int) -> list[Fired]:
        """The reports that are due at a stream time."""
        found = []
        for change in list(self._open):
            if change.due_ns <= at_ns:
                found += self._look_at(change, at_ns)
        return found

    def finish(self, at_ns: int) -> list[Fired]:
        """The reports at the end of the input, which ends each change as well."""
        found = []
        for change in self._open:
            found += self._tell(change, at_ns)
            found += self._tell_rest(change, at_ns)
        return found

    def save(self) -> list[Any]:
        """What a snapshot holds of it."""
        return [self._next, [change.save() for change in self._open]]

    def load(self, saved: Sequence[Any]) -> None:
        """Go on from a snapshot."""
        self._next, rows = saved
        self._open = [change_of_row(row) for row in rows]

    def _look_at(self, change: Change, at_ns: int) -> list[Fired]:
        found = self._tell(change, at_ns)
        closes_ns = change.joined_ns + OPEN_NS
        if closes_ns <= at_ns:
            self._open.remove(change)
            found += self._tell_rest(change, at_ns)
        # Whether it goes wrong is looked at every now and then.
        change.due_ns = at_ns + self._settle_ns
        if closes_ns > at_ns:
            change.due_ns = min(change.due_ns, closes_ns)
        return found

    def _tell(self, change: Change, at_ns: int) -> list[Fired]:
        if not change.is_told:
            change.is_told = True
            change.steps_told = self._count_steps(change)
            return [self._report(change, "open", at_ns)]
        if self._is_trouble(change):
            change.is_trouble_told = True
            return [self._report(change, "abnormal", at_ns)]
        return []

    def _tell_rest(self, change: Change, at_ns: int) -> list[Fired]:
        """Report a change that is over once more, where steps have joined it since the report."""
        steps = self._count_steps(change)
        if steps <= change.steps_told:
            return []
        change.steps_told = steps
        return [self._report(change, "settled", at_ns)]

    def _is_trouble(self, change: Change) -> bool:
        if change.is_trouble_told or change.sessions < _ENOUGH_SESSIONS:
            return False
        return change.abnormal > _MOST_ABNORMAL * change.sessions

    def _count_steps(self, change: Change) -> int:
        return sum(step.change == change.number for step in self._steps.values())

    def _report(
        self, change: Change, state: Literal["open", "abnormal", "settled"], at_ns: int
    ) -> Fired:
        meant = self._places.meanings()
        templates = []
        first_ns = at_ns
        for step in self._steps.values():
            if step.change != change.number:
                continue
            log_key = meant.get(step.number, ADDED)
            if step.state == "renamed":
                log_key = step.log_keys[0]
            replaces = None
            if log_key >= 0:
                replaces = self._places.replacing.templates[log_key]
            text = self._forms.text(step.number)
            templates.append(NewTemplate(template_id(text), text, replaces))
            if step.first is not None:
                first_ns = min(first_ns, step.first.time_ns)
        before = self._versions.before(change.since_ns, _BEFORE_TOLD)
        report = ChangeReport(
            name=change.name,
            state=state,
            tag=change.tag,
            first_ns=first_ns,
            at_ns=at_ns,
            templates=tuple(templates),
            sessions=change.sessions,
            abnormal=change.abnormal,
            field=self._versions.found,
            values=tuple(value for value, _ in change.values.most_common()),
            before=tuple(value for value in before if value not in change.values),
        )
        return Fired(at_ns, report=report)
