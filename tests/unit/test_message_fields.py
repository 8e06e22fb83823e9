"""Which fields a message is made of, and what is read of its steps then."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from export.cli import main
from export.message_fields import message_field
from export.stages import Options
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.inputs import read_events

WORDS = ("small", "medium", "large")


def chosen(records: list[dict[str, Any]], **given: Any) -> str:
    """The message field of records, each of them as a file of JSON lines would give it."""
    sample = [_packed(record) for record in records]
    options = Options(session_key=("trace",), **given)
    return message_field(options, sample, sample, lambda text: None).field


def _packed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.encode(): _packed(inner) for name, inner in value.items()}
    return value.encode() if isinstance(value, str) else value


def requests(**fields: Any) -> Iterator[dict[str, Any]]:
    """Records with a text, and with `fields` beside it; a function makes a new value each time."""
    rng = Random(0)
    for number in range(300):
        made = {
            name: value(rng, number) if callable(value) else value for name, value in fields.items()
        }
        size = rng.choice(WORDS)
        message = f"parcel {rng.randrange(9_000)} weighed" if number % 2 else f"{size} box closed"
        record = {"trace": f"t{number // 4}", "level": "info", "message": message, **made}
        yield {name: value for name, value in record.items() if value is not None}


@pytest.mark.parametrize(
    ("fields", "made_of"),
    [
        ({}, "message"),
        ({"status": 200}, "message,status"),
        ({"took_ms": lambda rng, n: rng.random()}, "message,took_ms"),
        ({"size": lambda rng, n: rng.choice(WORDS) if n % 2 else None}, "message,size"),
        # Numbers with a unit, and numbers of a table, which are texts. Wrong before: they were no
        # part of the message, and none of them was judged.
        ({"latency": lambda rng, n: f"{rng.randrange(900)}ms"}, "message,latency"),
        ({"latency": lambda rng, n: f"{rng.randrange(900)} msec"}, "message,latency"),
        ({"memory": lambda rng, n: f"{rng.randrange(900)}Mi"}, "message,memory"),
        ({"rate": lambda rng, n: f"{rng.randrange(900)} req/s"}, "message,rate"),
        ({"size": lambda rng, n: f"{rng.randrange(900, 90000):,} bytes"}, "message,size"),
        ({"took": lambda rng, n: f"{rng.randrange(60)}m{rng.random():.2f}s"}, "message,took"),
        ({"lab": lambda rng, n: f"CRP {rng.randrange(900)} mg/l" if n % 2 else ""}, "message,lab"),
        ({"cost": lambda rng, n: str(rng.randrange(900))}, "message,cost"),
        # Dates, codes and names with numbers are no measures.
        ({"born": lambda rng, n: f"{1 + n % 28:02d} Mar {1950 + n % 70}"}, "message"),
        ({"due": lambda rng, n: f"{1 + n % 28} October 2024"}, "message"),
        (
            {"street": lambda rng, n: f"{1 + n % 90} {rng.choice(('Main St', 'W Main St'))}"},
            "message",
        ),
        (
            {"code": lambda rng, n: f"{rng.randrange(10_000, 90_000)}{rng.choice('abcdef')}"},
            "message",
        ),
        ({"visit": lambda rng, n: f"{1 + n % 12} {rng.choice(('AM', 'PM'))}"}, "message"),
        ({"Day": lambda rng, n: "14"}, "message"),
        # But how something went, and what a number of days costs, are no identities.
        ({"error_id": lambda rng, n: str(3 * (n % 2))}, "message,error_id"),
        ({"cost_per_day": lambda rng, n: str(rng.randrange(900))}, "message,cost_per_day"),
        ({"seat": lambda rng, n: f"row-{rng.randrange(900)}"}, "message"),
        ({"release": lambda rng, n: f"{rng.randrange(90)}.{rng.randrange(9)}.1"}, "message"),
        # What records of any form have says where a session ran.
        ({"hall": lambda rng, n: rng.choice(WORDS)}, "message"),
        ({"http": lambda rng, n: {"status": rng.choice([200, 204])}}, "message,$.http.status"),
        # Times and counters only grow, and ids are different each time.
        ({"at": lambda rng, n: 1_700_000_000 + n}, "message"),
        ({"span": lambda rng, n: f"{rng.getrandbits(64):016x}"}, "message"),
        ({"host": lambda rng, n: rng.choice(WORDS)}, "message"),
        ({"note": "one and the same text"}, "message"),
        # How severe the record is, and how high a risk is.
        ({"log": {"level": "info"}}, "message"),
        (
            {"risk": lambda rng, n: {"level": rng.choice(WORDS)} if n % 2 else None},
            "message,$.risk.level",
        ),
        ({"kubernetes": {"restarts": 3}}, "message"),
    ],
)
def test_data_beside_a_text_are_part_of_the_message(
    fields: Mapping[str, Any], made_of: str
) -> None:
    assert chosen([*requests(**fields)]) == made_of
    assert chosen([*requests(**fields)], message_field="message") == "message"


@pytest.mark.parametrize("as_written", [int, str])
@pytest.mark.parametrize(
    ("name", "value", "is_said"),
    [
        # Wrong before: the number of a process, and that of a row, stood in each message.
        ("_PID", lambda rng, n: rng.choice((4121, 4122)), False),
        ("_UID", lambda rng, n: rng.choice((0, 1000)), False),
        ("id", lambda rng, n: rng.randrange(1_000, 10_000), False),
        ("Case ID", lambda rng, n: rng.randrange(1_000, 10_000), False),
        ("orderId", lambda rng, n: 1_000 + 7 * (n // 4) % 97, False),
        ("CODE_LINE", lambda rng, n: 40 + n % 2, False),
        ("dst_port", lambda rng, n: rng.choice((22, 443, 8443)), False),
        ("seq", lambda rng, n: n % 256, False),
        # The number of a thing is the same in a whole session; another one is an amount.
        ("account", lambda rng, n: 1_000 + 37 * (n // 4) % 97, False),
        ("account", lambda rng, n: rng.randrange(900), True),
        ("accounts", lambda rng, n: 1_000 + 37 * (n // 4) % 97, True),
        ("amount", lambda rng, n: 1_000 + 37 * (n // 4) % 97, True),
        # What was measured, and numbers that say how it went.
        ("took_ms", lambda rng, n: rng.randrange(20, 40), True),
        ("paid", lambda rng, n: rng.randrange(1_000, 10_000), True),
        ("lines", lambda rng, n: rng.randrange(90), True),
        ("humid", lambda rng, n: rng.randrange(40, 60), True),
        ("event_id", lambda rng, n: (4624, 4634)[n % 2], True),
    ],
)
def test_a_number_that_says_which_one_it_was_is_no_part_of_the_message(
    name: str, value: Any, is_said: bool, as_written: Any
) -> None:
    records = requests(**{name: lambda rng, n: as_written(value(rng, n))})
    assert chosen([*records]) == ("message," + name if is_said else "message")


def test_a_fraction_is_a_measure_whatever_it_is_called() -> None:
    records = requests(port_id=lambda rng, n: f"{rng.random():.3f}")
    assert chosen([*records]) == "message,port_id"


def test_a_field_that_the_text_says_already_is_left_out() -> None:
    records = [
        {"trace": "t", "message": f"answered {n % 7} in {n % 13} ms", "code": n % 7, "ms": n % 13}
        for n in range(300)
    ]
    assert chosen(records) == "message"


def test_a_word_that_goes_with_the_text_is_left_out() -> None:
    records = [
        {"trace": "t", "message": f"{verb} of {n % 17} items", "service": verb}
        for n in range(300)
        for verb in ("packing", "sending")
    ]
    assert chosen(records) == "message"


def test_a_word_of_a_field_that_few_messages_have_is_part_of_them() -> None:
    """Wrong before: a route that training never had was no news, as each message had one route."""
    records = [
        {"trace": "t", "message": f"{verb} of {n % 17} items", **fields}
        for n in range(300)
        for verb, fields in (("packing", {}), ("sending", {"route": "/parcels"}), ("rest", {}))
    ]
    assert chosen(records) == "message,route"


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"status": "ok", "service": "scales"}, "status"),
        ({"outcome": "success", "hall": "north"}, "outcome"),
        ({"status": {"code": "STATUS_CODE_UNSET"}, "kind": "server"}, "$.status.code"),
        ({"error": {"type": "none"}, "country": {"code": "DE"}}, "$.error.type"),
    ],
)
def test_a_word_that_says_how_it_went_is_part_of_the_message(
    fields: dict[str, Any], outcome: str
) -> None:
    """Wrong before: all of training has the same one, so it was left out, and errors with it."""
    assert chosen(list(requests(**fields))) == f"message,{outcome}"


@pytest.mark.parametrize(
    "fields",
    [
        # What the customer is, …
        {"status": lambda rng, n: {"name": WORDS[n // 4 % 2]}},
        {"status": lambda rng, n: {"type": WORDS[n // 4 % 20 == 0]}},
        # … and names of things.
        {"result": lambda rng, n: {"name": rng.choice(["anna", "bert", "carl"])}},
        {"result": lambda rng, n: {"value": rng.choice(WORDS)}},
    ],
)
def test_words_behind_an_outcome_that_do_not_say_how_it_went(fields: dict[str, Any]) -> None:
    """Wrong before: they were part of the message, and made several steps of each."""
    assert chosen(list(requests(**fields))) == "message"


@pytest.mark.parametrize("name", ["status", "error"])
def test_a_word_behind_an_outcome_that_is_nearly_always_the_same_one(name: str) -> None:
    records = list(requests(**{name: lambda rng, n: {"type": "none" if n % 19 else "timeout"}}))
    assert chosen(records) == f"message,$.{name}.type"


def test_whole_lines_of_a_log_stay_alone() -> None:
    """Wrong before: a number beside them was put into the message, and hid header and time."""
    records = [
        {
            "trace": "t",
            "log": f"2024-05-01 10:00:{n % 60:02d} INFO [main] a.Pump: {v} {n}",
            "code": n % 7,
        }
        for n in range(300)
        for v in ("started", "stopped")
    ]
    assert chosen(records) == "log"


def test_a_message_of_numbers_alone() -> None:
    """Wrong before: what was to be shown of it ended the fit with an error of Python.

    A number says what it is only by its name, which the comma adds.
    """
    records = [{"trace": f"t{n // 3}", "code": n * 37 % 11} for n in range(300)]
    assert chosen(records) == "code,"


def test_many_names_of_events_are_no_text() -> None:
    rng = Random(1)
    records = [
        {"trace": "t", "event": f"{a}.{b}", "amount": rng.random()}
        for a in ("cart", "order", "stock", "mail", "label", "user", "card", "bill")
        for b in ("asked", "read", "made", "sent", "held", "freed", "kept", "lost")
        for _ in range(12)
    ]
    assert chosen(records) == "event,amount"


def test_an_object_called_event_is_looked_into() -> None:
    """The Elastic Common Schema. Wrong before: the object was the message, and no record had one.

    What says how the record was made is no part of the message.
    """
    records = [
        {
            "conn": {"id": f"c{number // 3}"},
            "event": {"action": action, "module": "fleet", "outcome": outcome},
            "data": {"size": number % 7},
        }
        for number in range(300)
        for action, outcome in (("firmware-offered", "success"), ("chunk-sent", "unknown"))
    ]
    assert chosen(records) == "$.event.action,$.event.outcome,$.data.size"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A shop that says in fields how much was paid, and how it went."""
    path = tmp_path / "shop.jsonl"
    path.write_text("".join(_lines(range(400))), encoding="utf-8")
    return path


def _lines(numbers: range, **wrong: Any) -> Iterator[str]:
    rng = Random(2)
    for number in numbers:
        for step in ("order received", "payment captured", "parcel handed over"):
            row: dict[str, Any] = {
                "time": 1_700_000_000 + 60 * number + rng.random(),
                "trace": f"trace-{number}",
                "message": step,
            }
            if step == "payment captured":
                row |= {"status": 200, "amount": round(rng.uniform(5, 500), 2), **wrong}
            yield json.dumps(row) + "\n"


def test_what_fields_say_is_judged(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    fit = ["fit", "--input", str(log), "--session-key", "trace", "--output", str(bundle)]
    assert main(fit) == 0
    assert "the message is made of message,status,amount" in capsys.readouterr().out
    with (bundle / "hierarchy.csv").open(encoding="utf-8", newline="") as file:
        steps = {(row["entity"], row["action"]) for row in csv.DictReader(file)}
    assert ("payment", "capture") in steps
    for number, wrong in enumerate(({}, {"status": 503}, {"amount": 10**9})):
        path = tmp_path / f"later{number}.jsonl"
        path.write_text("".join(_lines(range(900, 902), **wrong)), encoding="utf-8")
        engine = load_bundle(str(bundle)).engine()
        findings = engine.feed("t", read_events(path), 2 * 10**18) + engine.finish()
        found = [finding for finding in findings if finding.kind in ("sequence", "deviation")]
        assert bool(found) == bool(wrong)


def test_a_bundle_keeps_no_value_of_a_field(log: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    fit = ["fit", "--input", str(log), "--session-key", "trace", "--output", str(bundle)]
    assert main(fit) == 0
    amounts = {str(json.loads(line).get("amount")) for line in log.read_text().splitlines()}
    golden = (bundle / "golden.jsonl").read_text(encoding="utf-8")
    assert "payment captured" in golden
    assert not any(f'"{amount}"' in golden for amount in amounts if amount != "None")


def test_a_field_of_any_name_whose_word_decides_the_others_names_what_happened() -> None:
    """Wrong before: the message began with another field, and most steps were one."""
    fields = {"widened": "radius", "seeded": "quality", "joined": "ping", "loaded": "ms"}
    records = [
        {"trace": f"t{number}", "svc": "match", "evt": word, field: number % 17}
        for number in range(100)
        for word, field in fields.items()
    ]
    assert chosen(records).split(",")[0] == "evt"


def test_a_word_that_all_events_have_alike_is_no_part_of_the_message() -> None:
    """Wrong before: the tenant made a step of its own of each event, so each step was rare."""
    rng = Random(1)
    outcomes = {"oauth2.code.issue": "granted", "mfa.verify": "passed", "login": "passed"}
    records = [
        {
            "trace": f"t{number}",
            "eventType": event,
            "result": rng.choice((outcome, outcome, "granted")),
            "tenant": rng.choice(WORDS),
            "client": {"browser": rng.choice(WORDS), "kind": "web"},
            "size": number % 17,
        }
        for number in range(300)
        for event, outcome in outcomes.items()
    ]
    assert chosen(records) == "eventType,result,size"


def test_all_fields_of_records_that_have_few_each_are_part_of_the_message() -> None:
    """Wrong before: only thirty fields were, however many events the log had."""
    rng = Random(1)
    events = [a + b for a in "abcdef" for b in "abcdefgh"]
    records = [
        {"trace": f"t{number}", "event": event, f"{event}_size": rng.randrange(9_000)}
        for number in range(30)
        for event in events
    ]
    assert len(chosen(records).split(",")) == 1 + len(events)


def test_where_all_records_have_the_same_fields_none_decides() -> None:
    rng = Random(1)
    records = [
        {"trace": f"t{number}", "tone": rng.choice(WORDS), "size": rng.randrange(90)}
        for number in range(300)
    ]
    assert set(chosen(records).split(",")) == {"tone", "size"}


def test_a_text_that_is_always_the_same_does_not_say_what_happened() -> None:
    """Wrong before: the message began with it, and two steps of one service were one step."""
    steps = [
        ("cart", "cart.load"),
        ("cart", "cart.price"),
        ("pay", "pay.hold"),
        ("pay", "pay.take"),
    ]
    records = [
        {
            "trace": f"t{n}",
            "msg": "request handled",
            "service": service,
            "op": op,
            "took_ms": n % 17,
        }
        for n in range(100)
        for service, op in steps
    ]
    assert chosen(records) == "op,msg,service,took_ms"
    # Nothing else says it here.
    sizes = [{"trace": f"t{n // 3}", "msg": "request handled", "size": n % 90} for n in range(300)]
    assert chosen(sizes) == "msg,size"
    assert chosen([{"trace": f"t{n // 3}", "msg": "request handled"} for n in range(300)]) == "msg"
