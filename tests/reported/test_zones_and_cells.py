"""Zones in pairs of their own, dates and clocks in cells, and numbers behind times.

Were read right, then wrong: what was added for some logs also took what others meant otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export.first_pass import timed
from export.guess import guess_line_format
from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANKS, levels_of
from fluent_krone.reading.records import InputSettings, RecordReader

# An afternoon on which the day is no month, so that its date can be read in one way only.
T0 = datetime(2024, 10, 15, 13, tzinfo=UTC)
STEPS = ("open door", "start pump", "stop pump", "close door", "check oil")


def moments(count: int = 100) -> list[datetime]:
    return [T0 + timedelta(seconds=7 * n) for n in range(count)]


def read(path: Path, lines: Iterable[str]) -> tuple[list[float], list[str]]:
    """How many hours after T0 the lines were written, as an export reads them, and their texts."""
    path.write_text("".join(f"{line}\n" for line in lines))
    reader = RecordReader(settle(Options(input=path, session_key=("tag",)), len, len))
    hours, texts = [], []
    for time_ns, record in timed(read_events(path), reader):
        assert time_ns is not None
        hours.append((time_ns / 10**9 - T0.timestamp()) / 3600)
        texts.append(reader.read(b"", record)[0].decode())
    return hours, texts


def hours_of(times: Iterable[datetime], offset: float = 0.0) -> list[float]:
    """What `read` gives where the clock of the lines goes ahead by `offset` hours."""
    return [(time - T0).total_seconds() / 3600 - offset for time in times]


@pytest.mark.parametrize(
    ("form", "offset"),
    [
        ('id=firewall time="{time}" fw="SN7" tz=+0200 pri=5 msg="{step}"', 2),
        ('time="{time}" tz="+02" level=info msg="{step}"', 2),
        # What a user or a client says of a zone
        ("{time} INFO {step} user tz={zone}", 0),
        ("{time} INFO GET /report, tz=EST {step}", 0),
        ('time="{time}" level=info msg="{step} of tz={number}"', 0),
        ('time="{time}" msg="user tz={number} {step}"', 0),
        ('time="{time}" user=ann tz={zone} msg="{step}"', 0),
    ],
)
def test_a_zone_in_a_pair_is_that_of_the_time_where_it_stands_beside_it(
    form: str, offset: int, tmp_path: Path
) -> None:
    lines = [
        form.format(
            time=f"{time:%Y-%m-%d %H:%M:%S}",
            step=STEPS[n % 5],
            zone=("EST", "PST", "CET")[n % 3],
            number=("+0200", "-0500", "+0900")[n % 3],
        )
        for n, time in enumerate(moments())
    ]
    hours, _ = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments(), offset))


@pytest.mark.parametrize("every", [2, 4, 30])
@pytest.mark.parametrize("level", ["", "level=info "])
@pytest.mark.parametrize("before", ["", 'fw="a" '])
def test_lines_without_the_zone_are_in_that_of_their_neighbours(
    before: str, level: str, every: int, tmp_path: Path
) -> None:
    lines = [
        f'time="{time:%Y-%m-%d %H:%M:%S}" {before}'
        f'{"tz=+0200 " if n % every else ""}{level}msg="{STEPS[n % 5]}"'
        for n, time in enumerate(moments(300))
    ]
    hours, _ = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments(300)))


@pytest.mark.parametrize("number", ["-10", "+05", "-49", "-00"])
@pytest.mark.parametrize(
    "form", ["%Y %b %d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.5Z", "%Y-%m-%dT%H:%M:%SZ"]
)
def test_a_number_with_a_sign_behind_a_time_is_the_message_s(
    form: str, number: str, tmp_path: Path
) -> None:
    lines = [f"{time:{form}} {number} dBm from ap1" for time in moments()]
    hours, texts = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments()), abs=0.02)
    assert set(texts) == {f"{number} dBm from ap1"}


@pytest.mark.parametrize(("zone", "offset"), [("CEST", 2), ("+0200", 2), ("-03:30", -3.5)])
def test_a_zone_behind_a_time_with_the_name_of_its_month(
    zone: str, offset: float, tmp_path: Path
) -> None:
    lines = [f"{time:%Y %b %d %H:%M:%S} {zone} started" for time in moments()]
    hours, texts = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments(), offset))
    assert set(texts) == {"started"}


@pytest.mark.parametrize(
    ("form", "offset"),
    [
        ("%m/%d/%Y, %H:%M:%S EST INFO {step}", -5),
        ("[%m/%d/%y, %H:%M:%S:000 CEST] INFO {step}", 2),
        ("%d/%m/%Y, %H:%M:%S,000 INFO {step}", 0),
        ("%Y-%m-%d\t%H:%M:%S+0200\tINFO\t{step}", 2),
        ("%Y-%m-%d\t%H:%M:%S +0200\tINFO\t{step}", 2),
        ("%Y-%m-%d\t%H:%M:%SZ\tINFO\t{step}", 0),
        ("%y/%m/%d|%H:%M:%S|INFO|{step}", 0),
        ("%m/%d/%Y|%H:%M:%S|INFO|{step}", 0),
        ("%Y/%m/%d|%H:%M:%S|INFO|{step}", 0),
        ("%m-%d-%y,%H:%M:%S,INFO,{step}", 0),
    ],
)
def test_a_date_and_a_clock_beside_it(form: str, offset: int, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    lines = [time.strftime(form).format(step=STEPS[n % 5]) for n, time in enumerate(moments())]
    hours, texts = read(path, lines)
    assert hours == pytest.approx(hours_of(moments(), offset))
    assert set(texts) == set(STEPS)
    reader = RecordReader(settle(Options(input=path, session_key=("tag",)), len, len))
    levels = levels_of(reader)
    assert {levels.rank(record) for _, record in read_events(path)} == {RANKS[b"info"]}


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y, %H:%M:%S,{ms} INFO a", "[%m/%d/%y, %H:%M:%S:{ms} UTC] a b"]
)
def test_milliseconds_behind_a_date_and_its_clock(form: str, tmp_path: Path) -> None:
    lines = [time.strftime(form).format(ms=f"{n:03}") for n, time in enumerate(moments())]
    hours, _ = read(tmp_path / "a.log", lines)
    times = [time + timedelta(milliseconds=n) for n, time in enumerate(moments())]
    assert [round(hour * 3_600_000) for hour in hours] == [
        round(hour * 3_600_000) for hour in hours_of(times)
    ]


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("OMST", 6), ("(EDT)", -4), ("(CEST)", 2), ("YEKT", 5), ("CLST", -3), ("IRST", 3.5)],
)
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S"])
def test_abbreviations_of_zones_and_those_in_brackets(
    form: str, zone: str, offset: float, tmp_path: Path
) -> None:
    """Wrong before: these times were taken as UTC."""
    lines = [
        f"{time:{form}} {zone} INFO {step}" for time, step in zip(moments(5), STEPS, strict=True)
    ]
    hours, texts = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments(5), offset))
    assert texts == [*STEPS]


@pytest.mark.parametrize("word", ["CLT", "CAT", "EAT", "IDT", "NST", "PETT"])
@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%b %d %H:%M:%S"])
def test_a_word_behind_a_time_is_no_zone(form: str, word: str, tmp_path: Path) -> None:
    """Were right, then wrong: such lines were hours away from those beside them."""
    lines = [f"{time:{form}} {('SRV', word)[n % 2]}: on" for n, time in enumerate(moments(8))]
    path = tmp_path / "a.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (T0.timestamp() + 60, T0.timestamp() + 60))
    reader = RecordReader(settle(Options(input=path, session_key=("tag",)), len, len))
    times = [(time_ns or 0) / 10**9 for time_ns, _ in timed(read_events(path), reader)]
    assert times == [time.timestamp() for time in moments(8)]


@pytest.mark.parametrize(
    "form",
    [
        "%d.%m.%Y %H:%M INFO {}",
        "%d/%m/%y %H:%M - INFO - {}",
        "%m/%d/%Y, %H:%M {}",
        "[%d-%m-%Y %H:%M] pump: {}",
        "%y-%m-%d %H:%M INFO {}",
        "INFO [main] %d.%m.%Y %H:%M - {}",
        "7 Informational %m/%d/%Y %H:%M {}",
        # with the half of the day behind a date that begins with its year
        "%Y-%m-%d %I:%M:00.000 %p | INFO | {}",
    ],
)
def test_times_without_seconds(form: str, tmp_path: Path) -> None:
    """Were wrong: such lines had no time."""
    times = [T0 + timedelta(minutes=7 * n) for n in range(20)]
    lines = [time.strftime(form).format(STEPS[n % 5]) for n, time in enumerate(times)]
    hours, _ = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(times))


@pytest.mark.parametrize(
    ("header", "date"),
    [
        ("13:00:00 INFO ", "due 15/10/2024 12:00 for"),
        ("13:00:00 INFO ", "[15/10/2024 12:00]"),
        ("1:00:00 PM INFO ", "report of 15.10.2024 12:00"),
        ("INFO pump: ", "booked 15.10.24 12:00 for"),
        ("INFO pump: ", "15-10-24 12:00 for"),
    ],
)
def test_a_date_in_a_message_is_not_the_time_of_its_line(header: str, date: str) -> None:
    """Were right, then wrong: all lines were of 12:00, and their messages had lost the date."""
    lines = [f"{header}{date} {STEPS[n % 5]}" for n in range(20)]
    guess = guess_line_format(lines)
    assert guess is not None
    settings = InputSettings(session_key=("tag",), line_format=guess.line_format)
    message = RecordReader(settings).read(b"", {b"message": lines[0].encode()})[0].decode()
    assert message == f"{date} {STEPS[0]}"
    assert not guess.time_format


@pytest.mark.parametrize(
    ("form", "offset"),
    [
        ("%d-%b-%y %I.%M.%S.%f %p +02:00 INFO {}", 2),
        ("%d-%b-%y %I.%M.%S %p INFO {}", 0),
        ("[7] %Y %d %b %H:%M:%S.%f INFO {}", 0),
    ],
)
def test_dates_with_the_name_of_a_month(form: str, offset: int, tmp_path: Path) -> None:
    """Were wrong: Oracle's times with points, and those with the year before the day, had none."""
    lines = [time.strftime(form).format(STEPS[n % 5]) for n, time in enumerate(moments(20))]
    hours, texts = read(tmp_path / "a.log", lines)
    assert hours == pytest.approx(hours_of(moments(20), offset))
    assert texts == [STEPS[n % 5] for n in range(20)]


def test_the_number_of_a_process_before_a_day_is_no_year() -> None:
    """Was right, then wrong: the lines were of the year 2034."""
    lines = [f"2034 15 Oct 13:00:{n:02d}.123 * {STEPS[n % 5]}" for n in range(20)]
    guess = guess_line_format(lines)
    assert guess is None or "time" not in guess.example


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d/%m/%Y %H:%M:%S INFO {}", "the day comes first"),
        ("%m-%d-%Y %H:%M:%S INFO {}", "the month comes first"),
        # No other order is looked for: nothing tells it.
        ("%d.%m.%y %H:%M:%S INFO {}", "the day comes first (--time-format can say otherwise)"),
        ("%Y-%m-%d %H:%M:%S INFO {}", ""),
        ("%y-%m-%d %H:%M:%S INFO {}", ""),
    ],
)
@pytest.mark.parametrize("first", [1, 12])
def test_which_of_day_and_month_comes_first_is_said(
    first: int, form: str, said: str, tmp_path: Path
) -> None:
    """Was wrong: where the order of all dates told it, nothing was said."""
    path = tmp_path / "a.log"
    days = [datetime(2024, 2, first + n, 13, tzinfo=UTC) for n in range(8)]
    path.write_text("".join(day.strftime(f"{form}\n").format(STEPS[0]) for day in days))
    lines: list[str] = []
    settle(Options(input=path, session_key=("tag",)), lines.append, len)
    told = [line for line in lines if "comes first" in line]
    assert len(told) == bool(said)
    assert all(said in line for line in told)
