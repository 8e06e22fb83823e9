"""Small phrases of which sentences about sessions are made."""

from __future__ import annotations

from collections.abc import Iterable

from ..detect.measures import times

# The share of a cut step's characters that stands before the cut.
_HEAD = 0.55
# Steps that a sentence lists of one kind; the rest are counted.
_MAX_LISTED = 3


def short(step: str, most: int) -> str:
    """The step, without its middle if it is long.

    >>> short("a" * 10 + "b" * 10, 11)
    'aaaaaa…bbbb'
    """
    if len(step) <= most:
        return step
    head = round(most * _HEAD)
    tail = most - head - 1
    return f"{step[:head].rstrip()}…{step[len(step) - tail :].lstrip()}"


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


def listed(steps: Iterable[str], most: int = _MAX_LISTED) -> str:
    """Steps as a person lists them; of many the last are counted."""
    all_steps = list(steps)
    shown = all_steps[:most]
    left_out = len(all_steps) - len(shown)
    if left_out:
        return f"{', '.join(shown)} and {left_out} more"
    if len(shown) > 1:
        return f"{', '.join(shown[:-1])} and {shown[-1]}"
    return shown[0]
