"""Fields inside others: their names as accessors, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fluent_krone.reading.accessor import field_getter, is_path, path_steps
from fluent_krone.reading.records import TAG

# A name that an accessor has behind a point.
_PLAIN_NAME = re.compile(r"[^.\[\]'\"*?()\s,]+")
# Objects inside one another, and places of a list, that are looked into.
_DEEPEST = 6
_MOST_PLACES = 8
# Objects that say where a record comes from, not what happened.
_SURROUNDINGS = re.compile(
    r"instrumentationscope|kubernetes|k8s|docker|container|labels?|host|agent|ecs|cloud|log|process|resource|scope|otel"
    r"|service|meta(?:data)?|attributes_meta|tags?|source|@metadata",
    re.IGNORECASE,
)
# In the object `event` of the Elastic Common Schema, these fields say how the record was made.
_OF_AN_EVENT = re.compile(
    r"\$\.event\.(?:agent_id_status|category|created|dataset|end|hash|id|ingested|kind|module"
    r"|original|provider|reference|risk_score\w*|sequence|severity|start|timezone|type|url)"
)


def below(above: str, name: str) -> str:
    """How a field of an object is written; `above` is the object, empty for the record itself."""
    if not above:
        return name
    if _PLAIN_NAME.fullmatch(name):
        return f"{above}.{name}"
    if "'" in name:
        return f'{above}["{name}"]'
    return f"{above}['{name}']"


def plain_fields(
    record: Mapping[bytes, Any], above: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    """All fields of a record with their values, nested ones as `$.a.b` and `$.list[0]`, but for its
    tag and for what no accessor can name.
    """
    for packed, value in record.items():
        name = packed.decode("utf-8", "replace")
        can_be_named = not ("'" in name and '"' in name)
        if packed == TAG or not name or (above and not can_be_named):
            continue
        if isinstance(value, dict | list) and depth < _DEEPEST and can_be_named:
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


def plain_names(record: Mapping[bytes, Any], above: str = "") -> Iterator[str]:
    """The plain fields of a record, nested ones as `$.a.b`."""
    # An object that holds all of the record is no surrounding, whatever its name.
    holds_all = not above and len(record.keys() - {TAG}) == 1
    for packed, value in record.items():
        name = packed.decode("utf-8", "replace")
        # `host.name` may be a field of the record itself.
        outer, point, _ = name.partition(".")
        if not name or (point and _SURROUNDINGS.fullmatch(outer)):
            continue
        if not isinstance(value, dict):
            if not _OF_AN_EVENT.fullmatch(below(above, name)):
                yield below(above, name)
        elif (holds_all or not _SURROUNDINGS.fullmatch(name)) and _PLAIN_NAME.fullmatch(name):
            yield from plain_names(value, below(above or "$", name))


def names_in(sample: Sequence[Mapping[bytes, Any]]) -> list[str]:
    """The plain fields of all records, each once."""
    return list(dict.fromkeys(name for record in sample for name in plain_names(record)))


def last_name(name: str) -> str:
    """The name of a field without what it is nested in."""
    if is_path(name):
        return str(path_steps(name)[-1])
    return name


def values_of(name: str, sample: list[dict[bytes, Any]]) -> list[Any]:
    """The values of a field, where it is not empty: a table's rows have all of its columns."""
    get = field_getter(name)
    return [value for record in sample if (value := get(record)) not in (None, b"")]
