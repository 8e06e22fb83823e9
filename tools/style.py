"""Measures how legible the code is; exits with 1 where a measure is beyond its limit.

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
from collections.abc import Sequence
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
# Radon's grades run from A (simple) to F. From D on, a function branches too much to be read.
WORST_GRADE = "C"


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
    if len(lines) > MODULE_LINES:
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
            if len(attributes) > ATTRIBUTES:
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
        if not isinstance(child, ast.Attribute) or not isinstance(child.ctx, ast.Store):
            continue
        if isinstance(child.value, ast.Name) and child.value.id == "self":
            names.add(child.attr)
    return names


@dataclass(frozen=True, slots=True)
class _Measure:
    """One measure: its value, the limit it must keep, and the places that were counted."""

    title: str
    value: float
    most: float
    places: list[str]
    least: float = 0.0

    @property
    def is_within(self) -> bool:
        return self.least <= self.value <= self.most

    @property
    def limit(self) -> str:
        if self.least:
            return f"≥ {self.least:g}"
        return f"≤ {self.most:g}"


def _rows(found: Measures) -> list[_Measure]:
    long_share = 100 * len(found.long_lines) / max(found.lines, 1)
    doubles = found.per_thousand(len(found.double_assignments))
    conditionals = found.per_thousand(len(found.conditionals))
    comments = found.per_thousand(found.comments)
    counted = (
        (f"functions over {FUNCTION_LINES} lines", found.long_functions),
        (f"functions of radon grade worse than {WORST_GRADE}", found.complex_functions),
        (f"functions with over {PARAMETERS} parameters", found.many_parameters),
        (f"classes with over {ATTRIBUTES} instance attributes", found.large_classes),
        (f"modules over {MODULE_LINES} lines", found.long_modules),
    )
    return [
        _Measure("lines over 100 characters, %", long_share, 0.5, found.long_lines),
        _Measure("`a, b = x, y` per 1,000 lines", doubles, 2.0, found.double_assignments),
        _Measure("conditional expressions per 1,000 lines", conditionals, 8.0, found.conditionals),
        _Measure("comment lines per 1,000 lines", comments, 1000.0, [], least=25.0),
        *(_Measure(title, len(places), 0.0, places) for title, places in counted),
    ]


def main(arguments: Sequence[str]) -> int:
    """Print the table; 1 where a measure is beyond its limit."""
    given = [Path(name).resolve() for name in arguments if not name.startswith("-")]
    roots = given or [REPOSITORY / folder for folder in FOLDERS]
    paths: list[Path] = []
    for root in roots:
        if root.is_dir():
            paths += sorted(root.rglob("*.py"))
        else:
            paths.append(root)
    found = measure(paths)
    print(f"{found.lines:,} lines in {len(paths)} files")
    rows = _rows(found)
    for row in rows:
        mark = ""
        if not row.is_within:
            mark = "   <-- beyond its limit"
        print(f"{row.title:50} {row.value:8.1f}   {row.limit}{mark}")
        if "--list" in arguments:
            print(*(f"    {place}" for place in row.places), sep="\n")
    return int(not all(row.is_within for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
