"""Incidents: alerts that belong together, for which a few events are sent, not one a session.

Pure: time is an argument, and nothing here reads a clock or a file. The time of an incident is
*stream time*, at which its alerts were decided, so it does not depend on how records were cut into
chunks. What an operator reads (`first`, `last`) are event times.

An alert joins an open incident, the first of these that holds:

1. by its session: the incident already has an alert about the same execution;
2. by its deviations: the leading one has the signature of one that the incident has, or at least
   half of them have;
3. by its step: the leading deviation has the direction of one that the incident has, at a step
   whose template differs in few words (`is_like`): the same call to another host or provider;
4. by its entity: the incident is about the same entity, has begun less than `_BURST_NS` ago, and
   was at least as severe. Later, or about something more severe, another incident begins.

News of a template (`unseen_template`) is about no failed execution: it joins an incident by rules 1
to 3 only. An incident that begins with it is taken over by the first execution in it that goes
wrong: that alert is sent whole, and stands for the incident from then on.

An incident is reported when it begins (with its whole first alert), when it has ten times as many
executions as were last reported, when it becomes much more severe, and when it ends after a quiet
time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..types import Alert, Finding
from .digests import digest_of
from .incident import Incident, IncidentChanges, LikeSteps, State, like_of
from .records import iso_time
from .severity import SEVERITIES

# Open incidents at the same time, each a few kilobytes. An alert beyond them is sent by itself: it
# is reported more often than it needs to be, but it is not lost.
MOST_OPEN = 1_000
# Stream time after the beginning of an incident within which other deviations of its entity belong
# to it. Later ones are news, even while the incident lasts.
_BURST_NS = 60 * 10**9
# An incident that grows is reported again at this many times the executions reported last, …
_GROWTH = 10
# … but at the earliest this long after the last event: 1,000 within minutes are news once. Where
# that one has reported growth, it is known that many go wrong, and it takes longer until the next.
_GROWTH_PAUSE_NS = 300 * 10**9
_LONG_PAUSE_NS = 3600 * 10**9
# Incidents that news of a template may open; the others keep room for theirs.
_MOST_OPEN_BY_NEWS = MOST_OPEN // 2
# The kind of alerts that are news of a template, not of an execution.
NEWS = "unseen_template"
# The kind of alerts that tell how a change goes on: each of them is sent.
_CHANGE = "change"
# What is kept of an incident at most: signatures that alerts join by, …
_MOST_SIGNATURES = 64
# … steps that alerts join by, …
_MOST_LIKES = 20
# … entities, …
_MOST_ENTITIES = 20
# … sample sessions that are shown, …
_MOST_SAMPLES = 5
# … and executions whose further alerts join and are not counted again: the last ones.
_MOST_SESSIONS = 500
# Hex digits of the name of an execution: of 500 names, two are equal with a chance of 1 in 10^14.
_NAME_DIGITS = 16
# Fields of the first alert that later events do not repeat. They are most of its bytes, and the
# first event has had them.
_LARGE = ("steps", "lines", "evidence", "seq")


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of an alert: its incident (None: it stands by itself), and the events to send."""

    incident_id: str | None
    events: tuple[Alert, ...]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which stream time reached them.

    Those of one call come by their place in the input, and then those of sessions that time ended.
    Sorted, they are the same sequence however the input was cut.
    """

    def rank(finding: Finding) -> tuple[int, bool, tuple[bytes, ...]]:
        if finding.decided == "early" or finding.kind == "unseen_template":
            return finding.told_ns, False, ()
        return finding.told_ns, True, finding.session

    return sorted(findings, key=rank)


class Incidents:
    """The open incidents of one stream.

    With `each`, every alert is an event, and incidents only give it their id. `is_silenced` says of
    a record whether a person has marked it normal since. `counters` counts `incidents_opened`,
    `incidents_resolved`, `incidents_over_cap` and `alerts_joined`.
    """

    def __init__(
        self,
        quiet_s: float,
        *,
        each: bool = False,
        counters: Counter[str] | None = None,
        is_silenced: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        self.open: dict[str, Incident] = {}
        self._quiet_ns = round(quiet_s * 1e9)
        self._each = each
        self._counters: Counter[str] = Counter()
        if counters is not None:
            self._counters = counters
        self._is_silenced = is_silenced
        # Signature or session → the incident that was last joined by it.
        self._by_signature: dict[str, str] = {}
        self._by_session: dict[str, str] = {}
        self._steps = LikeSteps()
        # Entity → the last incident that began with it.
        self._by_entity: dict[str, str] = {}
        self._changed: dict[str, Incident] = {}
        self._ended: dict[str, Incident] = {}
        self._everything = False
        # Stream time before which nothing is due.
        self.due_ns = 0

    def join(self, alert: Alert, told_ns: int) -> Joined:
        """Take an alert, which was decided at stream time `told_ns`."""
        now_ns = told_ns or alert.time_ns
        events = self.advance(now_ns)
        incident = self._found(alert, now_ns)
        if incident is None:
            incident = self._opened(alert, now_ns)
            if incident is None:
                return Joined(None, (*events, _with(alert, None)))
            events.append(self._told(incident, now_ns, self._first(incident, alert)))
            return Joined(incident.incident_id, tuple(events))
        rose = self._add(incident, alert, now_ns)
        if self._each:
            events.append(_with(alert, incident.incident_id))
        elif rose or alert.record["kind"] == _CHANGE:
            events.append(self._told(incident, now_ns, self._whole(incident, alert, "ongoing")))
        else:
            self._counters["alerts_joined"] += 1
            events += self._grown(incident, now_ns)
        return Joined(incident.incident_id, tuple(events))

    def advance(self, now_ns: int) -> list[Alert]:
        """The events that are due at stream time `now_ns`, in the order of their incidents."""
        if now_ns < self.due_ns:
            return []
        events: list[Alert] = []
        for incident in list(self.open.values()):
            if now_ns - incident.last_at_ns > self._quiet_ns:
                events += self._resolved(incident)
            else:
                events += self._grown(incident, now_ns)
        self.due_ns = min(map(self._next_due, self.open.values()), default=2**63)
        return events

    def finish(self) -> list[Alert]:
        """End all incidents, as if the quiet time had passed for each."""
        return [
            event for incident in list(self.open.values()) for event in self._resolved(incident)
        ]

    def changes(self) -> IncidentChanges:
        """What changed since the last call."""
        changed = self._changed
        if self._everything:
            changed = dict(self.open)
        found = IncidentChanges(changed, self._ended, self._everything)
        self._changed = {}
        self._ended = {}
        self._everything = False
        return found

    def save_everything(self) -> None:
        """The next changes are all open incidents."""
        self._everything = True

    def restore(self, saved: Iterable[Mapping[str, Any]]) -> None:
        """Go on with the incidents that a store kept."""
        incidents = [Incident(**values) for values in saved]
        # What began later is found first, as it was before.
        for incident in sorted(incidents, key=lambda one: (one.opened_at_ns, one.incident_id)):
            self.open[incident.incident_id] = incident
            self._index(incident)
        self.due_ns = 0

    def _found(self, alert: Alert, now_ns: int) -> Incident | None:
        """The incident that an alert joins."""
        for incident in self._candidates(alert, now_ns):
            if self._is_silenced is not None and self._is_silenced(incident.lead):
                # A person settled what it began with; what still comes is something else.
                self._drop(incident)
                continue
            return incident
        return None

    def _candidates(self, alert: Alert, now_ns: int) -> Iterator[Incident]:
        record = alert.record
        signatures = signatures_of(record)
        # First the signature: what a session had before may be something else.
        yield from self._named(self._by_signature, signatures[:1])
        yield from self._named(self._by_session, [session_name(record)])
        shared = Counter(
            incident.incident_id for incident in self._named(self._by_signature, signatures[1:])
        )
        for name, count in shared.most_common(1):
            if 2 * count >= len(signatures):
                yield self.open[name]
        is_news = record["kind"] == NEWS
        for name in self._steps.names(like_of(record, is_news=is_news)):
            if name in self.open:
                yield self.open[name]
        if is_news:
            return
        for incident in self._named(self._by_entity, [record.get("entity") or ""]):
            is_burst = now_ns - incident.opened_at_ns <= _BURST_NS
            if is_burst and severity_rank(record) <= incident.severity:
                yield incident

    def _named(self, index: Mapping[str, str], names: Iterable[str]) -> Iterator[Incident]:
        """The open incident of each name that an index has."""
        for name in names:
            incident = self.open.get(index.get(name, ""))
            if incident is not None:
                yield incident

    def _opened(self, alert: Alert, now_ns: int) -> Incident | None:
        """A new incident with its first alert; None where the alert stands by itself."""
        most = MOST_OPEN
        if alert.record["kind"] == NEWS:
            most = _MOST_OPEN_BY_NEWS
        if len(self.open) >= most:
            self._counters["incidents_over_cap"] += 1
            return None
        record = alert.record
        leading = (signatures_of(record) or [record["pattern"]])[0]
        name = digest_of((record["bundle_hash"], leading, str(alert.time_ns)))
        if name in self.open:
            # Two incidents of one signature at one time: the older one had been settled.
            return None
        incident = Incident(
            incident_id=name,
            tag=alert.tag,
            lead=_small(record),
            opened_at_ns=now_ns,
            last_at_ns=now_ns,
            first_ns=alert.time_ns,
            last_ns=alert.time_ns,
            severity=severity_rank(record),
        )
        self.open[name] = incident
        self._ended.pop(name, None)
        self._counters["incidents_opened"] += 1
        self._add(incident, alert, now_ns)
        self._note_entity(incident, record)
        return incident

    def _note_entity(self, incident: Incident, record: Mapping[str, Any]) -> None:
        """Find the incident by the entity of the alert that stands for it."""
        if (entity := record.get("entity")) and record["kind"] != NEWS:
            self._by_entity[entity] = incident.incident_id

    def _add(self, incident: Incident, alert: Alert, now_ns: int) -> bool:
        """Add an alert. Whether it is reported: it is much more severe, or the first failure."""
        record = alert.record
        self._note_session(incident, record)
        incident.last_at_ns = max(incident.last_at_ns, now_ns)
        incident.first_ns = min(incident.first_ns, alert.time_ns)
        incident.last_ns = max(incident.last_ns, alert.time_ns)
        for name in signatures_of(record):
            # The first incident with a signature keeps it: others only have a session of it.
            holder = self._by_signature.get(name, incident.incident_id)
            if holder != incident.incident_id and holder in self.open:
                continue
            if _keep(incident.signatures, name, _MOST_SIGNATURES):
                self._by_signature[name] = incident.incident_id
        is_news = record["kind"] == NEWS
        if _keep(incident.likes, like_of(record, is_news=is_news), _MOST_LIKES):
            self._steps.add(incident.likes[-1:], incident.incident_id)
        if entity := record.get("entity"):
            _keep(incident.entities, entity, _MOST_ENTITIES)
        self._changed[incident.incident_id] = incident
        self.due_ns = min(self.due_ns, self._next_due(incident))
        rank = severity_rank(record)
        is_told = rank - incident.severity >= 2 or rank == len(SEVERITIES) - 1 > incident.severity
        incident.severity = max(rank, incident.severity)
        if incident.lead["kind"] == NEWS and not is_news:
            incident.lead = _small(record)
            self._note_entity(incident, record)
            return True
        return is_told

    def _note_session(self, incident: Incident, record: Mapping[str, Any]) -> None:
        """Count the execution that an alert is about, unless the incident has it already."""
        name = session_name(record)
        if name and self._by_session.get(name) == incident.incident_id:
            return
        incident.count += 1
        if not name:
            return
        _keep(incident.samples, list(record["session"]), _MOST_SAMPLES)
        self._by_session[name] = incident.incident_id
        incident.sessions.append(name)
        if len(incident.sessions) > _MOST_SESSIONS:
            self._by_session.pop(incident.sessions.pop(0), None)

    def _index(self, incident: Incident) -> None:
        """Find a restored incident by what it has."""
        name = incident.incident_id
        self._by_signature.update(dict.fromkeys(incident.signatures, name))
        self._by_session.update(dict.fromkeys(incident.sessions, name))
        self._steps.add(incident.likes, name)
        self._by_entity.update(dict.fromkeys(incident.entities[:1], name))

    def _next_due(self, incident: Incident) -> int:
        """The earliest stream time at which the incident may have to be reported."""
        due_ns = incident.last_at_ns + self._quiet_ns + 1
        if not self._each and incident.count >= _GROWTH * incident.told:
            due_ns = min(due_ns, incident.told_at_ns + _pause_ns(incident))
        return due_ns

    def _grown(self, incident: Incident, now_ns: int) -> list[Alert]:
        """The event of an incident that has grown enough."""
        if self._each or incident.count < _GROWTH * incident.told:
            return []
        if now_ns < incident.told_at_ns + _pause_ns(incident):
            return []
        words = (
            f"{incident.count:,} executions since {iso_time(incident.first_ns)} went wrong alike."
        )
        return [self._told(incident, now_ns, self._short(incident, "ongoing", words))]

    def _resolved(self, incident: Incident) -> list[Alert]:
        """End an incident; its event, if it was more than the one execution at first."""
        self._drop(incident)
        if self._each or incident.count < 2:
            return []
        words = (
            f"It has ended: {incident.count:,} executions went wrong alike from "
            f"{iso_time(incident.first_ns)} to {iso_time(incident.last_ns)}."
        )
        return [self._short(incident, "resolved", words)]

    def _drop(self, incident: Incident) -> None:
        name = incident.incident_id
        del self.open[name]
        for index in (self._by_signature, self._by_session, self._by_entity):
            for key in (*incident.signatures, *incident.sessions, *incident.entities):
                if index.get(key) == name:
                    del index[key]
        self._steps.drop(incident.likes, name)
        self._changed.pop(name, None)
        self._ended[name] = incident
        self._counters["incidents_resolved"] += 1

    def _told(self, incident: Incident, now_ns: int, event: Alert) -> Alert:
        """Note that an incident is reported now."""
        incident.told = incident.count
        incident.told_at_ns = now_ns
        incident.events += 1
        self._changed[incident.incident_id] = incident
        self.due_ns = min(self.due_ns, self._next_due(incident))
        return event

    def _first(self, incident: Incident, alert: Alert) -> Alert:
        """The first event of an incident: its first alert, under its own id."""
        if self._each:
            return _with(alert, incident.incident_id)
        return self._whole(incident, alert, "open")

    def _whole(self, incident: Incident, alert: Alert, state: State) -> Alert:
        fields = {"incident_id": incident.incident_id, "incident": incident.summary(state)}
        return replace(alert, record={**alert.record, **fields})

    def _short(self, incident: Incident, state: State, words: str) -> Alert:
        """A later event: the first alert without its large fields, under an id of its own."""
        event_id = digest_of((incident.incident_id, state, str(incident.events)))
        record = {
            **incident.lead,
            "alert_id": event_id,
            "severity": SEVERITIES[incident.severity],
            "explanation": f"{words} It began with: {incident.lead['explanation']}",
            "incident_id": incident.incident_id,
            "incident": incident.summary(state),
        }
        return Alert(event_id, incident.tag, incident.last_ns, record)


def signatures_of(record: Mapping[str, Any]) -> list[str]:
    """The signatures of an alert's deviations, that of the leading one first."""
    found = (one.get("signature") for one in record.get("deviations") or ())
    return [signature for signature in found if signature]


def session_name(record: Mapping[str, Any]) -> str:
    """What identifies the execution that an alert is about; empty where it is about none."""
    session = record.get("session")
    if not session:
        return ""
    return digest_of((*session, str(record.get("instance"))))[:_NAME_DIGITS]


def severity_rank(record: Mapping[str, Any]) -> int:
    """The place of an alert's severity among `SEVERITIES`."""
    return SEVERITIES.index(record.get("severity", SEVERITIES[0]))


def _small(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of the alert that stands for an incident."""
    return {key: value for key, value in record.items() if key not in _LARGE}


def _with(alert: Alert, incident_id: str | None) -> Alert:
    return replace(alert, record={**alert.record, "incident_id": incident_id})


def _pause_ns(incident: Incident) -> int:
    """How long after its last event a growing incident is reported again at the earliest."""
    if incident.told >= _GROWTH:
        return _LONG_PAUSE_NS
    return _GROWTH_PAUSE_NS


def _keep(kept: list[Any], item: Any, most: int) -> bool:
    """Add what is new, as long as there is room; whether it was added."""
    if item in kept or len(kept) >= most:
        return False
    kept.append(item)
    return True
