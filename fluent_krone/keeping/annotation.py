"""Every record with what was read in it: template, entity, action, status and session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core.hierarchy import UNKNOWN, Hierarchy
from ..core.references import PLAIN
from ..reading.records import SessionKey, key_text
from ..reading.templates import template_id
from ..segments import Sliced
from .entries import NotARecord, entry_parts, packed_fields

# Of a record that became no event.
NO_EVENT = -1
# Bytes of entries that leave in one frame; as those of kept records.
_FRAME_BYTES = 2**19
# Sessions whose field is remembered: each has many records.
_MOST_SESSIONS = 20_000
# Packs fields: their number, and their bytes, of which several can be joined.
PackFields = Callable[[Mapping[str, Any]], tuple[int, bytes]]
# What was read in a record: its log key, and its sessions.
Noted = tuple[int, Sequence[SessionKey]]


class Annotator:
    """Notes what was read in each record of a chunk, and makes annotated entries of them.

    `prefix` is what the names of the fields begin with, and `pack` gives them the form that the
    records have.
    """

    def __init__(
        self,
        templates: Sequence[str],
        hierarchy: Hierarchy,
        prefix: str,
        pack: PackFields = packed_fields,
    ) -> None:
        self._fields = [
            pack(_fields(prefix, template, template_id(template), hierarchy, log_key))
            for log_key, template in enumerate(templates)
        ]
        # A line without a template still has the name of the leaf that it belongs to.
        self._fields.append(pack(_fields(prefix, None, UNKNOWN, hierarchy, hierarchy.unknown)))
        self._session = f"{prefix}session"
        self._pack = pack
        # Session → its field, packed.
        self._sessions: dict[SessionKey, bytes] = {}
        self._refs: list[int] = []
        self._read: list[Noted] = []

    def note(self, ref: int, log_key: int, keys: Sequence[SessionKey]) -> None:
        """The record of this reference was read; `log_key` may be `NO_EVENT`."""
        self._refs.append(ref)
        self._read.append((log_key, keys))

    def noted(self) -> list[tuple[int, Noted]]:
        """References of the records that were noted since the last call, and what was read."""
        found = list(zip(self._refs, self._read, strict=True))
        self._refs = []
        self._read = []
        return found

    def take(
        self, arrived_ns: int, base: int, run: Sliced, entry_at: Callable[[int], bytes]
    ) -> Iterator[tuple[bytes, int]]:
        """Packed entries of the records that were noted, and their number, frame by frame.

        `run` are the entries of their chunk, which begin at the reference `base`; `entry_at` gives
        the entry at a reference. Nothing is noted any more afterwards.
        """
        if not self._refs:
            return
        starts = [(ref & PLAIN) - base for ref in self._refs]
        read = self._read
        # Where an entry ends is where the next one begins; the last one says it itself.
        starts.append(starts[-1] + len(entry_at(self._refs[-1] & PLAIN)))
        self._refs = []
        self._read = []
        first = starts[0]
        data = run[first : starts[-1]]
        parts: list[bytes] = []
        count = 0
        size = 0
        at = 0
        # One join for each frame: a record costs a few slices and no copy of its own.
        for start, (log_key, keys) in zip(starts[1:], read, strict=True):
            end = start - first
            added = self.fields(log_key, keys)
            try:
                parts += entry_parts(data, at, end, added, arrived_ns)
                count += 1
            except NotARecord:
                pass
            size += end - at + len(added[1])
            at = end
            if size >= _FRAME_BYTES:
                yield b"".join(parts), count
                parts = []
                count = 0
                size = 0
        if count:
            yield b"".join(parts), count

    def fields(self, log_key: int, keys: Sequence[SessionKey]) -> tuple[int, bytes]:
        """What is added to a record."""
        if log_key == NO_EVENT:
            return 0, b""
        count, packed = self._fields[log_key]
        if len(keys) != 1:
            several = self._pack({self._session: [key_text(key) for key in keys]})
            return count + 1, packed + several[1]
        [key] = keys
        session = self._sessions.get(key)
        if session is None:
            if len(self._sessions) >= _MOST_SESSIONS:
                self._sessions.clear()
            session = self._sessions[key] = self._pack({self._session: key_text(key)})[1]
        return count + 1, packed + session


def _fields(
    prefix: str, template: str | None, name: str, hierarchy: Hierarchy, log_key: int
) -> dict[str, str | None]:
    entity, action, status = hierarchy.steps(log_key)
    return {
        f"{prefix}template": template,
        f"{prefix}template_id": name,
        f"{prefix}entity": entity,
        f"{prefix}action": action,
        f"{prefix}status": status,
    }
