"""What the demo counts: alerts beside the truth, which only the simulator knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..types import Alert
from .damage import KINDS
from .simulator import Moment, SimulatedSession

# Kinds of alerts that are about one session.
OF_SESSIONS = ("sequence", "deviation")
# A disturbance of the stream is found at its end at the latest, or this long afterwards.
_FLOW_DELAY_NS = 5 * 60 * 10**9


@dataclass(slots=True)
class Tally:
    """What was found, against what the simulator knows.

    A fault is *found* when its session has an alert, of which the first one counts. Two measures
    tell whether it was located: the Seq that the alert names holds an event of the fault (or one
    beside its gap); and the event that it calls odd is of the fault or next to it. An
    `unseen_template` alert is about a template, not a session: it counts for neither. A `flow`
    alert is about the stream: it finds a moment when it comes while that lasts, or soon afterwards.
    """

    sessions: Mapping[str, SimulatedSession]
    moments: Sequence[Moment] = ()
    # block → its first alert
    found: dict[str, Alert] = field(default_factory=dict)
    novelties: int = 0
    # Kinds of moments that were found, and `flow` alerts that found none.
    flows: set[str] = field(default_factory=set)
    flow_false_alarms: int = 0

    def count(self, alert: Alert) -> None:
        kind = alert.record["kind"]
        if kind == "flow":
            moment = self.moment_of(alert.time_ns)
            if moment is None:
                self.flow_false_alarms += 1
            else:
                self.flows.add(moment.kind)
        elif kind in OF_SESSIONS:
            self.found.setdefault(alert.record["session"][0], alert)
        else:
            self.novelties += 1

    def moment_of(self, time_ns: int) -> Moment | None:
        """What befell the stream at that time, or shortly before."""
        for moment in self.moments:
            if moment.start_ns <= time_ns <= moment.end_ns + _FLOW_DELAY_NS:
                return moment
        return None

    def is_in_seq(self, block: str) -> bool:
        """Whether the named Seq holds the session's fault."""
        fault = self.sessions[block].fault
        seq = self.found[block].record["seq"]
        return fault is not None and fault.is_in(seq["start"], seq["end"])

    def is_to_the_step(self, block: str) -> bool:
        """Whether the odd event is the fault's, or next to it."""
        fault = self.sessions[block].fault
        return fault is not None and fault.is_near(self.found[block].record["seq"]["event"])

    def of_kind(self, kind: str) -> dict[str, int]:
        """The figures of one kind of fault."""
        blocks = [
            block
            for block, s in self.sessions.items()
            if s.fault is not None and s.fault.kind == kind
        ]
        found = [block for block in blocks if block in self.found]
        return {
            "injected": len(blocks),
            "found": len(found),
            "in_seq": sum(map(self.is_in_seq, found)),
            "to_the_step": sum(map(self.is_to_the_step, found)),
            "missed": len(blocks) - len(found),
        }

    def missed(self) -> list[SimulatedSession]:
        """Faulty sessions that no alert names."""
        return [
            s for s in self.sessions.values() if s.fault is not None and s.block not in self.found
        ]

    def figures(self) -> dict[str, Any]:
        """Everything `--json` prints but the time it took."""
        kinds = {kind: self.of_kind(kind) for kind in KINDS}
        total: Counter[str] = Counter()
        for figures in kinds.values():
            total.update(figures)
        normal = sum(session.fault is None for session in self.sessions.values())
        false = sum(self.sessions[block].fault is None for block in self.found)
        return {
            "sessions": len(self.sessions),
            "events": sum(len(session.moves) for session in self.sessions.values()),
            **total,
            "mean_seq_share": self._seq_share(),
            "normal": normal,
            "false_alarms": false,
            "unseen_template_alerts": self.novelties,
            "flow": {moment.kind: moment.kind in self.flows for moment in self.moments},
            "flow_false_alarms": self.flow_false_alarms,
            "kinds": kinds,
        }

    def _seq_share(self) -> float | None:
        """Mean length of the Seqs named in faulty sessions, as a share of the session.

        A whole one is easily right.
        """
        shares = []
        for block, alert in self.found.items():
            if self.sessions[block].fault is not None:
                seq = alert.record["seq"]
                shares.append((seq["end"] - seq["start"]) / len(self.sessions[block].moves))
        if not shares:
            return None
        mean: float = sum(shares) / len(shares)
        return round(mean, 3)
