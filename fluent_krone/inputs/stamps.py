"""Times of lines of plain text that begin with a stamp without a year.

The year is found in order, not for each line on its own:

1. The first stamp gets the latest year that puts neither it nor the last stamp of the file after
   the file's own date. A day more is allowed, since the stamps may be local time.
2. A later stamp keeps the year of the one before it. Where that would lead back by more than half a
   year, a year has passed; and where it would lead ahead by more than half a year, it is a line of
   the year before that came late.

A clock without a date (`13:00:00,123 INFO …`) is of the day on which the file was last written, or
of as many days before as the clocks go past midnight behind it. This is said.

So a file whose date says nothing, as that of a copy does, has its lines in the right order, and the
lines of a New Year's night too.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import RecordError
from ..reading.date_order import day_comes_before_month, day_comes_first, is_ambiguous
from ..reading.json_lines import read_json_line
from ..reading.time_words import ZONES_IN_LINES, month_of
from ..reading.times import TimeReader
from .files import written_ns

_log = logging.getLogger(__name__)
# A zone behind a clock; an abbreviation, where it cannot be the name of a host.
_ZONE = rf"(?: ?(?P<zone>[+-]\d\d:?\d\d(?!\S)|(?:{'|'.join(ZONES_IN_LINES)}|UTC|GMT)(?=:)))?"
# `Jun  9 06:06:01`, klog's `I0609 06:06:01.5`, `06-09 06:06:01.5`, `[06.09 06:06:01]`, each perhaps
# behind `<34>`; `Oct-15 13:00:00.5`, `15-Oct 13:00`, MikroTik's `oct/15 13:00:00`
_YEARLESS = re.compile(
    r"(?:<\d{1,3}>|\[|\[[\w-]+\]:\[)?(?:[IWEF](?=\d{4} ))?"
    r"(?P<day>(?:[^\W\d_]{3,9}\.?|1?\d月)[ /-][ \d]?\d|\d\d?-[A-Z][a-z]{2}|\d\d[-./]\d\d\.?"
    r"|(?:0\d|1[0-2])[0-3]\d)"
    rf"(?P<clock> \d\d:\d\d(?::\d\d|(?![:.,\d])))(?:[.,](?P<fraction>\d+))?{_ZONE}"
)
# The day of the year, as HAProxy writes it: `[WARNING] 289/130000 (1234) : …`; month and day, as
# Chromium does behind its process and thread: `[1234:5678:1015/130000.123456:INFO:…`
_DAY_OF_YEAR = re.compile(
    r"(?:\[[A-Z]+\] +|\[(?:\d+:){2}(?=\d{4}/))?(?P<day>[0-3]\d{2,3})"
    r"(?P<clock>/[0-2]\d[0-5]\d[0-5]\d)(?:\.(?P<fraction>\d+))?(?=[ :])(?P<zone>)"
)
# `15.10. 13:00:00`: with a point behind the month, the day comes first.
_DAY_AND_MONTH = re.compile(r"(\d\d)\.(\d\d)\.")
# `10/15`, or `15/10`, as all of them tell; the month comes first, if they do not.
_TWO_NUMBERS = re.compile(r"(\d\d)([-/.])(\d\d)")
_NAMED_MONTH = re.compile(r"([^\W\d_]+|\d+月) ")
_DAY_FIRST = re.compile(r"(\d\d?) ([^\W\d_]+)(?= )")
# A date with its year and a clock, or seconds since 1970, perhaps behind a priority, a bracket, a
# level, a key or an id.
_WHOLE = re.compile(
    r"(?:(?:\d+ )?<\d{1,3}>(?:1 )?|\[|#{0,4}<|[A-Z], \[|(?:level=\w+ )?(?:time|ts|t|timestamp)=\"?"
    r"|[A-Z]{4,8} +\[?|\d{10,19} +(?=\d{4}-\d\d-\d\d[T ]))?"
    r"(?P<time>(?:\d{4}[-/.]\d\d[-/.]\d\d|\d\d?[-/ ][A-Z][a-z]{2}[-/ ]\d{4}"
    r"|\d\d?([-/.])\d\d?\2(?:\d{4}|\d\d(?!\d))|[A-Z][a-z]{2} [ \d]?\d,? \d{4}),?[Tt :_]"
    r"\d\d?:\d\d:\d\d(?:[.,:]\d{1,9})?(?: ?[AaPp][Mm]\b)?(?: ?(?:[Zz]|[+-]\d\d:?\d\d)\b)?"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d"
    r"(?:\.\d{1,9}| [A-Z]{3,4})? \d{4}"
    r"|1\d{9}(?:\.\d{1,9}|(?:\d{3}){1,3})?(?=[\]\s:|,;]))"
)
# An access log's, behind client, identity and user.
_IN_BRACKETS = re.compile(
    r"(?:\S+ ){3,4}\[(?P<time>\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d(?: [+-]\d{4})?)\]"
)
# A stamp without a year behind other words, where the line begins with none of the stamps above:
# `[7] 15 Oct 13:00:00.123 * …`, `000001: *Oct 15 13:00:00.123: …`, `[rank0]:I1015 13:00:00.123 …`.
_BEHIND_WORDS = re.compile(
    r".{0,40}?(?<![\w.-])(?<!\b(?:19|20)\d\d )(?:[DIWEF](?=(?:0\d|1[0-2])[0-3]\d ))?"
    r"(?P<day>[^\W\d_]{3,9}\.? [ \d]?\d|\d\d? [^\W\d_]{3,9}\.?|\d\d[-./]\d\d|(?<=[DIWEF])\d{4})"
    rf"(?P<clock>[ |-]\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d++))?{_ZONE}"
    r"(?! (?:[A-Z]{2,5} |[+-]\d{4} )?(?:19|20)\d\d\b)"
)
# A clock without a date, perhaps in brackets or behind a level, a word, the number of a process, or
# something in brackets; and a clock with am or pm, as Go's `1:00PM`.
# A date in brackets is no name: then the clock is of that day, and not of the file's.
_MONTH_OR_DAY = (
    r"(?i:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
    r"(?:[a-z]*day)?)"
)
_DATE_IN_NAME = (
    rf"(?<![A-Za-z]){_MONTH_OR_DAY}(?![A-Za-z])|(?<=[ ,])\d|\d[./]\d|(?<!\d)(?:19|20)\d\d-"
)
_NAME_IN_BRACKETS = (
    rf"(?:\[(?![^\[\]]*?(?:{_DATE_IN_NAME}))[A-Za-z][^\[\]]{{0,39}}\] *|<[A-Za-z]{{3,10}}> *)"
)
_CLOCK_ONLY = re.compile(
    rf"(?:\[?[A-Z]{{4,8}}(?: *\])? +| *[A-Za-z][\w.-]{{0,19}} +(?=\[)| *\d{{1,10}} +"
    rf"|{_NAME_IN_BRACKETS})?[\[(<]?"
    r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)"
    r"(?:[.,:](?P<fraction>\d{1,9}))?(?=[\s\])>|,:]|Z)"
)
_KITCHEN = re.compile(
    rf"(?:{_NAME_IN_BRACKETS}(?=\[?\d\d?:\d\d:))?\[?"
    r"(?P<hour>1[0-2]|0?\d):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?P<fraction>)"
    r" ?(?P<half>[AP])M(?=[\s:\]])"
)
_HALF_A_DAY_S = 43_200
# A day begins up to this much later in other zones than in that of the file's date.
_ZONES = timedelta(hours=14)
# A few days behind the file's date are those of a clock that was not set, as a device has it that
# begins at `Jan  1 00:00:07`, unless the file was written soon after them.
_STRAY_DAYS = 3
_NEAR = timedelta(days=31)
# Half a year: what leads further back or ahead is nearer with another year.
_HALF = timedelta(days=183)
# Years back in which there is a leap day for sure, which a 29 February needs.
_YEARS_BACK = 8
_YEAR = 365


class Stamps:
    """Times of a file's lines, read in their order. Stamps are in `timezone`; None is UTC.

    `again` reads the lines of the file once more, where their dates are not whole.
    """

    def __init__(
        self,
        path: Path,
        timezone: str | None = None,
        again: Callable[[], Iterable[str]] = lambda: (),
    ) -> None:
        self._path = path
        self._again = again
        # The days of clocks without a date; None before the first.
        self._days: _Days | None = None
        # A pipe is being written now.
        written = written_ns(path) or time.time_ns()
        written_at = datetime.fromtimestamp(written / 10**9, UTC).replace(tzinfo=None)
        self._latest = written_at + timedelta(days=1)
        self._timezone = timezone
        self._times = TimeReader(timezone=timezone)
        # Whether it is known if the day or the month comes first in 03/04/2024.
        self._knows_order = False
        # Whether the day comes first in 03/04; None before the first such stamp.
        self._is_day_first: bool | None = None
        # The moment of the last stamp; None before the first.
        self._before: datetime | None = None
        # The last stamp and its time: stamps of one second come together.
        self._known: tuple[str, int | None] = ("", None)

    def time(self, line: str) -> int | None:
        """The line's time in ns; None where it does not begin with such a stamp."""
        if line.startswith("{"):
            return self._of_json(line)
        if found := _yearless_stamp(line):
            return self._yearless(found)
        if found := _whole_stamp(line):
            if not self._knows_order and is_ambiguous(found["time"]):
                self._learn_order()
            return self._whole(found["time"])
        if found := _BEHIND_WORDS.match(line):
            return self._yearless(found)
        if found := _clock(line):
            return self._of_a_day(found)
        return None

    def _learn_order(self) -> None:
        """Learn from all stamps of the file whether the day or the month comes first in them."""
        self._knows_order = True
        found = filter(None, map(_whole_stamp, self._again()))
        day_first = day_comes_first((one["time"] for one in found), written_ns(self._path))
        self._times = TimeReader(timezone=self._timezone, day_first=day_first)

    def _has_day_first(self) -> bool:
        """Whether the day comes first in stamps without a year, as all those of the file tell."""
        if self._is_day_first is None:
            stamps = filter(None, map(_stamp_without_year, self._again()))
            days = filter(None, (_TWO_NUMBERS.fullmatch(stamp["day"]) for stamp in stamps))
            self._is_day_first = day_comes_before_month((int(day[1]), int(day[3])) for day in days)
        return self._is_day_first

    def _yearless(self, found: re.Match[str]) -> int | None:
        """The time of a stamp without a year."""
        stamp = found["day"] + found["clock"]
        zone = found["zone"] or ""
        if stamp + zone != self._known[0]:
            self._known = stamp + zone, self._parse(self._stamp(found), zone)
        seconds = self._known[1]
        if seconds is None:
            return None
        return seconds + _fraction_ns(found)

    def _stamp(self, found: re.Match[str]) -> str:
        """The month, the day and the clock of a stamp without a year, between blanks."""
        day = found["day"]
        if in_order := _DAY_AND_MONTH.fullmatch(day):
            day = f"{in_order[2]}.{in_order[1]}"
        elif (numbers := _TWO_NUMBERS.fullmatch(day)) and self._has_day_first():
            day = f"{numbers[3]}{numbers[2]}{numbers[1]}"
        return re.sub(r"[^\w:]+", " ", day + found["clock"]).strip()

    def _whole(self, stamp: str | datetime) -> int | None:
        """The time of a stamp with its year, by which several files are put in order."""
        try:
            return self._times.read(stamp)
        except RecordError:
            return None

    def _of_json(self, line: str) -> int | None:
        """The time in a line of JSON among lines of text."""
        record = read_json_line(line.encode("utf-8", "replace"))
        if record is None or "time" not in record:
            return None
        return self._whole(record["time"])

    def _of_a_day(self, clock: re.Match[str]) -> int | None:
        """The time of a clock without a date."""
        if self._days is None:
            clocks = filter(None, map(_clock, self._again()))
            self._days = _Days.of(map(_second_of_day, clocks), self._latest - timedelta(days=1))
            _log.info(
                "times have no date, so they are of the day on which the file was last written "
                "file=%s",
                self._path,
            )
        seconds = self._whole(self._days.moment(_second_of_day(clock)))
        if seconds is None:
            return None
        return seconds + _fraction_ns(clock)

    def _parse(self, stamp: str, zone: str) -> int | None:
        moment = self._in_order(stamp)
        if moment is None:
            return None
        self._before = moment
        if zone:
            return self._whole(f"{moment} {zone}")
        return self._whole(moment)

    def _in_order(self, stamp: str) -> datetime | None:
        """The moment of a stamp, in the year that its place in the file gives it."""
        if self._before is None:
            return self._first(stamp)
        return _next(stamp, self._before)

    def _first(self, stamp: str) -> datetime | None:
        """The moment of the file's first stamp."""
        for year in range(self._latest.year, self._latest.year - _YEARS_BACK, -1):
            moment = _moment(year, stamp)
            if moment is None or moment > self._latest:
                continue
            last, days_ahead, has_its_days = self._last_behind(moment)
            if has_its_days:
                break
        else:
            return None
        if last.year == moment.year or last <= self._latest:
            return moment
        too_far = last.year - self._latest.year
        if last - timedelta(days=_YEAR * too_far) > self._latest:
            too_far += 1
        early = self._latest - (last - timedelta(days=_YEAR * too_far))
        if days_ahead <= _STRAY_DAYS and early > _NEAR:
            return moment
        return _moment(moment.year - too_far, stamp) or moment

    def _last_behind(self, first: datetime) -> tuple[datetime, int, bool]:
        """The moment of the file's last stamp, if its first one is of this moment; how many days of
        stamps then lie after the file's own date; and whether its years have all of its days, of
        which a leap day is not in each.

        Further lines of one day are not looked at.
        """
        moment = first
        days_ahead = set()
        has_its_days = True
        day, place = "", slice(1)
        for line in self._again():
            if line[place] == day:
                continue
            if found := _stamp_without_year(line):
                day, place = found["day"], slice(*found.span("day"))
                before, moment = moment, _next(self._stamp(found), moment) or moment
                has_its_days &= abs(moment - before) <= _HALF
                if moment > self._latest:
                    days_ahead.add(moment.date())
        return moment, len(days_ahead), has_its_days


def _next(stamp: str, before: datetime) -> datetime | None:
    """The moment of a stamp behind another one, in the year that is nearest."""
    years = (before.year, before.year + 1, before.year - 1)
    near = [moment for moment in (_moment(year, stamp) for year in years) if moment]
    near = [moment for moment in near if -_HALF <= moment - before <= _HALF]
    if near:
        return near[0]
    # Only a leap day is in none of these years.
    return next(filter(None, (_moment(year, stamp) for year in range(before.year, 1, -1))), None)


def begins_with_stamp(line: str) -> bool:
    """Whether a line begins with a time, or has one behind its first words.

    >>> begins_with_stamp("Mar 02, 2026 8:00:00 AM app.Orders accept"), begins_with_stamp("paid")
    (True, False)
    """
    finds = (_yearless_stamp, _whole_stamp, _BEHIND_WORDS.match, _clock)
    return any(find(line) for find in finds)


def _yearless_stamp(line: str) -> re.Match[str] | None:
    return _YEARLESS.match(line) or _DAY_OF_YEAR.match(line)


def _stamp_without_year(line: str) -> re.Match[str] | None:
    """The stamp without a year that a line begins with, or has behind its first words."""
    if found := _yearless_stamp(line):
        return found
    if line.startswith("{") or _whole_stamp(line):
        return None
    return _BEHIND_WORDS.match(line)


def _whole_stamp(line: str) -> re.Match[str] | None:
    return _WHOLE.match(line) or _IN_BRACKETS.match(line)


def _fraction_ns(found: re.Match[str]) -> int:
    return int((found["fraction"] or "").ljust(9, "0")[:9])


def _clock(line: str) -> re.Match[str] | None:
    return _KITCHEN.match(line) or _CLOCK_ONLY.match(line)


def _second_of_day(clock: re.Match[str]) -> int:
    hour = int(clock["hour"])
    if half := clock.groupdict().get("half"):
        hour = hour % 12 + 12 * (half == "P")
    return hour * 3600 + int(clock["minute"]) * 60 + int(clock["second"] or 0)


class _Days:
    """The days of clocks, which go on to the next one where they step back by half a day or more.

    `last` is the second of the day of the clock before.
    """

    def __init__(self, day: datetime, last: int) -> None:
        self._day = day
        self._last = last

    @classmethod
    def of(cls, clocks: Iterable[int], written: datetime) -> _Days:
        """The days of a file's clocks, the last of which was when the file was last written."""
        first = last = None
        midnights = 0
        for second in clocks:
            if first is None:
                first = second
            elif last is not None and last - second > _HALF_A_DAY_S:
                midnights += 1
            last = second
        day = written.replace(hour=0, minute=0, second=0, microsecond=0)
        if day + timedelta(seconds=last or 0) > written + _ZONES:
            day -= timedelta(days=1)
        return cls(day - timedelta(days=midnights), first or 0)

    def moment(self, second: int) -> datetime:
        """The moment of a clock; one that is half a day ahead is of the day before, and late."""
        if second - self._last > _HALF_A_DAY_S:
            return self._day - timedelta(days=1) + timedelta(seconds=second)
        if self._last - second > _HALF_A_DAY_S:
            self._day += timedelta(days=1)
        self._last = second
        return self._day + timedelta(seconds=second)


def _moment(year: int, stamp: str) -> datetime | None:
    day_format = "%m%d"
    clock_format = "%H:%M:%S"
    if len(stamp.rpartition(" ")[2]) == len("13:00"):
        stamp += ":00"
    if ":" not in stamp:
        clock_format = "%H%M%S"
    if stamp[3] == " " and stamp[:3].isdigit():
        day_format = "%j"
    if day_first := _DAY_FIRST.match(stamp):
        stamp = f"{day_first[2]} {day_first[1]}{stamp[day_first.end() :]}"
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
        return datetime.strptime(f"{year} {stamp}", f"%Y {day_format} {clock_format}")
    except ValueError:
        return None
