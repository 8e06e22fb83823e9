"""Records that go over several lines.

Was wrong: a head has time and logger, and the message stands below it, but each line was read as a
record. So messages had no time and no logger, or all of them were set aside.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.inputs.over_lines import joined
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.times import parse_time

KEY = ("/job-[0-9]+/",)
# 2024-10-15 13:00:00 UTC
T0_NS = 1_728_997_200 * 10**9
WORDS = ("queued", "started", "printed", "cut", "packed", "sent")
# Name → record number n with text {text}, and the component and the level that are read.
FORMS = {
    "java.util.logging": (
        "Oct 15, 2024 1:00:{n} PM com.shop.Press run\nINFO: {text}\n", "com.shop.Press", "INFO",
    ),
    ".NET": ("2024-10-15T13:00:{n}Z info: Shop.Press[0]\n      {text}\n", "Shop.Press", "info"),
    "Samba": ("[2024/10/15 13:00:{n}.00,  3] ../lib/press.c:11(run)\n  {text}\n", "press", None),
    "Oracle": ("2024-10-15T13:00:{n}.000000+00:00\n{text}\n", None, None),
    "Oracle, older": ("Tue Oct 15 13:00:{n} 2024\n{text}\n", None, None),
    "SASL": ("=ERROR REPORT==== 15-Oct-2024::13:00:{n} ===\n{text}\n\n", None, "ERROR"),
    "SASL, indented": ("=INFO REPORT==== 15-Oct-2024::13:00:{n} ===\n  {text}\n", None, "INFO"),
    "DB2": (
        "2024-10-15-13.00.{n}.000000+000 I4711E567   LEVEL: Warning\nPID : 1   TID : 2\n"
        "{text}\n\n", None, "Warning",
    ),
}  # fmt: skip


def text_of(number: int) -> str:
    return f"{WORDS[number % len(WORDS)]} job-{number // len(WORDS)}"


def log_of(form: str, count: int = 48) -> str:
    return "".join(form.format(n=f"{n:02d}", text=text_of(n)) for n in range(count))


def settled(path: Path) -> tuple[InputSettings, list[str]]:
    said: list[str] = []
    options = Options(input=path, session_key=KEY)
    return settle(options, said.append, said.append), said


@pytest.mark.parametrize("name", FORMS)
def test_head_and_message_are_one_record(name: str, tmp_path: Path) -> None:
    form, component, level = FORMS[name]
    path = tmp_path / "press.log"
    path.write_text(log_of(form))
    settings, _ = settled(path)
    reader = RecordReader(settings)
    records = [record for _, record in read_events(path)]
    assert len(records) == 48
    for number, record in enumerate(records):
        fields = reader.fields(record)
        assert fields[b"message"].decode().endswith(text_of(number))
        assert reader.read(b"", record)[1] == [(f"job-{number // 6}".encode(),)]
        assert reader.time(record) == T0_NS + number * 10**9
        if component is not None:
            assert fields[b"component"].decode() == component
        if level is not None:
            assert fields[b"level"].decode() == level


def test_further_lines_stay_with_their_record(tmp_path: Path) -> None:
    form = FORMS["java.util.logging"][0]
    trace = "java.io.IOException: no paper\n\tat com.shop.Press.run(Press.java:7)"
    path = tmp_path / "press.log"
    path.write_text(log_of(form) + form.format(n=48, text=f"failed job-9\n{trace}"))
    *_, (_, last) = read_events(path)
    assert last[b"message"].decode().endswith(f"INFO: failed job-9\n{trace}")


def test_a_file_that_begins_in_the_middle_of_a_record(tmp_path: Path) -> None:
    """As one that was rotated does."""
    path = tmp_path / "press.log.1"
    path.write_text("INFO: sent job-7\n" + log_of(FORMS["java.util.logging"][0]))
    (_, first), *others = read_events(path)
    assert first[b"message"] == b"INFO: sent job-7"
    assert [b"\nINFO: " in record[b"message"] for _, record in others] == [True] * 48


def test_a_file_that_goes_on_in_another_form_loses_no_lines(tmp_path: Path) -> None:
    """Was silent: all lines behind the last head were one record, and were left out beyond a MB."""
    later = [f"step {number} of job-{number // 9} is done" for number in range(9000)]
    path = tmp_path / "press.log"
    path.write_text(log_of(FORMS["java.util.logging"][0]) + "\n".join(later))
    messages = [record[b"message"].decode() for _, record in read_events(path)]
    assert [line for message in messages for line in message.splitlines()][-9000:] == later
    assert len(messages) > 6000


def test_empty_lines_without_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = log_of(FORMS["java.util.logging"][0]).splitlines() + [""] * 200_000
    rows = ({"message": line} for line in lines)
    sample = [{"message": line} for line in lines[:200]]
    longest = max(len(row["message"]) for row in joined(rows, sample, tmp_path))
    assert longest < 100
    assert sum(1 for _ in joined(({"message": line} for line in lines), sample, tmp_path)) > 100_000


@pytest.mark.parametrize("indent", ["", "  "])
def test_lines_below_the_date_of_a_job_are_its_steps(indent: str, tmp_path: Path) -> None:
    """Was wrong: a run was one record, so that nothing was known of its steps."""
    below = "".join(f"{indent}{word} {{text}}\n" for word in WORDS[:4])
    log = log_of("Tue Oct 15 13:00:{n} 2024\n" + below)
    path = tmp_path / "press.log"
    path.write_text(log)
    assert [record[b"message"].decode() for _, record in read_events(path)] == log.splitlines()


def test_lines_in_the_records_of_a_container(tmp_path: Path) -> None:
    lines = [line for n in range(9) for line in ("info: Shop.Press[0]", f"      {text_of(n)}")]
    path = tmp_path / "press-json.log"
    rows: list[dict[str, Any]] = [
        {"log": f"{line}\n", "stream": "stdout", "time": f"2024-10-15T13:00:{n:02d}Z"}
        for n, line in enumerate(lines)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    events = list(read_events(path))
    assert [record[b"log"] for _, record in events] == [
        f"info: Shop.Press[0]\n      {text_of(n)}".encode() for n in range(9)
    ]
    assert events[1][0] == parse_time("2024-10-15T13:00:02Z")


def test_the_stream_has_to_join_them_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "press.log"
    path.write_text(log_of(FORMS[".NET"][0]))
    with caplog.at_level("INFO"):
        list(read_events(path))
    assert "records go over several lines" in caplog.text
    assert "multiline" in caplog.text


@pytest.mark.parametrize(
    "record",
    [
        "2024-10-15T13:00:{n}Z INFO Press: {text}\n",
        # a trace below some records
        "2024-10-15T13:00:{n}Z ERROR Press: {text}\n\tat press.run(P.java:1)\n"
        "2024-10-15T13:00:{n}Z INFO Press: stopped\n",
        # a trace below each of them
        "2024-10-15T13:00:{n}Z ERROR Press: {text}\n\tat press.run(P.java:1)\n",
        # an execution is a paragraph
        'Started GET "/jobs/{n}" for 10.0.0.1 at 2024-10-15 13:00:{n} +0000\n  Job Load\n'
        "Completed {text}\n\n",
    ],
    ids=["lines", "some traces", "traces", "paragraphs"],
)
def test_a_line_is_a_record_elsewhere(record: str, tmp_path: Path) -> None:
    path = tmp_path / "press.log"
    log = log_of(record)
    path.write_text(log)
    assert [record[b"message"].decode() for _, record in read_events(path)] == log.splitlines()


def test_a_header_over_two_lines_in_a_live_record() -> None:
    """As a multiline parser hands it on; the message keeps its own line ends."""
    reader = RecordReader(
        InputSettings(
            session_key=KEY,
            line_format=r"(?<time>\S+) (?<component>\S+) (?<level>\w+): (?<message>(?s:.*))",
            component_field="component",
        )
    )
    record = {b"message": b"2024-10-15T13:00:00Z Press\nINFO: failed job-7\nno paper"}
    assert reader.read(b"", record) == (b"Press: failed job-7\nno paper", [(b"job-7",)])


@pytest.mark.parametrize("value", ["now", "after lunch", 17, 1767225600, "2026-01-01T00:00:00Z"])
def test_a_body_with_a_word_about_time_belongs_to_its_line(value: object, tmp_path: Path) -> None:
    """Was wrong: the body of a request was a record without a time."""
    body = json.dumps({"message": "hello", "sent_time": value})
    path = tmp_path / "press.log"
    heads = [f"2024-10-15 13:00:{n:02d} INFO job-{n} body:" for n in range(40)]
    path.write_text("".join(f"{head}\n{body}\n" for head in heads))
    records = [record for _, record in read_events(path)]
    assert [record[b"message"].decode() for record in records] == [f"{h}\n{body}" for h in heads]
