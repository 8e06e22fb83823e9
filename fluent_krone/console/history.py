"""What the live page remembers of incidents: open ones and those that have ended, newest first.

The store keeps open incidents, exactly as durable as alerts. The page also shows what has ended,
the whole first alert, and how an incident went on over time. This is written to a file of its own
beside the store, about once a second and not in the commit's transaction: after a kill the page may
lack the last second, and no alert is lost by that.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..alerts.incident import Incident
from ..alerts.incidents import NEWS
from ..alerts.severity import SEVERITIES
from ..errors import StoreDamaged, StoreError
from ..sqlite import Errors, connect, set_aside, transaction
from ..types import Alert
from .marks import marked_by

_log = logging.getLogger(__name__)

# Incidents that are remembered: about 50 MB. The oldest are deleted first.
INCIDENTS_KEPT = 10_000
# Bars that show an incident over time. When they do not suffice, two become one.
_BARS = 24
# Nanoseconds of a bar at first.
_BAR_NS = 10**9
# Seconds that a write waits for another process. Nobody else should have the file open.
_WAIT_S = 1.0
# Characters of an alert's texts that can be searched.
_MOST_SEARCHED = 4_000
_APPLICATION = 0x6B726F68
_SCHEMA = """
CREATE TABLE incident (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, last_ns INTEGER NOT NULL, words TEXT NOT NULL,
    summary TEXT NOT NULL, bars TEXT NOT NULL, alert BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX newest ON incident (last_ns, id);
"""
_PUT = "REPLACE INTO incident VALUES (?, ?, ?, ?, ?, ?, ?)"
_OLDEST = "DELETE FROM incident WHERE id IN (SELECT id FROM incident ORDER BY last_ns LIMIT ?)"


@dataclass(slots=True)
class Bars:
    """How many executions joined an incident in each stretch of time since its first.

    >>> bars = Bars(start_ns=0)
    >>> for second in (0, 1, 1, 30):
    ...     bars.add(second * 10**9)
    >>> bars.width_ns // 10**9, bars.counts[0], bars.counts[15], len(bars.counts)
    (2, 3, 1, 16)
    """

    start_ns: int
    width_ns: int = _BAR_NS
    counts: list[int] = field(default_factory=list)

    def add(self, time_ns: int) -> None:
        """Count one execution at this time."""
        at = max(time_ns - self.start_ns, 0) // self.width_ns
        while at >= _BARS:
            pairs = zip(self.counts[::2], [*self.counts[1::2], 0], strict=False)
            self.counts = [first + second for first, second in pairs]
            self.width_ns *= 2
            at //= 2
        self.counts += [0] * (at + 1 - len(self.counts))
        self.counts[at] += 1


@dataclass(slots=True)
class _Row:
    """An incident as it is shown; `alert` is the whole record of the one that stands for it."""

    last_ns: int
    summary: dict[str, Any]
    bars: Bars
    alert: dict[str, Any]


class History:
    """The incidents that the page shows, in the file at `path`; None keeps them in memory.

    A file that cannot be read is set aside. One that cannot be written is reported once; the page
    then shows what it can. `version` grows with every change.
    """

    def __init__(self, path: Path | None, *, kept: int = INCIDENTS_KEPT) -> None:
        self.path = path
        self.version = 0
        self._kept = kept
        self._errors = Errors(f"history {path}", lambda: StoreError(f"history {path} is in use"))
        self._changed: dict[str, _Row] = {}
        self._is_broken = False
        self._db = self._opened()

    def note(self, incident: Incident, alert: Alert) -> None:
        """Remember that an alert joined an incident."""
        name = incident.incident_id
        row = self._changed.get(name) or self._row(name)
        if row is None:
            row = _Row(0, {}, Bars(alert.time_ns), dict(alert.record))
        is_change = alert.record.get("kind") == "change"
        if is_change or row.alert.get("kind") == NEWS != alert.record.get("kind"):
            # A later report of a change counts more sessions, and may say that it goes wrong.
            # What began with a new line is about the first execution in it that goes wrong.
            row.alert = dict(alert.record)
        row.bars.add(alert.time_ns)
        row.last_ns = max(incident.last_ns, row.last_ns)
        row.summary = _summary(incident, row.alert)
        self._changed[name] = row
        self.version += 1

    def flush(self) -> None:
        """Write what has changed."""
        if not self._changed:
            return
        rows = [_stored(name, row) for name, row in self._changed.items()]
        try:
            with self._errors.translated(), transaction(self._db) as db:
                db.executemany(_PUT, rows)
                ((count,),) = db.execute("SELECT count(*) FROM incident")
                if count > self._kept:
                    db.execute(_OLDEST, (count - self._kept,))
        except StoreError as error:
            if not self._is_broken:
                _log.error("the live page cannot remember incidents reason=%s", error)
            self._is_broken = True
            return
        self._is_broken = False
        self._changed.clear()

    def page(
        self,
        words: str,
        is_wanted: Callable[[str, str], bool],
        after: str,
        count: int,
        order: Callable[[str, str], Any] | None = None,
    ) -> tuple[list[dict[str, Any]], str | None, int]:
        """Summaries of the incidents that hold all the words, newest first, after one of them.

        `is_wanted` and `order` get the id of an incident, and its summary as JSON; what has the
        least `order` comes first. Returns summaries, the id to go on after (None: there are no
        more), and how many match in all.
        """
        self.flush()
        found = [row for row in self._matching(words) if is_wanted(row[0], row[1])]
        if order is not None:
            found.sort(key=lambda row: order(row[0], row[1]))
        start = 0
        if after:
            places = (at for at, row in enumerate(found) if row[0] == after)
            start = next(places, len(found) - 1) + 1
        shown = found[start : start + count]
        following = None
        if start + count < len(found):
            following = shown[-1][0]
        summaries = [
            {**json.loads(summary), **_shown_bars(**json.loads(bars))} for _, summary, bars in shown
        ]
        return summaries, following, len(found)

    def alerts_of_kind(self, kind: str, most: int) -> list[dict[str, Any]]:
        """The alerts of a kind that incidents began with, newest first."""
        self.flush()
        query = "SELECT alert FROM incident WHERE kind = ? ORDER BY last_ns DESC LIMIT ?"
        with self._errors.translated():
            rows = self._db.execute(query, (kind, most)).fetchall()
        return [json.loads(zlib.decompress(alert)) for (alert,) in rows]

    def incident(self, name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Summary and first alert of an incident; None where it is not remembered."""
        row = self._changed.get(name) or self._row(name)
        if row is None:
            return None
        bars = _shown_bars(row.bars.start_ns, row.bars.width_ns, row.bars.counts)
        return {**row.summary, **bars}, row.alert

    def summary(self, name: str) -> dict[str, Any]:
        """What lists show of an incident, without its alert; empty where it is not remembered."""
        if name in self._changed:
            return self._changed[name].summary
        with self._errors.translated():
            found = self._db.execute(
                "SELECT summary FROM incident WHERE id = ?", (name,)
            ).fetchone()
        if found is None:
            return {}
        summary: dict[str, Any] = json.loads(found[0])
        return summary

    def close(self) -> None:
        """Write what has changed, and close the file."""
        self.flush()
        self._db.close()

    def _matching(self, words: str) -> Iterator[tuple[str, str, str]]:
        query = "SELECT id, summary, bars FROM incident"
        wanted = words.lower().split()
        if wanted:
            query += " WHERE " + " AND ".join(["instr(words, ?)"] * len(wanted))
        with self._errors.translated():
            yield from self._db.execute(f"{query} ORDER BY last_ns DESC, id DESC", wanted)

    def _row(self, name: str) -> _Row | None:
        query = "SELECT last_ns, summary, bars, alert FROM incident WHERE id = ?"
        with self._errors.translated():
            found = self._db.execute(query, (name,)).fetchone()
        if found is None:
            return None
        last_ns, summary, bars, alert = found
        return _Row(
            last_ns,
            json.loads(summary),
            Bars(**json.loads(bars)),
            json.loads(zlib.decompress(alert)),
        )

    def _opened(self) -> sqlite3.Connection:
        if self.path is None:
            return connect(":memory:", _WAIT_S, self._prepare)
        with self._errors.translated():
            try:
                return connect(self.path, _WAIT_S, self._prepare)
            except (StoreDamaged, sqlite3.DatabaseError) as damage:
                aside = set_aside(self.path)
                _log.error("the live page's file was set aside file=%s reason=%s", aside, damage)
                return connect(self.path, _WAIT_S, self._prepare)

    def _prepare(self, db: sqlite3.Connection) -> None:
        ((application,),) = db.execute("PRAGMA application_id")
        has_content = db.execute("SELECT 1 FROM sqlite_master").fetchone()
        if has_content and application != _APPLICATION:
            raise StoreDamaged(f"{self.path} is no file of the live page")
        db.execute("PRAGMA journal_mode = WAL")
        # A power cut may take back the last second; nothing else can.
        db.execute("PRAGMA synchronous = NORMAL")
        if not has_content:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION}; COMMIT")


def _summary(incident: Incident, alert: Mapping[str, Any]) -> dict[str, Any]:
    """What the list shows of an incident."""
    return {
        **incident.summary(),
        **{name: alert.get(name) for name in ("kind", "entity", "action", "status", "seq")},
        "severity": SEVERITIES[incident.severity],
        "explanation": alert.get("explanation"),
        # Not shown: which marks are about it.
        "marked_by": marked_by(alert),
    }


def _shown_bars(start_ns: int, width_ns: int, counts: list[int]) -> dict[str, Any]:
    """The bars of an incident, and the seconds that each of them stands for."""
    return {"spark": counts, "spark_s": width_ns / 10**9}


def _stored(name: str, row: _Row) -> tuple[Any, ...]:
    record = row.alert
    texts = [
        name,
        record.get("alert_id"),
        record.get("tag"),
        record.get("explanation"),
        *(row.summary.get("entities") or ()),
        *(word for sample in row.summary.get("sessions") or () for word in sample),
        record.get("action"),
        record.get("status"),
        *(record.get("lines") or ()),
    ]
    words = "\n".join(str(text).lower() for text in texts if text)[:_MOST_SEARCHED]
    bars = {"start_ns": row.bars.start_ns, "width_ns": row.bars.width_ns, "counts": row.bars.counts}
    return (
        name,
        str(record.get("kind")),
        row.last_ns,
        words,
        json.dumps(row.summary),
        json.dumps(bars),
        zlib.compress(json.dumps(record, default=str).encode(), 1),
    )
