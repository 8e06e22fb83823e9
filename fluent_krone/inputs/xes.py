"""Events of processes in XES (IEEE 1849): each trace is one execution and holds its events.

An event has its attributes as fields, `concept:name` and `time:timestamp` among them. Those of its
trace stand beside them, with `case:` before their names, as process miners write them in tables.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

# What stands behind the name of a tag. A value may have a `>`, and has no `<`.
_REST = r"(?>(?:[^<>\"']|\"[^<\"]*\"|'[^<']*')*)>"
# The root, behind a declaration and comments.
_ROOT = re.compile(
    rf"\ufeff?\s*(?><(?:\?.*?\?|!--.*?--|!DOCTYPE[^<>]*)>\s*)*<log\b(?P<attributes>{_REST})",
    re.DOTALL,
)
# Marks of a log in XES: those that its root has, and else the names of its traces and events.
_MARKS_OF_ROOT = ("xes.version", "xes-standard")
_NAMED = re.compile(r"\skey\s*=\s*[\"']concept:name[\"']")
# An attribute, or where a trace or an event begins or ends.
_PART = re.compile(
    rf"<(?P<type>string|date|int|float|boolean|id)\s(?P<attribute>{_REST})"
    rf"|<(?P<end>/?)(?P<tag>trace|event)\b{_REST}"
)
_PAIR = re.compile(r"(?<![\w:.-])([\w:.-]++)\s*+=\s*+(?:\"([^\"]*)\"|'([^']*)')")
OF_CASE = "case:"


def holds_xes(lines: Sequence[str]) -> bool:
    """Whether a file is a log in XES, by its root or by how it names what stands in it."""
    text = "\n".join(lines)
    root = _ROOT.match(text)
    if root is None:
        return False
    if any(mark in root["attributes"] for mark in _MARKS_OF_ROOT):
        return True
    return "<trace" in text and _NAMED.search(text) is not None


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
    found = {name: quoted or other for name, quoted, other in _PAIR.findall(text)}
    if "key" not in found or "value" not in found:
        return None
    return html.unescape(found["key"]), html.unescape(found["value"])
