"""The field that holds the level of records, where none has a usual name.

Records of one log hold their level in the same place, in whatever object it may be nested. Its
values give it away: they are words that all mean a severity, and a message has few of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fluent_krone.errors import RecordError
from fluent_krone.reading.accessor import field_getter, is_path, path_steps
from fluent_krone.reading.levels import LEVEL_FIELDS, RANKS, UNKNOWN_RANK, levels_of
from fluent_krone.reading.records import InputSettings, RecordReader

from .message_fields import plain_fields

# The share of the records that must have a level in a field for it to be theirs.
_MOST = 0.9
# With a level in at least this share of the records, no other field is looked for.
_SOME = 0.5
# A field whose name says nothing must have so many different levels: `error` alone may as well be
# the name of an event, or the result of a check.
_FEWEST_LEVELS = 2
# A part of a name that speaks of a level, in several languages.
_SPEAKS_OF_LEVEL = re.compile(
    r"le?ve?l|sever|sev\Z|prio|nivel|niveau|livello|stufe|schwere|urgen|级别|レベル|уровень",
    re.IGNORECASE,
)
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
    """
    levels = levels_of(RecordReader(settings))
    if sum(map(_with_rank(levels.rank), sample)) >= _SOME * len(sample):
        return None
    names = dict.fromkeys(name for record in sample for name, _ in plain_fields(record))
    usual = {name.decode() for name in LEVEL_FIELDS}
    found = [
        name
        for name in names
        if name not in usual and name != settings.message_field and _holds_levels(name, sample)
    ]
    if not found:
        return None
    # One whose name speaks of a level comes first, then the one that is nested least.
    best = min(found, key=lambda name: (not _speaks_of_level(name), name.count("."), name))
    say(f"level field, found by its values: {best} (--level-field names another)")
    return best


def _with_rank(rank_of: Callable[[Any], int]) -> Callable[[Mapping[bytes, Any]], bool]:
    def has_rank(record: Mapping[bytes, Any]) -> bool:
        try:
            return rank_of(record) != UNKNOWN_RANK
        except RecordError:
            return False

    return has_rank


def _holds_levels(name: str, sample: Sequence[dict[bytes, Any]]) -> bool:
    values = list(map(field_getter(name), sample))
    if _speaks_of_level(name):
        return _share_of(values, RANKS) >= _MOST
    distinct = {value for value in values if value is not None}
    return len(distinct) >= _FEWEST_LEVELS and _share_of(values, _SURE_WORDS) >= _MOST


def _share_of(values: Sequence[Any], words: frozenset[bytes] | Mapping[bytes, int]) -> float:
    levels = 0
    for value in values:
        if value.__class__ is int:
            value = b"%d" % value
        if value.__class__ is bytes:
            levels += value.decode("utf-8", "replace").strip().lower().encode() in words
    return levels / len(values)


def _speaks_of_level(name: str) -> bool:
    last = name
    if is_path(name):
        last = str(path_steps(name)[-1])
    return _SPEAKS_OF_LEVEL.search(last) is not None
