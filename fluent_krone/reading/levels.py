"""The severity that a record states: a field of it, or a group of `line_format`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .excerpt import Excerpt
from .records import RecordReader

# Fields that hold a level, the most usual first; the first one that a record has counts.
LEVEL_FIELDS = (b"level", b"severity", b"lvl", b"loglevel", b"log_level", b"levelname")
# The one that nearly all records with a level have.
FIRST_LEVEL_FIELD = LEVEL_FIELDS[0]
# Severities as ranks, from syslog's and the names that common loggers use.
RANKS: Mapping[bytes, int] = {
    b"trace": 1, b"finest": 1, b"finer": 1, b"verbose": 1,
    b"debug": 2, b"fine": 2, b"config": 2,
    b"info": 3, b"information": 3, b"informational": 3, b"i": 3,
    b"notice": 4,
    b"warn": 5, b"warning": 5, b"w": 5,
    b"error": 6, b"err": 6, b"severe": 6, b"failure": 6, b"e": 6,
    b"critical": 7, b"crit": 7,
    b"fatal": 8, b"alert": 8, b"emerg": 8, b"emergency": 8, b"panic": 8, b"f": 8,
}  # fmt: skip
# An event without a level, or with a word that is none.
UNKNOWN_RANK = 0
# What each rank is called where it is shown.
RANK_NAMES: Mapping[int, str] = {
    1: "trace", 2: "debug", 3: "info", 4: "notice", 5: "warning", 6: "error", 7: "critical",
    8: "fatal",
}  # fmt: skip
# Spellings of a level that are remembered.
_MOST_WORDS = 1_000


class LevelReader:
    """Reads the rank of a record's level.

    `fields_of` gives the fields of a record as they are read, with the groups of `line_format`.

    >>> LevelReader().rank({b"level": b"WARN"}), LevelReader().rank({b"message": b"x"})
    (5, 0)
    """

    def __init__(self, fields_of: Callable[[Any], Mapping[bytes, Any]] | None = None) -> None:
        self._fields_of = fields_of
        # Words → ranks. Where levels are parts of lines, no field of a record says them.
        self._ranks: dict[Any, int] = {}
        self._quick = self._ranks if fields_of is None else {}

    @property
    def is_plain(self) -> bool:
        """Whether levels are fields of the records as they come."""
        return self._fields_of is None

    def rank(self, record: Any) -> int:
        """The rank, or `UNKNOWN_RANK`. Of a record that is gone, its excerpt says it."""
        # Asked for every line that is kept: nearly all of a stream have the first field, and few
        # words in it.
        try:
            return self._quick[record[FIRST_LEVEL_FIELD]]
        except (LookupError, TypeError):
            return self._slow_rank(record)

    def _slow_rank(self, record: Any) -> int:
        """The rank of any record, or of what stands in its place."""
        if record is None:
            return UNKNOWN_RANK
        if record.__class__ is Excerpt:
            return int(record.rank)
        fields = record
        if self._fields_of is not None:
            fields = self._fields_of(record)
        for name in LEVEL_FIELDS:
            value = fields.get(name)
            if value.__class__ is bytes:
                rank = self._ranks.get(value)
                return self._rank(value) if rank is None else rank
        return UNKNOWN_RANK

    def _rank(self, word: bytes) -> int:
        if len(self._ranks) >= _MOST_WORDS:
            self._ranks.clear()
        rank = RANKS.get(word.strip().lower(), UNKNOWN_RANK)
        self._ranks[word] = rank
        return rank


def levels_of(reader: RecordReader) -> LevelReader:
    """Reads levels of the records that this reader reads, with the groups of its `line_format`."""
    if reader.settings.line_format is None:
        return LevelReader()
    return LevelReader(reader.fields)
