"""What is generated from config.py and metrics.py is not stale; `make generate` writes it anew."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from fluent_krone import config
from fluent_krone.runtime import metrics

REPOSITORY = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location(
    "regenerate", REPOSITORY / "tests" / "golden" / "regenerate.py"
)
assert spec is not None and spec.loader is not None
regenerate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(regenerate)


def test_the_plugins_parameters_are_the_declared_ones() -> None:
    text = regenerate.PLUGIN.read_text(encoding="utf-8")
    block = re.search("# BEGIN generated from config.py\n(.*?) *# END generated\n", text, re.DOTALL)
    assert block is not None and block[1] == config.ruby_block(), "stale: run `make generate`"
    assert regenerate.plugin(text) == text


def test_the_documented_parameters_are_the_declared_ones() -> None:
    text = regenerate.PARAMETERS.read_text(encoding="utf-8")
    assert config.markdown_table() in text, "stale: run `make generate`"
    assert regenerate.parameters(text) == text


def test_the_documented_metrics_are_the_declared_ones() -> None:
    text = regenerate.METRICS.read_text(encoding="utf-8")
    assert metrics.markdown_table() in text, "stale: run `make generate`"
    assert regenerate.measurements(text) == text


def test_lost_markers_are_told() -> None:
    for renew in (regenerate.plugin, regenerate.parameters, regenerate.measurements):
        with pytest.raises(SystemExit, match="are not both there"):
            renew("# BEGIN generated from config.py\n")


def test_ruby_sees_what_python_declares() -> None:
    """Every parameter of the pipe, as a string that Fluentd hands on unread; only the bundle must be given."""
    declared = re.findall(
        r"config_param :(\w+), :string(, default: nil)?$", config.ruby_block(), re.MULTILINE
    )
    assert [name for name, _ in declared] == [f.name for f in config.params("pipe")]
    assert [name for name, optional in declared if not optional] == ["bundle"]
    assert (
        "shipped one.'\n    config_param :bundle, :string\n" in config.ruby_block()
    )  # no word of a default there
    assert (
        "| `bundle` | string | hdfs; none in a `<match>` block, which must name it |"
        in config.markdown_table()
    )


def test_defaults_that_ruby_repeats_are_the_declared_ones() -> None:
    repeated = dict(
        re.findall(
            r"^    DEFAULT_(\w+) = '(.*)'$",
            regenerate.PLUGIN.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    declared = {f.name: config.show_default(f) for f in config.params("pipe")}
    assert repeated == {"TAG": declared["tag"], "FRAME_SIZE": declared["max_frame_size"]}


def test_ruby_strings_are_quoted() -> None:
    for line in config.ruby_block().splitlines():
        if line.lstrip().startswith("desc"):
            assert re.fullmatch(r"    desc '(?:[^'\\]|\\.)*'", line), line
