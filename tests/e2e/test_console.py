"""The live page of a running service, in a real browser: headless Chromium."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from browser import Browser

from fluent_krone.alerts.incidents import Incidents
from fluent_krone.console.history import History
from fluent_krone.demo.simulator import simulate, stream
from fluent_krone.learning.bundles import BundleFolder
from fluent_krone.types import Alert

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 60
TOKEN = "token-of-the-test-0123456789"
MARKUP = '<img src=x onerror="document.title=1">'


def event_time(time_ns: int) -> msgpack.ExtType:
    """A time with its fraction, as Fluentd sends it."""
    return msgpack.ExtType(0, struct.pack(">II", *divmod(time_ns, 10**9)))


class Service:
    """A running `serve` with a live page; it is killed with SIGKILL and started again at will."""

    def __init__(self, folder: Path, *flags: str) -> None:
        token = folder / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        self._flags = ["--store", str(folder / "store.db"), "--console-token-file", str(token)]
        self._flags += flags
        self.start()

    def start(self, *flags: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fluent_krone", "serve", "--bundle", "demo"),
                *("--port", "0", "--console=true", "--metrics-port", "0", *self._flags, *flags),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        self.port = int(self._line(r"port=(\d+)"))
        self.page = self._line(r"live page at (\S+)")

    def _line(self, pattern: str) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError("serve ended")

    def send(self, events: list[tuple[int, dict[str, str]]]) -> None:
        entries = [[event_time(time_ns), record] for time_ns, record in events]
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall(msgpack.packb(["demo", entries, {"chunk": str(time.time_ns())}]))
            client.recv(1000)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What the service tells a program that has the token."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.page + path, data, {"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return json.load(answer)

    def wait_for_incidents(self, count: int) -> None:
        until = time.monotonic() + LIMIT_S
        while self.ask("incidents")["total"] < count:
            assert time.monotonic() < until, "no incidents"
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.communicate(timeout=LIMIT_S)


def events(seed: int, count: int = 300) -> list[tuple[int, dict[str, str]]]:
    return list(stream(simulate(count, seed)))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"))
    first = events(1)
    odd = (first[0][0], {**first[0][1], "message": f"Storage: {MARKUP} of blk-0a4cae29583d"})
    service.send([odd, *first])
    service.wait_for_incidents(3)
    yield service
    service.stop()


@pytest.fixture(autouse=True)
def quiet(browser: Browser) -> Iterator[None]:
    """No page complains on its console, or asks anybody but its service."""
    yield
    assert browser.complaints == []
    assert all("/console/" in url or url.startswith("data:") for url in browser.requests)
    browser.complaints.clear()
    browser.requests.clear()


def open_page(browser: Browser, service: Service, found: str = "", **size: int) -> None:
    browser.go(f"{service.page}#token={TOKEN}", **size)
    browser.wait("document.querySelectorAll('#tabs a').length")
    if found:
        browser.run(f"location.hash = {json.dumps(found)}")
    browser.wait("document.querySelector('#live').textContent === 'live'")


def test_without_the_token_nothing_is_shown(browser: Browser, service: Service) -> None:
    browser.call("Network.clearBrowserCookies")
    browser.go(service.page)
    browser.wait("!document.querySelector('#login').hidden")
    assert browser.texts("#entries li") == []
    browser.run("document.querySelector('#token').value = 'wrong'")
    browser.run("document.querySelector('#token-form').requestSubmit()")
    browser.wait("document.querySelector('#login-error').textContent === 'This token is wrong.'")
    # The browser reports refused requests on its console.
    assert all("401" in complaint for complaint in browser.complaints)
    browser.complaints.clear()
    browser.run(f"document.querySelector('#token').value = '{TOKEN}'")
    browser.run("document.querySelector('#token-form').requestSubmit()")
    browser.wait("document.querySelectorAll('#entries a').length > 2")
    assert browser.run("document.cookie") == ""


def one_of_a_session(service: Service) -> dict[str, Any]:
    """The newest incident that began with a session that ran unlike any normal one."""
    found: list[dict[str, Any]] = service.ask("incidents")["incidents"]
    return next(one for one in found if one["kind"] == "sequence")


def test_an_incident_is_read_from_what_is_wrong_to_its_lines(
    browser: Browser, service: Service
) -> None:
    open_page(browser, service)
    assert TOKEN not in browser.run("location.href")
    total = service.ask("incidents")["total"]
    assert f"{total} incident" in browser.texts("#count")[0]
    assert browser.texts("#health") == ["service: no trouble"]
    shown = one_of_a_session(service)
    browser.run(f"document.querySelector('#entries a[data-id=\"{shown['id']}\"]').click()")
    browser.wait(f"document.querySelector('#detail').innerText.includes('{shown['id']}')")
    [said] = browser.texts("#detail .said")
    assert said == shown["explanation"]
    alert = service.ask(f"incident?id={shown['id']}")["alert"]
    # Each line stands behind its time and its level.
    lines = browser.texts("[aria-label='Raw lines'] pre")
    assert len(lines) == len(alert["lines"]) > 0
    assert all(map(str.endswith, lines, alert["lines"]))
    # What it rests on stands before what can be said of it.
    labels = browser.run(
        "[...document.querySelectorAll('#detail section')].map(part => part.ariaLabel)"
    )
    assert labels.index("Raw lines") < labels.index("The session") < labels.index("What to do")


def test_what_a_log_says_is_never_markup(browser: Browser, service: Service) -> None:
    open_page(browser, service, "q=onerror")
    browser.wait("document.querySelector('#detail').innerText.includes('onerror')")
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.title") == "fluent-krone"


def test_news_come_by_themselves(browser: Browser, service: Service) -> None:
    open_page(browser, service)
    before = service.ask("incidents")["total"]
    # By then the first incidents are over, and whatever goes wrong is a new one.
    half_a_day = 12 * 3600 * 10**9
    service.send([(at + half_a_day, record) for at, record in events(5)])
    service.wait_for_incidents(before + 1)
    browser.wait(
        "parseInt(document.querySelector('#count').textContent.replace(',', '')) > " + str(before)
    )


def test_news_do_not_take_away_what_is_read(browser: Browser, service: Service) -> None:
    open_page(browser, service)
    read = service.ask("incidents")["incidents"][0]["id"]
    browser.wait(f"document.querySelector('#detail').innerText.includes('{read}')")
    day = 24 * 3600 * 10**9
    service.send([(at + day, record) for at, record in events(6)])
    newest = f"document.querySelector('#entries a').dataset.id !== '{read}'"
    browser.wait(newest)
    assert read in browser.texts("#detail")[0]
    assert browser.run("document.querySelector('#entries [aria-current]').dataset.id") == read


def test_a_mark_is_set_and_deleted(browser: Browser, service: Service) -> None:
    incident = service.ask("incidents")["incidents"][-1]["id"]
    open_page(browser, service, f"i={incident}")
    browser.wait(f"document.querySelector('#detail').innerText.includes('{incident}')")
    # News leave alone what has the focus, as it has where a person types.
    browser.run("document.querySelector('.actions input[type=text]').focus()")
    browser.run("document.querySelector('.actions input[type=text]').value = 'a <b>drill</b>'")
    browser.run("document.querySelector('#mark-normal').click()")
    browser.wait("document.querySelector('#detail').innerText.includes('Marked normal')")
    marks = service.ask(f"incident?id={incident}")["marks"]
    assert {mark["scope"] for mark in marks} == {"deviation"}
    assert {mark["note"] for mark in marks} == {"a <b>drill</b>"}
    buttons = (
        "[...document.querySelectorAll('#detail button')]"
        ".filter(button => button.textContent === 'Delete the mark')"
    )
    for left in reversed(range(len(marks))):
        browser.run(f"{buttons}[0].click()")
        browser.wait(f"{buttons}.length === {left}")
    assert service.ask(f"incident?id={incident}")["marks"] == []


def test_a_marked_incident_is_known_in_the_list(browser: Browser, service: Service) -> None:
    incident = one_of_a_session(service)["id"]
    unmarked = service.ask("incidents?state=unmarked")["total"]
    open_page(browser, service, f"i={incident}")
    browser.wait(f"document.querySelector('#detail').innerText.includes('{incident}')")
    browser.run("document.activeElement.blur()")
    browser.press("m")
    browser.press("Enter")
    entry = f"document.querySelector('#entries a[data-id=\"{incident}\"]')"
    browser.wait(f"{entry}.innerText.includes('marked normal')")
    # Whoever has no mouse goes on where he was.
    browser.wait("document.activeElement.id === 'mark-normal'")
    left = service.ask("incidents?state=unmarked")
    assert left["total"] < unmarked
    assert incident not in {one["id"] for one in left["incidents"]}
    for mark in service.ask(f"incident?id={incident}")["marks"]:
        service.ask("unmark", {"incident": incident, "mark": mark["id"]})
    browser.wait(f"!{entry}.innerText.includes('marked')")
    assert service.ask("incidents?state=unmarked")["total"] == unmarked


def test_a_mute_says_until_when(browser: Browser, service: Service) -> None:
    incident = one_of_a_session(service)["id"]
    open_page(browser, service, f"i={incident}")
    browser.wait(f"document.querySelector('#detail').innerText.includes('{incident}')")
    browser.run("document.querySelector('.actions select').value = 'pattern'")
    browser.run("document.querySelector('#mark-mute').click()")
    browser.wait("document.querySelector('.marks')")
    [mark] = service.ask(f"incident?id={incident}")["marks"]
    day, second = mark["until"][:10], mark["until"][11:19]
    [said] = browser.texts(".marks b")
    assert said == f"Muted until {day} {second} UTC"
    service.ask("unmark", {"incident": incident, "mark": mark["id"]})


def test_all_marks_are_listed_and_deleted_in_one_place(browser: Browser, service: Service) -> None:
    incident = one_of_a_session(service)
    told = {"incident": incident["id"], "verdict": "normal", "note": "a <i>drill</i>"}
    service.ask("mark", {**told, "scope": "pattern"})
    service.ask("mark", {**told, "scope": "entity", "days": 3})
    open_page(browser, service, "tab=marks")
    browser.wait("document.querySelectorAll('[aria-label=Marks] .said-list > li').length === 2")
    [shown] = browser.texts("#other")
    assert shown.count("a <i>drill</i>") == 2
    assert "Muted until" in shown and "Marked normal" in shown
    # Each leads to an incident that it is about.
    assert incident["explanation"] in shown
    for left in (1, 0):
        browser.run("document.querySelector('#other .said-list button').focus()")
        browser.press("Enter")
        marks = "document.querySelectorAll('[aria-label=Marks] .said-list > li')"
        browser.wait(f"{marks}.length === {left}")
    # Whoever has no mouse is still on this page.
    browser.wait("document.activeElement.id === 'other'")
    assert service.ask("said")["marks"] == []
    assert service.ask(f"incident?id={incident['id']}")["marks"] == []


def test_what_was_marked_normal_is_no_longer_counted_as_open(
    browser: Browser, service: Service
) -> None:
    before = service.ask("overview")["active"]
    opened = service.ask("incidents?state=active")
    assert opened["total"] == before > 0
    incident = next(one for one in opened["incidents"] if one["kind"] != "change")
    told = {"incident": incident["id"], "scope": "pattern", "verdict": "normal"}
    service.ask("mark", told)
    left = service.ask("incidents?state=active")
    assert left["total"] == service.ask("overview")["active"] < before
    assert incident["id"] not in {one["id"] for one in left["incidents"]}
    for mark in service.ask(f"incident?id={incident['id']}")["marks"]:
        service.ask("unmark", {"mark": mark["id"]})
    assert service.ask("overview")["active"] == before


def test_what_to_look_at_first_is_an_order(browser: Browser, service: Service) -> None:
    urgent = service.ask("incidents?order=urgent")["incidents"]
    is_open = [one["state"] in ("open", "ongoing") for one in urgent]
    assert is_open == sorted(is_open, reverse=True)
    often = [one["count"] for one in service.ask("incidents?order=often")["incidents"]]
    assert often == sorted(often, reverse=True)
    open_page(browser, service)
    browser.run("document.querySelector('#order').value = 'often'")
    browser.run(
        "document.querySelector('#order').dispatchEvent(new Event('input', {bubbles: true}))"
    )
    first = service.ask("incidents?order=often")["incidents"][0]["id"]
    browser.wait(f"document.querySelector('#entries a')?.dataset.id === '{first}'")
    assert "order=often" in browser.run("location.hash")


def test_a_new_operator_finds_help_by_a_key(browser: Browser, service: Service) -> None:
    open_page(browser, service)
    browser.run("document.activeElement.blur()")
    browser.press("?")
    browser.wait("document.querySelector('#other h2')?.textContent === 'Help'")
    [shown] = browser.texts("#other")
    assert service.ask("overview")["version"] in shown
    browser.press("3")
    browser.wait("document.querySelector('#other h2')?.textContent === 'Marks'")
    browser.press("1")
    browser.wait("!document.querySelector('#app').hidden")


def test_a_deploy_is_accepted(browser: Browser, service: Service) -> None:
    hour = 3600 * 10**9
    renamed = [
        (at + hour, {**record, "message": record["message"].replace("recorded", "written down")})
        for at, record in events(9)
    ]
    service.send(renamed)
    open_page(browser, service, "tab=changes")
    browser.wait("document.querySelector('#other').innerText.includes('written down')")
    [change] = service.ask("overview")["changes"]
    assert change["can_accept"], change
    browser.run("document.querySelector('#other .buttons button').click()")
    browser.wait("document.querySelector('#other').innerText.includes('accepted')")
    assert [one["state"] for one in service.ask("overview")["changes"]] == ["accepted"]
    # The page of marks has it as well.
    assert {row["change"] for row in service.ask("said")["accepted"]} == {change["id"]}
    # The same can be done where the change is one of the incidents, and taken back there.
    [incident] = [one for one in service.ask("incidents")["incidents"] if one["kind"] == "change"]
    assert incident["state"] == "accepted"
    browser.run(f"location.hash = 'i={incident['id']}'")
    button = f"document.querySelector('#detail #accept-{change['id']}')"
    browser.wait(f"{button}?.textContent === 'Take the acceptance back'")
    assert browser.texts("#detail h2") == ["the program has changed"]
    browser.run(f"{button}.click()")
    browser.wait(f"{button}?.textContent === 'Accept as normal'")
    assert service.ask(f"incident?id={incident['id']}")["incident"]["state"] == "open"
    assert [one["can_accept"] for one in service.ask("overview")["changes"]] == [True]


@pytest.mark.parametrize(
    ("what", "told", "words"),
    [
        ("mark", {"incident": "none", "scope": "deviation", "verdict": "normal"}, "remembered"),
        ("mark", {"scope": "all", "verdict": "normal"}, "scope"),
        ("mark", {"scope": "deviation", "verdict": "fine"}, "verdict"),
        ("mark", {"scope": "deviation", "verdict": "normal", "days": 10**9}, "days"),
        ("unmark", {"incident": "none"}, "remembered"),
        ("bundle", {"action": "swap"}, "refit"),
        ("accept", {"change": "0123456789abcdef"}, "knows no change"),
        ("take_back", {"change": "0123456789abcdef"}, "nobody accepted"),
        ("accept", {}, "id of a change"),
        ("take_back", {"change": 7}, "id of a change"),
    ],
)
def test_what_cannot_be_done_is_said(
    service: Service, what: str, told: dict[str, Any], words: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        service.ask(what, told)
    assert refused.value.code == 400
    assert words in json.load(refused.value)["error"]


def test_keys_move_through_the_incidents(browser: Browser, service: Service) -> None:
    open_page(browser, service)
    second = browser.run("document.querySelectorAll('#entries a')[1].dataset.id")
    browser.press("ArrowDown")
    browser.wait(f"location.hash.includes('{second}')")
    # Pressed at once, `m` goes to the marks of the incident that was chosen, once that is there.
    browser.press("m")
    browser.wait("document.activeElement.id === 'mark-normal'")
    browser.press("Enter")
    marked = f"document.querySelector('#entries a[data-id=\"{second}\"]')"
    browser.wait(f"{marked}.innerText.includes('marked normal')")
    browser.wait("document.querySelector('.marks') && document.activeElement.id === 'mark-normal'")
    for mark in service.ask(f"incident?id={second}")["marks"]:
        service.ask("unmark", {"incident": second, "mark": mark["id"]})
    browser.press("/")
    assert browser.run("document.activeElement.id") == "q"


def test_a_mark_that_arrives_late_leaves_the_focus_where_it_is(
    browser: Browser, service: Service
) -> None:
    chosen = one_of_a_session(service)["id"]
    open_page(browser, service, f"i={chosen}")
    browser.wait("document.querySelector('#mark-normal')")
    browser.run(
        "const mark = document.getElementById('mark-normal');"
        "mark.focus(); mark.click(); document.getElementById('q').focus();"
    )
    browser.wait("document.querySelector('.marks')")
    assert browser.run("document.activeElement.id") == "q"
    for mark in service.ask(f"incident?id={chosen}")["marks"]:
        service.ask("unmark", {"incident": chosen, "mark": mark["id"]})


@pytest.mark.parametrize("tab", ["changes", "marks", "bundles", "service", "help"])
def test_the_other_pages(browser: Browser, service: Service, tab: str) -> None:
    open_page(browser, service, f"tab={tab}")
    browser.wait("!document.querySelector('#other').hidden")
    assert browser.texts("#other h2")
    assert "[object" not in browser.run("document.querySelector('#other').innerText")


def test_a_phone_shows_all_of_a_long_trouble(browser: Browser, service: Service) -> None:
    open_page(browser, service, width=380, height=750)
    said = "document.querySelector('#health').textContent = 'event times are odd '.repeat(12)"
    assert browser.run(f"({said}, document.documentElement.scrollWidth <= innerWidth)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_one_thing_at_a_time(browser: Browser, service: Service, scheme: str) -> None:
    scheme_media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", features=scheme_media)
    open_page(browser, service, width=380, height=750)
    assert browser.run("getComputedStyle(document.querySelector('#detail')).display") == "none"
    chosen = one_of_a_session(service)["id"]
    browser.run(f"document.querySelector('#entries a[data-id=\"{chosen}\"]').click()")
    browser.wait("document.querySelector('#detail .said')")
    assert browser.run("getComputedStyle(document.querySelector('#list')).display") == "none"
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    # The buttons for marks are far below, and one step away.
    browser.run("document.querySelector('#to-marks').click()")
    browser.wait("document.activeElement.id === 'mark-normal'")
    browser.run("document.querySelector('#back').click()")
    browser.wait("getComputedStyle(document.querySelector('#list')).display !== 'none'")
    browser.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.parametrize("shorter", ["../", "../console"])
def test_a_shorter_address_leads_to_the_page(service: Service, shorter: str) -> None:
    address = urllib.parse.urljoin(service.page, shorter)
    with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:
        assert answer.url == service.page


def test_another_site_cannot_change_anything(service: Service) -> None:
    for headers in ({}, {"Origin": "http://evil.example"}):
        request = urllib.request.Request(f"{service.page}mark", b"{}", headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=LIMIT_S)
        assert refused.value.code == 401


def test_incidents_outlive_a_kill(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.send(events(1))
    service.wait_for_incidents(3)
    time.sleep(1.5)  # the page's memory is written once a second
    before = service.ask("incidents")["incidents"]
    service.stop(signal.SIGKILL)
    service.start()
    assert service.ask("incidents")["incidents"] == before
    service.stop()


def test_a_service_that_learns_does_not_say_that_all_is_well(
    browser: Browser, tmp_path: Path
) -> None:
    service = Service(tmp_path, "--bundle", str(tmp_path / "models"), "--learn", "24h")
    service.send(events(1, 20))
    open_page(browser, service)
    assert "Nothing is judged yet" in browser.texts("#detail")[0]
    assert browser.texts("#health") == ["service: learning"]
    browser.run("location.hash = 'tab=bundles'")
    browser.wait("!document.querySelector('#other').hidden")
    # Nothing is said about a bundle that there is not.
    assert len(browser.texts("#other section")) == 1
    # That records arrive is seen while nothing is judged.
    assert service.ask("overview")["learning"]["records"] > 0
    assert sum(minute["records"] for minute in service.ask("overview")["rates"]) > 0
    service.stop()


def test_the_next_bundle_is_swapped_in_and_rolled_back(browser: Browser, tmp_path: Path) -> None:
    folder = BundleFolder(tmp_path / "models")
    demo = REPOSITORY / "models" / "demo"
    before = folder.add(demo)
    following = folder.add(demo)
    # The same bundle with another hash.
    manifest = folder.path / following / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    folder.refit.mkdir()
    shadow = {"held_out": 412, "found_candidate": 0.937}
    waits = {"candidate": following, "shadow": shadow, "next_at_s": time.time() + 1e5}
    (folder.refit / "state.json").write_text(json.dumps(waits))
    service = Service(tmp_path, "--bundle", str(folder.path))
    first = service.ask("overview")["bundle"]["hash"]
    open_page(browser, service, "tab=bundles")
    browser.wait("document.querySelector('#swap')")
    assert "412" in browser.texts("#other")[0]
    assert "94 %" in browser.texts("#other")[0]
    assert f"{following} waits" in browser.texts("#other")[0]
    # Which one is in use can be told before and after.
    assert service.ask("overview")["bundle"]["current"] == before
    browser.run("document.querySelector('#swap').click()")
    browser.wait("document.querySelector('#rollback') && !document.querySelector('#swap')")
    browser.wait(f"!document.querySelector('#other').innerText.includes('{first}')")
    assert folder.current == following
    assert before in browser.texts("#rollback")[0]
    browser.run("document.querySelector('#rollback').click()")
    browser.wait(f"document.querySelector('#other').innerText.includes('{first}')")
    assert folder.current == before
    service.stop()


def test_a_service_that_is_gone_is_not_called_well(browser: Browser, tmp_path: Path) -> None:
    service = Service(tmp_path)
    open_page(browser, service)
    assert browser.texts("#health") == ["service: no trouble"]
    service.stop(signal.SIGKILL)
    browser.wait("document.querySelector('#health').textContent === 'service: not reached'")
    assert "No connection" in browser.texts("#live")[0]
    # The browser reports on its console that nobody answers.
    assert all("ERR_" in complaint for complaint in browser.complaints)
    browser.complaints.clear()


def test_ten_thousand_incidents(browser: Browser, tmp_path: Path) -> None:
    history = History(tmp_path / "store.db.incidents")
    for number in range(10_000):
        record = {
            "alert_id": f"{number:032x}",
            "kind": "sequence",
            "bundle_hash": "b",
            "pattern": str(number),
            "session": [f"order-{number}"],
            "instance": 1,
            "entity": f"entity {number % 7}",
            "severity": "warning",
            "explanation": f"Order {number} went wrong.",
            "deviations": [{"signature": str(number)}],
        }
        alert = Alert(record["alert_id"], "shop", number * 10**9, record)
        incidents = Incidents(900.0)
        joined = incidents.join(alert, alert.time_ns)
        assert joined.incident_id is not None
        history.note(incidents.open[joined.incident_id], alert)
    history.close()
    service = Service(tmp_path)
    open_page(browser, service)
    assert browser.texts("#count") == ["10,000 incidents"]
    assert len(browser.texts("#entries a")) == 100
    browser.run("document.querySelector('.more').click()")
    browser.wait("document.querySelectorAll('#entries a').length === 200")
    # By keys as well: beyond the last one that is loaded.
    browser.run("[...document.querySelectorAll('#entries a')].at(-1).focus()")
    browser.press("ArrowDown")
    browser.wait("document.querySelectorAll('#entries a').length === 300")
    open_page(browser, service, "q=order-4711")
    browser.wait("document.querySelector('#count').textContent === '1 incident'")
    service.stop()
