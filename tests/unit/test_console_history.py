"""What the live page remembers of incidents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluent_krone.alerts.incidents import Incidents
from fluent_krone.console.history import Bars, History
from fluent_krone.types import Alert

S = 1_000_000_000


def alert(number: int, at_s: int, **fields: Any) -> Alert:
    record = {
        "alert_id": f"{number:032x}",
        "kind": "sequence",
        "bundle_hash": "b",
        "pattern": "p",
        "session": [f"order-{number}"],
        "instance": 1,
        "entity": "pay",
        "action": "charge",
        "status": "declined",
        "severity": "error",
        "explanation": "The card was declined.",
        "deviations": [{"signature": "declined"}],
        "lines": [f"line of order-{number}"],
        **fields,
    }
    return Alert(record["alert_id"], "shop", at_s * S, record)


def noted(history: History, *alerts: Alert) -> Incidents:
    """Incidents of these alerts, which the history was told."""
    incidents = Incidents(900.0)
    for one in alerts:
        joined = incidents.join(one, one.time_ns)
        assert joined.incident_id is not None
        history.note(incidents.open[joined.incident_id], one)
    return incidents


def everything(history: History, words: str = "") -> list[dict[str, Any]]:
    return history.page(words, lambda name, summary: True, "", 1000)[0]


def test_an_incident_is_shown_with_its_first_alert_and_its_course(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    noted(history, alert(1, 10), alert(2, 11), alert(3, 11))
    [shown] = everything(history)
    assert (shown["count"], shown["spark"], shown["severity"]) == (3, [1, 2], "error")
    found = history.incident(shown["id"])
    assert found is not None
    assert found[1] == alert(1, 10).record


def test_what_began_with_a_new_line_is_shown_as_its_first_failure(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    news = alert(1, 10, kind="unseen_template", severity="notice", entity="unknown")
    failure = alert(2, 20, session=["order-1"])
    noted(history, news, failure, alert(3, 21, session=["order-1"]))
    [shown] = everything(history)
    assert (shown["entity"], shown["severity"], shown["count"]) == ("pay", "error", 1)
    found = history.incident(shown["id"])
    assert found is not None
    assert found[1] == failure.record


def test_a_new_process_goes_on(tmp_path: Path) -> None:
    first = History(tmp_path / "h")
    noted(first, alert(1, 10))
    first.close()
    second = History(tmp_path / "h")
    assert [shown["count"] for shown in everything(second)] == [1]
    noted(second, alert(1, 10), alert(2, 12))
    [shown] = everything(second)
    assert shown["count"] == 2


def test_search_and_pages(tmp_path: Path) -> None:
    history = History(None)
    several = [
        alert(n, n, entity=f"e{n}", pattern=f"p{n}", deviations=[{"signature": f"s{n}"}])
        for n in range(10)
    ]
    noted(history, *several)
    newest, following, total = history.page("", lambda name, summary: True, "", 4)
    assert ([shown["entity"] for shown in newest], total) == (["e9", "e8", "e7", "e6"], 10)
    assert following is not None
    more, _, _ = history.page("", lambda name, summary: True, following, 100)
    assert [shown["entity"] for shown in more] == ["e5", "e4", "e3", "e2", "e1", "e0"]
    assert [shown["entity"] for shown in everything(history, "ORDER-3 declined")] == ["e3"]
    assert everything(history, "order-3 order-4") == everything(history, "%") == []


def test_the_oldest_are_forgotten() -> None:
    history = History(None, kept=3)
    for number in range(5):
        noted(history, alert(number, number, deviations=[{"signature": str(number)}]))
        history.flush()
    assert [shown["last"][17:19] for shown in everything(history)] == ["04", "03", "02"]


@pytest.mark.parametrize("content", [b"no SQLite file at all" * 100, b""])
def test_a_damaged_file_is_set_aside(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "h"
    path.write_bytes(content)
    history = History(path)
    noted(history, alert(1, 1))
    assert len(everything(history)) == 1
    assert ("set aside" in caplog.text) == bool(content)


def test_a_file_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(tmp_path / "h")
    history._db.execute("PRAGMA query_only = 1")
    for number in range(3):
        noted(history, alert(number, number))
        history.flush()
    assert caplog.text.count("cannot remember incidents") == 1


def test_bars_become_wider_and_lose_nothing() -> None:
    bars = Bars(start_ns=5 * S)
    for second in range(1000):
        bars.add((5 + second) * S)
    assert sum(bars.counts) == 1000
    assert len(bars.counts) <= 24
    bars.add(0)  # earlier than the first: out of order
    assert sum(bars.counts) == 1001


def test_incidents_come_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    for number, at_s in enumerate((10, 2000, 4000)):
        noted(history, alert(number, at_s))
    newest = [shown["first"] for shown in everything(history)]
    oldest = history.page(
        "", lambda name, summary: True, "", 2, lambda name, summary: json.loads(summary)["first"]
    )
    shown, following, total = oldest
    assert ([one["first"] for one in shown], total) == (newest[:0:-1], 3)
    assert following == shown[-1]["id"]


def test_a_summary_is_known_before_and_after_it_is_written(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    noted(history, alert(1, 10))
    name = next(iter(history._changed))
    before = history.summary(name)
    history.flush()
    assert before == history.summary(name) != {}
    assert history.summary("unknown") == {}
