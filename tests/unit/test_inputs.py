"""Files of events and labels, whole and damaged."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from fluent_krone.errors import ConfigError
from fluent_krone.inputs import count_events, read_events, read_labels

Read = list[tuple[int | None, dict[bytes, Any]]]


def read(path: Path, content: bytes) -> Read:
    path.write_bytes(content)
    return list(read_events(path))


def test_text_is_a_message_a_line(tmp_path: Path) -> None:
    events = read(tmp_path / "a.log", b"one\r\ntwo \xff\n\nlast")
    assert events == [(None, {b"message": text}) for text in (b"one", b"two \xff", b"", b"last")]


def test_other_line_separators_are_part_of_a_line(tmp_path: Path) -> None:
    assert len(read(tmp_path / "a.log", "a\x0bb\x85c\u2028d\re\n".encode())) == 1


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        b'{"message": "x", "n": 1, "f": 0.5, "b": true, "none": null, '
        b'"l": ["a", 1], "d": {"k": "v"}}',
        b'{"time": "1970-01-01T00:00:01Z", "message": "x"}',
        b'{"@timestamp": 1.5, "message": "\xff"}',
    ]
    assert read(tmp_path / "a.jsonl", b"\n".join(lines)) == [
        (
            None,
            {b"message": b"x", b"n": 1, b"f": 0.5, b"b": True, b"l": [b"a", 1], b"d": {b"k": b"v"}},
        ),
        (10**9, {b"time": b"1970-01-01T00:00:01Z", b"message": b"x"}),
        (1_500_000_000, {b"@timestamp": 1.5, b"message": b"\xff"}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[1]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b'{"a": ' + b"[" * 700 + b"]" * 700 + b"}",
        b"1" * 5000,
    ],
)
def test_a_line_that_can_not_be_read_is_a_record_without_message(
    tmp_path: Path, line: bytes
) -> None:
    events = read(tmp_path / "a.jsonl", line + b'\n{"message": "x"}\n')
    assert events[1] == (None, {b"message": b"x"})
    assert b"message" not in events[0][1]


def test_half_a_character_and_odd_names_are_read(tmp_path: Path) -> None:
    [event] = read(tmp_path / "a.jsonl", rb'{"message": "a\ud800", "\ud800": 1, "' + b'\xff": 2}')
    assert event == (None, {b"message": b"a?", b"?": 1, b"\xff": 2})


@pytest.mark.parametrize(
    "time", ['"soon"', '""', "null", "[1]", '{"s": 1}', "-1", "true", "1e999", '"9999999999999"']
)
def test_times_that_are_none_or_odd(tmp_path: Path, time: str) -> None:
    [(time_ns, _)] = read(tmp_path / "a.jsonl", f'{{"time": {time}, "message": "x"}}'.encode())
    assert time_ns is None or time_ns > 10**18


def test_csv(tmp_path: Path) -> None:
    content = b'message,time\n"a, ""b""\nc",1\nshort\nlong,2,3,4\n'
    assert read(tmp_path / "a.csv", content) == [
        (10**9, {b"message": b'a, "b"\nc', b"time": b"1"}),
        (None, {b"message": b"short"}),
        (2 * 10**9, {b"message": b"long", b"time": b"2", b"rest": b"3,4"}),
    ]


@pytest.mark.parametrize("name", ["a.log", "a.csv", "a.jsonl"])
def test_a_line_of_ten_megabytes(tmp_path: Path, name: str) -> None:
    long = "x" * 10_000_000
    content = {
        "a.log": long,
        "a.csv": f"message\n{long}",
        "a.jsonl": json.dumps({"message": long}),
    }[name]
    assert read(tmp_path / name, content.encode()) == [(None, {b"message": long.encode()})]


@pytest.mark.parametrize("name", ["a.log.gz", "a.jsonl.gz", "a.csv.gz"])
def test_gzip(tmp_path: Path, name: str) -> None:
    content = {
        "a.log.gz": b"x\n",
        "a.jsonl.gz": b'{"message": "x"}\n',
        "a.csv.gz": b"message\nx\n",
    }[name]
    assert read(tmp_path / name, gzip.compress(content)) == [(None, {b"message": b"x"})]


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return (
        content[:middle]
        + bytes(byte ^ 0xFF for byte in content[middle : middle + 40])
        + content[middle + 40 :]
    )


@pytest.mark.parametrize(
    "damage", [damaged, lambda content: content[:-20], lambda content: b"\x02 no gzip"]
)
def test_broken_gzip_is_told_in_one_line(tmp_path: Path, damage: Any) -> None:
    content = gzip.compress(b"".join(b"line %d\n" % (i * i) for i in range(5000)))
    with pytest.raises(ConfigError, match=r"a\.log\.gz: "):
        read(tmp_path / "a.log.gz", damage(content))


def test_parquet(tmp_path: Path) -> None:
    moment = datetime(2023, 11, 14, 22, 13, 20, 5, tzinfo=UTC)
    table = pyarrow.table(
        {
            "m_message": ["x", None],
            "seq_id": ["a", "b"],
            "time": ["203530", "203531"],
            "m_timestamp": [moment.replace(tzinfo=None)] * 2,
        }
    )
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path)
    first, second = read_events(path)
    assert first[0] == 1_700_000_000_000_005_000
    assert (first[1][b"message"], first[1][b"seq_id"]) == (b"x", b"a")
    assert b"message" not in second[1]
    assert (count_events(path), count_events(tmp_path / "a.log")) == (2, None)


def test_broken_parquet_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"message": [f"hello {i}" for i in range(5000)]}), path
    )
    whole = path.read_bytes()
    told = 0
    for at in range(4, len(whole) - 8, len(whole) // 40):
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ 0xFF, whole[at + 1] ^ 0xFF]) + whole[at + 2 :]
        )
        try:
            list(read_events(path))
        except ConfigError:
            told += 1
    assert told > 30
    with pytest.raises(ConfigError):
        read(path, b"no parquet")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    for name in ("a.log", "a.csv", "a.jsonl.gz", "a.parquet"):
        with pytest.raises(ConfigError, match=name):
            list(read_events(tmp_path / name))
    with pytest.raises(ConfigError):
        list(read_events(tmp_path))


# -- labels


@pytest.mark.parametrize(
    "content",
    [
        b"session,anomaly\na,1\nb,0\n",
        b"BlockId,Label\na,Anomaly\nb,Normal\n",
        b"seq_id,normal,anomaly\na,False,True\nb,True,False\n",
        b"key,is_anomaly\na,yes\nb,no\n",
    ],
)
def test_labels(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    assert read_labels(path) == {"a": True, "b": False}


def test_labels_from_parquet(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"seq_id": ["a", "b"], "anomaly": [True, False]}), path
    )
    assert read_labels(path) == {"a": True, "b": False}


def test_labels_without_their_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"name,colour\na,red\n")
    with pytest.raises(
        ConfigError, match=r"needs columns session and anomaly \(or label\), has name, colour"
    ):
        read_labels(path)
