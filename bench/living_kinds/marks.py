"""Marks on one day's false alarms, and what they silence on the next day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from shop.faults import FAULTS
from shop_bench import is_step_right

from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.marks import Marks, Says
from fluent_krone.types import Alert

from .shop import Cell, Day, Shop

# The share of the next day's false alarms that the marks must silence; of faults, none.
SILENCED_AIM = 0.7
# Faults of each kind on the second day.
_EACH = 30
# Alerts of other kinds are no false alarms: they tell of a template or of the stream.
_KINDS = ("sequence", "deviation")
# When the marks are made and looked up, in seconds since 1970; they do not expire.
_NOW_S = 1_750_000_000.0


@dataclass
class Tally:
    """Sessions over all cells; `silenced_kinds` are the kinds of faults that marks silenced.

    `named_silenced` counts those of them whose alerts named the place of the fault. Others alerted
    for something else that is wrong with the session, such as a false alarm that was marked.
    """

    marked: int = 0
    marks: int = 0
    false_alarms: int = 0
    left: int = 0
    faults_found: int = 0
    faults_silenced: int = 0
    named_silenced: int = 0
    normals: int = 0
    silenced_kinds: Counter[str] = field(default_factory=Counter)


def run(shop: Shop) -> dict[str, Any]:
    """The figures over all variants and seeds."""
    tally = Tally()
    cells = {}
    for cell in shop.cells():
        cells[cell.name] = _cell(cell, shop.day_sessions, tally)
    silenced = 1 - tally.left / max(tally.false_alarms, 1)
    return {
        "alerts_marked": tally.marked,
        "marks": tally.marks,
        "normals": tally.normals,
        "false_alarms": tally.false_alarms,
        "false_alarms_left": tally.left,
        "silenced": round(silenced, 3),
        "faults_found": tally.faults_found,
        "faults_silenced": tally.faults_silenced,
        "named_faults_silenced": tally.named_silenced,
        "silenced_kinds": dict(tally.silenced_kinds),
        "cells": cells,
        "aims": {
            f"at least {SILENCED_AIM:.0%} of the next day's false alarms are silent": (
                tally.false_alarms > 0 and silenced >= SILENCED_AIM
            ),
            "no injected fault is silenced": tally.faults_silenced == 0,
        },
    }


def _cell(cell: Cell, sessions: int, tally: Tally) -> dict[str, int]:
    first = cell.day(5, sessions)
    second = cell.day(6, sessions, faults=dict.fromkeys(FAULTS, _EACH))
    knowledge = Knowledge(None)
    marks = Marks(knowledge)
    seen = [alert for _, alert in cell.alerts(first) if alert.record["kind"] in _KINDS]
    knowledge.alerted(seen)
    made = 0
    for alert in seen:
        scope = marks.default_scope(alert.alert_id)
        made += len(marks.mark(alert.alert_id, scope, Says(verdict="normal", by="ada"), _NOW_S))

    def silences(alert: Alert) -> bool:
        mark = marks.on(alert.record, _NOW_S)
        return mark is not None and mark.verdict == "normal"

    before, named = _told(cell, second, None)
    after, _ = _told(cell, second, silences)
    false_alarms = {session for session in before if not second.faulty[session]}
    faults = before - false_alarms
    left = {session for session in after if not second.faulty[session]}
    silenced = faults - after
    tally.marked += len(seen)
    tally.marks += made
    tally.normals += sum(not kind for kind in second.faulty.values())
    tally.false_alarms += len(false_alarms)
    tally.left += len(left)
    tally.faults_found += len(faults)
    tally.faults_silenced += len(silenced)
    tally.named_silenced += len(silenced & named)
    tally.silenced_kinds.update(second.faulty[session] for session in silenced)
    return {
        "alerts_marked": len(seen),
        "false_alarms": len(false_alarms),
        "false_alarms_left": len(left),
        "faults_found": len(faults),
        "faults_silenced": len(silenced),
    }


def _told(cell: Cell, day: Day, silences: Any) -> tuple[set[str], set[str]]:
    """The sessions of a day that have an alert, and those whose alert names the fault's place."""
    request_of = {day.variant.key_text(one.key): one for one in day.traffic.requests}
    told = set()
    named = set()
    for _, alert in cell.alerts(day, silences):
        if alert.record["kind"] in _KINDS:
            session = " ".join(alert.record["session"])
            told.add(session)
            if is_step_right(request_of[session], alert.record):
                named.add(session)
    return told, named
