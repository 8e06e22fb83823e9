"""Headers of well-known programs.

Was wrong: of 59 well-known formats, 19 were read without their time, zone, level or component.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from export.guess import guess_line_format
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANKS, LevelReader
from fluent_krone.reading.records import InputSettings, RecordReader

with (Path(__file__).parents[1] / "headers.csv").open(encoding="utf-8", newline="") as file:
    FORMATS = [
        {name: value.replace("\\t", "\t") for name, value in row.items()}
        for row in csv.DictReader(file)
    ]
# A file of these lines was last written to then: it tells the year of stamps without one.
WRITTEN = datetime(2024, 12, 31, tzinfo=UTC).timestamp()


def lines_of(row: Mapping[str, str]) -> list[str]:
    """The line, with other numbers of the pump that many of them are about."""
    return [row["line"], *(re.sub("pump 7", f"pump {n}", row["line"]) for n in range(40))]


def expected_ns(row: Mapping[str, str]) -> int | None:
    """The time in ns UTC; times without a zone are UTC, those without a year of 2024."""
    text = row["time"]
    if not text:
        return None
    if not re.match(r"\d{4}", text):
        text = f"2024-{text}"
    whole, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    assert digits
    moment = datetime.fromisoformat(whole + rest[digits.end() :])
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return int(moment.timestamp()) * 10**9 + int(digits[0].ljust(9, "0"))


def found_ns(row: Mapping[str, str], folder: Path) -> int | None:
    """The time that a record of the line has, by its header or by its file."""
    guess = guess_line_format(lines_of(row))
    if guess and "(?<time>" in guess.line_format:
        settings = InputSettings(
            session_key=("tag",), line_format=guess.line_format, time_format=guess.time_format
        )
        return RecordReader(settings).time({b"message": row["line"].encode()})
    path = folder / "a.log"
    path.write_text("".join(f"{line}\n" for line in lines_of(row)))
    os.utime(path, (WRITTEN, WRITTEN))
    return next(iter(read_events(path)))[0]


@pytest.mark.parametrize("row", FORMATS, ids=[row["format"] for row in FORMATS])
def test_level_component_and_message_of_a_header(row: Mapping[str, str]) -> None:
    guess = guess_line_format(lines_of(row))
    assert guess is not None
    found = {name: guess.example.get(name, "") for name in ("level", "component", "message")}
    assert found == {name: row[name] for name in found}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("row", FORMATS, ids=[row["format"] for row in FORMATS])
def test_few_lines_are_enough_for_a_header(row: Mapping[str, str], count: int) -> None:
    guess = guess_line_format(lines_of(row)[:count])
    assert guess is not None
    found = {name: guess.example.get(name, "") for name in ("level", "component", "message")}
    assert found == {name: row[name] for name in found}


def test_times_and_zones_of_headers(tmp_path: Path) -> None:
    assert len(FORMATS) >= 59
    wrong = []
    for row in FORMATS:
        try:
            found = found_ns(row, tmp_path)
        except Exception as error:
            wrong.append((row["format"], str(error)))
            continue
        expected = expected_ns(row)
        # Microseconds are what most programs write, and all that Python's times hold.
        if expected is not None and (found is None or abs(found - expected) >= 1000):
            wrong.append((row["format"], row["time"]))
    assert wrong == []


@pytest.mark.parametrize("line", ["WARN disk is nearly full", "error: pump failed", "INFO done"])
def test_a_level_word_before_a_message_is_no_header(line: str) -> None:
    """Was wrong: the word was stripped, and the message lost what was most telling of it."""
    assert guess_line_format([line] * 20) is None


@pytest.mark.parametrize(
    "form",
    [
        *("[{level}] {text}", "<{level}> {text}", "[{level:7}] {text}"),
        *("{level} | {text}", "{level} - {text}", "{level:8}{text}"),
    ],
)
def test_a_level_between_signs_is_a_header_of_its_own(form: str) -> None:
    """Was wrong: it was a part of the text, so that no step had a level."""
    levels = ("INFO", "INFO", "WARNING", "DEBUG", "ERROR")
    texts = ("user {} logs in", "user {} pays", "cache of {} is cold", "user {} leaves")
    lines = [form.format(level=levels[n % 5], text=texts[n % 4].format(n)) for n in range(100)]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example == {"level": "INFO", "message": "user 0 logs in"}


@pytest.mark.parametrize("form", ["{} - order {}", "{} | order {}", "{:8}order {}"])
def test_how_a_step_ended_is_part_of_the_message(form: str) -> None:
    """Was wrong: the words were taken for levels, and both outcomes were one step."""
    outcomes = ("Success", "Success", "Fail", "Error")
    lines = [form.format(outcomes[n % 4], n) for n in range(100)]
    assert guess_line_format(lines) is None


@pytest.mark.parametrize(
    ("form", "names"),
    [("[{}] drive {} % full", "CDEF"), ("[{}] gate {} opened", "AE"), ("({}) lane {} free", "NEW")],
)
def test_the_letters_of_drives_and_gates_are_no_levels(form: str, names: str) -> None:
    """Was wrong: the drive left the message, and was its level."""
    lines = [form.format(names[n % len(names)], n) for n in range(100)]
    assert guess_line_format(lines) is None


@pytest.mark.parametrize("names", ["IWE", "DI", "DW", "we", "IE"])
def test_single_letters_of_levels_in_brackets(names: str) -> None:
    lines = [f"[{names[n % len(names)]}] order {n} is packed" for n in range(100)]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example == {"level": names[0], "message": "order 0 is packed"}


def test_a_level_word_before_messages_of_several_levels_is_no_header() -> None:
    lines = [
        f"{('Error', 'Warning', 'info')[n % 3]}{': '[n % 2 :]}lamp {n} is lit" for n in range(60)
    ]
    assert guess_line_format(lines) is None


@pytest.mark.parametrize("levels", [("LOG",), ("LOG", "ERROR", "STATEMENT", "DETAIL")])
def test_the_levels_of_postgresql_are_no_loggers(levels: tuple[str, ...]) -> None:
    """Wrong before, where hardly any line was a warning."""
    lines = [
        f"2024-10-15 13:00:{n:02d}.123 CEST [1234] {levels[n % len(levels)]}:  checkpoint {n} ends"
        for n in range(60)
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example["level"] == "LOG"
    assert not guess.has_component


def test_the_usual_level_of_gradle_is_no_logger() -> None:
    """Was wrong: LIFECYCLE is no level elsewhere, so it was the logger, and the logger was lost."""
    lines = [
        f"2024-10-15T13:00:{n:02d}.123Z [{('LIFECYCLE', 'ERROR')[n % 7 == 0]}] [org.acme.Task] {n}"
        for n in range(60)
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example["level"] == "ERROR"
    assert guess.example["component"] == "org.acme.Task"


# Lines that go on from the one before, although they are not indented.
TRACES = {
    "PHP": ["[stacktrace]", "#0 /srv/app/Container.php(795): App\\Container->build()", '"} '],
    "Go": ["example.com/queue/internal.NewSender.func3", "\texample.com/queue/sender.go:128"],
    "Python without indents": ["Traceback (most recent call last):", 'File "/srv/a.py", line 7'],
    "a document": ["<?xml version='1.0'?>", "<order>", "<id>7</id>", "</order>"],
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_a_header_is_found_among_many_lines_of_stack_traces(trace: list[str]) -> None:
    """Wrong before: fewer than 60 % of the lines had the header, so that none was found."""
    lines = [
        text
        for n in range(40)
        for text in (
            f"[2024-10-15 13:00:{n:02d}] local.ERROR: pump {n} failed",
            *trace * 3,
            "thrown",
        )
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example["message"] == "pump 0 failed"
    assert guess.example["level"] == "ERROR"


def test_a_header_that_is_cut_off_before_many_blanks_is_read_at_once() -> None:
    """Wrong before: such a line of 8 kB took more than a minute, and the service stood still."""
    lines = [f"2024-10-15 13:00:{n:02d} web[7f3a][o.s.Boot] INFO: pump {n}" for n in range(60)]
    guess = guess_line_format(lines)
    assert guess is not None
    settings = InputSettings(session_key=("tag",), line_format=guess.line_format)
    line = "2024-10-15 13:00:00 web[" + 8_000 * " " + "!"
    text, _ = RecordReader(settings, max_message_size=10_000).read(b"", {b"message": line.encode()})
    assert text.endswith(b"!")


def test_the_number_before_a_line_of_syslog_is_its_level() -> None:
    """Wrong before: it was taken for a thread where lines of several daemons begin with it."""
    daemons = ("sipd[2112]", "rtpd[2120]", "cdrd[2131]")
    lines = [
        f"<{130 + number % 5}>Mar 16 07:00:{number % 60:02d} sbc{number % 2} "
        f"{daemons[number % 3]}: call {number} goes on"
        for number in range(120)
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    settings = InputSettings(session_key=("tag",), line_format=guess.line_format)
    rank = LevelReader(RecordReader(settings).fields).rank({b"message": lines[0].encode()})
    assert rank == RANKS[b"crit"]


def test_the_name_of_a_month_is_no_logger() -> None:
    """Wrong before: on the first nine days two blanks follow it, and from the tenth no line fitted.

    The session key stands behind the name of the program, with a colon that belongs to both.
    """
    lines = [
        f"Mar  {1 + number // 50} 07:00:{number % 60:02d} mx1 postfix/smtpd[2112]: "
        f"{number:010X}: done"
        for number in range(400)
    ]
    guess = guess_line_format(lines, ": ([0-9A-F]{10}):")
    assert guess is not None
    later = f"Mar 17 08:00:00 {lines[0][16:]}"
    found = re.fullmatch(guess.line_format.replace("(?<", "(?P<").replace("(?P<!", "(?<!"), later)
    assert found is not None
    assert guess.example["component"] == "postfix/smtpd"


@pytest.mark.parametrize(
    "context",
    [
        "INFO [orders,{trace:016x},{span:016x}] 1 --- [nio-8080-exec-{thread}]",
        "INFO [orders,{trace:016x},{span:016x},true] 1 --- [nio-8080-exec-{thread}]",
        "INFO 1 --- [orders] [nio-8080-exec-{thread}] [{trace:032x}-{span:016x}]",
    ],
)
def test_the_trace_of_spring_is_a_field(context: str) -> None:
    """Wrong before: service, trace and span were the name of a thread, and no session key."""
    rng = Random(3)
    lines = []
    for number in range(200):
        trace = rng.getrandbits(64)
        for word in ("asked", "answered"):
            ids = context.format(trace=trace, span=rng.getrandbits(64), thread=number % 9)
            lines.append(f"2025-03-07 00:00:08.566  {ids} c.a.o.Orders : order {number} {word}")
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example["component"] == "c.a.o.Orders"
    assert guess.example["thread"] == "nio-8080-exec-0"
    first = Random(3).getrandbits(64)
    assert int(guess.example["trace"], 16) == first
