"""Whether records have a time of their own in a field that nobody reads, and that is another one.

Where a parser leaves the time of a record in its field, the event time is that of its arrival. As
long as lines are read when they are written, both go on alike. When an old file is read quickly, or
a backlog comes, all gaps between events are those of the reading: normal steps seem slow, or slow
ones normal, and nothing else shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from statistics import median
from typing import Any

from ..errors import RecordError
from ..reading.field_names import TIME_NAMES
from ..reading.times import TimeReader
from .record_times import EARLIEST_NS

# Events of one chunk, and of all together, that are looked at: most have the same fields.
_AT_ONCE, _IN_ALL = 10, 1_000
# Events that must have been looked at before anything is said.
_ENOUGH = 50
# Nanoseconds by which times may differ more or less than before. Within a minute, buffers and slow
# readers make them differ.
_TOLERANCE_NS = 60 * 10**9
# The share of chunks that may begin earlier than the one before. The dates of something else go
# back half of the time, and so do the times of hosts whose clocks differ.
_MOST_BACK = 0.2
_NAMES = tuple(name.encode() for name in TIME_NAMES)


class OwnTimes:
    """Looks at some of the events that pass.

    >>> own = OwnTimes()
    >>> for second in range(100):
    ...     record = {b"ts": b"2026-09-21T14:%02d:00Z" % (second // 2)}
    ...     [_] = own.passing(iter([(1_800_000_000_000_000_000 + second, record)]))
    >>> own.trouble().split(", as")[0]
    "records have a time in their field 'ts', but their event times go on differently"
    """

    def __init__(self) -> None:
        self._times = TimeReader()
        self.begin()

    def begin(self) -> None:
        """Forget what was seen: a stream that was put right is not held to its past."""
        self._name: bytes | None = None
        self._left = _IN_ALL
        # Times in the field, and how far the event times are from them, in ns.
        self._own: list[int] = []
        self._apart: list[int] = []
        # The first time in each chunk.
        self._begun: list[int] = []

    def passing(self, events: Iterator[Any]) -> Iterator[Any]:
        """The events, unchanged; some of them are looked at when they are taken."""
        if self._left <= 0:
            return events
        return self._looking(events)

    def look(self, events: Iterator[Any]) -> None:
        """Look at some events that nobody takes."""
        for _ in islice(self.passing(events), _AT_ONCE):
            pass

    def trouble(self) -> str | None:
        """One line that names the field and the remedy; None where event times follow it."""
        if self._name is None or len(self._apart) < _ENOUGH:
            return None
        # Some records may have been held back for hours: what most of them say counts.
        some = len(self._apart) // 4
        changed_ns = abs(median(self._apart[-some:]) - median(self._apart[:some]))
        # A time that stays the same is not that of the record, but of a start, or of a request.
        if min(changed_ns, max(self._own) - min(self._own)) <= _TOLERANCE_NS:
            return None
        back = sum(one - _TOLERANCE_NS > other for one, other in pairwise(self._begun))
        if back > _MOST_BACK * len(self._begun):
            return None
        name = self._name.decode()
        return (
            f"records have a time in their field {name!r}, but their event times go on "
            "differently, as when an old file is read quickly, so the gaps between events are not "
            f"those of the log; set time_field {name}, or have the sender take the event time from "
            "there"
        )

    def _looking(self, events: Iterator[Any]) -> Iterator[Any]:
        is_first = True
        for time_ns, record in islice(events, min(_AT_ONCE, self._left)):
            own_ns = self._time_of(record)
            if own_ns is None:
                # Some have no such time.
                self._name = None
                self._left = 0
            elif self._name is not None and time_ns:
                self._left -= 1
                self._own.append(own_ns)
                self._apart.append(time_ns - own_ns)
                if is_first:
                    self._begun.append(own_ns)
                is_first = False
            yield time_ns, record
        yield from events

    def _time_of(self, record: Any) -> int | None:
        if record.__class__ is not dict:
            return None
        if self._name is None and not self._apart:
            self._name = next((name for name in _NAMES if record.get(name)), None)
        value = record.get(self._name)
        if not isinstance(value, bytes | int | float):
            return None
        try:
            own_ns = self._times.read(value)
        except RecordError:
            return None
        # Seconds since a start are no date.
        return own_ns if own_ns >= EARLIEST_NS else None
