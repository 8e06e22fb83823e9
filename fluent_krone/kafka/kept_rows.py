"""What a commit saves of kept records, as records of the partition's changelog, and the way back.

- `kept/oldest`: the first offset that an instance must read again when it takes the partition over;
- `kept/kind/DAY/KIND`: how many sessions of a kind were kept on a day;
- `kept/left/N`: references of records that left while another session still holds them;
- `kept/counts`: what was not kept since the last summary;
- `kept/row/N`: what was decided, and did not fit into the transaction that decided it.

Pure: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgpack

from ..errors import SnapshotError
from ..runtime.kept import KeptChanges, KeptSaved
from .changelog import Row, unpacked

_PREFIX = b"kept/"
_OLDEST = b"kept/oldest"
_KIND = b"kept/kind/"
_LEFT = b"kept/left/"
_COUNTS = b"kept/counts"
_ROW = b"kept/row/"
# Days whose kinds are remembered besides the newest one. Sessions end in the order of stream time,
# so no earlier day comes again.
_DAYS = 2


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
        for day in [day for day in self._days if day < max(self._days) - _DAYS]:
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
        """Records before this reference are needed by nobody."""
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
