"""What the live page shows of a running service, and what it changes there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from .. import __version__
from ..alerts.incident import Incident
from ..alerts.records import iso_time
from ..alerts.severity import SEVERITIES
from ..detect.bundle import Bundle
from ..detect.fault_words import FAULTS
from ..errors import KroneError
from ..explain import Said
from ..explain.accepted import accept, accepted_rows, take_back
from ..explain.marks import Says, Target, targets_of
from ..explain.rows import SCOPES, to_ms
from ..runtime.service import Service
from ..types import Alert
from .history import History
from .marks import Verdicts, marks_and_accepted, shown_mark
from .rates import Rates

# Who a mark of the page is by. All that is known is that this person has the token.
_PERSON = "live page"
# Seconds of a day, and the longest mark that expires.
_DAY_S = 86_400
_MOST_DAYS = 365
# Changes that the page lists.
_MOST_CHANGES = 50
# Figures of the service that the page lists, in this order, by the names of its statistics.
_FIGURES = {
    "records": "records judged",
    "instances": "sessions ended",
    "sessions_open": "sessions open",
    "alerts": "alerts",
    "incidents_open": "incidents open",
    "alerts_outgoing": "alerts that wait for their receiver",
    "unmatched": "lines that matched no template",
    "cache_hits": "steps whose scores were still known",
    "cache_misses": "steps that were scored anew",
}
# The reasons for which a record is not judged are statistics of these names.
_SET_ASIDE = "set_aside_"
# Incidents that are looked at for one that a mark is about.
_EXAMPLES = 2_000
# Figures of a candidate beside the bundle in use, by their names, in this order.
_SHADOW = {
    "sessions": "sessions that both bundles judged",
    "common_alerts": "sessions that both flag",
    "new_alerts": "sessions that only the next bundle flags",
    "lost_alerts": "sessions that only the bundle in use flags",
    "held_out": "normal sessions that it was not fitted to",
    "false_alarms_per_1000": "false alarms to expect of it in 1,000 normal sessions",
    "injected": "sessions with an injected fault",
    "found_candidate": "share of these faults that the next bundle finds",
    "found_live": "share of these faults that the bundle in use finds",
}


class ServiceBackend:
    """The running service as the live page sees it. All values can be written as JSON.

    Methods raise KroneError with a sentence for the reader when they cannot do what was asked.
    `history` remembers the incidents, `rates` the last hour.
    """

    def __init__(
        self,
        service: Service,
        history: History,
        rates: Rates,
        stats: Callable[[], Mapping[str, float]],
    ) -> None:
        self._service = service
        self._history = history
        self._rates = rates
        self._stats = stats
        self._verdicts = Verdicts(service.knowledge)
        # What persons changed on the page; so every open page hears of it.
        self._changes = 0
        self._started_s = time.time()

    def note(self, incident: Incident, alert: Alert) -> None:
        """Remember that an alert joined an incident; the service calls it."""
        self._history.note(incident, alert)

    def version(self) -> object:
        """A value that differs whenever the page would show something else."""
        service = self._service
        bundles = (service.learning(), service.refit(), service.judging_by.hash)
        return (
            self._changes,
            self._history.version,
            len(service.incidents.open),
            service.troubles(),
            bundles,
        )

    def overview(self) -> dict[str, Any]:
        """All that is not about a single incident."""
        stats = self._stats()
        return {
            "version": __version__,
            "started": iso_time(int(self._started_s * 1e9)),
            "active": len(self._unread()),
            "troubles": self._service.troubles(),
            "rates": self._rates.bars(),
            "figures": {words: stats.get(name, 0.0) for name, words in _FIGURES.items()},
            "store_bytes": stats.get("store_size", 0.0),
            "lag_s": stats.get("stream_lag", 0.0),
            "set_aside": _set_aside(stats),
            "bundle": self._bundle(),
            "learning": self._learning(),
            "refit": self._refit(),
            "changes": self._open_changes(),
        }

    def incidents(
        self, words: str, state: str, order: str, after: str, count: int
    ) -> dict[str, Any]:
        """Incidents that hold the words, after one of them: `incidents` (no more than `count`),
        `next` (what to give as `after`, or None) and `total`.

        They come in an `order`: newest first, where it is unknown.
        """
        unread = self._unread()
        live = self._service.incidents.open

        def is_wanted(name: str, summary: str) -> bool:
            if state == "unmarked":
                return self._verdict(name, summary) is None
            if state == "active":
                return name in unread
            return not state or name not in live

        def by_urgency(name: str, summary: str) -> tuple[int, ...]:
            about = json.loads(summary)
            severity = SEVERITIES.index(about["severity"])
            return (name not in unread, -severity, -about["count"])

        def by_count(name: str, summary: str) -> tuple[int, ...]:
            return (-json.loads(summary)["count"],)

        orders = {"urgent": by_urgency, "often": by_count}
        found, following, total = self._history.page(
            words, is_wanted, after, count, orders.get(order)
        )
        accepted = self._accepted()
        shown = [self._with_state(summary, accepted) for summary in found]
        return {"incidents": shown, "next": following, "total": total}

    def incident(self, incident_id: str) -> dict[str, Any]:
        """One `incident` with its leading `alert`, the `marks` that concern it, and `scopes`."""
        found = self._history.incident(incident_id)
        if found is None:
            raise KroneError(f"there is no incident {incident_id}, or it is too long ago")
        summary, alert = found
        marks: list[dict[str, Any]] = []
        scopes: list[str] = []
        # A change is accepted, and not marked.
        if alert.get("kind") != "change":
            marks = [shown_mark(mark) for mark in self._service.marks.concerning(alert)]
            scopes = [scope for scope in SCOPES if targets_of(alert, scope)]
        shown = self._with_state(summary, self._accepted())
        return {"incident": shown, "alert": alert, "marks": marks, "scopes": scopes}

    def said(self) -> dict[str, Any]:
        """All `marks` and `accepted` templates."""
        incidents = self._history.page("", lambda name, summary: True, "", _EXAMPLES)[0]
        return marks_and_accepted(self._service.knowledge, incidents, time.time())

    def change(self, what: str, told: Mapping[str, Any]) -> None:
        """Do what a person asks for: one of `console.CHANGES`."""
        if what == "bundle":
            self._change_bundle(told.get("action"))
        elif what == "accept":
            self._accept(_change_of(told))
        elif what == "take_back":
            take_back(self._service.knowledge, [_change_of(told)])
        elif what == "mark":
            self._mark(told)
        elif what == "unmark":
            self._unmark(told)
        else:
            raise KroneError(f"{what} is not possible here")
        self._changes += 1

    def _accept(self, change: str) -> None:
        """Make the templates of a change normal; the engine hears of it within a second."""
        accept(self._service.knowledge, [change], note="", by=_PERSON, at_ms=to_ms(time.time()))

    def _mark(self, told: Mapping[str, Any]) -> None:
        """Mark the first alert of an incident."""
        scope = told.get("scope")
        verdict = told.get("verdict")
        days = told.get("days")
        if scope not in SCOPES or verdict not in get_args(Said):
            raise KroneError("a mark needs a scope and a verdict: normal or abnormal")
        if days is not None and not (type(days) is int and 0 < days <= _MOST_DAYS):
            raise KroneError(f"a mark lasts 1 to {_MOST_DAYS} days, got {days!r}")
        targets = targets_of(self._alert(told), scope)
        if not targets:
            raise KroneError(f"this alert has nothing that a mark of scope {scope} could cover")
        now_s = time.time()
        until = None
        if days is not None:
            until = now_s + days * _DAY_S
        note = str(told.get("note") or "")
        says = Says(verdict=cast(Said, verdict), by=_PERSON, note=note, until=until)
        self._service.marks.set(targets, says, now_s)

    def _unmark(self, told: Mapping[str, Any]) -> None:
        """Delete a mark, or one of those that concern an incident."""
        if "incident" not in told:
            # The scope and the words of a target do not matter here.
            targets = [Target("pattern", str(told.get("mark")), "")]
            if not self._service.marks.unmark(targets):
                raise KroneError("there is no such mark any more")
            return
        about = self._service.marks.concerning(self._alert(told))
        targets = [
            Target(mark.scope, mark.pattern, mark.about)
            for mark in about
            if mark.pattern == told.get("mark")
        ]
        if not targets:
            raise KroneError("there is no such mark any more")
        self._service.marks.unmark(targets)

    def _alert(self, told: Mapping[str, Any]) -> dict[str, Any]:
        found = self._history.incident(str(told.get("incident")))
        if found is None:
            raise KroneError("this incident is not remembered any more")
        return found[1]

    def _change_bundle(self, action: Any) -> None:
        """Put the waiting bundle into use, or the one before; the service takes it up at once."""
        refit = self._service.refit()
        folder = self._service.bundle_folder
        if folder is None or refit is None:
            raise KroneError("bundles can be swapped where refit is on, see docs/learning.md")
        if action == "rollback":
            folder.roll_back()
        elif action == "swap" and refit.candidate is not None:
            folder.use(refit.candidate)
        else:
            raise KroneError("no new bundle waits to be put into use")

    def _bundle(self) -> dict[str, Any]:
        folder = self._service.bundle_folder
        current = None
        if folder is not None:
            current = folder.current
        return shown_bundle(self._service.judging_by, current)

    def _learning(self) -> dict[str, Any] | None:
        status = self._service.learning()
        if status is None:
            return None
        return {
            "share": status.share,
            "words": status.words,
            "records": status.records,
            "sessions": status.sessions,
            "trouble": status.trouble,
        }

    def _open_changes(self) -> list[dict[str, Any]]:
        accepted = self._accepted()
        found: dict[str, dict[str, Any]] = {}
        for alert in self._history.alerts_of_kind("change", _MOST_CHANGES):
            change = alert["change"]
            if change["id"] in found:
                # It was told in another incident as well. The newest one knows most.
                continue
            is_accepted = change["id"] in accepted
            state = change["state"]
            if is_accepted:
                state = "accepted"
            found[change["id"]] = {
                "id": change["id"],
                "words": alert["explanation"],
                "state": state,
                "first": alert["started_at"],
                "sessions": change["sessions"],
                "count": change["count"],
                "renamed": change["renamed"],
                "version": change["version"],
                "templates": [
                    {"new": template["template"], "old": template["replaces"]}
                    for template in change["templates"]
                ],
                # Steps that are gone or in a new order are no lines that could be accepted.
                "can_accept": not is_accepted and bool(change["templates"]),
                "can_take_back": is_accepted,
            }
        return list(found.values())

    def _refit(self) -> dict[str, Any] | None:
        status = self._service.refit()
        folder = self._service.bundle_folder
        if status is None or folder is None:
            return None
        words = f"The next bundle is fitted at {_to_the_second(status.next_at_s)}."
        if status.phase == "fitting":
            words = "The next bundle is being fitted."
        elif status.candidate is not None:
            words = f"The bundle {status.candidate} waits to be swapped in."
        if status.trouble is not None:
            words += f" The last refit failed, and the bundle in use stays: {status.trouble}"
        shadow = dict(status.shadow or {})
        objections = shadow.pop("objections", None) or []
        return {
            "words": words,
            "objections": list(objections),
            "figures": shadow_in_words(shadow),
            "can_swap": status.candidate is not None,
            "can_roll_back": folder.previous not in (None, folder.current),
            "previous": folder.previous,
        }

    def _unread(self) -> set[str]:
        """The ids of the incidents that wait for somebody: open, and not marked as normal."""
        accepted = self._accepted()
        found = set()
        for name, incident in self._service.incidents.open.items():
            # Ids of changes stand for the sessions of their incident.
            names = {word for sample in incident.samples for word in sample}
            is_accepted = incident.lead.get("kind") == "change" and bool(names & accepted)
            if not is_accepted and self._verdict(name) != "normal":
                found.add(name)
        return found

    def _verdict(self, name: str, summary: str = "") -> str | None:
        """What a person said of an incident; `summary` is its JSON, where that is at hand."""

        def about() -> Any:
            if summary:
                return json.loads(summary).get("marked_by")
            return self._history.summary(name).get("marked_by")

        return self._verdicts.of(name, about)

    def _accepted(self) -> set[str]:
        """The ids of the changes that a person accepted."""
        return {row.change for row in accepted_rows(self._service.knowledge)}

    def _with_state(self, summary: dict[str, Any], accepted: set[str]) -> dict[str, Any]:
        shown = dict(summary)
        incident = self._service.incidents.open.get(summary["id"])
        shown["state"] = "resolved"
        if incident is not None:
            shown["state"] = incident.state
        if summary.get("kind") == "change" and _names(summary) & accepted:
            shown["state"] = "accepted"
        shown.pop("marked_by", None)
        shown["verdict"] = self._verdict(summary["id"])
        return shown


def _to_the_second(time_s: float) -> str:
    day, _, second = iso_time(int(time_s) * 10**9).rstrip("Z").partition("T")
    return f"{day} {second.partition('.')[0]} UTC"


def _names(summary: Mapping[str, Any]) -> set[str]:
    """The ids of the changes that an incident is about: they stand for its sessions."""
    return {str(word) for session in summary.get("sessions") or () for word in session}


def _change_of(told: Mapping[str, Any]) -> str:
    """The id of the change that a request is about."""
    change = told.get("change")
    if not isinstance(change, str) or not change:
        raise KroneError("the request must hold the id of a change")
    return change


def _set_aside(stats: Mapping[str, float]) -> dict[str, float]:
    """How many records were not judged, by the reason, where there are any."""
    return {
        name.removeprefix(_SET_ASIDE).replace("_", " "): count
        for name, count in stats.items()
        if name.startswith(_SET_ASIDE) and count
    }


def shown_bundle(bundle: Bundle, current: str | None) -> dict[str, Any]:
    """A bundle with what it can and cannot find; `current` is its name in its directory."""
    return {
        "name": bundle.name,
        "current": current,
        "hash": bundle.hash,
        "templates": len(bundle.templates),
        "sessions": len(bundle.training),
        "false_alarms": bundle.false_alarms,
        "blind": [FAULTS.get(kind, kind) for kind in bundle.blind],
        "found": _found(bundle),
    }


def shadow_in_words(shadow: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a candidate under names that a reader understands."""
    found = {}
    for name, words in _SHADOW.items():
        value = shadow.get(name)
        if value is not None and name.startswith("found_"):
            value = _percent(value)
        if value is not None:
            found[words] = value
    return found


def _found(bundle: Bundle) -> dict[str, str]:
    """Which share of each kind of fault the bundle finds, the least first.

    It was measured for some numbers of false alarms. The result is empty where the bundle's own
    number is not among them.
    """
    column = f"{bundle.false_alarms:g} in 1,000"
    shares = {kind: found[column] for kind, found in bundle.detection.items() if column in found}
    in_order = sorted(shares, key=lambda kind: shares[kind])
    return {FAULTS.get(kind, kind): _percent(shares[kind]) for kind in in_order}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
