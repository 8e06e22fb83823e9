"""Imports go one way, and what is heavy or optional is not imported before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "fluent_krone"

# A module imports from its own layer and those before it.
LAYERS = (
    {"types", "errors", "timing", "sqlite", "segments", "background"},
    {"reading", "config"},
    {"core"},
    {"detect", "transport"},
    {"alerts", "explain", "keeping", "sink", "inputs", "page"},
    {"learning"},
    {"runtime"},
    {"console"},
    {"kafka"},
    {"demo", "commands"},
    {"cli", "__main__", "detector"},
)
BELOW = {"fluent_krone"}  # the package itself: its version
NOT_IN_CORE = (
    "asyncio io multiprocessing onnxruntime os pathlib random select socket sqlite3 ssl "
    "subprocess threading time"
)


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path, *, lazy: bool = True, typing: bool = True) -> Iterator[str]:
    """Full names of the modules that a file imports.

    Not those inside functions when not `lazy`, nor those for type checkers only when not `typing`.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = list(path.relative_to(REPOSITORY).parent.parts)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef) and not lazy
        is_typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if is_function or (is_typing and not typing):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name != "importlib")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            if name == "__future__" or name in ("importlib", "typing"):
                continue
            yield name
            if node.module is None or name == "fluent_krone":
                yield from (f"{name}.{alias.name}" for alias in node.names)


def part(module: str) -> str:
    """`fluent_krone.core.engine` → `core`."""
    return module.split(".")[1] if "." in module else module


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def own_part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    own = own_part(path)
    if own == "__init__":
        # The public names come from below, at first use: importing the package loads nothing.
        assert not list(imports(path, lazy=False, typing=False))
        return
    assert any(own in names for names in LAYERS), f"{own} has no place in LAYERS yet"
    for name in imports(path):
        if (
            name.split(".")[0] == "fluent_krone"
            and name not in BELOW
            and name != "fluent_krone.__version__"
        ):
            assert layer(part(name)) <= layer(own), f"{own} imports {name}"


@pytest.mark.parametrize(
    "path", [*modules(PACKAGE / "core"), *modules(PACKAGE / "reading")], ids=lambda path: path.stem
)
def test_core_imports_nothing_that_touches_the_world(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & set(NOT_IN_CORE.split())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today")), (
            "core reads no clock"
        )


@pytest.mark.parametrize("name", ["core", "config"])
def test_core_and_configuration_know_nothing_of_each_other(name: str) -> None:
    other = {"core": "config", "config": "core"}[name]
    for path in modules(PACKAGE):
        if own_part(path) == name:
            assert other not in {part(i) for i in imports(path) if i.startswith("fluent_krone")}


def test_nothing_imports_the_export_but_the_command_when_asked_to() -> None:
    for path in modules(PACKAGE):
        assert "export" not in {name.split(".")[0] for name in imports(path)}
        assert "fluent_krone.export" not in set(imports(path, lazy=False))


@pytest.mark.parametrize("path", modules(REPOSITORY / "export"), ids=lambda path: path.stem)
def test_the_export_builds_on_few_parts(path: Path) -> None:
    used = {
        part(name)
        for name in imports(path)
        if name.split(".")[0] == "fluent_krone" and name != "fluent_krone"
    }
    also = {
        "simulated": {"demo"},  # it fits the demo's bundle
        "claude": {"explain"},  # one redactor for all that leaves the machine
    }.get(path.stem, set())
    assert (
        used
        <= {"core", "reading", "types", "errors", "config", "inputs", "detect", "alerts"}
        | {"background"}
        | also
    )


def test_the_command_starts_without_what_is_heavy_or_optional() -> None:
    code = "import sys, fluent_krone.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    optional = {
        "anthropic",
        "onnxruntime",
        "prometheus_client",
        "pyarrow",
        "pandas",
        "torch",
        "export",
        "confluent_kafka",
    }
    assert not optional & set(loaded.stdout.split())
