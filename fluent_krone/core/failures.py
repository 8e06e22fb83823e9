"""Words that tell that something failed, and how badly."""

from __future__ import annotations

import re

# Words of syslog's three highest levels, and words of errors.
SEVERE = re.compile(
    r"\b(?:fatal|panic|emerg(?:ency)?|crit(?:ical)?|catastroph\w*|corrupt\w*|crash\w*)\b", re.I
)
ERROR = re.compile(
    r"\b(?:err(?:or)?s?|fail\w*|exceptions?|denied|refused|reject\w*|unreachable"
    r"|time[d-]?\s?out|invalid|cannot|unable|lost|offline|faults?|bad|abort\w*|warning|missing)\b",
    re.I,
)


def severity(text: str) -> int:
    """2 for words of syslog's top levels, 1 for words of errors, else 0.

    >>> severity("kernel panic"), severity("login failed"), severity("session opened")
    (2, 1, 0)
    """
    if SEVERE.search(text):
        return 2
    return int(ERROR.search(text) is not None)
