"""Logs of processes: tables and records that name their steps in a field of any name.

Was wrong: a table whose columns have colons in their names (XES) or whose first column has none was
read as lines of text; where each execution stands behind the one before, its time leapt back; a
field such as `EventName` or `Step` was not found, so that the amount beside it was the message; and
twenty fields that are true or false made a template of each of their combinations.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from export.message_fields import message_field
from export.pauses import Pauses
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.inputs.file_order import is_jumbled
from fluent_krone.reading.values import as_fields

STEPS = ("Create Order", "Check Credit", "Approve", "Ship Goods", "Send Invoice", "Close")
DAY_NS = 86_400 * 10**9


def cases(number: int = 60) -> list[dict[str, Any]]:
    """The steps of cases, one case behind the other, each of which goes on for days."""
    random = Random(7)
    rows = []
    for case in range(number):
        at = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(hours=5 * case)
        for step in STEPS:
            at += timedelta(hours=random.randint(1, 40))
            rows.append({"case": f"case-{case}", "what": step, "at": at.isoformat(sep=" ")})
    return rows


def write_table(path: Path, names: tuple[str, str, str], *, numbered: bool = False) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([""] * numbered + list(names))
        for n, row in enumerate(cases()):
            table.writerow([n] * numbered + list(row.values()))


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        ("case:concept:name", "concept:name", "time:timestamp"),
        ("Case ID", "Activity", "Complete Timestamp"),
        ("CaseID", "ActivityID", "CompleteTimestamp"),
    ],
)
def test_a_table_of_a_process_is_read_in_the_order_of_its_times(
    names: tuple[str, str, str], numbered: bool, tmp_path: Path
) -> None:
    write_table(tmp_path / "a.csv", names, numbered=numbered)
    events = list(read_events(tmp_path / "a.csv"))
    case, step, _ = (name.encode() for name in names)
    times = [time_ns for time_ns, _ in events]
    assert times == sorted(datetime.fromisoformat(row["at"]).timestamp() * 10**9 for row in cases())
    for n in range(60):
        steps = [record[step].decode() for _, record in events if record[case] == b"case-%d" % n]
        assert steps == list(STEPS)
    options = Options(input=str(tmp_path / "a.csv"), session_key=(names[0],))
    sample = [record for _, record in events]
    found = message_field(options, sample, sample, lambda text: None).field
    assert found == names[1]


def test_that_a_file_is_sorted_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    write_table(tmp_path / "a.csv", ("case", "activity", "time"))
    list(read_events(tmp_path / "a.csv"))
    assert "sorted by their times" in caplog.text


def test_two_hosts_of_which_one_clock_is_wrong_stay_as_they_are(tmp_path: Path) -> None:
    lines = []
    for n in range(60):
        at = datetime(2024, 3, 1, 9, tzinfo=UTC) + timedelta(seconds=n, hours=2 * (n % 2))
        lines.append(json.dumps({"time": at.isoformat(), "message": f"step {n}"}))
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    read = [record[b"message"] for _, record in read_events(tmp_path / "a.log")]
    assert read == [b"step %d" % n for n in range(60)]


def test_four_hosts_in_four_zones_stay_as_they_are() -> None:
    """Was wrong: the steps back between them were of six sizes, so the file was sorted."""
    random = Random(7)
    hours = [random.choice((-7, 0, 2, 5.5)) for _ in range(200)]
    hour_ns = 3600 * 10**9
    assert not is_jumbled([n * 10**9 + int(behind * hour_ns) for n, behind in enumerate(hours)])
    # Dates without a clock step back by few sizes, too, but by days.
    days = [case // 3 + step * 9 * (case % 7) for case in range(100) for step in range(2)]
    assert is_jumbled([day * DAY_NS for day in days])


def test_devices_that_send_late_leave_the_file_as_it_is(tmp_path: Path) -> None:
    """The live stream has the records in the same order."""
    random = Random(7)
    lines = []
    for n in range(1_000):
        at = datetime(2024, 3, 1, 9, tzinfo=UTC) + timedelta(minutes=n)
        if random.random() < 0.05:
            at -= timedelta(hours=random.uniform(1, 30))
        lines.append(json.dumps({"time": at.isoformat(), "message": f"step {n}"}))
    (tmp_path / "a.log").write_text("\n".join(lines) + "\n")
    read = [record[b"message"] for _, record in read_events(tmp_path / "a.log")]
    assert read == [b"step %d" % n for n in range(1_000)]


def records(name: str, further: Callable[[int, str], dict[str, Any]]) -> list[dict[bytes, Any]]:
    """Steps with their session; what stands beside them depends on the session and the step."""
    rows = [
        {"case": row["case"], name: row["what"], **further(n // len(STEPS), row["what"])}
        for n, row in enumerate(cases())
    ]
    return [as_fields(row) for row in rows]


def message_of(sample: list[dict[bytes, Any]], session_key: str = "case") -> list[str]:
    options = Options(input="a.log", session_key=(session_key,))
    return message_field(options, sample, sample, lambda text: None).field.split(",")


def with_amount(session: int, step: str) -> dict[str, Any]:
    return {"amount": session * 7 % 100 + 0.5} if step in STEPS[1:3] else {}


@pytest.mark.parametrize(
    "name", ["Activity", "EventName", "Event Type", "Operation", "Step", "task", "lo_que_pasa"]
)
def test_the_name_of_a_step_is_the_message_whatever_its_field_is_called(name: str) -> None:
    assert message_of(records(name, with_amount)) == [name, "amount"]


def test_data_about_a_record_name_no_step() -> None:
    """Was wrong: `_type` was taken for `type`."""

    def further(session: int, step: str) -> dict[str, Any]:
        return {"_type": "_doc", "@type": "type.acme.com/Step"}

    assert message_of(records("verb", further)) == ["verb"]


def test_odd_names_and_numbers_are_read() -> None:
    """Were wrong: each of them ended the export with a traceback."""
    sample = records("verb", lambda session, step: {"size": 10**400 if session == 3 else session})
    for record in sample:
        record[b"ev\xffent"] = b"x"
    assert message_of(sample)[0] == "verb"


def test_a_word_that_a_session_has_only_one_of_is_no_step() -> None:
    def further(session: int, step: str) -> dict[str, Any]:
        return {"tier": ("gold", "silver")[session % 2], "queue": ("a", "b")[session // 2 % 2]}

    assert message_of(records("what", further)) == ["what"]


def test_an_empty_field_is_none() -> None:
    def further(session: int, step: str) -> dict[str, Any]:
        return {"amount": str(session * 7 % 100) if step in STEPS[1:3] else ""}

    assert message_of(records("Activity", further)) == ["Activity", "amount"]


def test_many_fields_that_are_true_or_false_leave_each_message_usual() -> None:
    random = Random(7)
    names = [f"is_{letter}" for letter in "abcdefghijklmnopqrst"]

    def further(session: int, step: str) -> dict[str, Any]:
        if step != STEPS[0]:
            return {}
        return {name: random.random() < 0.5 for name in names}

    first, *flags = message_of(records("Activity", further))
    assert first == "Activity"
    assert 1 <= len(flags) <= 3
    assert set(flags) <= set(names)


def test_where_a_case_rests_for_months_the_timeout_is_longer() -> None:
    pauses = Pauses()
    for case in range(200):
        for step in range(4):
            pauses.note((b"%d" % case,), case * DAY_NS + step * (50 + case % 7) * DAY_NS)
    found = pauses.suggest()
    assert found is not None
    assert 56 * 86_400 < found[0] <= 730 * 86_400


def test_a_word_of_some_sessions_says_nothing_of_the_steps_beside_a_text() -> None:
    def further(session: int, step: str) -> dict[str, Any]:
        group = {"group": ("north", "south")[session // 2 % 2]} if session % 2 else {}
        return {**group, "result": ("ok", "late")[session % 3 % 2]} if step == STEPS[-1] else group

    assert message_of(records("Activity", further)) == ["Activity", "result"]


def test_a_word_that_is_nearly_always_the_same_belongs_to_the_step() -> None:
    random = Random(7)

    def further(session: int, step: str) -> dict[str, Any]:
        zustand = "kaputt" if random.random() < 0.04 else "gut"
        return {"tier": ("gold", "silver")[session % 2], "zustand": zustand}

    assert message_of(records("was", further)) == ["was", "zustand"]


def test_a_field_of_the_host_is_no_part_of_the_message_where_its_name_has_a_point() -> None:
    def further(session: int, step: str) -> dict[str, Any]:
        return {"host.name": Random(session + len(step)).choice(("a", "b")), "event.duration": 7.5}

    assert message_of(records("event.action", further)) == ["event.action", "event.duration"]
