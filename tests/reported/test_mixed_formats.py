"""Lines of several programs in one log.

Was wrong: with two formats in one file, the whole line was the message, so that dates and levels
were values of templates (each session of the next day was a false alarm); or the lines of the rarer
format were left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from export.cli import main as export
from export.guess import guess_line_format
from export.mixed_formats import guess_formats
from export.source import settle
from export.stages import Options
from fluent_krone.cli import main as replay
from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.errors import RecordError
from fluent_krone.inputs import read_events
from fluent_krone.inputs.mixed import tell_of_the_same
from fluent_krone.learning.child import refit_options
from fluent_krone.reading.levels import RANKS, levels_of
from fluent_krone.reading.records import InputSettings, RecordReader

T0 = datetime(2024, 5, 1, 8, tzinfo=UTC)
# The rank of INFO, and of a line that has no level.
INFO = 3
NONE = 0
# What is read of a line: second, rank of the level, text.
Seen = tuple[int, int, str]
Writer = Callable[[datetime, str, int], tuple[str, int, str]]


def iso(at: datetime, sep: str = "T", sign: str = ".") -> str:
    return at.strftime(f"%Y-%m-%d{sep}%H:%M:%S{sign}") + f"{at.microsecond // 1000:03d}"


def spring(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    text = (f"Received order {key} with {n} items", f"Order {key} confirmed")[n % 2]
    line = f"{iso(at)}+00:00  INFO 1 --- [shop] [exec-{n % 9}] com.shop.Orders{n % 3}  : {text}"
    return line, INFO, f"com.shop.Orders{n % 3}: {text}"


def logrus(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    text = f'msg="{("paid", "authorised")[n % 2]}" request_id={key} amount={n}'
    return f'time="{at:%Y-%m-%dT%H:%M:%SZ}" level=info {text}', INFO, text


def zap(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    text = f'{("paid", "authorised")[n % 2]}\t{{"request_id": "{key}"}}'
    return f"{iso(at)}Z\tINFO\tpay/handler.go:{40 + n % 3}\t{text}", INFO, f"pay/handler.go: {text}"


def python(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    text = (f"planning shipment for {key}", f"label printed for {key}")[n % 2]
    logger = f"shipping.part{n % 3}"
    return f"{iso(at, ' ', ',')} - {logger} - INFO - {text}", INFO, f"{logger}: {text}"


def nginx(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    text = f'"GET /orders/{n} HTTP/1.1" 200 {n} "-" "okhttp/4.9" rid={key}'
    return f"10.0.0.{n % 9} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] {text}", NONE, text


def slog(at: datetime, key: str, n: int) -> tuple[str, int, str]:
    word = ("paid", "authorised")[n % 2]
    fields = {"time": iso(at) + "Z", "level": "INFO", "msg": word, "logger": "pay"}
    return (
        json.dumps({**fields, "request_id": key, "n": n}),
        INFO,
        f"pay: {word} request_id={key} n={n}",
    )


def mixed(*writers: Writer, sessions: int = 60) -> Iterator[tuple[str, str, Seen]]:
    """The program, a line, and what is to be read of it."""
    rng = Random(5)
    at = T0
    for _ in range(sessions):
        key = "req-" + "".join(rng.choices("0123456789abcdef", k=12))
        for writer in writers:
            for _ in range(2):
                at += timedelta(seconds=rng.random() * 3)
                line, rank, text = writer(at, key, rng.randrange(1, 900))
                yield writer.__name__, line, (int(at.timestamp()), rank, text)


def read(settings: InputSettings, record: dict[bytes, Any]) -> Seen:
    reader = RecordReader(settings)
    text, _ = reader.read(b"", record)
    time_ns = reader.time(record)
    assert time_ns is not None
    return time_ns // 10**9, levels_of(reader).rank(record), text.decode()


def settled(path: Path, **options: Any) -> tuple[InputSettings, list[str]]:
    said: list[str] = []
    settings = settle(
        Options(input=[path], session_key=options.pop("session_key", ("auto",)), **options),
        said.append,
        said.append,
    )
    return settings, said


MIXTURES: Sequence[tuple[Writer, ...]] = (
    (spring, logrus, python, nginx),
    (spring, zap, nginx),
    (python, slog, nginx),
    (python, nginx),
    (spring, slog),
    # most lines are JSON
    (slog, slog, nginx),
    (spring, python),
)
PREFIXES: dict[str, Callable[[str], str]] = {
    "none": lambda name: "",
    "compose": lambda name: f"{name + '-1':<9} | ",
    "kubectl": lambda name: f"[pod/{name}-7f9c/{name}] ",
    "stern": lambda name: f"{name}-6d5f9c7b8-x2kqp {name} ",
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("writers", MIXTURES, ids=lambda ws: "-".join(w.__name__ for w in ws))
def test_each_line_is_read_by_its_own_format(
    writers: tuple[Writer, ...], prefix: str, tmp_path: Path
) -> None:
    lines = [(PREFIXES[prefix](name) + line, seen) for name, line, seen in mixed(*writers)]
    path = tmp_path / "all.log"
    path.write_text("".join(f"{line}\n" for line, _ in lines))
    settings, said = settled(path)
    assert settings.session_key == ("/req-[0-9a-f]{8,}/",)
    for line, seen in lines:
        assert read(settings, {b"message": line.encode()}) == seen
    assert f"line formats: {len({*writers})} guessed, they fit 100.0% of the lines" in said


def test_stack_traces_and_banners_are_no_format(tmp_path: Path) -> None:
    trace = (
        "java.lang.IllegalStateException: not ready",
        "\tat com.shop.Cache.get(Cache.java:51)",
        "Caused by: java.io.IOException: closed",
        "\t... 12 more",
    )
    lines = ["  .   ____   _   ", " :: Spring Boot ::   (v3.2.1)", ""]
    for n, (_, line, _) in enumerate(mixed(spring, nginx)):
        lines += [line, *(trace if n % 20 == 0 else ())]
    path = tmp_path / "all.log"
    path.write_text("\n".join(lines))
    settings, said = settled(path)
    assert any(text.startswith("line formats: 2 guessed") for text in said)
    for line in trace:
        with pytest.raises(RecordError) as failure:
            RecordReader(settings).read(b"", {b"message": line.encode()})
        assert failure.value.reason == "continuation"


def test_texts_of_records_without_a_header_stay_messages(tmp_path: Path) -> None:
    """As in a node's journal, where most units have no header of their own."""
    path = tmp_path / "journal.json"
    lines = []
    for name, line, (second, _, _) in mixed(python, nginx):
        lines += [(name, line, second)]
        key = line[line.index("req-") :][:16]
        lines += [("init", f"Started unit {second % 7}.", second), ("job", f"{key} swept", second)]
    with path.open("w") as file:
        for name, text, second in lines:
            fields = {"SYSLOG_IDENTIFIER": name, "MESSAGE": text, "PRIORITY": "6"}
            file.write(json.dumps({"__REALTIME_TIMESTAMP": str(second * 10**6), **fields}) + "\n")
    settings, said = settled(path)
    reader = RecordReader(settings)
    texts = [
        reader.read(b"", record)[0]
        for _, record in read_events(path)
        if b"req-" in record[b"MESSAGE"]
    ]
    assert any(text.startswith(b"shipping.part1: planning") for text in texts)
    assert any(text.endswith(b" swept") for text in texts)
    assert not any(b"2024" in text for text in texts)
    assert "they have no header, and are messages as they are" in "".join(said)


@pytest.mark.parametrize("stamp", ["%b %e %H:%M:%S", "%Y-%m-%dT%H:%M:%S.250000+00:00"])
def test_headers_behind_that_of_syslog_are_read(stamp: str, tmp_path: Path) -> None:
    lines: list[tuple[str, str]] = []
    for name, line, (second, _, text) in mixed(python, slog, nginx):
        head = f"{datetime.fromtimestamp(second, UTC):{stamp}} node1"
        lines.append((f"{head} {name}[17]: {line}", text))
        unit = f"unit {second} {line[line.index('req-') :][:16]} started"
        lines.append((f"{head} systemd[1]: {unit}", f"systemd: {unit}"))
    path = tmp_path / "syslog"
    path.write_text("".join(f"{line}\n" for line, _ in lines))
    settings, said = settled(path)
    reader = RecordReader(settings)
    for line, text in lines:
        assert reader.read(b"", {b"message": line.encode()})[0].decode() == text
    assert "line formats: 4 guessed, they fit 100.0% of the lines" in said
    # The clock is that of syslog, whatever the programs write.
    of_text = next(line for line, _ in lines if " nginx[" in line)
    own_ns = reader.time({b"message": of_text.encode()})
    assert (own_ns or 0) % 10**9 == (250_000_000 if "T" in stamp else 0)
    assert (own_ns is None) is ("T" not in stamp)


def test_the_key_stands_in_headers_of_one_program_and_in_fields_of_another(tmp_path: Path) -> None:
    rng = Random(3)
    lines = []
    for n in range(120):
        trace = "".join(rng.choices("0123456789abcdef", k=32))
        at = T0 + timedelta(seconds=n)
        head = f"{iso(at, ' ')}  INFO [shop,{trace},{trace[:16]}] 1 --- [exec-{n % 5}]"
        lines.append(f"{head} com.shop.Orders{n % 3} : Received {n % 7} items")
        lines.append(f"{head} com.shop.Orders{n % 3} : Confirmed")
        fields = {"time": iso(at) + "Z", "level": "INFO", "msg": f"paid {n % 9}", "trace_id": trace}
        lines.append(json.dumps(fields))
    path = tmp_path / "all.log"
    path.write_text("\n".join(lines))
    settings, _ = settled(path)
    reader = RecordReader(settings)
    keys = [reader.read(b"", {b"message": line.encode()})[1] for line in lines]
    for n in range(0, len(lines), 3):
        assert keys[n] == keys[n + 1] == keys[n + 2]
    assert len({key for [key] in keys}) == 120


def test_plain_lines_name_ids_that_stand_within_the_texts_of_records(tmp_path: Path) -> None:
    """Was wrong: the plain lines, a third of each execution, were left out."""
    rng = Random(5)
    lines = []
    for n in range(120):
        order = rng.randrange(10**6, 10**7)
        at = T0 + timedelta(seconds=n)
        for word in ("requested", "confirmed"):
            said = {"ts": iso(at) + "Z", "level": "INFO", "msg": f"order {order} is {word}"}
            lines.append(json.dumps(said))
        lines.insert(-1, f"{iso(at, ' ')} WARN pricing: order {order} has a price")
    path = tmp_path / "all.log"
    path.write_text("\n".join(lines))
    settings, _ = settled(path)
    reader = RecordReader(settings)
    events = [reader.read(b"", record) for _, record in read_events(path)]
    assert len(events) == len(lines)
    assert len({key for _, [key] in events}) == 120
    assert sum(text.startswith(b"pricing: ") for text, _ in events) == 120


@pytest.mark.parametrize("writers", [(spring, logrus, nginx), (python, slog, nginx)])
def test_files_with_a_format_each_are_read_together(
    writers: tuple[Writer, ...], tmp_path: Path
) -> None:
    lines = list(mixed(*writers))
    for name in {name for name, _, _ in lines}:
        of_it = (line for writer, line, _ in lines if writer == name)
        (tmp_path / f"{name}.log").write_text("".join(f"{line}\n" for line in of_it))
    settings, _ = settled(tmp_path)
    seen = [read(settings, record) for _, record in read_events(tmp_path)]
    assert sorted(seen) == sorted(one for _, _, one in lines)
    seconds = [second for second, _, _ in seen]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("writer", [spring, logrus, zap, python, nginx])
def test_a_log_of_one_program_has_one_format_as_ever(writer: Writer) -> None:
    lines = [line for _, line, _ in mixed(writer)]
    found = guess_formats(lines)
    alone = guess_line_format(lines)
    assert found is not None
    assert found.formats == (alone,)


def test_three_lines_of_each_format_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "all.log"
    path.write_text("\n".join(line for _, line, _ in mixed(spring, nginx)))
    _, said = settled(path)
    begin = next(n for n, text in enumerate(said) if text.startswith("line formats:"))
    assert said[begin + 1].startswith("  format 1 fits 50.0% of the lines: ")
    assert sum(" | " in text for text in said[begin:]) == 6


def write_day(path: Path, day: int, sessions: int, swapped: Sequence[int] = ()) -> list[str]:
    """A day of orders through three programs; in those of `swapped`, shipping comes before paying.

    Returns their keys.
    """
    rng = Random(day)
    lines: list[tuple[datetime, str]] = []
    keys = []
    for n in range(sessions):
        at = T0 + timedelta(days=day, seconds=5 * n)
        key = "req-" + "".join(rng.choices("0123456789abcdef", k=12))
        writers = [spring, slog, python]
        if n in swapped:
            writers = [spring, python, slog]
        for writer in (nginx, *writers):
            for step in (0, 1):
                at += timedelta(seconds=0.2 + rng.random())
                # The name of the logger says which step it is.
                number = 6 * rng.randrange(1, 150) + step
                lines.append((at, f"{writer.__name__ + '-1':<9} | {writer(at, key, number)[0]}"))
        keys.append(key)
    path.write_text("".join(f"{line}\n" for _, line in sorted(lines)))
    return [keys[n] for n in swapped]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    write_day(folder / "all.log", 0, 250)
    output = folder / "mixed.bundle"
    options = ["--input", str(folder / "all.log"), "--session-key", "auto"]
    assert export(["fit", *options, "--output", str(output)]) == 0
    return output


def test_the_next_day_is_normal_and_a_wrong_order_across_programs_is_not(
    fitted: Path, tmp_path: Path
) -> None:
    swapped = write_day(tmp_path / "next.log", 1, 200, swapped=(20, 70, 120))
    alerts = tmp_path / "alerts.jsonl"
    options = ["--bundle", str(fitted), "--input", str(tmp_path / "next.log")]
    assert replay(["replay", *options, "--alerts", str(alerts)]) == 0
    told = {json.loads(line)["session"][0] for line in alerts.read_text().splitlines()}
    assert told == set(swapped)


def test_the_templates_have_no_dates_and_levels(fitted: Path) -> None:
    texts = load_bundle(str(fitted)).templates
    assert not any("INFO" in text or "2024" in text or "{" in text for text in texts)
    assert "pay: paid request_id=<id> n=<num>" in texts


def test_the_next_bundle_is_fitted_with_the_same_formats(fitted: Path, tmp_path: Path) -> None:
    bundle = load_bundle(str(fitted))
    write_day(tmp_path / "next.log", 1, 250)
    output = tmp_path / "next.bundle"
    options = [*refit_options(bundle, Config()), "--input", str(tmp_path / "next.log")]
    assert export(["fit", *options, "--output", str(output)]) == 0
    assert load_bundle(str(output)).input_settings == bundle.input_settings


@pytest.mark.parametrize(
    "header",
    [
        "<30>1 2024-05-01T08:00:00Z web app 7 - - ",
        '<30>1 2024-05-01T08:00:00Z web app 7 - [a@1 b="c"] ',
        "<30>1 2024-05-01T08:00:00Z web app 7 - - @cee: ",
        "<30>2024-05-01T08:00:00Z web app[7]: @cee: ",
        "May  1 08:00:00 web app: @cee:",
    ],
)
def test_the_level_of_a_record_behind_syslog_is_its_own(header: str, tmp_path: Path) -> None:
    """Wrong before: behind RFC 5424 and a cookie, a record was text of syslog's level."""
    rows = [{"level": ("info", "error")[n % 5 == 0], "msg": f"paid {n}"} for n in range(40)]
    path = tmp_path / "syslog"
    path.write_text("".join(f"{header}{json.dumps(row)}\n" for row in rows))
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    reader = RecordReader(settings, max_message_size=10_000)
    levels = levels_of(reader)
    records = [record for _, record in read_events(path)]
    assert [levels.rank(record) for record in records] == [
        RANKS[row["level"].encode()] for row in rows
    ]
    assert b"paid 7" in reader.read(b"", records[7])[0]


def test_short_stack_traces_are_no_records_of_their_own(tmp_path: Path) -> None:
    """Was wrong: the records lost levels and fields, as the traces name ids of their texts."""
    lines = []
    for n in range(300):
        said = {"ts": iso(T0 + timedelta(seconds=n)) + "Z", "msg": f"order {12345 + n} is paid"}
        lines.append(json.dumps(said | {"level": "error" if n % 10 == 0 else "info"}))
        if n % 10 == 0:
            lines += [f"java.lang.IllegalState: order {12345 + n}", "   at a.b(C.java:1)"]
    path = tmp_path / "all.log"
    path.write_text("\n".join(lines))
    settings, _ = settled(path, session_key=("/order ([0-9]+)/",))
    assert settings.line_format is None
    assert settings.message_field == "msg"


def test_a_very_long_word_is_looked_through_once(tmp_path: Path) -> None:
    """Was wrong: the export of a log with such a word did not end."""
    records = [{"id": f"a{n}", "msg": "x" * 200_000} for n in range(3)]
    assert not tell_of_the_same(["-" * 200_000] * 20, records)
