"""The bundle at work: feeds its engine and turns findings into alerts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..alerts.incident import Incident
from ..alerts.incidents import Incidents, in_order
from ..alerts.records import AlertMaker
from ..config import Config
from ..core.engine import Engine
from ..detect.bundle import Bundle
from ..explain import Case
from ..explain.cases import CaseMaker
from ..explain.queue import ExplanationQueue
from ..explain.tickets import Ticket
from ..inputs.own_times import OwnTimes
from ..types import Alert, Finding
from .keeper import Keeper
from .misfit import ENOUGH_EVENTS, ENOUGH_RECORDS, FIRST_RECORDS, Misfit

# A store that is too large makes room for itself by ending one session in this many at a time.
_SHED_SHARE = 20


class Judge:
    """Feeds one bundle's engine; the alerts it makes wait here for the next commit.

    `turn` is a lock that is held while the engine is fed. A commit must not come in between,
    because half a chunk would become final without the other half. `own_times` looks at the events
    that are fed; judges whose streams are looked at together have the same one.
    """

    def __init__(
        self,
        engine: Engine,
        maker: AlertMaker,
        config: Config,
        explanations: ExplanationQueue,
        incidents: Incidents,
        own_times: OwnTimes | None = None,
    ) -> None:
        self.turn = asyncio.Lock()
        # Called with each alert that joined an incident, and the incident; the live page listens.
        self.on_joined: Callable[[Incident, Alert], None] | None = None
        self.engine = engine
        self.incidents = incidents
        self.maker = maker
        self._config = config
        self._explanations = explanations
        self._cases = CaseMaker(maker.bundle, config)
        self._fresh: list[Ticket] = []
        # Holds records until their session is judged; None where that is not asked for.
        self.keeper: Keeper | None = None
        engine.silence_by(self._silences)
        self._own_times = own_times or OwnTimes()
        self._take_accepted()
        self._begin_to_look()

    @property
    def bundle(self) -> Bundle:
        """The bundle at work."""
        return self.maker.bundle

    def feed(self, tag: str, events: Iterator[Any], now_ns: int) -> int:
        """Feed events of one tag; returns how many records that were."""
        counters = self.engine.counters
        before = counters["records"]
        if not self.engine.reader.has_time:
            events = self._own_times.passing(events)
        findings = self.engine.feed(tag, events, now_ns)
        clock_ns = self.engine.time.clock
        if findings or clock_ns >= self.incidents.due_ns or self.keeper is not None:
            self._keep(findings, clock_ns)
        records = counters["records"]
        # An offset of all times shows after few records, and no session ends rightly until then.
        if records >= self._next_look or self.engine.time_offset_s is not None:
            self._warn_of_misfit(records)
        return records - before

    def advance(self, now_ns: int) -> bool:
        """End sessions that were idle for too long; returns whether alerts wait for a commit."""
        self._take_accepted()
        findings = self.engine.advance(now_ns)
        self._keep(findings, self.engine.time.idle_until(now_ns))
        if self.keeper is not None and self.keeper.has_fresh:
            return True
        return bool(findings) or bool(self._fresh) or self._explanations.has_late

    def _take_accepted(self) -> None:
        """What persons accepted since the last look is normal from now on."""
        accepted = self._explanations.accepted.look()
        if accepted is not None:
            self.engine.settling.changes.accept(*accepted)

    def finish(self) -> None:
        """Judge all open sessions as if the input had ended."""
        if self.keeper is not None:
            self.keeper.finish()
        self._keep(self.engine.finish())

    def end_incidents(self) -> None:
        """Tell the end of incidents that nobody will hear of again."""
        for event in self.incidents.finish():
            self._admit(event)

    def shed(self) -> None:
        """End and judge a part of the sessions, those idle for longest, to make room."""
        self._keep(self.engine.shed(1 + len(self.engine.sessions.open) // _SHED_SHARE))

    def hand_over(self) -> list[Ticket]:
        """The alerts made since the last call, which are the caller's from now on."""
        fresh = [*self._fresh, *self._explanations.take_late()]
        self._fresh = []
        return fresh

    def change_to(self, bundle: Bundle, engine: Engine, maker: AlertMaker) -> None:
        """Go on with another bundle, whose engine takes over the open sessions."""
        engine.adopt(self.engine)
        self._use(bundle, engine, maker)

    def begin(
        self, bundle: Bundle, engine: Engine, maker: AlertMaker, findings: list[Finding]
    ) -> None:
        """Begin with the first bundle, whose engine has found something already."""
        self._use(bundle, engine, maker)
        self._keep(findings)

    def _use(self, bundle: Bundle, engine: Engine, maker: AlertMaker) -> None:
        engine.silence_by(self._silences)
        self.engine = engine
        self._explanations.accepted.look_again()
        self._take_accepted()
        self.maker = maker
        self._cases = CaseMaker(bundle, self._config)
        self._begin_to_look()
        if self.keeper is not None:
            self.keeper.attach(engine, maker)

    def troubles(self) -> list[str]:
        """Why the stream is not judged as it should be.

        The bundle or its settings do not fit it.
        """
        trouble = self._misfit.trouble()
        if trouble is None:
            return []
        return [trouble]

    def _keep(self, findings: Iterable[Finding], clock_ns: int | None = None) -> None:
        """Make alerts of findings, and tell incidents that stream time has come this far."""
        for finding in in_order(findings):
            self._take(finding)
        if clock_ns is not None:
            for event in self.incidents.advance(clock_ns):
                self._admit(event)
        if self.keeper is not None:
            self.keeper.settle()

    def _silences(self, finding: Finding) -> bool:
        """Whether a person marked as normal all that a finding is about; the engine asks."""
        if not self._explanations.has_marks():
            return False
        alert = self.maker.make(finding)
        if not self._explanations.silences(alert):
            return False
        self._pass_on(finding, alert)
        return True

    def _take(self, finding: Finding) -> None:
        alert = self.maker.make(finding)
        case = None
        if self._explanations.asks and self._config.adjudicate:
            case = self._cases.make(finding, alert)
            if case is not None and case.may_clear:
                # Were it cleared, nobody would hear of the alerts that had joined it.
                self._admit(alert, case)
                self._pass_on(finding, alert)
                return
        joined = self.incidents.join(alert, finding.told_ns)
        self._pass_on(finding, alert, joined.incident_id)
        if self.on_joined is not None and joined.incident_id is not None:
            self.on_joined(self.incidents.open[joined.incident_id], alert)
        for event in joined.events:
            asked = None
            if self._explanations.asks and event.alert_id == alert.alert_id:
                asked = case or self._cases.make(finding, alert)
            self._admit(event, asked)

    def _pass_on(self, finding: Finding, alert: Alert, incident_id: str | None = None) -> None:
        """Let the records of an abnormal session leave, where records are held."""
        if self.keeper is not None:
            self.keeper.note_alert(finding, alert.alert_id, incident_id)

    def _admit(self, event: Alert, case: Case | None = None) -> None:
        ticket = self._explanations.admit(event, case)
        if ticket is not None:
            self._fresh.append(ticket)

    def _begin_to_look(self) -> None:
        """Look from now on whether the bundle and its settings fit the stream."""
        self._misfit = Misfit(self.engine, own_times=self._own_times)
        # The number of records at which to look again: looking at each chunk would cost too much.
        self._began = self.engine.counters["records"]
        self._next_look = self._began + FIRST_RECORDS

    def _warn_of_misfit(self, records: int) -> None:
        """Look for a misfit, and say when to look again."""
        self._next_look = records + ENOUGH_RECORDS
        begun = records - self._began
        for enough in (ENOUGH_RECORDS, ENOUGH_EVENTS):
            if begun < enough < begun + ENOUGH_RECORDS:
                self._next_look = self._began + enough
        self._misfit.warn()
