"""What is generated from parameters and metrics is not stale; `make generate` writes it anew."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from fluent_krone import config
from fluent_krone.config.keeping import Keep
from fluent_krone.runtime import metric_names

REPOSITORY = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "tools" / "generate.py")
assert spec is not None and spec.loader is not None
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def test_the_plugins_parameters_are_the_declared_ones() -> None:
    text = generate.PLUGIN.read_text(encoding="utf-8")
    block = re.search(
        "# BEGIN generated from fluent_krone/config\n(.*?) *# END generated\n", text, re.DOTALL
    )
    assert block is not None and block[1] == generate.ruby_block(), "stale: run `make generate`"
    assert generate.plugin(text) == text


@pytest.mark.parametrize(
    ("page", "table", "renew"),
    [
        (generate.PARAMETERS, generate.markdown_tables, generate.parameters),
        (generate.METRICS, metric_names.markdown_table, generate.measurements),
    ],
    ids=["parameters", "metrics"],
)
def test_the_documentation_has_what_is_declared(page: Path, table: Any, renew: Any) -> None:
    text = page.read_text(encoding="utf-8")
    assert table() in text, "stale: run `make generate`"
    assert renew(text) == text


def test_lost_markers_are_told() -> None:
    for renew in (generate.plugin, generate.parameters, generate.measurements):
        with pytest.raises(SystemExit, match="are not both there"):
            renew("# BEGIN generated from fluent_krone/config\n")


def test_ruby_sees_what_python_declares() -> None:
    """Every parameter of the pipe is a string that Fluentd hands on; only `bundle` is required."""
    pattern = r"config_param :(\w+), :string(, default: nil)?$"
    declared = re.findall(pattern, generate.ruby_block(), re.MULTILINE)
    section = re.findall(pattern, generate.ruby_section(), re.MULTILINE)
    in_section = [f"keep_{name}" for name, _ in section]
    # That there is a section says `keep`.
    assert {"keep", *in_section} == {f.name for f in dataclasses.fields(Keep)}
    assert all(optional for _, optional in section)
    assert [name for name, _ in declared] == [
        f.name for f in config.params("pipe") if f.name not in ("keep", *in_section)
    ]
    assert [name for name, optional in declared if not optional] == ["bundle"]
    assert (
        "the package.'\n    config_param :bundle, :string\n" in generate.ruby_block()
    )  # no word of a default there
    assert (
        "| `bundle` | string | hdfs; none in a `<match>` block, which must name it |"
        in generate.markdown_tables()
    )


def test_defaults_that_ruby_repeats_are_the_declared_ones() -> None:
    repeated = dict(
        re.findall(
            r"^    DEFAULT_(\w+) = '(.*)'$",
            generate.PLUGIN.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    )
    declared = {f.name: config.show_default(f) for f in config.params("pipe")}
    names = {
        "TAG": "tag",
        "FRAME_SIZE": "max_frame_size",
        "KEEP_TAG": "keep_tag",
        "KEEP_SUMMARY_TAG": "keep_summary_tag",
        "ANNOTATE_TAG": "annotate_tag",
    }
    assert repeated == {name: declared[parameter] for name, parameter in names.items()}


def test_ruby_strings_are_quoted() -> None:
    for line in generate.ruby_block().splitlines():
        if line.lstrip().startswith("desc"):
            assert re.fullmatch(r"    desc '(?:[^'\\]|\\.)*'", line), line
