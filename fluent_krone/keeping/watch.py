"""A look at each record as it is read: is it kept whatever its session is, and what was read in it.

It stands in the place of the engine's reader, and gives what that gives. It is put there only when
something is to be looked for: a call for each record costs a tenth of what a record costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..core.engine import Engine
from ..core.references import MARKED, References
from ..errors import ConfigError, RecordError
from ..reading.levels import RANKS, LevelReader, levels_of
from ..reading.seam import Read, Reading
from .annotation import NO_EVENT, Annotator

# The rank of a level that no record reaches.
_NEVER = 100


def regexes_of(config: Config) -> list[str]:
    """The regular expressions of `keep_always`. Raises ConfigError for what is none."""
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
