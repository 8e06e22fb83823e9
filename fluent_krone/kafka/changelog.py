"""What an engine saves, as records of a compacted topic, and the way back.

Each key is one row of the state; the last record of a key counts, and an empty one deletes it:

- `part/N`: a part of an open session (see `core/journal.py`). Parts that the engine dropped are
  deleted.
- `started/N`: sessions that started with one commit. The oldest rows are deleted when there are
  as many starts as the engine remembers.
- `novelty/NAME`: a new template that was reported; those met longest ago are deleted.
- `incident/ID`: an open incident; it is deleted when it ends.
- `state/NAME`: every other value, which each commit gives as a whole. It is written only when it
  has changed. What the engine will save in future comes here without a change.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgpack

from ..alerts.incident import IncidentChanges
from ..core.novelties import NOVELTIES_KEPT
from ..errors import SnapshotError

# A key and its value; None deletes the key.
Row = tuple[bytes, bytes | None]

_PART = b"part/"
_STARTED = b"started/"
_NOVELTY = b"novelty/"
_INCIDENT = b"incident/"
_STATE = b"state/"


class Changelog:
    """The rows of one partition. `rows` are those that were read back, in the order of writing.

    `starts_kept` is how many starts of sessions the engine remembers.
    """

    def __init__(self, rows: Mapping[bytes, bytes], starts_kept: int) -> None:
        self.pack: Callable[[Any], bytes] = msgpack.Packer().pack
        self._starts_kept = starts_kept
        # What was written last under each name, to write only what changes.
        self._state = {key: value for key, value in rows.items() if key.startswith(_STATE)}
        # Keys in the order of their last write, since the oldest are deleted.
        self._novelties = dict.fromkeys(key for key in rows if key.startswith(_NOVELTY))
        self._started = deque(sorted(map(_number, _only(rows, _STARTED))))
        self._incidents = set(_only(rows, _INCIDENT))
        self._starts = 0
        if self._started:
            self._starts = self._started[-1]

    def rows(self, changes: Mapping[str, Any]) -> list[Row]:
        """The rows for what `Engine.changes` gave."""
        rest = dict(changes)
        parts = rest.pop("sessions", ())
        dropped = rest.pop("dropped", ())
        started = rest.pop("started", ())
        novelties = rest.pop("novelties", ())
        found: list[Row] = []
        if "templates" in rest:
            # These are no changes but everything there is.
            found += self._cleared()
        found += [(b"%s%d" % (_PART, number), None) for number in dropped]
        found += [(b"%s%d" % (_PART, number), part) for number, part in parts]
        if started:
            found += self._starts_of(started)
        for name, entry in novelties:
            found += self._novelty(_NOVELTY + name, self.pack(entry))
        for name, value in rest.items():
            found += self._value(_STATE + name.encode(), self.pack(value))
        return found

    def incidents(self, changes: IncidentChanges) -> list[Row]:
        """The rows for the incidents that changed and for those that ended."""
        gone = {_INCIDENT + name.encode() for name in changes.ended}
        if changes.everything:
            gone |= self._incidents
        self._incidents -= gone
        rows: dict[bytes, bytes | None] = dict.fromkeys(sorted(gone))
        for name, incident in changes.changed.items():
            key = _INCIDENT + name.encode()
            # An incident may end and another one begin under its id: the last row counts.
            rows[key] = self.pack(incident.saved())
            self._incidents.add(key)
        return list(rows.items())

    def _cleared(self) -> Iterator[Row]:
        for key in self._novelties:
            yield key, None
        for number in self._started:
            yield b"%s%d" % (_STARTED, number), None
        self._novelties = {}
        self._started.clear()

    def _starts_of(self, started: list[Any]) -> Iterator[Row]:
        """One row for the sessions that started, numbered by its last start."""
        self._starts += len(started)
        self._started.append(self._starts)
        yield b"%s%d" % (_STARTED, self._starts), self.pack(started)
        while self._started[0] <= self._starts - 2 * self._starts_kept:
            yield b"%s%d" % (_STARTED, self._started.popleft()), None

    def _novelty(self, key: bytes, value: bytes) -> Iterator[Row]:
        self._novelties.pop(key, None)
        self._novelties[key] = None
        yield key, value
        if len(self._novelties) > NOVELTIES_KEPT:
            oldest = next(iter(self._novelties))
            del self._novelties[oldest]
            yield oldest, None

    def _value(self, key: bytes, value: bytes) -> list[Row]:
        if self._state.get(key) == value:
            return []
        self._state[key] = value
        return [(key, value)]


def snapshot_of(rows: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """The snapshot for `Engine.restore` in the rows of a changelog; None where there is none.

    Raises SnapshotError for rows that can't be read; `sessions` may raise it as they are used.
    """
    state = {
        key[len(_STATE) :].decode("utf-8", "replace"): unpacked(value)
        for key, value in rows.items()
        if key.startswith(_STATE)
    }
    if "version" not in state:
        return None
    parts = sorted(_only(rows, _PART), key=_number)
    starts = sorted(_only(rows, _STARTED), key=_number)
    return state | {
        "novelties": [(key[len(_NOVELTY) :], unpacked(rows[key])) for key in _only(rows, _NOVELTY)],
        "sessions": (unpacked(rows[key]) for key in parts),
        "started": [start for key in starts for start in unpacked(rows[key])],
    }


def incidents_of(rows: Mapping[bytes, bytes]) -> list[Any]:
    """The open incidents in the rows of a changelog, as `Incidents.restore` takes them."""
    return [unpacked(rows[key]) for key in sorted(_only(rows, _INCIDENT))]


def unpacked(value: bytes) -> Any:
    """The value in a row. Raises SnapshotError."""
    try:
        return msgpack.unpackb(value, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise SnapshotError(f"a row can't be read ({error.__class__.__name__})") from None


def _only(rows: Mapping[bytes, bytes], prefix: bytes) -> list[bytes]:
    return [key for key in rows if key.startswith(prefix)]


def _number(key: bytes) -> int:
    try:
        return int(key.rpartition(b"/")[2])
    except ValueError:
        raise SnapshotError(f"a row has the key {key[:40]!r}, which is none of ours") from None
