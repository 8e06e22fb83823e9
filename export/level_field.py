"""The field that holds the level of records, where none has a usual name.

Records of one log hold their level in the same place, in whatever object it may be nested. Its
values give it away: they are words that all mean a severity, and a message has few of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fluent_krone.errors import RecordError
from fluent_krone.reading.accessor import field_getter, is_path, path_steps
from fluent_krone.reading.field_names import LEVEL_FIELDS, OF_AZURE, OF_OTEL
from fluent_krone.reading.levels import (
    RANKS,
    UNKNOWN_RANK,
    LevelReader,
    is_of_azure,
    level_word,
    levels_of,
)
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.values import as_bytes

from .nested_fields import plain_fields

# The share of the records that must have a level in a field for it to be theirs.
_MOST = 0.9
# With a level in at least this share of the records, no other field is looked for.
_SOME = 0.5
# A field whose name says nothing must have this many different levels: `error` alone may as well be
# the name of an event, or the result of a check.
_FEWEST_LEVELS = 2
# Fields whose numbers are always of the same scale, and the numbers of errors that syslog has.
_OF_ONE_SCALE = (b"PRIORITY", *OF_OTEL)
_ERRORS_OF_SYSLOG = (b"0", b"1", b"2", b"3")
# A part of a name that speaks of a level, in several languages.
_SPEAKS_OF_LEVEL = re.compile(
    r"le?ve?l|sever|sev\Z|prio|nivel|niveau|livello|stufe|schwere|urgen|级别|レベル|уровень",
    re.IGNORECASE,
)
# The shortest name of a level, whose numbers may be lengths or lines.
_SHORTEST = "l"
# Words for a level that mean one in every field. Single letters and numbers do only where the name
# of the field speaks of a level; `default`, `log` or `success` are what other fields say as well.
_SURE_WORDS = frozenset(
    word
    for word in RANKS
    if len(word) > 2
    and word.isalpha()
    and word not in {b"default", b"log", b"success", b"config", b"display", b"attention", b"fine"}
)


def find_level_field(
    settings: InputSettings, sample: Sequence[dict[bytes, Any]], say: Callable[[str], None]
) -> str | None:
    """The field of the level, as a name or an accessor; None where it has a usual name, or there is
    none. What is found is said.

    '' where the numbers of a usual field are no levels of syslog, and no other field has levels.
    """
    reader = RecordReader(settings)
    levels = levels_of(reader)
    doubted = _doubted_numbers(list(_fields(reader, sample)))
    if doubted is None and sum(map(_with_rank(levels.rank), sample)) >= _SOME * len(sample):
        return None
    names = dict.fromkeys(name for record in sample for name, _ in plain_fields(record))
    usual = {name.decode() for name in LEVEL_FIELDS}
    if doubted is not None:
        # Another usual field may have words.
        usual = {doubted}
    found = [
        name
        for name in names
        if name not in usual and name != settings.message_field and _holds_levels(name, sample)
    ]
    if not found and doubted is not None:
        say(
            f"no level is read: by the numbers in {doubted}, as syslog has them, most records "
            f"would be errors (--level-field {doubted} reads them so)"
        )
        return ""
    if not found:
        return None
    # One whose name speaks of a level comes first, then the one that is nested least.
    best = min(found, key=lambda name: (not _speaks_of_level(name), name.count("."), name))
    say(f"level field, found by its values: {best} (--level-field names another)")
    return best


def _fields(reader: RecordReader, sample: Sequence[dict[bytes, Any]]) -> Iterator[Any]:
    """The fields of records, with those of their headers."""
    for record in sample:
        try:
            yield reader.fields(record)
        except RecordError:
            continue


def _doubted_numbers(sample: Sequence[Mapping[bytes, Any]]) -> str | None:
    """The usual field of the level whose numbers cannot be those of syslog, by which most records
    would be errors; None where there is no such field.

    Programs also count from debug upwards, from 0 or 1, and then a 3 is an error or an information.
    """
    for name in LEVEL_FIELDS:
        values = [record[name] for record in sample if name in record]
        if len(values) < _SOME * len(sample) or name in _OF_ONE_SCALE:
            continue
        is_of_windows = any(b"EventID" in record for record in sample)
        counts_up = name in OF_AZURE and any(map(is_of_azure, sample))
        if _are_errors(values) and not is_of_windows and not counts_up:
            return name.decode()
        return None
    return None


def _are_errors(values: Sequence[Any]) -> bool:
    """Whether most values are the numbers of errors, as syslog has them."""
    numbers = [as_bytes(value) for value in values if isinstance(value, bytes | int)]
    return sum(number in _ERRORS_OF_SYSLOG for number in numbers) > len(values) / 2


def _with_rank(rank_of: Callable[[Any], int]) -> Callable[[Mapping[bytes, Any]], bool]:
    def has_rank(record: Mapping[bytes, Any]) -> bool:
        try:
            return rank_of(record) != UNKNOWN_RANK
        except RecordError:
            return False

    return has_rank


def _holds_levels(name: str, sample: Sequence[dict[bytes, Any]]) -> bool:
    if _speaks_of_level(name) or name.lower() == _SHORTEST:
        values = list(map(field_getter(name), sample))
        has_numbers = any(as_bytes(value or b"").isdigit() for value in values)
        if _are_errors(values) or (has_numbers and not _speaks_of_level(name)):
            return False
        rank_of = LevelReader(level_field=name).named_rank
        return sum(map(_with_rank(rank_of), sample)) >= _MOST * len(sample)
    values = [value for value in map(field_getter(name), sample) if isinstance(value, bytes)]
    words = [level_word(value.decode("utf-8", "replace")) for value in values]
    sure = sum(word in _SURE_WORDS for word in words)
    return len(set(words)) >= _FEWEST_LEVELS and sure >= _MOST * len(sample)


def _speaks_of_level(name: str) -> bool:
    """Whether the name of a field, or of the object that it is in, does so."""
    names = [name]
    if is_path(name):
        names = [str(step) for step in path_steps(name)[-2:]]
    return any(map(_SPEAKS_OF_LEVEL.search, names))
