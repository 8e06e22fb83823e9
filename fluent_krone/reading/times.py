"""Texts and numbers → times, in ns UTC.

What a time without an offset means depends on where it was written, and sometimes on what came
before it:

1. A time without an offset is in the time zone of the stream (`timezone`), daylight saving time
   included.
2. When clocks go back, an hour comes twice. Of its two meanings, a time has the first, unless that
   lies behind the time before it in the stream, by more than lines usually come late.
3. A number is seconds, milliseconds, microseconds or nanoseconds since 1970
   (`time_numbers.py`).
4. A date such as 03/04/2024 is read as `day_first` says. Otherwise a number above 12 decides, then
   the separator: with points the day comes first, with slashes the month.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from lru import LRU

from ..errors import ConfigError, RecordError
from .time_numbers import digits_ns, in_range, number_in, number_ns, tai_ns, unix_ns
from .time_words import ABBREVIATIONS, HALVES, month_of, with_common_year

_NS = 1_000_000_000
# Lines of several threads are written this much out of order, at the most.
_USUALLY_LATE_NS = 300 * _NS
# Time texts that are remembered: stamps of one second repeat, and reading one is slow.
_MAX_TIMES = 4096
# This much of a text is read: no time is longer, and each form would look at all of a longer text.
_LONGEST = 200
_CLOCK = (
    r"(?:(?P<before>上午|下午|午前|午後|오전|오후|[AaPp][Mm]) ?)?(?P<hour>\d{1,2})"
    r"(?:(?:[:.时時h]|시 ?)(?P<minute>\d\d|\d(?=분|分))(?:(?:[:.分m]|분 ?)"
    r"(?P<second>\d\d|\d(?=[秒초]))(?:[.,:'](?P<fraction>\d{1,12}))?[秒초s]?)?[分분]?)?"
    r"(?:\s?(?:Uhr|hrs|(?P<half>[AaPp])\.?\s?[Mm]\.?|(?P<after>上午|下午|午前|午後|오전|오후)))?"
)
_COMPACT = r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?:[.,]?(?P<fraction>\d{1,12}))?"
# In brackets or not; behind an offset, Java and JavaScript write a name in brackets.
_ZONE = (
    r"\s*[(\[]?(?P<zone>[Zz]|(?:UTC|GMT)?[+-]\d\d?(?::?\d\d(?::\d\d)?)?|[A-Z]{2,5}"
    r"|[A-Z][A-Za-z]+/[A-Z][A-Za-z_]+(?:[+-]\d\d?)?(?:/[A-Z][A-Za-z_]+)?)?[)\]]?"
    r"(?:\s*(?:\([^()]+\)|\[[^\[\]]+\]))?"
    # Go says the zone twice, and how long the program has been running.
    r"(?:(?<=[+-]\d{4}) (?:[A-Z]{2,5}|[+-]\d{4}))?(?: m=[+-][\d.]+)?"
)
_DAY_NAME = r"(?:[^\W\d_]{2,10}\.?,?\s+)?"
# What may stand between a date and its clock: a sign, and a word such as `at`, `à`, `um`; PM before
# the clock is a part of it.
_GAP = r"[Tt_:,-]?\s*(?:(?![AaPp][Mm]\b)[A-Za-zà-ÿ]{1,4}\.?\s+|@\s*)?"
_NAMED = r"(?P<name>[^\W\d_]{3,12}|1?\d月|[Tt]h(?:áng|g) 1?\d)\.?"
# What may stand behind the number of a day: 15th, 1er, 1º.
_ORDINAL = r"(?:st|nd|rd|th|er|º)?"
_FORMS = [
    re.compile(_DAY_NAME + form + r"\s*\Z")
    for form in (
        # 2024-10-15T13:00:00.123+02:00, 2024/10/15 13:00, 2024-10-15-13.00.00, 2024-10-15
        # and with other clocks, 2024-10-15_13-00-00, 2024-10-15 130000, 2024. 10. 15. 오후 1:00:00
        r"(?:\+00)?(?P<year>\d{4})([-/_:]|\. ?)(?P<month>\d\d?)\2(?P<day>\d\d?)\.?(?:"
        + _GAP
        + _CLOCK
        + _ZONE
        + ")?",
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt_ ](?P<hour>\d\d)(?P<dash>-?)"
        r"(?P<minute>\d\d)(?P=dash)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,12}))?" + _ZONE,
        # 20241015T130000.123Z, 20241015 13:00:00
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?:[Tt_ -]?" + _COMPACT + _ZONE + ")?",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)[Tt_ -]" + _CLOCK + _ZONE,
        # 2024-10-15T1300Z, 20241015T1300+02
        r"(?P<year>\d{4})(-?)(?P<month>\d\d)\2(?P<day>\d\d)[Tt](?P<hour>\d\d)(?P<minute>\d\d)"
        + _ZONE,
        # 241015 13:00:00
        r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d) " + _CLOCK + _ZONE,
        # 15/10/2024 13:00:00, 10/15/2024 1:00:00 PM, 15.10.2024 13:00
        r"(?P<one>\d\d?)(?P<sign>[-/.])(?P<two>\d\d?)(?P=sign)(?P<year>\d{4}|\d\d)"
        + _GAP
        + _CLOCK
        + _ZONE,
        # 15/Oct/2024:13:00:00 +0200, 15-OCT-24 01.00.00 PM, 15 de octubre de 2024 13:00:00,
        # 15OCT2024:13:00:00
        r"(?P<day>\d\d?)"
        + _ORDINAL
        + r"\.?[-/. ]?(?:de |of )?"
        + _NAMED
        + r"[-/. ,]{0,2}(?:de )?(?P<year>\d{4}|\d\d)(?: г\.)?"
        + _GAP
        + _CLOCK
        + _ZONE,
        # 2024 Oct 15 13:00:00, 2024-Oct-15 13:00:00
        r"(?P<year>\d{4})[-/. ]" + _NAMED + r"[-/. ]+(?P<day>\d\d?)" + _GAP + _CLOCK + _ZONE,
        # 2024 15 Oct 13:00:00
        r"(?P<year>\d{4})[-/. ](?P<day>\d\d?)[-/. ]+" + _NAMED + _GAP + _CLOCK + _ZONE,
        # 2024年10月15日 13:00:00, 2024년 10월 15일 오후 1:00:00
        r"(?P<year>\d{4})[年년] ?(?P<month>\d\d?)[月월] ?(?P<day>\d\d?)[日일]\s*(?:"
        + _CLOCK
        + _ZONE
        + ")?",
        # Oct 15, 2024 1:00:00 PM
        _NAMED
        + r"[\s/-]+(?P<day>\d\d?)"
        + _ORDINAL
        + r"(?:,?\s+|[/-])(?P<year>\d{4})"
        + _GAP
        + _CLOCK
        + _ZONE,
        # 2024. október 15. 13:00:00
        r"(?P<year>\d{4})\. ?" + _NAMED + r" (?P<day>\d\d?)\.?" + _GAP + _CLOCK + _ZONE,
        # Tue Oct 15 13:00:00 CEST 2024, Oct 15 13:00:00 2024 GMT, Di 15. Okt 13:00:00 CEST 2024
        _NAMED + r"\s+(?P<day>\d\d?)\s+" + _CLOCK + _ZONE + r"\s+(?P<year>\d{4})",
        _NAMED + r"\s+(?P<day>\d\d?)\s+" + _CLOCK + r"\s+(?P<year>\d{4})" + _ZONE,
        r"(?P<day>\d\d?)\.?\s+" + _NAMED + r"\s+" + _CLOCK + _ZONE + r"\s+(?P<year>\d{4})",
        # 2024-W42-2T13:00:00Z and 2024-289T13:00:00Z, the other dates of ISO 8601, and 2024289
        r"(?P<year>\d{4})[-.]?(?:W(?P<week>\d\d)-(?P<weekday>\d)|(?P<yearday>\d{3}))[T ]"
        + _CLOCK
        + _ZONE,
    )
]
# 2024-10-15T13:00:00+02:00, the form of most logs, which Python itself reads faster. What it does
# not read is left to the forms above, such as 24:00 and leap seconds.
_ISO = re.compile(r"[12]\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)?")
# 13:00:00 15.10.2024, 13:00:00.123 UTC Tue Oct 15 2024: the clock stands before the date.
_CLOCK_FIRST = re.compile(
    r"(?P<clock>\d\d?:\d\d(?::\d\d(?:[.,]\d{1,12})?)?(?: ?[AaPp][Mm]\b)?(?: [A-Z]{2,5}\b)?),? +"
    r"(?P<date>.*\d\d)"
)
# What a time may be quoted with.
_QUOTED = re.compile(r"[\[\"'<](.*)[\]\"'>]")
# A usual time with a fraction of a second, and what stands around the fraction: most logs have many
# such times in each second.
_WITHIN_SECOND = re.compile(
    r"(\d{2,4}[-/.]\d\d[-/.]\d{2,4}[T ]\d\d:\d\d:\d\d)([.,])(\d{1,9})( ?(?:Z|[+-]\d\d:?\d\d))?"
)
_MINUS = "\u2212"
# Years of two digits are of this century, and mostly since the twenties.
_CENTURY = 2000
_TWENTIES = 20
# Thailand counts years from 543 years before; a log has none of these years otherwise.
_THAI = 543
_THAI_YEARS = range(1970 + _THAI, 2100 + _THAI)
# Microseconds are what `%f` reads.
_MORE_THAN_MICROSECONDS = re.compile(r"([.,:']\d{6})\d+")
# `p.m.`, which strptime does not know.
_HALF_WITH_POINTS = re.compile(r"\b([AaPp])\.\s?([Mm])\.?(?!\w)")
# `09:58AM`, where strptime needs a blank.
_GLUED_HALF = re.compile(r"(?<=\d)(?=[AaPp][Mm](?:\b|Z\b))")
# `+02`, of which strptime needs the minutes too.
_HOURS_ALONE = re.compile(r"[+-]\d\d\Z")
_AN_ABBREVIATION = re.compile(
    r"\b[A-Z]{2,5}\b(?<!\bAM)(?<!\bPM)(?:(?<=UTC|GMT)[+-]\d\d?(?::?\d\d)?\b)?"
)


def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises ConfigError where there is none of that name."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"timezone {name!r} is not known: name one as in Europe/Berlin, or UTC"
        ) from None


class TimeReader:
    """Reads the times of one stream, in their order.

    `time_format` is that of strptime, or None for all usual forms; `timezone` an IANA name. Raises
    ConfigError for a time zone that is not known.

    >>> berlin = TimeReader(timezone="Europe/Berlin")
    >>> [berlin.read(text) // 10**9 for text in ("2024-07-01 12:00:00", "2024-07-01 12:00:00Z")]
    [1719828000, 1719835200]
    """

    def __init__(
        self,
        time_format: str | None = None,
        timezone: str | None = None,
        *,
        day_first: bool | None = None,
    ) -> None:
        self._format = time_format
        self._zone: tzinfo = UTC
        if timezone:
            self._zone = zone_of(timezone)
        self._day_first = day_first
        # Text → its time, or the two of a text in an hour that comes twice.
        self._known: Any = LRU(_MAX_TIMES)
        self._last = 0

    def read(self, value: Any) -> int:
        """ns UTC of a text, a number, a list of a time's parts, or a datetime.

        Raises RecordError `bad_time`.
        """
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, list):
            found = self._of_parts(value)
        else:
            found = self._known.get(value)
            if found is None:
                found = self._known[value] = self._read(value)
        if isinstance(found, tuple):
            first, second = found
            found = first
            if first < self._last - _USUALLY_LATE_NS:
                found = second
        self._last = found
        return int(found)

    def _read(self, value: Any) -> int | tuple[int, int]:
        if isinstance(value, datetime):
            return self._in_zone(value, 0)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return number_ns(value)
        text = str(value).strip()
        within = _WITHIN_SECOND.fullmatch(text)
        if within and (self._format is None or "%f" in self._format):
            return self._within_second(within)
        return self._whole(text)

    def _whole(self, text: str) -> int | tuple[int, int]:
        """A text of which nothing is remembered."""
        if self._format:
            return self._by_format(text)
        if _ISO.fullmatch(text) and int(text[:4]) not in _THAI_YEARS:
            with suppress(ValueError):
                return self._in_zone(datetime.fromisoformat(text), 0)
        tai = tai_ns(text)
        if tai is not None:
            return tai
        number = number_in(text)
        if number is not None:
            return digits_ns(number)
        if ":" in text[1:3] and (turned := _CLOCK_FIRST.fullmatch(text)):
            text = f"{turned['date']} {turned['clock']}"
        if quoted := _QUOTED.fullmatch(text):
            text = quoted[1]
        text = with_common_year(text[:_LONGEST].replace(_MINUS, "-"))
        for form in _FORMS:
            found = form.match(text)
            if found is not None:
                return self._by_form(found, text)
        raise _no_time(text)

    def _within_second(self, within: re.Match[str]) -> int | tuple[int, int]:
        """A time with a fraction; its second is mostly remembered."""
        clock, sign, fraction, zone = within.groups(default="")
        second = f"{clock}{sign}0{zone}"
        if self._format is None:
            second = clock + zone
        found = self._known.get(second)
        if found is None:
            try:
                found = self._known[second] = self._whole(second)
            except RecordError:
                raise _no_time(within.string) from None
        more = int(fraction.ljust(9, "0"))
        if isinstance(found, tuple):
            return found[0] + more, found[1] + more
        return int(found) + more

    def _of_parts(self, parts: list[Any]) -> int | tuple[int, int]:
        """A time as Jackson writes it: year, month, day, hour, minute, second, nanoseconds; or
        seconds since 1970 and nanoseconds, as `clock_gettime` gives them.
        """
        if len(parts) == 2 and all(type(part) is int for part in parts):
            seconds, nanos = parts
            if 10**9 <= seconds < 10**10 and 0 <= nanos < _NS:
                return in_range(seconds * _NS + nanos)
        if not 5 <= len(parts) <= 7 or not all(type(part) is int for part in parts):
            raise _no_time(str(parts))
        *clock, fraction = (*parts, 0, 0)[:7]
        try:
            return self._in_zone(datetime(*clock), fraction)
        except (ValueError, OverflowError):
            raise _no_time(str(parts)) from None

    def _by_form(self, found: re.Match[str], text: str) -> int | tuple[int, int]:
        parts = found.groupdict()
        fraction = int((parts.get("fraction") or "")[:9].ljust(9, "0"))
        try:
            # A leap second is taken for the second before it.
            clock = (int(parts.get("minute") or 0), min(int(parts.get("second") or 0), 59))
            hour = _hour(parts)
            moment = datetime.combine(self._date(parts), time(hour % 24, *clock))
            # 24:00 is the end of a day.
            if hour == 24 and clock == (0, 0):
                moment += timedelta(days=1)
            elif hour > 23:
                raise ValueError
        except (ValueError, OverflowError):
            raise _no_time(text) from None
        offset = self._offset(parts.get("zone"), moment)
        if offset is not None:
            moment = moment.replace(tzinfo=timezone(offset))
        return self._in_zone(moment, fraction)

    def _date(self, parts: dict[str, str]) -> date:
        if parts.get("week"):
            return date.fromisocalendar(
                int(parts["year"]), int(parts["week"]), int(parts["weekday"])
            )
        if parts.get("yearday"):
            start = date(int(parts["year"]), 1, 1)
            return start + timedelta(days=int(parts["yearday"]) - 1)
        return date(_year(parts), *self._month_and_day(parts))

    def _month_and_day(self, parts: dict[str, str]) -> tuple[int, int]:
        if parts.get("name"):
            return month_of(parts["name"]), int(parts["day"])
        if parts.get("month"):
            return int(parts["month"]), int(parts["day"])
        one = int(parts["one"])
        two = int(parts["two"])
        day_first = self._day_first
        if one > 12 or two > 12:
            day_first = one > 12
        elif day_first is None:
            day_first = parts["sign"] != "/"
        if day_first:
            return two, one
        return one, two

    def _offset(self, zone: str | None, moment: datetime) -> timedelta | None:
        """The offset that a text names; None where it names none, or one that is not known."""
        if not zone:
            return None
        if "/" in zone:
            try:
                return moment.replace(tzinfo=zone_of(zone)).utcoffset()
            except ConfigError:
                return None
        # DB2 writes three digits, which are minutes.
        minutes = re.fullmatch(r"[+-]\d{3}", zone)
        if minutes and int(zone) % 15 == 0:
            return timedelta(minutes=int(zone))
        signed = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d\d?):?(\d\d)?(?::(\d\d))?", zone)
        if signed:
            h, m, s = (int(part or 0) for part in signed.groups()[1:])
            size = timedelta(hours=h, minutes=m, seconds=s)
            if size >= timedelta(days=1):
                return None
            if signed[1] == "-":
                return -size
            return size
        # The stream's own zone knows best what its abbreviations mean.
        for fold in (0, 1):
            local = moment.replace(tzinfo=self._zone, fold=fold)
            if local.tzname() == zone:
                return local.utcoffset()
        hours = ABBREVIATIONS.get(zone.upper())
        if hours is None:
            return None
        return timedelta(hours=hours)

    def _by_format(self, given: str) -> int | tuple[int, int]:
        time_format = str(self._format)
        text = _MORE_THAN_MICROSECONDS.sub(r"\1", given)
        if "%p" in time_format:
            text = _HALF_WITH_POINTS.sub(r"\1\2", text)
            if " %p" in time_format:
                text = _GLUED_HALF.sub(" ", text)
        if time_format.endswith("%z"):
            text = _HOURS_ALONE.sub(r"\g<0>00", text)
        offset = None
        try:
            if "%Z" in time_format:
                # strptime knows no abbreviation but those of this machine.
                name = _AN_ABBREVIATION.search(text)
                if name is None:
                    raise ValueError
                text = text[: name.start()] + "UTC" + text[name.end() :]
                moment = datetime.strptime(text, time_format)
                offset = self._offset(name[0], moment)
            else:
                moment = datetime.strptime(text, time_format)
        except ValueError:
            raise _no_time(given) from None
        if offset is not None:
            moment = moment.replace(tzinfo=timezone(offset))
        return self._in_zone(moment, 0)

    def _in_zone(self, moment: datetime, fraction_ns: int) -> int | tuple[int, int]:
        """ns UTC of a moment; both meanings where it has no offset and its hour comes twice."""
        if moment.tzinfo is not None or self._zone is UTC:
            return unix_ns(moment) + fraction_ns
        first = unix_ns(moment.replace(tzinfo=self._zone, fold=0)) + fraction_ns
        second = unix_ns(moment.replace(tzinfo=self._zone, fold=1)) + fraction_ns
        # In the hour that spring leaves out, the second meaning is before the first, and neither
        # was ever on a clock.
        if second <= first:
            return first
        return first, second


def _year(parts: dict[str, str]) -> int:
    """The year; of two digits, it is one of this century.

    In 24/10/15 the first number is the year: the last one is no year of this or the last decade.
    """
    if len(parts["year"]) == 4:
        year = int(parts["year"])
        if year in _THAI_YEARS:
            return year - _THAI
        return year
    one = parts.get("one") or "0"
    if int(one) >= _TWENTIES > int(parts["year"]):
        parts["month"] = parts["two"]
        parts["day"] = parts["year"]
        return _CENTURY + int(one)
    return _CENTURY + int(parts["year"])


def _hour(parts: dict[str, str]) -> int:
    hour = int(parts.get("hour") or 0)
    half = (parts.get("half") or "").lower()
    named = parts.get("before") or parts.get("after")
    if named:
        half = HALVES.get(named, named[0].lower())
    if half == "p" and 12 < hour < 24:
        # The clock has 24 hours, and PM says so once more.
        return hour
    if half and not 1 <= hour <= 12:
        raise ValueError
    if half == "a":
        return hour % 12
    if half == "p":
        return hour % 12 + 12
    return hour


def _no_time(text: str) -> RecordError:
    return RecordError("bad_time", f"{text[:40]!r} is not a time")


def parse_time(text: str, time_format: str | None = None) -> int:
    """ns UTC of one text; see `TimeReader`. Raises RecordError `bad_time`.

    >>> parse_time("1970-01-01T00:00:01Z"), parse_time("081109 203530", "%y%m%d %H%M%S")
    (1000000000, 1226262930000000000)
    """
    return TimeReader(time_format).read(text)
