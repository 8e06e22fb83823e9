"""JSON that is no line a record: a list of objects, or objects that go over several lines."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .envelopes import opened
from .files import unreadable

# An object at the beginning of a line, of those behind the first.
_OBJECT_BEGINS = re.compile(r"(?<=\n)[ \t]*\{")


def is_whole_json(lines: Sequence[str]) -> bool:
    """Whether the text is one JSON list of objects, or objects over several lines each."""
    text = "\n".join(lines).lstrip("\ufeff")
    if not text.lstrip(" \t\r\n[").startswith("{"):
        return False
    broken = over_lines = 0
    for found, at, end in _objects(text):
        over_lines += "\n" in text[at:end]
        # These are the first lines only, so the last value may go on behind them.
        broken += found is None and "\n" in text[end:].strip()
    return broken == 0 or over_lines - broken > broken


def whole_json_rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, or of one text with an object after the other.

    What can't be read up to the next object that begins a line is a record `unreadable`.
    """
    text = "".join(lines).lstrip("\ufeff")
    for found, at, end in _objects(text):
        if found is None:
            yield unreadable(text[at:end])
        else:
            yield from opened(found)


def _objects(text: str) -> Iterator[tuple[dict[str, Any] | None, int, int]]:
    """The objects in a JSON text, those of a list one by one, with where they begin and end.

    What is no object or can't be read is None, up to the next object that begins a line.
    """
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        if text[at].isspace() or text[at] in "[],\0":
            at += 1
            continue
        value = None
        # Plain lines between objects are not tried: an error takes as long as the text before it.
        if text[at] == "{":
            with contextlib.suppress(ValueError, RecursionError):
                value, end = decoder.raw_decode(text, at)
        if value is None:
            following = _OBJECT_BEGINS.search(text, at + 1)
            end = following.start() if following else len(text)
        yield value, at, end
        at = end
