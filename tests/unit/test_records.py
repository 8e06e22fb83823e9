"""Record → event: its text, its session keys, its time; and what can't be an event."""

from __future__ import annotations

import re
import time
import tracemalloc
from pathlib import Path
from typing import Any, get_args

import pytest

from fluent_krone.errors import ConfigError, RecordError, SetAside
from fluent_krone.reading.accessor import field_getter
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.times import parse_time
from fluent_krone.reading.values import as_bytes


def reader(*session_key: str, **options: Any) -> RecordReader:
    caps = {name: options.pop(name) for name in ("max_message_size", "max_keys") if name in options}
    return RecordReader(InputSettings(session_key=session_key or ("id",), **options), **caps)


def reason(reader: RecordReader, record: Any) -> str:
    with pytest.raises(RecordError) as failure:
        reader.read(b"app", record)
    return failure.value.reason


def test_what_a_stream_may_have_us_keep_is_bounded() -> None:
    read = reader("id", component_field="component", max_message_size=100).read
    tracemalloc.start()
    for number in range(50):
        name = b"%d" % number + bytes(2**20)
        text, [(key,)] = read(b"app", {b"message": b"x", b"id": name, b"component": name})
        assert (text, key) == (name[:100].rstrip(b": ") + b": x", name[:100])
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10 * 2**20


@pytest.mark.parametrize("record", [None, 7, b"text", [b"message"], [{b"message": b"x"}], "x"])
def test_a_record_that_is_no_map(record: Any) -> None:
    assert reason(reader(), record) == "not_a_map"


@pytest.mark.parametrize("message", [None, b"", "", b" \t\r\n", {b"a": 1}, [], [{b"a": 1}]])
def test_a_record_without_message(message: Any) -> None:
    assert reason(reader(), {b"message": message, b"id": b"1"}) == "no_message"
    assert reason(reader(), {b"id": b"1"}) == "no_message"


@pytest.mark.parametrize("key", [None, b"", "", {b"a": 1}, [], [None, b"", {}]])
def test_a_record_without_session_key(key: Any) -> None:
    assert reason(reader(), {b"message": b"x", b"id": key}) == "no_session_key"
    assert reason(reader(), {b"message": b"x"}) == "no_session_key"
    assert reason(reader("/blk_[0-9]+/"), {b"message": b"blk_x"}) == "no_session_key"


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"a", b"a"), ("\u00fc", b"\xc3\xbc"), (7, b"7"), (1.5, b"1.5"), ("\udcff", b"\xff")],
)
def test_values_become_bytes(value: Any, text: bytes) -> None:
    assert as_bytes(value) == text
    assert reader().read(b"app", {b"message": value, b"id": value}) == (text, [(text,)])


def test_half_a_character_becomes_a_question_mark() -> None:
    assert as_bytes("a\ud800b") == b"a?b"


def test_invalid_utf8_passes_through() -> None:
    assert reader().read(b"app", {b"message": b"\xff\xfe x", b"id": b"\x80"}) == (
        b"\xff\xfe x",
        [(b"\x80",)],
    )


def test_a_long_message_is_cut_and_counted() -> None:
    cutting = reader("/blk_[0-9]+/", max_message_size=100)
    text, keys = cutting.read(b"app", {b"message": b"blk_1 " + b"x" * 10_000_000 + b" blk_2"})
    assert (len(text), keys, cutting.messages_cut) == (100, [(b"blk_1",)], 1)


def test_space_around_a_message_is_no_part_of_it() -> None:
    assert reader().read(b"app", {b"message": b"  x\n", b"id": b"1"})[0] == b"x"


def test_the_component_stands_before_the_message() -> None:
    with_component = reader(component_field="logger")
    record = {b"message": b"x", b"id": b"1"}
    for component, text in (
        (b"disk", b"disk: x"),
        (b"disk: ", b"disk: x"),
        (b"", b"x"),
        (None, b"x"),
        ([1], b"x"),
    ):
        assert with_component.read(b"app", record | {b"logger": component})[0] == text
    assert with_component.read(b"app", record)[0] == b"x"


def test_any_number_of_components_is_no_burden() -> None:
    with_component = reader(component_field="logger")
    for i in range(10_050):
        record = {b"message": b"x", b"id": b"1", b"logger": b"%d" % i}
        assert with_component.read(b"app", record)[0] == b"%d: x" % i


# -- session keys


def test_a_key_of_several_parts() -> None:
    mixed = reader("tag", "host", "/blk_[0-9]+/")
    record = {b"message": b"blk_1 and blk_2 and blk_1", b"host": b"h"}
    assert mixed.read(b"app", record)[1] == [(b"app", b"h", b"blk_1"), (b"app", b"h", b"blk_2")]


def test_a_list_is_several_keys() -> None:
    record = {b"message": b"x", b"id": [b"a", 7, b"a", None, b"", [b"no"], {b"no": 1}]}
    assert reader().read(b"app", record)[1] == [(b"a",), (b"7",)]


def test_several_matches_are_several_keys_each_once() -> None:
    keys = reader("/blk_[0-9]+/").read(b"app", {b"message": b"blk_1 blk_2 blk_1"})[1]
    assert keys == [(b"blk_1",), (b"blk_2",)]


def test_a_group_is_the_key() -> None:
    assert reader("/job=(\\w+)/").read(b"app", {b"message": b"job=a job=b"})[1] == [
        (b"a",),
        (b"b",),
    ]
    assert reader("/job=(?<job>\\w+)/").read(b"app", {b"message": b"job=a"})[1] == [(b"a",)]


def test_an_empty_group_is_no_key() -> None:
    for extra in ((), ("tag",)):
        optional = reader("/job=(\\w*)/", *extra)
        assert reason(optional, {b"message": b"job= done"}) == "no_session_key"
        assert optional.read(b"app", {b"message": b"job= job=a"})[1][0][0] == b"a"


@pytest.mark.parametrize("session_key", [("id",), ("/[a-z]/",), ("tag", "id"), ("id", "id")])
def test_keys_above_the_cap_are_left_out_and_counted(session_key: tuple[str, ...]) -> None:
    capped = reader(*session_key, max_keys=3)
    _, keys = capped.read(b"app", {b"message": b"a b c d e", b"id": [b"a", b"b", b"c", b"d", b"e"]})
    assert len(keys) == 3
    assert capped.keys_over_cap >= 2


def test_nested_fields() -> None:
    nested = reader("$.kubernetes.pod", message_field="$.log.text")
    record = {b"kubernetes": {b"pod": b"p"}, b"log": {b"text": b"x"}}
    assert nested.read(b"app", record) == (b"x", [(b"p",)])
    assert field_getter("$.a.b")({b"a": b"no map"}) is None
    assert field_getter("$.a.b")({}) is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"session_key": ()}, "session_key is empty"),
        ({"session_key": ("/a/", "/b/")}, "one /regex/ at most"),
        ({"session_key": ("/a(/",)}, "not a regular expression"),
        ({"session_key": ("/a*/",)}, "matches the empty text"),
        ({"session_key": ("/(a)(b)/",)}, "at most one group"),
        ({"session_key": ("/a{99999999999}/",)}, "not a regular expression"),
        ({"session_key": ("/(?u)a/",)}, "not a regular expression"),
        ({"session_key": ("id",), "line_format": "(?<text>.*)"}, "needs a group named message"),
        ({"session_key": ("id",), "line_format": "(?<message>"}, "not a regular expression"),
        ({"session_key": ("id",), "time_format": "%Q"}, "time_format '%Q' cannot be read"),
        ({"session_key": ("id",), "time_format": "%d %d"}, "time_format '%d %d' cannot be read"),
        ({"session_key": ("id",), "time_format": "%b %d %H:%M:%S"}, "has no year"),
    ],
)
def test_settings_that_can_not_work_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        RecordReader(InputSettings(**settings))


# -- lines with a header

HADOOP = (
    r"(?<date>\d{6}) (?<time>\d{6}) (?<pid>\d+) (?<level>\w+) (?<component>[^:]+): (?<message>.*)"
)
LINE = b"081109 203530 143 INFO dfs.DataNode: Served blk_7"


def test_a_line_is_cut_into_fields() -> None:
    lines = reader("/blk_[0-9]+/", "pid", line_format=HADOOP, component_field="component")
    text, keys = lines.read(b"app", {b"message": LINE})
    assert (text, keys) == (b"dfs.DataNode: Served blk_7", [(b"blk_7", b"143")])
    assert reason(lines, {b"message": b"no header"}) == "line_format"
    assert reason(lines, {b"message": b"081109 203530 143 INFO dfs.DataNode: "}) == "no_message"


def test_a_lines_own_time() -> None:
    lines = reader("pid", line_format=HADOOP, time_format="%y%m%d %H%M%S")
    assert lines.has_time
    assert lines.time({b"message": LINE, b"time": 7}) == 1_226_262_930 * 10**9
    assert not reader("pid", line_format="(?<pid>.) (?<message>.*)").has_time


def test_time_field_may_name_what_the_line_holds() -> None:
    lines = reader("id", line_format=r"(?<id>\w) (?<ts>[^ ]+) (?<message>.*)", time_field="ts")
    assert lines.time({b"message": b"a 1970-01-01T00:00:01Z x"}) == 10**9
    beside = reader("id", line_format=r"(?<id>\w) (?<message>.*)", time_field="ts")
    assert beside.time({b"message": b"a x", b"ts": 2}) == 2 * 10**9


def test_a_group_of_the_zone_belongs_to_the_time_where_the_format_has_one() -> None:
    form = r"(?<time>\S+ \S+) (?<time_zone>\S+) (?<message>.*)"
    record = {b"message": b"1970-01-01 01:00:00 +0100 x"}
    assert reader("tag", line_format=form).time(record) == 0
    plain = "%Y-%m-%d %H:%M:%S"
    assert reader("tag", line_format=form, time_format=f"{plain} %z").time(record) == 0
    assert reader("tag", line_format=form, time_format=plain).time(record) == 3600 * 10**9


# -- times


@pytest.mark.parametrize(
    ("value", "time_ns"),
    [
        (1, 10**9),
        (1.5, 1_500_000_000),
        (b"1.5", 1_500_000_000),
        (b"1700000000.123456789", 1_700_000_000_123_456_789),
        ("1970-01-01T00:00:01.000001+00:00", 1_000_001_000),
        (b"1970-01-01T01:00:00+01:00", 0),
        (b"1970-01-01 00:00:01", 10**9),
        (b"1969-12-31T23:59:59Z", -(10**9)),
    ],
)
def test_times(value: Any, time_ns: int) -> None:
    assert reader(time_field="ts").time({b"message": b"x", b"ts": value}) == time_ns


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"soon",
        float("nan"),
        float("inf"),
        True,
        [1],
        {b"s": 1},
        b"1" * 5000,
        b"2023-13-01",
    ],
)
def test_times_that_are_none(value: Any) -> None:
    with pytest.raises(RecordError) as failure:
        reader(time_field="ts").time({b"message": b"x", b"ts": value})
    assert failure.value.reason == "bad_time"


def test_a_time_without_offset_is_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_time("1970-01-01T00:00:01") == parse_time("1970-01-01T00:00:01Z") == 10**9
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "form", ["%y%m%d %H%M%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%d/%b/%Y:%H:%M:%S %z"]
)
def test_usual_time_formats_are_taken(form: str) -> None:
    InputSettings(session_key=("id",), time_format=form)


def test_override_keeps_what_is_not_given() -> None:
    settings = InputSettings(session_key=("id",), message_field="log")
    assert settings.override(session_key=None, message_field="text") == InputSettings(
        session_key=("id",), message_field="text"
    )


def test_each_reason_to_set_a_record_aside_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("| reason | the record |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(get_args(SetAside))
