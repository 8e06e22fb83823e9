"""What has to be allowed for while a session's next event is awaited: silences, and late events.

1. While no record of any session comes, nobody can tell an execution that hangs from a shipper that
   is down. So a silence of the whole stream counts as waiting only for as long as training says
   that silences last; the rest of it is a *pause*. How long a session has waited is stream time
   without the pauses.
2. Events come late where several hosts or files are shipped. How late they have come so far is
   noted, and since when: what is reported of a session must not depend on later events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Pauses that are remembered. When there are more, the two oldest become one that lasts from the
# beginning of the first to the end of the second: sessions then seem to have waited for less.
_MOST = 100
# How long records may be on their way, in ns: while none comes, time counts as silence only after
# this long. Fluentd hands over a chunk of a file buffer once a minute unless told otherwise.
ARRIVAL_NS = 120 * 10**9
# A silence that no stream has, in ns: nothing is a pause.
NO_SILENCE_NS = 2**63 - 1


class StreamDelays:
    """The pauses and the lateness of a stream; all times are stream time in ns.

    `silence_ns` is how long a silence counts as waiting. `lag_ns` is how far behind the watermark
    events have come so far.

    >>> delays = StreamDelays(silence_ns=10)
    >>> delays.note_step(90, 500)
    >>> delays.due(since=80, wait_ns=15), delays.due(since=80, wait_ns=25)
    (95, 505)
    """

    __slots__ = ("_lags", "_pauses", "lag_ns", "silence_ns")

    def __init__(self, silence_ns: int = NO_SILENCE_NS) -> None:
        self.silence_ns = silence_ns
        self.lag_ns = 0
        # [begin, end) of each pause, in order.
        self._pauses: list[tuple[int, int]] = []
        # When the lag reached each size. It grows by doubling, so that there are few entries.
        self._lags: list[tuple[int, int]] = []

    def note_step(self, before: int, after: int) -> None:
        """Stream time went on from `before` to `after` at once, which is a long silence."""
        self._pauses.append((before + self.silence_ns, after))
        if len(self._pauses) > _MOST:
            (begin, _), (_, end) = self._pauses[:2]
            self._pauses[:2] = [(begin, end)]

    def note_late(self, late_ns: int, clock: int, most_ns: int) -> None:
        """An event came this far behind the watermark; more than `most_ns` is not allowed for."""
        if late_ns > self.lag_ns:
            self.lag_ns = min(1 << late_ns.bit_length(), most_ns)
            self._lags.append((clock, self.lag_ns))

    def due(self, since: int, wait_ns: int) -> int:
        """When `wait_ns` will have been waited, by what is known of the time until then."""
        due = self._reached(since, wait_ns)
        lag_ns = next((lag_ns for at, lag_ns in reversed(self._lags) if at <= due), 0)
        if lag_ns:
            due = self._reached(since, wait_ns + lag_ns)
        return due

    def save(self) -> dict[str, Any]:
        """What a snapshot holds of it."""
        return {
            "pauses": [list(pause) for pause in self._pauses],
            "lags": [list(entry) for entry in self._lags],
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Those of an earlier version lack it."""
        self._pauses = [(begin, end) for begin, end in saved.get("pauses", ())]
        self._lags = [(at, lag_ns) for at, lag_ns in saved.get("lags", ())]
        self.lag_ns = 0
        if self._lags:
            self.lag_ns = self._lags[-1][1]

    def _reached(self, since: int, wait_ns: int) -> int:
        at = since + wait_ns
        for begin, end in self._pauses:
            if end > since and begin < at:
                at += end - max(begin, since)
        return at
