"""Parameters: what literals mean, what is refused and how, and that secrets stay secret."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from fluent_krone import config
from fluent_krone.config import (
    Config,
    from_flags,
    from_strings,
    parse_duration,
    parse_list,
    parse_size,
)
from fluent_krone.errors import ConfigError


def flags(*arguments: str, command: str = "serve") -> Config:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    config.add_flags(parser, command)
    return from_flags(parser.parse_args(arguments), command)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("14h", 50400),
        ("1d", 86400),
        ("0", 0),
        ("0.5", 0.5),
        ("90", 90),
        ("1e3", 1000),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0.5s",
            "100ms",
            "1.5h",
            "1h30m",
            "3w",
            "30 s",
            "30S",
            "s",
            "",
            "-3s",
            "-3",
            "nan",
            "inf",
            "1e400",
        ),
        *("9" * 400 + "d", "300000000000", "٣s"),
    ],
)
def test_durations_that_fluentd_would_misread_and_other_nonsense(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^idle_timeout: "):
        from_strings({"idle_timeout": text})


def test_a_refused_duration_is_told_with_its_remedy() -> None:
    with pytest.raises(
        ConfigError,
        match=r"idle_timeout: '0\.5s' is not a duration that Fluentd understands: write 30s",
    ):
        from_strings({"idle_timeout": "0.5s"})


@pytest.mark.parametrize(
    ("text", "size"), [("8m", 8 * 2**20), ("64k", 65536), ("1G", 2**30), ("2t", 2**41), ("7", 7)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("max_message_size", ("", "8mb", "1.5m", "-1", "m", "8 m", "٣")),
        ("max_events", ("", "-1", "1.5", "1_000", "ten", "1" * 5000)),
    ],
)
def test_texts_that_are_no_size_or_count(name: str, texts: tuple[str, ...]) -> None:
    for text in texts:
        with pytest.raises(ConfigError, match=rf"^{name}: "):
            from_strings({name: text})


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("tag", ("tag",)),
        (" tag , host ", ("tag", "host")),
        ("tag,,host,", ("tag", "host")),
        ("/a{1,2}/, tag", ("/a{1,2}/", "tag")),
        (r"/a\/{1,2}/,tag", (r"/a\/{1,2}/", "tag")),
        ("$.kubernetes.pod_name", ("$.kubernetes.pod_name",)),
        ("", ()),
        (" , ", ()),
    ],
)
def test_lists(text: str, items: tuple[str, ...]) -> None:
    assert parse_list(text) == items


def test_bools() -> None:
    assert [config.parse_bool(t) for t in ("true", "YES", "false", "no")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(ValueError, match="neither true nor false"):
        config.parse_bool("1")


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown parameter 'idle_timout': did you mean 'idle_timeout'\?"
    ):
        from_strings({"idle_timout": "5m"})
    with pytest.raises(ConfigError, match=r"unknown parameter 'zzz'$"):
        from_strings({"zzz": "5m"})


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("idle_timeout", "0", "idle_timeout must be positive, got 0"),
        ("max_events", "0", "max_events must be at least 1"),
        ("max_sessions", "0", "max_sessions must be at least 1, got 0"),
        ("max_message_size", "0", "max_message_size must be at least 1, got 0"),
        ("cache_size", "0", "cache_size must be at least 1, got 0"),
        ("port", "65536", "port must be at most 65535, got 65536"),
        ("alert_port", "70000", "alert_port must be at most 65535, got 70000"),
        ("idle_clock", "sundial", "idle_clock must be one of stream, wall, got 'sundial'"),
        ("on_shutdown", "", "on_shutdown must be one of auto, judge, keep, got ''"),
    ],
)
def test_values_out_of_range_are_named(name: str, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        from_strings({name: text})


def test_tag_and_add_tag_prefix_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="keep one"):
        from_strings({"tag": "a", "add_tag_prefix": "b"})


def test_a_parameter_of_another_command_is_unknown() -> None:
    with pytest.raises(ConfigError, match="unknown parameter 'port'"):
        from_strings({"port": "1"}, "pipe")


def test_flags_over_file(tmp_path: Path) -> None:
    file = tmp_path / "krone.toml"
    file.write_text(
        'idle_timeout = "5m"\nport = 1\nsession_key = ["/a{1,2}/", "tag"]\ncommit_interval = 0.5\n'
    )
    made = flags("--config", str(file), "--port", "2")
    assert (made.idle_timeout, made.port, made.commit_interval) == (300, 2, 0.5)
    assert made.session_key == ("/a{1,2}/", "tag")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--metrics"], True),
        (["--metrics=true"], True),
        (["--metrics", "no"], False),
        (["--no-metrics"], False),
        (["--metrics", "--no-metrics"], False),
        ([], False),
    ],
)
def test_boolean_parameters_are_flags(arguments: list[str], expected: bool) -> None:
    assert flags(*arguments).metrics is expected


def test_a_flag_switches_off_what_the_file_switches_on(tmp_path: Path) -> None:
    file = tmp_path / "krone.toml"
    file.write_text("metrics = true\n")
    assert flags("--config", str(file)).metrics
    assert not flags("--config", str(file), "--no-metrics").metrics


def test_help_shows_common_parameters_first_and_the_rest_in_groups() -> None:
    parser = argparse.ArgumentParser(usage="%(prog)s [OPTION ...]")
    config.add_flags(parser, "serve")
    text = parser.format_help()
    titles = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert titles[1].startswith("common parameters")
    assert {"sessions", "delivery", "explanations", "alert receiver"} <= set(titles)
    assert text.index("--session-key") < text.index("--time-format")
    # Each parameter without a secret stands in exactly one group.
    for parameter in config.params("serve"):
        shown = len(re.findall(rf"^  --{parameter.name.replace('_', '-')}[ ,]", text, re.MULTILINE))
        assert shown == (0 if parameter.metadata["secret"] else 1), parameter.name


def test_flags_are_spelt_either_way() -> None:
    assert flags("--idle-timeout=5m") == flags("--idle_timeout=5m")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"idle_timout = 1", "unknown parameter 'idle_timout': did you mean 'idle_timeout'"),
        (b"port = ", "Invalid value"),
        (b"tag = '\xff'", "krone.toml: "),
        (None, "krone.toml: "),
    ],
)
def test_a_bad_file_is_told_with_its_name(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / "krone.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        flags("--config", str(file))


def test_secrets_come_by_environment_or_file_and_never_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "krone.toml"
    file.write_text('shared_key = "from-file"\nalert_shared_key = "s3cret"\n')
    monkeypatch.setenv("FLUENT_KRONE_SHARED_KEY", "hunter2")
    made = flags("--config", str(file))
    assert (made.shared_key, made.alert_shared_key) == ("hunter2", "s3cret")
    assert "hunter2" not in repr(made) and "s3cret" not in repr(made)
    with pytest.raises(SystemExit):
        flags("--shared-key", "hunter2")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        flags("--help")
    assert not re.search(r"--(alert[-_])?shared[-_]key\b(?!-)", capsys.readouterr().out)


def test_a_secret_that_does_not_parse_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as failure:
        from_strings({"shared_key": "hunter2", "port": "no"})
    assert "hunter2" not in str(failure.value)


def test_every_parameter_is_declared_whole() -> None:
    for f in config.params():
        assert f.metadata["doc"].endswith("."), f.name
        assert set(f.metadata["commands"]) <= {
            "pipe",
            "serve",
            "replay",
            "kafka",
            "kafka-key",
            "kafka-share",
        }, f.name
        assert not f.metadata["choices"] or f.default in f.metadata["choices"], f.name


def test_defaults_are_shown_as_an_operator_writes_them() -> None:
    shown = {f.name: config.show_default(f) for f in config.params()}
    assert (shown["max_frame_size"], shown["max_leap"], shown["commit_interval"]) == (
        "272m",
        "30d",
        "0.5",
    )
    assert (shown["port"], shown["tag"], shown["window"]) == ("24224", "krone.${tag}", "")


def test_a_regex_in_a_list_keeps_its_slashes_in_brackets_and_must_end() -> None:
    assert parse_list("/[^/]{1,20}/, host") == ("/[^/]{1,20}/", "host")
    with pytest.raises(ValueError, match="begins like a /regex/"):
        parse_list("/a/b,c")
