"""Numbers that are times, in ns UTC, and the number of a moment.

A number is seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by its size:
seconds of this century have ten digits, milliseconds thirteen, and so on. Windows counts the
100 ns since 1601 (FILETIME), and .NET those since the year 1 (ticks). Read as ns since 1970, such a
number would be of 1973, 1974 or 1990, when nobody counted ns.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ..errors import RecordError

_NS = 1_000_000_000
_US = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400
# Numbers up to these are seconds, milliseconds and microseconds: the year 5138 in each unit, while
# the next unit has passed this in 1973.
_UNITS = ((10**11, _NS), (10**14, 10**6), (10**17, 10**3))
# FILETIME and ticks of .NET: those of the years 2000 to 2100, and that of 1970.
_HUNDREDS_OF_NS = (
    (range(125_911_584_000_000_000, 157_469_184_000_000_000), 116_444_736_000_000_000),
    (range(630_822_816_000_000_000, 662_380_416_000_000_000), 621_355_968_000_000_000),
)
# A number, and how JavaScript and `date` write one: /Date(1728997200123+0200)/, @1728997200.
_NUMBER = re.compile(
    r"(?:/Date\(|@)?(?P<number>[+-]?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?)(?:(?:[+-]\d{4})?\)/)?"
)
# A number of the size of a time, with its unit: 1728997200s, 1728997200123ms.
_WITH_UNIT = re.compile(r"(?P<number>\d{9,}(?:\.\d+)?)(?:[nuµm]?s)")
# YYYYmmddHHMMSS; as milliseconds it would be after the year 2500.
_FOURTEEN = re.compile(r"(?:19|20)\d{12}(?:\d{3}|\d{6}|[.,]\d{1,9})?")


# TAI64N, as multilog and svlogd write it: seconds since 1970, and nanoseconds, in hexadecimal.
_TAI = re.compile(r"@(4[0-9a-f]{15})([0-9a-f]{8})")
_TAI_OF_1970 = 2**62 + 10
# Seconds since 1970 and nanoseconds in hexadecimal, as OpenLDAP writes them.
_HEXADECIMAL = re.compile(r"([5-7][0-9a-f]{7})\.([0-9a-f]{8})")


def tai_ns(text: str) -> int | None:
    """ns UTC of a label of TAI64N, or of hexadecimal seconds; None where the text is neither.

    >>> tai_ns("@40000000670e67da0754d4c0"), tai_ns("670e67d0.0754d4c0")
    (1728997328123000000, 1728997328123000000)
    """
    if found := _TAI.fullmatch(text):
        return in_range((int(found[1], 16) - _TAI_OF_1970) * _NS + int(found[2], 16))
    if found := _HEXADECIMAL.fullmatch(text):
        return in_range(int(found[1], 16) * _NS + int(found[2], 16))
    return None


def number_in(text: str) -> str | None:
    """The number that a text is, with a point before its fraction; None where it is none.

    >>> number_in("/Date(1728997200123+0200)/"), number_in("20241015130000")
    ('1728997200123', None)
    """
    number = _NUMBER.fullmatch(text) or _WITH_UNIT.fullmatch(text)
    if number is None or _FOURTEEN.fullmatch(text):
        return None
    return number["number"].replace(",", ".")


def digits_ns(text: str) -> int:
    """ns UTC of a number in a text, exactly. Raises RecordError `bad_time`."""
    if not re.fullmatch(r"[+-]?\d+(?:\.\d*)?", text):
        return number_ns(float(text))
    if len(text) == 18 and text.isdigit():
        return number_ns(int(text))
    whole, _, fraction = text.partition(".")
    if len(whole) > 30:
        raise RecordError("bad_time", f"{text[:40]!r} is not a time")
    unit = _unit(int(whole))
    digits = fraction[:9].ljust(9, "0")
    part = int(digits) * unit // _NS
    if whole.startswith("-"):
        part = -part
    return in_range(int(whole) * unit + part)


def number_ns(number: float) -> int:
    """ns UTC of seconds, ms, µs or ns since 1970. Raises RecordError `bad_time`."""
    for numbers, of_1970 in _HUNDREDS_OF_NS:
        if isinstance(number, int) and number in numbers:
            return in_range((number - of_1970) * 100)
    try:
        unit = _unit(number)
        # Whole numbers stay exact, which a float of ns does not.
        if isinstance(number, int):
            return in_range(number * unit)
        # A float of today's seconds holds microseconds and no more.
        return in_range(round(number * (unit / _US)) * _US)
    except (OverflowError, ValueError):
        raise RecordError("bad_time", f"{number!r} is not a time") from None


def _unit(number: float) -> int:
    size = abs(number)
    for most, unit in _UNITS:
        if size < most:
            return unit
    return 1


def in_range(time_ns: int) -> int:
    """The time, if 64 bits hold it, as snapshots and alerts need; that is from 1677 to 2262."""
    if not -(2**63) <= time_ns < 2**63:
        raise RecordError("bad_time", "a time before 1677 or after 2262")
    return time_ns


def unix_ns(moment: datetime) -> int:
    """ns UTC of a time; without an offset it is UTC. Raises RecordError `bad_time`."""
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH
    seconds = since.days * _DAY_S + since.seconds
    return in_range(seconds * _NS + since.microseconds * 1000)
