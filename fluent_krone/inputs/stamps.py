"""Times of lines of plain text that begin with a stamp without a year.

The year is found in order, not for each line on its own:

1. The first stamp gets the latest year that does not put it after the file's own date. A day more
   is allowed, since the stamps may be local time.
2. A later stamp keeps the year of the one before it. Where that would lead back by more than half a
   year, a year has passed; and where it would lead ahead by more than half a year, it is a line of
   the year before that came late.

So a file whose date says nothing, as that of a copy does, has its lines in the right order, and the
lines of a New Year's night too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import RecordError
from ..reading.time_words import month_of
from ..reading.times import TimeReader

# `Jun  9 06:06:01`, klog's `I0609 06:06:01.5`, `06-09 06:06:01.5`, `[06.09 06:06:01]`, each perhaps
# behind `<34>`
_YEARLESS = re.compile(
    r"(?:<\d{1,3}>|\[)?(?:[IWEF](?=\d{4} ))?"
    r"(?P<day>(?:[^\W\d_]{3,9}\.?|1?\d月) [ \d]?\d|\d\d[-./]\d\d|\d{4})"
    r"(?P<clock> \d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d+))?"
)
_NAMED_MONTH = re.compile(r"([^\W\d_]+|\d+月) ")
# A date with its year and a clock, perhaps behind a priority, a bracket, a level or a key.
_WHOLE = re.compile(
    r"(?:<\d{1,3}>(?:1 )?|\[|[A-Z], \[|(?:level=\w+ )?(?:time|ts|t|timestamp)=\"?|[A-Z]{4,8} +\[?)?"
    r"(?P<time>(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d?[-/ ][A-Z][a-z]{2}[-/ ]\d{4}"
    r"|\d\d?\.\d\d?\.\d{4})[Tt :_]"
    r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:[Zz]|[+-]\d\d:?\d\d)\b)?)"
)
# An access log's, behind client, identity and user.
_IN_BRACKETS = re.compile(
    r"(?:\S+ ){3,4}\[(?P<time>\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?: [+-]\d{4})?)\]"
)
_NEVER = datetime.max
# Half a year: what leads further back or ahead is nearer with another year.
_HALF = timedelta(days=183)
# Years back in which there is a leap day for sure, which a 29 February needs.
_YEARS_BACK = 8


class Stamps:
    """Times of a file's lines, read in their order. Stamps are in `timezone`; None is UTC."""

    def __init__(self, path: Path, timezone: str | None = None) -> None:
        self._latest = _NEVER
        if path.exists():
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
            self._latest = written + timedelta(days=1)
        self._times = TimeReader(timezone=timezone)
        # The moment of the last stamp; None before the first.
        self._before: datetime | None = None
        # The last stamp and its time: stamps of one second come together.
        self._known: tuple[str, int | None] = ("", None)

    def time(self, line: str) -> int | None:
        """The line's time in ns; None where it does not begin with such a stamp."""
        found = _YEARLESS.match(line)
        if found is None:
            return self._whole(line)
        stamp = found["day"] + found["clock"]
        if stamp != self._known[0]:
            self._known = stamp, self._parse(re.sub(r"[^\w:]+", " ", stamp).strip())
        seconds = self._known[1]
        if seconds is None:
            return None
        return seconds + int((found["fraction"] or "").ljust(9, "0")[:9])

    def _whole(self, line: str) -> int | None:
        """The time of a line with a year in its stamp, by which several files are put in order."""
        found = _WHOLE.match(line) or _IN_BRACKETS.match(line)
        if found is None:
            return None
        try:
            return self._times.read(found["time"])
        except RecordError:
            return None

    def _parse(self, stamp: str) -> int | None:
        moment = self._in_order(stamp)
        if moment is None:
            return None
        self._before = moment
        try:
            return self._times.read(moment)
        except RecordError:
            return None

    def _in_order(self, stamp: str) -> datetime | None:
        """The moment of a stamp, in the year that its place in the file gives it."""
        before = self._before
        if before is None:
            for year in range(self._latest.year, self._latest.year - _YEARS_BACK, -1):
                moment = _moment(year, stamp)
                if moment is not None and moment <= self._latest:
                    return moment
            return None
        years = (before.year, before.year + 1, before.year - 1)
        near = [moment for moment in (_moment(year, stamp) for year in years) if moment]
        near = [moment for moment in near if -_HALF <= moment - before <= _HALF]
        if near:
            return near[0]
        # Only a leap day is in none of these years.
        return next(
            filter(None, (_moment(year, stamp) for year in range(before.year, 1, -1))), None
        )


def _moment(year: int, stamp: str) -> datetime | None:
    day_format = "%m%d"
    named = _NAMED_MONTH.match(stamp)
    if named:
        try:
            stamp = f"{month_of(named[1])} {stamp[named.end() :]}"
        except ValueError:
            return None
        day_format = "%m %d"
    elif stamp[2] == " ":
        day_format = "%m %d"
    try:
        return datetime.strptime(f"{year} {stamp}", f"%Y {day_format} %H:%M:%S")
    except ValueError:
        return None
