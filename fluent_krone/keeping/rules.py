"""Whether the records of a session that ended are kept, and why."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..core.sessions import Session
from ..reading.records import SessionKey
from .kinds import Kind

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
