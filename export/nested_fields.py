"""Fields inside others: their names as accessors, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fluent_krone.reading.records import TAG

# A name that an accessor has behind a point.
PLAIN_NAME = re.compile(r"[^.\[\]'\"*?()\s,]+")
# Objects inside one another, and places of a list, that are looked into.
_DEEPEST = 6
_MOST_PLACES = 8


def below(above: str, name: str) -> str:
    """How a field of an object is written; `above` is the object, empty for the record itself."""
    if not above:
        return name
    if PLAIN_NAME.fullmatch(name):
        return f"{above}.{name}"
    if "'" in name:
        return f'{above}["{name}"]'
    return f"{above}['{name}']"


def plain_fields(
    record: dict[bytes, Any], above: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """All fields of a record with their values, nested ones as `$.a.b` and `$.list[0]`, but for its
    tag and for what no accessor can name.
    """
    for packed, value in record.items():
        name = packed.decode("utf-8", "replace")
        if packed == TAG or (above and "'" in name and '"' in name):
            continue
        if (
            isinstance(value, dict | list)
            and depth < _DEEPEST
            and not ("'" in name and '"' in name)
        ):
            yield from _inner_fields(value, below(above or "$", name), depth + 1)
        elif not isinstance(value, dict):
            yield below(above, name), value


def _inner_fields(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The fields of what is nested in a record, which may be a list."""
    if isinstance(value, dict):
        yield from plain_fields(value, path, depth)
    elif isinstance(value, list) and depth <= _DEEPEST:
        for place, one in enumerate(value[:_MOST_PLACES]):
            yield from _inner_fields(one, f"{path}[{place}]", depth + 1)
    else:
        yield path, value
