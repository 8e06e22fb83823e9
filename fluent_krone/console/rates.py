"""Records, sessions and alerts of each of the last minutes, for the plots of the live page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

# Seconds of one bar, and how many bars there are: the last hour.
_BAR_S = 60.0
_BARS = 60
# Counters of the service, by the name that the page has for them.
_COUNTERS = {
    # While the first bundle is learnt, records are counted by that.
    "records": ("records", "learning_records"),
    "sessions": ("instances",),
    "alerts": ("alerts",),
}


class Rates:
    """Samples the service's counters once a minute; the last bar is the minute that runs."""

    def __init__(self, stats: Callable[[], Mapping[str, float]]) -> None:
        self._stats = stats
        self._bars: deque[dict[str, float]] = deque(maxlen=_BARS - 1)
        self._before = self._counted()

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.sleep(_BAR_S)
            self._bars.append(self._since())
            self._before = self._counted()

    def bars(self) -> list[dict[str, float]]:
        """The minutes, the running one last."""
        return [*self._bars, self._since()]

    def _since(self) -> dict[str, float]:
        now = self._counted()
        # A bundle's counters begin anew when it is swapped in.
        return {name: max(now[name] - self._before[name], 0.0) for name in now}

    def _counted(self) -> dict[str, float]:
        stats = self._stats()
        return {
            name: sum(stats.get(counter, 0.0) for counter in counters)
            for name, counters in _COUNTERS.items()
        }
