"""Measures how legible the code is, and exits with 1 where a measure is beyond its limit: part of `make check`.

It counts what a reader trips over: long lines, two unrelated assignments in one statement,
conditional expressions, uncommented code, long or branching functions, large classes and modules.
Radon (https://radon.readthedocs.io) grades how much a function branches.

Run `python tools/style.py` for the table, `python tools/style.py --list` for every place.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from radon.complexity import cc_rank, cc_visit

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("fluent_krone", "export", "bench", "tools")

# A line of 100 characters fits beside another file on a usual screen.
LINE_LENGTH = 100
# A function of 60 lines still fits on one screen.
FUNCTION_LINES = 60
# More parameters than this are better one value with a name.
PARAMETERS = 8
# A class with more attributes has several jobs.
ATTRIBUTES = 20
# A module with more lines has several jobs.
MODULE_LINES = 450
# Radon's grades run from A (simple) to F; from D on a function branches too much to be read at once.
WORST_GRADE = "C"
# Simulators are one list of what a simulated system does, and are read as a list.
LONG_MODULES = ("fluent_krone/demo/simulator.py",)


@dataclass(slots=True)
class Measures:
    """What was counted; each `places` entry is one place, `file:line text`."""

    lines: int = 0
    long_lines: list[str] = field(default_factory=list)
    double_assignments: list[str] = field(default_factory=list)
    conditionals: list[str] = field(default_factory=list)
    comments: int = 0
    long_functions: list[str] = field(default_factory=list)
    complex_functions: list[str] = field(default_factory=list)
    many_parameters: list[str] = field(default_factory=list)
    large_classes: list[str] = field(default_factory=list)
    long_modules: list[str] = field(default_factory=list)

    def per_thousand(self, count: int) -> float:
        return 1000 * count / max(self.lines, 1)


def measure(paths: Sequence[Path]) -> Measures:
    """Count over Python files."""
    found = Measures()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else path.name
        _measure_lines(found, name, text)
        _measure_tree(found, name, ast.parse(text))
        for block in cc_visit(text):
            grade = cc_rank(block.complexity)
            if block.letter in "FM" and grade > WORST_GRADE:
                place = f"{name}:{block.lineno} {block.name} {grade} ({block.complexity})"
                found.complex_functions.append(place)
    return found


def _measure_lines(found: Measures, name: str, text: str) -> None:
    lines = text.splitlines()
    found.lines += len(lines)
    if len(lines) > MODULE_LINES and name not in LONG_MODULES:
        found.long_modules.append(f"{name} {len(lines)} lines")
    for number, line in enumerate(lines, start=1):
        if len(line) > LINE_LENGTH:
            found.long_lines.append(f"{name}:{number}")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            found.comments += 1


def _measure_tree(found: Measures, name: str, tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.IfExp):
            found.conditionals.append(f"{name}:{node.lineno}")
        elif isinstance(node, ast.Assign) and _is_double(node):
            found.double_assignments.append(f"{name}:{node.lineno}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _measure_function(found, name, node)
        elif isinstance(node, ast.ClassDef):
            attributes = _attributes(node)
            if len(attributes) > ATTRIBUTES and not _is_declaration(node):
                found.large_classes.append(f"{name}:{node.lineno} {node.name} {len(attributes)}")


def _is_double(node: ast.Assign) -> bool:
    """Whether a statement gives several names a value each: `a, b = x, y`."""
    return isinstance(node.value, ast.Tuple) and any(
        isinstance(target, ast.Tuple) for target in node.targets
    )


def _measure_function(
    found: Measures, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef
) -> None:
    place = f"{name}:{node.lineno} {node.name}"
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    if length > FUNCTION_LINES:
        found.long_functions.append(f"{place} {length} lines")
    arguments = node.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    count = len([n for n in names if n not in ("self", "cls")])
    if count > PARAMETERS:
        found.many_parameters.append(f"{place} {count} parameters")


def _attributes(node: ast.ClassDef) -> set[str]:
    """Names that the class declares, or that its methods assign to `self`."""
    names = {
        child.target.id
        for child in node.body
        if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name)
    }
    for child in ast.walk(node):
        is_own = isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store)
        if is_own and isinstance(child.value, ast.Name) and child.value.id == "self":
            names.add(child.attr)
    return names


def _is_declaration(node: ast.ClassDef) -> bool:
    """Whether a class is a list of fields and their defaults, such as `Config` or an alert."""
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _rows(found: Measures) -> Iterator[tuple[str, float, Callable[[float], bool], str, list[str]]]:
    """Measure, value, whether it is within its limit, the limit in words, the places."""
    share = 100 * len(found.long_lines) / max(found.lines, 1)
    doubles = found.per_thousand(len(found.double_assignments))
    conditionals = found.per_thousand(len(found.conditionals))
    comments = found.per_thousand(found.comments)
    yield "lines over 100 characters, %", share, lambda v: v <= 0.5, "≤ 0.5", found.long_lines
    yield (
        *("`a, b = x, y` per 1,000 lines", doubles, lambda v: v <= 2, "≤ 2"),
        found.double_assignments,
    )
    yield (
        *("conditional expressions per 1,000 lines", conditionals, lambda v: v <= 8, "≤ 8"),
        found.conditionals,
    )
    yield "comments on lines of their own per 1,000 lines", comments, lambda v: v >= 25, "≥ 25", []
    for title, places in (
        (f"functions over {FUNCTION_LINES} lines", found.long_functions),
        ("functions of radon grade D or worse", found.complex_functions),
        (f"functions with over {PARAMETERS} parameters", found.many_parameters),
        (f"classes with over {ATTRIBUTES} instance attributes", found.large_classes),
        (f"modules over {MODULE_LINES} lines", found.long_modules),
    ):
        yield title, len(places), lambda v: v == 0, "0", places


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where a measure is beyond its limit."""
    given = [Path(name).resolve() for name in arguments if not name.startswith("-")]
    roots = given or [REPOSITORY / folder for folder in FOLDERS]
    paths: list[Path] = []
    for root in roots:
        paths += sorted(root.rglob("*.py")) if root.is_dir() else [root]
    found = measure(paths)
    print(f"{found.lines:,} lines in {len(paths)} files")
    failed = False
    for title, value, is_within, limit, places in _rows(found):
        mark = "" if is_within(value) else "   <-- beyond its limit"
        failed = failed or bool(mark)
        print(f"{title:50} {value:8.1f}   {limit}{mark}")
        if "--list" in arguments:
            print(*(f"    {place}" for place in places), sep="\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
