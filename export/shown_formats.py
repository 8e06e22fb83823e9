"""Says the formats of lines that were guessed, and shows what each strips from three lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fluent_krone.reading.json_lines import read_json_line
from fluent_krone.reading.line_formats import JSON

from .guess import LineFormat
from .header_times import compiled
from .mixed_formats import Formats, reads

# A day and a month in numbers, in either order; a year before them leaves no doubt.
_DAY_AND_MONTH = re.compile(r"(?<!%Y[-/.])(?<!%y[-/.])%([dm])[-/.]%[dm]")
# Lines that are shown of each format.
_SHOWN = 3
_WIDTH = 80


def say_formats(guess: Formats, lines: Sequence[str], say: Callable[[str], None]) -> None:
    """Say what share of the lines each format reads, and show three of these lines."""
    read = _lines_of(guess, lines)
    if len(guess.formats) == 1:
        [one] = guess.formats
        say(f"line format: guessed, it fits {guess.share:.1%} of the lines")
        shown = ", ".join(f"{name} {value[:60]!r}" for name, value in one.example.items())
        say(f"  the first line has {shown}")
        _say_one(one, read[0], say)
        return
    say(f"line formats: {len(guess.formats)} guessed, they fit {guess.share:.1%} of the lines")
    for number, (one, of_it) in enumerate(zip(guess.formats, read, strict=True), start=1):
        say(f"  format {number} fits {one.share:.1%} of the lines: {_words(one)}")
        _say_one(one, of_it, say)


def _say_one(one: LineFormat, lines: Sequence[str], say: Callable[[str], None]) -> None:
    if one.other_time_format:
        say(
            "  day and month cannot be told apart in these times; they are read as "
            f"{one.time_format} (--time-format {one.other_time_format!r} reads them the other "
            "way round)"
        )
    elif one.time_format and (order := _DAY_AND_MONTH.search(one.time_format)):
        first = {"d": "day", "m": "month"}[order[1]]
        say(
            f"  times are read as {one.time_format}: the {first} comes first "
            "(--time-format can say otherwise)"
        )
    say("  what is stripped, and the message that is left:")
    for line in lines[:: max(1, len(lines) // _SHOWN)][:_SHOWN]:
        header, message = _split(one, line)
        say(f"    {header.strip()[:_WIDTH]!r} | {message[:_WIDTH]!r}")


def _lines_of(guess: Formats, lines: Sequence[str]) -> list[list[str]]:
    """The lines that each format reads, since it is the first one that does."""
    of_each: list[list[str]] = [[] for _ in guess.formats]
    for line in lines:
        number = next((n for n, one in enumerate(guess.formats) if reads(one, line)), None)
        if number is not None:
            of_each[number].append(line)
    return of_each


def _split(one: LineFormat, line: str) -> tuple[str, str]:
    """What is stripped of a line, and its message."""
    found = compiled(one.line_format).match(line)
    assert found
    if JSON in found.groupdict():
        record = read_json_line(found[JSON].encode())
        assert record
        return line, str(record["message"])
    return found[0][: found.start("message")], found["message"]


def _words(one: LineFormat) -> str:
    """What a format tells of its lines."""
    names = [name for name in compiled(one.line_format).groupindex if name != "header"]
    if JSON in names:
        return "records in JSON; the other fields follow the text of the message"
    if names == ["message"]:
        return "they have no header, and are messages as they are"
    return ", ".join(names)
