"""The seam between a record and an event: what the engine asks of whatever reads for it.

`EventReader` is its implementation in Python. Another one, such as a native reader, must pass the
same contract test (`tests/contract/test_reading.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .records import SessionKey

# What the engine wants to know of all messages of one shape, from a log key and one such text: for
# example where the values lie that are worth a look.
Note = Callable[[int, bytes], Sequence[Any]]
# Log key, the text that was matched, session keys, and the note of its shape; None where the shape
# is not remembered.
Read = tuple[int, bytes, Sequence[SessionKey], Sequence[Any] | None]


class Reading(Protocol):
    """Reads the records of one stream."""

    def read(self, tag: bytes, record: Any) -> Read:
        """What a record is as an event.

        Log key, text and session keys are those of `RecordReader` and `TemplateMatcher`, whatever
        came before. A note, where there is one, is what was said of another text of the same shape:
        it may differ from this one in its digits alone. Raises RecordError as `RecordReader.read`.
        """
        ...
