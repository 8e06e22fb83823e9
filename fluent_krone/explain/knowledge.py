"""The knowledge file: what models and persons said of patterns, recent alerts, and what was spent.

It is one SQLite file beside the service's store, not inside it: commands change it while the
service runs, and the service locks its store. Nothing is cached here, so a person's mark counts
from the next look-up on. Readers never wait, because the file has a write-ahead log (WAL).

A person's row and a model's row of one pattern are in different tables, so no answer of a model
can change what a person said.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import ConfigError, StoreDamaged, StoreError
from ..sqlite import Errors, alone, connect, set_aside, transaction
from ..types import Alert
from . import Answer, Case, checked
from .accepted import TABLES, accepted_rows, note_changes
from .alert_rows import alert_row
from .redact import plain, redactor
from .rows import (
    Learned,
    Mark,
    Merged,
    Row,
    merge,
    sort_key,
)

_log = logging.getLogger(__name__)

VERSION = 2
# Alerts whose ids are remembered, so that a person can name a pattern by one of them: about 50 MB.
# The oldest are deleted first.
ALERTS_KEPT = 100_000
# SQLite's application id ("kron"): it tells this file from other SQLite files, above all from the
# service's store.
_APPLICATION = 0x6B726F6E
# Seconds that a writer waits for another one. Transactions take milliseconds; when the wait is
# over, a command reports it, and the service counts it and goes on.
_WAIT_S = 5.0
_SCHEMA = (
    """
CREATE TABLE person (
    pattern TEXT PRIMARY KEY, verdict TEXT NOT NULL, note TEXT NOT NULL, "by" TEXT NOT NULL,
    at_ms INTEGER NOT NULL, until_ms INTEGER, about TEXT NOT NULL,
    scope TEXT NOT NULL DEFAULT 'pattern', most REAL
) WITHOUT ROWID;
CREATE TABLE model (
    pattern TEXT PRIMARY KEY, verdict TEXT NOT NULL, confidence REAL NOT NULL,
    summary TEXT NOT NULL, cause TEXT NOT NULL, "check" TEXT NOT NULL, steps TEXT NOT NULL,
    model TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    cost_usd REAL NOT NULL, at_ms INTEGER NOT NULL, bundle_hash TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE alert (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pattern TEXT NOT NULL, tag TEXT NOT NULL,
    session TEXT NOT NULL, about TEXT NOT NULL, explanation TEXT NOT NULL, at_ms INTEGER NOT NULL,
    deviations TEXT NOT NULL DEFAULT '[]', incident TEXT NOT NULL DEFAULT '',
    told TEXT NOT NULL DEFAULT ''
);
CREATE INDEX alert_of ON alert (pattern);
CREATE INDEX incident_of ON alert (incident);
CREATE TABLE spent (
    minute INTEGER PRIMARY KEY, tokens INTEGER NOT NULL, micro_usd INTEGER NOT NULL
);
"""
    + TABLES
)
# What turns a file of each older version into one of the next.
#
# 1 → 2: marks have a scope, and alerts their deviations; templates are accepted. The marks that are
# there are of a pattern.
_STEPS_UP = {
    1: """
ALTER TABLE person ADD COLUMN scope TEXT NOT NULL DEFAULT 'pattern';
ALTER TABLE person ADD COLUMN most REAL;
ALTER TABLE alert ADD COLUMN deviations TEXT NOT NULL DEFAULT '[]';
ALTER TABLE alert ADD COLUMN incident TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN told TEXT NOT NULL DEFAULT '';
CREATE INDEX incident_of ON alert (incident);
"""
    + TABLES
}
_ALERT_COLUMNS = "id, pattern, tag, session, about, explanation, at_ms"
# Sentences that are remembered after masking: alerts of one pattern differ only in their values.
_TEXTS_KEPT = 2048
# The column of `model` that holds a JSON list.
_STEPS_COLUMN = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that was made, with what a person needs to recognise it.

    It is never exported, because it names a session.
    """

    alert_id: str
    pattern: str
    tag: str
    session: str
    about: str
    explanation: str
    at_ms: int


class Knowledge:
    """The file at `path`, created if it is absent; None keeps all in memory.

    A file that cannot be read is set aside, and an empty one takes its place. A command passes
    `existing=True`: then the file is neither created nor set aside. Raises ConfigError for a newer
    version or a file of another kind, and StoreError when the file cannot be opened, read or
    written. `redact` masks sentences of alerts before they are written.

    >>> knowledge = Knowledge(None)
    >>> knowledge.rows(), knowledge.pattern_of("ab" * 16)
    ([], None)
    """

    def __init__(
        self,
        path: Path | None,
        *,
        existing: bool = False,
        alerts_kept: int = ALERTS_KEPT,
        busy_s: float = _WAIT_S,
        redact: Callable[[str], str] | None = None,
    ) -> None:
        self.path = path
        self._existing = existing
        self._alerts_kept = alerts_kept
        self._redact = functools.lru_cache(maxsize=_TEXTS_KEPT)(redact or redactor())
        self._wait_s = busy_s
        self._errors = Errors(f"knowledge {path}", self._busy)
        if path is None:
            self._db = connect(":memory:", busy_s, self._prepare)
        else:
            self._db = self._opened(path)

    def masked(self, text: str) -> str:
        """A text that may quote a log line, as it may stand in this file."""
        return self._redact(plain(text))

    # --- what a model said

    def recall(self, case: Case, model: str | None = None) -> Answer | None:
        """The answer that this pattern got before, if it also answers this case; None: ask.

        With `model`, only that model's answer counts: an operator who changes the model wants the
        new one's answers.

        An answer given under another bundle must rest on steps of the Seq as this bundle cuts it.
        `normal` is never carried over: the score that let a model judge was the other bundle's.
        """
        known = self._learned(case.pattern)
        if known is None or (model is not None and known.model != model):
            return None
        is_same_bundle = known.bundle_hash == case.bundle_hash
        if known.verdict == "normal" and not is_same_bundle:
            return None
        answer = known.answer(case)
        if answer and not is_same_bundle:
            self._note_fit(case)
        return answer

    def _note_fit(self, case: Case) -> None:
        """Note that a pattern's answer fits this bundle too.

        If that cannot be written now, the answer is checked again at the next alert.
        """
        update = "UPDATE model SET bundle_hash = ? WHERE pattern = ?"
        with contextlib.suppress(StoreError), self.transaction() as db:
            db.execute(update, (case.bundle_hash, case.pattern))

    def learn(self, case: Case, answer: Answer, now_s: float) -> None:
        """Keep a model's answer for the pattern. Raises NoAnswer if it does not answer the case."""
        learned = Learned.of(case, checked(answer, case), now_s)
        with self.transaction() as db:
            put(db, learned)

    def forget(self, pattern: str) -> bool:
        """Delete a model's answer, so that the model is asked again; whether there was one."""
        with self.transaction(durable=True) as db:
            return db.execute("DELETE FROM model WHERE pattern = ?", (pattern,)).rowcount > 0

    def forget_model(self, model: str) -> int:
        """Delete all answers of a model; returns how many there were."""
        with self.transaction(durable=True) as db:
            return db.execute("DELETE FROM model WHERE model = ?", (model,)).rowcount

    # --- which alerts there were

    def alerted(self, alerts: Iterable[Alert]) -> None:
        """Remember alerts, so that a person can name a pattern by them; in one transaction."""
        alerts = [alert for alert in alerts if "pattern" in alert.record]
        rows = [alert_row(alert, self._redact) for alert in alerts]
        if not rows:
            return
        with self.transaction() as db:
            db.executemany(
                f"REPLACE INTO alert ({_ALERT_COLUMNS}, deviations, incident, told) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            oldest = "DELETE FROM alert WHERE n <= (SELECT max(n) FROM alert) - ?"
            db.execute(oldest, (self._alerts_kept,))
            note_changes(db, alerts)

    def pattern_of(self, name: str) -> str | None:
        """The pattern of an alert id; or `name` itself, if it is a pattern that is known here."""
        for (pattern,) in self.read("SELECT pattern FROM alert WHERE id = ?", name):
            return str(pattern)
        known = "SELECT 1 FROM {0} WHERE pattern = ?1"
        query = " UNION ".join(known.format(table) for table in ("person", "model", "alert"))
        if self.read(query, name):
            return name
        return None

    def seen(self, pattern: str, most: int = 5) -> list[Seen]:
        """The last alerts of the pattern, newest first."""
        query = f"SELECT {_ALERT_COLUMNS} FROM alert WHERE pattern = ? ORDER BY n DESC LIMIT ?"
        return [Seen(*row) for row in self.read(query, pattern, most)]

    def count_seen(self, pattern: str) -> int:
        """How many alerts of the pattern are remembered."""
        ((count,),) = self.read("SELECT count(*) FROM alert WHERE pattern = ?", pattern)
        return int(count)

    # --- all of it

    def rows(self) -> list[Row]:
        """All that persons and models said, sorted by pattern."""
        rows: list[Row] = [Mark(*row) for row in self.read("SELECT * FROM person")]
        rows += [self._restored(row) for row in self.read("SELECT * FROM model")]
        rows += accepted_rows(self)
        return sorted(rows, key=sort_key)

    def row_of(self, pattern: str) -> tuple[Mark | None, Learned | None]:
        """What a person and what a model said of the pattern; a mark may have expired."""
        marks = self.read("SELECT * FROM person WHERE pattern = ?", pattern)
        return next((Mark(*row) for row in marks), None), self._learned(pattern)

    def take(self, rows: Iterable[Row]) -> Merged:
        """Merge rows into what is known, all or none; they are on disk when this returns."""
        with self.transaction(durable=True) as db:
            before = self.rows()
            outcome = merge([*before, *rows])
            for row in set(outcome.rows).difference(before):
                put(db, row)
        return outcome

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing. Raises StoreError.

        `durable` costs one disk sync and makes sure that a power cut cannot take the transaction
        back. Without it, a killed process loses nothing, but a power cut may.
        """
        sync = "NORMAL"
        if durable:
            sync = "FULL"
        with self._errors.translated():
            self._db.execute(f"PRAGMA synchronous = {sync}")
            with transaction(self._db) as db:
                yield db

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, all at once.

        A cursor that is left half read would keep the write-ahead log from being folded in.
        """
        with self._errors.translated():
            return self._db.execute(query, values).fetchall()

    def state(self) -> tuple[int, int]:
        """Two numbers; at least one of them changes whenever any process writes something."""
        ((others,),) = self.read("PRAGMA data_version")
        return others, self._db.total_changes

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._db.close()

    def _busy(self) -> StoreError:
        return StoreError(f"knowledge {self.path} is being written by another process: try again")

    def _opened(self, path: Path) -> sqlite3.Connection:
        if self._existing and not path.is_file():
            raise ConfigError(
                f"there is no knowledge file at {path}: a service with a store creates it"
            )
        with self._errors.translated():
            path.parent.mkdir(parents=True, exist_ok=True)
            with alone(path.parent):
                try:
                    return self._connected(path)
                except StoreDamaged as damage:
                    if self._existing:
                        raise
                    aside = set_aside(path)
                    _log.error("the knowledge file was set aside file=%s reason=%s", aside, damage)
                    return self._connected(path)

    def _connected(self, path: Path) -> sqlite3.Connection:
        with self._errors.translated():
            return connect(path, self._wait_s, self._prepare)

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Check that the file is ours, and create the tables of a new one."""
        ((application,),) = db.execute("PRAGMA application_id")
        ((version,),) = db.execute("PRAGMA user_version")
        has_content = version or db.execute("SELECT 1 FROM sqlite_master").fetchone()
        if application != _APPLICATION and has_content:
            raise ConfigError(
                f"{self.path} is the SQLite file of another program: "
                "give the knowledge a file of its own"
            )
        if version > VERSION:
            raise ConfigError(
                f"knowledge {self.path} has version {version}, but this program reads {VERSION}: "
                "run the newer program"
            )
        if version == 0:
            db.execute("PRAGMA journal_mode = WAL")
            marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {VERSION};"
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT")
            return
        for step in range(version, VERSION):
            up = _STEPS_UP[step]
            db.executescript(f"BEGIN IMMEDIATE; {up} PRAGMA user_version = {step + 1}; COMMIT")
        if not self._existing:
            # Commands skip the check: it reads the whole file, and the service does it at start.
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                reason = found.splitlines()[-1]
                raise StoreDamaged(f"knowledge {self.path} can't be read: {reason}")

    def _learned(self, pattern: str) -> Learned | None:
        for row in self.read("SELECT * FROM model WHERE pattern = ?", pattern):
            return self._restored(row)
        return None

    def _restored(self, row: tuple[Any, ...]) -> Learned:
        try:
            values: list[Any] = list(row)
            values[_STEPS_COLUMN] = tuple(json.loads(values[_STEPS_COLUMN]))
            return Learned(*values)
        except ValueError:
            raise StoreDamaged(
                f"knowledge {self.path} can't be read: the steps of pattern {row[0]} are damaged"
            ) from None


def put(db: sqlite3.Connection, row: Row) -> None:
    """Write a row within a transaction, in place of an earlier one."""
    values = [getattr(row, field.name) for field in fields(row)]
    stored = [json.dumps(value) if isinstance(value, tuple) else value for value in values]
    db.execute(f"REPLACE INTO {row.who} VALUES ({', '.join('?' * len(stored))})", stored)
