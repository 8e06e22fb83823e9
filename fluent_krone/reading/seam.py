"""The seam between a record and an event: what the engine asks of whatever reads for it.

`EventReader` is its implementation in Python. Another one, such as a native reader, must pass the
same contract test (`tests/contract/test_reading.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from ..errors import RecordError
from .records import SessionKey

# What the engine wants to know of all records that have a message of one shape and the same word in
# the field `level`, from a log key, one such text and its record's fields, with those of its line:
# for example where the values lie that are worth a look.
Note = Callable[[int, bytes, Any], Sequence[Any] | None]
# Log key, the text that was matched, session keys, and the note of its shape; None where nothing is
# known of its shape.
Read = tuple[int, bytes, Sequence[SessionKey], Sequence[Any] | None]


# A chunk's events: time in ns (None: it has none; 0: now), and record.
Events = Iterable[tuple[int | None, Any]]
# Time and record, and what `Read` holds.
Found = tuple[int | None, Any, int, bytes, Sequence[SessionKey], Sequence[Any] | None]
# Takes a record that cannot become an event, and why.
Aside = Callable[[Any, RecordError], None]
# See `Reading.read_all`.
ReadAll = Callable[[bytes, Events, Aside], Iterator[Found]]


class Reading(Protocol):
    """Reads the records of one stream."""

    def read_all(self, tag: bytes, events: Events, aside: Aside) -> Iterator[Found]:
        """Read a chunk's events one by one, as they are asked for; see `read`.

        Records of which `read` would raise an error go to `aside`, and are left out.
        """
        ...

    def read(self, tag: bytes, record: Any) -> Read:
        """What a record is as an event.

        Log key, text and session keys are those of `RecordReader` and `TemplateMatcher`, whatever
        came before. A note, where there is one, is what was said of another text of the same shape,
        which may differ from this one in its digits alone, and of a record with the same word in
        the field `level`. Raises RecordError as `RecordReader.read`.
        """
        ...


def reading_by(read: Callable[[bytes, Any], Read]) -> ReadAll:
    """What reads a chunk by a function that reads one record."""

    def read_all(tag: bytes, events: Events, aside: Aside) -> Iterator[Found]:
        for time_ns, record in events:
            try:
                log_key, text, keys, note = read(tag, record)
            except RecordError as error:
                aside(record, error)
            else:
                yield time_ns, record, log_key, text, keys, note

    return read_all
