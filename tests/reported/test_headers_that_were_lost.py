"""Headers that were read rightly, then wrongly for a day, after parts of the tables were taken out.

Was wrong: conditions were taken out of the columns and forms that none of the known logs needed.
Components, levels and processes were lost, sentences had loggers, and times were 12 hours wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import NamedTuple

import pytest

from export.guess import guess_line_format
from export.header_times import compiled, moments

START = datetime(2024, 10, 15, 13, 0, 0, tzinfo=UTC)
COUNTS = (10, 24, 60, 120, 400)
LONG = (60, 120, 400)
USUAL: Mapping[str, Sequence[str]] = {
    "L": ("INFO", "INFO", "WARN", "ERROR", "DEBUG", "INFO"),
    "c": ("pump", "orders", "pool"),
    "C": ("com.acme.Pump", "com.acme.web.Orders", "com.acme.db.Pool"),
    "p": ("812", "4455"),
    "n": ("1", "2", "3"),
    "ip": tuple(f"10.0.{n % 9}.{n * 37 % 250 + 1}" for n in range(200)),
    "T": tuple(f"{START + timedelta(seconds=n):%Y-%m-%d %H:%M:%S}" for n in range(400)),
    "M": tuple(f"{START + timedelta(seconds=n):%b %d %H:%M:%S}" for n in range(400)),
    "D": tuple(f"{START + timedelta(seconds=n):%b-%d %H:%M:%S}" for n in range(400)),
    "S": tuple(f"{START + timedelta(seconds=n):%M:%S}" for n in range(400)),
    "m": (
        *("started pump 7", "queue full, 17 waiting", "Closed session for user bob"),
        *("could not open file /tmp/x", "order 1234 accepted from 10.0.0.9"),
        "Stopped valve 3 of line 9",
    ),
    "one": ("30002312",),
    "station": ("first", "second", "AM radio", "third", "PM"),
    "of12": tuple(str(n) for n in range(12)),
    "of30": tuple(str(n) for n in range(30)),
    "of40": tuple(str(n) for n in range(40)),
    "file": ("pump.py", "orders.py"),
    "order": tuple(str(31290 + 7919 * n) for n in range(400)),
    "fault": ("Error", "Warning", "Error"),
    "fault_": ("error", "warning"),
    "doing": ("reading", "writing", "code 5"),
    "call": ("open", "read", "write failed"),
    "notice": ("listening: 80", "config: loaded", "peer: gone away", "some text"),
    "cause": (
        "unable to open database",
        "disk almost full on sda1",
        "retrying in 5 s",
        "disk full",
    ),
}


class Header(NamedTuple):
    """Lines, and what is read of each: the message is `{m}` where nothing else is said."""

    line: str
    read: Mapping[str, str] | None
    counts: Sequence[int] = COUNTS

    def lines(self, count: int) -> list[dict[str, str]]:
        """The parts of each line."""
        columns = [[*islice(cycle(values), count)] for values in USUAL.values()]
        return [dict(zip(USUAL, parts, strict=True)) for parts in zip(*columns, strict=True)]


SLOT = {"message": "slot [{n}]: {m}"}
HEADERS = (
    # An address that says who called is no logger.
    *(
        Header(line, {"level": "{L}", "caller": "{ip}", "component": "{c}"})
        for line in (
            "{T} {L} source={ip} [{c}] {m}",
            "{T} {L} src={ip} {c}: {m}",
            "{T} {L} caller={ip}:{p} [{c}] {m}",
        )
    ),
    # A time in brackets behind a level is no thread.
    Header("{L} [{M}] {c}: {m}", {"level": "{L}", "component": "{c}"}),
    Header("{L} [{M}] {m}", {"level": "{L}"}),
    # A sentence behind a level has no logger.
    Header("{fault} {doing}: {cause}", None, COUNTS[1:]),
    Header("{fault_}: {call}: {cause}", None, COUNTS[1:]),
    Header("{fault} {notice}", None, COUNTS[1:]),
    Header("{L} order-{order}: {cause}", None),
    # A month, a hyphen and a day.
    Header("{D} {m}", {}),
    Header("<13>{D}.414 host {c}: {m}", {"pri": "13", "host": "host", "component": "{c}"}),
    Header("[{D}] {L} {m}", {"level": "{L}"}),
    # A level behind its logger.
    Header("{c}/{L}: {m}", {"component": "{c}", "level": "{L}"}),
    Header("{C}#{L}: {m}", {"component": "{C}", "level": "{L}"}),
    Header("{T} {c}/{L}: {m}", {"component": "{c}", "level": "{L}"}),
    Header("{T} {C}#{L}: {m}", {"component": "{C}", "level": "{L}"}),
    Header("[{T}] {C}/{L} {m}", {"component": "{C}", "level": "{L}"}),
    # A process before a bar.
    Header("{T}|{one}|{m}", {"pid": "{one}"}),
    Header("{T} {L} | {p} | {m}", {"level": "{L}", "pid": "{p}"}),
    Header("20241015-13:{S}:391|{c}|{one}|{m}", {"component": "{c}", "pid": "{one}"}),
    # A number in brackets before a colon that the message has.
    Header("{T} slot [{n}]: {m}", SLOT),
    Header("{T} retry [{n}]: {m}", {"message": "retry [{n}]: {m}"}),
    Header("{T} error in [{n}]: {m}", {"level": "error", "message": "in [{n}]: {m}"}),
    # A host and further words right behind the time.
    Header("{T} host1 app1 zone1 {c}: {m}", {"host": "host1", "component": "{c}"}),
    Header("{T} host{p} app zone1 {file}:12: {m}", {"host": "host{p}", "component": "{file}"}),
    # An address in brackets right behind the time.
    Header("{T} [{ip}]: {m}", {"client": "{ip}"}),
    # Loggers in brackets of which there are many for so few lines, and jobs that are none.
    Header("{T} {L} [app.mod{of12}.view] {m}", {"level": "{L}", "component": "app.mod{of12}.view"},
           (24, 60, 120)),
    Header("{L} [app.mod{of12}.view] {m}", {"level": "{L}", "component": "app.mod{of12}.view"},
           (24, 60, 120)),
    Header("{T} {L} [app.mod{of40}.view] {m}", {"level": "{L}", "component": "app.mod{of40}.view"},
           (120, 400)),
    Header("[{T}] [app.mod{of12}] [{L}] {m}", {"component": "app.mod{of12}", "level": "{L}"},
           (24, 60, 120)),
    Header("[{T}] [app.mod{of40}] [{L}] {m}", {"component": "app.mod{of40}", "level": "{L}"},
           (120, 400)),
    Header("job{of12}: {L} {c}: {m}", {"level": "{L}", "component": "{c}"}, (10, 24)),
    Header("job{of30}: {L} {c}: {m}", {"level": "{L}", "component": "{c}"}, (10, 24)),
    # A message may begin with AM.
    Header("24/10/15 13:{S} {station} tuned {m}", {"message": "{station} tuned {m}"}),
    # The number of a version is no date.
    Header("{L} {c} 1.2.34-13:{S} {m}", None),
)  # fmt: skip
CASES = [(header, count) for header in HEADERS for count in header.counts]


@pytest.mark.parametrize(
    ("header", "count"), CASES, ids=[f"{header.line} {count}" for header, count in CASES]
)
def test_each_line_has_its_parts(header: Header, count: int) -> None:
    parts = header.lines(count)
    lines = [header.line.format(**values) for values in parts]
    guess = guess_line_format(lines)
    if header.read is None:
        assert guess is None
        return
    assert guess is not None
    pattern = compiled(guess.line_format)
    for line, values in zip(lines, parts, strict=True):
        expected = {
            name: text.format(**values) for name, text in {"message": "{m}", **header.read}.items()
        }
        found = pattern.match(line)
        assert found is not None
        fields = {name: text for name, text in found.groupdict().items() if text is not None}
        assert {name: text for name, text in fields.items() if name != "time"} == expected


# --- times --------------------------------------------------------------------------------------

# The day on which a log was written tells days from years.
WRITTEN_NS = int(datetime(2024, 10, 23, tzinfo=UTC).timestamp()) * 10**9
AFTERNOON = datetime(2024, 10, 22, 15, 34, 18, tzinfo=UTC)
# Times with and without zeros before a month, a day and an hour; some are of two hours before UTC.
TIMES = (
    ("[{at.month}/{at.day}/{at:%y}, {hour}:{at:%M:%S}:000 {at:%p} EDT] {L} {m}", -4),
    ("[{at.month}/{at.day}/{at:%y}, {at:%I:%M:%S}:000 {at:%p}] {L} {m}", 0),
    ("{at:%m/%d/%Y}, {hour}:{at:%M:%S},000 {at:%p} {L} {m}", 0),
    ("{at:%m/%d/%Y}  {hour}:{at:%M:%S},000 {at:%p} {L} {m}", 0),
    ("{at:%y-%m-%dT%I:%M:%S}.000 {at:%p} {L} {m}", 0),
    ("{at:%d-%m-%y}, {hour}:{at:%M:%S}:000 {at:%p} {L} {c}: {m}", 0),
    ("[{at:%d/%m/%y} -- {at:%I:%M:%S}.000 {at:%p}] {L} {m}", 0),
    ("[{at:%d/%m/%y} -- {at:%I:%M:%S} {at:%p}] {L} {m}", 0),
    ("{at:%d/%b/%Y %I:%M:%S}.000 {at:%p} {L} {m}", 0),
    ("{at:%m/%d/%Y} {hour}:{at:%M:%S}{at:%p}Z {L} {m}", 0),
    ("{at:%m-%d-%Y %I:%M:%S}.816 {at:%p} +02;{L};{m}", 2),
    ("[{at:%m/%d/%Y} at {at:%I:%M:%S} {at:%p} +02] [{L}] {m}", 2),
    ("{at:%b %d, %Y %I:%M:%S}.478 {at:%p}+02:00 {L} {m}", 2),
    ("{at:%b %d, %Y} {hour}:{at:%M:%S} {at:%p},862 [main] {L} {C} - {m}", 0),
    ("{at:%b %d, %Y %I:%M:%S}.478 {at:%p}Z {L} {m}", 0),
    ("{at:%b %d, %Y %I:%M:%S}.478 {at:%p} +02:00 {L} {m}", 2),
)


def lines_at(form: str, start: datetime, count: int) -> list[str]:
    """Lines of the form, one each second from `start` on."""
    parts = HEADERS[0].lines(count)
    times = [start + timedelta(seconds=n) for n in range(count)]
    return [
        form.format(at=at, hour=at.hour % 12 or 12, **values)
        for at, values in zip(times, parts, strict=True)
    ]


def times_of(lines: Sequence[str]) -> list[datetime]:
    """What the header that is guessed reads as the times of the lines, in whole seconds."""
    guess = guess_line_format(lines, written_ns=WRITTEN_NS)
    if guess is None:
        return []
    matches = [compiled(guess.line_format).match(line) for line in lines]
    texts = [found["time"] for found in matches if found and "time" in found.groupdict()]
    return [datetime.fromtimestamp(ns // 10**9, UTC) for ns in moments(texts, guess.time_format)]


@pytest.mark.parametrize("count", [10, 60])
@pytest.mark.parametrize(("form", "zone"), TIMES, ids=[form for form, _ in TIMES])
def test_am_or_pm_counts_behind_a_fraction(form: str, zone: int, count: int) -> None:
    found = times_of(lines_at(form, AFTERNOON, count))
    expected = [AFTERNOON + timedelta(seconds=n, hours=-zone) for n in range(count)]
    assert found == expected


@pytest.mark.parametrize(
    "form",
    [
        # a range, or the number of a version
        "1-2-34 {at:%H:%M:%S} {m}",
        "1.2.34 {at:%H:%M:%S} {L} {m}",
    ],
)
def test_a_time_that_would_be_hours_or_years_wrong_is_none(form: str) -> None:
    assert times_of(lines_at(form, AFTERNOON, 24)) == []


@pytest.mark.parametrize(
    ("form", "is_day_first"),
    [
        ("{0}-{1}-24 13:05:{n:02d} {m}", False),
        ("{0}-{1}-2024 13:05:{n:02d} {m}", True),
        ("{0}/{1}/24 13:05:{n:02d} {m}", False),
        ("{0}/{1}/2024:13:05:{n:02d} {m}", False),
        ("{0}/{1}/24 01:05:{n:02d} PM {m}", False),
        ("{0}.{1}.24 13:05:{n:02d} {m}", True),
        ("{0}.{1}.24 01:05:{n:02d}.000 PM {m}", True),
        ("{0}.{1}.2024 01:05:{n:02d} PM {m}", True),
    ],
)
def test_the_usual_order_of_day_and_month_is_that_of_the_sign(
    form: str, is_day_first: bool
) -> None:
    lines = [form.format("05", "03", n=n, m="started pump") for n in range(24)]
    day, month = (5, 3) if is_day_first else (3, 5)
    assert times_of(lines)[0] == datetime(2024, month, day, 13, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize("head", ["[INFO] ", "[info]  ", "[Warn]: ", "[[DEBUG]] ", "[ERROR] - "])
def test_a_level_in_brackets_is_a_header_although_all_lines_have_the_same(head: str) -> None:
    """Was wrong: as long as nothing happened, no line had a level, as in logs of CoreDNS."""
    guess = guess_line_format([head + text for text in islice(cycle(USUAL["m"]), 60)])
    assert guess is not None
    assert guess.example["level"] in head
    assert guess.example["message"] == USUAL["m"][0]


@pytest.mark.parametrize("head", ["[Default] ", "[Success] ", "[I] ", "INFO: ", "info "])
def test_another_word_that_all_lines_begin_with_is_no_level(head: str) -> None:
    guess = guess_line_format([head + text for text in islice(cycle(USUAL["m"]), 60)])
    assert guess is None
