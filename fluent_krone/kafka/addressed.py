"""Copies of a message of several sessions, each of which counts for one session only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import RecordError
from ..reading.events import EventReader
from ..reading.records import SessionKey
from ..reading.seam import Aside, Events, Found, Read, reading_by


class Addressed(dict[bytes, Any]):
    """A record that is meant for one of its sessions.

    A message that names several sessions belongs to several partitions. `kafka-key` writes a copy
    for each session; without the address each copy would be an event of all of them.
    """

    __slots__ = ("session",)

    def __init__(self, record: dict[bytes, Any], session: SessionKey) -> None:
        super().__init__(record)
        self.session = session


class AddressedReader(EventReader):
    """An `EventReader` that gives, of an `Addressed` record, only its own session."""

    def read(self, tag: bytes, record: Any) -> Read:
        """As `EventReader.read`; a copy whose session it does not name has `no_session_key`."""
        if record.__class__ is not Addressed:
            return EventReader.read(self, tag, record)
        log_key, text, keys, note = EventReader.read(self, tag, dict(record))
        if record.session not in keys:
            raise RecordError("no_session_key", "the copy is meant for a session it does not name")
        return log_key, text, [record.session], note

    def read_all(self, tag: bytes, events: Events, aside: Aside) -> Iterator[Found]:
        """As `EventReader.read_all`, each record by `read`."""
        return reading_by(self.read)(tag, events, aside)
