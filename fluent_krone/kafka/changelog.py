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

Where records are kept, there is also what a commit saves of them (`KeptRows`):

- `kept/oldest`: the first offset that an instance must read again when it takes the partition over;
- `kept/kind/DAY/KIND`: how many sessions of a kind were kept on a day;
- `kept/left/N`: references of records that left while another session still holds them;
- `kept/counts`: what was not kept since the last summary;
- `kept/row/N`: what was decided, and did not fit into the transaction that decided it.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgpack

from ..alerts.incident import IncidentChanges
from ..core.novelties import NOVELTIES_KEPT
from ..errors import SnapshotError
from ..runtime.kept import KIND_DAYS, KeptChanges, KeptSaved

# A key and its value; None deletes the key.
Row = tuple[bytes, bytes | None]

_PART = b"part/"
_STARTED = b"started/"
_NOVELTY = b"novelty/"
_INCIDENT = b"incident/"
_STATE = b"state/"
_PREFIX = b"kept/"
_OLDEST = b"kept/oldest"
_KIND = b"kept/kind/"
_LEFT = b"kept/left/"
_COUNTS = b"kept/counts"
_ROW = b"kept/row/"


def compact(rows: dict[bytes, bytes], written: Iterable[Row]) -> None:
    """Write rows behind others, as compaction leaves them: the last one of each key stays."""
    for key, value in written:
        # Taken out first, so that the one written last is the last one in order.
        rows.pop(key, None)
        if value is not None:
            rows[key] = value


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


def oldest_of(rows: Mapping[bytes, bytes]) -> int | None:
    """The offset from which on messages are still needed; None: none are. Raises SnapshotError."""
    value = rows.get(_OLDEST)
    if value is None:
        return None
    offset = unpacked(value)
    if not isinstance(offset, int):
        raise SnapshotError(f"the row {_OLDEST!r} holds no offset")
    return offset


class KeptRows:
    """The rows of one partition; `rows` are those of its changelog. Raises SnapshotError."""

    def __init__(self, rows: Mapping[bytes, bytes]) -> None:
        self._oldest = oldest_of(rows)
        try:
            # Day → keys of its rows.
            self._days: dict[int, set[bytes]] = {}
            kinds = list(self._load_kinds(rows))
            # Number of a row → the largest reference in it.
            left = {number: unpacked(rows[key]) for number, key in _numbered(rows, _LEFT)}
            self._left = {number: max(refs) for number, refs in left.items()}
            waiting = [(number, unpacked(rows[key])) for number, key in _numbered(rows, _ROW)]
            counts = rows.get(_COUNTS)
            shared = [ref for refs in left.values() for ref in refs]
            self.saved = KeptSaved(kinds, shared, None if counts is None else unpacked(counts))
        except (ValueError, TypeError) as error:
            raise SnapshotError(f"rows of kept records can't be read ({error})") from None
        # Packed rows that were decided, and not sent yet, in their order.
        self.waiting: list[tuple[int, bytes]] = waiting
        self._numbers = max(self._left, default=0)

    def changes(self, kept: KeptChanges, oldest: int) -> list[Row]:
        """The rows for what a commit decided; `oldest` is the first offset that is still needed."""
        found: list[Row] = []
        for day, kind, count in kept.kinds:
            key = b"%s%d/%d" % (_KIND, day, kind)
            self._days.setdefault(day, set()).add(key)
            found.append((key, _pack(count)))
        for day in [day for day in self._days if day < max(self._days) - KIND_DAYS]:
            found += ((key, None) for key in self._days.pop(day))
        if kept.shared:
            self._numbers += 1
            self._left[self._numbers] = max(kept.shared)
            found.append((b"%s%d" % (_LEFT, self._numbers), _pack(kept.shared)))
        if kept.counts is not None:
            found.append((_COUNTS, _pack(kept.counts)))
        if oldest != self._oldest:
            self._oldest = oldest
            found.append((_OLDEST, _pack(oldest)))
        return found

    def forget_before(self, ref: int) -> list[Row]:
        """Records before this reference are no longer needed."""
        gone = [number for number, largest in self._left.items() if largest < ref]
        for number in gone:
            del self._left[number]
        return [(b"%s%d" % (_LEFT, number), None) for number in gone]

    def _load_kinds(self, rows: Mapping[bytes, bytes]) -> Iterator[tuple[int, int, int]]:
        for key, value in rows.items():
            if key.startswith(_KIND):
                day, kind = map(int, key[len(_KIND) :].split(b"/"))
                self._days.setdefault(day, set()).add(key)
                yield day, kind, unpacked(value)


def row_saved(number: int, data: bytes | None) -> Row:
    """The row of what waits for a later transaction; None once it was sent."""
    if data is None:
        return b"%s%d" % (_ROW, number), None
    return b"%s%d" % (_ROW, number), _pack(data)


def cleared(rows: Iterable[bytes]) -> Iterator[Row]:
    """The rows that delete all that an instance saved which kept records; this one keeps none."""
    return ((key, None) for key in rows if key.startswith(_PREFIX))


def _numbered(rows: Mapping[bytes, bytes], prefix: bytes) -> list[tuple[int, bytes]]:
    return sorted((int(key[len(prefix) :]), key) for key in rows if key.startswith(prefix))


def _pack(value: Any) -> bytes:
    return bytes(msgpack.packb(value))
