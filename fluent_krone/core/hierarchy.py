"""Log Abstraction Model: log key → entity, action, status (ROOT → entity → action → status).

Source: "KRONE: Hierarchical and Modular Log Anomaly Detection", ICDE 2026, arXiv 2602.07303.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress, count, groupby, islice, pairwise
from operator import itemgetter, ne
from typing import Literal

from ..types import LEVELS, Level, Seq

# How unnamed actions of one entity become nodes: each its own, or all of them one.
NoneActions = Literal["separate", "merged"]
# Log keys in a row whose pattern is remembered, and how many events they may be: some megabytes.
# Longer ones hardly come twice.
_MOST_RUNS = 10_000
_LONGEST_RUN = 64
# The name of the leaf, and of its steps, that a message without a template belongs to.
UNKNOWN = "unknown"


def _known(step: str) -> str | None:
    if is_none(step):
        return None
    return step


def is_none(name: str) -> bool:
    """Whether a tree table leaves this step open. The authors write `none` or `none_<n>`."""
    return name.strip().lower().split("_")[0] in ("", "none")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One row of the tree: a template and its three steps, `none` where unknown."""

    template: str
    entity: str
    action: str
    status: str


class Hierarchy:
    """The tree over log keys 0…n-1 (rows in order); log key n is the `unknown` leaf.

    Node ids are numbered per layer as the authors do: named entities by first appearance, under
    each its actions by first appearance, under each its rows; rows without an entity come last.
    `none_actions="merged"` repeats a slip of the authors' code: all unnamed actions of a named
    entity are one node. Otherwise no two "none" are ever one node.

    >>> tree = Hierarchy([Leaf("a <*>", "disk", "read", "ok"), Leaf("b", "none", "none", "none")])
    >>> [tree.name("entity", e) for e in tree.entity_of]
    ['disk_0', 'none_1', 'unknown_2']
    """

    def __init__(self, rows: Sequence[Leaf], none_actions: NoneActions = "separate") -> None:
        self.rows = [*rows, Leaf("", UNKNOWN, UNKNOWN, UNKNOWN)]
        self.unknown = len(rows)
        size = len(self.rows)
        # Log key → node, one list a level.
        self.entity_of = [0] * size
        self.action_of = [0] * size
        self.status_of = [0] * size
        self._names: dict[Level, list[str]] = {level: [] for level in LEVELS}
        # Log keys in a row → the pattern of their Seq. Sessions that run differently have most of
        # their Seqs in common.
        self._patterns: dict[Level, dict[tuple[int, ...], tuple[int, ...]]] = {
            level: {} for level in LEVELS
        }
        named = dict.fromkeys(row.entity for row in rows if not is_none(row.entity))
        for entity in named:
            members = [i for i, row in enumerate(rows) if row.entity == entity]
            self._add_entity(entity, members, none_actions)
        # Rows without an entity are entities of their own, whatever `none_actions` says.
        for i, row in enumerate(rows):
            if is_none(row.entity):
                self._add_entity(row.entity, [i], "separate")
        self._add_entity(UNKNOWN, [self.unknown], "separate")
        self._steps = [(_known(r.entity), _known(r.action), _known(r.status)) for r in self.rows]
        # The first log key under each node, for its words. Read from the end, so that it wins.
        self._leaf: dict[Level, dict[int, int]] = {level: {} for level in LEVELS}
        for level in LEVELS:
            for leaf, node in reversed(list(enumerate(self.nodes(level)))):
                self._leaf[level][node] = leaf

    def _add_entity(self, entity: str, members: list[int], none_actions: NoneActions) -> None:
        node = self._new("entity", entity)
        actions: dict[tuple[str, int], list[int]] = {}
        for i in members:
            action = self.rows[i].action
            # An unnamed action differs from others by its row, or not at all where they are merged.
            own_row = -1
            if is_none(action):
                action = "none"
                if none_actions == "separate":
                    own_row = i
            actions.setdefault((action, own_row), []).append(i)
        for (name, _), leaves in actions.items():
            action_node = self._new("action", name)
            for i in leaves:
                self.entity_of[i] = node
                self.action_of[i] = action_node
                self.status_of[i] = self._new("status", self.rows[i].status)

    def _new(self, level: Level, name: str) -> int:
        names = self._names[level]
        names.append(f"{name.split('_')[0]}_{len(names)}")
        return len(names) - 1

    def name(self, level: Level, node: int) -> str:
        """A node's name as the authors write it: the part before its first `_`, and its number."""
        return self._names[level][node]

    def words(self, level: Level, node: int) -> str:
        """A node as an operator reads it: a leaf's template, `entity action`, or the entity."""
        leaf = self._leaf[level][node]
        row = self.rows[leaf]
        if leaf == self.unknown:
            return UNKNOWN
        if level == "entity" and not is_none(row.entity):
            return row.entity
        if level == "action" and not is_none(row.action):
            if is_none(row.entity):
                return row.action
            return f"{row.entity} {row.action}"
        return row.template

    @cached_property
    def leaf_words(self) -> list[str]:
        """The words of each log key's leaf."""
        return [self.words("status", node) for node in self.status_of]

    def steps(self, key: int) -> tuple[str | None, str | None, str | None]:
        """Entity, action and status of a log key; None where the tree leaves one open."""
        return self._steps[key]

    def nodes(self, level: Level) -> list[int]:
        """Log key → node of one level."""
        if level == "status":
            return self.status_of
        if level == "action":
            return self.action_of
        return self.entity_of

    def decompose(self, keys: Sequence[int]) -> list[Seq]:
        """All Seqs of a session's log keys: status Seqs, then action Seqs, then the entity Seq.

        The tracker finds the same Seqs one event at a time.
        """
        if not keys:
            return []
        by_action = runs([self.action_of[k] for k in keys])
        by_entity = runs([self.entity_of[k] for k in keys])
        status = [self.seq("status", keys, *span) for span in by_action]
        action = [self.seq("action", keys, *span) for span in by_entity]
        return [*status, *action, self.seq("entity", keys, 0, len(keys))]

    def seq(self, level: Level, keys: Sequence[int], start: int, end: int) -> Seq:
        """The Seq of `level` over events `[start, end)`.

        Repeats are kept at status level and collapsed above it.
        """
        run = tuple(keys[start:end])
        patterns = self._patterns[level]
        pattern = patterns.get(run)
        if pattern is None:
            nodes = list(map(self.nodes(level).__getitem__, run))
            if level != "status":
                nodes = _collapse(nodes)
            pattern = tuple(nodes)
            if len(run) <= _LONGEST_RUN:
                if len(patterns) >= _MOST_RUNS:
                    patterns.clear()
                patterns[run] = pattern
        return Seq(level, start, end, pattern)


def runs(nodes: Sequence[int]) -> list[tuple[int, int]]:
    """`[start, end)` of each run of equal nodes.

    >>> runs([7, 7, 8])
    [(0, 2), (2, 3)]
    """
    if not nodes:
        return []
    # Without a step of Python for each event: sessions may be long.
    cuts = compress(count(1), map(ne, nodes, islice(nodes, 1, None)))
    return list(pairwise([0, *cuts, len(nodes)]))


def _collapse(nodes: Iterable[int]) -> list[int]:
    return list(map(itemgetter(0), groupby(nodes)))


def step_name(*path: str | None, left_open: str = "") -> str:
    """A step as people read it: entity, action and status, where they are known.

    `left_open` stands for those that are not known; without it, they are left out.

    >>> step_name("Pump", "start", None), step_name("Pump", None, None, left_open="?")
    ('Pump → start', 'Pump → ? → ?')
    >>> step_name("unknown", "unknown", "unknown")
    'a line of no known step'
    """
    parts = [part or left_open for part in path if part or left_open]
    if parts and all(part == UNKNOWN for part in parts):
        return "a line of no known step"
    return " → ".join(parts)
