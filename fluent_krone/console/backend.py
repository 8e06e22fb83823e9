"""What the live page shows of a running service, and what it changes there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from .. import __version__
from ..alerts.incident import Incident
from ..alerts.records import iso_time
from ..errors import KroneError
from ..explain import Said
from ..explain.accepted import accept, accepted_rows, take_back
from ..explain.marks import Says, Target, targets_of
from ..explain.rows import SCOPES, Mark, iso_ms, to_ms
from ..runtime.service import Service
from ..types import Alert
from .history import History
from .rates import Rates
from .verdicts import Verdicts

# Who a mark of the page is by: whoever has the token, and that is all that is known.
_PERSON = "live page"
# Seconds of a day, and the longest mark that expires.
_DAY_S = 86_400
_MOST_DAYS = 365
# Changes that the page lists.
_MOST_CHANGES = 50
# Figures of the service that the page lists, in this order, by the names of its statistics.
_FIGURES = {
    "records": "records read",
    "instances": "sessions begun",
    "sessions_open": "sessions open",
    "alerts": "alerts",
    "incidents_open": "incidents open",
    "alerts_outgoing": "alerts that wait for their receiver",
    "unmatched": "lines that matched no template",
    "cache_hits": "steps seen before",
    "cache_misses": "steps worked out",
    "store_size": "bytes of the store",
    "stream_lag": "seconds that the stream is behind the clock",
}


class ServiceBackend:
    """The running service as the live page sees it. Implements `console.Backend`.

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

    def note(self, incident: Incident, alert: Alert) -> None:
        """Remember that an alert joined an incident; the service calls it."""
        self._history.note(incident, alert)

    def version(self) -> object:
        """A value that differs whenever the page would show something else."""
        service = self._service
        living = (service.learning(), service.refit(), service.judging_by.hash)
        return (
            self._changes,
            self._history.version,
            len(service.incidents.open),
            service.troubles(),
            living,
        )

    def overview(self) -> dict[str, Any]:
        """All that is not about a single incident."""
        stats = self._stats()
        return {
            "version": __version__,
            "active": len(self._service.incidents.open),
            "troubles": self._service.troubles(),
            "rates": self._rates.bars(),
            "figures": {words: stats.get(name, 0.0) for name, words in _FIGURES.items()},
            "bundle": self._bundle(),
            "learning": self._learning(),
            "refit": self._refit(),
            "changes": self._open_changes(),
        }

    def incidents(self, words: str, state: str, after: str, count: int) -> dict[str, Any]:
        """Incidents that hold the words, newest first."""
        live = self._service.incidents.open

        def is_wanted(name: str, summary: str) -> bool:
            if state == "unmarked":
                about = lambda: json.loads(summary).get("marked_by")  # noqa: E731
                return self._verdicts.of(name, about) is None
            return not state or (name in live) == (state == "active")

        found, following, total = self._history.page(words, is_wanted, after, count)
        accepted = self._accepted()
        shown = [self._with_state(summary, accepted) for summary in found]
        return {"incidents": shown, "next": following, "total": total}

    def incident(self, incident_id: str) -> dict[str, Any]:
        """One incident with its first alert, the marks that concern it, and possible scopes."""
        found = self._history.incident(incident_id)
        if found is None:
            raise KroneError(f"there is no incident {incident_id}, or it is too long ago")
        summary, alert = found
        marks: list[dict[str, Any]] = []
        scopes: list[str] = []
        # A change is accepted, and not marked.
        if alert.get("kind") != "change":
            marks = [_shown(mark) for mark in self._service.marks.concerning(alert)]
            scopes = [scope for scope in SCOPES if targets_of(alert, scope)]
        shown = self._with_state(summary, self._accepted())
        return {"incident": shown, "alert": alert, "marks": marks, "scopes": scopes}

    def change(self, what: str, told: Mapping[str, Any]) -> None:
        """Do what a person asks for. Raises KroneError where that cannot be done."""
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
        accept(
            self._service.knowledge,
            [change],
            note="",
            by=_PERSON,
            at_ms=to_ms(time.time()),
        )

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
        """Delete one of the marks that concern an incident."""
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
            raise KroneError("no bundle waits")

    def _bundle(self) -> dict[str, Any]:
        bundle = self._service.judging_by
        blind = [f"Faults of the kind “{kind}” are hardly found." for kind in bundle.blind]
        return {
            "name": bundle.name,
            "hash": bundle.hash,
            "templates": len(bundle.templates),
            "sessions": len(bundle.training),
            "false_alarms": bundle.false_alarms,
            "blind": blind,
        }

    def _learning(self) -> dict[str, Any] | None:
        status = self._service.learning()
        if status is None:
            return None
        return {"share": status.share, "words": status.words}

    def _open_changes(self) -> list[dict[str, Any]]:
        accepted = self._accepted()
        found = []
        for alert in self._history.alerts_of_kind("change", _MOST_CHANGES):
            change = alert["change"]
            is_accepted = change["id"] in accepted
            state = change["state"]
            if is_accepted:
                state = "accepted"
            found.append(
                {
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
            )
        return found

    def _refit(self) -> dict[str, Any] | None:
        status = self._service.refit()
        folder = self._service.bundle_folder
        if status is None or folder is None:
            return None
        words = f"The next bundle is fitted at {iso_time(int(status.next_at_s * 1e9))}."
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
            "figures": {name.replace("_", " "): value for name, value in shadow.items()},
            "can_swap": status.candidate is not None,
            "can_roll_back": folder.previous not in (None, folder.current),
        }

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
        about = shown.pop("marked_by", None)
        shown["verdict"] = self._verdicts.of(summary["id"], lambda: about)
        return shown


def _names(summary: Mapping[str, Any]) -> set[str]:
    """The ids of the changes that an incident is about: they stand for its sessions."""
    return {str(word) for session in summary.get("sessions") or () for word in session}


def _change_of(told: Mapping[str, Any]) -> str:
    """The id of the change that a request is about."""
    change = told.get("change")
    if not isinstance(change, str) or not change:
        raise KroneError("the request must hold the id of a change")
    return change


def _shown(mark: Mark) -> dict[str, Any]:
    """A mark as the page lists it."""
    until = None
    if mark.until_ms is not None:
        until = iso_ms(mark.until_ms)
    return {
        "id": mark.pattern,
        "verdict": mark.verdict,
        "scope": mark.scope,
        "about": mark.about,
        "by": mark.by,
        "note": mark.note,
        "at": iso_ms(mark.at_ms),
        "until": until,
    }
