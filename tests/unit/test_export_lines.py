"""What export makes of lines that nobody has described to it: headers, session keys, pauses."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from export.guess import guess_line_format
from export.pauses import Pauses, duration
from export.session_key import option_of, suggest_session_keys
from fluent_krone.config import parse_duration
from fluent_krone.errors import RecordError
from fluent_krone.inputs import read_events
from fluent_krone.reading.line_formats import python_regex
from fluent_krone.reading.records import InputSettings, RecordReader

# One line of each header, and what is in it.
HEADERS = {
    "HDFS": (
        "081109 203518 143 INFO dfs.DataNode$PacketResponder: {}",
        "dfs.DataNode$PacketResponder",
        "2008-11-09T20:35:18",
    ),
    "log4j": (
        "2015-10-18 18:01:47,978 INFO [main] org.acme.Pump: {}",
        "org.acme.Pump",
        "2015-10-18T18:01:47.978",
    ),
    "logback": (
        "2015-10-18 18:01:47.978 [main] DEBUG o.acme.Pump - {}",
        "o.acme.Pump",
        "2015-10-18T18:01:47.978",
    ),
    "spring": (
        "2015-10-18T18:01:47.978+02:00  INFO 4711 --- [nio-1] c.acme.Pump   : {}",
        "c.acme.Pump",
        "2015-10-18T16:01:47.978",
    ),
    "zookeeper": (
        "2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]/0:0:2181:FastLeaderElection@774] - {}",
        "FastLeaderElection",
        "2015-07-29T17:41:44.747",
    ),
    "spark": (
        "17/06/09 20:10:40 INFO executor.Backend: {}",
        "executor.Backend",
        "2017-06-09T20:10:40",
    ),
    "python": (
        "2024-05-01 10:00:00,123 - acme.pump - WARNING - {}",
        "acme.pump",
        "2024-05-01T10:00:00.123",
    ),
    "python basic": ("INFO:acme.pump:{}", "acme.pump", None),
    "syslog RFC 5424": (
        '<34>1 2024-05-01T10:00:00.5Z host pump 123 ID47 [a@1 b="c"] {}',
        None,
        "2024-05-01T10:00:00.5",
    ),
    "syslog RFC 3164": ("<34>May  1 10:00:00 host pump(unit)[123]: {}", "pump(unit)", None),
    "rsyslog": ("2024-05-01T10:00:00.5+00:00 host pump[123]: {}", "pump", "2024-05-01T10:00:00.5"),
    "apache": ("[Sun Dec 04 04:47:44 2005] [notice] {}", None, "2005-12-04T04:47:44"),
    "apache 2.4": (
        "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 432] {}",
        "core",
        "2011-09-09T10:42:29.902022",
    ),
    "nginx": ("2024/05/01 10:00:00 [error] 77#0: *5 {}", None, "2024-05-01T10:00:00"),
    "klog": ("I0501 10:00:00.123456       1 pump.go:77] {}", "pump.go", None),
    "android": ("05-01 10:00:00.123  1702  2395 D PumpManager: {}", "PumpManager", None),
    "openstack": (
        "nova.log.1 2017-05-16 00:00:00.008 25746 INFO nova.wsgi.server {}",
        "nova.wsgi.server",
        "2017-05-16T00:00:00.008",
    ),
    "windows": (
        "2016-09-28 04:30:30, Info                  CBS    {}",
        "CBS",
        "2016-09-28T04:30:30",
    ),
    "pipes": ("20171223-22:15:29:606|Pump|30002312|{}", "Pump", "2017-12-23T22:15:29.606"),
    "elastic": (
        "[2024-05-01T10:00:00,123][INFO ][o.e.n.Node  ] {}",
        "o.e.n.Node",
        "2024-05-01T10:00:00.123",
    ),
    "kafka": ("[2024-05-01 10:00:00,123] INFO {}", None, "2024-05-01T10:00:00.123"),
    "access log": ("10.0.0.1 - [01/May/2024:10:00:00 +0200] {}", None, "2024-05-01T08:00:00"),
    "epoch": ("1714557600.250 INFO {}", None, "2024-05-01T10:00:00.25"),
    "milliseconds": ("1714557600250 INFO {}", None, "2024-05-01T10:00:00.250"),
    "German": ("01.05.2024 10:00:00 WARN {}", None, "2024-05-01T10:00:00"),
    "American": ("05/01/2024 10:00:00 {}", None, "2024-05-01T10:00:00"),
    "British": ("25/12/2024 10:00:00 {}", None, "2024-12-25T10:00:00"),
}
MESSAGES = [
    "opened valve 17 for job-4411",
    "pressure is 3.5 bar",
    "closing the valve",
    "job-4412 done: all well",
    "bye",
]


def read(line_format: str, time_format: str | None, line: str) -> tuple[bytes, datetime | None]:
    """As the plugin reads it: text with the logger before it, and time."""
    component = "component" if "<component>" in line_format else None
    settings = InputSettings(
        session_key=("message",),
        line_format=line_format,
        time_format=time_format,
        component_field=component,
    )
    reader = RecordReader(settings)
    record = {b"message": line.encode()}
    text, _ = reader.read(b"", record)
    return text, datetime.fromtimestamp(reader.time(record) / 1e9, UTC).replace(
        tzinfo=None
    ) if reader.has_time else None


@pytest.mark.parametrize("name", HEADERS)
def test_common_headers_are_understood(name: str) -> None:
    header, component, time = HEADERS[name]
    guess = guess_line_format([header.format(message) for message in MESSAGES * 4])
    assert guess is not None
    assert guess.share == 1
    for message in MESSAGES:
        text, moment = read(guess.line_format, guess.time_format, header.format(message))
        assert text.endswith(message.encode())
        if component:
            assert text == f"{component}: {message}".encode()
        assert moment == (datetime.fromisoformat(time) if time else None)


def test_stack_traces_and_a_few_odd_lines_do_not_matter() -> None:
    header = HEADERS["log4j"][0]
    lines = []
    for message in MESSAGES * 5:
        lines += [
            header.format(message),
            "java.io.IOException: closed",
            "\tat org.acme.Pump.open(Pump.java:7)",
            "",
        ]
    guess = guess_line_format(
        [*lines[: len(lines) // 2], "=== restart ===", *lines[len(lines) // 2 :]]
    )
    assert guess is None, "half of the lines that begin something have no header"
    lines = [line for line in lines if not line.startswith("java.io")]
    guess = guess_line_format([*lines, "=== restart ==="])
    assert guess is not None
    assert guess.example["component"] == "org.acme.Pump"


def test_what_follows_the_time_may_be_absent() -> None:
    lines = [HEADERS["log4j"][0].format(message) for message in MESSAGES * 4]
    guess = guess_line_format([*lines, "2015-10-18 18:01:47,978 something else"])
    assert guess is not None
    assert guess.share == 1
    assert (
        read(guess.line_format, None, "2015-10-18 18:01:47,978 something else")[0]
        == b"something else"
    )


def test_a_time_far_in_is_read_and_what_stands_before_it_kept() -> None:
    lines = [f"{i} node-{i % 5} unix.hw state 1074119{i:03d} 1 fan failed" for i in range(40)]
    guess = guess_line_format(lines)
    assert guess is not None
    assert guess.example["message"] == lines[0]
    assert read(guess.line_format, None, lines[1]) == (
        lines[1].encode(),
        datetime(2004, 1, 14, 22, 23, 21),
    )


def test_a_session_key_in_the_header_is_found_there() -> None:
    lines = [f"2024-05-01 10:00:00 INFO [req-{i}] acme.Pump: opened req-99" for i in range(20)]
    key = r"\[(req-[0-9]+)\]"
    free = guess_line_format(lines)
    bound = guess_line_format(lines, key)
    assert free is not None
    assert bound is not None
    assert bound.example == free.example
    assert bound.example["message"] == "opened req-99"
    settings = InputSettings(session_key=(f"/{key}/",), line_format=bound.line_format)
    assert RecordReader(settings).read(b"", {b"message": lines[7].encode()}) == (
        b"opened req-99",
        [(b"req-7",)],
    )


def test_a_session_key_between_the_bars_of_a_header_is_found() -> None:
    lines = [
        f"2024-05-01 10:00:00|{('INFO', 'WARN')[i % 2]}|pump-{i % 2}|N{i:04d}|opened {i}"
        for i in range(20)
    ]
    key = r"\|(N[0-9]{4})\|"
    guess = guess_line_format(lines, key)
    assert guess is not None
    assert guess.example["level"] == "INFO"
    settings = InputSettings(session_key=(f"/{key}/",), line_format=guess.line_format)
    read = RecordReader(settings).read(b"", {b"message": lines[7].encode()})
    assert read == (b"opened 7", [(b"N0007",)])


def test_a_session_key_in_messages_is_not_looked_for_in_headers() -> None:
    lines = [f"2024-05-01 10:00:00 INFO [w-{i % 3}] acme.Pump: opened w-9{i:02}" for i in range(20)]
    key = "w-[0-9]+"
    guess = guess_line_format(lines, key)
    assert guess is not None
    settings = InputSettings(session_key=(f"/{key}/",), line_format=guess.line_format)
    read = RecordReader(settings).read(b"", {b"message": lines[7].encode()})
    assert read == (b"opened w-907", [(b"w-907",)])


@pytest.mark.parametrize(
    "lines", [[], ["", "  "], MESSAGES * 4, ["x y z"] * 9, ["12345 678"] * 9, ["é\u2028ü"] * 5]
)
def test_no_header_no_guess(lines: list[str]) -> None:
    assert guess_line_format(lines) is None


def test_a_word_that_is_always_another_is_no_logger() -> None:
    guess = guess_line_format([f"2024-05-01 10:00:00 user{i}: logged in" for i in range(200)])
    assert guess is not None
    assert not guess.has_component


def test_a_line_that_has_no_header_is_told_apart() -> None:
    guess = guess_line_format([HEADERS["spark"][0].format(message) for message in MESSAGES])
    assert guess is not None
    with pytest.raises(RecordError):
        read(guess.line_format, guess.time_format, "no header here")


# -- session keys


@pytest.mark.parametrize(
    ("form", "option"),
    [
        ("{} order={}", "/order=(-?[0-9]+)/"),
        ("{} order {} now", "/order (-?[0-9]+)/"),
        ("{} blk_-{}", "/blk_-?[0-9]+/"),
        ("[req-{1:08x}-aaaa-bbbb-cccc-123456789abc] {0}", "/req-[0-9a-f]{8}-[0-9a-f-]{27}/"),
        ("{} task_1445_{}_m", "/task_[0-9]+(?:_[0-9a-z]+)+/"),
    ],
)
def test_an_id_in_messages_is_suggested(form: str, option: str) -> None:
    sample = [
        (form.format(word, 7_000_000 + n), {})
        for n in range(40)
        for word in ("packed 3", "sent", "paid 20")
    ]
    best = suggest_session_keys(sample)[0]
    assert best.option == option
    assert (best.coverage, best.sessions, best.repeats) == (1, 40, 3)
    regex = re.compile(option[1:-1])
    assert all(regex.search(message) for message, _ in sample)
    assert f"--session-key '{option}'" in option_of([best])


def test_a_field_that_comes_back_is_suggested() -> None:
    sample = [
        (
            word,
            {
                "request": f"r{n}",
                "level": "INFO",
                "host": f"h{n}",
                "same": "x",
                "own": f"{n}{word}",
            },
        )
        for n in range(30)
        for word in ("a", "b", "c")
    ]
    assert [candidate.option for candidate in suggest_session_keys(sample)] == ["request"]


def test_nothing_to_suggest_is_said() -> None:
    assert "name one with --session-key" in option_of(suggest_session_keys([("hello", {})] * 20))


# -- pauses

S = 10**9


def pauses(*sessions: tuple[str, list[float]]) -> Pauses:
    noted = Pauses()
    for time, key in sorted((time, key) for key, times in sessions for time in times):
        noted.note((key.encode(),), round(time * S))
    return noted


def test_the_idle_timeout_covers_the_pauses_inside_sessions() -> None:
    found = pauses(
        *((f"k{i}", [i * 50.0, i * 50.0 + 20, i * 50.0 + 20 + 8 * 60]) for i in range(200))
    ).suggest()
    assert found is not None
    assert found[0] == 600


def test_a_key_that_comes_back_later_is_a_new_session() -> None:
    ids = [(f"k{i}", [i * 50.0, i * 50.0 + 20]) for i in range(400)]
    back = [(f"k{i}", [i * 50.0 + 9000]) for i in range(0, 400, 25)]
    found = pauses(*ids, *back).suggest()
    assert found is not None
    assert found[0] == 60


def test_keys_that_live_as_long_as_the_log_are_cut_where_they_pause() -> None:
    visits = [day * 3600.0 + second for day in range(48) for second in range(0, 600, 10)]
    found = pauses(*((f"user{i}", [i + t for t in visits]) for i in range(9))).suggest()
    assert found is not None
    assert 10 < found[0] <= 3600
    assert "during the whole log" in found[1]


def test_no_times_no_suggestion() -> None:
    assert Pauses().suggest() is None
    assert pauses(("a", [1.0, 1.0]), ("b", [1.0])).suggest() is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(90, "90s"), (3600, "1h"), (86400 * 2, "2d"), (0.5, "0.5"), (600, "10m")]
)
def test_durations_are_written_as_they_are_read(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert parse_duration(text) == seconds


# -- stamps without a year: see test_inputs for the files themselves


def test_a_stamp_without_a_year_gets_it_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text(
        "Dec 31 23:59:59 h p: a\nJan  1 00:00:01 h p: b\n<34>Jan  1 00:00:02.25 h p: c\n"
        "I0101 00:00:03.000001 1 x.go:1] d\n"
        "01-01 00:00:04.5 e\nno stamp\nFeb 30 00:00:00 h p: f\n",
        encoding="utf-8",
    )
    new_year = 1_735_689_600  # 2025-01-01T00:00:00Z
    os.utime(path, (new_year + 60, new_year + 60))
    times = [time_ns for time_ns, _ in read_events(path)]
    at = new_year * S
    assert times == [
        at - S,
        at + S,
        at + 2_250_000_000,
        at + 3_000_001_000,
        at + 4_500_000_000,
        None,
        None,
    ]


def test_a_session_key_in_messages_does_not_hide_a_part_of_the_header() -> None:
    """Wrong before: with the key, a header won that only lines with a wide thread had."""
    lines = [
        f"2024-05-01 10:00:{i % 60:02} {f'[pool-{i % 3}-thread-{i % 12}]':18} INFO  com.acme."
        f"{('Pump', 'Valve')[i % 2]} - [ORD-{i // 4:05}] opened after {i} s"
        for i in range(400)
    ]
    guess = guess_line_format(lines, r"\[(ORD-[0-9]+)\]")
    assert guess is not None
    pattern = re.compile(python_regex(guess.line_format))
    found = [pattern.match(line) for line in lines]
    assert {match["component"] for match in found if match} == {"com.acme.Pump", "com.acme.Valve"}


@pytest.mark.parametrize(("said", "day"), [("ouvert à", "2024-05-02"), ("open at", "2024-02-05")])
def test_in_a_log_of_one_day_the_language_says_where_the_month_stands(said: str, day: str) -> None:
    """Wrong before: the month came first, so that the thirteenth could not be read any more."""
    lines = [f"02/05/2024 10:00:{i:02} INFO acme.Pump: {said} {i}" for i in range(60)]
    guess = guess_line_format(lines)
    assert guess is not None
    assert {guess.time_format, guess.other_time_format} == {
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %H:%M:%S",
    }
    reader = RecordReader(
        InputSettings(
            session_key=("tag",), line_format=guess.line_format, time_format=guess.time_format
        )
    )
    time_ns = reader.time({b"message": lines[0].encode()})
    assert datetime.fromtimestamp(time_ns / 1e9, UTC).date().isoformat() == day


def test_lines_of_a_program_between_those_of_a_logger_do_not_hide_its_header() -> None:
    """Wrong before: the header ended behind the time, as a quarter of the lines had no level."""
    said = ["ffmpeg[17] frame=9 fps=30", *["farm.probe INFO done", "farm.fetch INFO done"] * 2]
    lines = [
        f"2024-05-01 10:00:{i % 60:02} enc0{i % 3} {said[i % len(said)]} {i}" for i in range(400)
    ]
    guess = guess_line_format(lines)
    assert guess is not None
    pattern = re.compile(python_regex(guess.line_format))
    [first, second, *_] = [found.groupdict() for line in lines if (found := pattern.match(line))]
    assert first["message"] == "enc00 ffmpeg[17] frame=9 fps=30 0"
    assert second["message"] == "done 1"
    assert (second["component"], second["level"]) == ("farm.probe", "INFO")
