"""What is usual of a node of the tree in a whole stream, and what is said where it deviates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..types import Deviation, Finding, Flow, FlowLevel, Level

# Length of a window in ns.
WINDOW_NS = 60 * 10**9
# Windows that are judged together for bursts: what comes rarely shows in the longer ones.
SCALES = (1, 10, 60)
# Digits that scores keep.
_DECIMALS = 4

Direction = Literal["burst", "silence"]


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A node of the tree, its usual rate, and what is too far from it.

    `level` is `stream` for the starts of sessions, which have no `log_keys`; `log_key` is a leaf
    that stands for the node. `rates` are events in a window, for each hour of the day or of the
    week; a negative one means that nobody knows. `most_missing` is how many usual events may be
    missing in a run of empty windows, `most_windows` how long a run may be at least. `highest` is
    the largest ln((count + 1) / (usual + 1)) for each of `SCALES`. `p_value` is the share of
    windows that are further from usual than any of training.
    """

    level: FlowLevel
    log_key: int
    log_keys: tuple[int, ...]
    above: int
    name: str
    rates: tuple[float, ...]
    most_missing: float
    most_windows: int
    highest: tuple[float, ...]
    p_value: float = 1.0

    def usual(self, window: int) -> float:
        """Events that usually come in a window; 0 where nobody knows."""
        return max(self.rates[window // 60 % len(self.rates)], 0.0)

    def is_known(self, window: int) -> bool:
        """Whether training knows the hour of a window."""
        return self.rates[window // 60 % len(self.rates)] >= 0


@dataclass(frozen=True, slots=True)
class OddFlow:
    """A node that has just become abnormal."""

    node: int
    windows: int
    observed: int
    usual: float
    score: float
    threshold: float


def flow_finding(
    node: FlowNode, direction: Direction, odd: OddFlow, window: int, others: int
) -> Finding:
    """The finding of a node that became abnormal in a window; `others` did so as well."""
    end_ns = (window + 1) * WINDOW_NS
    flow = Flow(
        level=node.level,
        name=node.name,
        start_ns=end_ns - odd.windows * WINDOW_NS,
        end_ns=end_ns,
        observed=odd.observed,
        usual=odd.usual,
    )
    level: Level = "entity"
    if node.level != "stream":
        level = node.level
    deviation = Deviation(
        witness="flow",
        direction=direction,
        level=level,
        event=0,
        log_key=node.log_key,
        score=round(odd.score, _DECIMALS),
        threshold=round(odd.threshold, _DECIMALS),
        p_value=node.p_value,
        words=_words(direction, flow, odd.windows, others),
        detail=node.level,
    )
    return Finding(
        kind="flow",
        decided="early",
        tag=b"",
        # There is none. Alerts about the same belong together, as those of one session do.
        session=(f"{direction} {node.name or node.level}".encode(),),
        instance=0,
        ordinal=0,
        first_ns=flow.start_ns,
        last_ns=end_ns,
        events=odd.observed,
        log_keys=(node.log_key,),
        verdict=None,
        lines=(),
        deviations=(deviation,),
        told_ns=end_ns,
        flow=flow,
    )


def _words(direction: Direction, flow: Flow, windows: int, others: int) -> str:
    minutes = "1 minute"
    if windows > 1:
        minutes = f"{windows} minutes"
    usual = f"{flow.usual:,.0f}"
    if flow.usual < 10:
        usual = f"{flow.usual:.2g}"
    if direction == "silence" and flow.level == "stream":
        said = f"No execution has started for {minutes}. At this time usually {usual} do."
    elif direction == "silence":
        said = (
            f"{flow.name} has not come for {minutes}. At this time it usually comes {usual} times."
        )
    elif flow.level == "stream":
        said = f"{flow.observed:,} executions started within {minutes}; usually {usual} do."
    else:
        said = f"{flow.name} came {flow.observed:,} times within {minutes}; usually {usual} times."
    if others:
        also = f"{others} other parts of the tree deviate"
        if others == 1:
            also = "Another part of the tree deviates"
        said += f" {also} in the same way."
    return said
