"""What an engine looks for a change of the program with: new steps, steps that are gone, versions.

This builds it from a bundle, asks each part what is due, and saves what they know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from ...reading.levels import levels_of
from ...reading.newforms import NewForms
from ...reading.records import RecordReader
from ..parts import EngineParts, Limits
from .changes import Changes
from .replacing import Replacing
from .shifts import Shifts
from .versions import Versions


class _Part(Protocol):
    # Whether `save` would return something else than last time.
    is_dirty: bool

    def save(self) -> Any: ...


class ChangeWatch:
    """Looks for new steps (`changes`), and for steps that are gone or in a new order (`shifts`)."""

    def __init__(self, parts: EngineParts, reader: RecordReader, limits: Limits) -> None:
        pattern = None
        if reader.sole_regex is not None:
            pattern = parts.input_settings.session_key[0][1:-1]
        normal: Iterable[Sequence[int]] = ()
        if parts.nested is not None:
            normal = parts.nested.normal
        steps = parts.steps
        unknown = parts.hierarchy.unknown
        self.changes = Changes(
            settle=limits.change_settle,
            unknown=unknown,
            forms=NewForms(pattern, parts.templates),
            levels=levels_of(reader),
            versions=Versions(limits.version_field),
            replacing=Replacing(parts.templates, normal, steps.rows),
        )
        settle_ns = int(limits.change_settle * 1e9)
        self.shifts = Shifts(normal, parts.templates, unknown, settle_ns, steps)
        self.versions = self.changes.versions
        # What is saved, by its name in a snapshot.
        self._parts: Mapping[str, _Part] = {
            "changes": self.changes,
            "versions": self.versions,
            "shifts": self.shifts,
        }

    @property
    def due_ns(self) -> int:
        """The stream time at which one of them has something to do next."""
        return min(self.changes.due_ns, self.shifts.due_ns)

    def stats(self) -> dict[str, int]:
        """Figures for metrics, by name."""
        return {
            **self.changes.counters,
            "changes_running": self.changes.open,
            "steps_renamed": self.changes.renamed,
        }

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        parts = {name: part.save() for name, part in self._parts.items()}
        return {"begun": self.changes.begun, **parts}

    def changed(self) -> dict[str, Any]:
        """The parts of `save` that changed since the last call."""
        found: dict[str, Any] = {"begun": self.changes.begun}
        for name, part in self._parts.items():
            if part.is_dirty:
                found[name] = part.save()
                part.is_dirty = False
        return found

    def load(self, saved: Mapping[str, Any], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; one of an earlier version has less of it, or nothing.

        `log_keys` gives our log key for each one of the snapshot.
        """
        self.changes.begun = saved.get("begun", 0)
        if "changes" in saved:
            self.changes.load(saved["changes"], log_keys)
        if "versions" in saved:
            self.versions.load(saved["versions"])
        if "shifts" in saved:
            self.shifts.load(saved["shifts"], log_keys)
