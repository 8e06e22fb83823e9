"""What is sent of the records that are held: rows to save, and the packed records of each row.

A row is what one commit decided: which records leave, by their references, and the fields that are
added to them. It is small beside the records, which stay where they are held until the row has been
delivered. The code that saves rows, and the code that delivers them, need not know what they hold.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgpack

from ..alerts.tags import TagRule
from ..core.references import PLAIN
from ..types import Packed
from .entries import packed_fields, record_id, with_fields

# Bytes of packed records in one frame: large enough to cost little, far below what receivers take
# (Fluent Bit 6 MB), and built in a few milliseconds, for which everything else waits.
_FRAME_BYTES = 2**19
# Records of one row, which bounds what is read back and built at once after a restart.
MOST_IN_ROW = 50_000
# Kinds of items in a row: records of one session by their references, packed entries, one event.
RECORDS = 0
BLOCK = 1
EVENT = 2


class Held(Protocol):
    """Where records are held, with what releasing them needs."""

    def has(self, ref: int) -> bool:
        """Whether the record of a reference is still there."""

    def block(self, ref: int) -> Any:
        """How a record's chunk came: `tag`, `name`, `arrived_ns`, `base`."""

    def entry(self, ref: int) -> bytes:
        """The packed entry of a record."""

    def run(self, ref: int, size: int) -> bytes:
        """Bytes from a reference on."""


@dataclass(slots=True)
class Row:
    """What is saved of a release, with the smallest reference in it and the number of records."""

    items: list[list[Any]] = field(default_factory=list)
    first_ref: int | None = None
    records: int = 0

    def pack(self) -> bytes:
        """The bytes to save."""
        return bytes(msgpack.packb(self.items, unicode_errors="surrogateescape"))

    def add_records(self, fields: Mapping[str, Any], refs: array[int]) -> None:
        """Records of one session, or of none, that get the same fields."""
        self.items.append([RECORDS, dict(fields), refs.tobytes()])
        self._note(min(refs), len(refs))

    def add_block(self, tag: str, ref: int, size: int, count: int) -> None:
        """Packed entries that leave as they lie, under this tag."""
        self.items.append([BLOCK, tag, ref, size, count])
        self._note(ref, count)

    def add_event(self, tag: str, entry: bytes) -> None:
        """One packed event that is held nowhere else."""
        self.items.append([EVENT, tag, entry])
        self.records += 1

    def _note(self, ref: int, count: int) -> None:
        if self.first_ref is None or ref < self.first_ref:
            self.first_ref = ref
        self.records += count


def first_ref_of(data: bytes) -> int | None:
    """The smallest reference in a saved row; None: it has none."""
    found = []
    for kind, *rest in items_of(data):
        if kind == RECORDS:
            found.append(min(array("q", rest[1])))
        elif kind == BLOCK:
            found.append(rest[1])
    return min(found, default=None)


class Releaser:
    """Turns saved rows into packed records, each with an id of its own.

    `missing` counts records that are held no more.
    """

    def __init__(self, held: Held, rule: TagRule, prefix: str) -> None:
        self._held = held
        self._rule = rule
        self._id_field = f"{prefix}record_id"
        self._tags: dict[str, str] = {}
        self.missing = 0

    def packed(self, data: bytes) -> Iterator[Packed]:
        """The records of a saved row, in its order under each tag."""
        frames = _Frames()
        for kind, *rest in items_of(data):
            if kind == RECORDS:
                fields, refs = rest
                yield from self._records(frames, packed_fields(fields), array("q", refs))
            elif kind == BLOCK:
                tag, ref, size, count = rest
                if self._held.has(ref):
                    yield Packed(tag, self._held.run(ref, size), count, _name(str(ref).encode()))
                else:
                    self.missing += count
            else:
                tag, entry = rest
                yield from frames.add(tag, entry)
        yield from frames.rest()

    def _records(
        self, frames: _Frames, fields: tuple[int, bytes], refs: array[int]
    ) -> Iterator[Packed]:
        count, packed = fields
        held = self._held
        for ref in refs:
            if not held.has(ref):
                self.missing += 1
                continue
            try:
                block = held.block(ref)
                entry = held.entry(ref)
                name = record_id(block.tag, entry, block.name, ref - block.base)
                own = packed_fields({self._id_field: name})
                entry = with_fields(entry, (count + own[0], packed + own[1]), block.arrived_ns)
            except (ValueError, TypeError, msgpack.OutOfData):
                # What a failing disk made of it must not stop the others. NotARecord is one.
                self.missing += 1
                continue
            yield from frames.add(self._tag(block.tag), entry)

    def _tag(self, tag: str) -> str:
        found = self._tags.get(tag)
        if found is None:
            if len(self._tags) >= 1_000:
                self._tags.clear()
            found = self._tags[tag] = self._rule.of(tag)
        return found


class _Frames:
    """Entries on their way into frames, tag by tag."""

    def __init__(self) -> None:
        self._entries: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, tag: str, entry: bytes) -> Iterator[Packed]:
        """Add an entry; a frame that is full comes back."""
        self._entries.setdefault(tag, []).append(entry)
        size = self._sizes.get(tag, 0) + len(entry)
        self._sizes[tag] = size
        if size >= _FRAME_BYTES:
            yield self._take(tag)

    def rest(self) -> Iterator[Packed]:
        """What is left, a frame for each tag."""
        for tag in list(self._entries):
            yield self._take(tag)

    def _take(self, tag: str) -> Packed:
        entries = self._entries.pop(tag)
        self._sizes.pop(tag)
        data = b"".join(entries)
        return Packed(tag, data, len(entries), _name(tag.encode("utf-8", "replace"), data))


def plain_refs(refs: Sequence[int]) -> array[int]:
    """References without their marks."""
    return array("q", [ref & PLAIN for ref in refs])


def items_of(data: bytes) -> list[list[Any]]:
    """The items of a saved row."""
    items: list[list[Any]] = msgpack.unpackb(
        data, strict_map_key=False, unicode_errors="surrogateescape"
    )
    return items


def _name(*parts: bytes) -> str:
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
