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

from ..reading.time_words import SPEAKS_OF_TIME

# Plain lines that must name an id, at least, and the share of them all.
_FEWEST = 3
_SHARE = 0.3
# With fewer plain lines than this share of all, the fields of the others are worth more.
_MUCH = 0.05
# Ids that a field must have: a host or a process is named everywhere.
_IDS = 3
# A word with a digit; one of digits alone is an id where it is long, or behind the field's name.
_WORD = re.compile(r"[\w.-]*\d[\w.-]*")
_LONG = 5


def tell_of_the_same(plain: Sequence[str], records: Iterable[dict[str, Any]]) -> bool:
    """Whether plain lines name the ids of the records that stand beside them.

    >>> records = [{"request": f"r{n}", "msg": "paid"} for n in range(9)]
    >>> tell_of_the_same([f"request r{n} retried" for n in range(9)], records)
    True
    >>> tell_of_the_same(["   at Card.pay(Card:55)"] * 9, records)
    False
    >>> seconds = [{"time": 1728997200 + n, "msg": "paid"} for n in range(9)]
    >>> tell_of_the_same([f"[{1728997200 + n}] started" for n in range(9)], seconds)
    False
    """
    values: dict[str, set[str]] = defaultdict(set)
    count = 0
    for record in records:
        count += 1
        for name, value in record.items():
            is_word = isinstance(value, str | int) and _WORD.fullmatch(str(value))
            # Two programs write one second, and it says nothing of an execution.
            if is_word and not SPEAKS_OF_TIME.search(name):
                values[name].add(str(value))
    if len(plain) < _MUCH * (len(plain) + count):
        return False
    least = max(_FEWEST, _SHARE * len(plain))
    return any(
        len(ids) >= _IDS and sum(_names_one(line, name, ids) for line in plain) >= least
        for name, ids in values.items()
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
