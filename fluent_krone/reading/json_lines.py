"""A line of JSON among lines of text, read as the line that a logger of text would have written.

Where a line holds one object, its usual fields are the parts of a header, and its message is the
text with the other fields behind it, as `name=value`: so loggers write them that can do both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from .field_names import COMPONENT_NAMES, LEVEL_FIELDS, MESSAGE_NAMES, spelled

# The names of a time, the surest first.
_TIMES = (
    *("time", "timestamp", "@timestamp", "ts", "datetime", "date", "asctime", "eventTime"),
    *("t", "@t"),
)
# Log4j's name of a time in milliseconds; others call so how long something took. No log is from
# before 1990.
_MILLIS, _EARLIEST_MS = "timeMillis", 631_152_000_000
# The usual names of a logger, the surest first; those in other spellings come behind them, so that
# most lines need none spelled.
_COMPONENTS = (
    *("component", "logger", "loggerName", "logger_name", "log.logger", "module"),
    "SourceContext",
)
# pino and bunyan call a logger so, beside the process.
_NAME, _BESIDE_A_NAME = "name", frozenset(("pid", "hostname"))
# Longer names are no logger's. Names may be data, so only this many are remembered.
_LONGEST, _MOST_NAMES = 40, 1024
_LEVELS = (*map(bytes.decode, LEVEL_FIELDS), "level_value")
# Fields that say where a line was written, or repeat the stack of an error.
_BESIDE = frozenset(
    (
        *("caller", "pid", "tid", "thread", "thread_name", "threadName", "hostname", "host"),
        *("source", "file", "line", "lineno", "func", "funcName", "function", "v", "@version"),
        *("stack", "stacktrace", "stack_trace", "exception", "traceback", "exc_info"),
        *("error.stack", "service", "service.name", "app", "version", "env"),
    )
)
# Objects inside one another that are looked into.
_DEEPEST = 3


def read_json_line(text: bytes) -> dict[str, Any] | None:
    """The fields of a line that is an object, with `message` and, where there are such, `time` and
    `component` as a line of text would have them. None for any other line.

    >>> found = read_json_line(b'{"ts": 17.5, "logger": "pay", "msg": "paid", "amount": 5}')
    >>> found["time"], found["component"], found["message"]
    (17.5, 'pay', 'paid amount=5')
    """
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    message = _first(MESSAGE_NAMES, record)
    component = _component_name(record)
    time = _time_name(record)
    taken = _BESIDE.union(_LEVELS, filter(None, (message, component, time)))
    parts = []
    if message is not None:
        parts.append(str(record[message]).strip())
    parts += _pairs(record, taken)
    found = {**record, "message": " ".join(parts)}
    if component is not None:
        found["component"] = record[component]
    if time is not None:
        found["time"] = record[time]
    return found


def _time_name(record: Mapping[str, Any]) -> str | None:
    found = _first(_TIMES, record)
    millis = record.get(_MILLIS)
    if found is None and isinstance(millis, int) and millis >= _EARLIEST_MS:
        return _MILLIS
    return found


def _component_name(record: dict[str, Any]) -> str | None:
    found = _first(_COMPONENTS, record)
    if found is None and record.keys() >= _BESIDE_A_NAME:
        found = _first((_NAME,), record)
    if found is None:
        names = [name for name in record if len(name) <= _LONGEST and _is_plain(record[name])]
        written = {_spelled(name): name for name in reversed(names)}
        found = next((written[name] for name in COMPONENT_NAMES if name in written), None)
    return found


_spelled = lru_cache(maxsize=_MOST_NAMES)(spelled)


def _first(names: Iterable[str], record: Mapping[str, Any]) -> str | None:
    """The first of several names under which a record has a text or a number."""
    return next((name for name in names if _is_plain(record.get(name))), None)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _pairs(
    record: Mapping[str, Any], taken: frozenset[str], above: str = "", depth: int = 1
) -> Iterator[str]:
    """The fields that are left, each as `name=value`."""
    for key, value in record.items():
        name = above + key
        if name in taken or value is None or isinstance(value, list):
            continue
        if isinstance(value, dict):
            if depth < _DEEPEST:
                yield from _pairs(value, taken, f"{name}.", depth + 1)
        elif isinstance(value, bool):
            yield f"{name}={str(value).lower()}"
        elif isinstance(value, str) and (" " in value or not value):
            # A text of several lines is a stack, whatever its name.
            if "\n" not in value:
                yield f'{name}="{value}"'
        else:
            yield f"{name}={value}"
