"""The page `docs/modules.md`: what each module is for, by the first sentence of its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_PACKAGES = ("fluent_krone", "export")
_HEAD = """# Modules

What each module is for, in one sentence. [ARCHITECTURE.md](../ARCHITECTURE.md) describes how they
work together, and which folder may import from which. `make generate` writes this page from the
modules themselves.
"""


def page() -> str:
    """The whole page: a table for each folder."""
    parts = [_HEAD]
    for folder in _folders():
        parts.append(f"\n## `{folder.relative_to(REPOSITORY)}/`\n\n")
        parts.append(f"{purpose(folder / '__init__.py')}\n\n")
        parts.append("| module | what it is for |\n|---|---|\n")
        parts += [f"| `{path.name}` | {_cell(purpose(path))} |\n" for path in _modules(folder)]
    return "".join(parts)


def purpose(path: Path) -> str:
    """The first sentence of what a module says of itself; empty where it says nothing."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".js":
        said = text.partition("\n")[0].removeprefix("// ")
    else:
        said = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0]
    first, *rest = re.split(r"\. (?=[A-Z`])", " ".join(said.split()), maxsplit=1)
    return f"{first}." if rest else first


def _folders() -> Iterator[Path]:
    """The folders with modules, each package's own before those inside it."""
    for package in _PACKAGES:
        found = (path.parent for path in (REPOSITORY / package).rglob("__init__.py"))
        yield from sorted(found)


def _modules(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix in (".py", ".js")]
    return sorted(path for path in found if not path.name.startswith("__"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
