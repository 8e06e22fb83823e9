"""The open incidents in the store: a row each, changed in the transaction of their alerts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ..alerts.incident import IncidentChanges

SCHEMA = "CREATE TABLE incident (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"


def write_incidents(
    db: sqlite3.Connection, changes: IncidentChanges, pack: Callable[[Any], bytes]
) -> None:
    """Bring the table up to date; call it within the commit's transaction."""
    if changes.everything:
        db.execute("DELETE FROM incident")
    # An incident may end and another one begin under its id, so what ended goes first.
    db.executemany("DELETE FROM incident WHERE id = ?", ((name,) for name in changes.ended))
    rows = ((name, pack(incident.saved())) for name, incident in changes.changed.items())
    db.executemany("REPLACE INTO incident VALUES (?, ?)", rows)
