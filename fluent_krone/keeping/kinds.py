"""Kinds of execution: sessions that did the same things the same number of times.

There are three ways to tell kinds apart, and the finer the way, the more kinds a log has:

- `bag`: how often each step came;
- `nested`: also how many runs each entity and each action has, which is what the density judges;
- `order`: the exact order of all steps.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from ..core.hierarchy import UNKNOWN
from ..core.sessions import Session
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware, nested_counts
from ..reading.templates import template_id

# The ways, from the coarsest to the finest.
HOWS = ("bag", "nested", "order")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of execution: its name, which outlives the bundle, and what its sessions consist of.

    `steps` are log keys and how often each came. `in_band` says that the density of such a session
    is in the bundle's uncertainty band.
    """

    name: int
    steps: tuple[tuple[int, int], ...]
    in_band: bool

    @property
    def events(self) -> int:
        """How many events a session of this kind has."""
        return sum(count for _, count in self.steps)


class Kinds:
    """Tells the kind of each session that ends, worked out once for sessions that ran alike."""

    def __init__(self, bundle: Bundle, how: str, nested: NestedAware | None) -> None:
        self._hierarchy = bundle.hierarchy
        self._ids = [*map(template_id, bundle.templates), UNKNOWN]
        self._how = how
        self._nested = nested

    def of(self, session: Session) -> Kind:
        """The kind of a session that has ended."""
        kind: Kind | None = session.state.kind
        if kind is None:
            kind = session.state.kind = self.work_out(session)
        return kind

    def work_out(self, session: Session) -> Kind:
        """The same, without a look at what was worked out before."""
        log_keys = tuple(session.keys)
        steps = tuple(sorted(Counter(log_keys).items()))
        in_band = False
        if self._nested is not None and log_keys:
            low, high = self._nested.band
            in_band = low <= self._nested.density(log_keys).score <= high
        return Kind(_digest(self._features(log_keys)), steps, in_band)

    def _features(self, log_keys: Sequence[int]) -> Iterable[Hashable]:
        """What sessions of one kind have in common, in words that outlive the bundle."""
        if self._how == "order":
            return [self._ids[key] for key in log_keys]
        if self._how == "bag":
            return sorted((self._ids[key], count) for key, count in Counter(log_keys).items())
        found: list[tuple[str, str, int]] = []
        for (level, node), count in nested_counts(log_keys, self._hierarchy).items():
            if level == "key":
                found.append((level, self._ids[node], count))
            else:
                found.append((level, self._hierarchy.words(level, node), count))
        return sorted(found)


def _digest(features: Iterable[Hashable]) -> int:
    """63 bits, which a SQLite integer holds."""
    digest = hashlib.blake2b(repr(list(features)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big") >> 1
