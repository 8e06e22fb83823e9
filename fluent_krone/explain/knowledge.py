"""What is known about patterns: what a model answered, what persons said; the alerts seen, and what was spent.

One SQLite file beside the service's store, not in it: a person corrects it while the service runs, which holds its
store alone. Nothing is cached here, so a mark counts from the next look-up on. Readers wait for nobody (WAL).

A person's row and a model's row of one pattern lie in tables of their own: no answer can touch what a person said. To
be reviewed in Git, both leave as JSON lines, one a row, with templates and never with log lines.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError, StoreDamaged, StoreError
from ..sqlite import set_aside
from ..types import Alert
from . import MAX_WORDS, Answer, Case, NoAnswer, Said, checked

_log = logging.getLogger(__name__)

VERSION = 1
ALERTS_KEPT = 100_000
_APPLICATION = 0x6B726F6E  # tells it from other SQLite files, the service's store above all
_BUSY_S = 5.0  # writers wait this long for one another
_SCHEMA = """
CREATE TABLE person (
    pattern TEXT PRIMARY KEY, verdict TEXT NOT NULL, note TEXT NOT NULL, "by" TEXT NOT NULL,
    at_ms INTEGER NOT NULL, until_ms INTEGER, about TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE model (
    pattern TEXT PRIMARY KEY, verdict TEXT NOT NULL, confidence REAL NOT NULL, summary TEXT NOT NULL,
    cause TEXT NOT NULL, "check" TEXT NOT NULL, steps TEXT NOT NULL, model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,
    at_ms INTEGER NOT NULL, bundle_hash TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE alert (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pattern TEXT NOT NULL, tag TEXT NOT NULL,
    session TEXT NOT NULL, about TEXT NOT NULL, explanation TEXT NOT NULL, at_ms INTEGER NOT NULL
);
CREATE INDEX alert_of ON alert (pattern);
CREATE TABLE spent (minute INTEGER PRIMARY KEY, tokens INTEGER NOT NULL, micro_usd INTEGER NOT NULL);
"""
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_STEPS = 6  # column of `model`: JSON
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("at", "until")  # in JSON; `at_ms` and `until_ms` in rows


@dataclass(frozen=True, slots=True)
class Mark:
    """What a person said of a pattern. `normal`: its alerts are not sent."""

    who: ClassVar[str] = "person"

    pattern: str
    verdict: Said
    note: str
    by: str
    at_ms: int
    until_ms: int | None  # None: for good
    about: str  # entity → action → status of the alert that was marked, where it was known

    def holds(self, now_s: float) -> bool:
        """Whether it has not expired."""
        return self.until_ms is None or now_s * 1000 < self.until_ms


@dataclass(frozen=True, slots=True)
class Learned:
    """What a model answered about a pattern. `steps` are texts, so that they outlive a bundle's numbering."""

    who: ClassVar[str] = "model"

    pattern: str
    verdict: Said
    confidence: float
    summary: str
    cause: str
    check: str
    steps: tuple[str, ...]
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    at_ms: int
    bundle_hash: str  # of the bundle that it was last found to fit

    def answer(self, case: Case) -> Answer | None:
        """The same answer to this case, at no cost; None when it rests on steps that the case's Seq has not."""
        number = {case.templates[step]: step for step in case.session[case.start : case.end]}
        if not all(step in number for step in self.steps):
            return None
        steps = tuple(number[step] for step in self.steps)
        words = (self.verdict, self.confidence, self.summary, self.cause, self.check)
        try:
            return checked(Answer(*words, steps, self.model, 0, 0, 0.0), case)
        except NoAnswer:
            return None


Row = Mark | Learned


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert that was made, as short as a person needs it to recognise it. Never exported: it names a session."""

    alert_id: str
    pattern: str
    tag: str
    session: str
    about: str
    explanation: str
    at_ms: int


class Knowledge:
    """The file at `path`, made if it is absent; None: in memory, while the process lives.

    A file that can't be read is set aside. A command says `existing`: then it is neither made nor set aside. Raises
    ConfigError for a newer version or a file of another kind, StoreError when it can't be opened, read or written.

    >>> knowledge = Knowledge(None)
    >>> mark = knowledge.mark("ab" * 16, "normal", "a disk was swapped", "ada", until=200.0, now_s=100.0)
    >>> knowledge.said("ab" * 16, 199.0) == mark, knowledge.said("ab" * 16, 200.0)
    (True, None)
    """

    def __init__(
        self,
        path: Path | None,
        *,
        existing: bool = False,
        alerts_kept: int = ALERTS_KEPT,
        busy_s: float = _BUSY_S,
    ) -> None:
        self.path = path
        self._existing = existing
        self._alerts_kept = alerts_kept
        self._busy_s = busy_s
        self._db = self._opened(path) if path else self._connected(":memory:")

    # what a person said

    def said(self, pattern: str, now_s: float) -> Mark | None:
        """A person's word on the pattern, unless it expired."""
        mark = self._mark(pattern)
        return mark if mark and mark.holds(now_s) else None

    def mark(
        self, pattern: str, verdict: Said, note: str, by: str, until: float | None, now_s: float
    ) -> Mark:
        """Set a person's word, over what a person said before; on disk when it returns. `until`: None for good."""
        if until is not None and until <= now_s:
            raise ConfigError(f"a mark must expire later than now, got {iso_ms(_ms(until))}")
        until_ms = None if until is None else _ms(until)
        with self.transaction(durable=True) as db:
            about = db.execute(
                "SELECT about FROM alert WHERE pattern = ? ORDER BY n DESC LIMIT 1", (pattern,)
            ).fetchone()
            mark = Mark(
                pattern,
                verdict,
                _words(note),
                _words(by, _NAME),
                _ms(now_s),
                until_ms,
                about[0] if about else "",
            )
            _put(db, _valid(mark))
        return mark

    def unmark(self, pattern: str) -> bool:
        """Take a person's word back; whether there was one."""
        return self._delete(Mark, pattern)

    # what a model said

    def recall(self, case: Case) -> Answer | None:
        """The answer that this pattern had before, if it is one to this case too; None: ask.

        An answer given under another bundle must rest on steps of the Seq as this bundle cuts it. `normal` is never
        carried over: the score that let a model judge was the other bundle's.
        """
        known = self._learned(case.pattern)
        if known is None or (known.verdict == "normal" and known.bundle_hash != case.bundle_hash):
            return None
        answer = known.answer(case)
        if answer and known.bundle_hash != case.bundle_hash:
            with (
                contextlib.suppress(StoreError),
                self.transaction() as db,
            ):  # unwritten, it is checked again next time
                db.execute(
                    "UPDATE model SET bundle_hash = ? WHERE pattern = ?",
                    (case.bundle_hash, case.pattern),
                )
        return answer

    def learn(self, case: Case, answer: Answer, now_s: float) -> None:
        """Keep a model's answer for the pattern. Raises NoAnswer for what is none to this case."""
        checked(answer, case)
        learned = Learned(
            case.pattern,
            answer.verdict,
            answer.confidence,
            _words(answer.summary),
            _words(answer.cause),
            _words(answer.check),
            tuple(case.templates[step] for step in dict.fromkeys(answer.steps)),
            _words(answer.model, _NAME),
            answer.input_tokens,
            answer.output_tokens,
            answer.cost_usd,
            _ms(now_s),
            case.bundle_hash,
        )
        with self.transaction() as db:
            _put(db, learned)

    def forget(self, pattern: str) -> bool:
        """Delete a model's answer, so that it is asked again; whether there was one."""
        return self._delete(Learned, pattern)

    # which alerts there were

    def alerted(self, alerts: Iterable[Alert]) -> None:
        """Remember alerts, so that a person can name their pattern by them; the oldest go. One transaction."""
        rows = [_alert_row(alert) for alert in alerts if "pattern" in alert.record]
        if not rows:
            return
        names = "id, pattern, tag, session, about, explanation, at_ms"
        with self.transaction() as db:
            db.executemany(f"REPLACE INTO alert ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            db.execute(
                "DELETE FROM alert WHERE n <= (SELECT max(n) FROM alert) - ?", (self._alerts_kept,)
            )

    def pattern_of(self, name: str) -> str | None:
        """The pattern of an alert's id; or `name` itself, where it is a pattern that something is known of."""
        for (pattern,) in self.read("SELECT pattern FROM alert WHERE id = ?", name):
            return str(pattern)
        known = "SELECT 1 FROM {0} WHERE pattern = ?1"
        query = " UNION ".join(known.format(table) for table in ("person", "model", "alert"))
        return name if self.read(query, name) else None

    def seen(self, pattern: str, most: int = 5) -> list[Seen]:
        """The last alerts of the pattern, newest first."""
        query = "SELECT id, pattern, tag, session, about, explanation, at_ms FROM alert WHERE pattern = ?"
        return [Seen(*row) for row in self.read(f"{query} ORDER BY n DESC LIMIT ?", pattern, most)]

    def count_seen(self, pattern: str) -> int:
        """How many of its alerts are remembered."""
        ((count,),) = self.read("SELECT count(*) FROM alert WHERE pattern = ?", pattern)
        return int(count)

    # all of it

    def rows(self) -> list[Row]:
        """All that persons and models said, by pattern."""
        rows: list[Row] = [Mark(*row) for row in self.read("SELECT * FROM person")]
        rows += [self._restored(row) for row in self.read("SELECT * FROM model")]
        return sorted(rows, key=_key)

    def row_of(self, pattern: str) -> tuple[Mark | None, Learned | None]:
        """What a person and what a model said of the pattern, expired or not."""
        return self._mark(pattern), self._learned(pattern)

    def take(self, rows: Iterable[Row]) -> Merged:
        """Merge rows into what is known, all or none; on disk when it returns."""
        with self.transaction(durable=True) as db:
            before = self.rows()
            outcome = merge([*before, *rows])
            for row in set(outcome.rows).difference(before):
                _put(db, row)
        return outcome

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing. `durable`: a power cut can't take it back, at one disk sync. Raises StoreError."""
        db = self._db
        with self._told():
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, all at once: a cursor left half read would keep the log from being folded in."""
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._db.close()

    def _opened(self, path: Path) -> sqlite3.Connection:
        if self._existing and not path.is_file():
            raise ConfigError(f"there is no knowledge at {path}: a service with a store makes it")
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.parent):
                try:
                    return self._connected(path)
                except StoreDamaged as damage:
                    if self._existing:
                        raise
                    _log.error("knowledge was set aside file=%s reason=%s", set_aside(path), damage)
                    return self._connected(path)

    def _connected(self, path: Path | str) -> sqlite3.Connection:
        with self._told():
            if isinstance(path, Path):
                with contextlib.suppress(
                    FileExistsError
                ):  # to open and close one that exists would drop our own locks
                    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            db = sqlite3.connect(path, isolation_level=None, timeout=self._busy_s)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        ((application,),) = db.execute("PRAGMA application_id")
        ((version,),) = db.execute("PRAGMA user_version")
        if application != _APPLICATION and (
            version or db.execute("SELECT 1 FROM sqlite_master").fetchone()
        ):
            raise ConfigError(
                f"{self.path} is another program's SQLite file: give knowledge a file of its own"
            )
        if version > VERSION:
            raise ConfigError(
                f"knowledge {self.path} has version {version}, this program reads {VERSION}: run the newer program"
            )
        if version == 0:
            db.execute("PRAGMA journal_mode = WAL")
            marks = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {VERSION};"
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {marks} COMMIT")
        elif (
            not self._existing
            and (found := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok"
        ):
            raise StoreDamaged(f"knowledge {self.path} can't be read: {found.splitlines()[-1]}")

    def _mark(self, pattern: str) -> Mark | None:
        return next(
            (Mark(*row) for row in self.read("SELECT * FROM person WHERE pattern = ?", pattern)),
            None,
        )

    def _learned(self, pattern: str) -> Learned | None:
        rows = self.read("SELECT * FROM model WHERE pattern = ?", pattern)
        return next((self._restored(row) for row in rows), None)

    def _restored(self, row: tuple[Any, ...]) -> Learned:
        try:
            values: list[Any] = list(row)
            values[_STEPS] = tuple(json.loads(values[_STEPS]))
            return Learned(*values)
        except ValueError:
            raise StoreDamaged(f"knowledge {self.path} can't be read: steps of {row[0]}") from None

    def _delete(self, kind: type[Row], pattern: str) -> bool:
        with self.transaction(durable=True) as db:
            return db.execute(f"DELETE FROM {kind.who} WHERE pattern = ?", (pattern,)).rowcount > 0

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OverflowError, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> StoreError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            return StoreError(
                f"knowledge {self.path} is being written by another process: try again"
            )
        if code in _DAMAGE:
            return StoreDamaged(f"knowledge {self.path} can't be read: {error}")
        return StoreError(f"knowledge {self.path}: {error}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: SQLite's own locks do not cover a file that several make at once."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# rows as JSON lines


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows, one a pattern and who, sorted; and where two persons disagree: the row kept, the row that is not."""

    rows: list[Row]
    conflicts: list[tuple[Mark, Mark]]


def merge(rows: Iterable[Row]) -> Merged:
    """Of persons' rows on a pattern the latest, likewise of models'; the order that they come in does not matter."""
    kept: dict[tuple[str, str], Row] = {}
    ranked = sorted(set(rows), key=lambda row: (row.at_ms, line_of(row)))
    for row in ranked:
        kept[_key(row)] = row
    winners = {row.pattern: row for row in kept.values() if isinstance(row, Mark)}
    disputed = {
        row.pattern: row
        for row in ranked
        if isinstance(row, Mark) and row.verdict != winners[row.pattern].verdict
    }
    conflicts = [(winners[pattern], disputed[pattern]) for pattern in sorted(disputed)]
    return Merged(sorted(kept.values(), key=_key), conflicts)


def line_of(row: Row) -> str:
    """A row as one line of JSON, always the same."""
    values = {_json_name(field.name): getattr(row, field.name) for field in fields(row)}
    for name in _TIMES:
        if values.get(name) is not None:
            values[name] = iso_ms(values[name])
    line = json.dumps(
        {"pattern": values.pop("pattern"), "who": row.who, **values}, ensure_ascii=False
    )
    return "".join(
        c if c.isprintable() else json.dumps(c)[1:-1] for c in line
    )  # a diff shows what is there


def row_of_line(line: str) -> Row:
    """The row of a line. Raises ValueError naming the field."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON (left over from a merge in Git?)") from None
    if not isinstance(values, dict):
        raise ValueError("is no JSON object")
    who = values.pop("who", None)
    if who not in ("person", "model"):
        raise ValueError(f"who must be person or model, got {_short(who)}")
    kind: type[Row] = Mark if who == "person" else Learned
    _check(values, {_json_name(field.name) for field in fields(kind)}, who)
    return kind(**{_field_name(name): _field_value(name, value) for name, value in values.items()})


def read_rows(path: Path) -> list[Row]:
    """The rows of an exported file. Raises ConfigError naming line and field."""
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            if line.strip():
                rows.append(row_of_line(line.decode()))
        except UnicodeDecodeError:
            raise ConfigError(f"{path} line {number}: is no UTF-8") from None
        except ValueError as error:
            raise ConfigError(f"{path} line {number}: {error}") from None
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a file that `read_rows` reads: whole or not at all, and its lines in an order that never changes."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(
        "".join(line_of(row) + "\n" for row in sorted(rows, key=_key)), encoding="utf-8"
    )
    unfinished.replace(path)


def iso_ms(ms: int) -> str:
    """ISO 8601 UTC of milliseconds since 1970.

    >>> iso_ms(1_795_338_000_007)
    '2026-11-22T09:00:00.007Z'
    """
    return (
        (_EPOCH + timedelta(milliseconds=ms))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _key(row: Row) -> tuple[str, str]:
    return row.pattern, row.who


def _json_name(name: str) -> str:
    return name.removesuffix("_ms")


def _field_name(name: str) -> str:
    return f"{name}_ms" if name in _TIMES else name


def _field_value(name: str, value: Any) -> Any:
    """From JSON; numbers so that equal rows give equal lines."""
    if name in _TIMES:
        return (
            None
            if value is None
            else (datetime.fromisoformat(value) - _EPOCH) // timedelta(milliseconds=1)
        )
    if name in ("confidence", "cost_usd"):
        return abs(float(value))
    return tuple(value) if name == "steps" else value


def _put(db: sqlite3.Connection, row: Row) -> None:
    values = [getattr(row, field.name) for field in fields(row)]
    stored = [json.dumps(value) if isinstance(value, tuple) else value for value in values]
    db.execute(f"REPLACE INTO {row.who} VALUES ({', '.join('?' * len(stored))})", stored)


def _alert_row(alert: Alert) -> tuple[str | int, ...]:
    record = alert.record
    about = " → ".join(
        step for step in (record["entity"], record["action"], record["status"]) if step
    )
    texts = (record["tag"], ", ".join(record["session"]), about)
    shown = (*(_words(text, _NAME) for text in texts), _words(record["explanation"]))
    return (alert.alert_id, record["pattern"], *shown, alert.time_ns // 1_000_000)


# what a row may hold

_NAME = 200  # characters
_MOST = 2**53


def _words(text: str, most: int = MAX_WORDS) -> str:
    """Text that neither moves a terminal's cursor nor reads backwards in a diff, and that any file can hold."""
    text = text[:most]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _valid(row: Mark) -> Mark:
    """Raise ConfigError unless the row could be imported."""
    try:
        row_of_line(line_of(row))
    except (ValueError, OverflowError) as error:
        raise ConfigError(str(error)) from None
    return row


def _check(values: Mapping[str, Any], names: set[str], who: str) -> None:
    for name in values:
        if name not in names:
            raise ValueError(f"{_short(name)} is no field of a {who}'s row")
    for name, (is_right, wanted) in _FIELDS.items():
        if name in names and name not in values:
            raise ValueError(f"{name} is missing")
        if name in names and not is_right(values[name]):
            raise ValueError(f"{name} must be {wanted}, got {_short(values[name])}")


def _text(least: int, most: int) -> tuple[Callable[[Any], bool], str]:
    def is_right(value: Any) -> bool:
        return isinstance(value, str) and least <= len(value) <= most and value.isprintable()

    return is_right, f"{least} to {most} printable characters"


def _number(most: float, *, whole: bool = False) -> tuple[Callable[[Any], bool], str]:
    def is_right(value: Any) -> bool:
        return type(value) in ((int,) if whole else (int, float)) and 0 <= value <= most

    return is_right, f"a {'whole ' if whole else ''}number from 0 to {most:g}"


def _is_time(value: Any) -> bool:
    try:
        at = datetime.fromisoformat(value)
        return at.utcoffset() is not None and at >= _EPOCH
    except (TypeError, ValueError, OverflowError):
        return False


def _are_steps(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= 1000
        and all(isinstance(step, str) for step in value)
    )


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "…"


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "pattern": (
        lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{32}", value)),
        "32 hex digits",
    ),
    "verdict": (lambda value: value in ("normal", "abnormal"), "normal or abnormal"),
    "note": _text(0, MAX_WORDS),
    "by": _text(1, _NAME),
    "confidence": _number(1),
    "summary": _text(1, MAX_WORDS),
    "cause": _text(1, MAX_WORDS),
    "check": _text(0, MAX_WORDS),
    "steps": (_are_steps, "a list of templates"),
    "model": _text(1, _NAME),
    "input_tokens": _number(_MOST, whole=True),
    "output_tokens": _number(_MOST, whole=True),
    "cost_usd": _number(_MOST),
    "at": (_is_time, "an ISO 8601 time with its offset"),
    "until": (
        lambda value: value is None or _is_time(value),
        "an ISO 8601 time with its offset, or null",
    ),
    "about": _text(0, _NAME),
    "bundle_hash": _text(1, _NAME),
}
