"""Times in headers: which stamp stands at a place of a line, as a pattern, and what closes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from fluent_krone.reading.line_formats import python_regex

from . import header_shapes as shapes
from . import header_stamps

# A time's pattern in a chain → the formats that may read it.
FORMATS: dict[str, tuple[str, ...]] = {}


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern whose named groups are Ruby's.

    It takes for letters what it takes for letters in bytes, which is how the record reader uses it.
    """
    return re.compile(python_regex(pattern), re.ASCII)


_STAMPS = [(shape, formats, compiled(shape)) for shape, formats in header_stamps.TIMES]
_YEARLESS = [(shape, compiled(shape)) for shape in header_stamps.YEARLESS]
_WITHOUT_SECONDS = {shape for shape, _ in header_stamps.WITHOUT_SECONDS}
# What may stand before a time without seconds: a number, and brackets that begin with a letter, a
# level, or a day.
_BEGINS = re.compile(
    r"(?:\d{1,10} )?"
    rf"(?>\[[A-Za-z][^\[\]:]*\]|{shapes.LEVEL_WORDS}(?!\w)|{header_stamps.DAY}\b|<\d{{1,3}}>"
    r"|(?i:time|ts|timestamp|date|t)=|\W)*"
)
# What has a clock, and what has a zone of its own: a number behind that is the message's.
_CLOCK = r":\d\d"
_OF_ZONES = ("[+-]", "/[A-Z]")
_LEADS = [(text, compiled(text)) for text in shapes.LEADS]


def stamps(line: str, at: int) -> Iterator[tuple[str, str, int]]:
    """Times that stand here: kind, pattern with what opens it, where it ends."""
    for opening, lead in _LEADS:
        opened = lead.match(line, at)
        if opened is None:
            continue
        for shape, formats, pattern in _STAMPS:
            found = pattern.match(line, opened.end())
            # A clock before which AM or PM would say another time is not read in part.
            if found and not header_stamps.HALF_BEHIND.match(line, found.end()):
                if shape in _WITHOUT_SECONDS and not _BEGINS.fullmatch(line, 0, opened.end()):
                    continue
                stamp, end = _time_group(line, found, shape, formats)
                yield "time", opening + stamp, end
        for shape, pattern in _YEARLESS:
            found = pattern.match(line, opened.end())
            if found and not header_stamps.HALF_BEHIND.match(line, found.end()):
                yield "stamp", opening + shape, found.end()


def _time_group(
    line: str, found: re.Match[str], shape: str, formats: tuple[str, ...]
) -> tuple[str, int]:
    """A time as the group of a chain, with the fraction and the offset that the line has."""
    at = found.end()
    if "(?<time>" in shape:
        FORMATS[shape] = formats
        return shape, at
    fraction = offset = ending = ""
    if formats:
        fraction, at = first([text for text, _ in header_stamps.FRACTIONS], line, at)
        offset, at = first([text for text, _ in header_stamps.OFFSETS], line, at)
        ending = dict(header_stamps.FRACTIONS)[fraction] + dict(header_stamps.OFFSETS)[offset]
    elif _CLOCK in shape and not any(sign in shape for sign in _OF_ZONES):
        offset, at = first(header_stamps.SURE_OFFSETS, line, at)
    stamp = f"(?<time>{shape}{fraction}{offset})"
    FORMATS[stamp] = tuple(text + ending for text in formats)
    return stamp, at


def closed(line: str, at: int) -> tuple[str, int]:
    """What closes a time: its zone, and the sign and blanks behind it."""
    zone, at = first(header_stamps.ZONES, line, at)
    end, at = first(header_stamps.ENDS, line, at)
    return zone + end, at


def first(patterns: Iterable[str], line: str, at: int) -> tuple[str, int]:
    """The first of `patterns` that matches, and where it ends."""
    return next(
        (text, found.end()) for text in patterns if (found := compiled(text).match(line, at))
    )
