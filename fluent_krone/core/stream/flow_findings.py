"""What is usual of a node of the tree in a whole stream, and what is reported where it deviates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

from ...types import Deviation, Finding, Flow, FlowLevel, Level
from ..listing import listed

# Length of a window in ns.
WINDOW_NS = 60 * 10**9
# Windows that are judged together for bursts: what comes rarely shows in the longer ones.
SCALES = (1, 10, 60)
# A count is surely no burst below this part of the smallest one, which is worked out by another
# formula and may be rounded otherwise.
_SURELY = 1 - 1e-9
# A node is compared with the rest of the stream where it is no more than this part of all events.
_MINOR = 0.5
# Nodes that a sentence names beside the one that it is about.
_MOST_NAMED = 2
# Digits that scores keep.
_DECIMALS = 4

Direction = Literal["burst", "silence"]


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A node of the tree, its usual rate, and what is too far from it.

    `level` is `stream` for the starts of sessions, which have no `log_keys`; `log_key` is a leaf
    that stands for the node. `rates` are events in a window, for each hour of the day or of the
    week; a negative one is unknown. `most_missing` is how many usual events may be missing in a run
    of empty windows, infinite where no silence counts, and fewer windows than `most_windows` are
    never a silence. `highest` is the largest ln((count + 1) / (usual + 1)) for each of
    `SCALES`. `p_value` is the share of windows that are further from usual than any of training.
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

    def rate(self, window: int) -> float:
        """Events that usually come in a window; negative where training does not know its hour."""
        return self.rates[window // 60 % len(self.rates)]

    @property
    def highest_rate(self) -> float:
        """Events that come in a window of the hour that has most of them."""
        return max(*self.rates, 0.0)


@dataclass(frozen=True, slots=True)
class Hour:
    """What is usual in the windows of an hour, for each node.

    `usual` are the events of a window, negative where they are unknown. `fewest` has a row for each
    of `SCALES`: no smaller count is a burst, and larger ones have to be looked at. Where the usual
    number is not known, it is that of the busiest hour at least.
    """

    usual: Sequence[float]
    fewest: Sequence[Sequence[float]]
    # The nodes that may be silent: the rate is known, and silences count.
    expected: Sequence[int] = ()


class UsualFlow:
    """Looks up what is usual of all nodes at once, for each hour in which windows end."""

    def __init__(self, nodes: Sequence[FlowNode]) -> None:
        self._nodes = nodes
        # Of each node, which numbers of the counts are added up: the first one, of all nodes at
        # once, and all of those that have several. The stream's is the last number of the counts.
        counted = [node.log_keys or (-1,) for node in nodes]
        self._first = _elements(keys[0] for keys in counted)
        self._several = [
            (number, _elements(keys)) for number, keys in enumerate(counted) if len(keys) > 1
        ]
        # The hour that was asked for last, and into how many engines the stream was divided then.
        self._hour_at = (-1, 1)
        self._hour = Hour((), ())
        # All events are counted by their entities.
        self._entities = [n for n, node in enumerate(nodes) if node.level == "entity"]
        self._rate_of_all = sum(nodes[number].highest_rate for number in self._entities)

    def counts(self, by_key: Sequence[int]) -> list[int]:
        """The events of each node, from those of each log key and the starts of sessions."""
        counts = [*self._first(by_key)]
        for number, own in self._several:
            counts[number] = sum(own(by_key))
        return counts

    def hour(self, window: int, divided_by: int) -> Hour:
        """What is usual in the hour of a window, which all its longer windows lie in as well."""
        at = (window // 60, divided_by)
        if at != self._hour_at:
            self._hour_at = at
            usual = [node.rate(window) / divided_by for node in self._nodes]
            at_least = [
                node.highest_rate / divided_by if rate < 0 else rate
                for node, rate in zip(self._nodes, usual, strict=True)
            ]
            fewest = [
                [
                    (scale * rate + 1) * math.exp(node.highest[place]) * _SURELY - 1
                    for node, rate in zip(self._nodes, at_least, strict=True)
                ]
                for place, scale in enumerate(SCALES)
            ]
            expected = [
                number
                for number, (node, rate) in enumerate(zip(self._nodes, usual, strict=True))
                if rate >= 0 and node.most_missing < math.inf
            ]
            self._hour = Hour(usual, fewest, expected)
        return self._hour

    def in_windows(self, number: int, scale: int, sums: Sequence[int]) -> float:
        """How many events of a node are usual in as many windows of the hour that was asked for.

        In one that training does not have, as many as beside the `sums` of the other nodes: the
        stream may be ten times as busy there, but the share of failures in it should be the same.
        No fewer are usual than in the busiest hour of training. Negative, as not known, for what is
        most of the stream: it may come as often as it likes.
        """
        usual = scale * self._hour.usual[number]
        if usual >= 0:
            return usual
        node = self._nodes[number]
        own = node.highest_rate
        if node.level == "stream" or own > _MINOR * self._rate_of_all:
            return -1.0
        others = sum(sums[entity] for entity in self._entities) - sums[number]
        _, divided_by = self._hour_at
        return own * max(scale / divided_by, others / (self._rate_of_all - own))


def _elements(numbers: Iterable[int]) -> Callable[[Sequence[int]], Sequence[int]]:
    """A function that gives these elements of a list.

    >>> _elements([2])([7, 8, 9]), _elements([0, -1])([7, 8, 9])
    ((9,), (7, 9))
    """
    wanted = [*numbers]
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return lambda counts: tuple([counts[number] for number in wanted])


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
    node: FlowNode, direction: Direction, odd: OddFlow, window: int, others: Sequence[str]
) -> Finding:
    """The finding of a node that became abnormal in a window.

    `others` are the names of nodes elsewhere in the tree that did so as well.
    """
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


def _words(direction: Direction, flow: Flow, windows: int, others: Sequence[str]) -> str:
    minutes = "1 minute"
    if windows > 1:
        minutes = f"{windows} minutes"
    usual = f"{flow.usual:,.0f}"
    if flow.usual < 10:
        usual = f"{flow.usual:.2g}"
    if direction == "silence" and flow.level == "stream":
        said = f"No execution has started for {minutes}. In that time usually {usual} do."
    elif direction == "silence":
        said = f"No line of {flow.name} has come for {minutes}. In that time usually {usual} come."
    elif flow.level == "stream":
        said = f"{flow.observed:,} executions started within {minutes}; usually {usual} do."
    else:
        said = (
            f"{flow.observed:,} lines of {flow.name} came within {minutes}; usually there are "
            f"{usual}."
        )
    if others:
        also = "Also far above their usual number"
        if direction == "silence":
            also = "Silent as well"
        said += f" {also}: {listed(others, _MOST_NAMED)}."
    return said
