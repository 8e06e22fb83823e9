"""Looks at each record as it is read: whether it is kept in any case, and what was read in it.

`RecordWatch` stands in the place of the engine's reader, and gives what that gives. It is put there
only when something is to be looked for: a call for each record costs a tenth of what a record
costs. `Annotator` adds what was read to every record: template, entity, action, status and session.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..config import Config
from ..core.engine import Engine
from ..core.hierarchy import UNKNOWN, Hierarchy
from ..core.references import MARKED, PLAIN, References
from ..errors import ConfigError, RecordError
from ..reading.levels import RANKS, LevelReader, levels_of
from ..reading.records import SessionKey, key_text
from ..reading.seam import Read, Reading
from ..reading.templates import template_id
from ..segments import Sliced
from .entries import NotARecord, entry_parts, packed_fields

# The rank of a level that no record reaches.
_NEVER = 100
# Of a record that became no event.
NO_EVENT = -1
# Bytes of entries that leave in one frame; as those of kept records.
_FRAME_BYTES = 2**19
# Sessions whose field is remembered: each has many records.
_MOST_SESSIONS = 20_000
# Packs fields: their number, and their bytes; those of several calls can be joined.
PackFields = Callable[[Mapping[str, Any]], tuple[int, bytes]]
# What was read in a record: its log key, and its sessions.
Noted = tuple[int, Sequence[SessionKey]]


def regexes_of(config: Config) -> list[str]:
    """The regular expressions of `keep_always`. Raises ConfigError for one that is not valid."""
    found = []
    for item in config.keep_always or ():
        if not item.startswith("/"):
            raise ConfigError(f"keep_always: {item!r} is not a /regex/: write /{item}/")
        try:
            re.compile(item[1:-1])
        except re.error as error:
            raise ConfigError(f"keep_always: {item} is not a regular expression: {error}") from None
        found.append(item[1:-1])
    return found


def watch_of(
    engine: Engine, references: References, config: Config, annotator: Annotator | None = None
) -> RecordWatch:
    """What looks at the records of an engine as the parameters say."""
    return RecordWatch(
        engine.events,
        references,
        levels_of(engine.reader),
        regexes_of(config),
        config.keep_level,
        annotator,
    )


class RecordWatch:
    """Reads records as `reader` does, and marks the current reference of those to keep.

    `always` are regular expressions, `least_level` is the level from which on a record is kept.
    """

    def __init__(
        self,
        reader: Reading,
        references: References,
        levels: LevelReader,
        always: Sequence[str] = (),
        least_level: str = "none",
        annotator: Annotator | None = None,
    ) -> None:
        self._read = reader.read
        self._references = references
        self._rank = levels.rank
        self._least = _NEVER
        if least_level != "none":
            self._least = RANKS[least_level.encode()]
        self._search = None
        if always:
            self._search = re.compile("|".join(f"(?:{regex})" for regex in always).encode()).search
        self._annotator = annotator
        self.looks = bool(always) or self._least != _NEVER or annotator is not None

    def read(self, tag: bytes, record: Any) -> Read:
        """What `EventReader.read` gives. Raises RecordError as that does."""
        try:
            found = self._read(tag, record)
        except RecordError:
            if self._annotator is not None:
                self._annotator.note(self._references.current, NO_EVENT, ())
            raise
        references = self._references
        if self._annotator is not None:
            self._annotator.note(references.current, found[0], found[2])
        if self._rank(record) >= self._least or (
            self._search is not None and self._search(found[1])
        ):
            references.current |= MARKED
        return found


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
