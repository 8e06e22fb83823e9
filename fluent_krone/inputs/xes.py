"""Events of processes in XES (IEEE 1849): each trace is one execution and holds its events.

An event has its attributes as fields, `concept:name` and `time:timestamp` among them. Those of its
trace stand beside them, with `case:` before their names, as process miners write them in tables.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

_BEGINS = re.compile(
    r"<log\b[^>]*>.*?<(?:trace|extension|global|classifier|string|date)\b", re.DOTALL
)
# An attribute, or where a trace or an event begins or ends.
_PART = re.compile(
    r"<(?P<type>string|date|int|float|boolean|id)\s(?P<attribute>[^<>]*)>"
    r"|<(?P<end>/?)(?P<tag>trace|event)\b[^<>]*>"
)
_NAME = re.compile(r"\bkey\s*=\s*([\"'])(.*?)\1")
_VALUE = re.compile(r"\bvalue\s*=\s*([\"'])(.*?)\1", re.DOTALL)
OF_CASE = "case:"


def holds_xes(lines: Sequence[str]) -> bool:
    """Whether a file is a log in XES, by its root and what stands in it."""
    text = "".join(lines)
    return "xes" in text and _BEGINS.search(text) is not None and "<trace" in text


def xes_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The events of a file, trace by trace.

    >>> text = '<trace><string key="concept:name" value="c1"/><event><string key="a" value="b"/>'
    >>> [*xes_rows([text + "</event></trace>"])]
    [{'case:concept:name': 'c1', 'a': 'b'}]
    """
    case: dict[str, str] | None = None
    event: dict[str, str] | None = None
    for line in lines:
        for part in _PART.finditer(line):
            if part["tag"] == "trace":
                case = None if part["end"] else {}
            elif part["tag"] == "event":
                if part["end"] and event is not None:
                    yield {**(case or {}), **event}
                event = None if part["end"] else {}
            elif (named := _attribute(part["attribute"])) is not None:
                name, value = named
                if event is not None:
                    event[name] = value
                elif case is not None:
                    case[OF_CASE + name] = value


def _attribute(text: str) -> tuple[str, str] | None:
    name = _NAME.search(text)
    value = _VALUE.search(text)
    if name is None or value is None:
        return None
    return html.unescape(name[2]), html.unescape(value[2])
