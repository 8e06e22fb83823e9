"""Records with a time in a field that nobody reads, and event times that go on differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from synthetic import T0, S

from fluent_krone.inputs.own_times import OwnTimes

RECORDS = 500


def told(
    field: Callable[[int], dict[bytes, Any]], arrived_ns: Callable[[int], int], chunk: int = 100
) -> str | None:
    """What is said of records in chunks; they must come out as they went in."""
    own = OwnTimes()
    events = [(arrived_ns(number), field(number)) for number in range(RECORDS)]
    passed = []
    for begin in range(0, RECORDS, chunk):
        passed += own.passing(iter(events[begin : begin + chunk]))
    assert passed == events
    return own.trouble()


def seconds(number: int) -> dict[bytes, Any]:
    """A record for each ten seconds of a log."""
    return {b"msg": b"tick", b"ts": b"%d" % (1_700_000_000 + 10 * number)}


def at_once(number: int) -> int:
    """A file that is read quickly."""
    return T0 + number


@pytest.mark.parametrize("chunk", [1, 100])
def test_a_log_that_is_read_quickly_has_other_times(chunk: int) -> None:
    trouble = told(seconds, at_once, chunk)
    assert trouble is not None
    assert trouble.startswith("records have a time in their field 'ts', but their event times")
    assert "set time_field ts" in trouble


@pytest.mark.parametrize("name", [b"time", b"@timestamp", b"timestamp"])
def test_the_field_may_have_any_usual_name_and_form(name: bytes) -> None:
    trouble = told(lambda n: {name: b"2026-09-21T%02d:30:00.5Z" % (n // 25)}, at_once)
    assert trouble is not None and f"time_field {name.decode()}" in trouble


@pytest.mark.parametrize("chunk", [1, 100])
@pytest.mark.parametrize(
    ("field", "arrived_ns"),
    [
        # Read when they are written, by a clock that is an hour off, and with some delay.
        (seconds, lambda n: (1_700_003_600 + 10 * n + n % 30) * S),
        # No such field, one that is no time, one that only some have, and one of another sort.
        (lambda n: {b"msg": b"tick"}, at_once),
        (lambda n: {b"ts": b"tick %d" % n}, at_once),
        (lambda n: seconds(n) if n % 3 else {b"msg": b"tick"}, at_once),
        (lambda n: {b"ts": {b"s": b"1700000000"}}, at_once),
        # Seconds since the start of the machine.
        (lambda n: {b"ts": b"%d.5" % (5_000 + 10 * n)}, at_once),
        # When the program was started, or an order is due: not when the record was written.
        (lambda n: {b"time": b"2026-09-21T14:00:00Z"}, lambda n: T0 + 10 * n * S),
        (lambda n: {b"time": b"%d" % (1_700_000_000 + n * 61_803 % 100_000)}, at_once),
        # Some were held back for hours.
        (lambda n: seconds(n if n % 10 else n - 900), lambda n: (1_700_000_000 + 10 * n) * S),
    ],
)
def test_other_records_are_nobodys_business(
    field: Callable[[int], dict[bytes, Any]], arrived_ns: Callable[[int], int], chunk: int
) -> None:
    assert told(field, arrived_ns, chunk) is None


def test_hosts_that_take_turns_may_have_clocks_that_differ() -> None:
    of_two_hosts = told(
        lambda n: seconds(n + n // 20 % 2 * 360), lambda n: (1_700_000_000 + 10 * n) * S, chunk=20
    )
    assert of_two_hosts is None


def test_a_stream_that_was_put_right_is_not_held_to_its_past() -> None:
    own = OwnTimes()
    for number in range(RECORDS):
        list(own.passing(iter([(at_once(number), seconds(number))])))
    assert own.trouble()
    own.begin()
    assert own.trouble() is None
