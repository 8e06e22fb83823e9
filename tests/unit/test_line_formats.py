"""Several formats of lines, one after the other."""

from __future__ import annotations

import json

import pytest

from fluent_krone.errors import ConfigError, RecordError
from fluent_krone.reading.levels import levels_of
from fluent_krone.reading.line_formats import LineFormats
from fluent_krone.reading.records import InputSettings, RecordReader

SPRING = r"(?<time>\S+) +(?<level>[A-Z]+) 1 --- (?<component>\S+) *: (?<message>.*)"
NGINX = r"(?<client>[\d.]+) - - \[(?<time>[^\]]+)\] (?<message>.*)"
JSON = r"(?<json>\{.*)"
BARE = r"(?<message>.+)"


def reader(*formats: str, key: str = "/r-[0-9]+/", time_format: str | None = None) -> RecordReader:
    settings = InputSettings(
        session_key=(key,),
        line_format="\n".join(formats),
        component_field="component",
        time_format=time_format,
    )
    return RecordReader(settings)


def record(line: str) -> dict[bytes, bytes]:
    return {b"message": line.encode()}


def reason(lines: RecordReader, line: str) -> str:
    with pytest.raises(RecordError) as failure:
        lines.read(b"", record(line))
    return failure.value.reason


def test_each_line_is_read_by_the_first_format_that_fits() -> None:
    lines = reader(SPRING, NGINX, JSON)
    levels = levels_of(lines)
    spring = record("1970-01-01T00:00:01Z  WARN 1 --- a.Shop : order r-7 late")
    nginx = record('10.0.0.7 - - [01/Jan/1970:00:00:02 +0000] "GET /r-7" 200')
    go = record('{"ts": 3.5, "level": "error", "logger": "pay", "msg": "declined", "id": "r-7"}')
    assert lines.read(b"", spring) == (b"a.Shop: order r-7 late", [(b"r-7",)])
    assert (levels.rank(spring), lines.time(spring)) == (5, 10**9)
    assert lines.read(b"", nginx) == (b'"GET /r-7" 200', [(b"r-7",)])
    assert (levels.rank(nginx), lines.time(nginx)) == (0, 2 * 10**9)
    assert lines.read(b"", go) == (b"pay: declined id=r-7", [(b"r-7",)])
    assert (levels.rank(go), lines.time(go)) == (6, 3_500_000_000)


def test_what_fits_none_is_set_aside() -> None:
    lines = reader(SPRING, JSON)
    assert reason(lines, "a banner of r-7") == "line_format"
    assert reason(lines, "\tat a.Shop.sell(Shop.java:7)") == "continuation"
    assert reason(lines, '{"msg": "cut in the mid') == "line_format"


def test_a_format_of_any_line_takes_no_line_that_goes_on_from_another() -> None:
    lines = reader(SPRING, r"(?<container>\S+) \| (?<message>.+)", BARE)
    assert lines.read(b"", record("r-7 done")) == (b"r-7 done", [(b"r-7",)])
    assert lines.read(b"", record("web-1 | r-7 done"))[0] == b"r-7 done"
    assert reason(lines, "Caused by: r-7") == "continuation"
    assert reason(lines, "web-1 | \tat a.r-7(A.java:7)") == "continuation"


def test_alone_it_takes_every_line() -> None:
    assert reader(BARE).read(b"", record("Caused by: r-7"))[0] == b"Caused by: r-7"


def test_the_key_may_stand_in_the_header_of_one_format_only() -> None:
    keyed = r"(?<header>\[(?<service>\w+),(?<trace>[0-9a-f]+)\] )(?<message>.*)"
    lines = reader(keyed, NGINX, key="/[0-9a-f]{8}/")
    assert lines.read(b"", record("[shop,0123abcd] sold 5"))[1] == [(b"0123abcd",)]
    both = record("10.0.0.7 - - [x] t=0123abcd u=4567abcd")
    assert lines.read(b"", both)[1] == [(b"0123abcd",), (b"4567abcd",)]


@pytest.mark.parametrize("value", [7, "x", None, [1], {"a": 1}])
def test_a_field_of_the_name_header_is_none(value: object) -> None:
    """Was an error: a number has no place before the message, where the key is looked for."""
    keyed = r"(?<header>\[(?<service>\w+),(?<trace>[0-9a-f]+)\] )(?<message>.*)"
    lines = reader(keyed, JSON, key="/r-[0-9]+/")
    line = json.dumps({"msg": "sold r-7 for r-8", "header": value}).encode()
    for one in ({b"message": line}, {b"message": b'{"msg": "r-7 r-8"}', b"header": value}):
        assert lines.read(b"", one)[1] == [(b"r-7",), (b"r-8",)]


def test_the_ends_of_lines_of_windows_are_blanks_as_well() -> None:
    """Was wrong: no record over lines that came from Windows had the form of line_format."""
    lines = reader(r"(?<time>\S+) +(?<level>[A-Z]+): +(?<message>(?s:.*))")
    live = record("1970-01-01T00:00:02Z\r\nWARN: order r-7\r\nis late\r\n")
    assert lines.read(b"", live) == (b"order r-7\nis late", [(b"r-7",)])
    assert lines.time(live) == 2 * 10**9


def test_a_format_of_the_time_belongs_to_the_format_of_the_line_in_its_place() -> None:
    lines = reader(NGINX, r"D (?<time>\S+) (?<message>.*)", time_format="\n%d/%m/%Y")
    assert lines.time(record("10.0.0.7 - - [01/Jan/1970:00:00:02 +0000] x")) == 2 * 10**9
    assert lines.time(record("D 02/01/1970 x")) == 86400 * 10**9


def test_a_format_without_a_time_leaves_it_to_the_input() -> None:
    lines = reader(SPRING, BARE)
    assert lines.has_time
    assert lines.time(record("r-7 done")) is None


@pytest.mark.parametrize(
    ("line_format", "time_format", "words"),
    [
        (f"{SPRING}\n(?<text>.*)", None, "needs a group named message"),
        (f"{SPRING}\n(?<message>", None, "not a regular expression"),
        (f"{SPRING}\n{NGINX}\n{BARE}", "%Y\n%Y", "time_format has 2 lines and line_format 3"),
    ],
)
def test_each_format_is_checked(line_format: str, time_format: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LineFormats(line_format, time_format, None)
