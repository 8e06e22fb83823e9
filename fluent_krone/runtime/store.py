"""One SQLite file: open sessions, the keys of chunks taken in, alerts on their way out.

A commit is written as a whole or not at all, however the process ends. Each commit appends the new
parts of the sessions that changed, so it costs what changed, not what is open; the parts of a
session are deleted when it ends.

The journal is a write-ahead log with `synchronous NORMAL`: SQLite hands a commit to the kernel, and
syncs it to disk at checkpoints only. A killed process loses nothing. A power cut may take back the
last commits, but always whole ones, just as it may take back what Fluentd's own file buffer and
position file held. `FULL` syncs each commit and loses nothing then either.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack

from ..alerts.incident import IncidentChanges
from ..config import Config
from ..core.hierarchy import runs
from ..core.novelties import NOVELTIES_KEPT
from ..errors import ConfigError, StoreDamaged
from ..sqlite import Errors, connect, set_aside, transaction
from ..types import Alert
from .chunk_table import ChunkTable
from .kept import KEPT_SCHEMA, KeptChanges, KeptTables

_log = logging.getLogger(__name__)

# Version of the tables below, kept in SQLite's `user_version`. Raise it with a step in `_STEPS`.
VERSION = 3
_INCIDENTS = "CREATE TABLE incident (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"
_SCHEMA = f"""
CREATE TABLE state (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE part (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
-- n: of the last start in the row
CREATE TABLE started (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE novelty (n INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE chunk (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, at INTEGER NOT NULL);
CREATE TABLE alert (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
{_INCIDENTS}
{KEPT_SCHEMA}
"""
# What turns a store of each older version into one of the next. A step runs in the transaction that
# also raises the version, so that a kill leaves one or the other.
#
# 1 → 2: the key of a chunk is made of tag, id and size, and no longer of the id alone. The old keys
#        stay in a table of their own until they are outdated, so that a chunk which an older
#        program committed is still recognised when it is sent again.
# 2 → 3: open incidents are kept, and what is known of kept records.
_STEPS = {
    1: """
ALTER TABLE chunk RENAME TO old_chunk;
CREATE TABLE chunk (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, at INTEGER NOT NULL);
""",
    2: _INCIDENTS + KEPT_SCHEMA,
}
# Seconds to wait for a file that another process holds. When Fluentd was killed and starts again,
# the child of the killed one still needs a moment to end.
_LOCK_WAIT_S = 10.0
# Bytes of a page. A session takes a few kilobytes; with smaller pages a commit costs a tenth more.
_PAGE_BYTES = 16_384
# Kilobytes of pages that SQLite keeps in memory; hot pages are then not read again.
_CACHE_KB = 8_000
# Pages of log, 64 MB, before they are copied into the file: pages that change with each commit are
# then copied once for many commits.
_CHECKPOINT_PAGES = 4_000
# The parameters' defaults, which stand in the configuration only.
_DEFAULTS = Config()


class Store:
    """The file at `path`, held by one process at a time; created if it is absent.

    Raises ConfigError when another process holds it, StoreDamaged when it can't be read, StoreError
    for all else.

    >>> import tempfile
    >>> from fluent_krone.runtime.repeats import chunk_key
    >>> path = Path(tempfile.mkdtemp()) / "krone.db"
    >>> store = Store(path)
    >>> store.commit({"watermark": 7, "templates": []}, [chunk_key("id")], [], 0)
    >>> store.close()
    >>> Store(path).chunks.has(chunk_key("id"))
    True
    """

    def __init__(
        self,
        path: Path,
        *,
        sync: str = _DEFAULTS.store_sync,
        max_chunks: int = _DEFAULTS.max_chunk_ids,
        chunks_kept_s: float = _DEFAULTS.keep_chunk_ids,
        starts_kept: int = _DEFAULTS.cache_size,
        lock_wait_s: float = _LOCK_WAIT_S,
    ) -> None:
        self.path = path
        self._sync = sync
        self._starts_kept = starts_kept
        self._lock_wait_s = lock_wait_s
        self._errors = Errors(f"store {path}", self._in_use)
        # Where a damaged file was moved to, until the new one is open.
        self._aside: Path | None = None
        # How values become bytes; the engine packs its sessions with it.
        self.pack: Callable[[Any], bytes] = msgpack.Packer().pack
        # The keys of chunks, and the tables of kept records.
        self.chunks = ChunkTable(self._errors, max_chunks, chunks_kept_s)
        self.kept = KeptTables(self._errors)
        with self._errors.translated():
            self._open()

    def load(self) -> dict[str, Any] | None:
        """The engine's state as a snapshot; None when nothing was saved yet.

        Its `sessions` are read from the file as they are used, which may raise StoreDamaged.
        """
        state = dict(self._rows("SELECT name, data FROM state"))
        if not state:
            return None
        novelties = self._rows("SELECT name, data FROM novelty ORDER BY n")
        parts = self._rows("SELECT data FROM part ORDER BY n")
        starts = self._rows("SELECT data FROM started ORDER BY n")
        return {name: _unpacked(data) for name, data in state.items()} | {
            "novelties": [(name, _unpacked(data)) for name, data in novelties],
            "sessions": (_unpacked(data) for (data,) in parts),
            "started": [start for (data,) in starts for start in _unpacked(data)],
        }

    def alerts(self) -> list[Alert]:
        """Alerts that no receiver has confirmed, in the order of their commits."""
        rows = self._rows("SELECT data FROM alert ORDER BY n")
        return [Alert(*_unpacked(data)) for (data,) in rows]

    def incidents(self) -> list[dict[str, Any]]:
        """The open incidents, as `Incidents.restore` takes them."""
        rows = self._rows("SELECT data FROM incident ORDER BY id")
        return [_unpacked(data) for (data,) in rows]

    def commit(
        self,
        changes: Mapping[str, Any],
        chunks: Sequence[bytes],
        alerts: Sequence[Alert],
        now_s: float,
        arrived: Sequence[bytes] = (),
        kept: tuple[int, KeptChanges] | None = None,
    ) -> None:
        """Write it all in one transaction.

        `changes` is what `Engine.changes` gave, with the `incidents` that changed; `chunks` are the
        keys of new chunks, `alerts` the new ones, `arrived` the keys of chunks that never come
        again, `kept` the number of the first new row of kept records and what else changed of
        them. When this raises, nothing was written, and the same call may be made again.
        """
        # Numbers of rows are given here and not by SQLite, so that a call that is made again
        # after a failure writes the same rows once more instead of new ones.
        state = dict(changes)
        parts = state.pop("sessions", ())
        dropped = state.pop("dropped", ())
        started = state.pop("started", ())
        novelties = state.pop("novelties", ())
        incidents = state.pop("incidents", None)
        with self._errors.translated(), transaction(self._db) as db:
            if "templates" in state:
                _clear_engine(db)
            if dropped:
                db.executemany("DELETE FROM part WHERE n BETWEEN ? AND ?", _runs(dropped))
            db.executemany("REPLACE INTO part VALUES (?, ?)", parts)
            self._write_alerts(db, alerts)
            saved = self._write_state(db, state)
            if started:
                self._write_started(db, started)
            if novelties:
                self._write_novelties(db, novelties)
            if incidents is not None:
                self._write_incidents(db, incidents)
            if arrived:
                self.chunks.delete(db, arrived)
            if chunks:
                self.chunks.write(db, chunks, now_s)
            if kept is not None:
                self.kept.write(db, *kept)
        self._saved_state |= saved
        self._has_confirmed = False
        self._next["started"] += len(started)
        self._next["alert"] += len(alerts)

    def confirm(self, count: int) -> None:
        """Delete the `count` oldest alerts: their receiver has them.

        Should this fail, the next commit deletes them.
        """
        self._unconfirmed += count
        self._has_confirmed = True
        with self._errors.translated():
            self._db.execute("DELETE FROM alert WHERE n < ?", (self._unconfirmed,))
        self._has_confirmed = False

    def size(self) -> int:
        """Bytes in use in the file, without the write-ahead log."""
        with self._errors.translated():
            ((pages,),) = self._db.execute("PRAGMA page_count")
            ((free,),) = self._db.execute("PRAGMA freelist_count")
        return int((pages - free) * self._page_bytes)

    def renew(self) -> Path:
        """Set the file aside and continue with an empty one; returns the old file's new name.

        When this raises, it may be called again.
        """
        self._db.close()
        with self._errors.translated():
            # A second call must not set the file aside again: an empty one would replace it.
            if self._aside is None:
                self._aside = set_aside(self.path)
            aside = self._aside
            self._open()
        self._aside = None
        return aside

    def close(self) -> None:
        """Copy the log into the file and close both; may be called twice."""
        self._db.close()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._db = connect(self.path, self._lock_wait_s, self._prepare)
        self.kept.db = self._db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._sync}")
        # Debian's SQLite switches this on: each deleted row would be overwritten with zeros.
        db.execute("PRAGMA secure_delete = OFF")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        ((version,),) = db.execute("PRAGMA user_version")
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT")
        else:
            self._migrate(db, version)
        ((self._page_bytes,),) = db.execute("PRAGMA page_size")
        # What those rows of the engine's state hold that this process wrote.
        self._saved_state: dict[str, bytes] = {}
        self.chunks.open(db)
        self._next = {table: 1 + _last(db, table) for table in ("started", "alert")}
        # The number of the oldest alert that nobody has confirmed.
        ((self._unconfirmed,),) = db.execute(
            "SELECT coalesce(min(n), ?) FROM alert", (self._next["alert"],)
        )
        # Whether alerts may be left that were confirmed while the file failed.
        self._has_confirmed = False

    def _migrate(self, db: sqlite3.Connection, version: int) -> None:
        """Bring an older store up to date. A newer one is refused: its sessions would be lost."""
        if version > VERSION:
            raise ConfigError(
                f"store {self.path} has version {version}, and this program reads versions up to "
                f"{VERSION}: run the newer program again, or name another store"
            )
        for step in range(version, VERSION):
            if step not in _STEPS:
                raise StoreDamaged(f"store {self.path} has version {version}, which never was")
            db.executescript(
                f"BEGIN IMMEDIATE; {_STEPS[step]} PRAGMA user_version = {step + 1}; COMMIT"
            )
            _log.info("store migrated file=%s version=%d", self.path, step + 1)

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._errors.translated():
            rows = self._db.execute(query)
            while (row := rows.fetchone()) is not None:
                yield row

    def _write_alerts(self, db: sqlite3.Connection, alerts: Sequence[Alert]) -> None:
        """Add the new ones, and delete those that were confirmed while the file failed."""
        rows = (
            (n, self.pack(_alert_row(alert)))
            for n, alert in enumerate(alerts, start=self._next["alert"])
        )
        if alerts:
            db.executemany("REPLACE INTO alert VALUES (?, ?)", rows)
        if self._has_confirmed:
            db.execute("DELETE FROM alert WHERE n < ?", (self._unconfirmed,))

    def _write_state(self, db: sqlite3.Connection, state: Mapping[str, Any]) -> dict[str, bytes]:
        """Write the rows that changed, and return them: most say the same for a long time."""
        packed = {name: self.pack(value) for name, value in state.items()}
        changed = {
            name: data for name, data in packed.items() if self._saved_state.get(name) != data
        }
        db.executemany("REPLACE INTO state VALUES (?, ?)", changed.items())
        return changed

    def _write_started(self, db: sqlite3.Connection, started: Sequence[Any]) -> None:
        """One row for the sessions that started; rows that are too old are deleted."""
        last = self._next["started"] + len(started) - 1
        db.execute("REPLACE INTO started VALUES (?, ?)", (last, self.pack(started)))
        too_old = last - 2 * self._starts_kept
        if too_old > 0:
            db.execute("DELETE FROM started WHERE n <= ?", (too_old,))

    def _write_incidents(self, db: sqlite3.Connection, changes: IncidentChanges) -> None:
        """Bring the open incidents up to date."""
        if changes.everything:
            db.execute("DELETE FROM incident")
        # An incident may end and another one begin under its id, so what ended goes first.
        db.executemany("DELETE FROM incident WHERE id = ?", ((name,) for name in changes.ended))
        rows = ((name, self.pack(incident.saved())) for name, incident in changes.changed.items())
        db.executemany("REPLACE INTO incident VALUES (?, ?)", rows)

    def _write_novelties(
        self, db: sqlite3.Connection, novelties: Iterable[tuple[bytes, Any]]
    ) -> None:
        """Keep those touched last: `REPLACE` gives a row a new number."""
        rows = ((name, self.pack(entry)) for name, entry in novelties)
        db.executemany("REPLACE INTO novelty (name, data) VALUES (?, ?)", rows)
        db.execute(
            "DELETE FROM novelty"
            " WHERE n <= (SELECT n FROM novelty ORDER BY n DESC LIMIT 1 OFFSET ?)",
            (NOVELTIES_KEPT,),
        )

    def _in_use(self) -> ConfigError:
        return ConfigError(
            f"store {self.path} is in use by another process: give each service, and each "
            "<match> block, its own store"
        )


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers without a gap.

    Sessions that began together mostly end together, so a few runs cover most deletions.
    """
    ascending = sorted(numbers)
    for start, end in runs([number - place for place, number in enumerate(ascending)]):
        yield ascending[start], ascending[end - 1]


def _clear_engine(db: sqlite3.Connection) -> None:
    """Delete what was saved of the engine: all of it is about to be written anew."""
    for table in ("part", "started", "novelty"):
        db.execute(f"DELETE FROM {table}")


def _last(db: sqlite3.Connection, table: str) -> int:
    ((last,),) = db.execute(f"SELECT coalesce(max(n), 0) FROM {table}")
    return int(last)


def _alert_row(alert: Alert) -> list[Any]:
    return [alert.alert_id, alert.tag, alert.time_ns, alert.record]


def _unpacked(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise StoreDamaged(f"store: a row can't be read ({error.__class__.__name__})") from None
