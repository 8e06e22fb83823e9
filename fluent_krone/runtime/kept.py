"""What a store keeps of kept records, beside the sessions: given to it by a commit, and back."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.references import PLAIN, SHARED
from ..keeping.releases import Row


@dataclass(frozen=True, slots=True)
class KeptChanges:
    """What one commit makes final of kept records."""

    rows: list[Row] = field(default_factory=list)
    # Day, kind, and how many sessions of it were kept for that.
    kinds: list[tuple[int, int, int]] = field(default_factory=list)
    # References of records that left, and that other sessions still hold.
    shared: list[int] = field(default_factory=list)
    counts: Mapping[str, Any] | None = None
    # Segments before this one are not needed any more.
    oldest: int = 0


@dataclass(frozen=True, slots=True)
class KeptSaved:
    """What the last process saved: of kinds, of records that left, of counts."""

    kinds: Iterable[tuple[int, int, int]] = ()
    shared: Iterable[int] = ()
    counts: Mapping[str, Any] | None = None


class LeftRecords:
    """Records that left with one session while another one still holds them.

    `saved` are the references that the last process had; `segment_of` says where they lie.
    """

    def __init__(self, saved: Iterable[int], segment_of: Callable[[int], int]) -> None:
        self._segment_of = segment_of
        # By segment, since they are forgotten with it.
        self._by_segment: dict[int, set[int]] = {}
        # Those that no commit has saved yet.
        self._fresh: list[int] = []
        for ref in saved:
            self._by_segment.setdefault(segment_of(ref), set()).add(ref)

    def leave(self, refs: array[int]) -> array[int]:
        """Those whose records have not left yet, without their marks; now they leave."""
        if max(refs) < SHARED:
            return refs
        found = array("q")
        for ref in refs:
            plain = ref & PLAIN
            if ref & SHARED:
                left = self._by_segment.setdefault(self._segment_of(plain), set())
                if plain in left:
                    continue
                left.add(plain)
                self._fresh.append(plain)
            found.append(plain)
        return found

    def changes(self) -> list[int]:
        """What came since the last call."""
        fresh = self._fresh
        self._fresh = []
        return fresh

    def forget_before(self, segment: int) -> None:
        """These segments are gone."""
        for number in [number for number in self._by_segment if number < segment]:
            del self._by_segment[number]
