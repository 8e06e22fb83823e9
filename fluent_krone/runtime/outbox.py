"""Committed alerts on their way out: sent in order until their receiver confirms."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from ..config import Config
from ..errors import SinkBusy
from ..explain.queue import ExplanationQueue
from ..explain.tickets import Ticket
from ..sink import Sink
from ..timing import BackOff
from ..types import Alert
from .releases import Releases
from .storage import Storage

_log = logging.getLogger(__name__)

# Alerts in one delivery. Receivers limit their frames (Fluent Bit to 6 MB); an alert with its lines
# takes up to 20 kB.
_BATCH = 100
# Seconds without a confirmation after which the health check reports a problem.
_STUCK_S = 60.0


class Outbox:
    """Alerts between their commit and their receiver's confirmation.

    `room` is set while fewer than `max_alerts` wait: intake pauses otherwise, so that a receiver
    that is away costs bounded memory. `empty` is set while none waits.
    """

    def __init__(
        self,
        sink: Sink,
        explanations: ExplanationQueue,
        storage: Storage,
        config: Config,
        releases: Releases,
        counters: Counter[str],
        left_over: Sequence[Alert] = (),
    ) -> None:
        # Records on their way, beside the alerts.
        self.releases = releases
        self.room = asyncio.Event()
        self.empty = asyncio.Event()
        self.tickets = deque(map(Ticket, left_over))
        self._filled = asyncio.Event()
        self._sink = sink
        self._explanations = explanations
        self._storage = storage
        self._max_alerts = config.max_alerts
        self._counters = counters
        self._confirmed_at = time.monotonic()
        self._signal()

    def __len__(self) -> int:
        return len(self.tickets)

    def restore(self) -> None:
        """Take in the alerts left over from the last run."""
        self._explanations.restore(self.tickets)

    def add(self, tickets: Sequence[Ticket], since: float) -> None:
        """Take over alerts that were committed; they wait since the monotonic time `since`."""
        self._counters["alerts"] += len(tickets)
        if not self.tickets:
            self._confirmed_at = since
        self.tickets.extend(tickets)
        self._signal()

    def ask(self, tickets: Iterable[Ticket]) -> None:
        """Look for explanations, or send at once when too many alerts wait."""
        self._explanations.submit(tickets)
        if len(self.tickets) > self._max_alerts // 2:
            # Otherwise records would soon wait for explanations.
            self._explanations.release("busy")

    def waiting_s(self) -> float:
        """Seconds for which alerts have waited without any confirmation; 0 when none waits."""
        if not self.tickets:
            return 0.0
        return time.monotonic() - self._confirmed_at

    def troubles(self) -> list[str]:
        """What keeps alerts from leaving; empty while all is well."""
        waited = self.waiting_s()
        if waited <= _STUCK_S:
            return []
        return [f"{len(self.tickets)} alerts wait, none was confirmed for {waited:.0f} s"]

    async def run(self) -> None:
        """Deliver alerts until cancelled."""
        # 1. Wait for the oldest alert, and until it may leave: explained, or out of time.
        # 2. Take the alerts behind it that may leave as well. One that may not ends the batch,
        #    because alerts leave in the order of their commits.
        # 3. Deliver. Unless the receiver confirms all of them, the same alerts are sent again
        #    later. It may then see one twice, which `alert_id` tells; none is ever skipped.
        # 4. Only after the confirmation are they forgotten, here and in the store. A kill between
        #    3 and 4 sends them once more.
        back_off = BackOff()
        while True:
            await self._filled.wait()
            await self._explanations.ready(self.tickets[0])
            oldest = itertools.islice(self.tickets, _BATCH)
            batch = list(itertools.takewhile(self._explanations.is_ready, oldest))
            leaving = [alert for alert in map(self._explanations.leave, batch) if alert is not None]
            try:
                if leaving:
                    await self._sink.deliver(leaving)
            except SinkBusy as error:
                wait_s = back_off.next_s()
                self._log_busy(error, wait_s)
                await asyncio.sleep(wait_s)
                continue
            back_off.reset()
            self._forget(batch)
            self._counters["alerts_delivered"] += len(leaving)

    def _forget(self, batch: Sequence[Ticket]) -> None:
        for _ in batch:
            self.tickets.popleft()
        self._storage.confirm(len(batch))
        self._explanations.forget(batch)
        self._confirmed_at = time.monotonic()
        self._signal()

    def _log_busy(self, error: SinkBusy, wait_s: float) -> None:
        self._counters["deliveries_failed"] += 1
        _log.warning(
            "alerts wait count=%d retry_in_s=%.1f reason=%s", len(self.tickets), wait_s, error
        )

    def _signal(self) -> None:
        """Bring the events in line with the number of alerts."""
        _set_to(self._filled, bool(self.tickets))
        _set_to(self.empty, not self.tickets)
        _set_to(self.room, len(self.tickets) < self._max_alerts)


def _set_to(event: asyncio.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()
