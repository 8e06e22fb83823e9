"""The keys of the chunks that were committed, in the store; see `store.py`, which owns the file.

Nearly every chunk is a new one, and a look into the file for it costs as much as to judge a record.
So a filter in memory (Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970)
knows all keys of the file: what it does not have is surely not there, and only what it may have is
looked for. It is filled from the file when that is opened. Keys that were deleted from the file
stay in the filter for a while, which costs a look and changes no answer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from ..sqlite import Errors, transaction

# Bits of the filter for each key. Of a hundred keys that are not there, two are looked for.
_BITS_A_KEY = 16
# Bytes of a key that say where its bits are. They are the end of a digest, so each value of them is
# as likely as any other.
_PLACE_BYTES = 4
# Outdated keys that a commit deletes besides as many as it adds. Deleting all at once could stop
# the service for seconds after a quiet weekend.
_SWEEP = 100


class KeyFilter:
    """Whether a key may be among the last `most` that were added; no false one is missed.

    >>> known = KeyFilter(100)
    >>> known.add([b"a key of a chunk"])
    >>> known.may_have(b"a key of a chunk"), known.may_have(b"another, which is new")
    (True, False)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._mask = (1 << (most * _BITS_A_KEY - 1).bit_length()) - 1
        # The keys of the present run of `most` keys, and of the run before.
        self._present = bytearray(self._mask // 8 + 1)
        self._before = b""
        self._count = 0

    def may_have(self, key: bytes) -> bool:
        """Whether a key was added; now and then it says so of a key that was not."""
        mask = self._mask
        one = int.from_bytes(key[-_PLACE_BYTES:]) & mask
        other = int.from_bytes(key[-2 * _PLACE_BYTES : -_PLACE_BYTES]) & mask
        for bits in (self._present, self._before):
            if bits and bits[one >> 3] >> (one & 7) & bits[other >> 3] >> (other & 7) & 1:
                return True
        return False

    def add(self, keys: Iterable[bytes]) -> None:
        """Add keys. A key is forgotten after `most` to twice as many others were added."""
        mask = self._mask
        for key in keys:
            if self._count == self._most:
                self._before = bytes(self._present)
                self._present = bytearray(len(self._before))
                self._count = 0
            self._count += 1
            for part in (key[-_PLACE_BYTES:], key[-2 * _PLACE_BYTES : -_PLACE_BYTES]):
                place = int.from_bytes(part) & mask
                self._present[place >> 3] |= 1 << (place & 7)


class ChunkTable:
    """Reads and writes the table of keys, and that of an older version. Raises the store's errors.

    At most `most` keys are kept, each for `kept_s` seconds.
    """

    def __init__(self, errors: Errors, most: int, kept_s: float) -> None:
        self._errors = errors
        self._most = most
        self._kept_s = kept_s
        # Whether keys of version 1 are left, which costs one more look-up for each chunk.
        self.has_old_keys = False

    def open(self, db: sqlite3.Connection) -> None:
        """Begin with what a file holds."""
        self._db = db
        self.has_old_keys = False
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'old_chunk'").fetchone():
            self.has_old_keys = db.execute("SELECT 1 FROM old_chunk").fetchone() is not None
        self._oldest_at = self._at_of_oldest()
        oldest, newest = self._range()
        # No fewer than there are keys: how many numbers lie between the oldest and the newest.
        self._rows = newest - oldest + 1
        self._known = KeyFilter(max(self._most, 1))
        self._known.add(key for (key,) in db.execute("SELECT id FROM chunk ORDER BY n"))

    def has(self, key: bytes) -> bool:
        """Whether a chunk with this key was committed, if its key is still kept."""
        if not self._known.may_have(key):
            return False
        # Not by `translated`: a context manager would cost as much as the look-up.
        try:
            row = self._db.execute("SELECT 1 FROM chunk WHERE id = ?", (key,)).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise self._errors.of(error) from None
        return row is not None

    def had(self, old_key: bytes) -> bool:
        """Whether a program of version 1 committed a chunk; its keys are made of the id alone."""
        if not self.has_old_keys:
            return False
        with self._errors.translated():
            found = self._db.execute("SELECT 1 FROM old_chunk WHERE id = ?", (old_key,)).fetchone()
        return found is not None

    def forget(self, keys: Sequence[bytes]) -> None:
        """Delete keys at once. When this raises, none was deleted."""
        with self._errors.translated(), transaction(self._db) as db:
            self.delete(db, keys)

    def forget_half(self, at_least: int) -> int:
        """Delete the older half of the keys, if there are more than `at_least`.

        Returns how many were deleted.
        """
        with self._errors.translated():
            oldest, newest = self._range()
            if newest - oldest < at_least:
                return 0
            middle = (oldest + newest) // 2
            return self._db.execute("DELETE FROM chunk WHERE n <= ?", (middle,)).rowcount

    def write(self, db: sqlite3.Connection, keys: Sequence[bytes], now_s: float) -> None:
        """Add new keys, and delete those that are too many or too old; in a commit's transaction.

        Only the oldest keys are looked at, so this costs what is added and not what is kept.
        """
        self._known.add(keys)
        rows = ((key, int(now_s)) for key in keys)
        db.executemany("INSERT OR IGNORE INTO chunk (id, at) VALUES (?, ?)", rows)
        self._rows += len(keys)
        looked_at = len(keys) + _SWEEP
        too_old = int(now_s - self._kept_s)
        if self._oldest_at is None or self._oldest_at < too_old:
            _sweep(db, "chunk", looked_at, too_old)
            self._oldest_at = self._at_of_oldest()
        if self.has_old_keys:
            _sweep(db, "old_chunk", looked_at, too_old)
        if self._rows > self._most:
            db.execute("DELETE FROM chunk WHERE n <= (SELECT max(n) FROM chunk) - ?", (self._most,))

    def delete(self, db: sqlite3.Connection, keys: Sequence[bytes]) -> None:
        """Delete keys within a transaction."""
        tables = ["chunk"]
        if self.has_old_keys:
            tables.append("old_chunk")
        for table in tables:
            db.executemany(f"DELETE FROM {table} WHERE id = ?", ((key,) for key in keys))

    def _range(self) -> tuple[int, int]:
        """The numbers of the oldest and of the newest key; 0 and 0 where there is none."""
        ((oldest, newest),) = self._db.execute(
            "SELECT coalesce(min(n), 0), coalesce(max(n), 0) FROM chunk"
        )
        return oldest, newest

    def _at_of_oldest(self) -> int | None:
        """When the oldest key came, in Unix seconds; None where there is none.

        The answer holds until keys are swept: what is deleted otherwise can only make it later.
        """
        row = self._db.execute("SELECT at FROM chunk ORDER BY n LIMIT 1").fetchone()
        if row is None:
            return None
        return int(row[0])


def _sweep(db: sqlite3.Connection, table: str, looked_at: int, too_old: int) -> None:
    """Delete keys from before `too_old`, in Unix seconds, among the oldest `looked_at`."""
    oldest = f"SELECT max(n) FROM (SELECT n, at FROM {table} ORDER BY n LIMIT ?) WHERE at < ?"
    db.execute(f"DELETE FROM {table} WHERE n <= ({oldest})", (looked_at, too_old))
