"""Writes anew what is generated from parameters, metrics and docstrings: `make generate`.

Three files have blocks between markers: the plugin's `config_param` lines and version, and the
tables of `docs/configuration.md` and `docs/operations.md`. Three files are generated as a whole:
the rules of Prometheus, the dashboard of Grafana, and the list of modules. A test fails when one of
them is stale.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
# This checkout is described, whatever version is installed.
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tools")]

import alarms  # noqa: E402
import dashboard  # noqa: E402
import modules  # noqa: E402

from fluent_krone import __version__, config  # noqa: E402
from fluent_krone.config.keeping import Keep  # noqa: E402
from fluent_krone.runtime import metric_names  # noqa: E402

PLUGIN = REPOSITORY / "fluent_krone" / "fluentd" / "out_krone.rb"
PARAMETERS = REPOSITORY / "docs" / "configuration.md"
METRICS = REPOSITORY / "docs" / "operations.md"
RULES = REPOSITORY / "deploy" / "prometheus" / "fluent-krone.rules.yml"
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "fluent-krone.json"
MODULES = REPOSITORY / "docs" / "modules.md"

# A default bundle in a `<match>` block would silently judge the operator's log by another's model.
_GIVEN_IN_MATCH = "bundle"
# Parameters of the group `Keep` stand in a section of their own in a `<match>` block.
_SECTION = "keep_"
_IN_SECTION = {field.name for field in dataclasses.fields(Keep)}
# These have no default of their own: the bundle has a value for each of them.
_BUNDLE_SETTINGS = {
    "message_field",
    "component_field",
    "time_field",
    "time_format",
    "level_field",
    "line_format",
    "session_key",
    "idle_timeout",
    "window",
    "max_age",
    "max_events",
}


def ruby_block() -> str:
    """The `config_param` lines of `out_krone.rb`: strings, which Fluentd hands on unparsed."""
    lines = []
    for parameter in config.params("pipe"):
        if parameter.name in _IN_SECTION:
            continue
        if parameter.name == _GIVEN_IN_MATCH:
            lines.append(f"    desc {_ruby(parameter.metadata['doc'])}")
            lines.append(f"    config_param :{parameter.name}, :string")
        else:
            help_text = config.help_of(parameter).replace("%%", "%")
            lines.append(f"    desc {_ruby(help_text)}")
            lines.append(f"    config_param :{parameter.name}, :string, default: nil")
    return "\n".join(lines) + "\n"


def ruby_section() -> str:
    """The lines of the plugin's `<keep>` section, whose parameters have no prefix there."""
    lines = []
    for parameter in config.params("pipe"):
        name = parameter.name.removeprefix(_SECTION)
        if parameter.name in _IN_SECTION and name != parameter.name:
            help_text = config.help_of(parameter).replace("%%", "%")
            lines.append(f"      desc {_ruby(help_text)}")
            lines.append(f"      config_param :{name}, :string, default: nil")
    return "\n".join(lines) + "\n"


def _ruby(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def markdown_tables() -> str:
    """The tables of `docs/configuration.md`, one for each group of parameters."""
    rows: list[str] = []
    for title, parameters in config.groups():
        rows += ["", f"### {title}", ""]
        rows += ["| parameter | type | default | commands | meaning |", "|---|---|---|---|---|"]
        rows += map(_row, parameters)
    return "\n".join(rows[1:]) + "\n"


def _row(parameter: dataclasses.Field[Any]) -> str:
    metadata = parameter.metadata
    kind = " \\| ".join(metadata["choices"]) or metadata["kind"].name
    doc = metadata["doc"]
    if metadata["secret"]:
        doc += " It is read from the environment or from a file only."
    cells = (f"`{parameter.name}`", kind, _default(parameter), ", ".join(metadata["commands"]), doc)
    return f"| {' | '.join(cells)} |"


def _default(parameter: dataclasses.Field[Any]) -> str:
    if parameter.name == _GIVEN_IN_MATCH:
        return f"{parameter.default}; none in a `<match>` block, which must name it"
    if parameter.default is None and parameter.name in _BUNDLE_SETTINGS:
        return "as the bundle says"
    return config.show_default(parameter) or "none"


def plugin(text: str) -> str:
    """The plugin's source with its parameters as declared."""
    begin = "    # BEGIN generated from fluent_krone/config\n"
    text = _between(text, begin, "    # END generated\n", ruby_block())
    begin = "      # BEGIN generated from fluent_krone/config/keeping.py\n"
    text = _between(text, begin, "      # END generated\n", ruby_section())
    begin = "    # BEGIN generated from fluent_krone/__init__.py\n"
    return _between(text, begin, "    # END generated\n", f"    VERSION = '{__version__}'\n")


def parameters(text: str) -> str:
    """The page of parameters with its tables as declared."""
    begin = "<!-- BEGIN generated from fluent_krone/config -->\n"
    return _between(text, begin, "<!-- END generated -->\n", markdown_tables())


def measurements(text: str) -> str:
    """The page of operations with its tables of metrics and alarms as declared."""
    begin = "<!-- BEGIN generated from fluent_krone/runtime/metric_names.py -->\n"
    text = _between(text, begin, "<!-- END generated -->\n", metric_names.markdown_table())
    begin = "<!-- BEGIN generated from tools/alarms.py -->\n"
    return _between(text, begin, "<!-- END generated -->\n", alarms.markdown_table())


def _between(text: str, begin: str, end: str, block: str) -> str:
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"the markers {begin.strip()!r} and {end.strip()!r} are not both there")
    return before + begin + block + end + after


if __name__ == "__main__":
    for path, renew in ((PLUGIN, plugin), (PARAMETERS, parameters), (METRICS, measurements)):
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path, content in (
        (RULES, alarms.rules()),
        (DASHBOARD, dashboard.dashboard()),
        (MODULES, modules.page()),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
