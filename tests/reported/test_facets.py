"""Parameters and fields with few, stable values are part of the step.

Was wrong: `served /orders status 200` and `served /orders status 500` were one step.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from export.cli import main
from export.facet_fields import with_field_facets
from export.facets import find_facets
from export.mine import mine
from export.source import settle
from export.stages import Options
from export.step_words import step_words
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.errors import ConfigError
from fluent_krone.inputs import read_events
from fluent_krone.reading.records import TAG


def rows_of(messages: list[str]) -> list[dict[str, object]]:
    return find_facets(mine(messages).rows(), lambda: iter(messages), lambda text: None)


def facets_of(messages: list[str]) -> set[tuple[str, ...]]:
    return {tuple(row["facets"]) for row in rows_of(messages) if "of" in row}  # type: ignore[arg-type]


def test_status_codes_count_by_their_class() -> None:
    codes = [200, 200, 204, 301, 404, 404]
    found = facets_of([f"served /orders status {codes[n % 6]} in {n} ms" for n in range(300)])
    assert found == {("2xx",), ("3xx",), ("4xx",)}


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ('job {n} status="{v}"', ("in progress", "all done", "timed out")),
        ("check {n} result: '{v}' in {n} ms", ("passed fully", "not passed")),
        ('user {n} action="{v}"', ("log in", "upload file", "log out")),
        ('volume {n} operation="{v}" size={n}', ("create volume", "force detach")),
        ('event "{v}" for user {n}', ("item bought", "item sent back")),
        ('user {n} "{v}"', ("session opened", "session closed")),
    ],
)
def test_a_few_texts_in_quotes_that_say_what_happened(form: str, values: tuple[str, ...]) -> None:
    """Was wrong: whatever stood in quotes was one wildcard, so that these were one step."""
    messages = [form.format(n=n, v=values[n % len(values)]) for n in range(300)]
    assert facets_of(messages) == {(value,) for value in values}


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ('film {n} "{v}" queued', ("Red Moon", "Blue Car", "Old Love")),
        ('film {n} "{v}" queued', ("Open Door", "Closed Circuit", "Lost Ark failed")),
        ('file {n} named "{v}"', ("Red Moon", "Blue Car", "Old Love")),
        ("customer {n} of plan '{v}' came", ("Red Moon", "Blue Car", "Old Love")),
        ('customer {n} event "{v}"', ("Red Moon", "Blue Car", "Old Love")),
        ('mail {n} subject "{v}"', ("Order opened", "Order closed", "Order failed")),
    ],
)
def test_names_in_quotes_are_values(form: str, values: tuple[str, ...]) -> None:
    assert facets_of([form.format(n=n, v=values[n % 3]) for n in range(300)]) == set()


@pytest.mark.parametrize(
    "form",
    [
        "GET /orders/{n} -> {v} ({n} ms)",
        "PUT /orders/{n} {v} {n} ms",
        "call {n}: HTTP {v}",
        "SIP/2.0 {v} for call {n}",
        'POST "/login" user={n} {v}',
        # Were wrong: they were numbers like any others.
        "call {n}: upstream replied {v} in {n} ms",
        "peer {n} responded with {v}",
        "订单{n} 状态={v}",
        "заказ {n} статус: {v}",
        "注文 {n} ステータスコード={v}",
        "10.0.0.{n} TCP_MISS/{v} {n} GET http://a.example/{n} - HIER_DIRECT/10.1.1.1 text/html",
    ],
)
def test_codes_behind_a_route(form: str) -> None:
    codes = [200, 200, 204, 500]
    assert facets_of([form.format(n=n, v=codes[n % 4]) for n in range(300)]) == {("2xx",), ("5xx",)}


@pytest.mark.parametrize(
    "form", ["name=GET {r} status=200", "op=PUT {r} took {n} ms", "POST {r} {n}"]
)
def test_routes_behind_a_verb_are_steps_of_their_own(form: str) -> None:
    """Was wrong: behind a name and an equals sign, as in spans, all routes were one wildcard."""
    routes = ["/cart", "/stock", "/orders/{n}/items"]
    messages = [form.format(r=routes[n % 3].format(n=n), n=n) for n in range(300)]
    templates = mine(messages).templates
    assert len(templates) == 3
    assert any("/orders/<id>/items" in template for template in templates)


def test_a_code_behind_any_of_several_words() -> None:
    """Was wrong: word and code were one value, so a failure of the server was an old line."""
    done = [f"{a}_{b}" for a in ("TCP", "UDP", "NONE") for b in ("MISS", "HIT", "TUNNEL", "DENIED")]
    messages = [
        f"10.0.0.{n} {done[n % 12]}/{503 if n % 7 == 3 else 200} {n} GET http://a.example/{n} text"
        for n in range(600)
    ]
    assert facets_of(messages) == {("2xx",), ("5xx",)}


@pytest.mark.parametrize(
    ("form", "values"),
    [
        ("job {n} exited with code {v}", ["0", "1"]),
        ("task {n} finished, result={v}", ["ok", "timeout", "partial", "skipped", "retry"]),
        ("call {n}: {v} of cart", ["GET", "PUT", "POST", "DELETE", "PATCH"]),
        ("delivery {n} dsn={v}", ["2.0.0", "4.4.1", "5.1.1"]),
        ("process {n} killed by signal {v}", ["9", "15"]),
        ("ticket {n} severity=P{v}", ["1", "2", "3"]),
        # Were wrong: they were measures.
        ("call {n} done retries={v}", ["0", "1", "2", "3"]),
        ("served {n} on attempt {v}", ["1", "2", "3"]),
        ("handshake with peer {n} tls={v}", ["1.2", "1.3"]),
        ("handshake {n} protocol=TLSv{v} done", ["1.2", "1.3"]),
        ("connection {n} proto=HTTP/{v}", ["1.1", "2"]),
        # Were wrong: words of other languages said nothing.
        ("Auftrag {n} Rückgabewert={v}", ["0", "1", "8"]),
        ("commande {n} code retour={v}", ["0", "4", "8"]),
        ("pedido {n} resultado={v}", ["0", "1"]),
        ("заказ {n} код={v}", ["0", "1"]),
        ("订单 {n} 返回码：{v}", ["0", "1", "17"]),
        ("注文 {n} 結果={v}", ["0", "1"]),
        ("conn={n} RESULT err={v} tag=97", ["0", "32", "49"]),
        ("transfer {n} state: {v}", ["queued", "running", "draining", "parked", "closed"]),
    ],
)
def test_named_parameters_with_few_values(form: str, values: list[str]) -> None:
    rng = Random(1)
    messages = [form.format(n=n, v=rng.choice(values)) for n in range(400)]
    found = facets_of(messages) or {
        tuple(value for value in values if value in text) for text in mine(messages).templates
    }
    assert {value for facet in found for value in facet} >= set(values)


@pytest.mark.parametrize(
    "form",
    [
        "waited {n} s for worker {v}",
        "job {n} exited with code {big}",
        "user {name} logged in from 10.0.0.{v}",
    ],
)
def test_measures_names_and_many_values_are_no_facets(form: str) -> None:
    rng = Random(2)
    names = ["root", "alice", "bob", "backup", "deploy", "git"]
    messages = [
        form.format(n=n, v=rng.randrange(6), big=rng.randrange(500), name=rng.choice(names))
        for n in range(400)
    ]
    assert facets_of(messages) == set()


@pytest.mark.parametrize("form", ["call {n} failed, attempt {v}", "call {n} done retries={v}"])
def test_numbers_of_attempts_that_become_rarer_are_counted(form: str) -> None:
    # Were wrong: a fourth attempt was a step that no normal session had.
    messages = [form.format(n=n, v="1112"[n % 4]) for n in range(400)]
    messages[::23] = [form.format(n=n, v=3) for n in range(len(messages[::23]))]
    assert facets_of(messages) == set()


def test_values_that_change_over_the_log_are_no_facet() -> None:
    messages = [f"task {n} in state {'abcdefgh'[n // 50]}x{n // 50}" for n in range(400)]
    assert facets_of(messages) == set()


# -- from a log to findings


def requests(first: int, count: int, *, odd: str = "", level: str = "") -> Iterator[str]:
    rng = Random(first)
    for n in range(first, first + count):
        status = rng.choice(["200", "200", "201", "404"])
        here = rng.choice(["info", "info", "warn"])
        if n == first + 5:
            status = odd or status
            here = level or here
        lines = [
            ("info", f"received request={n}"),
            (here, f"checked stock of request={n} in {rng.randrange(90)} ms"),
            ("info", f"served request={n} status={status} in {rng.randrange(90)} ms"),
        ]
        for i, (said, text) in enumerate(lines):
            yield json.dumps({"time": 1_700_000_000 + 10 * n + i, "level": said, "msg": text})


KEY = ("--session-key", "/request=([0-9]+)/")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.log").write_text("\n".join(requests(0, 400)) + "\n")
    return tmp_path


def flagged(bundle: str, path: Path) -> set[str]:
    engine = load_bundle(bundle).engine()
    findings = engine.feed("t", read_events(path), 2 * 10**18) + engine.finish()
    return {finding.session[0].decode() for finding in findings if finding.kind == "sequence"}


def tree(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["template"]: row for row in csv.DictReader(file)}


def test_new_values_are_unseen_leaves_of_a_known_action(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--input", "a.log", *KEY, "--output", "b"]) == 0
    said = capsys.readouterr().out
    assert "fields that tell steps apart, found: level" in said
    assert "facet: 2xx, 4xx of" in said
    leaves = tree(work / "b" / "hierarchy.csv")
    served = {row["status"]: row for row in leaves.values() if "served" in row["template"]}
    assert {"info 2xx", "info 4xx", "info other"} <= served.keys()
    assert len({(row["entity"], row["action"]) for row in served.values()}) == 1
    other = work / "other.log"
    other.write_text("\n".join(requests(1000, 60, odd="503")) + "\n")
    assert flagged("b", other) == {"1005"}
    other.write_text("\n".join(requests(2000, 60, level="fatal")) + "\n")
    assert flagged("b", other) == {"2005"}
    other.write_text("\n".join(requests(3000, 60)) + "\n")
    assert flagged("b", other) == set()


def test_the_tree_file_edits_facets(work: Path) -> None:
    arguments = ["--work", "w", "--input", "a.log", *KEY]
    assert main(["hierarchy", *arguments]) == 0
    path = work / "w" / "hierarchy.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    kept = [row for row in rows if "status=4<num>" not in row["template"]]
    [served] = [row for row in rows if "status=2<num>" in row["template"]]
    added = {**served, "template": served["template"].replace("2<num>", "404"), "status": "none"}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows([*kept, added])
    assert main(["bundle", "--work", "w", "--output", "b"]) == 0
    templates = load_bundle("b").templates
    assert added["template"] in templates
    assert not any("status=4<num>" in text for text in templates)


def test_records_without_text_are_made_of_categorical_fields(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = Random(3)
    lines = []
    for n in range(300):
        for event, method in (("login", "POST"), ("view", "GET"), ("logout", "POST")):
            row = {"time": 1_700_000_000 + n, "event": event, "method": method, "user_id": f"u{n}"}
            lines.append(json.dumps({**row, "ms": rng.random(), "status": rng.choice([200, 304])}))
    (work / "events.log").write_text("\n".join(lines) + "\n")
    assert main(["fit", "--input", "events.log", "--session-key", "user_id", "--output", "b"]) == 0
    assert "made of event,method,status" in capsys.readouterr().out
    actions = {row["action"] for row in tree(work / "b" / "hierarchy.csv").values()}
    assert actions == {"login", "view", "logout"}


EVENT_IDS = (4624, 4688, 4689, 4634)


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_numbers_that_name_what_happened_are_steps(nested: bool, work: Path) -> None:
    """Wrong before: all events of Windows were one step, `EventID=<num>`, or none was found."""

    def rows(first: int, sessions: int, left_out: int = 0) -> str:
        lines = []
        for n in range(first, first + sessions):
            for place, event in enumerate(EVENT_IDS):
                if n % 20 == 5 and event == left_out:
                    continue
                time = 1_700_000_000 + 20 * n + place
                row: dict[str, object] = {"time": time, "LogonId": f"0x{n:x}", "EventID": event}
                if nested:
                    row = {"time": time, "LogonId": f"0x{n:x}", "winlog": {"event_id": event}}
                lines.append(json.dumps(row) + "\n")
        return "".join(lines)

    (work / "events.log").write_text(rows(0, 400))
    assert main(["fit", "--input", "events.log", "--session-key", "LogonId", "--output", "b"]) == 0
    templates = load_bundle("b").templates
    # Another number is what never happened in training, and no new step of a deploy.
    numbers = [f"[{event}" for event in EVENT_IDS]
    assert {text.partition("] ")[0] for text in templates} == {*numbers, "[<*>"}
    other = work / "other.log"
    other.write_text(rows(1000, 60))
    assert flagged("b", other) == set()
    other.write_text(rows(2000, 60, left_out=4689))
    assert flagged("b", other) == {f"0x{n:x}" for n in (2005, 2025, 2045)}


WORKS = ("taken", "printed", "cut", "packed", "sent")


def found_in(path: Path, key: str, numbers: dict[str, object]) -> tuple[str, ...]:
    """The facet fields of a log whose executions are known by `job` and by `operation_id`."""
    rows = []
    for n in range(40):
        for place, work in enumerate(WORKS):
            time = 1_700_000_000 + 20 * n + place
            row = {"time": time, "job": f"j{n}", "operation_id": 1000 + n % 35, "event": work}
            rows.append(json.dumps(row | numbers) + "\n")
    path.write_text("".join(rows))
    return settle(Options(input=(path,), session_key=(key,)), print, print).facet_fields


def test_a_field_that_is_named_twice_for_the_message_is_one_facet(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    path.write_text(
        "".join(
            json.dumps(
                {"time": 1_700_000_000 + n, "job": f"j{n // 4}", "EventID": EVENT_IDS[n % 4]}
            )
            + "\n"
            for n in range(400)
        )
    )
    options = Options(input=(path,), session_key=("job",), message_field="EventID,EventID")
    assert settle(options, print, print).facet_fields == ("EventID",)


@pytest.mark.parametrize("key", ["job", "operation_id", "auto"])
def test_the_number_of_an_execution_is_no_step(key: str, tmp_path: Path) -> None:
    """Was wrong: each execution had templates of its own, as `[1007] operation_id=<num>`."""
    assert found_in(tmp_path / "press.log", key, {}) == ()


def test_a_number_that_counts_beside_a_name_is_no_step(tmp_path: Path) -> None:
    """Was wrong: each place of a step made it another one, and 68 steps instead of 12 were
    learnt from."""
    path = tmp_path / "press.log"
    path.write_text(
        "".join(
            json.dumps({"job": f"j{n}", "event_no": place, "event": WORKS[(n + place) % 5]}) + "\n"
            for n in range(40)
            for place in range(5)
        )
    )
    settings = settle(Options(input=(path,), session_key=("job",)), print, print)
    assert settings.message_field.split(",")[0] == "event"
    assert settings.facet_fields == ()


def test_an_event_that_is_a_list_ends_no_export(tmp_path: Path) -> None:
    """Was an error: lists are not hashable."""
    assert found_in(tmp_path / "press.log", "job", {"step": [1]}) == ()
    path = tmp_path / "calls.log"
    rows = [{"job": f"j{n // 4}", "op": WORKS[n % 4], "size": n % 7} for n in range(400)]
    rows[200]["op"] = [*WORKS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = settle(Options(input=(path,), session_key=("job",)), print, print)
    assert "op" in (*settings.message_field.split(","), *settings.facet_fields)


SERVICES = ("cart", "price", "stock", "mail", "tax", "risk", "ship")
# The calls of a request, in their order, and those of another one.
CALLS = (("auth.verify", "cart.load", "price.quote"), ("auth.verify", "stock.find", "mail.send"))


def found_beside_calls(path: Path, **of_record: list[str]) -> tuple[str, ...]:
    """The facet fields of a log whose requests have three records of one text.

    `call` says which call it was, a request keeps its `tier`, and mostly its `zone`, and the fields
    `of_record` have words that are drawn anew for each record.
    """
    rng = Random(5)
    rows = []
    for n in range(300):
        tier = rng.choice(["gold", "basic"])
        zone = rng.choice(["north", "south", "east"])
        for place, call in enumerate(CALLS[n % 2]):
            if rng.random() < 0.2:
                zone = rng.choice(["north", "south", "east"])
            row = {"time": 1_700_000_000 + 9 * n + place, "request": f"r{n:05}", "tier": tier}
            row |= {"msg": "call done", "call": call, "zone": zone, "took": rng.randint(5, 90)}
            row |= {name: rng.choice(words) for name, words in of_record.items()}
            rows.append(json.dumps(row) + "\n")
    path.write_text("".join(rows))
    return settle(Options(input=(path,), session_key=("request",)), print, print).facet_fields


def test_a_field_that_names_the_step_of_a_session_is_a_facet(tmp_path: Path) -> None:
    """Was wrong: all calls were one step, `call done`, so that two that changed places, or one that
    took as long as another one usually does, were not seen.
    """
    found = found_beside_calls(
        tmp_path / "calls.log", worker=["w1", "w2", "w3"], city=["Rom", "Bonn"]
    )
    assert found == ("call",)


def test_calls_side_by_side_are_steps_in_whatever_order(tmp_path: Path) -> None:
    rng = Random(7)
    rows = []
    for n in range(900):
        for place, service in enumerate(rng.sample(SERVICES, len(SERVICES))):
            row = {"time": 1_700_000_000 + 2 * n + place, "trace_id": f"{n:08x}{n + 77:08x}"}
            rows.append((row["time"], json.dumps(row | {"service": service, "msg": "handled it"})))
    path = tmp_path / "fan_out.log"
    path.write_text("".join(f"{line}\n" for _, line in sorted(rows)))
    assert settle(Options(input=(path,), session_key=("auto",)), print, print).facet_fields == (
        "service",
    )


@pytest.mark.parametrize(("many", "of"), [(3, 30), (3, 6), (2, 4)])
def test_the_products_of_an_order_are_no_steps(many: int, of: int, tmp_path: Path) -> None:
    rng = Random(9)
    products = [
        f"{word}-{size}" for word in ("tea", "jam", "oil", "nut", "rye") for size in "abcdef"
    ]
    rows = []
    for n in range(600):
        for place, product in enumerate(rng.sample(products[:of], many)):
            row = {"time": 1_700_000_000 + 9 * n + place, "order": f"o{n:05}"}
            rows.append(json.dumps(row | {"product": product, "msg": "item packed"}) + "\n")
    path = tmp_path / "orders.log"
    path.write_text("".join(rows))
    assert settle(Options(input=(path,), session_key=("order",)), print, print).facet_fields == ()


@pytest.mark.parametrize("at_once", [1, 4])
def test_workers_who_take_turns_are_no_steps(at_once: int, tmp_path: Path) -> None:
    """Was wrong where sessions ran one after another: the ring of the workers was taken for their
    steps, and of later sessions that overlapped, 550 of 600 were flagged.
    """
    events = []
    for n in range(300):
        for place, text in enumerate(["job begun", *["part done"] * (1 + n * 5 % 4), "job closed"]):
            events.append((n // at_once * 20 + place * 2 + n % at_once / 10, n, text))
    rows = [
        json.dumps(
            {"time": 1_700_000_000 + at, "job": f"j{n:05}", "msg": text} | {"worker": worker}
        )
        for number, (at, n, text) in enumerate(sorted(events))
        for worker in [f"w-{'abcde'[number % 5]}"]
    ]
    path = tmp_path / "ring.log"
    path.write_text("\n".join(rows))
    assert settle(Options(input=(path,), session_key=("job",)), print, print).facet_fields == ()


def test_who_happened_to_bid_is_no_step(tmp_path: Path) -> None:
    """Was wrong: what the texts of other records told of their own `app` counted as well."""
    rng = Random(3)
    bidders = [f"bidder-{name}" for name in "abcdefgh"]
    rows = []
    for n in range(300):
        apps = ["exchange", "users", *rng.sample(bidders, 2), "exchange", "billing", "ledger"]
        texts = [
            "opened it",
            "matched it",
            *["bid for it"] * 2,
            "sold it",
            "charged it",
            "noted it",
        ]
        for place, (app, text) in enumerate(zip(apps, texts, strict=True)):
            row = {"time": 1_700_000_000 + 9 * n + place, "auction": f"a{n:05}"}
            rows.append(json.dumps(row | {"app": app, "msg": text}) + "\n")
    path = tmp_path / "ads.log"
    path.write_text("".join(rows))
    assert settle(Options(input=(path,), session_key=("auction",)), print, print).facet_fields == ()


def test_a_step_beside_a_rare_message_is_in_the_message_or_a_facet(tmp_path: Path) -> None:
    """Was wrong: it was in neither, so that a call nobody knew was not seen."""
    rows = []
    for n in range(300):
        calls = [(call, event) for call in CALLS[n % 2] for event in ("begin", "end")]
        for place, (call, event) in enumerate(calls):
            row = {"time": 1_700_000_000 + 9 * n + place, "request": f"r{n:05}", "amount": n % 9}
            row |= {"event": event, "op": call}
            if n % 2 and place == 5:
                row["message"] = "all is done now"
            rows.append(json.dumps(row) + "\n")
    path = tmp_path / "calls.log"
    path.write_text("".join(rows))
    settings = settle(Options(input=(path,), session_key=("request",)), print, print)
    assert "op" in (*settings.message_field.split(","), *settings.facet_fields)


@pytest.mark.parametrize(
    ("fields", "templates", "plain"),
    [
        # Another call is another step, and another outcome an unseen leaf of the same one, …
        (
            ("op", "level"),
            ["[save] [INFO] done", "[load] [INFO] done"],
            ["[save] [<*>] done", "[load] [<*>] done"],
        ),
        # … in records that have no outcome as well.
        (("op", "level"), ["[save] [INFO] done", "[save] checked"], ["[save] [<*>] done"]),
        (
            ("op", "level"),
            ["[save] [INFO] done", "[INFO] idle"],
            ["[save] [<*>] done", "[<*>] idle"],
        ),
        # Numbers of events and outcomes of any name may be any.
        (("EventID",), ["[4624] Security", "[4688] Security"], ["[<*>] Security"]),
        (("$.http.status",), ["[200] served", "[404] served"], ["[<*>] served"]),
        (("$.call.outcome",), ["[ok] served", "[late] served"], ["[<*>] served"]),
        (("rc",), ["[OK] stage done", "[RETRY] stage done"], ["[<*>] stage done"]),
    ],
)
def test_what_may_be_any_beside_a_message(
    fields: tuple[str, ...], templates: list[str], plain: list[str]
) -> None:
    """Was wrong: a new number of an event was a new step, which a deploy may bring, and where a
    record had no level, its call could be any.
    """
    rows = with_field_facets([{"template": text} for text in templates], fields)
    assert {row["template"] for row in rows} - set(templates) == {*plain}


def test_records_that_lack_half_of_many_fields() -> None:
    fields = [f"part{n}" for n in range(40)]
    whole = "".join(f"[{name} on] " for name in fields)
    half = "".join(f"[{name} on] " for name in fields[::2])
    rows = [{"template": f"{values}done"} for values in (whole, half, half + "[odd] ")]
    plain = [row["template"] for row in with_field_facets(rows, fields)]
    assert f"{half}done" in plain
    assert "[<*>] " * 21 + "done" in plain


def test_sessions_by_tag_have_steps_as_well() -> None:
    records: list[dict[bytes, object]] = [
        {TAG: b"r.%d" % n, b"msg": b"call done", b"op": call.encode()}
        for n in range(300)
        for call in CALLS[n % 2]
    ]
    assert step_words("msg", ("tag",), records) == ["op"]


def test_a_text_that_names_the_step_needs_no_field_beside_it(tmp_path: Path) -> None:
    rows = [
        json.dumps(
            {"time": 1_700_000_000 + 9 * n + place, "request": f"r{n:05}", "step": work}
            | {"msg": f"order is {work} by {n % 7} men"}
        )
        for n in range(200)
        for place, work in enumerate(WORKS)
    ]
    path = tmp_path / "works.log"
    path.write_text("\n".join(rows))
    assert settle(Options(input=(path,), session_key=("request",)), print, print).facet_fields == ()


def test_sessions_that_an_expression_finds_have_steps_as_well(tmp_path: Path) -> None:
    path = tmp_path / "calls.log"
    rows = [
        {"time": 1_700_000_000 + 9 * n + place, "msg": f"req=r{n:05} call done", "call": call}
        for n in range(300)
        for place, call in enumerate(CALLS[n % 2])
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for key in (r"/req=(\w+)/", r"/req=(?<id>\w+)/", r"/req=\w+/"):
        options = Options(input=(path,), session_key=(key,))
        assert settle(options, print, print).facet_fields == ("call",)
    with pytest.raises(ConfigError, match="is not a regular expression"):
        settle(Options(input=(path,), session_key=("/req=(/",)), print, print)
