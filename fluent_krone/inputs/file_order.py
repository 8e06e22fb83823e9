"""Files that do not begin with their oldest record, or have one execution behind the other.

Kibana, CloudWatch, Loki and most pages of logs show the newest record first, and so do the files
that they write. Read as they stand, every execution in them would run backwards. A table that a
database or a process miner exports often has all records of one execution, then all of the next.
Read as it stands, its time would leap back with each of them.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
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
# How far back a step has to lead, the number of different steps that are needed, and the share that
# differ: with each pair of hosts whose clocks differ, the same comes back. No clock is wrong by
# other days each time.
_FAR_NS, _DAY_NS = 3600 * 10**9, 86_400 * 10**9
_FEWEST_SIZES, _DIFFERENT = 5, 1 / 3
# The share of the records that are so far behind the latest one before them. Of devices that send
# late, single records are.
_BEHIND = 0.2
# Steps back that differ less than this are the same.
_SAME_NS = 300 * 10**9


def oldest_first(events: Iterator[Event], path: Path) -> Iterator[Event]:
    """The events of a file, the oldest first. Only a file in another order is held in memory."""
    first = list(itertools.islice(events, _LOOKED_AT))
    times = [time_ns for time_ns, _ in first if time_ns is not None]
    back = share_back(times)
    if back >= _MOSTLY:
        _log.info("the newest record stands first, so the file is read from its end file=%s", path)
        # What several sources wrote may stand one source after the other.
        yield from _sorted(reversed([*first, *events]))
        return
    if is_jumbled(times):
        _log.info(
            "the records are in no order of time, as where each execution stands after the one "
            "before it, so they are sorted by their times file=%s",
            path,
        )
        yield from _sorted([*first, *events])
        return
    if back > _UNSORTED:
        _log.info(
            "the records are in no order of time: %.0f%% lead back, so sessions cannot be told "
            "by what follows what; sort the file by time file=%s",
            100 * back,
            path,
        )
    yield from first
    yield from events


def _sorted(events: Iterable[Event]) -> Iterator[Event]:
    """Events by their times; one without a time stays behind the one before it."""
    last_ns = 0
    timed: list[tuple[int, Event]] = []
    for event in events:
        last_ns = event[0] or last_ns
        timed.append((last_ns, event))
    timed.sort(key=lambda entry: entry[0])
    for _, event in timed:
        yield event


def is_jumbled(times: Sequence[int]) -> bool:
    """Whether times lead back by hours again and again, by other hours each time, and go on there.

    Hosts whose clocks are wrong lead back by the same hours each time. Of devices that send late,
    a record is behind, and the next one is not.

    >>> hour = 3600 * 10**9
    >>> cases = [n * hour + k * 5 * hour for n in range(20) for k in range(n % 7)]
    >>> is_jumbled(cases), is_jumbled([0, 9 * hour, hour, 2 * hour]), is_jumbled([2 * hour, 0] * 20)
    (True, False, False)
    """
    behind = [
        latest - time_ns for latest, time_ns in zip(accumulate(times, max), times, strict=True)
    ]
    if sum(size >= _FAR_NS for size in behind) < _BEHIND * len(times):
        return False
    back = [before - after for before, after in pairwise(times)]
    far = [size for size in back if size >= _FAR_NS]
    sizes = {round(size / _SAME_NS) for size in far}
    days = {size // _DAY_NS for size in far if size >= _DAY_NS}
    fewest = max(_FEWEST_SIZES, _DIFFERENT * len(far))
    return len(far) >= _FEWEST and (len(sizes) >= fewest or len(days) >= _FEWEST_SIZES)


def share_back(times: Sequence[int]) -> float:
    """The share of steps that lead back in time; 0 where there are too few of them.

    >>> share_back(range(30, 0, -1)), share_back([2, 1, 0, 3] * 30) > 0.6, share_back([2, 1])
    (1.0, True, 0.0)
    """
    steps = [after - before for before, after in pairwise(times) if after != before]
    if len(steps) < _FEWEST:
        return 0.0
    return sum(step < 0 for step in steps) / len(steps)
