"""Times that a product writes in a form of its own.

Were wrong: the cell behind a time was taken for its fraction, a float lost a microsecond, and the
others were not read at all, or without their fraction. Where records had few times, fields of these
were taken for parts of the message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from export.first_pass import timed
from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANK_NAMES, levels_of
from fluent_krone.reading.records import RecordReader

T0 = datetime(2024, 10, 15, 9, 58, 3, 123456, tzinfo=UTC)
TEXTS = ("opened door", "started pump {}", "cannot read valve {}", "stopped pump {}")
MOMENTS = [T0 + timedelta(microseconds=7_250_117 * n) for n in range(24)]


def read(path: Path) -> tuple[list[datetime], list[str], list[str]]:
    """The times, texts and levels that an export reads."""
    reader = RecordReader(settle(Options(input=path, session_key=("tag",)), len, len))
    level_of = levels_of(reader)
    times, texts, levels = [], [], []
    for time_ns, record in timed(read_events(path), reader):
        assert time_ns is not None
        times.append(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000))
        texts.append(reader.read(b"", record)[0].decode())
        levels.append(RANK_NAMES.get(level_of.rank(record), ""))
    return times, texts, levels


def text_of(n: int) -> str:
    return TEXTS[n % 4].format(n)


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        # Palo Alto: a serial number in the cell behind the time
        ("1,%Y/%m/%d %H:%M:%S,00110001{n:04d},SYSTEM,general,{text}", 10**6),
        ("1,%Y-%m-%d %H:%M:%S,00110001{n:04d},SYSTEM,general,{text}", 10**6),
        # Where it is no cell, it is a fraction
        ("%Y-%m-%d %H:%M:%S,{ms:03d} INFO {text}", 1000),
        # Digits only, with milliseconds
        ("%Y%m%d %H%M%S{ms:03d} INFO {text}", 1000),
        # Windows in Chinese and in Korean
        ("%Y/%m/%d 上午 %I:%M:%S pump: {text}", 10**6),
        ("%Y. %m. %d. 오전 %I:%M:%S pump: {text}", 10**6),
        # XenServer
        ("[%Y%m%dT%H:%M:%S.{ms:03d}Z| info|xs1|{n} |VM.start|xapi] {text}", 1000),
        ("%m/%d/%Y %I:%M%p PLC1: {text}", 60 * 10**6),
        ("CPF0075  10  %m/%d/%y  %H:%M:%S.{us:06d}  QSYS  {text}", 1),
        ("%y-%m-%d;%H:%M:%S.{ms:03d} $Z1 TANDEM {text}", 1000),
        # two blanks before a clock, and signs between a short date and a clock
        ("{n}  %d.%m.%Y  %H:%M:%S.{ms:03d}  PLC1  {text}", 1000),
        ("%y/%m/%d-%H:%M:%S.{ms:03d} PLC1 I: {text}", 1000),
        # Amazon's flow logs
        ("2 123456789010 eni-0a1b 10.0.0.{n} 10.0.0.1 20641 22 6 20 42 {s} {s} ACCEPT OK", 10**6),
    ],
)
def test_a_time_in_a_line(form: str, unit: int, tmp_path: Path) -> None:
    times, _, _ = read(log_of(form, tmp_path))
    assert times == [whole(moment, unit) for moment in MOMENTS]


def log_of(form: str, folder: Path) -> Path:
    """A log with a line of this form at each moment; its fraction may have three to six digits."""
    path = folder / "a.log"
    with path.open("w", encoding="utf-8") as file:
        for n, moment in enumerate(MOMENTS):
            micros = moment.microsecond
            fractions = {"ms": micros // 1000, "tenths": micros // 100, "tens": micros // 10}
            line = moment.strftime(form).format(
                n=n, text=text_of(n), us=micros, s=int(moment.timestamp()), **fractions
            )
            file.write(f"{line}\n")
    return path


def whole(moment: datetime, unit: int) -> datetime:
    """The moment, without what is less than a unit of so many microseconds."""
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros // unit * unit)


def seconds_of(moment: datetime) -> int:
    return int(moment.timestamp())


@pytest.mark.parametrize(
    "fields",
    [
        lambda m: {"ts": m.timestamp()},
        lambda m: {"ts": [seconds_of(m), m.microsecond * 1000]},
        lambda m: {"timestamp": {"seconds": seconds_of(m), "nanos": m.microsecond * 1000}},
        lambda m: {"timestampSeconds": seconds_of(m), "timestampNanos": m.microsecond * 1000},
        lambda m: {"time": m.isoformat(), "ingestionTime": seconds_of(m) * 1000 + 7000},
        # a number that counts the records
        lambda m: {"time": m.isoformat(), "sequence": MOMENTS.index(m)},
    ],
)
def test_a_time_in_a_record_is_no_part_of_its_message(
    fields: Callable[[datetime], dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    rows = [{**fields(m), "lvl": "info", "msg": text_of(n)} for n, m in enumerate(MOMENTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    times, texts, _ = read(path)
    assert times == MOMENTS
    assert texts == [text_of(n) for n in range(len(MOMENTS))]


def test_the_level_of_a_cisco_router_behind_two_names(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            f"RP/0/RSP0/CPU0:{m:%Y %b %d %H:%M:%S}.{m.microsecond // 1000:03d} UTC: bgp[1052]: "
            f"%ROUTING-BGP-{3 + n % 4}-ADJCHANGE : {text_of(n)}\n"
            for n, m in enumerate(MOMENTS)
        )
    )
    times, _, levels = read(path)
    assert times == [whole(moment, 1000) for moment in MOMENTS]
    assert levels == [("error", "warning", "notice", "info")[n % 4] for n in range(len(MOMENTS))]


def test_serilogs_compact_records_without_a_level_are_information(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    rows = [
        {"@t": m.isoformat(), "@mt": text_of(n), **({"@l": "Warning"} if n % 3 == 0 else {})}
        for n, m in enumerate(MOMENTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, _, levels = read(path)
    assert levels == ["info" if n % 3 else "warning" for n in range(len(MOMENTS))]


@pytest.mark.parametrize("form", ["%I:%M:%S %p: {}", "[%I:%M:%S %p] {}", "%I:%M%p {}"])
def test_a_clock_with_am_or_pm_and_no_date(form: str, tmp_path: Path) -> None:
    """Was wrong: with two digits of the hour, an afternoon was read as the night before it."""
    path = tmp_path / "a.log"
    moments = [moment + timedelta(hours=n // 6) for n, moment in enumerate(MOMENTS)]
    path.write_text("".join(f"{m:{form}}\n".format(text_of(n)) for n, m in enumerate(moments)))
    written = moments[-1].timestamp() + 60
    os.utime(path, (written, written))
    times, texts, _ = read(path)
    unit = 10**6 if "%S" in form else 60 * 10**6
    assert times == [whole(moment, unit) for moment in moments]
    assert texts == [text_of(n) for n in range(len(MOMENTS))]


def test_the_number_of_a_process_behind_a_clock_is_no_fraction(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "".join(f"{m:%Y%m%d:%H%M%S}:8551:pump: {text_of(n)}\n" for n, m in enumerate(MOMENTS))
    )
    times, texts, _ = read(path)
    assert times == [whole(moment, 10**6) for moment in MOMENTS]
    assert texts == [f"pump: {text_of(n)}" for n in range(len(MOMENTS))]


@pytest.mark.parametrize(
    "write",
    [
        lambda level: {"l": level[0].lower()},
        lambda level: {"level": {"name": level, "value": 30 + len(level)}},
    ],
)
def test_a_level_of_one_letter_or_with_a_number(
    write: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Were wrong: the letter was no level, and the number was a part of the message."""
    path = tmp_path / "a.log"
    words = ("INFO", "WARNING", "DEBUG", "ERROR")
    path.write_text(
        "".join(
            json.dumps({"t": m.isoformat(), **write(words[n % 4]), "m": text_of(n)}) + "\n"
            for n, m in enumerate(MOMENTS)
        )
    )
    _, texts, levels = read(path)
    assert levels[:4] == ["info", "warning", "debug", "error"]
    assert texts == [text_of(n) for n in range(len(MOMENTS))]


def log_with_levels(path: Path, form: str, levels: Sequence[str]) -> Path:
    """A log of lines with a time, the next of the levels, and a text."""
    lines = (form.format(m, levels[n % len(levels)], text_of(n)) for n, m in enumerate(MOMENTS))
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_level_of_a_line_of_solaris(tmp_path: Path) -> None:
    words = ("info", "warning", "debug", "error")
    form = "{:%b %d %H:%M:%S} sun1 genunix: [ID 5168 kern.{}] {}"
    _, texts, levels = read(log_with_levels(tmp_path / "a.log", form, words))
    assert levels[:4] == [*words]
    assert texts[1] == f"genunix: {text_of(1)}"


@pytest.mark.parametrize("name", ["severityLevel", "SeverityLevel"])
def test_the_numbers_of_azure_go_up(name: str, tmp_path: Path) -> None:
    """Was wrong: as syslog has them, nearly all would be alerts, so no level was read."""
    path = tmp_path / "a.log"
    rows = [
        {
            "TimeGenerated": m.isoformat(),
            "AppRoleName": "shop",
            "Message": text_of(n),
            name: (1, 1, 2, 0, 1, 3)[n % 6],
        }
        for n, m in enumerate(MOMENTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, _, levels = read(path)
    assert levels[:6] == ["info", "info", "warning", "trace", "info", "error"]


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        ("INFO,%Y-%m-%d %H:%M:%S,{ms:03d} {text}", 1000),
        ("app.pump,%Y-%m-%d %H:%M:%S,{ms:03d} - INFO - {text}", 1000),
        ("id=0,%Y-%m-%d %H:%M:%S,{ms:03d} INFO {text}", 1000),
        ("app.pump,%Y-%m-%d %H:%M:%S,{ms:03d},INFO,{text}", 1000),
        ("INFO,%d/%m/%Y %H:%M:%S,{ms:03d},{text}", 1000),
        ("a,%Y-%m-%dT%H:%M:%S,{ms:03d}Z INFO {text}", 1000),
        # Was wrong: four digits behind any clock were the number of a process.
        ("%m/%d/%Y %H:%M:%S:{tenths:04d} INFO {text}", 100),
        ("%m/%d/%Y %H:%M:%S:{tens:05d} INFO {text}", 10),
    ],
)
def test_a_fraction_behind_a_comma_or_a_colon(form: str, unit: int, tmp_path: Path) -> None:
    """Was wrong: behind a comma before the time, there was no fraction, and often no header."""
    times, texts, levels = read(log_of(form, tmp_path))
    assert times == [whole(moment, unit) for moment in MOMENTS]
    assert [text.removeprefix("app.pump: ") for text in texts] == list(map(text_of, range(24)))
    assert set(levels) == {"info"}


@pytest.mark.parametrize("form", ["1234 %b %d %H:%M:%S {}", "[7] 1234 %d %b %H:%M:%S * {}"])
def test_a_time_without_a_year_behind_a_number_of_four_digits(form: str, tmp_path: Path) -> None:
    """Was wrong: any such number was taken for the year."""
    path = tmp_path / "a.log"
    path.write_text("".join(f"{m:{form}}\n".format(text_of(n)) for n, m in enumerate(MOMENTS)))
    written = MOMENTS[-1].timestamp() + 60
    os.utime(path, (written, written))
    found = [time_ns for time_ns, _ in read_events(path)]
    assert found == [seconds_of(moment) * 10**9 for moment in MOMENTS]


@pytest.mark.parametrize("name", ["severityLevel", "SeverityLevel"])
def test_in_records_of_others_the_numbers_are_those_of_syslog(name: str, tmp_path: Path) -> None:
    """Was wrong: they were taken for Azure's, so a 4 was critical and a 2 a warning."""
    path = tmp_path / "a.log"
    rows = [
        {"time": m.isoformat(), "message": text_of(n), name: (6, 6, 4, 7, 6, 2)[n % 6]}
        for n, m in enumerate(MOMENTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, _, levels = read(path)
    assert levels[:6] == ["info", "info", "warning", "debug", "info", "critical"]


def test_a_field_of_azure_s_name_whose_numbers_would_be_errors_is_no_level(tmp_path: Path) -> None:
    """Was wrong: nothing doubted them, so most records were errors or warnings."""
    path = tmp_path / "a.log"
    rows = [
        {"time": m.isoformat(), "message": text_of(n), "severityLevel": (1, 1, 2)[n % 3]}
        for n, m in enumerate(MOMENTS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, _, levels = read(path)
    assert {*levels} == {""}


def test_levels_of_php_that_have_several_words(tmp_path: Path) -> None:
    """Was wrong: a fatal error of PHP had no level, and its words were a part of the message."""
    names = ("Notice", "Warning", "Fatal error", "Parse error")
    form = "[{:%d-%b-%Y %H:%M:%S} UTC] PHP {}:  {}"
    _, texts, levels = read(log_with_levels(tmp_path / "php.log", form, names))
    assert texts == [f"PHP: {text_of(n)}" for n in range(len(MOMENTS))]
    assert levels == ["notice", "warning", "fatal", "fatal"] * 6


@pytest.mark.parametrize(
    "form", ["<{word}> [{time:%H:%M:%S}] pump{n} - ", "[{time:%Y-%m-%d %H:%M:%S} {letter}] pump: "]
)
def test_a_level_in_angle_brackets_or_in_those_of_the_time(form: str, tmp_path: Path) -> None:
    """Was wrong: such lines had no level."""
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            form.format(time=time, n=n, word=("INFO", "WARN")[n % 2], letter="IW"[n % 2])
            + f"{text_of(n)}\n"
            for n, time in enumerate(MOMENTS)
        )
    )
    assert read(path)[2] == ["info", "warning"] * 12
