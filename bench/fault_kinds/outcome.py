"""What a run came to: its alerts as they arrived, and what the store held in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.runtime.store import Store

# Alert id → its record.
Alerts = dict[str, Any]


@dataclass
class RunOutcome:
    """What a run came to: alerts as they arrived, and what the store held in the end."""

    arrived: Counter[str] = field(default_factory=Counter)
    alerts: Alerts = field(default_factory=dict)
    # Key → instances, first times, and the events of the open one.
    sessions: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Count an alert that arrived. One that comes again must come as it was."""
        self.arrived[record["alert_id"]] += 1
        if self.alerts.setdefault(record["alert_id"], record) != record:
            self.notes["repeats_that_differ"] = self.notes.get("repeats_that_differ", 0) + 1

    def finish(self, store: Path, bundle: Bundle) -> RunOutcome:
        """Read what the store holds, and judge it."""
        held = Store(store)
        engine = bundle.engine()
        engine.restore(held.load() or {})
        self.notes["alerts_in_store"] = len(held.alerts())
        for alert in held.alerts():
            self.add(dict(alert.record))
        held.close()
        for key, *counts in engine.snapshot()["started"]:
            self.sessions.setdefault(name_of(key), []).append(counts)
        for session in engine.sessions.open.values():
            about = (session.first_ns, session.instance, session.ordinal, session.alerted)
            self.sessions[name_of(session.key)].append([*about, list(session.keys), session.lines])
        # What is still open is judged here, so that its verdicts are compared as well.
        maker = AlertMaker(bundle, Config())
        for alert in map(maker.make, engine.finish()):
            self.alerts[alert.alert_id] = dict(alert.record)
        return self

    def beside(self, whole: RunOutcome) -> dict[str, Any]:
        """The figures: what is lost or other than in the undisturbed run."""
        return {
            "sessions": len(whole.sessions),
            "sessions_lost": len(whole.sessions.keys() - self.sessions.keys()),
            "sessions_different": sum(
                whole.sessions[key] != self.sessions.get(key) for key in whole.sessions
            ),
            "alerts": len(whole.alerts),
            "alerts_lost": len(whole.alerts.keys() - self.alerts.keys()),
            "alerts_new": len(self.alerts.keys() - whole.alerts.keys()),
            "verdicts_different": sum(
                a != self.alerts[i] for i, a in whole.alerts.items() if i in self.alerts
            ),
            "repeated_with_the_same_id": sum(count - 1 for count in self.arrived.values()),
            **self.notes,
        }


def name_of(key: Sequence[bytes]) -> str:
    return " ".join(part.decode() for part in key)


def in_any_order(figures: dict[str, Any]) -> dict[str, Any]:
    """The same figures under other names: where chunks came reordered, a difference is no loss."""
    renamed = {
        "sessions_different": "sessions_in_another_order",
        "verdicts_different": "verdicts_in_another_order",
    }
    return {renamed.get(name, name): value for name, value in figures.items()}


def sessions_that_differ_in_alerts(one: RunOutcome, other: RunOutcome) -> set[str]:
    """Sessions whose sequence alerts differ between the two; other alerts have no session."""
    both = one.alerts | other.alerts
    odd = (both[i] for i in both if one.alerts.get(i) != other.alerts.get(i))
    return {" ".join(alert["session"]) for alert in odd if alert["kind"] == "sequence"}


def same_but_for_order(one: Any, other: Any) -> bool:
    """Whether both hold the same events, in whatever order."""
    return other is not None and sorted(one[-1][-2]) == sorted(other[-1][-2])
