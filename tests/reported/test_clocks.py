"""Clocks without a date, and stamps without a year behind other words.

Was wrong: their files had no time at all, so that no session ended before its file did.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export.guess import guess_line_format
from fluent_krone.errors import RecordError
from fluent_krone.inputs import read_events
from fluent_krone.reading.records import InputSettings, RecordReader

WRITTEN = datetime(2024, 10, 15, 13, 5, tzinfo=UTC)


def moments(text: str, folder: Path, written: datetime = WRITTEN) -> list[str]:
    path = folder / "a.log"
    path.write_text(text)
    os.utime(path, (written.timestamp(), written.timestamp()))
    times = [time_ns for time_ns, _ in read_events(path)]
    return [
        datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%d %H:%M:%S.%f")[:-3]
        if time_ns
        else ""
        for time_ns in times
    ]


@pytest.mark.parametrize(
    "line",
    [
        "13:00:00.123 [main] INFO a.Pump - started",
        "[13:00:00.123 INF] started",
        "INFO  13:00:00,123 started",
        "[INFO ] 13:00:00.123 routines.Job- started",
        "[Server:node-1] 13:00:00,123 INFO [a.Pump] started",
        "[pool-1-thread-2] 13:00:00,123 INFO started",
        "[Marketing] [13:00:00.123] started",
        "<INFO> [13:00:00.123] pump - started",
        "  log   [13:00:00.123] [info][http] started",
        "[13:00:00:123] [Server thread/INFO]: started",
        "7:M 15 Oct 13:00:00.123 * started",
        "[7] 15 Oct 13:00:00.123 * started",
        "Tue Oct 15 13:00:00.123 [conn7] started",
        "000001: *Oct 15 13:00:00.123: %SYS-5-UP: started",
        "[ 10-15 13:00:00.123  777: 900 I/Pump ]",
        "10/15-13:00:00.123 [**] [1:1000:1] started",
    ],
)
def test_the_file_tells_the_day(line: str, tmp_path: Path) -> None:
    assert moments(f"{line}\n" * 3, tmp_path) == ["15 13:00:00.123"] * 3


@pytest.mark.parametrize(("clock", "hour"), [("1:00PM", 13), ("12:00AM", 0), ("12:00PM", 12)])
def test_gos_kitchen_clock(clock: str, hour: int, tmp_path: Path) -> None:
    """Wrong before: what zerolog writes had no time."""
    found = moments(f"{clock} INF started pump=7\n" * 3, tmp_path, WRITTEN.replace(hour=23))
    assert found == [f"{WRITTEN.day} {hour:02d}:00:00.000"] * 3


def test_a_clock_with_am_or_pm_behind_a_name_in_brackets(tmp_path: Path) -> None:
    found = moments("[build] [1:00:00 PM] › info  started\n" * 3, tmp_path)
    assert found == ["15 13:00:00.000"] * 3


def test_clocks_go_past_midnight(tmp_path: Path) -> None:
    clocks = ("22:00:00", "23:59:59", "00:00:01", "23:59:58", "12:00:00", "23:00:00", "01:00:00")
    text = "".join(f"{clock} INFO a: started\n" for clock in clocks)
    assert [moment[:11] for moment in moments(text, tmp_path)] == [
        *("13 22:00:00", "13 23:59:59", "14 00:00:01", "13 23:59:58", "14 12:00:00", "14 23:00:00"),
        "15 01:00:00",
    ]


def test_a_file_that_was_last_written_behind_midnight(tmp_path: Path) -> None:
    text = "23:00:00 INFO a: started\n"
    written = datetime(2024, 10, 15, 0, 0, 5, tzinfo=UTC)
    assert moments(text, tmp_path, written) == ["14 23:00:00.000"]


@pytest.mark.parametrize(
    "line",
    [
        *("ratio 13:00:00 of 7", "1300:00 no clock", "25:00:00 INFO no clock"),
        # Were wrong: dates in brackets were taken for names, and their clocks for those of today.
        *("[2024-09-30] 13:00:00 INFO paid", "[30/Sep/2024] 13:00:00 INFO paid"),
        *("[30.09.2024] 13:00:00 INFO paid", "[20240930] 13:00:00 INFO paid"),
        *("[09-30] 13:00:00 INFO paid", "[Sep 30] 13:00:00 INFO paid", "[Monday] 13:00:00 paid"),
        *("[run 2024-09-30] 13:00:00 INFO paid", "[sep-30] 1:00:00 PM paid"),
        *("[0.123] 13:00:00 INFO paid", "[Job] 12:30 PM lunch"),
    ],
)
def test_what_is_no_clock(line: str, tmp_path: Path) -> None:
    assert moments(f"{line}\n", tmp_path) == [""]


def test_a_panic_of_go_goes_on_from_the_line_before() -> None:
    """Wrong before: with its lines, no header was found in most of the log."""
    panic = ["panic: no pump", "", "goroutine 1 [running]:", "main.start(0x1)", "\t/srv/a.go:5"]
    lines = [line for n in range(20) for line in (f"2024/10/15 13:00:{n:02d} started {n}", *panic)]
    guess = guess_line_format(lines)
    assert guess is not None
    reader = RecordReader(InputSettings(session_key=("tag",), line_format=guess.line_format))
    assert reader.read(b"a", {b"message": lines[0].encode()})[0] == b"started 0"
    for line in panic:
        with pytest.raises(RecordError) as caught:
            reader.read(b"a", {b"message": line.encode()})
        assert caught.value.reason == "continuation"


def test_a_leap_day_tells_the_year(tmp_path: Path) -> None:
    """Was wrong: where the file was written in another year, the lines before the leap day were of
    that year, and time went back by two years at it."""
    days = ("Feb 27", "Feb 28", "Feb 29", "Mar  1")
    text = "".join(f"{day} 13:00:00 node7 app[5]: started\n" for day in days)
    path = tmp_path / "syslog"
    path.write_text(text)
    written = datetime(2026, 6, 2, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))
    found = [time_ns for time_ns, _ in read_events(path)]
    assert found == [
        int(datetime(2024, month, day, 13, tzinfo=UTC).timestamp()) * 10**9
        for month, day in ((2, 27), (2, 28), (2, 29), (3, 1))
    ]
