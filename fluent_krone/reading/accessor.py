"""Fields of records by name, and nested ones by Fluentd's record accessor.

`$.kubernetes.pod_name`, `$['kubernetes']['pod_name']`, `$.list[0]` and any mixture of these are
paths, exactly as in Fluentd. Any other name is that of a field of the record itself, dots and
all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from typing import Any

from ..errors import ConfigError

Fields = Mapping[bytes, Any]
# The smallest byte that a text has: a tab.
_LEAST_OF_TEXT = 9
# One step of a path: `.name`, `['name']`, `["name"]` or `[0]`.
_STEP = re.compile(
    r"\.(?P<name>[^.\[\]'\"*?()\s]+)|\['(?P<single>[^']+)'\]|\[\"(?P<double>[^\"]+)\"\]"
    r"|\[(?P<index>-?\d+)\]"
)
# Fields that records have where something failed.
_ERRORS = (b"error", b"err", b"exception")
# What would end a word.
_NO_WORD = re.compile(r"[\s:=,;\"'()\[\]{}]+")


def is_path(name: str) -> bool:
    """Whether a name is a path into the record rather than a field's own name."""
    return name.startswith(("$.", "$["))


def path_steps(name: str) -> list[str | int]:
    """The steps of a path: names, and places in lists.

    Raises ConfigError for what Fluentd's record accessor does not understand either.

    >>> path_steps("$.kubernetes['labels']['app.io/name']"), path_steps("$.args[0]")
    (['kubernetes', 'labels', 'app.io/name'], ['args', 0])
    """
    steps: list[str | int] = []
    at = 1
    while at < len(name):
        found = _STEP.match(name, at)
        if found is None:
            raise ConfigError(
                f"{name!r} is not a record accessor, at {name[at:]!r}: write $.a.b, $['a']['b'] or "
                "$.list[0]"
            )
        if found["index"] is not None:
            steps.append(int(found["index"]))
        else:
            steps.append(found["name"] or found["single"] or found["double"])
        at = found.end()
    if not steps or isinstance(steps[0], int):
        raise ConfigError(f"{name!r} is not a record accessor: the first step must name a field")
    return steps


def field_getter(name: str) -> Callable[[Fields], Any]:
    """A function that reads one field, None when it is absent. Raises ConfigError as `path_steps`.

    >>> field_getter("$.a.b")({b"a": {b"b": 1}}), field_getter("a.b")({b"a.b": 2})
    (1, 2)
    """
    if not is_path(name):
        return methodcaller("get", name.encode())
    steps = [step if isinstance(step, int) else step.encode() for step in path_steps(name)]

    def nested(record: Fields) -> Any:
        value: Any = record
        for step in steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                if not -len(value) <= step < len(value):
                    return None
                value = value[step]
            else:
                return None
        return value

    return nested


def first_field(name: str) -> bytes:
    """The field of a record that a name or an accessor begins with.

    >>> first_field("$.a.b"), first_field("a.b")
    (b'a', b'a.b')
    """
    if not is_path(name):
        return name.encode()
    return str(path_steps(name)[0]).encode()


def message_getter(name: str) -> Callable[[Fields], Any]:
    """A function that reads the message: one field, or several, which are separated by commas.

    Several make a message of their names and values, for records that have no text. An empty field
    is none, as in a table, whose rows have a value for each of its columns. A text that names an
    error is a part of such a message even if it is not listed: where all went well in training, no
    record had one.

    >>> of_record = message_getter("event,method,code")
    >>> of_record({b"event": b"login", b"method": b"POST", b"code": b"", b"user": b"ann"})
    b'event=login method=POST'
    >>> of_record({b"event": b"login", b"error": b"no route to host"})
    b'event=login error=no route to host'
    """
    if "," not in name:
        return field_getter(name)
    fields = [part.strip() for part in name.split(",") if part.strip()]
    getters = [(label(part).encode(), field_getter(part)) for part in fields]
    errors = [name for name in _ERRORS if name not in {word for word, _ in getters}]

    def composed(record: Fields) -> bytes | None:
        text = _pairs((word, get(record)) for word, get in getters)
        for name in errors:
            if name in record and record[name].__class__ is bytes and record[name]:
                text += b" " + name + b"=" + record[name]
        return text or None

    return composed


def text_of_map(fields: Fields) -> bytes:
    """The text that a map is where other records have a text: its names and values; none without a
    text among them.

    >>> text_of_map({b"event": b"login", b"text": b"Ann is here", b"geo": {b"lat": 50.9}})
    b'event=login text=Ann is here'
    >>> text_of_map({b"code": 7})
    b''
    """
    if not any(isinstance(value, bytes) for value in fields.values()):
        return b""
    return _pairs((_as_text(name), value) for name, value in fields.items())


def _pairs(fields: Iterable[tuple[bytes, Any]]) -> bytes:
    return b" ".join(
        name + b"=" + _as_text(value)
        for name, value in fields
        if value is not None and value != b"" and not isinstance(value, dict)
    )


def joined(parts: list[Any]) -> bytes:
    """The text that a list is: its words in a row, as of a call that logs several values.

    Numbers that are the bytes of a text, as the journal has them, are that text.

    >>> joined([b"paid", b"order", 7, {b"a": 1}]), joined([112, 97, 105, 100])
    (b'paid order 7', b'paid')
    """
    if parts and all(type(part) is int and _LEAST_OF_TEXT <= part < 256 for part in parts):
        return bytes(parts)
    return b" ".join(_as_text(part) for part in parts if isinstance(part, bytes | int | float))


def label(name: str) -> str:
    """What a field is called in a message that is made of fields: one word, the last of a path.

    >>> label("$.http.status"), label("Event Type"), label("concept:name")
    ('status', 'Event_Type', 'concept_name')
    """
    if is_path(name):
        name = str(path_steps(name)[-1])
    return _NO_WORD.sub("_", name)


def _as_text(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return joined(value)
    if isinstance(value, bool):
        return str(value).lower().encode()
    return str(value).encode("utf-8", "replace")
