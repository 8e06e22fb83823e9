"""Fields by name, as Fluentd's record accessor finds them, and settings that find nothing.

Was wrong: only `$.a.b` was understood; `$['a']['b']`, keys with dots and list places read
nothing, and a stream of which every record was set aside looked healthy.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from export.level_field import find_level_field
from export.session_key import AUTO
from export.source import settle
from export.stages import Options
from fluent_krone.cli import main
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.errors import ConfigError, RecordError
from fluent_krone.reading.accessor import field_getter, message_getter
from fluent_krone.reading.levels import levels_of
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.values import as_fields
from fluent_krone.runtime.misfit import Misfit

RECORD = as_fields(
    {
        "a": {"b": "nested", "c.d": "dotted", "list": ["first", {"x": "in a list"}]},
        "a.b": "plain",
        "kubernetes": {"labels": {"app.kubernetes.io/name": "shop"}},
    }
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("$.a.b", b"nested"),
        ("$['a']['b']", b"nested"),
        ('$["a"]["b"]', b"nested"),
        ("$.a['b']", b"nested"),
        ("$['a'].b", b"nested"),
        ("$['a']['c.d']", b"dotted"),
        ("a.b", b"plain"),
        ("$.a.list[0]", b"first"),
        ("$.a.list[1].x", b"in a list"),
        ("$.a.list[-2]", b"first"),
        ("$.a.list[7]", None),
        ("$.a.list.x", None),
        ("$.kubernetes.labels['app.kubernetes.io/name']", b"shop"),
    ],
)
def test_what_fluentd_understands(name: str, value: bytes | None) -> None:
    assert field_getter(name)(RECORD) == value


@pytest.mark.parametrize(
    "name", ["$.", "$[", "$..a", "$.a.", "$['a'", "$.a[b]", "$[0]", "$.a*", "$.a[?(@.b)]", "$.a b"]
)
def test_what_fluentd_does_not_understand_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="record accessor"):
        RecordReader(InputSettings(session_key=("tag",), message_field=name))
    with pytest.raises(ConfigError, match="record accessor"):
        RecordReader(InputSettings(session_key=(name,)))


def test_check_config_refuses_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", "--message-field", "$['message'"]) == 1
    assert "record accessor" in capsys.readouterr().err


def test_a_message_of_several_fields() -> None:
    get = message_getter("event,$.http.method,status,missing")
    record = as_fields({"event": "login", "http": {"method": "GET"}, "status": 200, "user": "ann"})
    assert get(record) == b"event=login method=GET status=200"
    assert get({}) is None


def test_colours_of_a_live_record_are_stripped() -> None:
    reader = RecordReader(InputSettings(session_key=("/order ([0-9]+)/",), component_field="c"))
    record = as_fields(
        {"message": "\x1b[1;32mpaid\x1b[0m order \x1b[1m7\x1b[0m", "c": "\x1b[3mshop"}
    )
    assert reader.read(b"t", record) == (b"shop: paid order 7", [(b"7",)])


def test_a_message_that_is_a_map_in_some_records() -> None:
    """Was wrong: these records were set aside, a third of each execution in one log."""
    reader = RecordReader(InputSettings(session_key=("/order ([0-9]+)/",)))
    record = as_fields({"message": {"event": "paid", "text": "order 7 is paid", "at": {"n": 1}}})
    assert reader.read(b"t", record) == (b"event=paid text=order 7 is paid", [(b"7",)])


# -- what does not fit


def trouble(
    record: Callable[[int], dict[str, Any]], records: int = 12_000, **settings: Any
) -> tuple[str | None, Engine]:
    bundle: Bundle = load_bundle("hdfs")
    engine = bundle.engine(Config(**settings))
    misfit = Misfit(engine)
    events = [(10**18 + n, as_fields(record(n))) for n in range(records)]
    engine.feed("t", events, 2 * 10**18)
    return misfit.trouble(), engine


def received(n: int) -> dict[str, Any]:
    return {
        "component": "dfs.DataNode$DataXceiver",
        "message": f"Receiving block blk_{n} src: /10.0.0.1:5 dest: /10.0.0.2:6",
    }


def test_a_stream_that_fits_has_no_trouble() -> None:
    assert trouble(received)[0] is None


def test_lines_of_stack_traces_are_no_misfit() -> None:
    """Was wrong: a bundle that fits was said not to, where most lines belong to stack traces."""
    lines = [
        b"INFO dfs.DataNode$DataXceiver: Receiving block blk_1 src: /10.0.0.1:5 dest: /10.0.0.2:6"
    ]
    lines += [b"java.io.IOException: closed", b"\tat a.B.c(D.java:1)", b"\t... 3 more"]
    found, engine = trouble(
        lambda n: {"message": lines[n % len(lines)]},
        line_format=r"INFO (?<component>\S+): (?<message>.*)",
    )
    assert found is None
    assert engine.set_aside == {"continuation": 9_000}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"message_field": "nosuch"}, "message_field 'nosuch'"),
        ({"message_field": "log.text"}, "a nested field is written $.log.text"),
        ({"session_key": ("$.no['such']",)}, "session_key $.no['such'] finds nothing"),
        ({"component_field": "nosuch"}, "component_field 'nosuch' is in none"),
        ({"level_field": "nosuch"}, "level_field 'nosuch' has a level in none"),
        ({"line_format": "(?<time>x) (?<message>.*)"}, "line_format"),
    ],
)
def test_a_setting_that_finds_nothing_is_named(settings: dict[str, Any], words: str) -> None:
    found, engine = trouble(received, **settings)
    assert found is not None
    assert words in found
    assert "\n" not in found
    assert engine.counters["records"] == 12_000


def test_a_component_that_no_record_has_is_named_soon() -> None:
    """Was wrong: it took 1,000 records, and until then each line was told as a new one."""
    found, _ = trouble(received, 100, component_field="nosuch")
    assert found is not None and "component_field 'nosuch' is in none of 100 events" in found
    assert trouble(received, 99, component_field="nosuch")[0] is None


def test_records_that_cannot_be_read_any_more_are_named_soon() -> None:
    """Was wrong: where a deploy renamed the field of the message, nothing was said at first."""
    found, _ = trouble(lambda n: received(n) if n < 140 else {"text": received(n)["message"]}, 300)
    assert found is not None and "160 of 300 records are set aside (no_message)" in found


@pytest.mark.parametrize(
    ("messages", "code", "told"), [(0, 1, "an event: 200 of 200"), (1, 0, "warning: 199 of 200")]
)
def test_replay_warns(
    messages: int,
    code: int,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a file without any event it is an error: was wrong, it ended as if all were well."""
    path = tmp_path / "a.log"
    names = ["message"] * messages + ["text"] * (200 - messages)
    path.write_text("".join(json.dumps({"tag": "a", name: "line"}) + "\n" for name in names))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main(["replay", "--input", str(path), "--session-key", "tag"]) == code
    assert f"{told} records are set aside (no_message)" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["component", "level", "time"])
def test_an_export_refuses_a_field_that_no_record_has(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Was wrong: without a word, whatever stood before a colon was taken for the component."""
    path = tmp_path / "a.log"
    path.write_text("".join(f'{{"msg": "order {n // 3}: paid"}}\n' for n in range(90)))
    options = ["--input", str(path), "--session-key", "/order ([0-9]+)/"]
    field = [f"--{option}-field", "nosuch"]
    assert main(["export", "mine", *options, *field, "--work", str(tmp_path / "work")]) == 1
    assert f"--{option}-field: no record has a field 'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (["paid order", 7, "by card"], b"paid order 7 by card"),
        (["paid order 7"], b"paid order 7"),
        ([112, 97, 105, 100], b"paid"),
    ],
)
def test_a_message_that_is_a_list(message: list[Any], text: bytes) -> None:
    """Was wrong: records of calls that log several values were set aside."""
    reader = RecordReader(InputSettings(session_key=("tag",)))
    assert reader.read(b"t", as_fields({"message": message}))[0] == text
    reader = RecordReader(InputSettings(session_key=("tag",), message_field="message,code"))
    assert reader.read(b"t", as_fields({"message": message}))[0] == b"message=" + text


@pytest.mark.parametrize(
    "record_of",
    [
        pytest.param(lambda level: {"o": {"it's": level}}, id="a quote in a name"),
        pytest.param(lambda level: {"a": {"b": {"c": {"d": {"e": level}}}}}, id="deep"),
        pytest.param(lambda level: {"entries": [{"level": level}]}, id="an object in a list"),
        pytest.param(lambda level: {"tags": ["app", level]}, id="a word in a list"),
        pytest.param(
            lambda level: {"attributes": [{"key": "level", "value": {"stringValue": level}}]},
            id="attributes of OpenTelemetry",
        ),
        pytest.param(lambda level: {"meta": {"lvl": f"[{level}]"}}, id="brackets"),
        pytest.param(lambda level: {"meta": {"lvl": f"LogLevel.{level}"}}, id="an enumeration"),
        pytest.param(lambda level: {"level": {"name": level, "no": 20}}, id="loguru"),
        pytest.param(
            lambda level: {"otel": {"severityNumber": {"INFO": 9, "WARN": 13, "ERROR": 17}[level]}},
            id="numbers of OpenTelemetry",
        ),
    ],
)
def test_levels_wherever_they_are_nested(record_of: Callable[[str], dict[str, Any]]) -> None:
    """Was wrong: levels in lists, below four objects or with signs around them were not found, and
    a quote in a field's name ended the export with an error.
    """
    sample = [
        as_fields({"message": "hi there", **record_of(level)})
        for level in ("INFO", "WARN", "ERROR")
    ]
    settings = InputSettings(session_key=("tag",))
    found = find_level_field(settings, sample, lambda text: None)
    assert found is not None
    levels = levels_of(RecordReader(settings.override(level_field=found)))
    assert list(map(levels.rank, sample)) == [3, 5, 6]


def test_a_time_of_zero_is_none_and_is_told() -> None:
    """Was wrong: it was taken for 1970, and sessions never ended."""
    found, engine = trouble(lambda n: {**received(n), "ts": 0}, time_field="ts")
    assert found is not None and "cannot be read from time_field 'ts'" in found
    assert engine.watermark > 10**18


def test_a_field_without_a_name_is_passed_over(tmp_path: Path) -> None:
    """Was wrong: the export found a list in it, wrote an accessor for it, and refused that one."""
    rows = [
        {"message": f"step {n % 3}", "": {"of": ["a", n]}, "by": {"": [n]}, "id": f"r{n // 3:06x}"}
        for n in range(300)
    ]
    path = tmp_path / "a.log"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert settle(Options(input=path, session_key=AUTO), str, str).session_key == ("id",)


def test_a_component_that_is_an_object_is_known_by_its_name(tmp_path: Path) -> None:
    """Was wrong: it ended the export with an error of Python."""
    rows = [
        {"message": f"step {n % 3}", "component": {"name": "pump"}, "id": f"r{n // 3:06x}"}
        for n in range(300)
    ]
    path = tmp_path / "a.log"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = settle(Options(input=path, session_key=("id",)), str, str)
    assert settings.component_field == "$.component.name"


@pytest.mark.parametrize("message", [{}, {"code": 7}, {"at": {"n": 1}}])
def test_a_map_without_a_text_is_no_message(message: dict[str, Any]) -> None:
    """Was wrong: it was an empty text, and so a step that no template matches."""
    reader = RecordReader(InputSettings(session_key=("tag",)))
    with pytest.raises(RecordError, match="the record has no message"):
        reader.read(b"t", as_fields({"message": message}))
