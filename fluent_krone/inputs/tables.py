"""Tables in text: with any usual sign between columns, and those that name their columns in a
comment, as the W3C's log format (IIS, CloudFront) and Zeek do.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from ..errors import RecordError
from ..reading.times import parse_time
from .files import unreadable

Rows = Iterator[dict[str, str]]
# Signs between columns; the comma last, since text has commas too.
_SIGNS = ("\t", ";", "|", ",")
# A table with blanks between its columns, as AWS writes it: names of words, and one row of values
# with numbers or signs among them for as many names.
_FEWEST_WITH_BLANKS = 5
_NAMES_WITH_BLANKS = re.compile(r"[A-Za-z][A-Za-z_-]*(?: [A-Za-z][A-Za-z_-]*)+\Z")
# Signs between the names of a table's columns, where lines of words stand before them.
_FEWEST_BEHIND_WORDS = 4
# Rows that are looked at, and the share of them that must have as many columns as there are names.
_LOOKED_AT = 20
_MOST = 0.6
# A table without any of these among its columns, and without times, is rather text with commas.
_USUAL_COLUMNS = frozenset(
    [
        *("time", "timestamp", "@timestamp", "ts", "date", "datetime", "message", "msg", "log"),
        *("content", "text", "level", "severity", "label", "session", "anomaly", "eventid"),
        *("eventtemplate", "m_message", "component", "lineid", "event"),
    ]
)
# Names such as `time:timestamp` are those of XES, the standard of process mining.
_COLUMN = re.compile(r"[^\W\d](?:[\w .@$/()#%\[\]-]|:(?=\w)){0,60}\Z|[@$][A-Za-z][\w.]*\Z")
# `#Fields: date time s-ip …` and `#fields⇥ts⇥uid…`
_FIELDS = re.compile(r"#[Ff]ields:?[ \t]+(?P<names>\S.*)")
# `#Date: 2024-10-15 13:00:00`, where the rows have clocks alone.
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATE = re.compile(rf"#Date:[ \t]+(?P<date>\d{{4}}-\d\d-\d\d)(?:[ T]{_CLOCK})?")
_CLOCK_OF_ROW = re.compile(_CLOCK)
_DAY = timedelta(days=1)
_HALF_A_DAY_S = 43_200
# A clock so far ahead of the one before is of the day before: its row came late, behind midnight.
_LATE_S = 82_800
# What the columns behind the last name are called: Windows' event viewer does not name the text.
_REST = "rest"
# What stands for a value that is missing.
_MISSING = ("-", "(empty)")


def sign_of(lines: Sequence[str]) -> str | None:
    """The sign between the columns of a table whose first line names them; None for no table."""
    for sign in _SIGNS:
        if _is_table(lines[:_LOOKED_AT], sign):
            return sign
    if _is_table_with_blanks(lines[:_LOOKED_AT]):
        return " "
    return None


def names_behind_words(lines: Sequence[str]) -> tuple[str, str] | None:
    """The line that names a table's columns, and the sign between them, where other lines stand
    before it. None: there is no such table.

    A log of Windows' DHCP server begins with an explanation of its codes.
    """
    for at, line in enumerate(lines[1:], start=1):
        for sign in _SIGNS:
            columns = line.count(sign)
            if columns < _FEWEST_BEHIND_WORDS:
                continue
            if max(before.count(sign) for before in lines[:at]) < columns and _is_table(
                lines[at : at + _LOOKED_AT], sign
            ):
                return line, sign
    return None


def names_columns(line: str) -> bool:
    """Whether a line may be the names of a table's columns: each begins with a letter.

    >>> names_columns("time,message"), names_columns("2026-03-02 00:05:05;NOTE;train left")
    (True, False)
    """
    try:
        names = next(csv.reader([line]), [])
    except csv.Error:
        return False
    return bool(names) and all(map(_COLUMN.match, _stripped(names)))


def _stripped(names: Sequence[str]) -> list[str]:
    return [name.lstrip("\ufeff").strip() for name in names]


def _is_table_with_blanks(lines: Sequence[str]) -> bool:
    """Whether all rows have a value for each name of the first line, and a column is of numbers."""
    if len(lines) < 3 or not _NAMES_WITH_BLANKS.match(lines[0]):
        return False
    names, *rows = [line.split(" ") for line in lines]
    if len(names) < _FEWEST_WITH_BLANKS or any(len(row) != len(names) for row in rows):
        return False
    return any(all(value.isdigit() for value in column) for column in zip(*rows, strict=True))


def _is_table(lines: Sequence[str], sign: str) -> bool:
    if len(lines) < 2:
        return False
    try:
        names, *rows = list(csv.reader(lines, delimiter=sign))
    except csv.Error:
        return False
    names = _stripped(names)
    # The first column has no name where it numbers the rows, as pandas writes it.
    named = names[1:] if names[:1] == [""] else names
    if len(named) < 2 or not all(map(_COLUMN.match, named)) or len(set(named)) < len(named):
        return False
    whole = [row for row in rows if len(row) == len(names)]
    if len(whole) < _MOST * len(rows):
        return False
    if {name.lower() for name in names} & _USUAL_COLUMNS:
        return True
    # A line of text has no column in which there are times and nothing else.
    return any(all(map(_is_time, column)) for column in zip(*whole, strict=True))


def _is_time(text: str) -> bool:
    if not re.match(r"\d{1,4}[-/.]", text):
        return False
    try:
        parse_time(text)
    except RecordError:
        return False
    return True


def csv_rows(sign: str, first: str = "") -> Callable[[Iterable[str]], Rows]:
    """A function that reads the rows of a table with this sign between its columns.

    It begins with the line `first`, where that is given.
    """

    def rows(lines: Iterable[str]) -> Rows:
        table = itertools.dropwhile(lambda line: first.strip() not in line, lines)
        reader = csv.DictReader(table, restkey=_REST, delimiter=sign)
        reader.fieldnames = _stripped(reader.fieldnames or ())
        if _REST in reader.fieldnames:
            reader.restkey = None
        for row in reader:
            more: Any = row.get(_REST)
            if isinstance(more, list):
                row[_REST] = sign.join(more)
            yield row

    return rows


def has_named_fields(lines: Sequence[str]) -> bool:
    """Whether the comments before a table name its columns."""
    return any(map(_FIELDS.match, lines[:_LOOKED_AT])) and lines[0].startswith("#")


def named_rows(lines: Iterable[str]) -> Rows:
    """Rows of a table whose columns a comment names; a later one may name others."""
    names: list[str] = []
    sign: str | None = None
    dates: _Dates | None = None
    for line in lines:
        line = line.rstrip()
        if found := _DATE.match(line):
            dates = _Dates.behind(found)
        if found := _FIELDS.match(line):
            sign = next((one for one in ("\t", ",") if one in found["names"]), None)
            names = found["names"].split(sign)
        if line.startswith("#") or not line:
            continue
        values = _values(line, sign, len(names))
        if len(values) != len(names):
            yield unreadable(line)
            continue
        row = {
            name: value for name, value in zip(names, values, strict=True) if value not in _MISSING
        }
        if dates and "time" in row and "date" not in names:
            row["date"] = dates.of(row["time"])
        yield row


class _Dates:
    """The date of rows that have clocks alone, behind a comment with a date and perhaps a clock.

    It is the next day where a clock steps back by half a day or more, and the day before where a
    row came late.
    """

    def __init__(self, day: date, begun: int) -> None:
        self._day = day
        # The second of the day before which rows are of the next day, if it is by half a day.
        self._last = max(begun, _HALF_A_DAY_S)

    @classmethod
    def behind(cls, comment: re.Match[str]) -> _Dates | None:
        try:
            day = date.fromisoformat(comment["date"])
        except ValueError:
            return None
        return cls(day, _second_of_day(comment))

    def of(self, clock: str) -> str:
        found = _CLOCK_OF_ROW.match(clock)
        if found is None:
            return self._day.isoformat()
        now = _second_of_day(found)
        if now - self._last > _LATE_S:
            return (self._day - _DAY).isoformat()
        if self._last - now > _HALF_A_DAY_S:
            self._day += _DAY
        self._last = now
        return self._day.isoformat()


def _second_of_day(clock: re.Match[str]) -> int:
    hour, minute, second = (int(clock[part] or 0) for part in ("hour", "minute", "second"))
    return hour * 3600 + minute * 60 + second


def _values(line: str, sign: str | None, number: int) -> list[str]:
    """The values of a row, where this sign stands between the names of columns; None for blanks.

    Values may stand in quotes, where there is not the right `number` of them otherwise.
    """
    if sign == "\t" or (sign is None and "\t" in line):
        # CloudFront names its columns with blanks between them, and divides them by tabs.
        return line.split("\t")
    values = line.split(sign)
    if sign is None and '"' not in line:
        return values
    try:
        quoted = next(csv.reader([line], delimiter=sign or " ", skipinitialspace=True))
    except csv.Error:
        return values
    return quoted if len(quoted) == number else values
