"""ARCHITECTURE.md names every module of the package and of the export."""

from __future__ import annotations

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
