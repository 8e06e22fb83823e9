"""What the two SQLite files, the store and the knowledge, have in common.

Both open a private file, run all-or-nothing transactions, and report SQLite's errors by who must
act. They differ in their schemas and in how they share the file: the store locks it for one
process, the knowledge lets commands write beside the service.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import StoreDamaged, StoreError

# Result codes of SQLite that say that the file itself cannot be trusted, whoever reads it.
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
# The low byte of an extended result code is the primary one, which is all that is told apart here.
_PRIMARY_CODE = 0xFF
# Only the owner may read these files: they hold log lines and sentences about them.
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Errors:
    """Translates SQLite's and the system's errors into this package's own.

    `file` names the file in messages, for example `store /var/lib/krone.db`. `busy` makes the
    error for a file that another process holds; what the operator should do then differs by file.

    >>> errors = Errors("store a.db", lambda: StoreError("store a.db is in use"))
    >>> with errors.translated():
    ...     raise OSError("disk full")
    Traceback (most recent call last):
    fluent_krone.errors.StoreError: store a.db: disk full
    """

    file: str
    busy: Callable[[], Exception]

    def of(self, error: Exception) -> Exception:
        """The error to raise in place of `error`."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
        if code == sqlite3.SQLITE_BUSY:
            return self.busy()
        if code in DAMAGE:
            return StoreDamaged(f"{self.file} can't be read: {error}")
        if isinstance(error, OSError):
            return StoreError(f"{self.file}: {error.strerror or error}")
        return StoreError(f"{self.file}: {error}")

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Translate what the block raises. A value too large for SQLite counts as its error."""
        try:
            yield
        except (sqlite3.Error, OverflowError, OSError) as error:
            raise self.of(error) from None


def create_private(path: Path) -> None:
    """Create an empty file that only its owner may read; an existing file is left alone.

    A file that exists is not even opened: closing it again would drop the locks that SQLite
    holds on it elsewhere in this process.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _MODE))


def connect(
    path: Path | str, wait_s: float, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """A connection without implicit transactions, once `prepare` has set it up.

    It is closed again when `prepare` raises. A lock is waited for `wait_s` seconds. The path
    `":memory:"` gives a database that lives as long as its connection.
    """
    if isinstance(path, Path):
        create_private(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=wait_s)
    try:
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing: rolled back when the block raises, or when the commit itself does."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def set_aside(path: Path) -> Path:
    """Rename a damaged file that nobody has open, and return its new name.

    The file that was set aside before is replaced: keeping all of them could fill the disk.
    """
    aside = path.with_name(path.name + ".unreadable")
    for suffix in ("", "-wal", "-shm"):
        source = Path(f"{path}{suffix}")
        target = Path(f"{aside}{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            source.rename(target)
    return aside


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time create or set aside a file in the folder.

    SQLite's own locks do not cover a file that several processes create at the same moment.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
