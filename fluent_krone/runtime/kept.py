"""What a store keeps of kept records, beside the sessions: given to it by a commit, and back.

The store on disk keeps it in tables of its own (`KeptTables`), Kafka in its changelog.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from ..core.references import PLAIN, SHARED
from ..errors import StoreDamaged
from ..keeping.releases import Row
from ..sqlite import Errors
from .spool import first_ref_in

# release: what leaves, a row for each portion that a commit decided
# kind: how many sessions of a kind were kept on a day; the rows keep the order of their first
# shared: references of records that left while another session still holds them
# kept_counts: what was not kept since the last summary, in one row
KEPT_SCHEMA = """
CREATE TABLE release (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE kind (day INTEGER NOT NULL, kind INTEGER NOT NULL, kept INTEGER NOT NULL,
                   UNIQUE (day, kind));
CREATE TABLE shared (ref INTEGER PRIMARY KEY);
CREATE TABLE kept_counts (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
# Days whose kinds are remembered besides the newest one. Sessions end in the order of stream time,
# so no earlier day comes again.
KIND_DAYS = 2


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


class KeptTables:
    """Reads and writes these tables. Raises the store's errors."""

    db: sqlite3.Connection

    def __init__(self, errors: Errors) -> None:
        self._errors = errors
        # The number of the last row that was confirmed.
        self._confirmed = 0

    def load(self) -> KeptSaved:
        """What the last process saved, except the rows that wait."""
        with self._errors.translated():
            kinds = self.db.execute("SELECT day, kind, kept FROM kind ORDER BY rowid").fetchall()
            shared = [ref for (ref,) in self.db.execute("SELECT ref FROM shared")]
            counts = self.db.execute("SELECT data FROM kept_counts").fetchone()
        if counts is None:
            return KeptSaved(kinds, shared, None)
        try:
            return KeptSaved(kinds, shared, msgpack.unpackb(counts[0]))
        except (ValueError, TypeError, msgpack.OutOfData):
            raise StoreDamaged("store: counts of kept records can't be read") from None

    def rows(self) -> list[tuple[int, bytes]]:
        """Rows that no receiver has confirmed, and their numbers, the oldest first."""
        with self._errors.translated():
            return self.db.execute("SELECT n, data FROM release ORDER BY n").fetchall()

    def row(self, number: int) -> bytes | None:
        """One row; None if it is not there."""
        with self._errors.translated():
            found = self.db.execute("SELECT data FROM release WHERE n = ?", (number,)).fetchone()
        if found is None:
            return None
        return bytes(found[0])

    def confirm(self, last: int) -> None:
        """Delete the rows up to this one. Should this fail, the next commit does it."""
        self._confirmed = last
        with self._errors.translated():
            self.db.execute("DELETE FROM release WHERE n <= ?", (last,))

    def write(self, db: sqlite3.Connection, first: int, kept: KeptChanges) -> None:
        """Write what a commit makes final; `first` is the number of its first row."""
        rows = ((n, row.pack()) for n, row in enumerate(kept.rows, first))
        db.executemany("REPLACE INTO release VALUES (?, ?)", rows)
        db.execute("DELETE FROM release WHERE n <= ?", (self._confirmed,))
        if kept.kinds:
            db.executemany(
                "INSERT INTO kind VALUES (?, ?, ?)"
                " ON CONFLICT (day, kind) DO UPDATE SET kept = excluded.kept",
                kept.kinds,
            )
            newest = max(day for day, _, _ in kept.kinds)
            db.execute("DELETE FROM kind WHERE day < ?", (newest - KIND_DAYS,))
        if kept.shared:
            refs = ((ref,) for ref in kept.shared)
            db.executemany("INSERT OR IGNORE INTO shared VALUES (?)", refs)
        if kept.oldest:
            db.execute("DELETE FROM shared WHERE ref < ?", (first_ref_in(kept.oldest),))
        if kept.counts is not None:
            data = msgpack.packb(kept.counts)
            db.execute("REPLACE INTO kept_counts VALUES (1, ?)", (data,))
