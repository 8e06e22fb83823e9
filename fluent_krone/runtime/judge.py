"""The bundle at work: feeds its engine and turns findings into alerts for the desk."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..explain.cases import CaseMaker
from ..explain.desk import Desk, Ticket
from ..types import Finding

_log = logging.getLogger(__name__)

# Events of a bundle after which it is decided whether the bundle fits the stream. Fewer could all
# come from one unusual source; many more would delay the warning.
_FIRST_EVENTS = 10_000
# A store that is too large makes room for itself by ending one session in this many at a time.
_SHED_SHARE = 20


class Judge:
    """Feeds one bundle's engine; the alerts it makes wait here for the next commit.

    `turn` is held by whoever feeds the engine. A commit must not fall into somebody else's turn,
    because half a chunk would become final without the other half.
    """

    def __init__(self, engine: Engine, maker: AlertMaker, config: Config, desk: Desk) -> None:
        self.turn = asyncio.Lock()
        self.engine = engine
        self._maker = maker
        self._config = config
        self._desk = desk
        self._cases = CaseMaker(maker.bundle, config)
        self._fresh: list[Ticket] = []
        # Counters when this bundle began; None once it is decided whether it fits the stream.
        self._counted_before: Counter[str] | None = engine.counters.copy()

    def feed(self, tag: str, events: Iterator[Any], now_ns: int) -> int:
        """Feed events of one tag; returns how many records that were."""
        before = self.engine.counters["records"]
        self._keep(self.engine.feed(tag, events, now_ns))
        if self._counted_before is not None:
            self._warn_of_misfit(self._counted_before)
        return self.engine.counters["records"] - before

    def advance(self, now_ns: int) -> bool:
        """End sessions that were idle for too long; returns whether that made a finding."""
        findings = self.engine.advance(now_ns)
        self._keep(findings)
        return bool(findings)

    def finish(self) -> None:
        """Judge all open sessions as if the input had ended."""
        self._keep(self.engine.finish())

    def shed(self) -> None:
        """End and judge a part of the sessions, those idle for longest, to make room."""
        self._keep(self.engine.shed(1 + len(self.engine.sessions.open) // _SHED_SHARE))

    def hand_over(self) -> list[Ticket]:
        """The alerts made since the last call, which are the caller's from now on."""
        fresh = self._fresh
        self._fresh = []
        return fresh

    def change_to(self, bundle: Bundle, engine: Engine, maker: AlertMaker) -> None:
        """Go on with another bundle, whose engine takes over the open sessions."""
        engine.adopt(self.engine)
        self.engine = engine
        self._maker = maker
        self._cases = CaseMaker(bundle, self._config)
        self._counted_before = engine.counters.copy()

    def _keep(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            alert = self._maker.make(finding)
            case = None
            if self._desk.asks:
                case = self._cases.make(finding, alert)
            ticket = self._desk.admit(alert, case)
            if ticket is not None:
                self._fresh.append(ticket)

    def _warn_of_misfit(self, before: Counter[str]) -> None:
        """Once per bundle: a bundle of another log would call every event unknown."""
        now = self.engine.counters
        events = now["events"] - before["events"]
        if events < _FIRST_EVENTS:
            return
        self._counted_before = None
        unmatched = now["unmatched"] - before["unmatched"]
        if unmatched > events / 2:
            _log.warning(
                "bundle does not fit this stream: %d of %d events match no template; "
                "export one for it",
                unmatched,
                events,
            )
