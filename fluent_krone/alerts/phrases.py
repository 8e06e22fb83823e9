"""Small phrases of which sentences about sessions are made."""

from __future__ import annotations

from ..detect.measures import times

# The share of a cut step's characters that stands before the cut.
_HEAD = 0.55


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
