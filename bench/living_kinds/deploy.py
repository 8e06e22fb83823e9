"""A deploy that renames five steps of the shop and adds ten: the alerts in the hour after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shop.events import Event
from shop.faults import FAULTS
from shop.formats import write
from shop.traffic import Moment, Request, Traffic

from fluent_krone.config import Config
from fluent_krone.types import Alert

from .shop import Cell, Day, Shop

# Alerts in the hour after the deploy, of all kinds; and the share of the faults that are found
# without a deploy which must be found in that hour, too.
ALERTS_AIM = 5
FOUND_AIM = 0.8
_HOUR_MS = 3_600_000
# Executions of a day, and when the deploy is: in a busy hour.
_SESSIONS = 1_500
_AT = 0.3
# Faults of each kind.
_EACH = 20
# The usual budget of false alarms, and one by which most faults of the shop are found from so short
# a training: with few found there is little to lose.
_BUDGETS = (None, 10.0)
# The days of this part; other parts have others.
_QUIET = 8
_FAULTY = 9
# Faults found without a deploy, from which on the share of them says something.
_ENOUGH_FOUND = 25
# A step that a deploy removes; it is in most executions.
_REMOVED = "token.verified"
# Alerts in the hour after it, as a share of the sessions that lack the step.
_FEW = 0.5
# An error that nobody saw before, and the stream time within which it must be reported.
_TOLD_WITHIN_MS = 60_000
_ERROR = "pool of connections exhausted, 0 of 20 are free"


@dataclass
class Found:
    """Faults of some time after the deploy, and those that are found."""

    faults: int = 0
    with_deploy: int = 0
    without: int = 0

    def add(self, faults: set[str], with_deploy: set[str], without: set[str]) -> None:
        self.faults += len(faults)
        self.with_deploy += len(faults & with_deploy)
        self.without += len(faults & without)

    def figures(self) -> dict[str, Any]:
        return {
            "faults": self.faults,
            "found": self.with_deploy,
            "found_without_deploy": self.without,
            "share": round(self.with_deploy / max(self.faults, 1), 3),
            "share_of_without": self.kept(),
        }

    def kept(self) -> float:
        """Of what is found without a deploy, the share that is found with it."""
        return round(self.with_deploy / max(self.without, 1), 3)

    def keeps_enough(self) -> bool:
        """Whether the aim is met. So few that chance decides say nothing."""
        return self.kept() >= FOUND_AIM or self.without < _ENOUGH_FOUND


def run(shop: Shop) -> dict[str, Any]:
    """The figures over all variants and seeds."""
    cells = {}
    hour = {budget: Found() for budget in _BUDGETS}
    rest = {budget: Found() for budget in _BUDGETS}
    for cell in shop.cells():
        cells[cell.name] = {
            "quiet": _quiet(cell),
            "removed_step": _removed(cell),
            "new_errors": _new_errors(cell),
        }
        for budget in _BUDGETS:
            _count_faults(cell, budget, hour[budget], rest[budget])
    alerts = [cell["quiet"]["alerts"] for cell in cells.values()]
    return {
        "alerts_worst": max(alerts),
        "alerts_mean": round(sum(alerts) / len(alerts), 2),
        "hour": {str(budget or "usual"): one.figures() for budget, one in hour.items()},
        "later": {str(budget or "usual"): one.figures() for budget, one in rest.items()},
        "cells": cells,
        "aims": {
            f"at most {ALERTS_AIM} alerts in the first hour": max(alerts) <= ALERTS_AIM,
            "the deploy is told, once in that hour": all(
                cell["quiet"]["changes"] == 1 for cell in cells.values()
            ),
            f"{FOUND_AIM:.0%} of the faults found without a deploy are found in that hour": all(
                one.keeps_enough() for one in hour.values()
            ),
            "and as many of them later": all(one.keeps_enough() for one in rest.values()),
            "a deploy that removes a step is not silent": all(
                cell["removed_step"]["alerts"] > 0 for cell in cells.values()
            ),
            "of sessions that lack only a removed step, most are passed over": all(
                cell["removed_step"]["alerts"] <= _FEW * cell["removed_step"]["sessions"]
                for cell in cells.values()
            ),
            "an error that is new is told within a minute": all(
                cell["new_errors"]["told"] for cell in cells.values()
            ),
            "no error is part of a change": all(
                not cell["new_errors"]["in_a_change"] for cell in cells.values()
            ),
        },
    }


def _quiet(cell: Cell) -> dict[str, Any]:
    """A deploy without any fault."""
    day = cell.day(_QUIET, _SESSIONS, deploy_at=_AT)
    alerts = _in_hour(day, [alert for _, alert in cell.alerts(day)])
    kinds = Counter(alert.record["kind"] for alert in alerts)
    return {"alerts": len(alerts), "changes": kinds["change"], "kinds": dict(kinds)}


def _count_faults(cell: Cell, budget: float | None, hour: Found, rest: Found) -> None:
    faults = dict.fromkeys(FAULTS, _EACH)
    config = Config(false_alarms=budget)
    told = []
    for deploy_at in (None, _AT):
        day = cell.day(_FAULTY, _SESSIONS, faults=faults, deploy_at=deploy_at)
        told.append(_sessions(alert for _, alert in cell.alerts(day, config=config)))
    without, with_deploy = told
    in_hour = {_key(day, one) for one in _requests_of_hour(day) if one.kind}
    start_ms = _deploy(day).start_ms
    after = {_key(day, one) for one in day.traffic.requests if one.kind and one.start_ms > start_ms}
    hour.add(in_hour, with_deploy, without)
    rest.add(after - in_hour, with_deploy, without)


def _removed(cell: Cell) -> dict[str, Any]:
    """A deploy that removes a step and changes nothing else."""
    day = cell.day(_QUIET, _SESSIONS, deploy_at=_AT)
    traffic = cell.day(_QUIET, _SESSIONS).traffic
    start_ms = _deploy(day).start_ms
    requests = [_without(one, start_ms) for one in traffic.requests]
    day = _written(cell, day, Traffic(requests, day.traffic.moments))
    alerts = _in_hour(day, [alert for _, alert in cell.alerts(day)])
    concerned = sum(
        one.start_ms >= start_ms and any(event.name == _REMOVED for event in one.host)
        for one in _requests_of_hour(day)
    )
    return {"alerts": len(alerts), "sessions": concerned}


def _without(request: Request, start_ms: int) -> Request:
    if request.start_ms < start_ms:
        return request
    events = tuple(event for event in request.events if event.name != _REMOVED)
    return replace(request, events=events)


def _new_errors(cell: Cell) -> dict[str, Any]:
    """Half an hour in which every execution has an error that nobody saw before."""
    day = cell.day(_QUIET, _SESSIONS, deploy_at=_AT)
    traffic = cell.day(_QUIET, _SESSIONS).traffic
    start_ms = _deploy(day).start_ms
    end_ms = start_ms + _HOUR_MS // 2
    requests = []
    failing = set()
    for one in traffic.requests:
        if start_ms <= one.start_ms < end_ms:
            requests.append(_failing(one))
            failing.add(cell.variant.key_text(one.key))
        else:
            requests.append(one)
    day = _written(cell, day, Traffic(requests, day.traffic.moments))
    alerts = [alert for _, alert in cell.alerts(day)]
    changes = [alert.record["change"] for alert in alerts if alert.record["kind"] == "change"]
    texts = [one["template"] for change in changes for one in change["templates"]]
    first_ms = min(one.start_ms for one in requests if one.start_ms >= start_ms)
    soon_ns = (first_ms + _TOLD_WITHIN_MS) * 10**6
    return {
        "sessions": len(failing),
        "sessions_told": len(failing & _sessions(alerts)),
        "told": any(_says(alert) and alert.time_ns <= soon_ns for alert in alerts),
        "in_a_change": sum("exhausted" in text for text in texts),
    }


def _says(alert: Alert) -> bool:
    """Whether an alert tells of the new error."""
    return alert.record["kind"] != "change" and "exhausted" in " ".join(alert.record["lines"])


def _failing(request: Request) -> Request:
    """The execution logs an error after its second step, and goes on. No level tells of it."""
    before = request.events[1]
    step = replace(before.step, event="pool.exhausted", text=_ERROR, level="INFO")
    error = Event(step, "pool.exhausted", "INFO", 1, {})
    return replace(request, events=(*request.events[:2], error, *request.events[2:]))


def _written(cell: Cell, day: Day, traffic: Traffic) -> Day:
    return Day(traffic, cell.variant, write(traffic, cell.variant, day.log.parent))


def _deploy(day: Day) -> Moment:
    return next(moment for moment in day.traffic.moments if moment.kind == "deploy")


def _requests_of_hour(day: Day) -> list[Request]:
    start_ms = _deploy(day).start_ms
    return [one for one in day.traffic.requests if 0 <= one.start_ms - start_ms < _HOUR_MS]


def _in_hour(day: Day, alerts: Iterable[Alert]) -> list[Alert]:
    start_ms = _deploy(day).start_ms
    return [alert for alert in alerts if 0 <= alert.time_ns // 10**6 - start_ms < _HOUR_MS]


def _sessions(alerts: Iterable[Alert]) -> set[str]:
    kinds: Sequence[str] = ("sequence", "deviation")
    return {" ".join(alert.record["session"]) for alert in alerts if alert.record["kind"] in kinds}


def _key(day: Day, request: Request) -> str:
    return day.variant.key_text(request.key)
