"""Write anew what is generated from `fluent_krone/config.py` and `metrics.py`: `make generate`.

Three files, each with a block between markers: the plugin's `config_param` lines, and the docs' two tables.
"""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))  # this checkout, whatever is installed

from fluent_krone import config  # noqa: E402
from fluent_krone.runtime import metrics  # noqa: E402

PLUGIN = REPOSITORY / "fluent_krone" / "fluentd" / "out_krone.rb"
PARAMETERS = REPOSITORY / "docs" / "configuration.md"
METRICS = REPOSITORY / "docs" / "operations.md"


def plugin(text: str) -> str:
    """The plugin's source with its parameters as declared."""
    return _between(
        text, "    # BEGIN generated from config.py\n", "    # END generated\n", config.ruby_block()
    )


def parameters(text: str) -> str:
    """The page with its table as declared."""
    table = config.markdown_table()
    return _between(
        text, "<!-- BEGIN generated from config.py -->\n", "<!-- END generated -->\n", table
    )


def measurements(text: str) -> str:
    """The page with its table of metrics as declared."""
    table = metrics.markdown_table()
    return _between(
        text, "<!-- BEGIN generated from metrics.py -->\n", "<!-- END generated -->\n", table
    )


def _between(text: str, begin: str, end: str, block: str) -> str:
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"the markers {begin.strip()!r} and {end.strip()!r} are not both there")
    return before + begin + block + end + after


if __name__ == "__main__":
    for path, renew in ((PLUGIN, plugin), (PARAMETERS, parameters), (METRICS, measurements)):
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
