"""Regular expressions that every Python of the requirements reads alike.

Python before 3.11.5, as Debian 12 has it, misreads a possessive repeat of a group (CPython issue
106052): `(?:a|a(?!b))*+` matches less than it should. An atomic group, `(?>(?:a|a(?!b))*)`, is read
right. Wrong before: there, templates with a wildcard at their begin matched nothing, headers were
not found, and secrets in quotes were not masked.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import export
import fluent_krone
from fluent_krone.explain import rules as rules_of_redaction
from fluent_krone.explain.rules.base import Rule
from fluent_krone.reading.line_formats import python_regex
from fluent_krone.reading.templates import TemplateMatcher
from fluent_krone.reading.wildcards import TYPES, Template


def repeats_of_groups(pattern: str | bytes, flags: int = 0) -> list[Any]:
    """The possessive repeats in a regular expression of more than a single character."""
    return list(_repeats(_parser.parse(pattern, flags)))


def _repeats(parsed: Any) -> Iterator[Any]:
    for operation, content in parsed:
        if operation is _constants.POSSESSIVE_REPEAT:
            repeated = content[2]
            if len(repeated) != 1 or repeated[0][0] in _GROUPS:
                yield content
        for part in _parts(content):
            yield from _repeats(part)


_GROUPS = (_constants.SUBPATTERN, _constants.BRANCH, _constants.ATOMIC_GROUP)


def _parts(content: Any) -> Iterator[Any]:
    """All parsed expressions inside the content of an operation."""
    if isinstance(content, _parser.SubPattern):
        yield content
    elif isinstance(content, list | tuple):
        for one in content:
            yield from _parts(one)


def patterns_of(package: Any) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The compiled regular expressions of a package's modules, and of tables in them."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError:
            continue  # It needs an extra that is not installed.
        for name, value in vars(module).items():
            for pattern in _compiled(value, 0):
                yield f"{found.name}.{name}", pattern


def _compiled(value: Any, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list | frozenset | set) and depth < 4:
        for one in value:
            yield from _compiled(one, depth + 1)
    elif isinstance(value, dict) and depth < 4:
        for one in value.values():
            yield from _compiled(one, depth + 1)


@pytest.mark.parametrize("package", [fluent_krone, export], ids=["fluent_krone", "export"])
def test_no_group_is_repeated_possessively(package: Any) -> None:
    found = list(patterns_of(package))
    assert len(found) > 50
    assert [name for name, one in found if repeats_of_groups(one.pattern, one.flags)] == []


def test_neither_is_one_in_the_forms_of_headers() -> None:
    modules = ("guess", "header_forms", "header_products", "header_shapes", "header_times")
    for module in modules:
        content = vars(importlib.import_module(f"export.{module}"))
        for name, value in content.items():
            values = value if isinstance(value, tuple) else (value,)
            for text in (one for one in values if isinstance(one, str) and "(?" in one):
                try:
                    assert repeats_of_groups(python_regex(text)) == [], f"{module}.{name}"
                except re.error:
                    continue  # A part of an expression, or no expression.


def test_neither_is_one_in_the_rules_of_redaction() -> None:
    rules = [
        rule
        for found in pkgutil.iter_modules(rules_of_redaction.__path__)
        for value in vars(
            importlib.import_module(f"{rules_of_redaction.__name__}.{found.name}")
        ).values()
        if isinstance(value, tuple)
        for rule in value
        if isinstance(rule, Rule)
    ]
    assert len(rules) > 100
    assert [rule.pattern for rule in rules if repeats_of_groups(rule.pattern, re.IGNORECASE)] == []


def test_neither_is_one_in_the_expressions_of_templates() -> None:
    matcher = TemplateMatcher(["<*> b", "a <*> b <*> c", "x<*>ab<*>", "took <num> ms <*> end"])
    assert [matcher.match(text) for text in (b"a b", b"a 1 b 2 c", b"xababc")] == [0, 1, 2]


@pytest.mark.parametrize(
    "form", ["{}", "{} b", "a {} ", "x{}ab{}", "({} ms", '"{}" \ufffd', "{}\u0e01"]
)
@pytest.mark.parametrize("kind", ["*", *TYPES])
def test_neither_is_one_in_the_expression_of_any_template(form: str, kind: str) -> None:
    """A later Python matches alike with one, so the expression itself is looked at."""
    template = Template(form.replace("{}", f"<{kind}>"))
    template.slots(b"")
    for pattern in (template.match.__self__, template._slots):  # type: ignore[attr-defined]
        assert repeats_of_groups(pattern.pattern, pattern.flags) == []
