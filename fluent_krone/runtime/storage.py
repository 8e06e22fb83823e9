"""What the service remembers of chunks and alerts: in a store, or in memory where there is none."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lru import LRU

from ..config import Config
from ..core.engine import Engine
from ..errors import ConfigError, StoreDamaged, StoreError
from ..keeping.releases import Row
from ..types import Alert
from .kept import KeptChanges
from .store import Store

_log = logging.getLogger(__name__)

# Chunk ids remembered without a store. 100,000 take about 10 MB; a chunk that is sent again comes
# minutes later at most, and older ids are forgotten first.
_CHUNKS_REMEMBERED = 100_000
# Commits from one look at a store's size to the next, while it is not half as large as it may be.
_COMMITS_A_LOOK = 16
# The newest chunk ids that stay however full the store is: without them each retry of a busy sender
# would be counted twice.
_CHUNKS_AT_LEAST = 1_000


def check_store(config: Config) -> str | None:
    """What this user may not do with the store, who need not be the one that runs the service.

    Nothing is made. Raises ConfigError for a path at which there can be no store.
    """
    if config.store is None:
        return None
    path = Path(config.store)
    if path.exists() and not path.is_file():
        raise ConfigError(
            f"store {path} is no file: name a file that does not exist yet, or a store"
        )
    # Folders that are missing are made.
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if nearest != path and not nearest.is_dir():
        raise ConfigError(f"store {path} cannot be made: {nearest} is no folder")
    if not os.access(nearest, os.W_OK):
        return f"store {path} cannot be written by this user: {nearest} is not writable"
    return None


class Storage:
    """A store that may break under the service, or the same promises in memory without one.

    `is_new` says that a damaged file was replaced and that the new one is still empty: the next
    write must hold everything that is in memory, not only what changed.
    """

    def __init__(self, store: Store | None, config: Config) -> None:
        self.store = store
        self.is_new = False
        self.size_bytes = 0
        self._damage: StoreDamaged | None = None
        self._max_bytes = config.max_store_size
        # Commits since the store's size was looked at.
        self._commits_unmeasured = _COMMITS_A_LOOK
        # The number of the next row of kept records.
        self._next_row = 1
        self._seen: Any = LRU(min(config.max_chunk_ids, _CHUNKS_REMEMBERED))

    def has_chunk(self, key: bytes) -> bool:
        """Whether a chunk was committed before. Raises StoreError while the store can't be read."""
        if self.store is None:
            return key in self._seen
        return self.store.chunks.has(key)

    @property
    def has_old_keys(self) -> bool:
        """Whether keys of an older version are left, which `had_chunk` finds."""
        return self.store is not None and self.store.chunks.has_old_keys

    def had_chunk(self, old_key: bytes) -> bool:
        """Whether an older version committed a chunk; its keys are made of the id alone."""
        return self.store is not None and self.store.chunks.had(old_key)

    def forget(self, keys: Sequence[bytes]) -> None:
        """Forget chunks at once, without a commit. Raises StoreError; then none is forgotten."""
        if self.store is None:
            for key in keys:
                self._seen.pop(key, None)
        else:
            self.store.chunks.forget(keys)

    def note_damage(self, error: StoreDamaged) -> None:
        """Remember that the file can't be read; `renew` then replaces it."""
        self._damage = error

    def renew(self) -> None:
        """Set a file aside that was damaged while the service ran, and begin an empty one."""
        if self.store is not None and self._damage is not None:
            log_set_aside(self.store.renew(), self._damage)
            self._damage = None
            self.is_new = True

    def changes(self, engine: Engine) -> dict[str, Any]:
        """What changed in the engine since the last call, as rows for the store."""
        if self.store is None:
            return {}
        return engine.changes(self.store.pack)

    def everything(self, engine: Engine) -> dict[str, Any]:
        """All that the engine holds, as rows for a store that is new."""
        engine.track(everything=True)
        return self.changes(engine)

    def write(
        self,
        changes: dict[str, Any],
        chunks: Sequence[bytes],
        arrived: Sequence[bytes],
        alerts: Sequence[Alert],
        now_s: float,
        kept: KeptChanges | None = None,
    ) -> None:
        """Write it all in one transaction, or none of it. Raises StoreError.

        `chunks` are keys to remember, `arrived` keys to forget because the acks have arrived.
        """
        if self.store is not None:
            saved = None
            if kept is not None:
                saved = (self._next_row, kept)
            self.store.commit(changes, chunks, alerts, now_s, arrived, saved)
            self.is_new = False
        else:
            self.forget(arrived)
            self._seen.update(dict.fromkeys(chunks))

    def numbered(self, rows: Sequence[Row]) -> list[tuple[int, Row, bytes | None]]:
        """The rows of the last `write` with their numbers, and their bytes if no store has them."""
        first = self._next_row
        self._next_row += len(rows)
        if self.store is not None:
            return [(number, row, None) for number, row in enumerate(rows, first)]
        return [(number, row, row.pack()) for number, row in enumerate(rows, first)]

    def saved_rows(self) -> list[tuple[int, bytes]]:
        """Rows that were committed and that no receiver has confirmed, with their numbers."""
        if self.store is None:
            return []
        rows = self.store.kept.rows()
        if rows:
            self._next_row = rows[-1][0] + 1
        return rows

    def row(self, number: int) -> bytes | None:
        """The bytes of a row; None if the store that had it was set aside."""
        assert self.store is not None, "BUG: without a store rows are held in memory"
        return self.store.kept.row(number)

    def confirm_rows(self, last: int) -> None:
        """Forget the rows up to this one: their receiver has them.

        If the store can't be written now, its next commit deletes them.
        """
        if self.store is not None and not self.is_new:
            with contextlib.suppress(StoreError):
                self.store.kept.confirm(last)

    def confirm(self, count: int) -> None:
        """Forget the oldest alerts: their receiver has them.

        A new store holds no alerts yet. If the store can't be written now, its next commit deletes
        them.
        """
        if self.store is not None and not self.is_new:
            with contextlib.suppress(StoreError):
                self.store.confirm(count)

    def forget_chunks_over_cap(self) -> int | None:
        """How many chunk ids were forgotten because the store is too large; None: it is not."""
        if self.store is None:
            return None
        self._commits_unmeasured += 1
        if self._commits_unmeasured <= _COMMITS_A_LOOK and self.size_bytes <= self._max_bytes // 2:
            return None
        self._commits_unmeasured = 0
        self.size_bytes = self.store.size()
        if self.size_bytes <= self._max_bytes:
            return None
        return self.store.chunks.forget_half(_CHUNKS_AT_LEAST)

    def close(self) -> None:
        """Close the file."""
        if self.store is not None:
            self.store.close()


def log_set_aside(path: Path, error: Exception) -> None:
    """Report that a store was replaced, and where the old one lies now."""
    _log.error("the store was set aside, what only it held is lost file=%s reason=%s", path, error)
