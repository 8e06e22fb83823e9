"""ARCHITECTURE.md names every module of the package and of the export."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(REPOSITORY)
    for folder in ("fluent_krone", "export")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "__pycache__" not in path.parts and not path.name.startswith("__")
)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_its_place(path: Path) -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    room = f"`{path.parts[1]}/`"
    # A command and a group of parameters are named by their room; each other module by itself.
    named_by_room = path.parts[1] in ("commands", "config", "demo") and room in page
    assert path.name in page or named_by_room, f"ARCHITECTURE.md does not name {path}"


def test_each_function_that_the_page_names_is_in_its_file() -> None:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.split("## Where to look")[1].split("\n## ")[0]
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
