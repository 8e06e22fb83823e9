"""Which new templates are reported: each once per `novelty_interval`, and not too many in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lru import LRU

_NS = 1_000_000_000
# New templates that are remembered, some 200 bytes each. When there are more, the one that was met
# longest ago is forgotten, and is reported again when it comes back.
NOVELTIES_KEPT = 10_000
# Reports in one `novelty_interval`. A log of another kind than the bundle was fitted on consists
# of new templates only, and without a bound its alerts would drown whoever reads them.
_MOST_REPORTED = 1_000

Name = bytes
# [stream time of the last report in ns, events since that report]
Entry = list[int]


class Novelties:
    """Remembers which new templates were reported, and when.

    `interval` is in seconds of stream time. `counters` receives `novelties_over_cap`.

    >>> novelties = Novelties(60.0, Counter())
    >>> [novelties.report(b"fire", second * 10**9) for second in (1, 2, 62)]
    [1, None, 2]
    """

    __slots__ = ("_counters", "_entries", "_interval_ns", "_noted", "_reported", "_since")

    def __init__(self, interval: float, counters: Counter[str]) -> None:
        self._interval_ns = interval * _NS
        self._counters = counters
        self._entries: Any = LRU(NOVELTIES_KEPT)
        # Reports in the interval that began at stream time `_since`.
        self._since = 0
        self._reported = 0
        # What changed since the last `changes`; None while nobody asks for changes.
        self._noted: dict[Name, Entry] | None = None

    def report(self, name: Name, clock: int) -> int | None:
        """Events to report of a new template that was met at stream time `clock`.

        None where this event is not reported: it is counted and becomes part of the next report.
        """
        entry: Entry | None = self._entries.get(name)
        if entry is not None and clock - entry[0] <= self._interval_ns:
            entry[1] += 1
            self._note(name, entry)
            return None
        if clock - self._since > self._interval_ns:
            self._since = clock
            self._reported = 0
        if self._reported >= _MOST_REPORTED:
            self._counters["novelties_over_cap"] += 1
            return None
        self._reported += 1
        events = 1
        if entry is not None:
            events += entry[1]
        entry = [clock, 0]
        self._entries[name] = entry
        self._note(name, entry)
        return events

    def track(self) -> None:
        """Note from now on what changes."""
        if self._noted is None:
            self._noted = {}

    def changes(self) -> list[tuple[Name, Entry]]:
        """What changed since the last call, in the order of the last change."""
        noted = list((self._noted or {}).items())
        self._noted = {}
        return noted

    def save(self) -> dict[str, Any]:
        """What every commit holds of it: how many were reported, and since when."""
        return {"told": [self._since, self._reported]}

    def dump(self) -> list[tuple[Name, Entry]]:
        """Everything remembered, in the order in which `load` wants it."""
        return list(reversed(self._entries.items()))

    def load(self, saved: Mapping[str, Any], entries: Iterable[tuple[Name, Sequence[int]]]) -> None:
        """Go on from a snapshot. A snapshot of an earlier version has no `told`."""
        self._since, self._reported = saved.get("told", (0, 0))
        for name, entry in entries:
            self._entries[name] = list(entry)

    def _note(self, name: Name, entry: Entry) -> None:
        if self._noted is not None:
            # Taken out first, so that the last one touched is the last one in order.
            self._noted.pop(name, None)
            self._noted[name] = entry
