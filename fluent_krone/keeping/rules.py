"""Whether the records of a session that ended are kept, and why; of what kind the session is."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.hierarchy import UNKNOWN
from ..core.sessions import Session
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware, nested_counts
from ..reading.records import SessionKey
from ..reading.templates import template_id

# Why a record is kept. `size` means that the spool was full before the session had ended.
Reason = Literal["abnormal", "band", "kind", "share", "always", "outside", "size"]
# What is known of a session whose record is kept.
Verdict = Literal["abnormal", "doubtful", "normal", "undecided"]

_DAY_NS = 86_400 * 10**9
# Kinds of a day that are remembered. A stream in which every session is a kind of its own must not
# fill the memory; one that comes again after this many others counts as new.
_MOST_KINDS = 100_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of normal sessions: the first `per_kind` of a kind each day, and a `share`."""

    per_kind: int
    share: float

    @property
    def one_in(self) -> int:
        """How many sessions one that is kept by its share stands for."""
        return max(round(1 / self.share), 1)


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a session is kept, what is known of it, and how many sessions it stands for."""

    reason: Reason
    verdict: Verdict
    sampled: int = 1


class Keeping:
    """Decides on one session after the other, in the order in which they end."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        # (Day, kind) → how many sessions were kept for that reason, the oldest first.
        self._kept: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._changed: dict[tuple[int, int], None] = {}

    def decide(self, session: Session, kind: Kind) -> Decision | None:
        """The decision on a normal session that has ended; None: its records are not kept."""
        if kind.in_band:
            return Decision("band", "doubtful")
        if self._is_among_first(session.last_ns // _DAY_NS, kind.name):
            return Decision("kind", "normal")
        if is_in_share(session.key, self._rules.share):
            return Decision("share", "normal", self._rules.one_in)
        return None

    def changes(self) -> list[tuple[int, int, int]]:
        """Rows of day, kind and count that changed since the last call."""
        rows = [(day, kind, self._kept[day, kind]) for day, kind in self._changed]
        self._changed = {}
        return rows

    def load(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Go on from saved rows, the oldest first."""
        for day, kind, count in rows:
            self._kept[day, kind] = count

    def _is_among_first(self, day: int, kind: int) -> bool:
        count = self._kept.get((day, kind), 0)
        if count >= self._rules.per_kind:
            return False
        self._kept[day, kind] = count + 1
        self._changed[day, kind] = None
        if len(self._kept) > _MOST_KINDS:
            oldest, _ = self._kept.popitem(last=False)
            self._changed.pop(oldest, None)
        return True


def is_in_share(key: SessionKey, share: float) -> bool:
    """Whether a session is in the share that is kept.

    It depends on nothing but its key, so that several machines agree, and so do two logs of one
    request.

    >>> sum(is_in_share((str(i).encode(),), 0.25) for i in range(4_000)) in range(900, 1_100)
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in key:
        digest.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(digest.digest(), "big") < share * 2**64


# --- kinds of execution ---------------------------------------------------------------------------

# Kinds of execution: sessions that did the same things the same number of times.
#
# There are three ways to tell kinds apart, and the finer the way, the more kinds a log has:
#
# - `bag`: how often each step came;
# - `nested`: also how many runs each entity and each action has, which is what the density judges;
# - `order`: the exact order of all steps.

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
