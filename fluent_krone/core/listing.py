"""Names as a person lists them, and things with their number."""

from __future__ import annotations

from collections.abc import Iterable

# Names that a sentence lists of one kind; the rest are counted.
_MOST_LISTED = 3


def listed(names: Iterable[str], most: int = _MOST_LISTED) -> str:
    """A list as it stands in a sentence; of many names the last are counted.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"]), listed("abcde", 2)
    ('a', 'a and b', 'a, b and c', 'a, b and 3 more')
    """
    all_names = list(names)
    shown = all_names[:most]
    left_out = len(all_names) - len(shown)
    if left_out:
        return f"{', '.join(shown)} and {left_out} more"
    if len(shown) > 1:
        return f"{', '.join(shown[:-1])} and {shown[-1]}"
    return shown[0]


def numbered(count: int, noun: str) -> str:
    """A number with its noun, in the plural where that is right.

    >>> numbered(1, "alert"), numbered(2000, "alert")
    ('1 alert', '2,000 alerts')
    """
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}s"
