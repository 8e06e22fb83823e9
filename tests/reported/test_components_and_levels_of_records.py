"""Components, levels and texts of records, under the names that loggers give them.

Was wrong: only a `logger` or `component` at the top was a component, so that records of Quarkus,
Elasticsearch, .NET or Rust had none. Numbers that count from debug upwards were read as syslog's,
by which all was an alert. A text was taken for a template's, or for none where a number stood in
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.source import settle
from export.stages import Options
from fluent_krone.inputs import read_events
from fluent_krone.reading.levels import RANK_NAMES, levels_of
from fluent_krone.reading.records import InputSettings, RecordReader

EVENTS = 60
TEXTS = ("order {} paid", "retry {} of 5 begins", "cannot open valve {}")


def text_of(n: int) -> str:
    return TEXTS[n % 3].format(100 + n * 7 % 31)


def time_of(n: int) -> str:
    return f"2024-10-15T13:00:{n:02d}.123Z"


def settings_of(path: Path, said: list[str]) -> InputSettings:
    return settle(Options(input=path, session_key=("tag",)), said.append, said.append)


def put(folder: Path, write: Callable[[int], Any]) -> Path:
    path = folder / "a.log"
    path.write_text("".join(json.dumps(write(n)) + "\n" for n in range(EVENTS)))
    return path


@pytest.mark.parametrize(
    ("name", "value", "accessor"),
    [
        ("loggerName", "org.acme.Pump", "loggerName"),
        ("log.logger", "o.e.n.Node", "log.logger"),
        ("@module", "agent.server", "@module"),
        ("SourceContext", "Acme.Pump", "SourceContext"),
        ("Category", "Acme.Pump", "Category"),
        ("target", "app::api", "target"),
        ("log", {"logger": "pump"}, "$.log.logger"),
        # Were not found.
        ("logger", {"name": "acme.Pump"}, "$.logger.name"),
        ("Modul", "Pumpe", "Modul"),
        ("модуль", "насос", "модуль"),
    ],
)
def test_a_component_by_its_name(name: str, value: Any, accessor: str, tmp_path: Path) -> None:
    path = put(tmp_path, lambda n: {"time": time_of(n), name: value, "message": text_of(n)})
    settings = settings_of(path, [])
    assert settings.component_field == accessor
    reader = RecordReader(settings)
    [(_, record), *_] = read_events(path)
    component = next(iter(value.values())) if isinstance(value, dict) else value
    assert reader.read(b"", record)[0].decode() == f"{component}: {text_of(0)}"


@pytest.mark.parametrize(
    ("beside", "accessor"),
    [
        (lambda name: {"service": name}, "service"),
        (lambda name: {"service.name": name}, "service.name"),
        (lambda name: {"service": {"name": name}}, "$.service.name"),
        (lambda name: {"svc": {"name": name}}, "$.svc.name"),
        (lambda name: {"appName": name}, "appName"),
        (lambda name: {"resource": {"service.name": name}}, "$.resource['service.name']"),
        (lambda name: {"service": "shop", "logger": name}, "logger"),
    ],
)
def test_records_without_a_logger_have_their_service(
    beside: Callable[[str], dict[str, Any]], accessor: str, tmp_path: Path
) -> None:
    """Was wrong: where several services write to one log, no record had a component."""
    names = ("orders", "retries", "valves")
    path = put(tmp_path, lambda n: {"msg": text_of(n), "t": time_of(n), **beside(names[n % 3])})
    assert settings_of(path, []).component_field == accessor


def test_a_service_that_is_always_the_same_is_no_component(tmp_path: Path) -> None:
    path = put(tmp_path, lambda n: {"msg": text_of(n), "t": time_of(n), "service": "orders"})
    assert settings_of(path, []).component_field is None


def test_a_service_that_writes_what_others_write_is_no_component(tmp_path: Path) -> None:
    path = put(tmp_path, lambda n: {"msg": text_of(n), "t": time_of(n), "service": "ab"[n % 2]})
    assert settings_of(path, []).component_field is None


def test_the_name_of_a_python_logger_is_before_its_module(tmp_path: Path) -> None:
    """Was wrong: the module was taken, which is the name of a file, and `views` in all of them."""
    path = put(
        tmp_path,
        lambda n: {
            "asctime": time_of(n),
            "name": ["shop.cart", "shop"][n % 2],
            "levelname": "INFO",
            "module": "views",
            "message": text_of(n),
        },
    )
    assert settings_of(path, []).component_field == "name"


def test_the_channel_of_monolog_is_a_component(tmp_path: Path) -> None:
    """Was not found: elsewhere, a channel is where a customer came from."""
    for name, expected in (("level_name", "channel"), ("rank", None)):
        path = put(
            tmp_path,
            lambda n, name=name: {
                "message": text_of(n),
                name: ["INFO", "ERROR"][n % 2],
                "channel": ["app", "shop"][n % 2],
                "datetime": time_of(n),
            },
        )
        assert settings_of(path, []).component_field == expected


@pytest.mark.parametrize("name", ["target", "category", "class"])
def test_a_word_of_another_meaning_is_no_component(name: str, tmp_path: Path) -> None:
    path = put(
        tmp_path, lambda n: {"time": time_of(n), name: ["eu", "us"][n % 2], "message": text_of(n)}
    )
    assert settings_of(path, []).component_field is None


@pytest.mark.parametrize(
    "record",
    [{"host": {"name": "{}.example.internal"}}, {"target": "{}.example.com"}, {"source": "{}.log"}],
)
def test_a_host_or_a_file_is_no_component(record: dict[str, Any], tmp_path: Path) -> None:
    """Wrong before: each host had templates of its own."""

    def write(n: int) -> dict[str, Any]:
        own = json.loads(json.dumps(record).replace("{}", ("alpha", "beta")[n % 2]))
        return {"time": time_of(n), "message": text_of(n), **own}

    assert settings_of(put(tmp_path, write), []).component_field is None


def test_words_of_another_usual_field_come_before_doubted_numbers(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        lambda n: {
            "time": time_of(n),
            "level": 3,
            "severity": "ERROR" if n % 9 == 0 else "INFO",
            "message": text_of(n),
        },
    )
    assert settings_of(path, []).level_field == "severity"


@pytest.mark.parametrize(
    ("more", "rank"),
    [
        # 1 is an information for some, and an alert for syslog
        ({}, 0),
        ({"label": "Note"}, 4),
    ],
)
def test_numbers_that_count_upwards_are_no_levels_of_syslog(
    more: dict[str, str], rank: int, tmp_path: Path
) -> None:
    def write(n: int) -> dict[str, Any]:
        record = {"time": time_of(n), "level": 1 + (n % 10 == 9), "message": text_of(n)}
        if more and n % 10 == 9:
            return record | {"label": "Warning"}
        return record | more

    path = put(tmp_path, write)
    said: list[str] = []
    settings = settings_of(path, said)
    levels = levels_of(RecordReader(settings))
    [(_, record), *_] = read_events(path)
    assert levels.rank(record) == rank
    if not more:
        assert any("no level is read" in line for line in said)


def test_numbers_of_syslog_are_levels(tmp_path: Path) -> None:
    path = put(
        tmp_path, lambda n: {"time": time_of(n), "level": 3 if n % 9 else 6, "message": text_of(n)}
    )
    # Most are errors here, which is so rare that it has to be said.
    assert settings_of(path, []).level_field == ""
    path = put(
        tmp_path, lambda n: {"time": time_of(n), "level": 6 if n % 9 else 3, "message": text_of(n)}
    )
    settings = settings_of(path, [])
    ranks = [levels_of(RecordReader(settings)).rank(record) for _, record in read_events(path)]
    assert {RANK_NAMES[rank] for rank in ranks} == {"info", "error"}


def test_a_rendered_text_comes_before_its_template(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        lambda n: {"time": time_of(n), "message": "order {} did", "formattedMessage": text_of(n)},
    )
    settings = settings_of(path, [])
    assert settings.message_field == "formattedMessage"


@pytest.mark.parametrize("name", ["txt", "signature", "output"])
def test_a_sentence_with_a_number_is_a_text(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, lambda n: {"time": time_of(n), "unit": "pump", name: text_of(n)})
    assert settings_of(path, []).message_field == name


def test_a_message_that_is_always_empty_is_none(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        lambda n: {"time": time_of(n), "msg": "", "method": "GET", "status": 200 + n % 2 * 204},
    )
    assert "msg" not in settings_of(path, []).message_field.split(",")


def test_columns_behind_the_last_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = (f'Information,{time_of(n)},Pump,7000,"{text_of(n)}"\n' for n in range(EVENTS))
    path.write_text("Level,Date and Time,Source,Event ID\n" + "".join(rows))
    settings = settings_of(path, [])
    [(_, record), *_] = read_events(path)
    assert text_of(0) in RecordReader(settings).read(b"", record)[0].decode()


def test_records_behind_a_header_that_name_no_component_have_none(tmp_path: Path) -> None:
    """Was wrong: a field that no record has was settled on, and each stream was said to lack it."""
    path = tmp_path / "a.log"
    path.write_text(
        "".join(
            f"{time_of(n)} node7 rides[77]: "
            + json.dumps({"lvl": "INFO", "mod": "ride", "text": text_of(n)})
            + "\n"
            for n in range(EVENTS)
        )
    )
    assert settings_of(path, []).component_field is None


@pytest.mark.parametrize(
    ("name", "text"), [("消息", "订单{n}已经支付成功"), ("メッセージ", "注文{n}を受け付けました")]
)
def test_a_text_without_blanks_is_a_message(name: str, text: str, tmp_path: Path) -> None:
    """Was wrong: such records had no text, and their message was made of level and module."""
    path = put(
        tmp_path,
        lambda n: {"级别": "INFO", "模块": "支付服务", name: text.format(n=n % 7)},
    )
    assert settings_of(path, []).message_field == name
