"""Events of security products, and maps as programs print them.

Was wrong: both were plain text, mostly without a time and without a level, and nothing said so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.first_pass import FirstPass, timed
from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANKS, levels_of
from fluent_krone.reading.records import RecordReader

# 2024-10-15 13:00:00 UTC
T0 = 1_728_997_200
CEF = "CEF:0|Acme|Gate|2.1|{id}|{text}|{severity}|{pairs}src=10.0.0.{n} act=allowed"
FORMS = {
    "CEF with its time as a number": CEF.replace("{pairs}", "rt={ms} "),
    "CEF with its time as text": CEF.replace("{pairs}", "cs1=r one rt=Oct 15 2024 13:{m:02d}:00 "),
    "CEF with a time of the vendor's": CEF.replace("{pairs}", "FTNTFGTeventtime={ms}000000 "),
    "CEF with a time as date prints it": CEF.replace(
        "{pairs}", "ESAMID={n} endTime=Tue Oct 15 13:{m:02d}:00 2024 "
    ),
    "CEF behind syslog": "<134>1 2024-10-15T13:{m:02d}:00Z fw1 CEF - - - " + CEF,
    "CEF behind a time": "2024-10-15T13:{m:02d}:00.000Z fw1 " + CEF,
    "LEEF": "LEEF:2.0|Acme|Gate|2.1|{text}|^|devTime={ms}^sev={severity}^src=10.0.0.{n}",
    "LEEF with tabs": "LEEF:1.0|Acme|Gate|2.1|{text}|devTime=Oct 15 2024 13:{m:02d}:00\tsev="
    "{severity}\tsrc=10.0.0.{n}",
    "Python": "{{'time': '2024-10-15T13:{m:02d}:00Z', 'level': '{word}', 'msg': '{text}', "
    "'order': {n}, 'err': None, 'of': [1, (2, 3)]}}",
    "Python's time": "{{'time': datetime.datetime(2024, 10, 15, 13, {m}, "
    "tzinfo=datetime.timezone.utc), "
    "'level': '{word}', 'msg': \"{text}\", 'order': {n}, 'id': UUID('6717f3d2')}}",
    "Ruby": '{{:time=>"2024-10-15T13:{m:02d}:00Z", :level=>"{word}", :msg=>"{text}", :order=>{n}, '
    ":err=>nil}}",
    "JavaScript": "{{ time: '2024-10-15T13:{m:02d}:00Z', level: '{word}', msg: '{text}', "
    "user: {{ order: {n} }}, err: undefined }}",
    "JavaScript over lines": "{{\n  time: 2024-10-15T13:{m:02d}:00.000Z,\n  level: '{word}',\n"
    "  msg: '{text}',\n  order: {n}\n}}",
    "rubydebug": '{{\n    "@timestamp" => 2024-10-15T13:{m:02d}:00Z,\n'
    '       "message" => "{text}",\n'
    '         "level" => "{word}",\n          "tags" => [\n        [0] "a"\n    ],\n'
    '         "order" => {n}\n}}',
}


def content(form: str) -> str:
    rows = []
    for m in range(60):
        for place, text in enumerate(("gate opened", "card read", "gate stuck")):
            is_bad = place == 2
            rows.append(
                form.format(
                    m=m, n=m, ms=(T0 + 60 * m) * 1000, id=100 + place, text=text, pairs="",
                    severity=8 if is_bad else 3, word="error" if is_bad else "info",
                )
            )  # fmt: skip
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("name", FORMS)
def test_records_of(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(content(FORMS[name]))
    said: list[str] = []
    settings = settle(Options(input=path, session_key=("auto",)), said.append, said.append)
    reader = RecordReader(settings)
    levels = levels_of(reader)
    events = list(timed(read_events(path), reader))
    assert [time_ns for time_ns, _ in events] == [
        (T0 + 60 * m) * 10**9 for m in range(60) for _ in range(3)
    ]
    keys: set[Any] = set()
    for place, (_, record) in enumerate(events):
        text, found = reader.read(b"", record)
        keys.update(found)
        assert (b"gate opened", b"card read", b"gate stuck")[place % 3] in text
        assert levels.rank(record) == RANKS[b"error" if place % 3 == 2 else b"info"]
    assert len(keys) == 60


@pytest.mark.parametrize("line", ["{started} pump 7", "{'a': 1} and more", "{'a' 1}"])
def test_text_in_brackets_is_text(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{line}\n" * 5)
    assert {record[b"message"] for _, record in read_events(path)} == {line.encode()}


def said_of(text: str, tmp_path: Path, session_key: str = "/order=([0-9]+)/") -> str:
    path = tmp_path / "a.log"
    path.write_text(text)
    said: list[str] = []
    options = Options(input=path, session_key=(session_key,))
    seen = FirstPass(path, settle(options, said.append, said.append))
    list(seen.events())
    seen.check(said.append)
    return "\n".join(said)


def test_lines_without_a_time_are_told(tmp_path: Path) -> None:
    """Wrong before: nothing said that sessions would not end."""
    assert "no time was found in 40 of 40 events" in said_of(
        "".join(f"paid order={n}\n" for n in range(40)), tmp_path
    )
    with_time = "".join(f"2024-10-15T13:00:{n}Z paid order={n}\n" for n in range(10, 50))
    assert "no time" not in said_of(with_time, tmp_path)


def test_records_over_several_lines_are_told(tmp_path: Path) -> None:
    """Wrong before: the header of records was not found, and the reason was not said."""
    lines = "".join(
        f"2024-10-15T13:00:{n}Z paid order={n}\n" + "select a\nfrom b\nwhere c\n" * (n % 2)
        for n in range(10, 50)
    )
    assert "only 40% of the lines begin with a time" in said_of(lines, tmp_path)


def test_lines_that_are_set_aside_are_told(tmp_path: Path) -> None:
    """Wrong before: most of the lines were set aside without a word."""
    trace = "\tat a.b.C(C.java:7)\n\tat a.b.D(D.java:7)\n"
    heads = [f"2024-10-15 13:00:{n} info: Acme.Pump[0] order={n}\n" for n in range(10, 50)]
    said = said_of("".join(head + trace for head in heads), tmp_path, "tag")
    assert "of the lines go on from the line before" in said
    assert "go on from" not in said_of("".join(heads) + trace, tmp_path, "tag")


def test_blocks_of_names_and_values_are_no_header(tmp_path: Path) -> None:
    """Wrong before: `PID : 7` was a component and its message, and the lines with times went."""
    head = "2024-10-15-13.00.{n}.123456+060 I{n}E567 LEVEL: Info\n"
    block = head + head + "PID : {n} TID : 7\nMESSAGE : order={n} paid\n"
    said = said_of("".join(block.format(n=n) for n in range(10, 50)), tmp_path)
    assert "only 50% of the lines begin with a time" in said


def test_documents_of_yaml_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("---\ntime: 2024-10-15T13:00:00Z\nmessage: paid\n" * 9)
    with caplog.at_level("INFO", "fluent_krone.inputs"):
        list(read_events(path))
    assert "documents of YAML" in caplog.text


def test_an_event_without_a_time_is_not_set_aside(tmp_path: Path) -> None:
    """Wrong before: where most events have a time, the others were no events."""
    path = tmp_path / "a.log"
    pairs = ["" if n % 20 == 7 else f"rt={(T0 + n) * 1000} " for n in range(60)]
    events = (
        f"CEF:0|Acme|Gate|2.1|7|gate opened|3|{pair}src=10.0.0.{n}\n"
        for n, pair in enumerate(pairs)
    )
    path.write_text("".join(events))
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    reader = RecordReader(settings)
    assert [
        time_ns is not None and b"gate opened" in reader.read(b"", record)[0]
        for time_ns, record in timed(read_events(path), reader)
    ] == [pair != "" for pair in pairs]


@pytest.mark.parametrize(
    "pair",
    [
        "originalEventTime=1700000000000",
        "firstEventTime=2024-09-15T13:00:00Z",
        "startTime=1700000000000",
        "FTNTFGeventtime=1700000000000",
    ],
)
def test_a_further_time_of_an_event_is_not_its_own(pair: str, tmp_path: Path) -> None:
    """Wrong for a while: the last pair that may be a time was taken."""
    path = tmp_path / "a.log"
    lines = (
        f"CEF:0|Acme|Gate|2.1|7|gate opened|3|rt={(T0 + n) * 1000} act=ok {pair} src=10.0.0.{n}\n"
        for n in range(60)
    )
    path.write_text("".join(lines))
    reader = RecordReader(settle(Options(input=path, session_key=("tag",)), len, len))
    times = [time_ns for time_ns, _ in timed(read_events(path), reader)]
    assert times == [(T0 + n) * 10**9 for n in range(60)]
