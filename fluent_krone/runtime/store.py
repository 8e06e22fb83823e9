"""One SQLite file: open sessions, the ids of chunks taken in, alerts on their way out.

What a commit holds is either all there or not at all, however the process ends. Each commit appends the new parts of
the sessions that changed, so it costs what changed, not what is open; a session's parts go when it ends.

The journal is a write-ahead log with `synchronous NORMAL`: SQLite hands a commit to the kernel and syncs at checkpoints
only. A killed process loses nothing. A power cut may take back the last commits, though never half of one, as it may
take what Fluentd's own file buffer and position file held; `FULL` syncs each commit and loses nothing then either.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgpack

from ..core.engine import NOVELTIES_KEPT
from ..core.hierarchy import runs
from ..errors import ConfigError, StoreDamaged, StoreError
from ..sqlite import set_aside
from ..types import Alert

VERSION = 1
_SCHEMA = """
CREATE TABLE state (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE part (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE started (n INTEGER PRIMARY KEY, data BLOB NOT NULL); -- n: of the last start in it
CREATE TABLE novelty (n INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE chunk (n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, at INTEGER NOT NULL);
CREATE TABLE alert (n INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_LOCK_WAIT_S = (
    10.0  # a Fluentd that was killed and started again: the child that it had is about to end
)
_PAGE_BYTES = 16_384  # a few kilobytes a session: smaller pages cost a tenth more
_CACHE_KB = 8_000
_CHECKPOINT_PAGES = 4_000  # 64 MB of log: hot pages are copied into the file once for many commits
_SWEEP = 100  # outdated chunk ids that a commit deletes, besides as many as it adds

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _told(
    method: Callable[Concatenate[Store, _P], _T],
) -> Callable[Concatenate[Store, _P], _T]:
    """Turn SQLite's errors into ours, by who must act."""

    def telling(self: Store, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(self, *args, **kwargs)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from None

    telling.__doc__ = method.__doc__
    return telling


class Store:
    """The file at `path`, held by one process at a time; made if it is absent.

    Raises ConfigError when another process has it, StoreDamaged when it can't be read, StoreError for all else.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "krone.db"
    >>> store = Store(path)
    >>> store.commit({"watermark": 7, "templates": []}, [chunk_key("id")], [], 0)
    >>> store.close()
    >>> Store(path).has_chunk(chunk_key("id"))
    True
    """

    def __init__(
        self,
        path: Path,
        *,
        sync: str = "normal",
        max_chunks: int = 1_000_000,
        chunks_kept_s: float = 3 * 86400.0,
        starts_kept: int = 100_000,
        lock_wait_s: float = _LOCK_WAIT_S,
    ) -> None:
        self.path = path
        self._sync = sync
        self._max_chunks = max_chunks
        self._chunks_kept_s = chunks_kept_s
        self._starts_kept = starts_kept
        self._lock_wait_s = lock_wait_s
        self._aside: Path | None = None  # where a damaged file lies, until there is a new one
        self.pack: Callable[[Any], bytes] = msgpack.Packer().pack  # how it keeps values
        self._open()

    def load(self) -> dict[str, Any] | None:
        """The engine's state as a snapshot, None when nothing was saved yet. Its `sessions` are read as they are used.

        Reading them may raise StoreDamaged.
        """
        state = dict(self._rows("SELECT name, data FROM state"))
        if not state:
            return None
        return {name: _unpacked(data) for name, data in state.items()} | {
            "novelties": [
                (name, _unpacked(data))
                for name, data in self._rows("SELECT name, data FROM novelty ORDER BY n")
            ],
            "sessions": (
                _unpacked(data) for (data,) in self._rows("SELECT data FROM part ORDER BY n")
            ),
            "started": [
                start
                for (data,) in self._rows("SELECT data FROM started ORDER BY n")
                for start in _unpacked(data)
            ],
        }

    def alerts(self) -> list[Alert]:
        """Alerts that no receiver has confirmed, in order."""
        return [
            Alert(*_unpacked(data)) for (data,) in self._rows("SELECT data FROM alert ORDER BY n")
        ]

    @_told
    def has_chunk(self, key: bytes) -> bool:
        """Whether a chunk with this `chunk_key` was committed, as far as ids are kept."""
        return self._db.execute("SELECT 1 FROM chunk WHERE id = ?", (key,)).fetchone() is not None

    @_told
    def commit(
        self,
        changes: Mapping[str, Any],
        chunks: Sequence[bytes],
        alerts: Sequence[Alert],
        now_s: float,
    ) -> None:
        """Write it all in one transaction: what `Engine.changes` gave, the keys of new chunks, new alerts.

        When it raises, nothing was written, and the same call may be made again.
        """
        changes = dict(changes)
        parts, dropped = changes.pop("sessions", ()), changes.pop("dropped", ())
        started, novelties = changes.pop("started", ()), changes.pop("novelties", ())
        first, pack = self._next, self.pack
        with _Transaction(self._db) as write:
            if "templates" in changes:
                for table in ("part", "started", "novelty"):
                    write(f"DELETE FROM {table}")
            write.many("DELETE FROM part WHERE n BETWEEN ? AND ?", _runs(dropped))
            write.many("REPLACE INTO part VALUES (?, ?)", parts)
            write.many(
                "REPLACE INTO novelty (name, data) VALUES (?, ?)", self._novelty_rows(novelties)
            )
            write.many(
                "REPLACE INTO alert VALUES (?, ?)",
                self._rows_of(map(_alert_row, alerts), first["alert"]),
            )
            write.many(
                "INSERT OR IGNORE INTO chunk (id, at) VALUES (?, ?)",
                ((key, int(now_s)) for key in chunks),
            )
            write.many(
                "REPLACE INTO state VALUES (?, ?)", ((n, pack(v)) for n, v in changes.items())
            )
            write("DELETE FROM alert WHERE n < ?", self._unconfirmed)
            if started:
                last = first["started"] + len(started) - 1
                write("REPLACE INTO started VALUES (?, ?)", last, pack(started))
                write("DELETE FROM started WHERE n <= ?", last - 2 * self._starts_kept)
            if novelties:
                self._sweep_novelties(write)
            if chunks:
                self._sweep_chunks(write, len(chunks) + _SWEEP, now_s)
        for table, rows in (("started", started), ("alert", alerts)):
            first[table] += len(rows)

    @_told
    def confirm(self, count: int) -> None:
        """Forget the `count` oldest alerts: their receiver has them. Should that fail, the next commit does it."""
        self._unconfirmed += count
        self._db.execute("DELETE FROM alert WHERE n < ?", (self._unconfirmed,))

    @_told
    def forget_chunks(self, at_least: int) -> int:
        """Make room: forget the older half of more than `at_least` chunk ids. Returns how many went."""
        ((oldest, newest),) = self._db.execute(
            "SELECT coalesce(min(n), 0), coalesce(max(n), 0) FROM chunk"
        )
        if newest - oldest < at_least:
            return 0
        return self._db.execute(
            "DELETE FROM chunk WHERE n <= ?", ((oldest + newest) // 2,)
        ).rowcount

    @_told
    def size(self) -> int:
        """Bytes in use, without the log that SQLite has yet to fold in."""
        ((pages,),) = self._db.execute("PRAGMA page_count")
        ((free,),) = self._db.execute("PRAGMA freelist_count")
        return int((pages - free) * self._page_bytes)

    @_told
    def renew(self) -> Path:
        """Set the file aside and go on with an empty one; returns where it lies now.

        When it raises, it may be called again.
        """
        self._db.close()
        self._aside = aside = self._aside or set_aside(
            self.path
        )  # once, or an empty one would take its place
        self._open()
        self._aside = None
        return aside

    def close(self) -> None:
        """Fold the log in and let go of the file; may be called twice."""
        self._db.close()

    @_told
    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(
            os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        )  # it holds log lines: its owner's only
        self._db = sqlite3.connect(self.path, isolation_level=None, timeout=self._lock_wait_s)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._sync}")
        db.execute(
            "PRAGMA secure_delete = OFF"
        )  # on in Debian's SQLite: each deleted row is overwritten with zeros
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        ((version,),) = db.execute("PRAGMA user_version")
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT")
        elif version != VERSION:
            raise StoreDamaged(
                f"store {self.path} has version {version}, this program reads {VERSION}"
            )
        ((self._page_bytes,),) = db.execute("PRAGMA page_size")
        self._next = {table: 1 + self._last(table) for table in ("started", "alert")}
        ((self._unconfirmed,),) = db.execute(
            "SELECT coalesce(min(n), ?) FROM alert", (self._next["alert"],)
        )

    def _last(self, table: str) -> int:
        ((last,),) = self._db.execute(f"SELECT coalesce(max(n), 0) FROM {table}")
        return int(last)

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            rows = self._db.execute(query)
            while (row := rows.fetchone()) is not None:
                yield row
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _rows_of(self, values: Iterable[Any], first: int) -> Iterator[tuple[int, bytes]]:
        pack = self.pack
        return ((n, pack(value)) for n, value in enumerate(values, first))

    def _novelty_rows(
        self, novelties: Iterable[tuple[bytes, Any]]
    ) -> Iterator[tuple[bytes, bytes]]:
        return ((name, self.pack(entry)) for name, entry in novelties)

    def _sweep_novelties(self, write: _Transaction) -> None:
        """Keep those touched last: `REPLACE` gives a row a new number."""
        write(
            "DELETE FROM novelty WHERE n <= (SELECT n FROM novelty ORDER BY n DESC LIMIT 1 OFFSET ?)",
            NOVELTIES_KEPT,
        )

    def _sweep_chunks(self, write: _Transaction, most: int, now_s: float) -> None:
        """Forget ids that are too many, and a few of those that are too old: the oldest are looked at, no others."""
        oldest = "SELECT max(n) FROM (SELECT n, at FROM chunk ORDER BY n LIMIT ?) WHERE at < ?"
        write(f"DELETE FROM chunk WHERE n <= ({oldest})", most, int(now_s - self._chunks_kept_s))
        write("DELETE FROM chunk WHERE n <= (SELECT max(n) FROM chunk) - ?", self._max_chunks)

    def _error(self, error: sqlite3.Error | OSError) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            return ConfigError(f"store {self.path} is in use by another process: give each its own")
        if code in _DAMAGE:
            return StoreDamaged(f"store {self.path} can't be read: {error}")
        return StoreError(f"store {self.path}: {error}")


class _Transaction:
    """All or nothing: rolled back when the block raises, or when the commit itself does."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> _Transaction:
        self._db.execute("BEGIN IMMEDIATE")
        return self

    def __call__(self, statement: str, *values: Any) -> None:
        self._db.execute(statement, values)

    def many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._db.executemany(statement, rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")


def chunk_key(chunk: str | bytes) -> bytes:
    """What is kept of a chunk's id: 16 bytes, however long a client makes it."""
    name = chunk.encode("utf-8", "surrogateescape") if isinstance(chunk, str) else chunk
    return hashlib.blake2b(name, digest_size=16).digest()


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers without a gap: sessions that began together mostly end together."""
    ascending = sorted(numbers)
    for start, end in runs([number - place for place, number in enumerate(ascending)]):
        yield ascending[start], ascending[end - 1]


def _alert_row(alert: Alert) -> list[Any]:
    return [alert.alert_id, alert.tag, alert.time_ns, alert.record]


def _unpacked(data: bytes) -> Any:
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except (ValueError, TypeError, msgpack.OutOfData) as error:
        raise StoreDamaged(f"store: a row can't be read ({error.__class__.__name__})") from None
