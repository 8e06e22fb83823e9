"""The page of alerts in a real browser: headless Chromium, driven over the DevTools protocol's
pipe.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from fluent_krone.cli import main
from fluent_krone.page.render import PageSummary, write_page


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The page of the demo's alerts, and the alerts."""
    folder = tmp_path_factory.mktemp("demo")
    alerts, page = folder / "alerts.jsonl", folder / "page.html"
    assert main(["demo", "--json", "--sessions", "300", "--alerts", str(alerts)]) == 0
    write_page(alerts, page)
    return page, [json.loads(line) for line in alerts.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def quiet(browser: Browser) -> Iterator[None]:
    """No page complains on its console, or asks the network for anything but itself."""
    yield
    assert browser.complaints == []
    assert all(url.startswith("file:///") and "page.html" in url for url in browser.requests), (
        browser.requests
    )
    browser.complaints.clear()
    browser.requests.clear()


ROWS = [
    ["gate", "open", "asked", "open the gate"],
    ["gate", "open", "done", "gate is open"],
    ["lift", "move", None, "going to floor <num>"],
    ["lift", "move", "arrived", "arrived at floor <num>"],
    ["lift", "move", "stuck", "stuck at floor <num>"],
    ["gate", "close", "asked", "close the gate"],
]


def alert(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An alert of a session that got stuck: the third event is odd, and the normal session
    arrives.
    """
    return {
        "alert_id": f"{number:032x}",
        "pattern": "5" * 32,
        "kind": "sequence",
        "decided": "end",
        "tag": "app",
        "session": [f"ride-{number}"],
        "started_at": "2025-06-01T09:00:00.000Z",
        "ended_at": f"2025-06-01T09:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "events": 4,
        "level": "status",
        "entity": "lift",
        "action": "move",
        "status": "stuck",
        "detector": "nested_aware",
        "score": 12.5,
        "threshold": 3.0,
        "explanation": "It got stuck.",
        "explained_by": "evidence",
        "evidence": {
            "extra": {"stuck at floor <num>": 1},
            "missing": {},
            "repeated": {},
            "unseen": [],
            "nearest": [],
        },
        "seq": {"level": "status", "start": 2, "end": 4, "event": 3, "templates": []},
        "steps": {"rows": ROWS, "session": [0, 1, 2, 4], "first": 0, "nearest": [0, 1, 2, 3, 5]},
        "lines": ["stuck at floor 7"],
        **fields,
    }


def page_of(folder: Path, *alerts: dict[str, Any]) -> tuple[Path, PageSummary]:
    lines, page = folder / "alerts.jsonl", folder / "page.html"
    lines.write_text("".join(json.dumps(alert) + "\n" for alert in alerts), encoding="utf-8")
    return page, write_page(lines, page)


def test_the_list_shows_every_alert_newest_first(
    browser: Browser, demo: tuple[Path, list[dict[str, Any]]]
) -> None:
    page, alerts = demo
    browser.open(page)
    # Alerts of one signature are one entry, which stands where the newest of them belongs.
    newest: dict[str, str] = {}
    for alert in alerts:
        newest[alert["pattern"]] = max(alert["ended_at"], newest.get(alert["pattern"], ""))
    ids = "[...document.querySelectorAll('#entries a')].map(a => a.dataset.id)"
    times = {alert["alert_id"]: alert["ended_at"] for alert in alerts}
    faces = [times[alert_id] for alert_id in browser.run(ids)]
    assert faces == sorted(newest.values(), reverse=True)
    assert browser.texts("#count") == [f"{len(alerts)} alerts in {len(newest)} signatures"]

    browser.run("document.querySelectorAll('#entries .fold').forEach(fold => fold.click())")
    assert sorted(browser.run(ids)) == sorted(times)


def test_the_address_finds_an_alert_and_filters(
    browser: Browser, demo: tuple[Path, list[dict[str, Any]]]
) -> None:
    page, alerts = demo
    wanted = next(alert for alert in alerts if alert["kind"] == "sequence")
    browser.open(page, wanted["alert_id"])
    assert wanted["explanation"] in browser.texts("#detail .said")
    assert (
        browser.run("document.querySelector('#entries a[aria-current]').dataset.id")
        == wanted["alert_id"]
    )

    novel = [alert for alert in alerts if alert["kind"] == "unseen_template"]
    browser.open(page, "kind=unseen_template")
    assert browser.texts("#count") == [f"{len(novel)} of {len(alerts)} alerts"]
    assert len(browser.texts("#entries a")) == len(novel)

    browser.open(page, f"q={wanted['session'][0]}")
    assert all(wanted["session"][0] in text for text in browser.texts("#entries .where"))
    assert browser.texts("#count")[0].endswith(f" of {len(alerts)} alerts")


def test_the_picture_marks_the_named_seq_and_the_odd_event(
    browser: Browser, demo: tuple[Path, list[dict[str, Any]]]
) -> None:
    page, alerts = demo
    for wanted in [alert for alert in alerts if alert["kind"] == "sequence"][:5]:
        browser.open(page, wanted["alert_id"])
        seq = wanted["seq"]
        in_seq = [text.removeprefix("▶ ") for text in browser.texts(".picture tr.seq .n") if text]
        assert in_seq == [str(event) for event in range(seq["start"], seq["end"])]
        assert browser.texts(".picture tr.odd .n") == [f"▶ {seq['event']}"]


def test_extra_steps_stand_opposite_a_gap_and_missing_ones_are_ghosts(
    browser: Browser, tmp_path: Path
) -> None:
    page, _ = page_of(tmp_path, alert())
    browser.open(page)
    script = """[...document.querySelectorAll('.picture tbody tr')].map(row => [
        row.querySelector('.n').innerText,
        row.querySelector('.leaf:not(.there)').innerText,
        row.querySelector('.right.leaf')?.innerText ?? 'gap'])"""
    assert browser.run(script) == [
        ["0", "asked open the gate", "asked open the gate"],
        ["1", "done gate is open", "done gate is open"],
        ["2", "going to floor <num>", "going to floor <num>"],
        ["▶ 3", "▶ odd + extra stuck stuck at floor <num>", "gap"],
        ["", "− missing arrived arrived at floor <num>", "arrived arrived at floor <num>"],
        ["", "− missing asked close the gate", "asked close the gate"],
    ]
    bands = browser.run(
        "[...document.querySelectorAll('td.e:not(.right)')].map(e => [e.innerText, e.rowSpan])"
    )
    assert bands == [["gate", 2], ["lift", 3], ["gate", 1]]


def test_steps_in_another_order_are_told_from_extra_and_missing_ones(
    browser: Browser, tmp_path: Path
) -> None:
    steps = {"rows": ROWS, "session": [0, 2, 1, 3, 5], "first": 0, "nearest": [0, 1, 2, 3, 5]}
    page, _ = page_of(
        tmp_path, alert(steps=steps, events=5, seq={"start": 1, "end": 2, "event": 1})
    )
    browser.open(page)
    assert sorted(browser.texts(".picture .mark")) == ["↕ normally here", "↕ out of order", "▶ odd"]


def test_what_a_session_under_way_lacks_may_still_come(browser: Browser, tmp_path: Path) -> None:
    page, _ = page_of(tmp_path, alert(decided="early"))
    browser.open(page)
    assert browser.texts(".picture .ghost .mark") == ["may still come", "may still come"]


def test_a_part_of_a_long_session_is_folded_and_numbered(browser: Browser, tmp_path: Path) -> None:
    steps = {
        "rows": ROWS,
        "session": [0] * 150 + [4] + [0] * 49,
        "first": 300,
        "nearest": [0] * 200,
    }
    seq = {"level": "status", "start": 450, "end": 451, "event": 450}
    page, _ = page_of(tmp_path, alert(events=1000, steps=steps, seq=seq))
    browser.open(page)
    assert "events 300 to 499 of 1,000" in browser.texts("#detail h3")[1]
    assert browser.texts(".picture tr.odd .n") == ["▶ 450"]
    assert len(browser.texts(".picture tbody tr")) < 20
    browser.open(page, width=360, height=740)
    browser.run("document.querySelector('#entries a').click()")
    assert browser.run("document.querySelector('.picture .odd .leaf').offsetWidth") > 200
    browser.run("document.querySelector('.picture .fold button').click()")
    assert "300" in browser.texts(".picture .n")


def test_many_alerts_of_one_pattern_are_one_entry_that_unfolds(
    browser: Browser, tmp_path: Path
) -> None:
    many = [alert(i, pattern="a" * 32) for i in range(1_000)]
    others = [alert(1_000 + i, pattern=f"{i:032x}") for i in range(9_000)]
    page, summary = page_of(tmp_path, *many, *others)
    assert (summary.alerts, summary.patterns) == (10_000, 9_001)
    browser.open(page, f"order=most&a={many[17]['alert_id']}")
    assert browser.texts("#count") == ["10,000 alerts in 9,001 signatures"]
    assert browser.texts(".fold[aria-expanded]") == [
        "×1,000 ▾"
    ]  # open: the alert of the address is in it
    assert (
        browser.run("document.querySelector('#entries a[aria-current]').dataset.id")
        == many[17]["alert_id"]
    )
    assert browser.run("document.querySelectorAll('*').length") < 20_000
    browser.run("document.querySelector('.fold').click()")
    drawn = len(browser.texts("#entries a"))
    browser.run("document.querySelector('#entries > li > .more').click()")
    assert drawn < len(browser.texts("#entries a")) < 1_000
    browser.open(page, "q=ride-9999")
    assert browser.texts("#entries .where > :first-child") == ["06-01 09:46:39 · ride-9999 · app"]


def test_it_is_used_by_keys(browser: Browser, demo: tuple[Path, list[dict[str, Any]]]) -> None:
    page, _ = demo
    browser.open(page)
    ids = browser.run("[...document.querySelectorAll('#entries a')].map(a => a.dataset.id)")
    chosen = "document.querySelector('#entries a[aria-current]').dataset.id"
    for key, expected in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1)):
        browser.press(key)
        assert browser.run(chosen) == ids[expected]
    assert browser.run("location.hash") == f"#a={ids[1]}"
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "detail"
    browser.press("Escape")
    assert browser.run("document.activeElement.dataset.id") == ids[1]
    browser.press("/")
    assert browser.run("document.activeElement.id") == "q"
    for key in "zzz":
        browser.press(key)
    assert browser.texts("#entries") == ["Nothing matches."]
    assert browser.run("location.hash") == f"#a={ids[1]}&q=zzz"


def test_a_phone_shows_the_list_then_the_alert_and_goes_back(
    browser: Browser, demo: tuple[Path, list[dict[str, Any]]]
) -> None:
    page, alerts = demo
    shown = "['list', 'detail'].map(id => document.getElementById(id).checkVisibility())"
    too_wide = "document.documentElement.scrollWidth > innerWidth"
    browser.open(page, width=360, height=740)
    assert browser.run(shown) == [True, False]
    assert not browser.run(too_wide)
    browser.run("document.querySelector('#entries a').click()")
    assert browser.run(shown) == [False, True]
    browser.run("document.getElementById('back').click()")
    assert browser.run(shown) == [True, False]
    for wanted in alerts:
        browser.run(f"location.hash = '{wanted['alert_id']}'")
        assert not browser.run(too_wide), wanted["alert_id"]


def test_what_alerts_lack_is_left_out(browser: Browser, tmp_path: Path) -> None:
    old = {"alert_id": "old", "kind": "sequence"}
    strange = alert(
        2,
        steps={"rows": 7, "session": "x"},
        seq=[],
        evidence=None,
        lines="one",
        session="s",
        explained=3,
    )
    out_of_range = alert(3, steps={"rows": ROWS, "session": [99], "nearest": [-1]})
    page, _ = page_of(tmp_path, old, strange, out_of_range)
    for wanted in (old, strange, out_of_range):
        browser.open(page, wanted["alert_id"])
        assert browser.texts("#detail h2")
        assert "unknown shape" not in browser.run("document.getElementById('detail').innerText")


def test_without_steps_in_the_tree_the_template_is_the_headline(
    browser: Browser, tmp_path: Path
) -> None:
    seq = {"start": 2, "end": 4, "event": 3, "templates": ["a", "disk <*> is gone"]}
    nameless = dict.fromkeys(("entity", "action", "status"))
    unknown = dict.fromkeys(("entity", "action", "status"), "unknown")
    page, _ = page_of(
        tmp_path,
        alert(1, **nameless, seq=seq),
        alert(2, **unknown, seq={**seq, "templates": ["a", "<unknown>"]}),
        alert(3, status=None),
        alert(4, **nameless, kind="flow", session=["silence", "stream"]),
        alert(5, **nameless, kind="change", seq=seq),
    )
    for number, headline in (
        (1, "disk <*> is gone"),
        (2, "a line that matches no template"),
        (3, "lift → move"),
        (4, "the whole stream"),
        (5, "the program has changed"),
    ):
        browser.open(page, f"{number:032x}")
        assert browser.texts("#detail h2") == [headline]


def test_who_explained_and_at_what_price(browser: Browser, tmp_path: Path) -> None:
    explained = {
        "by": "claude",
        "model": "claude-x",
        "verdict": "abnormal",
        "confidence": 0.92,
        "cause": "The brake held.",
        "check": "Look at the brake.",
        "steps": ["stuck at floor <num>"],
        "cost_usd": 0.0021,
    }
    page, _ = page_of(
        tmp_path,
        alert(1, explained=explained, explained_by="claude"),
        alert(2, explained={"failed": "timeout"}),
    )
    browser.open(page, f"{1:032x}")
    said = browser.texts("section[aria-label=Explanation]")[0]
    for words in (
        "Claude (claude-x)",
        "abnormal, 92 % sure",
        "The brake held.",
        "Look at the brake.",
        "$0.0021",
    ):
        assert words in said
    assert browser.texts(".picture .odd .mark") == ["▶ odd", "+ extra", "◆ named"]
    browser.open(page, f"{2:032x}")
    assert (
        "The model gave no answer: timeout." in browser.texts("section[aria-label=Explanation]")[0]
    )


def test_no_alerts_are_told(browser: Browser, tmp_path: Path) -> None:
    page, _ = page_of(tmp_path)
    browser.open(page)
    assert browser.texts("#entries") == ["No alerts."]
    assert "nothing went wrong" in browser.texts("#detail")[0]


def test_hostile_alerts_stay_text(browser: Browser, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        evil = (
            "</script></noscript><script>window.pwned=1</script><img src=x onerror=pwned=1>"
            f"<link rel=stylesheet href=http://127.0.0.1:{listener.getsockname()[1]}/x><!--<script>{{{{data}}}}"
            "javascript:pwned=1 \u202e gnp.exe \x00\x1b[31m \ud800 __proto__"
        )
        fields = {
            name: evil
            for name, value in alert().items()
            if isinstance(value, str) and name != "alert_id"
        }
        steps = {
            "rows": [[evil] * 4, [None] * 3 + [evil]],
            "session": [0, 1],
            "first": 0,
            "nearest": [1, 0],
        }
        evidence = {
            "extra": {evil: 1, "__proto__": 2},
            "missing": {evil: 1},
            "unseen": [evil],
            "nearest": [evil],
        }
        explained = dict.fromkeys(
            ("by", "model", "verdict", "cause", "check", "note", "failed"), evil
        )
        hostile = alert(1, **fields, steps=steps, evidence=evidence, lines=[evil], session=[evil])
        hostile |= {
            "explained": {**explained, "steps": [evil]},
            "__proto__": {"kind": evil},
            evil: evil,
        }
        hostile["kind"] = "sequence"
        hostile["seq"] = {"start": 0, "end": 2, "event": 0, "templates": [evil]}
        page, _ = page_of(tmp_path, hostile, {**hostile, "alert_id": evil})
        for found in (hostile["alert_id"], "", f"q={'%3Cscript%3E'}"):
            browser.open(page, found)
            if not browser.texts("#entries ul"):
                browser.run("document.querySelector('.fold').click()")
            assert len(browser.texts("#entries a")) == 2
            browser.run("document.querySelectorAll('#entries a').forEach(a => a.click())")
            browser.run("document.querySelector('details:not(#filters)').open = true")
            assert browser.run("window.pwned") is None
            assert browser.run("document.scripts.length") == 2
            assert browser.run("document.querySelectorAll('img, link, iframe, object').length") == 0
            assert (
                "⟨U+202E⟩ gnp.exe ⟨U+0000⟩⟨U+001B⟩[31m ⟨U+D800⟩"
                in browser.texts("#detail .said")[0]
            )
            assert "\u202e" not in browser.run("document.getElementById('app').innerText")
        with pytest.raises(BlockingIOError):
            listener.accept()
