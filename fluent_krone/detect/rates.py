"""How often the steps of a stream usually come, and what is too far from that.

Export counts the events of training in windows of a minute. The bundle keeps, for each node of the
tree, its mean rate, and the two extremes of training: the largest number of usual events that were
missing in a run of empty windows, and how many times above the usual a window was. What is asked
for, `flow_false_alarms` in a week, decides how far beyond these extremes a limit lies.

A burst has a limit beyond the largest of training: that one is passed by chance once in as many
windows, and what is passed once in many more lies further out by a multiple of the logarithm. A
silence has a limit from its longest dozens of training, as the longest alone is a matter of chance:
in two of twelve simulated trainings of a day and a half it hid a silence of ten minutes.

Of a node that training has only a few times, as failures are, the bundle keeps how often that was,
and the most that came together. It has bursts alone, and a part of the false alarms of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from ..core.hierarchy import Hierarchy
from ..core.stream.flow_findings import SCALES, FlowNode
from ..types import LEVELS, FlowLevel, Level

_WEEK = 7 * 1440
# Of what may be asked for, the part of the stream's own silence: that no execution starts any more
# is what everybody wants to know. Everything else shares the rest.
_STREAM_SHARE = 0.5
# Of that rest, the part of the rare nodes, where there are any. There may be thousands of them, and
# they must not widen the limits of the others.
_RARE_SHARE = 0.25
# A limit lies beyond the extreme of training by at least what a stretch that is e times as long may
# have, since training is one sample.
_BEYOND = 1.0
# How fast a ratio may grow with the logarithm of the time, at least: windows that were all alike in
# training say little about the next one.
_SLOPE = 0.15
# A burst is at least this many times the usual number, …
_LEAST_TIMES = 3.0
# … and a silence at least this many windows long: records come in chunks, once a minute or so.
_SHORTEST = 5


@dataclass(frozen=True, slots=True)
class Silences:
    """The `count` longest silences of training, in usual events that were missing: all of them were
    longer than `start`, by `scale` on average, for which the very longest does not count."""

    count: int
    start: float
    scale: float

    def limit(self, share: float) -> float:
        """What one silence is longer than, in 1 / `share` times as much time as training had.

        >>> Silences(count=10, start=5.0, scale=2.0).limit(10.0)
        5.0
        """
        return self.start + self.scale * math.log(max(self.count / share, 1.0))


@dataclass(frozen=True, slots=True)
class Rate:
    """What training had of one node.

    `rates` as in `FlowNode`. `missing` is the largest sum of usual events in a run of empty
    windows, `highest` the largest ln((count + 1) / (usual + 1)) for each of `SCALES`. `silences`
    are the longest runs; none where there were few, or in a bundle of an earlier version.
    """

    level: FlowLevel
    node: int
    rates: tuple[float, ...]
    missing: float
    highest: tuple[float, ...]
    silences: tuple[Silences, ...] = ()


@dataclass(frozen=True, slots=True)
class RareNode:
    """A node that training has too seldom for a rate by the hour: its events in all of training,
    and the most of them within each of `SCALES`, wherever such a window begins."""

    level: Level
    node: int
    events: int
    most: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of a bundle, from a training of this many windows; none where it was too short."""

    windows: int = 0
    nodes: tuple[Rate, ...] = ()
    rare: tuple[RareNode, ...] = ()

    def limits(self, hierarchy: Hierarchy, false_alarms: float) -> list[FlowNode]:
        """The nodes with their limits, for `false_alarms` in a week; the stream comes first."""
        if not self.nodes or false_alarms <= 0:
            return []
        both: tuple[Rate | RareNode, ...] = (*self.nodes, *self.rare)
        number: dict[tuple[str, int], int] = {
            (one.level, one.node): n for n, one in enumerate(both)
        }
        rest = false_alarms * (1 - _STREAM_SHARE)
        of_rare = 0.0
        if self.rare:
            of_rare = rest * _RARE_SHARE / (len(self.rare) * len(SCALES))
            rest *= 1 - _RARE_SHARE
        of_one = rest / (len(self.nodes) * (1 + len(SCALES)))
        found = []
        for rate in self.nodes:
            of_silence = of_one
            if rate.level == "stream":
                of_silence = false_alarms * _STREAM_SHARE
            missing = self._most_missing(rate, of_silence)
            highest = self._limits(rate.highest, of_one, self.windows)
            found.append(self._node(rate, hierarchy, number, rate.rates, missing, highest))
        of_events = self._rates_of_rare()
        for rare in self.rare:
            # As often as in the mean, at all hours: a few events do not say more.
            rates = of_events[rare.events]
            mean = max(rates)
            most = [
                max(math.log((count + 1) / (scale * mean + 1)), 0.0)
                for scale, count in zip(SCALES, rare.most, strict=True)
            ]
            highest = self._limits(most, of_rare, rare.events)
            # Nobody misses a failure, however long it does not come.
            found.append(self._node(rare, hierarchy, number, rates, math.inf, highest))
        return found

    def _rates_of_rare(self) -> dict[int, tuple[float, ...]]:
        """For each number of events, the rates of rare nodes with that many events: the same at all
        hours, and not known at those that training does not have."""
        return {
            events: tuple(
                -1.0 if rate < 0 else events / self.windows for rate in self.nodes[0].rates
            )
            for events in {rare.events for rare in self.rare}
        }

    def _nats(self, false_alarms: float) -> float:
        """How much further than training a limit reaches: ln of how many times as long it takes."""
        return max(math.log(_WEEK / self.windows / false_alarms), 0.0) + _BEYOND

    def _limits(
        self, highest: Sequence[float], false_alarms: float, seen: int
    ) -> tuple[float, ...]:
        """The limits of the bursts of each scale, for this many `false_alarms` a week of one.

        `highest` are the highest of as many windows, or events, as were `seen`.
        """
        nats = self._nats(false_alarms)
        in_log = math.log(max(seen, 3))
        least = math.log(_LEAST_TIMES)
        return tuple(max(one + max(one / in_log, _SLOPE) * nats, least) for one in highest)

    def _node(
        self,
        rate: Rate | RareNode,
        hierarchy: Hierarchy,
        number: Mapping[tuple[str, int], int],
        rates: tuple[float, ...],
        most_missing: float,
        highest: tuple[float, ...],
    ) -> FlowNode:
        keys = _log_keys(rate, hierarchy)
        log_key = hierarchy.unknown
        name = ""
        if rate.level != "stream":
            log_key = keys[0]
            name = f"“{hierarchy.words(rate.level, rate.node)}”"
        return FlowNode(
            level=rate.level,
            log_key=log_key,
            log_keys=keys,
            above=_above(rate, hierarchy, keys, number),
            name=name,
            rates=rates,
            most_missing=most_missing,
            most_windows=_SHORTEST,
            highest=highest,
            p_value=1 / (1 + self.windows),
        )

    def _most_missing(self, rate: Rate, false_alarms: float) -> float:
        """How many usual events a silence may lack, for this many `false_alarms` a week."""
        if rate.silences:
            # In a training as long as the present one, this many false alarms are asked for.
            share = false_alarms * self.windows / _WEEK
            return max(silences.limit(share) for silences in rate.silences)
        # Events that come independently of one another are missing in e^-n of all cases; those that
        # come together in fewer.
        unit = max(rate.missing / math.log(max(self.windows, 3)), 1.0)
        return rate.missing + unit * self._nats(false_alarms)


# Of a bundle that was fitted without times, or to a short stream.
NO_RATES = Rates()


def _log_keys(rate: Rate | RareNode, hierarchy: Hierarchy) -> tuple[int, ...]:
    if rate.level == "stream":
        return ()
    nodes = hierarchy.nodes(rate.level)
    return tuple(key for key, node in enumerate(nodes) if node == rate.node)


def _above(
    rate: Rate | RareNode,
    hierarchy: Hierarchy,
    keys: Sequence[int],
    number: Mapping[tuple[str, int], int],
) -> int:
    """The number of the node above; -1 for the stream."""
    if rate.level == "stream":
        return -1
    above: list[tuple[str, int]] = []
    if rate.level == "status":
        above.append(("action", hierarchy.action_of[keys[0]]))
    if rate.level != "entity":
        above.append(("entity", hierarchy.entity_of[keys[0]]))
    above.append(("stream", 0))
    return next((number[node] for node in above if node in number), -1)


def in_tree(rates: Rates, before: Hierarchy, after: Hierarchy) -> Rates:
    """The rates of the nodes of one tree that another one has as well, by their names."""
    node_of: dict[tuple[str, str], int] = {
        (level, after.words(level, node)): node
        for level in LEVELS
        for node in set(after.nodes(level))
    }
    found = []
    for rate in rates.nodes:
        node: int | None = rate.node
        if rate.level != "stream":
            node = node_of.get((rate.level, before.words(rate.level, rate.node)))
        if node is not None:
            found.append(replace(rate, node=node))
    rare = tuple(
        replace(one, node=node_of[name])
        for one in rates.rare
        if (name := (one.level, before.words(one.level, one.node))) in node_of
    )
    return Rates(rates.windows, tuple(found), rare)


def rates_to_json(rates: Rates) -> dict[str, Any]:
    """Plain values, as a bundle keeps them."""
    return {
        "windows": rates.windows,
        "nodes": [
            [
                rate.level,
                rate.node,
                list(rate.rates),
                rate.missing,
                list(rate.highest),
                [[s.count, s.start, s.scale] for s in rate.silences],
            ]
            for rate in rates.nodes
        ],
        "rare": [[one.level, one.node, one.events, list(one.most)] for one in rates.rare],
    }


def rates_from_json(values: Mapping[str, Any]) -> Rates:
    """The rates of a bundle. Raises ValueError for a node of a level that is not known here."""
    nodes = []
    # Bundles of earlier versions say nothing of the silences but how long the longest was.
    for level, node, rates, missing, highest, *rest in values["nodes"]:
        _check_node(level, highest)
        silences = tuple(Silences(*one) for longest in rest for one in longest)
        nodes.append(Rate(level, node, tuple(rates), missing, tuple(highest), silences))
    rare = []
    # Nor do they know of rare nodes.
    for level, node, events, most in values.get("rare", ()):
        _check_node(level, most)
        rare.append(RareNode(level, node, events, tuple(most)))
    return Rates(values["windows"], tuple(nodes), tuple(rare))


def _check_node(level: str, of_scales: Sequence[float]) -> None:
    if level not in get_args(FlowLevel) or len(of_scales) != len(SCALES):
        raise ValueError(f"flow.json has a node of the level {level!r}")
