"""Times that were read wrong: naive ones taken as UTC, offsets and units not understood."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from export.guess import guess_line_format
from fluent_krone.errors import ConfigError, RecordError
from fluent_krone.inputs import read_events
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.times import TimeReader, parse_time


def at(text: str) -> int:
    """ns of an ISO time with its offset."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Wrong before: refused, or the offset was dropped.
        ("2024-10-15 13:00:00 +02:00", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15 13:00:00 +0200", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15 13:00:00 -0330", "2024-10-15T16:30:00+00:00"),
        ("2024-10-15T13:00:00 CEST", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15 13:00:00 EST", "2024-10-15T18:00:00+00:00"),
        ("2024-10-15 13:00:00 EAT", "2024-10-15T10:00:00+00:00"),
        ("2024-10-15 13:00:00 UTC+2", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15t13:00:00z", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15 01:00:00 PM", "2024-10-15T13:00:00+00:00"),
        ("10/15/2024 12:00:00 AM", "2024-10-15T00:00:00+00:00"),
        ("20241015T130000.123Z", "2024-10-15T13:00:00.123000+00:00"),
        ("2024-10-15 13:00:00,123", "2024-10-15T13:00:00.123000+00:00"),
        ("2024/10/15 13:00:00.123", "2024-10-15T13:00:00.123000+00:00"),
        ("15/Oct/2024:13:00:00 +0200", "2024-10-15T11:00:00+00:00"),
        ("Tue, 15 Oct 2024 13:00:00 +0200", "2024-10-15T11:00:00+00:00"),
        ("Tue Oct 15 13:00:00 CEST 2024", "2024-10-15T11:00:00+00:00"),
        ("Oct 15, 2024 1:00:00 PM", "2024-10-15T13:00:00+00:00"),
        ("15.10.2024 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("05.10.2024 13:00:00", "2024-10-05T13:00:00+00:00"),
        ("25/10/2024 13:00:00", "2024-10-25T13:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59+00:00"),
        # Go's own form, with the zone twice and the time since the start
        ("2024-10-15 13:00:00 +0200 CEST", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15 13:00:00.123 +0000 UTC m=+0.000012", "2024-10-15T13:00:00.123000+00:00"),
        # clocks of names of files, and of SAS
        ("2024-10-15_13-00-00", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15T130000Z", "2024-10-15T13:00:00+00:00"),
        ("2024_10_15 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("15OCT2024:13:00:00.12", "2024-10-15T13:00:00.120000+00:00"),
        # seconds and nanoseconds in hexadecimal, as OpenLDAP writes them
        ("670e67d0.0754d4c0", "2024-10-15T13:02:08.123000+00:00"),
        # OpenSSL
        ("Oct 15 13:00:00 2024 GMT", "2024-10-15T13:00:00+00:00"),
        # the day of the year, as mainframes write it
        ("2024289 13:00:00.12", "2024-10-15T13:00:00.120000+00:00"),
        ("2024.289 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("15. Okt. 2024, 13:00 Uhr", "2024-10-15T13:00:00+00:00"),
        # years of eras
        ("令和6年10月15日 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("民國113年10月15日 13:00:00", "2024-10-15T13:00:00+00:00"),
    ],
)
def test_forms_of_times(text: str, expected: str) -> None:
    assert parse_time(text) == at(expected)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        # Wrong before: all were seconds, so that milliseconds were in the year 56000.
        (1_728_997_200, 1_728_997_200 * 10**9),
        (1_728_997_200_123, 1_728_997_200_123 * 10**6),
        (1_728_997_200_123_456, 1_728_997_200_123_456 * 10**3),
        (1_728_997_200_123_456_789, 1_728_997_200_123_456_789),
        # Wrong before: a FILETIME of Windows, 100 ns since 1601, was read as ns of 1974.
        (133_734_708_001_230_000, 1_728_997_200_123 * 10**6),
        # Wrong before: ticks of .NET, 100 ns since the year 1, were read as ns of 1990.
        (638_645_940_001_230_000, 1_728_997_200_123 * 10**6),
        (1_728_997_200.5, 1_728_997_200_500_000_000),
    ],
)
def test_epochs_are_told_apart_by_their_size(number: float, expected: int, as_text: bool) -> None:
    reader = RecordReader(InputSettings(session_key=("id",), time_field="t"))
    value = number if not as_text else str(number).encode()
    assert reader.time({b"t": value, b"message": b"x"}) == expected


def test_a_list_of_the_parts_of_a_time() -> None:
    """Wrong before: what Jackson makes of a LocalDateTime was no time."""
    reader = RecordReader(InputSettings(session_key=("id",), time_field="t"))
    record = {b"t": [2024, 10, 15, 13, 0, 1, 123_000_000], b"message": b"x"}
    assert reader.time(record) == at("2024-10-15T13:00:01.123+00:00")
    for wrong in ([1, 2], [[2024], 1, 1, 1, 1], [b"2024", 1, 1, 1, 1], [2024, 13, 1, 1, 1]):
        with pytest.raises(RecordError):
            reader.time({**record, b"t": wrong})


def test_nanoseconds_are_kept() -> None:
    assert parse_time("2024-10-15T13:00:00.123456789Z") % 10**9 == 123_456_789


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        # Wrong before: there was no timezone, and all of these were UTC.
        ("Europe/Berlin", "2024-07-01 12:00:00", "2024-07-01T10:00:00+00:00"),
        ("Europe/Berlin", "2024-12-01 12:00:00", "2024-12-01T11:00:00+00:00"),
        ("Asia/Shanghai", "2024-07-01 12:00:00", "2024-07-01T04:00:00+00:00"),
        ("America/New_York", "2024-03-10 02:30:00", "2024-03-10T07:30:00+00:00"),
        ("Asia/Shanghai", "2024-07-01 12:00:00 CST", "2024-07-01T04:00:00+00:00"),
        ("Europe/Berlin", "2024-07-01T12:00:00Z", "2024-07-01T12:00:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_zone_of_the_stream(
    zone: str, text: str, expected: str
) -> None:
    assert TimeReader(timezone=zone).read(text) == at(expected)
    settings = InputSettings(session_key=("id",), time_field="t", timezone=zone)
    assert RecordReader(settings).time({b"t": text.encode(), b"message": b"x"}) == at(expected)


@pytest.mark.parametrize("time_format", [None, "%Y-%m-%d %H:%M:%S.%f"])
def test_fractions_of_one_second_are_each_its_own_time(time_format: str | None) -> None:
    """A second that comes twice has both its meanings whatever its fraction."""
    reader = TimeReader(time_format, "Europe/Berlin")
    fractions = ["000000001", "5", "25", "123456789", "999"]
    texts = [f"2024-10-27 {clock}.{f}" for clock in ("02:30:00", "02:59:59") for f in fractions]
    summer = [at("2024-10-27T02:30:00+02:00"), at("2024-10-27T02:59:59+02:00")]
    more = [int(f.ljust(9, "0")) for f in fractions]
    expected = [second + ns for second in summer for ns in more]
    assert [reader.read(text) for text in texts] == expected
    # The same texts come again in winter time.
    assert [reader.read(text) for text in texts] == [time_ns + 3600 * 10**9 for time_ns in expected]


def test_the_hour_that_comes_twice_is_read_in_order() -> None:
    """Wrong before: the second 02:10 was before 02:50."""
    reader = TimeReader(timezone="Europe/Berlin")
    clocks = ["01:50", "02:10", "02:50", "02:49", "02:10", "02:50", "03:10"]
    times = [reader.read(f"2024-10-27 {clock}:00") for clock in clocks]
    minutes = [(time - times[0]) // (60 * 10**9) for time in times]
    assert minutes == [0, 20, 60, 59, 80, 120, 140]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15. Oktober 2024 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024. 10. 15. 오후 1:00:00", "2024-10-15T13:00:00+00:00"),
        # A clock of 24 hours with PM behind it.
        ("2024-10-15 13:00:00 PM", "2024-10-15T13:00:00+00:00"),
        ("15-oct.-2024 13:00:00.123", "2024-10-15T13:00:00.123+00:00"),
        ("15 août 2024 13:00:00", "2024-08-15T13:00:00+00:00"),
        ("окт 15, 2024 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024年10月15日 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024년 10월 15일 오후 1:00:00", "2024-10-15T13:00:00+00:00"),
        ("10月 15, 2024 1:00:00 下午", "2024-10-15T13:00:00+00:00"),
        ("Oct 15, 2024 @ 13:00:00.123", "2024-10-15T13:00:00.123+00:00"),
        ("15-Oct-2024 13:00:00 Europe/Berlin", "2024-10-15T11:00:00+00:00"),
        ("20241015130000123", "2024-10-15T13:00:00.123+00:00"),
        ("20241015130000.123", "2024-10-15T13:00:00.123+00:00"),
        ("10/15/24 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("24/10/15 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("Tue Oct 15 2024 13:00:00 GMT+0200 (Central European Summer Time)", "2024-10-15T11:00Z"),
        ("2024-10-15T13:00:00+02:00[Europe/Berlin]", "2024-10-15T11:00:00+00:00"),
        ("Tuesday, 15-Oct-24 13:00:00 UTC", "2024-10-15T13:00:00+00:00"),
        ("15-OCT-24 01.00.00.123456 PM", "2024-10-15T13:00:00.123456+00:00"),
        ("13:00:00 15.10.2024", "2024-10-15T13:00:00+00:00"),
        ("13:00:00.123 CEST Tue Oct 15 2024", "2024-10-15T11:00:00.123+00:00"),
        ("/Date(1728997200123+0200)/", "2024-10-15T13:00:00.123+00:00"),
        ("1728997200,123", "2024-10-15T13:00:00.123+00:00"),
        ("@1728997200", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15T13:00:00\u221202:00", "2024-10-15T15:00:00+00:00"),
        ("2024-10-14T24:00:00Z", "2024-10-15T00:00:00+00:00"),
        ("15 octobre 2024 à 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("Di 15. Okt 13:00:00 CEST 2024", "2024-10-15T11:00:00+00:00"),
        ("2024-10-15-13.00.00.123456+120", "2024-10-15T11:00:00.123456+00:00"),
        ("2024 Oct 15 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("Oct/15/2024 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024-W42-2T13:00:00Z", "2024-10-15T13:00:00+00:00"),
        ("2024-289T13:00:00Z", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15T13:00:00'123", "2024-10-15T13:00:00.123+00:00"),
        # Was read as one o'clock at night.
        ("2024-10-15 PM 01:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15 13h00m00s", "2024-10-15T13:00:00+00:00"),
        ("2024년10월15일 13시00분00초", "2024-10-15T13:00:00+00:00"),
        ("15 października 2024 13:00:00", "2024-10-15T13:00:00+00:00"),
        ("2024-10-15 13:00:00 Etc/GMT-2", "2024-10-15T11:00:00+00:00"),
        ("2567-10-15 13:00:00", "2024-10-15T13:00:00+00:00"),
    ],
)
def test_times_of_other_languages_and_programs(text: str, expected: str) -> None:
    """Wrong before: none of them was a time."""
    assert TimeReader().read(text) == at(expected)


def test_a_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="timezone 'Berlin' is not known"):
        InputSettings(session_key=("id",), timezone="Berlin")


def test_a_format_with_a_zone_abbreviation() -> None:
    """Wrong before: strptime knows no abbreviation but its machine's own."""
    read = TimeReader("%Y-%m-%d %H:%M:%S %Z").read("2024-10-15 13:00:00 CEST")
    assert read == at("2024-10-15T11:00:00+00:00")
    with_offset = TimeReader("%Y-%m-%d %H:%M:%S %Z").read("2024-10-15 13:00:00 GMT+2")
    assert with_offset == at("2024-10-15T11:00:00+00:00")


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%m/%d/%Y %I:%M:%S%p", "10/15/2024 01:00:00PM"),
        ("%m/%d/%Y %I:%M:%S %p", "10/15/2024 01:00:00PM"),
        ("%m/%d/%Y %I:%M:%S.%f%p", "10/15/2024 01:00:00.5PM"),
        ("%m/%d/%Y %I:%M:%S %p", "10/15/2024 01:00:00 p.m."),
    ],
)
def test_a_half_of_the_day_stands_where_the_format_has_it(time_format: str, text: str) -> None:
    read = TimeReader(time_format).read(text)
    assert read // 10**9 * 10**9 == at("2024-10-15T13:00:00+00:00")


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%d-%m-%y %H:%M:%S %z", "15-10-24 15:00:00 +02"),
        ("%d-%m-%y %H:%M:%S%z", "15-10-24 08:00:00-05"),
        ("%m/%d/%Y %I:%M:%S %p %z", "10/15/2024 03:00:00 PM +02"),
        ("%m/%d/%Y %I:%M:%S %p%z", "10/15/2024 01:00:00PMZ"),
    ],
)
def test_an_offset_behind_a_format_may_be_hours_or_a_letter(time_format: str, text: str) -> None:
    """Wrong before: strptime needs the minutes of an offset, and a word's end behind PM."""
    assert TimeReader(time_format).read(text) == at("2024-10-15T13:00:00+00:00")


@pytest.mark.parametrize("time_format", [None, "%Y-%m-%d %H:%M:%S.%f"])
def test_an_error_names_the_text_as_it_stands(time_format: str | None) -> None:
    with pytest.raises(RecordError, match=r"'2024-99-15 13:00:00\.123' is not a time"):
        TimeReader(time_format).read("2024-99-15 13:00:00.123")


@pytest.mark.parametrize(
    "text", ["soon", "", "2024-13-45 00:00:00", "2024-10-15 24:00:01", "13:00:00", "1e999", "[1]"]
)
def test_what_is_no_time_is_still_refused(text: str) -> None:
    with pytest.raises(RecordError):
        parse_time(text)


def lines_of(tmp_path: Path, *lines: str, timezone: str | None = None) -> list[int | None]:
    path = tmp_path / "app.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return [time_ns for time_ns, _ in read_events(path, timezone)]


def test_yearless_stamps_take_the_year_in_order(tmp_path: Path) -> None:
    """Wrong before: each took the year by the file's date, so a copied file was cut in two."""
    now = datetime.now(UTC)
    stamps = [
        f"{now.replace(day=1).strftime('%b')}  1 00:00:0{i} host app: a" for i in range(3)
    ] + [
        "Dec 31 23:59:58 host app: b",
        "Dec 31 23:59:59 host app: b",
        "Jan  1 00:00:01 host app: c",
    ]
    times = lines_of(tmp_path, *stamps)
    assert None not in times
    assert times == sorted(times, key=int)  # type: ignore[arg-type]
    assert times[-1] - times[-2] == 2 * 10**9  # type: ignore[operator]


@pytest.mark.parametrize("written", ["2025-02-01", "2024-12-31", "2025-10-01"])
@pytest.mark.parametrize(
    "form",
    [
        *("%b %d %H:%M:%S host app: a", "%m-%d %H:%M:%S.000 1 1 I Tag: a"),
        *("INFO %m-%d %H:%M:%S.000 a", "app[1]: %b %d %H:%M:%S.000 a"),
    ],
)
def test_a_log_of_several_years_ends_when_its_file_was_written(
    form: str, written: str, tmp_path: Path
) -> None:
    """Was wrong: its first stamp was of the year of the file, and the others lay in the future."""
    last = datetime.fromisoformat(f"{written}T00:00:00+00:00") - timedelta(hours=5)
    moments = [last - timedelta(days=40 * n) for n in range(21)][::-1]
    path = tmp_path / "app.log"
    path.write_text("".join(moment.strftime(f"{form}\n") for moment in moments))
    os.utime(path, (last.timestamp(), last.timestamp()))
    times = [time_ns for time_ns, _ in read_events(path)]
    assert times == [int(moment.timestamp()) * 10**9 for moment in moments]


def test_a_clock_that_was_not_set_moves_no_other_line_by_a_year(tmp_path: Path) -> None:
    """Were right, then wrong: all lines were of 2023."""
    days = [datetime(2024, 10, day, 12, tzinfo=UTC) for day in range(10, 28)]
    path = tmp_path / "app.log"
    stamps = [f"{day:%b %d %H:%M:%S} host app: a" for day in days]
    path.write_text("\n".join([*stamps, *["Jan  1 00:00:07 host kernel: booting"] * 5]))
    os.utime(path, (days[-1].timestamp(), days[-1].timestamp()))
    times = [time_ns for time_ns, _ in read_events(path)]
    assert times[: len(days)] == [int(day.timestamp()) * 10**9 for day in days]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("10-15 13:00:00.123456 +0200  1234  5678 I Tag: x", "2024-10-15T11:00:00.123456+00:00"),
        ("Oct 15 13:00:00 CEST: %SYS-5-CONFIG: x", "2024-10-15T11:00:00+00:00"),
        ("*Oct 15 13:00:00.123 EST: %SYS-5-CONFIG: x", "2024-10-15T18:00:00.123+00:00"),
        # a host of that name
        ("Oct 15 13:00:00 MSK sshd[1]: x", "2024-10-15T13:00:00+00:00"),
    ],
)
def test_a_zone_behind_a_yearless_stamp_counts(line: str, expected: str, tmp_path: Path) -> None:
    """Wrong before: it was no part of the time, which was taken as UTC."""
    path = tmp_path / "a.log"
    path.write_text(f"{line}\n")
    written = at("2024-10-16T00:00:00+00:00") / 10**9
    os.utime(path, (written, written))
    assert [time_ns for time_ns, _ in read_events(path)] == [at(expected)]


@pytest.mark.parametrize("order", ["%d/%m/%Y", "%m/%d/%Y"])
def test_nine_days_in_a_row_are_no_nine_months(order: str) -> None:
    """Wrong before: 03/09, 04/09 … 11/09 were the ninth days of nine months, as all goes on so."""
    days = [datetime(2024, 9, 3) + timedelta(days=n) for n in range(9)]
    guess = guess_line_format([day.strftime(f"{order} 10:00:00 INFO a.b: x") for day in days])
    assert guess is not None
    assert guess.time_format == f"{order} %H:%M:%S"


@pytest.mark.parametrize(
    "line",
    [
        "Oct-15 13:00:00.000 [main] order paid",
        "15-Oct 13:00 dir JobId 7: order paid",
        "[WARNING] 289/130000 (7) : order paid",
        "oct/15 13:00:00 system,info order paid",
        "[rank0]:I1015 13:00:00.000000 7 torch/run.py:7] order paid",
        "[1234:5678:1015/130000.000000:INFO:pump.cc(7)] order paid",
    ],
)
def test_further_stamps_without_a_year(line: str, tmp_path: Path) -> None:
    """Was wrong: the lines had no time."""
    path = tmp_path / "a.log"
    path.write_text(f"{line}\n" * 3)
    written = datetime(2024, 12, 31, tzinfo=UTC).timestamp()
    os.utime(path, (written, written))
    assert {time_ns for time_ns, _ in read_events(path)} == {1_728_997_200 * 10**9}


@pytest.mark.parametrize("form", ["%d/%m %H:%M:%S a", "%m/%d %H:%M:%S a", "[%d-%m %H:%M:%S] a"])
def test_day_and_month_without_a_year_are_told_apart(form: str, tmp_path: Path) -> None:
    """Wrong before: the first number was a month, and where it was above 12, no time was read."""
    days = [datetime(2024, 10, 8, 13, tzinfo=UTC) + timedelta(days=n) for n in range(9)]
    times = lines_of(tmp_path, *(day.strftime(form) for day in days))
    assert [time - times[0] for time in times] == [  # type: ignore[operator]
        n * 86_400 * 10**9 for n in range(9)
    ]


def test_the_day_comes_first_behind_words_too(tmp_path: Path) -> None:
    """Wrong before: the last day of the year had no time."""
    times = lines_of(tmp_path, "INFO 31/12 23:59:58 a", "INFO 01/01 00:00:01 b")
    assert times[1] - times[0] == 3 * 10**9  # type: ignore[operator]


@pytest.mark.parametrize("form", ["%m-%d %H:%M:%S.500  7  9 I app: a", "INFO %m/%d %H:%M:%S a"])
def test_the_month_comes_first_where_little_happens(form: str, tmp_path: Path) -> None:
    """Was wrong: a job of each month was one of each day."""
    days = [datetime(2024, month, 5, 13, tzinfo=UTC) for month in range(3, 9)]
    times = lines_of(tmp_path, *(day.strftime(form) for day in days))
    assert [(time - times[0]) // (86_400 * 10**9) for time in times] == [  # type: ignore[operator]
        (day - days[0]).days for day in days
    ]


def test_the_day_comes_first_where_dates_go_back_otherwise(tmp_path: Path) -> None:
    times = lines_of(tmp_path, "05/09 13:00:00 a", "03/10 13:00:00 a", "01/11 13:00:00 a")
    assert [(time - times[0]) // (86_400 * 10**9) for time in times] == [  # type: ignore[operator]
        0, 28, 57,
    ]  # fmt: skip


def test_the_order_of_dates_with_a_year_is_learnt_behind_one_without(tmp_path: Path) -> None:
    """Was wrong: the 5th, 6th and 7th of October were days of May, June and July."""
    days = [f"{day:02d}/10/2024 13:00:00 a" for day in (5, 6, 7)]
    times = lines_of(tmp_path, "09-05 13:00:00 boot", *days)
    assert [(time - times[1]) // 10**9 for time in times[1:]] == [  # type: ignore[operator]
        0, 86_400, 2 * 86_400,
    ]  # fmt: skip


def test_a_late_line_of_last_year_stays_there(tmp_path: Path) -> None:
    times = lines_of(tmp_path, "Dec 31 23:59:58 a", "Jan  1 00:00:01 b", "Dec 31 23:59:59 a")
    assert [time - times[0] for time in times] == [0, 3 * 10**9, 10**9]  # type: ignore[operator]


def test_lines_of_a_file_are_in_the_zone_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"time": "2024-07-01 12:00:00", "message": "x"}\n')
    [(time_ns, _)] = read_events(path, "Europe/Berlin")
    assert time_ns == at("2024-07-01T10:00:00+00:00")


@pytest.mark.parametrize("day_first", [True, False])
def test_day_and_month_are_told_apart_by_the_whole_file(tmp_path: Path, day_first: bool) -> None:
    """Wrong before: such times were not read at all. The first dates fit both readings."""
    path = tmp_path / "a.jsonl"
    days = [datetime(2024, 2, 1, 10) + timedelta(days=n) for n in range(11)]
    form = "%m/%d/%Y %H:%M:%S"
    if day_first:
        form = "%d/%m/%Y %H:%M:%S"
    path.write_text(
        "".join(f'{{"time": "{day.strftime(form)}", "message": "x"}}\n' for day in days)
    )
    times = [time_ns for time_ns, _ in read_events(path)]
    assert times == [int(day.replace(tzinfo=UTC).timestamp()) * 10**9 for day in days]


@pytest.mark.parametrize("ago_days", [0, 200])
@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d"])
def test_the_date_of_the_file_tells_what_a_log_of_one_day_does_not(
    form: str, ago_days: int, tmp_path: Path
) -> None:
    """Wrong before: 12 March was 3 December, which was yet to come, or a day of 2003 or 2028."""
    day = datetime(2026, 3, 12, 13, tzinfo=UTC)
    written = day + timedelta(days=ago_days, seconds=30)
    stamps = [(day + timedelta(seconds=n)).strftime(f"{form} %H:%M:%S") for n in range(30)]
    lines = [f"{stamp} INFO acme.Pump: started pump {n}" for n, stamp in enumerate(stamps)]
    guess = guess_line_format(lines, written_ns=int(written.timestamp()) * 10**9)
    assert guess is not None
    assert guess.time_format is not None
    assert TimeReader(guess.time_format).read(stamps[0]) == int(day.timestamp()) * 10**9
    if not form.startswith("%y"):
        path = tmp_path / "a.jsonl"
        path.write_text("".join(f'{{"time": "{stamp}", "message": "x"}}\n' for stamp in stamps))
        os.utime(path, (written.timestamp(), written.timestamp()))
        assert next(iter(read_events(path)))[0] == int(day.timestamp()) * 10**9


@pytest.mark.parametrize("day_first", [True, False])
def test_day_and_month_of_lines_are_told_apart_by_the_whole_file(
    day_first: bool, tmp_path: Path
) -> None:
    """Wrong before: such lines had no time, so that several files were not merged."""
    days = [datetime(2024, 2, 1, 10, tzinfo=UTC) + timedelta(days=n) for n in range(11)]
    form = "%m/%d/%Y %H:%M:%S x"
    if day_first:
        form = "%d/%m/%Y %H:%M:%S x"
    found = lines_of(tmp_path, *(day.strftime(form) for day in days))
    assert found == [int(day.timestamp()) * 10**9 for day in days]


def test_where_neither_order_nor_file_tell_the_month_comes_first_and_this_is_said() -> None:
    day = datetime(2026, 5, 6, 13, tzinfo=UTC)
    guess = guess_line_format(
        [day.strftime("%m/%d/%Y %H:%M:%S INFO acme.Pump: started")] * 20,
        written_ns=int((day + timedelta(days=100)).timestamp()) * 10**9,
    )
    assert guess is not None
    assert guess.time_format == "%m/%d/%Y %H:%M:%S"
    assert guess.other_time_format == "%d/%m/%Y %H:%M:%S"


@pytest.mark.parametrize("unit", [1, 1000])
@pytest.mark.parametrize("sign", ["", '"'], ids=["number", "text"])
@pytest.mark.parametrize("name", ["emitted", "n"])
def test_numbers_that_go_on_with_time_are_times_whatever_their_name(
    tmp_path: Path, name: str, sign: str, unit: int
) -> None:
    """Wrong before: a log whose times are in such a field had none, and nothing was told of it."""
    path = tmp_path / "a.jsonl"
    start = int(datetime.now(UTC).timestamp()) - 86_400
    # Two hosts, one of which is behind by half a second.
    times = [start + 3 * number - (number % 3 == 0) / 2 for number in range(60)]
    path.write_text(
        "".join(f'{{"{name}": {sign}{time * unit:.0f}{sign}, "message": "x"}}\n' for time in times)
    )
    found = [time_ns for time_ns, _ in read_events(path)]
    assert found == [round(time * unit) * 10**9 // unit for time in times]


@pytest.mark.parametrize(
    "numbers",
    [
        # Ids of orders that grow, from another decade when read as seconds.
        [1_000_000_000 + number for number in range(60)],
        # Ids in no order.
        [1_700_000_000 + (number * 7_919_993) % 90_000_000 for number in range(60)],
        # The same time in all records says nothing of any.
        [int(datetime.now(UTC).timestamp()) - 3600] * 60,
        # Times to come.
        [int(datetime.now(UTC).timestamp()) + 30 * 86_400 + number for number in range(60)],
    ],
)
def test_ids_and_counts_are_no_times(tmp_path: Path, numbers: list[int]) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"order": {number}, "message": "x"}}\n' for number in numbers))
    assert {time_ns for time_ns, _ in read_events(path)} == {None}


@pytest.mark.parametrize(
    "text",
    [
        "15 октября 2024 г. 13:00:00",
        "+002024-10-15T13:00:00Z",
        "2024:10:15 13:00:00",
        "241015 13:00:00",
        "[15/Oct/2024:13:00:00 +0000]",
        '"2024-10-15 13:00:00"',
        "2024-10-15T1300Z",
        "20241015T1500+02",
        "2024-10-15 15:00:00 +02:00:00",
        "15th October 2024 13:00:00",
        "October 15th, 2024 13:00:00",
        "15 tháng 10, 2024 13:00:00",
        "2024年10月15日 13時0分0秒",
        "2024년 10월 15일 13시 0분 0초",
        "1728997200s",
        "1728997200000ms",
        "2024-10-15 18:00:00 PKT",
        "2024-10-15 18:45:00 NPT",
    ],
)
def test_further_forms_of_times(text: str) -> None:
    """Was wrong: they were no times."""
    assert TimeReader().read(text) == 1_728_997_200 * 10**9
