"""What stands around records: elements of XML, brackets of CMTrace, words before a table, and lines
that part records.

Was wrong: each line of an XML layout was a record without a time, a level and a message; so was
each record of CMTrace. A table behind words was text, and in ausearch's output no line had a time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from export.first_pass import timed
from export.source import settle
from export.stages import Options
from fluent_krone.errors import RecordError
from fluent_krone.inputs import read_events
from fluent_krone.inputs.files import UNREADABLE
from fluent_krone.inputs.windows import event_in
from fluent_krone.reading.levels import levels_of
from fluent_krone.reading.records import RecordReader

INFO, ERROR = 3, 6
T0_NS = 1_728_997_200_123_000_000
LEVELS = ("INFO", "ERROR")


def read(path: Path, content: str) -> list[tuple[int | None, str, int]]:
    """Time, text and rank of the level of each event, with the settings that are found."""
    path.write_text(content)
    settings = settle(Options(input=path, session_key=("tag",)), print, print)
    reader = RecordReader(settings)
    levels = levels_of(reader)
    found = []
    for time_ns, record in timed(read_events(path), reader):
        try:
            text, _ = reader.read(b"", record)
        except RecordError as error:
            assert error.reason == "continuation"
            continue
        found.append((time_ns, text.decode(), levels.rank(record)))
    return found


ELEMENTS = {
    "log4j, without a root and with a prefix that is not declared": (
        '<log4j:event logger="com.acme.Shop" timestamp="{ms}" level="{level}" thread="main">\n'
        "<log4j:message><![CDATA[order {n} <paid>]]></log4j:message>\n"
        '<log4j:properties>\n<log4j:data name="tenant" value="a"/>\n</log4j:properties>\n'
        "</log4j:event>\n\n"
    ),
    "log4j 2, within a root that is not closed": (
        '<Event xmlns="http://logging.apache.org/log4j/2.0/events" timeMillis="{ms}" '
        'level="{level}" loggerName="com.acme.Shop">'
        '<Instant epochSecond="{s}" nanoOfSecond="123000000"/>'
        "<Message>order {n} &lt;paid&gt;</Message></Event>\n"
    ),
    "java.util.logging": (
        "<record>\n  <date>{iso}</date>\n  <millis>{ms}</millis>\n"
        "  <logger>com.acme.Shop</logger>\n"
        "  <level>{level}</level>\n  <message>order {n} &lt;paid&gt;</message>\n</record>\n"
    ),
    "a text of its own": '<msg time="{iso}" level="{level}">\norder {n} &lt;paid&gt;\n</msg>\n',
}


def unreadable(path: Path) -> list[str]:
    """What an export shows of a file's records that cannot be read."""
    shown = (record.get(UNREADABLE.encode()) for _, record in read_events(path))
    return [text.decode() for text in shown if text is not None]


def values(n: int) -> dict[str, Any]:
    seconds = T0_NS // 10**9 + n
    iso = f"2024-10-15T13:00:{n:02d}.123Z"
    return {"n": n, "ms": f"{seconds}123", "s": seconds, "iso": iso, "level": LEVELS[n % 2]}


@pytest.mark.parametrize("form", ELEMENTS)
def test_elements_of_xml_are_records(form: str, tmp_path: Path) -> None:
    opened = '<?xml version="1.0"?>\n<!DOCTYPE log SYSTEM "logger.dtd">\n<log>\n'
    content = opened + "".join(ELEMENTS[form].format(**values(n)) for n in range(30))
    events = read(tmp_path / "a.xml", content)
    expected = [(T0_NS + n * 10**9, f"order {n} <paid>", (INFO, ERROR)[n % 2]) for n in range(30)]
    assert [(time_ns, text.rpartition(": ")[2], rank) for time_ns, text, rank in events] == expected


def test_an_element_that_is_cut_off_costs_one_record(tmp_path: Path) -> None:
    form = ELEMENTS["java.util.logging"]
    rows = [form.format(**values(n)) for n in range(5)]
    rows[2] = rows[2].partition("<message>")[0] + "\n"
    path = tmp_path / "a.xml"
    path.write_text("".join(rows))
    records = [record for _, record in read_events(path)]
    assert [place for place, record in enumerate(records) if b"message" not in record] == [2]
    assert len(records) == 5
    assert unreadable(path) == [rows[2].rstrip("\n")]


@pytest.mark.parametrize("form", ["<{tag}> order {n} paid", "<b>{tag}</b> order {n} paid"])
def test_a_word_in_angles_is_no_element(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(form.format(tag=("info", "warn")[n % 2], n=n) + "\n" for n in range(9)))
    assert [list(record) for _, record in read_events(path)] == [[b"message"]] * 9


@pytest.mark.parametrize("zone", ["-120", "+-120"])
def test_cmtrace(zone: str, tmp_path: Path) -> None:
    content = "".join(
        f'<![LOG[Program {n} started]LOG]!><time="15:00:{n:02d}.123{zone}" date="10-15-2024" '
        f'component="CcmExec" context="" type="{(1, 3)[n % 2]}" thread="77" file="a.cpp:{n}">\n'
        for n in range(30)
    )
    for n, (time_ns, text, rank) in enumerate(read(tmp_path / "ccm.log", content)):
        assert (time_ns, rank) == (T0_NS + n * 10**9, (INFO, ERROR)[n % 2])
        assert text == f"CcmExec: Program {n} started"


def test_a_message_of_cmtrace_may_have_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "ccm.log"
    path.write_text(
        '<![LOG[first\r\nsecond]LOG]!><time="15:00:00.123-120" date="10-15-2024" type="1">\n' * 3
    )
    assert [record[b"message"] for _, record in read_events(path)] == [b"first\r\nsecond"] * 3


def test_a_message_of_cmtrace_without_an_end_costs_no_other_one(tmp_path: Path) -> None:
    whole = '<![LOG[{}]LOG]!><time="15:00:00.123-120" date="10-15-2024" type="1">'
    lines = [whole.format("a"), "<![LOG[cut", "off", whole.format("b") + whole.format("c")]
    path = tmp_path / "ccm.log"
    path.write_text("\n".join(lines) + "\n")
    messages = [record.get(b"message") for _, record in read_events(path)]
    assert messages == [b"a", None, b"b", b"c"]
    assert unreadable(path) == ["<![LOG[cut\noff"]


def test_an_element_of_any_depth_is_one_record(tmp_path: Path) -> None:
    whole = "<event><message>done</message></event>\n"
    deep = f"<event>{'<a>' * 5_000}{'</a>' * 5_000}</event>\n"
    path = tmp_path / "events.log"
    path.write_text(whole * 3 + deep + whole)
    records = [record for _, record in read_events(path)]
    assert [record.get(b"message") for record in records] == [b"done"] * 3 + [None, b"done"]
    assert unreadable(path) == [deep[:1_000]]


def test_an_element_with_a_byte_that_is_no_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    path.write_bytes(b"<event><user>M\xfcller</user></event>\n" * 3)
    assert [record for _, record in read_events(path)] == [{b"user": b"M?ller"}] * 3


def test_an_event_of_windows_with_a_byte_that_is_no_utf_8_is_read() -> None:
    found = event_in("<Event><System><Computer>M\udcfcller</Computer></System></Event>")
    assert found == {"Computer": "M?ller"}


def test_an_element_over_many_lines_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "events.log"
    attributes = "".join(f'  a{n}="{n}"\n' for n in range(50))
    path.write_text(f"<event\n{attributes}/>\n" * 3)
    records = [record for _, record in read_events(path)]
    assert [len(record) for record in records] == [50] * 3


def test_words_may_stand_before_a_table(tmp_path: Path) -> None:
    words = (
        "\t\tMicrosoft DHCP Service Activity Log\n\n\nEvent ID  Meaning\n00\tThe log was started.\n"
        "10\tA new IP address was leased to a client.\n\n"
        "QResult: 0: NoQuarantine, 1:Quarantine, 2:Drop Packet, 3:Probation\n\n"
    )
    names = "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID\n"
    rows = "".join(
        f"{10 + n % 2},10/15/24,13:00:{n:02d},{('Assign', 'Renew')[n % 2]},10.0.0.{n},pc,00,,{n}\n"
        for n in range(30)
    )
    path = tmp_path / "DhcpSrvLog-Tue.log"
    path.write_text(words + names + rows)
    events = list(read_events(path))
    assert [record[b"Description"] for _, record in events] == [b"Assign", b"Renew"] * 15
    assert [time_ns for time_ns, _ in events] == [(T0_NS // 10**9 + n) * 10**9 for n in range(30)]


def test_lines_that_part_records_are_none(tmp_path: Path) -> None:
    content = "".join(
        f"----\ntime->Tue Oct 15 13:00:{n:02d} 2024\n"
        f"type=PROCTITLE msg=audit({1728997200 + n}.123:{n}): proctitle=ls\n"
        f"type=SYSCALL msg=audit({1728997200 + n}.123:{n}): arch=c000003e success=yes\n"
        for n in range(20)
    )
    events = read(tmp_path / "found.log", content)
    assert [time_ns for time_ns, _, _ in events] == [T0_NS + n // 2 * 10**9 for n in range(40)]
    assert events[1][1] == "SYSCALL: arch=c000003e success=yes"


# A request of OpenTelemetry with one log.
OTLP = (
    '{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1728997200000000000", '
    '"body": {"stringValue": "a"}}]}]}]}\n'
)


@pytest.mark.parametrize(
    ("rows", "damaged"),
    [
        (['{\n "message": "a"\n}\n', '{\n "message": \n}\n'], '{\n "message": \n}'),
        (['{ "message":\n "a" }\n', '{ "message":\n }\n'], '{ "message":\n }'),
        (["{'message': 'a'}\n", "{'message': \n"], "{'message':"),
        ([OTLP, '{"resourceLogs": [{"scopeLogs": 7}]}\n'], '{"resourceLogs": [{"scopeLogs": 7}]}'),
    ],
    ids=["map over lines", "JSON over lines", "map on a line", "OpenTelemetry"],
)
def test_a_damaged_object_is_shown(rows: list[str], damaged: str, tmp_path: Path) -> None:
    whole, broken = rows
    path = tmp_path / "a.log"
    path.write_text(whole * 3 + broken + whole)
    assert [record.get(b"message") for _, record in read_events(path)] == [b"a"] * 3 + [None, b"a"]
    assert [text.rstrip() for text in unreadable(path)] == [damaged]


RECORD = '{{"level": "{level}", "logger": "acme.Shop", "message": "{text}"}}'
TIMED = '{{"ts": {ms}, "level": "{level}", "logger": "acme.Shop", "message": "{text}"}}'


@pytest.mark.parametrize(
    "form",
    [
        # Fluentd's out_file with `output_tag false`, and with `output_time false`
        "{iso}\t" + RECORD,
        "shop.orders\t" + TIMED,
        # Heroku
        "{iso} app[web.1]: " + RECORD,
        "{iso} {upper} " + RECORD,
        "{iso}|shop.orders|" + RECORD,
        "[{iso}] [{upper}] [main] " + RECORD,
        "{iso} app[web.1]: " + TIMED,
        "{day} {clock} {upper} " + RECORD,
    ],
)
def test_records_in_json_behind_any_header(form: str, tmp_path: Path) -> None:
    """Was wrong: the record was the message as it stands, so that its level was lost, and its time
    and its logger where only the record has them."""
    times = [T0_NS // 10**6 + 1000 * n for n in range(60)]
    moments = [datetime.fromtimestamp(ms / 1000, UTC) for ms in times]
    texts = [("order {} paid", "cannot open valve {}")[n % 2].format(n) for n in range(60)]
    path = tmp_path / "a.log"
    found = read(
        path,
        "".join(
            form.format(
                iso=f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z",
                day=f"{moment:%d/%m/%Y}",
                clock=f"{moment:%H:%M:%S}.{ms % 1000:03d}",
                upper=LEVELS[n % 2],
                level=LEVELS[n % 2].lower(),
                text=texts[n],
                ms=ms,
            )
            + "\n"
            for n, (ms, moment) in enumerate(zip(times, moments, strict=True))
        ),
    )
    assert [time_ns for time_ns, _, _ in found] == [ms * 10**6 for ms in times]
    assert [text for _, text, _ in found] == [f"acme.Shop: {text}" for text in texts]
    assert [rank for _, _, rank in found] == [(INFO, ERROR)[n % 2] for n in range(60)]


def test_text_behind_the_same_header_is_read_as_before(tmp_path: Path) -> None:
    lines = [
        f"2024-10-15T13:00:{n:02d}.123Z app[web.1]: "
        + ("started" if n % 2 else RECORD.format(level="info", text=f"order {n} paid"))
        for n in range(60)
    ]
    found = read(tmp_path / "a.log", "".join(f"{line}\n" for line in lines))
    assert [text for _, text, _ in found[:2]] == ["acme.Shop: order 0 paid", "app: started"]


@pytest.mark.parametrize("record", ['{"port": 80}', '{"a": [1, 2]}'])
def test_data_behind_a_header_is_the_message(record: str, tmp_path: Path) -> None:
    found = read(tmp_path / "a.log", f"2024-10-15T13:00:00.123Z INFO {record}\n" * 60)
    assert found[0][1] == record


@pytest.mark.parametrize("key", ['/"req": ?"([^"]+)"/', '/"req": ?"(?<key>[^"]+)"/'])
def test_a_key_that_is_looked_for_in_the_json_is_found_there(key: str, tmp_path: Path) -> None:
    """Was an error: the record was read, and no record had the session key."""
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            f"2024-10-15T13:{n // 60:02d}:{n % 60:02d}.123Z INFO "
            + json.dumps({"level": "info", "logger": "a.B", "message": "paid", "req": f"q{n // 4}"})
            + "\n"
            for n in range(200)
        )
    )
    reader = RecordReader(settle(Options(input=(path,), session_key=(key,)), print, print))
    keys = [reader.read(b"", record)[1] for _, record in read_events(path)]
    assert keys == [[(f"q{n // 4}".encode(),)] for n in range(200)]
