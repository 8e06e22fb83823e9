"""Lines of JSON and plain lines that tell of the same executions.

A line that is no JSON among many that are is no record of them: a banner, a line of a stack trace.
Where plain lines name the ids that the records have, they are steps of the same executions, and it
would be wrong to leave them out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from ..reading.line_formats import GOES_ON
from ..reading.time_words import SPEAKS_OF_TIME

# Plain lines that must name an id, at least, and the share of them all.
_FEWEST = 3
_SHARE = 0.3
# With fewer plain lines than this share of all, the fields of the others are worth more.
_MUCH = 0.05
# Ids that a field must have: a host or a process is named everywhere.
_IDS = 3
# A word is looked for whole, and then for a digit in it: one expression for both would look through
# a long word without a digit from each of its letters on.
_WORD = re.compile(r"[\w.-]+")
_DIGIT = re.compile(r"\d")
# One of digits alone is an id where it is long, or behind the field's name.
_LONG = 5
# What looks like an id and is none: a date with its hour, a version.
_DATE_OR_VERSION = re.compile(
    r"\d{4}-\d\d-\d\d(?:T[\d.]*)?\Z|v?\d+(?:\.\d+)+(?:-(?:rc|beta|alpha|snapshot)[\w.]*)?\Z", re.I
)
# What the ids are called that stand within texts, as in `order 12345 is paid`; the share of the
# plain lines that must name one, among which those of stack traces do not count; and the most lines
# that tell of one of them. A name such as `node-1` is in more.
_IN_TEXTS = ""
_SHARE_OF_TEXTS = 0.6
_LINES_OF_ONE = 20
_OF_A_TRACE = re.compile(
    r"\s|(?:[\w$]+\.)*(?:[\w$]*(?:Exception|Error|Throwable)|(?<=\.)[A-Z][\w$]*)(?::|\s*\Z)"
    rf"|{GOES_ON}"
)


def tell_of_the_same(plain: Sequence[str], records: Iterable[dict[str, Any]]) -> bool:
    """Whether plain lines name the ids of the records that stand beside them.

    >>> records = [{"request": f"r{n}", "msg": "paid"} for n in range(9)]
    >>> tell_of_the_same([f"request r{n} retried" for n in range(9)], records)
    True
    >>> tell_of_the_same(["   at Card.pay(Card:55)"] * 9, records)
    False
    >>> texts = [{"msg": f"order {10000 + n} is paid"} for n in range(9)]
    >>> tell_of_the_same([f"retry of {10000 + n}" for n in range(9)], texts)
    True
    >>> seconds = [{"time": 1728997200 + n, "msg": "paid"} for n in range(9)]
    >>> tell_of_the_same([f"[{1728997200 + n}] started" for n in range(9)], seconds)
    False
    """
    values: dict[str, set[str]] = defaultdict(set)
    count = 0
    for record in records:
        count += 1
        for name, value in record.items():
            # Two programs write one second, and it says nothing of an execution.
            if not isinstance(value, str | int) or SPEAKS_OF_TIME.search(name):
                continue
            if _WORD.fullmatch(str(value)) and _DIGIT.search(str(value)):
                values[name].add(str(value))
            elif isinstance(value, str) and " " in value:
                values[_IN_TEXTS].update(filter(_is_id, _words(value)))
    if len(plain) < _MUCH * (len(plain) + count):
        return False
    least = max(_FEWEST, _SHARE * len(plain))
    return any(
        len(ids) >= _IDS and sum(_names_one(line, name, ids) for line in plain) >= least
        for name, ids in values.items()
        if name != _IN_TEXTS
    ) or _share_ids(plain, values[_IN_TEXTS])


def _words(text: str) -> list[str]:
    """The words of a text that have a digit."""
    return [*filter(_DIGIT.search, _WORD.findall(text))]


def _is_id(word: str) -> bool:
    """Whether a word within a text may be an id: a long number, or letters and digits.

    >>> [*map(_is_id, ("4821377", "ab12-7c", "2026-01-05T10", "v1.7.0-rc1"))]
    [True, True, False, False]
    """
    if len(word) < _LONG or _DATE_OR_VERSION.match(word):
        return False
    return word.isdigit() or (word[-1] not in ".-" and any(map(str.isalpha, word)))


def _share_ids(plain: Sequence[str], ids: set[str]) -> bool:
    """Whether plain lines name ids that stand within the texts of records, and not the same few."""
    told = (line for line in plain if not _OF_A_TRACE.match(line))
    named = [*filter(None, (ids.intersection(_words(line)) for line in told))]
    several = max(_IDS, len(named) / _LINES_OF_ONE)
    return (
        len(named) >= max(_FEWEST, _SHARE_OF_TEXTS * len(plain))
        and len(set().union(*named)) >= several
    )


def _names_one(line: str, name: str, ids: set[str]) -> bool:
    """Whether a line names one of the ids that a field has."""
    for word in _WORD.finditer(line):
        text = word[0]
        if text not in ids:
            continue
        if not text.isdigit() or len(text) >= _LONG:
            return True
        if line[: word.start()].rstrip(" =:\"'").endswith(name):
            return True
    return False
