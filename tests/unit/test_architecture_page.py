"""ARCHITECTURE.md names what exists, and docs/modules.md says of every module what it is for."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))

import modules  # noqa: E402

PAGE = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
MODULES = sorted(
    path
    for folder in ("fluent_krone", "export", "tools")
    for path in (REPOSITORY / folder).rglob("*.py")
)


def test_the_list_of_modules_is_not_stale() -> None:
    text = (REPOSITORY / "docs" / "modules.md").read_text(encoding="utf-8")
    assert text == modules.page(), "stale: run `make generate`"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert modules.purpose(path)


def test_the_page_names_only_modules_that_exist() -> None:
    named = re.findall(r"`([\w/]+\.(?:py|rb))`", PAGE)
    assert len(named) >= 40
    plugin_and_tests = [*REPOSITORY.glob("fluent_krone/*/*.rb"), *REPOSITORY.glob("tests/*/*.py")]
    files = [path.as_posix() for path in (*MODULES, *plugin_and_tests)]
    assert not [name for name in named if not any(file.endswith(f"/{name}") for file in files)]


def test_each_function_that_the_page_names_is_in_its_file() -> None:
    table = PAGE.split("## Where to look")[1].split("\n## ")[0]
    named = re.findall(r"`([\w/]+\.(?:py|rb))`: ((?:`[\w.]+`(?:, | and )?)+)", table)
    assert len(named) >= 10
    for file, names in named:
        [path] = [
            path
            for path in (REPOSITORY / "fluent_krone").rglob(Path(file).name)
            if path.as_posix().endswith(f"/{file}")
        ] or [REPOSITORY / file]
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            last = name.split(".")[-1]
            assert re.search(rf"\b(?:def|class) {last}\b", text), f"{file} has no {name}"
