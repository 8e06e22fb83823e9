"""What a file is.

Was wrong: the suffix decided, so JSON lines in `app.log`, logs of containers and of the journal,
and what Fluentd's out_file writes were read as lines of text; the last of several `--input` won
silently.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from export.cli import main
from export.source import settle
from export.stages import Options
from fluent_krone.errors import ConfigError, ExportError
from fluent_krone.inputs import read_events
from fluent_krone.inputs.files import UNREADABLE
from fluent_krone.reading.records import RecordReader

T = "2024-10-15T13:00:0{}.5Z"
T0_NS = 1_728_997_200_500_000_000
Read = list[tuple[int | None, dict[bytes, Any]]]


def read(path: Path, content: str | bytes) -> Read:
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return list(read_events(path))


def messages(events: Read, field: str = "message") -> list[bytes]:
    return [record[field.encode()] for _, record in events]


def json_lines() -> str:
    rows = [{"time": T.format(n), "message": f"paid {n}"} for n in range(5)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_json_lines_in_a_log(tmp_path: Path) -> None:
    events = read(tmp_path / "app.log", json_lines())
    assert messages(events) == [f"paid {n}".encode() for n in range(5)]
    assert events[0][0] == T0_NS


def test_plain_text_in_a_file_of_json_by_its_name(tmp_path: Path) -> None:
    """Was wrong: none of its lines could be read."""
    path = tmp_path / "app.json"
    path.write_text("10:00:01 [w-1] INFO cart - loaded\n10:00:02 [w-2] INFO cart - paid\n" * 9)
    records = [record for _, record in read_events(path)]
    assert records[0][b"message"] == b"10:00:01 [w-1] INFO cart - loaded"
    assert len(records) == 18


def test_blank_lines_are_no_records_in_a_file_of_json_by_its_name(tmp_path: Path) -> None:
    """Was wrong: each was an empty record, also behind damaged events that a server sent."""
    assert read(tmp_path / "blank.json", "\n\n \n") == []
    events = read(tmp_path / "events.ndjson", 'data: {"message": "paid"\n\n' * 9)
    assert messages(events, UNREADABLE) == [b'data: {"message": "paid"'] * 9


def test_a_table_without_names_of_columns_is_text(tmp_path: Path) -> None:
    """Wrong before: its first row was taken for the names of columns, and no message was found."""
    rows = [f"2026-03-02 00:05:{n:02d};NOTE;ctl1;ZN-{n};train left\n" for n in range(9)]
    lines = [record[b"message"].decode() for _, record in read(tmp_path / "a.csv", "".join(rows))]
    assert lines == [row.rstrip() for row in rows]


def test_records_of_a_container_are_read_although_plain_lines_stand_between(tmp_path: Path) -> None:
    """Was wrong: one plain line, such as a banner, made text of all records."""
    received = json.dumps({"level": "INFO", "request_id": "r1", "msg": "received"})
    lines = [
        "  ___  shop v3",
        "Starting shop on port 8080",
        *[received] * 9,
        "\tat Card.pay(Card:55)",
    ]
    content = "".join(
        json.dumps({"log": line + "\n", "stream": "stdout", "time": T.format(0)}) + "\n"
        for line in lines
    )
    events = read(tmp_path / "shop-json.log", content)
    assert messages(events[2:-1], "msg") == [b"received"] * 9
    assert events[2][0] == T0_NS
    assert messages(events[:2] + events[-1:], UNREADABLE) == [
        line.encode() for line in lines[:2] + lines[-1:]
    ]


def test_a_container_with_a_few_lines_of_json_is_read_as_text(tmp_path: Path) -> None:
    lines = ["Starting shop", '{"msg": "received"}', "Listening", "Stopped"]
    content = "".join(
        json.dumps({"log": line + "\n", "stream": "stdout", "time": T.format(0)}) + "\n"
        for line in lines
    )
    events = read(tmp_path / "shop-json.log", content)
    assert messages(events, "log") == [line.encode() for line in lines]


@pytest.mark.parametrize("plain", [3, 5])
def test_plain_lines_with_the_ids_of_the_records_in_json_are_read(
    plain: int, tmp_path: Path
) -> None:
    """Was wrong: a container with plain lines of the same requests lost them all."""
    lines = []
    for n in range(12):
        lines += [json.dumps({"msg": "paid", "rid": f"r{n}"})] * (plain - 1)
        lines.append(f"retry of r{n} in 5 s")
    rows = [{"log": line + "\n", "stream": "stdout", "time": T.format(0)} for line in lines]
    events = read(tmp_path / "shop-json.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "log") == [line.encode() for line in lines]
    events = read(tmp_path / "shop.log", "".join(line + "\n" for line in lines))
    assert messages(events) == [line.encode() for line in lines]


def test_docker_joins_what_it_cut(tmp_path: Path) -> None:
    rows = [
        {"log": "a long line that ", "stream": "stdout", "time": T.format(0)},
        {"log": "of errors\n", "stream": "stderr", "time": T.format(1)},
        {"log": "goes on\n", "stream": "stdout", "time": T.format(2)},
        {"log": "next\n", "stream": "stdout", "time": T.format(3)},
    ]
    events = read(tmp_path / "x-json.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "log") == [b"of errors", b"a long line that goes on", b"next"]
    assert events[1][0] == T0_NS


def test_lines_of_a_shipper_without_their_ends_are_not_joined(tmp_path: Path) -> None:
    """Was wrong: a file of such records was one message."""
    rows = [{"log": f"paid {n}", "stream": "stdout", "time": T.format(n)} for n in range(5)]
    events = read(tmp_path / "a.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "log") == [f"paid {n}".encode() for n in range(5)]


def test_cri_joins_what_it_cut(tmp_path: Path) -> None:
    lines = [
        f"{T.format(0)} stdout P a long line that ",
        f"{T.format(1)} stderr F of errors",
        f"{T.format(2)} stdout F goes on",
        f"{T.format(3)} stdout F ",
    ]
    events = read(tmp_path / "0.log", "\n".join(lines) + "\n")
    assert messages(events) == [b"of errors", b"a long line that goes on", b""]
    assert events[1][0] == T0_NS
    assert events[1][1][b"stream"] == b"stdout"


def test_the_journal_writes_bytes_and_microseconds(tmp_path: Path) -> None:
    rows = [
        {"__REALTIME_TIMESTAMP": str(T0_NS // 1000), "MESSAGE": list(b"caf\xc3\xa9 \x1b[1mopen")},
        {"__REALTIME_TIMESTAMP": str(T0_NS // 1000 + 1), "MESSAGE": "closed", "_PID": "7"},
    ]
    events = read(tmp_path / "j.json", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "MESSAGE") == ["café open".encode(), b"closed"]
    assert [time for time, _ in events] == [T0_NS, T0_NS + 1000]


@pytest.mark.parametrize(
    "line",
    [
        '{time}\tapp.web\t{{"message": "paid {n}"}}',
        '2024-10-15 13:00:0{n}.500000000 +0000 app.web: {{"message": "paid {n}"}}',
        '{time},app.web,{{"message": "paid {n}"}}',
        '{time} app.web {{"message": "paid {n}"}}',
        'app.web: [172899720{n}.5, {{"message": "paid {n}"}}]',
        '[{n}] app.web: [[172899720{n}.5, {{}}], {{"message": "paid {n}"}}]',
    ],
    ids=[
        "out_file",
        "with commas",
        "with blanks",
        "out_stdout",
        "Fluent Bit's file",
        "Fluent Bit's stdout",
    ],
)
def test_what_fluentd_and_fluent_bit_write(tmp_path: Path, line: str) -> None:
    lines = [line.format(time=T.format(n), n=n) for n in range(5)]
    events = read(tmp_path / "out.log", "\n".join(lines) + "\n")
    assert messages(events) == [f"paid {n}".encode() for n in range(5)]
    assert events[0][0] == T0_NS


def test_json_in_a_container_is_its_fields(tmp_path: Path) -> None:
    inner = [json.dumps({"msg": f"paid {n}", "level": "info"}) + "\n" for n in range(5)]
    rows = [{"log": log, "stream": "stdout", "time": T.format(0)} for log in inner]
    events = read(tmp_path / "x.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "msg") == [f"paid {n}".encode() for n in range(5)]
    assert (events[0][0], events[0][1][b"level"]) == (T0_NS, b"info")


@pytest.mark.parametrize(
    "prefix",
    [
        "web-1  | ",
        "[pod/web-1/app] ",
        "web-1 app ",
        "{time} ",
        "{time} app/web/123 ",
        "web-1  | {time} ",
    ],
)
def test_json_behind_what_a_tool_shows_before_it(tmp_path: Path, prefix: str) -> None:
    """Was wrong: it was text, so that the level and the time inside were not read."""
    lines = [prefix.format(time=T.format(n)) + json.dumps({"msg": f"paid {n}"}) for n in range(5)]
    events = read(tmp_path / "a.log", "\n".join(lines) + "\n")
    assert messages(events, "msg") == [f"paid {n}".encode() for n in range(5)]
    assert events[0][0] == (T0_NS if "{time}" in prefix else None)


@pytest.mark.parametrize("words", ["sent event ", "INFO ", "stored in cache "])
def test_words_before_json_are_the_message(tmp_path: Path, words: str) -> None:
    lines = [words + json.dumps({"event": f"paid {n}"}) for n in range(5)]
    events = read(tmp_path / "a.log", "\n".join(lines) + "\n")
    assert messages(events) == [line.encode() for line in lines]


def test_a_record_in_a_field_of_any_name(tmp_path: Path) -> None:
    rows = [{"ts": 1728997200.5, "payload": json.dumps({"msg": f"paid {n}"})} for n in range(5)]
    events = read(tmp_path / "a.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert messages(events, "msg") == [f"paid {n}".encode() for n in range(5)]
    assert events[0][0] == T0_NS


def test_labelled_values(tmp_path: Path) -> None:
    lines = [f"time:{T.format(n)}\treq:GET /a HTTP/1.1\tstatus:20{n}" for n in range(5)]
    events = read(tmp_path / "a.log", "\n".join(lines) + "\n")
    assert messages(events, "req") == [b"GET /a HTTP/1.1"] * 5
    assert (events[0][0], events[4][1][b"status"]) == (T0_NS, b"204")


def test_a_json_list_and_objects_over_lines(tmp_path: Path) -> None:
    rows = [{"message": f"paid {n}"} for n in range(3)]
    expected = [b"paid 0", b"paid 1", b"paid 2"]
    assert messages(read(tmp_path / "a.log", json.dumps(rows, indent=1))) == expected
    spread = "\n".join(json.dumps(row, indent=2) for row in rows)
    assert messages(read(tmp_path / "b.log", spread)) == expected


@pytest.mark.parametrize("indent", ["\t", "  ", ""])
def test_a_json_list_however_it_is_indented(tmp_path: Path, indent: str) -> None:
    """Wrong before: with tabs, each line of it was a record of text."""
    rows = [{"message": f"paid {n}", "by": {"name": "a"}} for n in range(3)]
    text = json.dumps(rows, indent=indent)
    assert messages(read(tmp_path / "a.log", text)) == [b"paid 0", b"paid 1", b"paid 2"]


def test_a_damaged_object_costs_no_other_one(tmp_path: Path) -> None:
    """Wrong before: nothing behind it was read."""
    rows = [{"message": f"paid {n}", "of": 4} for n in range(4)]
    spread = "\n".join(json.dumps(row, indent=2) for row in rows)
    for name, text in (("list", json.dumps(rows, indent=2)), ("spread", spread)):
        events = read(tmp_path / f"{name}.log", text.replace('paid 1"', "paid 1"))
        said = [record.get(b"message") for _, record in events]
        assert said == [b"paid 0", None, b"paid 2", b"paid 3"]


def test_json_beside_plain_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wrong before: where a log of both began with JSON, nothing behind its first line was read."""
    rows = [json.dumps({"message": f"paid {n}"}) for n in range(9)]
    text = "".join(f"{row}\nshipped {n}\n" for n, row in enumerate(rows))
    with caplog.at_level("INFO", "fluent_krone.inputs"):
        events = read(tmp_path / "a.log", text)
    assert messages(events)[:4] == [rows[0].encode(), b"shipped 0", rows[1].encode(), b"shipped 1"]
    assert "some lines are JSON and others are not" in caplog.text


def test_a_message_that_is_an_object(tmp_path: Path) -> None:
    """Wrong before: where a record had nothing else, reading ended with an error of Python."""
    rows = [{"id": 1, "message": "paid"}, {"message": {"of": "order"}}, {"message": 7}]
    events = read(tmp_path / "a.log", "".join(json.dumps(row) + "\n" for row in rows))
    assert [record[b"message"] for _, record in events] == [b"paid", {b"of": b"order"}, 7]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = "first line\nsecond line\nthird line of text\n"
    events = read(tmp_path / "a.log", text.encode(encoding))
    assert messages(events) == [b"first line", b"second line", b"third line of text"]


def test_a_mark_before_json_costs_no_line(tmp_path: Path) -> None:
    assert len(messages(read(tmp_path / "a.log", json_lines().encode("utf-8-sig")))) == 5


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"]
)
def test_packed_whatever_the_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    events = read(tmp_path / "app.log", pack(json_lines().encode()))
    assert messages(events) == [f"paid {n}".encode() for n in range(5)]


def test_packed_under_the_name_of_another_packing(tmp_path: Path) -> None:
    events = read(tmp_path / "app.log.gz", lzma.compress(json_lines().encode()))
    assert messages(events) == [f"paid {n}".encode() for n in range(5)]


def test_a_text_under_the_name_of_a_packing(tmp_path: Path) -> None:
    events = read(tmp_path / "app.log.gz", json_lines().encode())
    assert messages(events) == [f"paid {n}".encode() for n in range(5)]


def test_zstd(tmp_path: Path) -> None:
    path = tmp_path / "app.log.zst"
    with pyarrow.CompressedOutputStream(pyarrow.OSFile(str(path), "wb"), "zstd") as out:
        out.write(json_lines().encode())
    assert messages(list(read_events(path))) == [f"paid {n}".encode() for n in range(5)]


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma", "zstandard"])
def test_a_packed_file_that_was_cut_short(tmp_path: Path, module: str) -> None:
    """Wrong before: of a file that is packed with zstd, half of the lines were read, and nothing
    was said."""
    lines = b"".join(b"paid %d %x\n" % (n, random.Random(n).getrandbits(64)) for n in range(9_000))
    whole = pytest.importorskip(module).compress(lines)
    assert len(read(tmp_path / "a.log", whole + whole)) == 18_000
    with pytest.raises(ConfigError, match=r"a\.log: .*(end|too early)"):
        read(tmp_path / "a.log", whole[: len(whole) // 2])


def test_a_damaged_zstd_file(tmp_path: Path) -> None:
    """Wrong before: it ended the export with a stack trace."""
    pytest.importorskip("zstandard")
    with pytest.raises(ConfigError, match=r"a\.log: zstd"):
        read(tmp_path / "a.log", b"\x28\xb5\x2f\xfd" + random.Random(1).randbytes(99))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"PK\x03\x04 and more", "zip archive"),
        (b"\x00\x01\x02\x03" * 400, "binary data"),
        (b"LPKSHHRH and more", "journalctl -o json"),
        (b"SQLite format 3\x00 and more", "SQLite"),
    ],
)
def test_what_can_not_be_read_names_the_cause(tmp_path: Path, content: bytes, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        read(tmp_path / "a.log", content)


@pytest.mark.parametrize(
    "content",
    [
        # A machine that lost its power.
        b"paid 1\n" + b"\x00" * 5000 + b"paid 2\npaid 3\n",
        # A file that was made larger before it was filled.
        b"paid 1\npaid 2\npaid 3\n" + b"\x00" * 90_000,
        # Two programs that do not write the same encoding.
        b"paid 1\n" * 40 + "paid 2\npaid 3\n".encode("utf-16-le"),
    ],
)
def test_zero_bytes_in_a_text_cost_no_line(tmp_path: Path, content: bytes) -> None:
    """Was wrong: such a file was refused as binary data, or read as another encoding."""
    path = tmp_path / "a.log"
    path.write_bytes(content)
    found = messages(list(read_events(path)))
    assert list(dict.fromkeys(filter(None, found))) == [b"paid 1", b"paid 2", b"paid 3"]


def test_utf_16_without_a_mark_in_a_script_with_few_latin_letters(tmp_path: Path) -> None:
    """Was wrong: it was binary data."""
    text = "".join(f"2024-10-15 13:00:{n:02d} 订单{n}支付成功完成处理完毕\n" for n in range(50))
    path = tmp_path / "a.log"
    path.write_bytes(text.encode("utf-16-le"))
    assert "".join(f"{line.decode()}\n" for line in messages(list(read_events(path)))) == text


def test_colours_are_no_part_of_a_message(tmp_path: Path) -> None:
    assert messages(read(tmp_path / "a.log", "\x1b[32mINFO\x1b[0m \x1b[1;31mpaid\x1b[m\n")) == [
        b"INFO paid"
    ]
    line = json.dumps({"message": "\x1b[31mlost\x1b[0m 7"})
    assert messages(read(tmp_path / "b.log", f"{line}\n")) == [b"lost 7"]


@pytest.mark.parametrize("escape", ["#033", "^["])
def test_colours_that_a_syslog_daemon_wrote_in_letters(escape: str, tmp_path: Path) -> None:
    """Was wrong: they were numbers of templates, and the level behind them was lost."""
    line = f"{escape}[36mINFO{escape}[0m {escape}[1;31mpaid{escape}[m #7 ^a"
    assert messages(read(tmp_path / "a.log", f"{line}\n")) == [b"INFO paid #7 ^a"]


def test_signs_that_only_begin_as_colours_do_stay(tmp_path: Path) -> None:
    """Was wrong: the beginning of the word was taken away."""
    line = "list ^[[mail] of #033[mx]"
    assert messages(read(tmp_path / "a.log", f"{line}\n")) == [line.encode()]


# -- several files


def write_parts(folder: Path) -> list[str]:
    """Three rotated parts of one log, the newest first in the order of their names."""
    lines = [json.dumps({"time": T.format(n), "message": f"paid {n}"}) for n in range(9)]
    (folder / "app.log").write_text("\n".join(lines[6:]) + "\n")
    (folder / "app.log.1").write_text("\n".join(lines[3:6]) + "\n")
    (folder / "app.log.2.gz").write_bytes(gzip.compress(("\n".join(lines[:3]) + "\n").encode()))
    return [f"paid {n}" for n in range(9)]


def test_files_patterns_and_directories_in_the_order_of_time(tmp_path: Path) -> None:
    expected = [text.encode() for text in write_parts(tmp_path)]
    for given in (
        [tmp_path / "app.log", tmp_path / "app.log.1", tmp_path / "app.log.2.gz"],
        tmp_path,
        str(tmp_path / "app.log*"),
        [str(tmp_path / "app.log"), str(tmp_path / "app.log.*")],
    ):
        assert messages(list(read_events(given))) == expected


def test_two_programs_that_wrote_at_once_are_merged(tmp_path: Path) -> None:
    for name, seconds in (("a.log", (0, 2, 4)), ("b.log", (1, 3, 5))):
        rows = [{"time": T.format(s), "message": f"{name} {s}"} for s in seconds]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    times = [time for time, _ in read_events(tmp_path)]
    assert times == sorted(times, key=lambda time: time or 0)
    assert len(times) == 6


def test_what_matches_nothing_is_an_error(tmp_path: Path) -> None:
    for given in (str(tmp_path / "*.nothing"), tmp_path):
        with pytest.raises(ConfigError, match="no file"):
            list(read_events(given))


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        buffer = io.BytesIO(gzip.compress(json_lines().encode()))

    monkeypatch.setattr(sys, "stdin", Pipe)
    assert messages(list(read_events("-"))) == [f"paid {n}".encode() for n in range(5)]


@contextmanager
def pipe_of(text: str, path: Path) -> Iterator[Path]:
    """A pipe through which a text comes, as the shell makes one of `<(zcat app.log.gz)`."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    yield path
    writer.join()


@pytest.mark.parametrize(
    "form",
    [
        "{:%H:%M:%S} INFO app: paid",
        "{:%b %d %H:%M:%S} host app: paid",
        "{:%m/%d/%Y %H:%M:%S} INFO paid",
        '{{"time": "{:%m/%d/%Y %H:%M:%S}", "message": "paid"}}',
    ],
)
def test_all_lines_of_a_pipe_are_read(form: str, tmp_path: Path) -> None:
    """Was wrong: where dates were not whole, a second look at the pipe took most of its lines."""
    start = datetime(2024, 2, 1, 9)
    text = "".join(form.format(start + timedelta(seconds=n)) + "\n" for n in range(60_000))
    with pipe_of(text, tmp_path / "pipe") as path:
        times = [time_ns for time_ns, _ in read_events(path)]
    assert len(times) == 60_000
    assert None not in times


def three_steps() -> str:
    steps = ("accepted", "paid", "sent")
    return "".join(
        f"2024-10-15 13:{n // 60:02d}:{n % 60:02d} INFO app: order {n // 3} {steps[n % 3]}\n"
        for n in range(600)
    )


def test_an_export_of_a_pipe(tmp_path: Path) -> None:
    """Was wrong: an export, which reads its input several times, ended with a stack trace."""
    work = tmp_path / "w"
    with pipe_of(three_steps(), tmp_path / "pipe") as path:
        options = ["--input", str(path), "--session-key", "/order ([0-9]+)/"]
        assert main(["mine", "--work", str(work), *options]) == 0
    found = json.loads((work / "templates.json").read_text())["templates"]
    assert [row["count"] for row in found] == [200] * 3


def test_a_session_key_is_suggested_for_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Was wrong: it waited for ever at its second look at the pipe."""
    with pipe_of(three_steps(), tmp_path / "pipe") as path:
        assert main(["suggest", "--input", str(path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "order" in found["session_key"][0]


@pytest.mark.parametrize(
    "form",
    [
        "2024-10-15 13:00:0{n},500 INFO app: paid {n}",
        "[2024-10-15T13:00:0{n}.5Z INFO  app] paid {n}",
        '10.0.0.7 - - [15/Oct/2024:13:00:0{n} +0000] "GET /{n} HTTP/1.1" 200 7',
        "2024/10/15 13:00:0{n} [error] 7#7: paid {n}",
        # Were read one file after the other, since their lines had no time.
        "10/15/2024 13:00:0{n} INFO app: paid {n}",
        "15-10-2024 13:00:0{n} INFO app: paid {n}",
        "10/15/24, 1:00:0{n} PM INFO app: paid {n}",
        "Tue Oct 15 13:00:0{n} 2024 paid {n}",
        "Tue Oct 15 13:00:0{n} CEST 2024 paid {n}",
        "<Oct 15, 2024 1:00:0{n} PM UTC> <Info> <app> <paid {n}>",
        "172899720{n}.123 paid {n}",
        "[1728997200123{n}00] paid {n}",
        # The number before a time is an id.
        "1728997200 2024-10-15 13:00:0{n} paid {n}",
    ],
)
def test_lines_of_text_are_put_in_order_too(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.log").write_text("".join(form.format(n=n) + "\n" for n in (5, 6, 7)))
    (tmp_path / "b.log").write_text("".join(form.format(n=n) + "\n" for n in (1, 2, 3)))
    lines = [record[b"message"].decode() for _, record in read_events(tmp_path)]
    assert lines == [form.format(n=n) for n in (1, 2, 3, 5, 6, 7)]


def newest_first(name: str) -> str:
    times = [f"2024-10-15T13:00:{n:02d}.5Z" for n in range(19, -1, -1)]
    rows = [{"@timestamp": time, "message": f"paid {n}"} for n, time in enumerate(times)]
    if name == "csv":
        return "@timestamp,message\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    if name == "text":
        return "".join(f"{row['@timestamp']} INFO {row['message']}\n" for row in rows)
    if name == "loki":
        values = [[str(T0_NS - n), f"paid {n}"] for n in range(20)]
        return json.dumps({"data": {"result": [{"stream": {"app": "a"}, "values": values}]}})
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["csv", "text", "loki", "json"])
def test_a_file_whose_newest_record_stands_first_is_read_from_its_end(
    name: str, tmp_path: Path
) -> None:
    """Wrong before: every execution in it ran backwards, and nothing said so."""
    events = read(tmp_path / "a.log", newest_first(name))
    said = [record[b"message"].split()[-1] for _, record in events]
    assert said == [b"%d" % n for n in range(19, -1, -1)]


def test_a_file_in_no_order_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wrong before: its sessions were cut at random, and nothing said so."""
    rows = [f"2024-10-15T13:00:{n * 37 % 60:02d}Z INFO a: paid {n}\n" for n in range(60)]
    with caplog.at_level("INFO", "fluent_krone.inputs"):
        read(tmp_path / "sorted.log", "".join(sorted(rows)))
        assert "no order" not in caplog.text
        read(tmp_path / "a.log", "".join(rows))
    assert "in no order of time" in caplog.text


def test_streams_of_an_answer_are_merged(tmp_path: Path) -> None:
    """Wrong before: they came one after the other, each from its own begin."""
    streams = [
        {"stream": {"pod": pod}, "values": [[str(T0_NS + n), f"{pod} {n}"] for n in numbers]}
        for pod, numbers in (("a", (0, 2, 4)), ("b", (1, 3)))
    ]
    answer = {"status": "success", "data": {"result": streams}}
    events = read(tmp_path / "a.json", json.dumps(answer))
    assert messages(events) == [b"a 0", b"b 1", b"a 2", b"b 3", b"a 4"]


def test_lines_that_end_with_a_carriage_return(tmp_path: Path) -> None:
    """Wrong before: the whole file was one line, and the session key was said to be missing."""
    assert messages(read(tmp_path / "a.log", "paid 1\rpaid 2\r")) == [b"paid 1", b"paid 2"]


def test_packed_twice(tmp_path: Path) -> None:
    """Wrong before: the packed bytes were read as text."""
    content = bz2.compress(gzip.compress(json_lines().encode()))
    assert len(messages(read(tmp_path / "a.gz.bz2", content))) == 5


def test_binary_data_without_zero_bytes_is_refused(tmp_path: Path) -> None:
    """Wrong before: the session key was said to be missing."""
    with pytest.raises(ConfigError, match="binary data"):
        read(tmp_path / "a.log", bytes(range(1, 256)) * 9)


def test_fluent_bits_standard_output_in_its_own_notation(tmp_path: Path) -> None:
    """Wrong before: no line was readable."""
    lines = [f'[{n}] app: [[1728997200.5, {{}}], {{"log"=>"paid {n}"}}]\n' for n in range(3)]
    events = read(tmp_path / "a.log", "".join(lines))
    assert events[0] == (T0_NS, {b"log": b"paid 0"})


def test_the_journals_export_with_control_characters(tmp_path: Path) -> None:
    """Was wrong: the zero bytes of a size made the file binary data, which was refused."""
    path = tmp_path / "journal"
    text = b"gate 3 opens\n\x1b[1mslowly"
    size = len(text).to_bytes(8, "little")
    record = b"__REALTIME_TIMESTAMP=%d\nMESSAGE\n" + size + text + b"\nPRIORITY=6\n\n"
    path.write_bytes(b"".join(record % (1_728_997_200_000_000 + n) for n in range(20)))
    events = list(read_events(path))
    assert len(events) == 20
    assert events[1][0] == 1_728_997_200_000_001_000
    assert events[0][1][b"MESSAGE"] == b"gate 3 opens\nslowly"
    assert events[0][1][b"PRIORITY"] == b"6"


def test_the_journals_verbose_format(tmp_path: Path) -> None:
    """Wrong before: each field was a message of its own, without a time."""
    lines = [
        f"Tue 2024-10-15 13:00:{n:02d}.250000 UTC [s=1f0d;i={n:x};b=77aa]\n"
        f"    PRIORITY=6\n    MESSAGE=gate {n} opens\n            slowly\n    _PID=7\n"
        for n in range(20)
    ]
    span = "-- Journal begins at Mon 2024-10-14 08:00:00 UTC. --\n"
    events = read(tmp_path / "journal.txt", span + "".join(lines))
    assert len(events) == 20
    assert events[3] == (
        T0_NS + 2_750_000_000,
        {b"PRIORITY": b"6", b"MESSAGE": b"gate 3 opens\nslowly", b"_PID": b"7"},
    )


def packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SEARCHED = "2024-10-15T13:00:00Z"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(
            {"preview": False, "result": {"_time": SEARCHED, "_raw": "opened"}}, id="Splunk"
        ),
        pytest.param(
            {
                "tables": [
                    {"columns": [{"name": "Time"}, {"name": "m"}], "rows": [[SEARCHED, "opened"]]}
                ]
            },
            id="Azure",
        ),
        pytest.param(
            {"message": {"data": packed("opened"), "publishTime": SEARCHED}, "subscription": "s"},
            id="Pub/Sub",
        ),
        pytest.param(
            {
                "Records": [
                    {
                        "kinesis": {
                            "data": packed("opened"),
                            "approximateArrivalTimestamp": 1728997200,
                        }
                    }
                ]
            },
            id="Kinesis",
        ),
        pytest.param({"data": [{"timestamp": SEARCHED, "m": "opened"}]}, id="a list of data"),
        pytest.param(
            {
                "results": [
                    [
                        {"field": "@timestamp", "value": SEARCHED},
                        {"field": "@message", "value": "opened"},
                    ]
                ],
                "status": "Complete",
            },
            id="CloudWatch's queries",
        ),
    ],
)
def test_records_inside_answers(tmp_path: Path, record: dict[str, object]) -> None:
    """Was wrong: the answer of a search, or a message with packed data, was one record itself."""
    path = tmp_path / "answers.json"
    path.write_text(f"{json.dumps(record)}\n\n" * 3)
    events = list(read_events(path))
    assert [time_ns for time_ns, _ in events] == [1_728_997_200 * 10**9] * 3
    assert all(b"opened" in record.values() for _, record in events)


def test_events_that_a_server_sends(tmp_path: Path) -> None:
    """Was wrong: `data:` before each record, and empty lines between them, made them text."""
    path = tmp_path / "stream"
    path.write_text('data: {"time": "2024-10-15T13:00:00Z", "message": "opened"}\n\n' * 3)
    assert [record[b"message"] for _, record in read_events(path)] == [b"opened"] * 3


def test_a_table_of_which_no_row_fits_its_columns_is_not_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("#Fields: date time cs-method\n2024-10-15 13:00:00 10.0.0.1 GET /pumps 200\n")
    with pytest.raises(ExportError, match="none of the first 1 lines can be read"):
        settle(Options(input=path, session_key=("tag",)), print, print)


@pytest.mark.parametrize(
    "row", ["2024-10-15 13:00:00 GET /pumps ", '2024-10-15 13:00:00 GET "/pumps', "a\rb"]
)
def test_a_row_with_odd_blanks_or_quotes_costs_no_other_one(tmp_path: Path, row: str) -> None:
    good = "2024-10-15 13:00:01 GET /pumps"
    path = tmp_path / "a.log"
    path.write_bytes(f"#Fields: date time cs-method cs-uri-stem\n{row}\n{good}\n".encode())
    assert list(read_events(path))[-1][1][b"cs-uri-stem"] == b"/pumps"


def test_a_column_named_rest_keeps_its_values(tmp_path: Path) -> None:
    rows = "time,rest,message\n" + "".join(f"{T.format(n)},pause,paid {n}\n" for n in range(5))
    found = read(tmp_path / "a.csv", rows)
    assert messages(found, "rest") == [b"pause"] * 5


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_records_of_syslog_with_their_cookie(mark: str, tmp_path: Path) -> None:
    """Wrong before: they were lines of text."""
    row = json.dumps({"timestamp": T.format(0), "severity": "INFO", "msg": "paid"})
    events = read(tmp_path / "a.log", f"{mark}@cee: {row}\n" * 9)
    assert messages(events, "msg") == [b"paid"] * 9
    assert events[0][0] == T0_NS


def test_the_activities_of_a_record_have_its_time(tmp_path: Path) -> None:
    """Wrong before: of Google Workspace's records, only the names of the events were left."""
    activity = {
        "id": {"time": T.format(0), "applicationName": "login"},
        "actor": {"email": "ann@example.org"},
        "events": [{"type": "login", "name": "login_success"}, {"type": "login", "name": "logout"}],
    }
    events = read(tmp_path / "a.json", f"{json.dumps(activity)}\n" * 2)
    assert messages(events, "name") == [b"login_success", b"logout"] * 2
    assert {time_ns for time_ns, _ in events} == {T0_NS}
    assert all(record[b"actor"] == {b"email": b"ann@example.org"} for _, record in events)


@pytest.mark.parametrize(
    "time",
    [
        {"timestamp": {"seconds": T0_NS // 10**9, "nanos": T0_NS % 10**9}},
        {"timestampSeconds": T0_NS // 10**9, "timestampNanos": T0_NS % 10**9},
        {"instant": {"epochSecond": T0_NS // 10**9, "nanoOfSecond": T0_NS % 10**9}},
    ],
)
def test_nanoseconds_beside_seconds(time: dict[str, object], tmp_path: Path) -> None:
    """Wrong before: those of protocol buffers and of Google's agents were cut off."""
    events = read(tmp_path / "a.json", f"{json.dumps({**time, 'message': 'paid'})}\n" * 3)
    assert [time_ns for time_ns, _ in events] == [T0_NS] * 3


def test_an_object_named_event_that_is_a_product_s_own(tmp_path: Path) -> None:
    """Wrong before: but for the names of the Elastic Common Schema, no field of it was seen, and
    the log was refused."""
    path = tmp_path / "a.json"
    rows = [
        {"metadata": {"offset": n}, "event": {"OperationName": f"step{n % 3}"}} for n in range(60)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    options = Options(input=path, session_key=("tag",))
    assert settle(options, len, len).message_field == "$.event.OperationName"


def test_records_of_each_kind_have_a_time_of_their_own(tmp_path: Path) -> None:
    """Wrong before: as no field was that of nearly all records, none of them had a time."""
    rows = [
        {"kind": "web", "event": {"datetime": T.format(0)}, "n": 5},
        {"kind": "audit", "event": {"time": T.format(0)}, "n": 7},
        {"kind": "dns", "createdAt": T.format(0)},
    ]
    events = read(tmp_path / "a.json", "".join(f"{json.dumps(row)}\n" for row in rows * 5))
    assert {time_ns for time_ns, _ in events} == {T0_NS}


@pytest.mark.parametrize("name", ["moment", "ms"])
def test_a_time_of_all_records_comes_before_one_that_most_have(name: str, tmp_path: Path) -> None:
    """Was wrong: records had the time at which they expire, where they had one."""
    path = tmp_path / "a.json"
    rows = []
    for n in range(60):
        time: str | int = T.format(n % 10)
        if name == "ms":
            time = T0_NS // 10**6 + n
        rows.append({name: time, "text": "paid", "expires_at": "2024-11-14T13:00:00Z"})
        if n % 3 == 0:
            del rows[-1]["expires_at"]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    os.utime(path, (T0_NS // 10**9 + 60, T0_NS // 10**9 + 60))
    assert {str(time_ns)[:9] for time_ns, _ in read_events(path)} == {str(T0_NS)[:9]}


def test_a_time_that_some_records_have_is_not_that_of_all(tmp_path: Path) -> None:
    """Was wrong: most records had the time at which they expire."""
    rows = [{"text": "paid", "expires_at": "2024-11-14T13:00:00Z"}] * 2 + [{"text": "paid"}]
    events = read(tmp_path / "a.json", "".join(f"{json.dumps(row)}\n" for row in rows * 9))
    assert {time_ns for time_ns, _ in events} == {None}


def test_of_the_times_of_most_records_the_usual_one_comes_first(tmp_path: Path) -> None:
    """Was wrong: `expires_at` came first where not all records have `ts`."""
    row = {"expires_at": "2024-11-14T13:00:00Z", "ts": T.format(0)}
    rows = [row] * 4 + [{"created_at": T.format(0)}]
    events = read(tmp_path / "a.json", "".join(f"{json.dumps(row)}\n" for row in rows * 9))
    assert {time_ns for time_ns, _ in events} == {T0_NS}


@pytest.mark.parametrize("name", ["created_at", "started", "ms"])
def test_the_logs_of_an_answer_have_their_own_times(name: str, tmp_path: Path) -> None:
    """Was wrong: all of them had the time at which they were asked for."""
    times: list[str | int] = [T.format(n) for n in range(9)]
    if name == "ms":
        times = [T0_NS // 10**6 + n * 1000 for n in range(9)]
    items = [{"action": "pay", name: time} for time in times]
    answer = {"meta": {"timestamp": "2024-11-01T00:00:00Z"}, "items": items}
    path = tmp_path / "a.json"
    path.write_text(f"{json.dumps(answer)}\n" * 3)
    os.utime(path, (T0_NS // 10**9 + 60, T0_NS // 10**9 + 60))
    events = list(read_events(path))
    assert [time_ns for time_ns, _ in events[:9]] == [T0_NS + n * 10**9 for n in range(9)]


def test_a_message_that_few_records_have_does_not_set_the_others_aside(tmp_path: Path) -> None:
    """Wrong before: the message was that field, which most records do not have."""
    path = tmp_path / "a.json"
    rows = [{"@timestamp": T.format(0), "event": {"action": f"step{n % 3}"}} for n in range(60)]
    rows[7::10] = [{**row, "message": f"scan of {n} done"} for n, row in enumerate(rows[7::10])]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    reader = RecordReader(settings)
    texts = [reader.read(b"", record)[0] for _, record in read_events(path)]
    assert b"step0" in texts[0]
    assert b"scan of 0 done" in texts[7]


def test_a_table_with_clocks_has_the_date_before_it(tmp_path: Path) -> None:
    """Wrong before: rows of IIS that have no date of their own had no time."""
    head = "#Software: IIS\n#Date: 2024-10-15 13:00:00\n#Fields: time cs-method cs-uri-stem\n"
    events = read(tmp_path / "ex.log", head + "13:00:00 GET /\n" * 9)
    assert {time_ns for time_ns, _ in events} == {T0_NS // 10**9 * 10**9}


@pytest.mark.parametrize(
    ("begun", "clocks", "days"),
    [
        (
            " 23:59:00",
            ["23:59:58", "00:00:01", "23:59:59", "00:00:02", "13:30:00"],
            [0, 1, 0, 1, 1],
        ),
        (" 23:59:00", ["00:10:00", "08:00:00"], [1, 1]),
        (" 00:00:05", ["13:30:00", "23:00:00", "00:30:00"], [0, 0, 1]),
        ("", ["00:00:01", "23:00:00", "00:00:01"], [0, 0, 1]),
    ],
)
def test_clocks_behind_midnight_are_of_the_next_day(
    begun: str, clocks: list[str], days: list[int], tmp_path: Path
) -> None:
    """Was wrong: they jumped back by 24 hours."""
    head = f"#Software: IIS\n#Date: 2024-10-15{begun}\n#Fields: time cs-method cs-uri-stem\n"
    rows = "".join(f"{clock} GET /\n" for clock in clocks)
    events = read(tmp_path / "ex.log", head + rows)
    assert messages(events, "date") == [b"2024-10-%d" % (15 + day) for day in days]


def test_events_of_processes_in_xes(tmp_path: Path) -> None:
    """Wrong before: every attribute was a record of its own, and no event had a time."""
    events = "".join(
        f"""    <event>
      <string key="concept:name" value="pay &amp; go {n}"/>
      <date key="time:timestamp" value="{T.format(n)}"/>
    </event>
"""
        for n in range(3)
    )
    head = '<?xml version="1.0"?>\n<log xes.version="1.0">\n  <string key="source" value="x"/>\n'
    traces = "".join(
        f'  <trace>\n    <string key="concept:name" value="c{n}"/>\n{events}  </trace>\n'
        for n in range(2)
    )
    for text in (head + traces + "</log>\n", (head + traces + "</log>").replace("\n", "")):
        found = read(tmp_path / "a.xes", text)
        assert messages(found, "concept:name") == [f"pay & go {n % 3}".encode() for n in range(6)]
        assert messages(found, "case:concept:name") == [b"c0"] * 3 + [b"c1"] * 3
        assert found[0][0] == T0_NS


def test_maps_as_java_prints_them(tmp_path: Path) -> None:
    """Wrong before: they were text without a time."""
    line = "{{time={}, level=INFO, id={}, to={{a=1, b=2}}, message=paid, 2 of 3, user=null}}"
    events = read(tmp_path / "a.log", "".join(line.format(T.format(n), n) + "\n" for n in range(5)))
    assert [record for _, record in events][1] == {
        b"time": T.format(1).encode(),
        b"level": b"INFO",
        b"id": b"1",
        b"to": b"{a=1, b=2}",
        b"message": b"paid, 2 of 3",
    }
    assert events[0][0] == T0_NS


@pytest.mark.parametrize(
    ("line", "record"),
    [
        pytest.param("{a=x, id=007}", {b"a": b"x", b"id": b"007"}, id="zeros of an id"),
        pytest.param("{a=x, id=" + "7" * 5000 + "}", {b"a": b"x", b"id": b"7" * 5000}, id="long"),
        pytest.param("{a={b=1, c={d=2}}, e=3}", {b"a": b"{b=1, c={d=2}}", b"e": b"3"}, id="nested"),
        pytest.param("{a=got }, e=3}", {b"a": b"got }", b"e": b"3"}, id="a bracket in a text"),
    ],
)
def test_texts_in_maps_of_java_stay_as_they_are(
    line: str, record: dict[bytes, object], tmp_path: Path
) -> None:
    """Was wrong: 007 became 7, which the stream does not say, and a long number failed the file."""
    assert [found for _, found in read(tmp_path / "a.log", f"{line}\n" * 5)] == [record] * 5


def test_a_line_of_several_maps_is_a_text(tmp_path: Path) -> None:
    """Was wrong: it was one map, in which a part of the line was lost."""
    line = "{name=web, port=80} -> {name=db, port=0}"
    assert messages(read(tmp_path / "a.log", f"{line}\n" * 5)) == [line.encode()] * 5


XES_EVENT = (
    '<trace><string key="concept:name" value="c1"/>'
    "<event><string key='concept:name' value='a > b'/></event></trace>"
)


@pytest.mark.parametrize(
    "root",
    [
        '<log xes.version="1.0">',
        '<?xml version="1.0"?><!-- <log> --><log note="a > b" xmlns="http://www.xes-standard.org/">',
        "<log>",
    ],
)
def test_logs_of_processes_are_told_by_their_root_or_their_names(root: str, tmp_path: Path) -> None:
    """Was wrong: an attribute with a `>` in it was dropped."""
    events = read(tmp_path / "a.xes", f"{root}{XES_EVENT}</log>")
    assert [record for _, record in events] == [
        {b"case:concept:name": b"c1", b"concept:name": b"a > b"}
    ]


def test_other_elements_with_traces_are_no_processes(tmp_path: Path) -> None:
    """Was wrong: `indexes` in a text made a log of processes of it, without any event."""
    rows = "".join(
        f"<trace><date>{T.format(n)}</date><level>INFO</level><text>indexes made</text></trace>\n"
        for n in range(9)
    )
    events = read(tmp_path / "a.xml", f"<log>\n{rows}</log>\n")
    assert messages(events, "text") == [b"indexes made"] * 9


def test_a_record_beside_the_message_of_serilog_is_read(tmp_path: Path) -> None:
    """Was wrong: its fields and its time were left in the text."""
    rows = [
        {"@m": "sent", "payload": json.dumps({"time": T.format(n), "step": f"s{n}"})}
        for n in range(9)
    ]
    events = read(tmp_path / "a.json", "".join(f"{json.dumps(row)}\n" for row in rows))
    assert events[0][0] == T0_NS
    assert messages(events, "step")[:2] == [b"s0", b"s1"]
