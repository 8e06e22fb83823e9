"""Counts of what was not kept, so that a reader of the kept records can still count all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..alerts.records import iso_time
from ..core.hierarchy import UNKNOWN, Hierarchy
from ..reading.templates import template_id
from .rules import Kind

# Kinds that are counted one by one between two summaries; the rest is counted together.
_MOST_KINDS = 1_000
# Kinds and steps that a summary lists, those with most records first. The event then stays below
# 100 kB, which every receiver takes.
_MOST_LISTED = 200


class DroppedCounts:
    """Sessions and records that were not kept, since the last summary."""

    def __init__(self, templates: Sequence[str], hierarchy: Hierarchy) -> None:
        self._ids = [*map(template_id, templates), UNKNOWN]
        self._log_key_of = {name: key for key, name in enumerate(self._ids)}
        self._hierarchy = hierarchy
        self._begun_ns = 0
        # Kind → sessions, and records of each.
        self._sessions: Counter[int] = Counter()
        self._events: dict[int, int] = {}
        # Template id → records.
        self._steps: Counter[str] = Counter()
        # Sessions and records of kinds above the limit.
        self._others = [0, 0]
        self.is_changed = False
        # Whether the input has ended, so that the next summary is the last.
        self.is_last = False

    def add(self, kind: Kind) -> None:
        """A session was not kept."""
        self.is_changed = True
        if kind.name in self._sessions or len(self._sessions) < _MOST_KINDS:
            self._sessions[kind.name] += 1
            self._events[kind.name] = kind.events
        else:
            self._others[0] += 1
            self._others[1] += kind.events
        for log_key, count in kind.steps:
            self._steps[self._ids[log_key]] += count

    def summary(self, now_ns: int, every_ns: int) -> dict[str, Any] | None:
        """The event that is due at stream time `now_ns`, if any; counting begins anew.

        It is due after `every_ns`, and at the end of the input.
        """
        if not self._begun_ns:
            self._begun_ns = now_ns
        is_due = self.is_last or now_ns - self._begun_ns >= every_ns
        if not is_due or not self.is_changed:
            return None
        record = self._record(now_ns)
        self._begun_ns = now_ns
        self._sessions.clear()
        self._events.clear()
        self._steps.clear()
        self._others = [0, 0]
        self.is_changed = False
        return record

    def save(self) -> dict[str, Any]:
        """What a commit holds of it."""
        return {
            "begun": self._begun_ns,
            "kinds": [[kind, n, self._events[kind]] for kind, n in self._sessions.items()],
            "steps": list(self._steps.items()),
            "others": self._others,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from what was saved."""
        self._begun_ns = saved["begun"]
        for kind, sessions, events in saved["kinds"]:
            self._sessions[kind] = sessions
            self._events[kind] = events
        self._steps.update(dict(saved["steps"]))
        self._others = list(saved["others"])
        self.is_changed = bool(self._steps)

    def _record(self, now_ns: int) -> dict[str, Any]:
        records = {kind: n * self._events[kind] for kind, n in self._sessions.items()}
        listed = sorted(records, key=lambda kind: (-records[kind], kind))
        steps: Counter[tuple[str | None, str | None, str | None]] = Counter()
        for name, count in self._steps.items():
            log_key = self._log_key_of.get(name, self._hierarchy.unknown)
            steps[self._hierarchy.steps(log_key)] += count
        return {
            "from": iso_time(self._begun_ns),
            "to": iso_time(now_ns),
            "sessions": self._sessions.total() + self._others[0],
            "records": sum(records.values()) + self._others[1],
            "kinds_seen": len(self._sessions),
            "kinds": [
                {"kind": f"{kind:016x}", "sessions": self._sessions[kind], "records": records[kind]}
                for kind in listed[:_MOST_LISTED]
            ],
            "steps": [
                {"entity": entity, "action": action, "status": status, "records": count}
                for (entity, action, status), count in steps.most_common(_MOST_LISTED)
            ],
        }
