"""Words that tell that something failed, and how badly."""

from __future__ import annotations

import re
from functools import lru_cache

# Words of syslog's three highest levels, and words of errors.
SEVERE = re.compile(
    r"\b(?:fatal|panic|emerg(?:ency)?|crit(?:ical)?|catastroph\w*|corrupt\w*|crash\w*)\b", re.I
)
ERROR = re.compile(
    r"\b(?:err(?:or)?s?|fail\w*|exceptions?|denied|refused|reject\w*|unreachable"
    r"|time[d-]?\s?out|invalid|cannot|unable|lost|offline|faults?|bad|abort\w*|warning|missing)\b",
    re.I,
)

# Templates whose severity is remembered: each verdict and each alert asks for those of its session.
_MOST_TEMPLATES = 10_000


def severity(text: str) -> int:
    """2 for words of syslog's top levels, 1 for words of errors, else 0.

    >>> severity("kernel panic"), severity("login failed"), severity("session opened")
    (2, 1, 0)
    """
    if SEVERE.search(text):
        return 2
    return int(ERROR.search(text) is not None)


@lru_cache(_MOST_TEMPLATES)
def template_severity(template: str) -> int:
    """`severity` of a template. Bundles have few; the lines of a stream would fill the cache."""
    return severity(template)
