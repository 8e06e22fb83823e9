"""Files whose newest record stands first, as searches and consoles export them.

Kibana, CloudWatch, Loki and most pages of logs show the newest record first, and so do the files
that they write. Read as they stand, every execution in them would run backwards.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
Event = tuple[int | None, dict[bytes, Any]]
# Events by which the order of a file is judged.
_LOOKED_AT = 1_000
# Steps from one time to another that are needed to judge it, …
_FEWEST = 10
# … and the share of them that lead back. In a log of several hosts it is a fifth at the most.
_MOSTLY = 0.9
# With more steps back than this, it is in no order at all.
_UNSORTED = 0.35


def oldest_first(events: Iterator[Event], path: Path) -> Iterator[Event]:
    """The events of a file, the oldest first. Only a file that begins with its newest is held."""
    first = list(itertools.islice(events, _LOOKED_AT))
    back = share_back(time_ns for time_ns, _ in first)
    if back < _MOSTLY:
        if back > _UNSORTED:
            _log.info(
                "the records are in no order of time: %.0f%% lead back, so sessions cannot be told "
                "by what follows what; sort the file by time file=%s",
                100 * back,
                path,
            )
        yield from first
        yield from events
        return
    _log.info("the newest record stands first, so the file is read from its end file=%s", path)
    last_ns: int | None = None
    timed: list[tuple[int, Event]] = []
    for event in reversed([*first, *events]):
        last_ns = event[0] or last_ns
        timed.append((last_ns or 0, event))
    # What several sources wrote may stand one source after the other.
    timed.sort(key=lambda entry: entry[0])
    for _, event in timed:
        yield event


def share_back(times: Iterable[int | None]) -> float:
    """The share of steps that lead back in time; 0 where there are too few of them.

    >>> share_back(range(30, 0, -1)), share_back([2, 1, 0, 3] * 30) > 0.6, share_back([2, 1])
    (1.0, True, 0.0)
    """
    known = [time_ns for time_ns in times if time_ns is not None]
    steps = [after - before for before, after in pairwise(known) if after != before]
    if len(steps) < _FEWEST:
        return 0.0
    return sum(step < 0 for step in steps) / len(steps)
