"""Incidents: alerts that belong together are reported a few times, and none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, Receiver, Rig, killed, run, settle, sqlite
from synthetic import NORMAL, T0, S, ride

from fluent_krone.alerts import incidents as incidents_module
from fluent_krone.alerts.digests import digest_of
from fluent_krone.alerts.incidents import MOST_OPEN, Incidents
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ConfigError
from fluent_krone.runtime.store import Store
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert

QUIET = 900 * S


def alert(
    at_s: float,
    signatures: Sequence[str] = ("slow",),
    session: str | None = None,
    entity: str | None = "payment",
    severity: str = "error",
    kind: str = "sequence",
    step: str = "",
) -> Alert:
    time_ns = T0 + round(at_s * S)
    name = f"{at_s} {signatures} {session}"
    record = {
        "alert_id": name,
        "pattern": "p",
        "bundle_hash": "b1",
        "kind": kind,
        "severity": severity,
        "session": [session or name],
        "instance": 1,
        "entity": entity,
        "explanation": "It is slow.",
        "deviations": [
            {"signature": signature, "direction": "extra", "step": step} for signature in signatures
        ],
        "steps": {"session": [1, 2, 3]},
        "lines": ["a line"],
    }
    return Alert(name, "krone.app", time_ns, record)


def told(incidents: Incidents, *alerts: Alert) -> list[Alert]:
    return [event for one in alerts for event in incidents.join(one, one.time_ns).events]


def states(events: Sequence[Alert]) -> list[tuple[str, int]]:
    return [(one.record["incident"]["state"], one.record["incident"]["count"]) for one in events]


def test_a_thousand_executions_that_fail_alike_are_three_events() -> None:
    incidents = Incidents(900)
    # In half an hour.
    events = told(incidents, *(alert(1.8 * n) for n in range(1_000)))
    events += incidents.advance(T0 + 3 * 3600 * S)
    assert [state for state, _ in states(events)] == ["open", "ongoing", "resolved"]
    first, grown, last = events
    assert states(events)[0] == ("open", 1) and states(events)[2] == ("resolved", 1_000)
    assert states(events)[1][1] >= 10
    assert len({one.alert_id for one in events}) == 3
    assert {one.record["alert_id"] for one in events} == {one.alert_id for one in events}
    assert len({one.record["incident_id"] for one in events}) == 1
    assert last.record["incident"]["first"] == "2023-11-14T22:13:20.000Z"
    assert last.record["incident"]["last"] == "2023-11-14T22:43:18.200Z"
    assert last.time_ns == T0 + round(999 * 1.8 * S)
    assert incidents.open == {}
    # The first event is the whole first alert; later ones have its kind and its words.
    whole = alert(0.0)
    assert {name: first.record[name] for name in whole.record} == whole.record
    assert "steps" not in grown.record and "steps" not in last.record
    assert last.record["kind"] == "sequence" and "It is slow." in last.record["explanation"]


def test_what_an_execution_had_before_does_not_divide_an_incident() -> None:
    incidents = Incidents(900)
    early = told(incidents, alert(0, ("timeout",), session="s0", entity="a"))
    # One of those that fail alike was slow before, which is an incident of its own.
    told(incidents, alert(1, ("slow",), session="s1", entity="b"))
    told(incidents, alert(2, ("timeout",), session="s1", entity="a"))
    restored = Incidents(900)
    restored.restore([one.saved() for one in incidents.open.values()])
    for kept in (incidents, restored):
        joined = kept.join(alert(3, ("timeout",), session="s2", entity="c"), T0 + 3 * S)
        assert joined.incident_id == early[0].record["incident_id"]


def test_an_incident_that_grows_slowly_is_told_at_each_tenfold() -> None:
    incidents = Incidents(900)
    events = told(incidents, *(alert(60 * minute) for minute in range(250)))
    events += incidents.advance(T0 + 250 * 60 * S + QUIET)
    assert states(events) == [("open", 1), ("ongoing", 10), ("ongoing", 100), ("resolved", 250)]


def test_a_thousand_within_half_an_hour_are_three_events_however_they_begin() -> None:
    # Five minutes after the first one there are ten, and a hundred are soon behind them.
    times = [*range(0, 300, 33), *(300 + 1.4 * number for number in range(990))]
    incidents = Incidents(900)
    events = told(incidents, *map(alert, times))
    events += incidents.advance(T0 + 2000 * S + QUIET)
    assert states(events) == [("open", 1), ("ongoing", 10), ("resolved", 1000)]


def test_the_id_follows_its_definition() -> None:
    incidents = Incidents(900)
    [event] = told(incidents, alert(7, ("slow", "late")))
    expected = digest_of(("b1", "slow", str(T0 + 7 * S)))
    assert event.record["incident_id"] == event.record["incident"]["id"] == expected


def test_an_incident_of_one_execution_ends_without_a_word() -> None:
    incidents = Incidents(900)
    events = told(incidents, alert(0, session="a"), alert(5, ("other",), session="a"))
    assert states(events) == [("open", 1)]
    assert incidents.advance(T0 + 5 * S + QUIET) == [] and len(incidents.open) == 1
    assert incidents.advance(T0 + 5 * S + QUIET + 1) == [] and incidents.open == {}


def test_each_alert_that_joins_keeps_an_incident_open() -> None:
    incidents = Incidents(900)
    [first] = told(incidents, alert(0))
    for minute in (14, 28, 42):
        assert told(incidents, alert(60 * minute)) == []
    # The incident has gone quiet before the next one comes, though nobody asked meanwhile.
    resolved, opened = told(incidents, alert(60 * 58))
    assert states([resolved, opened]) == [("resolved", 4), ("open", 1)]
    assert resolved.record["incident_id"] == first.record["incident_id"]
    assert opened.record["incident_id"] != first.record["incident_id"]


@pytest.mark.parametrize(
    ("other", "joins"),
    [
        (alert(1, ("slow", "x", "y", "z"), entity="cart"), True),  # the leading one is the same
        (alert(1, ("x", "slow"), entity="cart"), True),  # half of them are
        (alert(1, ("x", "y", "slow"), entity="cart"), False),
        (alert(1, ("x",)), True),  # the same entity in one burst
        (alert(61, ("x",)), False),  # not in the burst
        (alert(1, ("x",), severity="critical"), False),  # more severe than what was reported
        (alert(1, ("x",), entity="cart"), False),
        (alert(500, ("x",), session="a", entity="cart"), True),  # the same execution
    ],
)
def test_what_belongs_to_an_incident(other: Alert, joins: bool) -> None:
    incidents = Incidents(900)
    told(incidents, alert(0, session="a"))
    assert (told(incidents, other) == []) == joins
    assert len(incidents.open) == 2 - joins


def test_steps_that_differ_in_few_words_are_one_incident() -> None:
    incidents = Incidents(900)
    visa = alert(0, ("v",), entity="visa", step="visa paid <num> EUR, status <num>")
    amex = alert(1, ("a",), entity="amex", step="amex paid <num> EUR, status <num>")
    order = alert(2, ("o",), entity="order", step="order <num> held for some review")
    assert len(told(incidents, visa, amex)) == 1
    assert len(told(incidents, order)) == 1


def test_each_alert_of_a_change_is_told() -> None:
    incidents = Incidents(900)
    alerts = [
        alert(at_s, ("c",), session="change", kind="change", severity="notice")
        for at_s in (0, 60, 400)
    ]
    events = told(incidents, *alerts)
    assert states(events) == [("open", 1), ("ongoing", 1), ("ongoing", 1)]
    assert [one.alert_id for one in events] == [one.alert_id for one in alerts]
    assert incidents.advance(T0 + 9 * 3600 * S) == []


def test_the_first_failure_takes_over_an_incident_that_began_with_news_of_a_template() -> None:
    counters = Counter[str]()
    incidents = Incidents(900, counters=counters)
    news = alert(0, ("new",), session="a", kind="unseen_template", severity="notice")
    [event] = told(incidents, news)
    assert (event.alert_id, event.record["incident"]["state"]) == (news.alert_id, "open")
    failure = alert(1, session="a", severity="warning")
    [event] = told(incidents, failure)
    assert (event.alert_id, event.record["incident"]["state"]) == (failure.alert_id, "ongoing")
    assert event.record["incident"]["count"] == 1
    # About an execution that the incident has, it is no news; on its entity alone it is.
    assert told(incidents, news) == []
    other = alert(2, ("other",), session="b", kind="unseen_template", severity="notice")
    assert states(told(incidents, other)) == [("open", 1)]
    assert counters["incidents_opened"] == 2
    ended = {one.record["alert_id"]: one for one in incidents.finish()}
    assert ended == {}


def test_news_of_templates_leave_room_for_failures() -> None:
    incidents = Incidents(900)
    for number in range(MOST_OPEN):
        news = alert(0, (f"new{number}",), kind="unseen_template", step=f"w{number} x{number}")
        told(incidents, replace(news, record={**news.record, "session": [f"s{number}"]}))
    assert len(incidents.open) < MOST_OPEN
    [event] = told(incidents, alert(1, session="a"))
    assert event.record["incident"]["state"] == "open"


def test_an_entity_without_a_name_joins_nothing() -> None:
    incidents = Incidents(900)
    assert len(told(incidents, alert(0, entity=None), alert(1, ("x",), entity=None))) == 2


def test_an_incident_that_becomes_much_more_severe_is_told_at_once() -> None:
    incidents = Incidents(900)
    [opened] = told(incidents, alert(0, session="a", severity="warning"))
    assert told(incidents, alert(1, ("x",), session="a", severity="error")) == []
    [rose] = told(incidents, alert(2, ("y",), session="a", severity="critical"))
    assert rose.record["incident_id"] == opened.record["incident_id"]
    assert (rose.record["severity"], rose.record["steps"]) == ("critical", {"session": [1, 2, 3]})
    assert told(incidents, alert(3, ("z",), session="a", severity="critical")) == []


def test_alerts_by_session_have_the_id_and_nothing_else() -> None:
    alerts = [alert(0, session="a"), alert(1, session="b"), alert(2, ("x",), session="b")]
    incidents = Incidents(900, each=True)
    events = told(incidents, *alerts) + incidents.advance(T0 + 24 * 3600 * S)
    assert [one.alert_id for one in events] == [one.alert_id for one in alerts]
    assert len({one.record["incident_id"] for one in events}) == 1
    assert all("incident" not in one.record for one in events)
    [opened] = told(Incidents(900), alerts[0])
    assert opened.record["incident_id"] == events[0].record["incident_id"]


def test_too_many_incidents_are_counted_and_their_alerts_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incidents_module, "MOST_OPEN", 2)
    counters = Counter[str]()
    incidents = Incidents(900, counters=counters)
    alerts = [alert(n, (str(n),), entity=str(n)) for n in range(4)]
    events = told(incidents, *alerts)
    assert [one.alert_id for one in events] == [one.alert_id for one in alerts]
    assert [one.record["incident_id"] is None for one in events] == [False, False, True, True]
    assert counters["incidents_over_cap"] == 2
    # There is room again once one has ended.
    assert states(told(incidents, alert(3600, ("9",), entity="9"))) == [("open", 1)]


def test_after_a_restart_an_incident_goes_on() -> None:
    alerts = [alert(40 * n, session=str(n % 23)) for n in range(40)]
    whole = Incidents(900)
    expected = told(whole, *alerts) + whole.advance(T0 + 9 * 3600 * S)
    assert len(expected) > 2
    events = []
    saved: list[dict[str, Any]] = []
    for one in alerts:
        incidents = Incidents(900)
        incidents.restore(saved)
        events += told(incidents, one)
        saved = [incident.saved() for incident in incidents.open.values()]
    incidents.restore([])
    events += incidents.advance(T0 + 9 * 3600 * S)
    assert events == expected


def test_what_a_person_settled_takes_no_further_alerts() -> None:
    settled: set[str] = set()
    incidents = Incidents(
        900, is_silenced=lambda record: record["deviations"][0]["signature"] in settled
    )
    [first, second] = told(incidents, alert(0), alert(1, ("x",), entity="cart"))
    assert told(incidents, alert(2, ("x", "slow"), entity="shelf")) == []
    settled.add("x")
    # What joined the settled one before begins an incident of its own now.
    [event] = told(incidents, alert(3, ("y", "x"), entity="shelf"))
    assert event.record["incident_id"] not in (
        first.record["incident_id"],
        second.record["incident_id"],
    )


# --- in the service


# Rides that get stuck; those after them are fine, for longer than an incident may be quiet.
RIDES = 40
FINE = 20


async def take(rig: Rig, number: int) -> None:
    """One ride as a chunk, so late that it ends the one before by its idle timeout."""
    keys: Sequence[int] = BAD
    if number >= RIDES:
        keys = NORMAL[0]
    events = ride(f"r{number}", keys, at_s=100 * number)
    entries = [[(time_ns or 0) // S, record] for time_ns, record in events]
    await rig.service.take(Chunk("app", entries, f"c{number}"), lambda: None)


def test_a_service_tells_an_incident_from_its_begin_to_its_end(
    lift: Bundle, store_path: str
) -> None:
    async def story() -> None:
        rig = Rig(lift, alerts="incident", store=store_path, novelty_interval=1e6)
        rig.now = T0 + 100 * 86400 * S
        await rig.service.start()
        for number in range(RIDES):
            await take(rig, number)
        rig.service._committer.commit()
        await settle()
        # First comes the news of a line that training never had, and then the failure by it.
        news, failure, *_ = rig.receiver.alerts
        assert (news.record["kind"], failure.record["kind"]) == ("unseen_template", "sequence")
        assert states([news, failure]) == [("open", 1), ("ongoing", 1)]
        stats = rig.service.stats()
        assert (stats["incidents_open"], stats["incidents_opened"]) == (1, 1)
        for number in range(RIDES, RIDES + FINE):
            await take(rig, number)
        rig.service._committer.commit()
        await settle()
        assert states(rig.receiver.alerts[2:]) == [("ongoing", 10), ("resolved", RIDES)]
        assert rig.service.stats()["incidents_open"] == 0
        assert sqlite(rig).execute("SELECT count(*) FROM incident").fetchone() == (0,)
        await rig.service.close()

    run(story)


@pytest.mark.parametrize("kills", [(), (3, 4, 9, 17), tuple(range(1, 40, 2))])
def test_kills_change_no_event_and_no_id(lift: Bundle, store_path: str, kills: Any) -> None:
    """Chunks that were not committed come again; the events are those of an undisturbed run."""
    expected = asyncio.run(events_over_kills(lift, f"{store_path}.undisturbed", ()))
    found = asyncio.run(events_over_kills(lift, store_path, kills))
    assert [one.record for one in found] == [one.record for one in expected]
    assert [count for _, count in states(expected[1:])] == [1, 10, RIDES]


async def events_over_kills(lift: Bundle, store: str, kills: Sequence[int]) -> list[Alert]:
    """All rides, committed in threes; a kill takes back what was not committed."""
    receiver = Receiver()
    rig = Rig(lift, receiver, alerts="incident", store=store, novelty_interval=1e6)
    rig.now = T0 + 100 * 86400 * S
    await rig.service.start()
    uncommitted: list[int] = []
    for number in range(RIDES + FINE):
        uncommitted.append(number)
        await take(rig, number)
        if number in kills:
            await killed(rig)
            rig = Rig(lift, receiver, alerts="incident", store=store, novelty_interval=1e6)
            rig.now = T0 + 100 * 86400 * S
            await rig.service.start()
            for again in uncommitted:
                await take(rig, again)
        if len(uncommitted) == 3:
            rig.service._committer.commit()
            uncommitted = []
    rig.service._committer.commit()
    await settle(turns=200)
    await rig.service.close()
    return receiver.alerts


def test_a_store_of_the_version_before_gets_a_table_of_incidents(store_path: str) -> None:
    Store(Path(store_path)).close()
    with contextlib.closing(sqlite3.connect(store_path)) as db:
        # What version 3 brought, this table and those of others.
        for table in ("incident", "release", "kind", "shared", "kept_counts"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 2")
    store = Store(Path(store_path))
    assert store.incidents() == []
    incidents = Incidents(900)
    told(incidents, alert(0), alert(1))
    store.commit({"incidents": incidents.changes()}, [], [], 0)
    store.close()
    store = Store(Path(store_path))
    assert store.incidents() == [one.saved() for one in incidents.open.values()]
    store.close()


def test_without_a_store_what_grew_is_told_at_the_end(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for number in range(5):
            await take(rig, number)
        await rig.service.flush()
        assert states(rig.receiver.alerts[1:]) == [("ongoing", 1), ("resolved", 5)]

    story(body, alerts="incident")


def test_incident_quiet_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="incident_quiet must be positive, got 0"):
        Config(incident_quiet=0)
