"""Lines of JSON are read as a logger of text would have written them."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from fluent_krone.reading.json_lines import read_json_line


def read(**record: Any) -> dict[str, Any]:
    found = read_json_line(json.dumps(record).encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("record", "component", "message"),
    [
        # zap
        (
            {
                "level": "info",
                "ts": 1.5,
                "logger": "pay",
                "caller": "a.go:7",
                "msg": "paid",
                "n": 5,
            },
            "pay",
            "paid n=5",
        ),
        # pino
        (
            {"level": 30, "time": 1, "pid": 1, "hostname": "h", "name": "web", "msg": "up"},
            "web",
            "up",
        ),
        # the logger's name in any spelling; the usual ones come before the others
        ({"msg": "paid", "SUBSYSTEM": "pay", "n": 5}, "pay", "paid n=5"),
        ({"msg": "paid", "SUBSYSTEM": "b", "Logger-Name": "pay"}, "pay", "paid SUBSYSTEM=b"),
        ({"msg": "paid", "LOGGER": "a", "logger": "pay"}, "pay", "paid LOGGER=a"),
        ({"msg": "paid", "module": "pay", "SourceContext": "s"}, "pay", "paid SourceContext=s"),
        ({"msg": "paid", "module": "pay", "Logger": "a"}, "pay", "paid Logger=a"),
        ({"msg": "paid", "logger": None, "Logger": "pay"}, "pay", "paid"),
        # who provides something is no logger
        ({"msg": "paid", "provider_name": "visa"}, None, "paid provider_name=visa"),
        # a name is no logger where nothing speaks for it
        ({"name": "Ann", "msg": "signed in"}, None, "signed in name=Ann"),
        # nested fields, texts with blanks, truths; lists are left out
        (
            {
                "msg": "sent",
                "http": {"status": 200, "ok": True},
                "to": "a b",
                "ids": [1],
                "no": None,
            },
            None,
            'sent http.status=200 http.ok=true to="a b"',
        ),
        # a stack, whatever its name
        ({"msg": "failed", "err": "E: x\n at a.b"}, None, "failed"),
        # any usual name of a level or a time is no part of the message
        ({"Severity": "Error", "msg": "paid"}, None, "paid"),
        ({"severityText": "WARN", "PRIORITY": 4, "sev": 4, "msg": "paid"}, None, "paid"),
        ({"MESSAGE": "up", "PRIORITY": "6"}, None, "up"),
        # without a text
        ({"ts": 1, "method": "GET", "status": 200}, None, "method=GET status=200"),
    ],
)
def test_the_message_has_the_fields_that_are_no_header(
    record: dict[str, Any], component: str | None, message: str
) -> None:
    found = read(**record)
    assert found["message"] == message
    assert found.get("component") == component


def test_its_own_fields_stay() -> None:
    found = read(ts=7, msg="paid", trace_id="4bf9")
    assert (found["time"], found["ts"], found["trace_id"]) == (7, 7, "4bf9")


def test_of_two_times_that_of_the_surest_name_counts() -> None:
    found = read(date="2024-10-15 01:00:00", eventTime="2024-10-15 02:00:00", msg="paid")
    assert found["time"] == "2024-10-15 01:00:00"
    assert read(**{"@t": "2024", "t": "17"}, msg="paid")["time"] == "17"


def test_long_names_are_not_kept() -> None:
    """Was wrong: the names of 1,024 lines were kept, 400 MB where each has 200 kB."""
    tracemalloc.start()
    try:
        for n in range(40):
            read_json_line(json.dumps({"msg": "paid", f"{n}{'x' * 100_000}": 1}).encode())
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_time_in_milliseconds_is_told_from_a_duration() -> None:
    assert read(timeMillis=1_729_000_000_000, msg="paid")["time"] == 1_729_000_000_000
    found = read(t="2024-10-15T13:00:00Z", timeMillis=80, msg="paid")
    assert (found["time"], found["message"]) == ("2024-10-15T13:00:00Z", "paid timeMillis=80")
    assert "time" not in read(timeMillis=80, msg="paid")


@pytest.mark.parametrize("line", [b"[1]", b"{", b'{"a":1} x', b"7", b"\xff"])
def test_what_is_no_record_is_none(line: bytes) -> None:
    assert read_json_line(line) is None


def test_an_object_that_is_nested_too_deep_is_none() -> None:
    assert read_json_line(b'{"a":' * 100_000 + b"1" + b"}" * 100_000) is None
