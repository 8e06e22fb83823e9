"""JSON that is no line a record: a list of objects, or objects that go over several lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .envelopes import opened

# An object at the beginning of a line, of those behind the first.
_OBJECT_BEGINS = re.compile(r"(?<=\n)[ \t]*\{")


def is_whole_json(lines: Sequence[str]) -> bool:
    """Whether the text is one JSON list of objects, or objects over several lines each."""
    text = "\n".join(lines).lstrip("\ufeff")
    if not text.lstrip(" \t\r\n[").startswith("{"):
        return False
    broken = over_lines = 0
    for value, at, end in _json_values(text):
        over_lines += "\n" in text[at:end]
        # These are the first lines only, so the last value may go on behind them.
        broken += value is None and "\n" in text[end:].strip()
    return broken == 0 or over_lines - broken > broken


def whole_json_rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, or of one text with an object after the other.

    What can't be read up to the next object that begins a line is a record without fields.
    """
    for value, _, _ in _json_values("".join(lines).lstrip("\ufeff")):
        if isinstance(value, dict):
            yield from opened(value)
        else:
            yield {}


def _json_values(text: str) -> Iterator[tuple[Any, int, int]]:
    """The values in a JSON text, those of a list one by one, with where they begin and end.

    What can't be read is None, up to the next object that begins a line.
    """
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        if text[at].isspace() or text[at] in "[],\0":
            at += 1
            continue
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            value = None
            following = _OBJECT_BEGINS.search(text, at + 1)
            end = following.start() if following else len(text)
        yield value, at, end
        at = end
