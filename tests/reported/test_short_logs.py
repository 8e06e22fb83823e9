"""Logs of a dozen lines, as somebody has them who tries the product.

Was wrong: where a log had few lines, its handful of loggers or of activities was more than the
share of the lines that was allowed, so there was no component, and the message kept its header.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.accessor import field_getter
from fluent_krone.reading.records import RecordReader

COMPONENTS = ("acme.shop.Orders", "acme.shop.Stock", "acme.pay.Client", "acme.Mailer")
CLASSES = ("OrderService", "Stock", "PaymentClient", "Mailer")
TEXTS = ("order {} paid", "retry {} begins", "cannot open valve {}", "sent mail {}", "took {} ms")
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
COUNT = 12


def read(path: Path) -> list[tuple[str, str]]:
    """The component and the message of each event."""
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    assert settings.component_field
    reader = RecordReader(settings)
    component_of = field_getter(settings.component_field)
    found = []
    for _, record in read_events(path):
        component = component_of(reader.fields(record))
        text = reader.read(b"", record)[0].decode()
        found.append((component.decode(), text.removeprefix(f"{component.decode()}: ")))
    return found


def text_of(n: int) -> str:
    return TEXTS[n % 5].format(100 + n * 7 % 31)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("{time} {level:>5} 77 --- [{thread:>15}] {name:<24} : {text}", COMPONENTS),
        ("{time}+02:00 {level:>5} 77 --- [shop] [{thread:>15}] {name:<24} : {text}", COMPONENTS),
        ("{time} {level:<5} [{name}] ({thread}) {text}", COMPONENTS),
        ("{time} {level:<5} [{name}] ({thread}) {text}", CLASSES),
        ("{time}|{level}|{name}|{text}", COMPONENTS),
        ("{time} {level} [{name}] {text}", COMPONENTS),
        ("{time} | {name} | {level} | {text}", ("PLC1", "VALVE", "TEMP", "OPER")),
        ("[{time}] [{level}] [{name}:process:77] {text}", COMPONENTS),
        # The level was a thread.
        ("    {time}Z [{level}]  {name}: {text}", COMPONENTS),
        ("[{time}] [{level:.1}] {name}: {text}", CLASSES),
        (
            "{time}Z {level:.1}! [{name}] {text}",
            ("inputs.cpu", "inputs.disk", "outputs.db", "agent"),
        ),
    ],
)
def test_the_loggers_of_a_header(form: str, names: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    expected = [(names[n % 4], text_of(n)) for n in range(COUNT)]
    path.write_text(
        "".join(
            form.format(
                time=f"2024-10-15 13:00:{n:02d}.123",
                level=LEVELS[n % 3],
                thread=("main", "worker-1")[n % 2],
                name=name,
                text=text,
            )
            + "\n"
            for n, (name, text) in enumerate(expected)
        )
    )
    assert read(path) == expected


@pytest.mark.parametrize("name", ["component", "logger", "SourceContext", "ProviderName", "name"])
def test_the_loggers_in_a_field(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    expected = [(COMPONENTS[n % 4], text_of(n)) for n in range(COUNT)]
    path.write_text(
        "".join(
            json.dumps({"time": f"2024-10-15T13:00:{n:02d}Z", name: logger, "message": text}) + "\n"
            for n, (logger, text) in enumerate(expected)
        )
    )
    assert read(path) == expected


@pytest.mark.parametrize(
    "write",
    [
        lambda n, name, text: {
            "t": {"$date": f"2024-10-15T13:00:{n:02d}.123+00:00"},
            "s": "I", "c": name, "ctx": f"conn{n % 3}", "msg": text,
        },
        lambda n, name, text: {
            "L": "INFO", "T": f"2024-10-15T13:00:{n:02d}.123Z", "N": name, "M": text,
        },
    ],
    ids=["MongoDB", "zap"],
)  # fmt: skip
def test_the_loggers_in_fields_of_one_letter(
    write: Callable[[int, str, str], object], tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    names = ("NETWORK", "STORAGE", "COMMAND", "QUERY")
    expected = [(names[n % 4], text_of(n)) for n in range(COUNT)]
    path.write_text("".join(json.dumps(write(n, *e)) + "\n" for n, e in enumerate(expected)))
    assert read(path) == expected


def test_an_id_is_no_component_although_the_log_is_short(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    rows = [
        {"time": f"2024-10-15T13:00:{n:02d}Z", "module": f"m{n * 7919}", "message": text_of(n)}
        for n in range(COUNT)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    assert settings.component_field is None


@pytest.mark.parametrize(
    ("columns", "form", "session_key", "message_field"),
    [
        (
            "Case ID,Activity,Complete Timestamp",
            "c{c},{name},2024/10/15 13:00:{n:02d}.123",
            "Case ID",
            "Activity",
        ),
        (
            "Date,Time,Source,Event",
            "10/15/2024,1:00:{n:02d} PM,PLC1,Batch B{n} is done",
            "Source",
            "Event",
        ),
    ],
)
def test_the_events_of_a_table(
    columns: str, form: str, session_key: str, message_field: str, tmp_path: Path
) -> None:
    """Was wrong: the export ended, since no field had a message."""
    path = tmp_path / "a.csv"
    rows = [form.format(n=n, c=n % 3, name=CLASSES[n % 4]) for n in range(COUNT)]
    path.write_text("\n".join([columns, *rows]) + "\n")
    settings = settle(Options(input=path, session_key=(session_key,)), len, len)
    assert settings.message_field == message_field


@pytest.mark.parametrize(
    ("form", "component"),
    [
        ("[org.acme.Broker] AMQ22{code:04d}: {text}", "org.acme.Broker"),
        ("| {text} | org.acme.Broker | worker-{thread}", "org.acme.Broker"),
    ],
)
def test_the_logger_beside_a_code_and_behind_the_message(
    form: str, component: str, tmp_path: Path
) -> None:
    """Was wrong: the message's own number was the logger, or the logger stayed in the message."""
    path = tmp_path / "a.log"
    head = "2024-10-15 13:00:{:02d},123 {} "
    path.write_text(
        "".join(
            head.format(n, "| INFO  " if form.startswith("|") else "INFO ")
            + form.format(code=n % 4, text=text_of(n), thread=n % 3)
            + "\n"
            for n in range(40)
        )
    )
    assert {name for name, _ in read(path)} == {component}


@pytest.mark.parametrize("name", ["SRV001", "DB2001", "JOB123"])
def test_a_name_with_a_short_number_is_a_component(name: str, tmp_path: Path) -> None:
    """Was wrong: it was taken for the number of the message, as AMQ221007 is."""
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            f"2024-10-15 13:00:{n:02d},123 {LEVELS[n % 4]} {name}: {text_of(n)}\n"
            for n in range(40)
        )
    )
    assert read(path) == [(name, text_of(n)) for n in range(40)]


@pytest.mark.parametrize(
    ("beside", "name"),
    [({"s": "I", "c": "NETWORK", "ctx": "conn1"}, "logger"), ({"SourceName": "Shop"}, "module")],
)
def test_a_plain_name_comes_before_one_of_a_product(
    beside: dict[str, str], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    expected = [(COMPONENTS[n % 4], text_of(n)) for n in range(COUNT)]
    rows = [
        {"time": f"2024-10-15T13:00:{n:02d}Z", **beside, name: logger, "message": text}
        for n, (logger, text) in enumerate(expected)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = settle(Options(input=path, session_key=("tag",)), len, len)
    assert settings.component_field == name
