"""Templates that a person accepted: what a deploy brought is normal from then on.

They are rows of the knowledge file, beside the marks, and are exported and merged with them. Each
is kept under a digest of its text. Beside them lie the templates of the last changes, which the
service writes there with its alerts, so that a person can name a change by its id.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError, KroneError, StoreError
from ..reading.templates import template_id
from ..types import Alert

if TYPE_CHECKING:
    from .knowledge import Knowledge

# Changes whose templates are remembered: years of deploys. The oldest are deleted first.
_CHANGES_KEPT = 1_000
# Characters of a template that is accepted. A longer one is no text that a person has read.
MAX_TEMPLATE = 4_000
TABLES = """
CREATE TABLE IF NOT EXISTS accepted (
    pattern TEXT PRIMARY KEY, template TEXT NOT NULL, replaces TEXT NOT NULL,
    change TEXT NOT NULL, note TEXT NOT NULL, "by" TEXT NOT NULL, at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS change (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, templates TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A template that a person accepted, and the old one that it replaces (or an empty text).

    `change` is the id of the change that it came with, empty where it was accepted by itself.
    """

    who: ClassVar[str] = "accepted"

    pattern: str
    template: str
    replaces: str
    change: str
    note: str
    by: str
    at_ms: int

    @classmethod
    def of(
        cls, template: str, replaces: str, change: str, *, note: str, by: str, at_ms: int
    ) -> Accepted:
        """The row of a template. Raises ConfigError for a text that cannot be shown."""
        if not template.isprintable() or len(template) > MAX_TEMPLATE:
            raise ConfigError(
                f"a template must be at most {MAX_TEMPLATE} printable characters, "
                f"got {ascii(template)[:60]}"
            )
        digest = hashlib.blake2b(f"accepted {template}".encode(), digest_size=16)
        return cls(digest.hexdigest(), template, replaces, change, note, by, at_ms)


def note_changes(db: sqlite3.Connection, alerts: Iterable[Alert]) -> None:
    """Remember the templates of changes in alerts; those of an accepted change are accepted."""
    for alert in alerts:
        change = alert.record.get("change")
        if not change:
            continue
        templates = [[one["template"], one["replaces"] or ""] for one in change["templates"]]
        db.execute(
            "REPLACE INTO change (id, templates) VALUES (?, ?)",
            (change["id"], json.dumps(templates, ensure_ascii=False)),
        )
        oldest = "DELETE FROM change WHERE n <= (SELECT max(n) FROM change) - ?"
        db.execute(oldest, (_CHANGES_KEPT,))
        query = 'SELECT note, "by", at_ms FROM accepted WHERE change = ? LIMIT 1'
        for note, by, at_ms in db.execute(query, (change["id"],)).fetchall():
            rows = (
                Accepted.of(template, replaces, change["id"], note=note, by=by, at_ms=at_ms)
                for template, replaces in templates
                if template.isprintable()
            )
            insert = "INSERT OR IGNORE INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?)"
            db.executemany(insert, map(_values, rows))


def _values(row: Accepted) -> tuple[Any, ...]:
    return row.pattern, row.template, row.replaces, row.change, row.note, row.by, row.at_ms


def accept(
    knowledge: Knowledge, names: Iterable[str], *, note: str, by: str, at_ms: int
) -> list[Accepted]:
    """Accept templates: each name is the id of a change, the id of a template, or its text.

    All or none; they are on disk when this returns.
    """
    known = _known(knowledge)
    rows = []
    for name in names:
        found = [pair for pair in known if name in (pair[2], template_id(pair[0]), pair[0])]
        if not found and _is_id(name):
            raise KroneError(
                f"{knowledge.path} knows no change and no new template {name}: give the id that "
                "the alert has in change.id, or the text of a template"
            )
        for template, replaces, change in found or [(name, "", "")]:
            rows.append(Accepted.of(template, replaces, change, note=note, by=by, at_ms=at_ms))
    with knowledge.transaction(durable=True) as db:
        db.executemany("REPLACE INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?)", map(_values, rows))
    return rows


def is_known(knowledge: Knowledge, template: str) -> bool:
    """Whether a change that is remembered has a template."""
    return any(template == known for known, _, _ in _known(knowledge))


def take_back(knowledge: Knowledge, names: Iterable[str]) -> list[Accepted]:
    """Forget that templates were accepted, by the same names; all or none."""
    rows = accepted_rows(knowledge)
    gone = []
    for name in names:
        found = [
            row for row in rows if name in (row.change, row.template, template_id(row.template))
        ]
        if not found:
            raise KroneError(f"nobody accepted {name}")
        gone += found
    with knowledge.transaction(durable=True) as db:
        for row in gone:
            db.execute("DELETE FROM accepted WHERE pattern = ?", (row.pattern,))
    return gone


def accepted_rows(knowledge: Knowledge) -> list[Accepted]:
    """All templates that were accepted, by their text."""
    return [Accepted(*row) for row in knowledge.read("SELECT * FROM accepted ORDER BY template")]


def _known(knowledge: Knowledge) -> list[tuple[str, str, str]]:
    """Template, what it replaces, and the change, of all changes that are remembered."""
    found = []
    for change, templates in knowledge.read("SELECT id, templates FROM change ORDER BY n"):
        found += [(template, replaces, change) for template, replaces in json.loads(templates)]
    return found


def _is_id(name: str) -> bool:
    """Whether a name looks like an id: 16 hex digits."""
    return len(name) == 16 and not set(name) - set("0123456789abcdef")


class Acceptances:
    """What persons accepted, for a service that looks now and then."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._seen: Any = None

    def look(self) -> tuple[Mapping[str, str], Collection[str]] | None:
        """Accepted templates with those that they replace, and accepted changes.

        None where nothing was written since the last call, or the file cannot be read now.
        """
        try:
            seen = self._knowledge.state()
            if seen == self._seen:
                return None
            rows = accepted_rows(self._knowledge)
        except StoreError:
            # The queue of explanations counts and reports that; the next look tries again.
            return None
        self._seen = seen
        return {row.template: row.replaces for row in rows}, {row.change for row in rows} - {""}

    def look_again(self) -> None:
        """Let the next `look` give everything, since another engine asks from now on."""
        self._seen = None
