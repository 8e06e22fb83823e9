"""Every record with what was read in it: template, entity, action, status and session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgpack

from ..core.hierarchy import UNKNOWN, Hierarchy
from ..reading.records import SessionKey, key_text
from ..reading.templates import template_id
from .entries import NotARecord, packed_fields, with_fields

# Of a record that became no event.
NO_EVENT = -1
# Bytes of entries that leave in one frame; as those of kept records.
_FRAME_BYTES = 2**19
_pack = msgpack.Packer(unicode_errors="surrogateescape").pack


class Annotator:
    """Notes what was read in each record of a chunk, and makes annotated entries of them.

    `prefix` is what the names of the fields begin with.
    """

    def __init__(self, templates: Sequence[str], hierarchy: Hierarchy, prefix: str) -> None:
        self._fields = [
            packed_fields(_fields(prefix, template, template_id(template), hierarchy, log_key))
            for log_key, template in enumerate(templates)
        ]
        # A line without a template still has the name of the leaf that it belongs to.
        self._fields.append(
            packed_fields(_fields(prefix, None, UNKNOWN, hierarchy, hierarchy.unknown))
        )
        self._session = _pack(f"{prefix}session")
        self._refs: list[int] = []
        self._read: list[tuple[int, Sequence[SessionKey]]] = []

    def note(self, ref: int, log_key: int, keys: Sequence[SessionKey]) -> None:
        """The record of this reference was read; `log_key` may be `NO_EVENT`."""
        self._refs.append(ref)
        self._read.append((log_key, keys))

    def take(
        self, arrived_ns: int, piece: Callable[[int, int | None], bytes]
    ) -> Iterator[tuple[bytes, int]]:
        """Packed entries of the records that were noted, and their number, frame by frame.

        `piece` gives the bytes between two references, or the entry at one. Nothing is noted any
        more afterwards.
        """
        refs = self._refs
        read = self._read
        self._refs = []
        self._read = []
        ends: list[int | None] = [*refs[1:], None]
        entries: list[bytes] = []
        size = 0
        for ref, end, (log_key, keys) in zip(refs, ends, read, strict=True):
            try:
                entry = with_fields(piece(ref, end), self._of(log_key, keys), arrived_ns)
            except NotARecord:
                continue
            entries.append(entry)
            size += len(entry)
            if size >= _FRAME_BYTES:
                yield b"".join(entries), len(entries)
                entries = []
                size = 0
        if entries:
            yield b"".join(entries), len(entries)

    def _of(self, log_key: int, keys: Sequence[SessionKey]) -> tuple[int, bytes]:
        """What is added to a record."""
        if log_key == NO_EVENT:
            return 0, b""
        count, packed = self._fields[log_key]
        if len(keys) == 1:
            return count + 1, packed + self._session + _pack(key_text(keys[0]))
        return count + 1, packed + self._session + _pack([key_text(key) for key in keys])


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
