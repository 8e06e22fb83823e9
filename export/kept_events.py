"""The events of a log on disk, for a stage that goes through them several times.

Reading a log takes ten times as long as reading what was kept of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgpack

from fluent_krone.errors import ExportError
from fluent_krone.reading.records import SessionKey

# The text, the session keys and the rank of the level of an event.
ReadEvent = tuple[str, tuple[SessionKey, ...], int]


def texts_of(events: Iterable[ReadEvent]) -> Iterator[str]:
    """The text of each event."""
    return (text for text, _, _ in events)


@contextmanager
def kept_in(folder: Path) -> Iterator[KeptEvents]:
    """Keep events in a temporary file in `folder`. Raises ExportError where it can't be written."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            yield KeptEvents(file)
    except OSError as error:
        raise ExportError(
            f"{folder}: what was read of the log can't be kept there: {error.strerror}"
        ) from None


class KeptEvents:
    """Keeps events in `file`, a binary file that is empty at first.

    >>> import io
    >>> kept = KeptEvents(io.BytesIO())
    >>> list(texts_of(kept.keep([("served blk_7", ((b"blk_7",),), 0)])))
    ['served blk_7']
    >>> list(kept.again())
    [('served blk_7', ((b'blk_7',),), 0)]
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def keep(self, events: Iterable[ReadEvent]) -> Iterator[ReadEvent]:
        """Hand the events on, and keep each."""
        pack = msgpack.Packer().pack
        for event in events:
            self._file.write(pack(event))
            yield event

    def again(self, on_event: Callable[[int], None] = lambda done: None) -> Iterator[ReadEvent]:
        """All events that were kept; `on_event` is called now and then with how many were read."""
        self._file.seek(0)
        unpacker = msgpack.Unpacker(self._file, use_list=False, max_buffer_size=0)
        for number, (text, keys, level) in enumerate(unpacker):
            if number % 1000 == 0:
                on_event(number)
            yield text, keys, level
