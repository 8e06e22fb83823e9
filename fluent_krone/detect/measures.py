"""Shares, numbers and times as an operator reads them."""

from __future__ import annotations

# Unit, from how many seconds on it is used, and the unit of what is left over.
_UNITS = (
    (86_400, "d", 86_400, 3_600, "h"),
    (3_600, "h", 3_600, 60, "min"),
    (60, "min", 300, 1, "s"),
)


def as_share(share: float) -> str:
    """A share as an operator reads it.

    >>> as_share(0.25), as_share(0.99997), as_share(1.0), as_share(0.00002)
    ('25 %', 'over 99.9 %', '100 %', 'under 0.1 %')
    """
    if 0.999 < share < 1:
        return "over 99.9 %"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.3g} %"


def as_figure(number: float) -> str:
    """A number as an operator reads it.

    >>> as_figure(3529630.4), as_figure(0.25)
    ('3,529,630', '0.25')
    """
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def as_time(seconds: float) -> str:
    """A time as an operator reads it, in at most two units.

    >>> as_time(0.25), as_time(0.9999), as_time(94), as_time(4000), as_time(200_000)
    ('250 ms', '1 s', '94 s', '1 h 6 min', '2 d 7 h')
    """
    # What would be rounded to 1000 ms is a second.
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    for unit_s, unit, from_s, part_s, part in _UNITS:
        if seconds >= from_s:
            whole = int(seconds // unit_s)
            rest = int(seconds % unit_s // part_s)
            if not rest:
                return f"{whole} {unit}"
            return f"{whole} {unit} {rest} {part}"
    return f"{seconds:.3g} s"


def times(count: int) -> str:
    """How often: once, twice, 3 times."""
    if count == 1:
        return "once"
    if count == 2:
        return "twice"
    return f"{count} times"
