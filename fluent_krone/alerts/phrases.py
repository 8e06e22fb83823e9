"""Small phrases of which sentences about sessions are made."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.listing import listed
from ..detect.measures import times

# The share of a cut step's characters that stands before the cut.
_HEAD = 0.55
# Characters of a word that is left out rather than cut. A longer one would leave too little.
_WORD = 24
# Steps that a sentence lists by the way, and their characters together: nobody reads more.
_MOST_LISTED = 3
_LONGEST_LIST = 280


def listed_briefly(steps: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Steps as they stand in a sentence; of many, or of long ones, the last are counted.

    >>> listed_briefly(["a" * 200, "b" * 200, "c"]).lstrip("a")
    ' and 2 more'
    """
    shown = most
    while shown > 1 and sum(map(len, steps[:shown])) > _LONGEST_LIST:
        shown -= 1
    return listed(steps, shown)


def short(step: str, most: int) -> str:
    """The step, without its middle if it is long; it is cut between words, or parts of a path.

    >>> short("a" * 10 + "b" * 10, 11), short("Receiving block blk_17 from web1 now", 26)
    ('aaaaaa…bbbb', 'Receiving … web1 now')
    """
    if len(step) <= most:
        return step
    head = round(most * _HEAD)
    tail = most - head - 1
    first = step[:head]
    last = step[len(step) - tail :]
    for gap in " /":
        kept, found, word = first.rpartition(gap)
        if found and len(word) <= _WORD and step[head] != " ":
            first = kept + found
            break
    for gap in " /":
        word, found, kept = last.partition(gap)
        if found and len(word) <= _WORD and step[len(step) - tail - 1] != " ":
            last = found + kept
            break
    return f"{first}…{last}"


def at_most(count: int) -> str:
    """How often at most; once needs no further words."""
    if count == 1:
        return "once"
    return f"{times(count)} at most"


def counted(step: str, count: int) -> str:
    """A step with its number, where that is more than one."""
    if count > 1:
        return f"{step} ×{count}"
    return step


def counted_value(value: str, count: int) -> str:
    """A value with how often it came, where that is more than once."""
    if count > 1:
        return f"{value} {times(count)}"
    return value
