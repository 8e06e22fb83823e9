"""The times of log headers: their forms, where one stands in a line, and which format reads it.

Most times are read by the record reader as they are. Those of which it needs to know the form, such
as dates with day and month in either order, have strptime formats; of several formats the one is
taken that reads most of the lines and steps back least.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise, product

from fluent_krone.errors import RecordError
from fluent_krone.reading.date_order import nearness
from fluent_krone.reading.line_formats import python_regex
from fluent_krone.reading.time_words import ZONES_IN_LINES
from fluent_krone.reading.times import TimeReader

from . import header_shapes as shapes
from .header_shapes import CLOCK, DAY, MONTH


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern whose named groups are Ruby's.

    It takes for letters what it takes for letters in bytes, which is how the record reader uses it.
    """
    return re.compile(python_regex(pattern), re.ASCII)


# --- forms --------------------------------------------------------------------------------------

_FRACTION = r"(?:[.,:']\d{1,9})?"
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)"
# Those that the record reader knows: three capitals that end in T may be a word, as in `GET /`.
_ZONE_NAME = rf"(?:{'|'.join(name for name in ZONES_IN_LINES if len(name) > 1)})"
# UTC+2, GMT-03:30
_ZONE_OFFSET = r"(?:[+-]\d\d?(?::?\d\d)?)?"
_ZONE_IN_BRACKETS = rf" \({_ZONE_NAME}\)"
# A comma before a fraction: no fraction has ten digits, as a serial number in the next cell has.
_COMMA = r",(?!\d{10})"
# ISO 8601 and its relatives: fraction and zone belong to the time, with or without a blank before
# the zone. MariaDB has no zero before an hour.
ISO = (
    rf"\d{{4}}-\d\d-\d\d(?:[Tt_]| {{1,2}})(?:{CLOCK}|(?<= )\d:\d\d:\d\d)"
    rf"(?>(?:(?:[.']|{_COMMA})\d{{1,9}}|:\d{{3}}(?:\d{{3}})?(?!\d))?)"
    rf"(?>(?:[Zz]| (?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Pacific)/[\w/]+"
    rf"| ?[+-]\d\d:?\d\d\b| ?[+-]\d\d\b| ?\((?:UTC|GMT)?[+-]\d\d:?\d\d\)|{_ZONE_IN_BRACKETS}"
    rf"| {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.]|[+-]\d+(?!\w)))?)"
)
# A month's name in another language, as `month_of` of the record reader knows it.
_MONTH_NAME = r"(?:[^\s\d./:,;|=()\[\]<>\"'-]{3,20}|1?\d月)"
_SECONDS = r":\d\d"
_HALF = r"(?:[AaPp][Mm]|[AaPp]\. ?[Mm]\.)"
_HALF_IN_ASIA = "(?:上午|下午|午前|午後|오전|오후)"
# A zone may follow at once: PMZ, PM+02:00.
_THEN_HALF = rf" ?{_HALF}(?!(?!Z\b)\w)"
_HALF_BEHIND = re.compile(_THEN_HALF)

# A date, its clock, and the zone that a pair names somewhere behind them.
_DATE = r"(?<date>\d{4}[-/.]\d\d[-/.]\d\d|\d\d?\.\d\d?\.\d{4})"
# A date that ISO 8601 has, a tab and a clock have a format of their own, with fraction and zone.
_NEXT_CELL = r"\"?(?:\] *\[| *[,;|] *|(?<!-\d\d)\t)\"?"
_CLOCK_OF_DATE = rf"(?<time>{CLOCK}(?:[.,]\d{{1,9}}|:\d{{3}})?)\"?"
_ZONE_IN_NUMBERS = r"(?:UTC|GMT)?[+-]\d\d?(?::?\d\d)?"
_PAIR_OF_ZONE = (
    r"(?=.*?[ ,](?:timezone|tz)=\"?"
    rf"(?<time_zone>{_ZONE_IN_NUMBERS}|[A-Z]{{2,5}})(?![\w:+-]))"
)
# Behind a time in quotes, only one pair may stand before it: what a message says of somebody's zone
# is not that of its time.
ZONE_IS_NEXT = (
    r"(?=\" +(?:[\w.-]++=(?:\"[^\"]*+\"|[^\s\"]++) +)?(?:timezone|tz)=\"?"
    rf"(?<time_zone>{_ZONE_IN_NUMBERS})(?=[\s\"]))"
)

# Times that the record reader reads as they are.
_READ_AS_THEY_ARE = (
    ISO,
    # where all lines have the zone in a pair behind it
    rf"(?<=time=\")(?<time>\d{{4}}-\d\d-\d\d[T ]{CLOCK}(?:[.,]\d{{1,9}})?){ZONE_IS_NEXT}",
    r"@4[0-9a-f]{23}",
    # OpenLDAP: seconds and nanoseconds in hexadecimal, before a thread
    r"[5-7][0-9a-f]{7}\.[0-9a-f]{8}(?= 0x)",
    # the week or the day of a year: 2024-W42-2T13:00:00Z, 2024-289T13:00:00Z
    rf"\d{{4}}-(?:W\d\d-\d|\d{{3}})T{CLOCK}(?:[.,]\d{{1,9}})?{_OFFSET}?",
    # without seconds
    r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?![\d:.,h])",
    r"\d\d?\.\d\d?\.\d{4} klo \d\d?[.:]\d\d[.:]\d\d",
    rf"\d{{4}}\. ?{_MONTH_NAME} \d\d?\. {CLOCK}",
    # XenServer has colons
    rf"\d{{8}}T(?:\d{{6}}|{CLOCK})(?:[.,]\d{{1,9}})?{_OFFSET}?",
    # Cisco NX-OS: 2024 Oct 15 13:00:00; or 2024 15 Oct 13:00:00, where the line does not begin with
    # it, as it does with the number of a process: 2034 15 Oct 13:00:00
    rf"(?:19|20)\d\d[-/ ](?:{MONTH}[-/ ][ \d]?\d|(?<=[ \[]\d{{4}} )\d\d? {MONTH})[ :T]{CLOCK}"
    r"(?:\.\d{1,9})?",
    rf"\d{{4}}[-/]\d\d[-/]\d\d \d\d?:\d\d{_SECONDS}(?:[.,]\d{{1,9}})? ?{_HALF}(?!\w)",
    # with the half of the day before the clock, as Windows writes it in Chinese, Japanese, Korean
    r"\d{4}(?:-\d\d?-\d\d?|/\d\d?/\d\d?|\.\d\d?\.\d\d?|\. \d\d?\. \d\d?\.)"
    rf" (?:[AP]M|{_HALF_IN_ASIA}) ?\d?{CLOCK[2:]}",
    r"(?:\d{4}-\d\d-\d\d|\d\d-\d\d-\d{4})[T ]\d\dh\d\dm\d\ds?",
    r"(?:19|20)\d\d[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d(?:\d{3}|[.,]\d{1,9})?(?!\d)",
    r"(?:19|20)\d\d[01]\d[0-3]\d[ _-][0-2]\d[0-5]\d[0-5]\d\d{3}(?!\d)",
    # date and time in brackets, cells or pairs of their own: the reader joins them
    rf"{_DATE}{_NEXT_CELL}{_CLOCK_OF_DATE}",
    rf"{_DATE}\"? +time=\"?{_CLOCK_OF_DATE}(?:{_PAIR_OF_ZONE}|)",
    r"(?<date>(?:19|20)\d\d[01]\d[0-3]\d)(?: *[,;|] *|\t)"
    r"(?<time>[0-2]\d[0-5]\d[0-5]\d(?:[.,]\d{1,9})?)(?!\d)",
    # with the words of a language: 2024年10月15日 13:00:00, 15. Oktober 2024 13:00:00,
    # 15-oct.-2024 13:00:00, окт 15, 2024 13:00:00
    rf"\d{{4}}(?:年|년) ?\d\d?(?:月|월) ?\d\d?(?:日|일) *(?:{_HALF_IN_ASIA} ?)?"
    r"\d\d?(?::\d\d|(?:时|時|시 ?)\d\d?)(?::\d\d|(?:分|분 ?)\d\d?)(?:[.,]\d{1,9})?(?:秒|초)?",
    rf"\d\d?[- /]{MONTH}[- /]\d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})? {_HALF}",
    rf"\d\d?\.?[- /]?{_MONTH_NAME}\.?[- /]?\d{{4}},?[: ]{CLOCK}(?:[.,]\d{{1,9}})?",
    rf"{_MONTH_NAME}\.? \d\d?, \d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})?"
    rf"(?>(?: [AaPp]\.? ?[Mm]\.?(?!(?!Z\b)\w)| ?{_HALF_IN_ASIA})?)",
    # PHP with the zone of its configuration
    rf"\d\d?-{MONTH}-\d{{4}} {CLOCK} [A-Z][A-Za-z]+/[A-Z][A-Za-z_]+",
    # Oracle's TIMESTAMP WITH TIME ZONE
    rf"\d\d-(?i:{MONTH})-\d\d \d\d\.\d\d\.\d\d(?:\.\d{{1,9}})? [AP]M"
    rf"(?: {_OFFSET}(?!\w)| [A-Z][A-Za-z]+/[A-Z][A-Za-z_]+)?",
    # as date(1) writes it
    rf"{DAY} {MONTH} [ \d]?\d {CLOCK}{_FRACTION} (?:{_ZONE_NAME}|UTC|[+-]\d{{4}}) \d{{4}}",
    # DB2, with its offset in minutes
    r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}[+-]\d{3}(?!\d)",
    # Seconds, milliseconds, microseconds or nanoseconds since 1970; a number before a time is an id
    r"(?<![\d.])1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9}"
    r"|,(?:\d{3}|\d{6}|\d{9})(?=[\s\]]))?(?![\d.]\d|\d)(?!\s+\d{4}-\d\d-\d\d[T ])",
    r"1\.\d{9,}[eE]\+?0?9",
)
# Formats that leave no doubt. `%-d` has one digit or two, `%e` and `%k` a blank before a single
# digit (`%-e` only perhaps), a year `%G` begins with 19 or 20, and `%B` is a month in any case.
_SURE_FORMATS = (
    "%Y-%m-%d\t%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d-%H:%M:%S", "%Y/%m/%d - %H:%M:%S",
    "%Y:%m:%d-%H:%M:%S", "%Y.%m.%d %H:%M:%S", "%Y.%m.%d-%H.%M.%S", "%Y-%m-%d %H.%M.%S",
    "%Y-%m-%d-%H.%M.%S", "%G%j %H:%M:%S", "%Y%m%d:%H%M%S",
    *(f"%Y%m%d{sign}%-H:%-M:%-S" for sign in "- _"), *(f"%Y%m%d{sign}%H%M%S" for sign in " _-."),
    "%y%m%d %k:%M:%S", "%y%m%d %H%M%S",
    "%B/%-d/%Y %H:%M:%S", "%B-%-d-%Y %H:%M:%S", "%b/%d/%y %H:%M:%S", "%b-%d-%y %H:%M:%S",
    "%d/%b/%y %H:%M:%S", "%d-%b-%y %H:%M:%S", "%-d/%b/%Y:%H:%M:%S", "%-d/%b/%Y %H:%M:%S",
    "%-d %b %Y %H:%M:%S", "%a, %-d %b %Y %H:%M:%S", "%-d-%b-%Y %H:%M:%S", "%-d-%b-%Y::%H:%M:%S",
    "%a %b %-e %H:%M:%S.%f %Y", "%a %b %-e %H:%M:%S:%f %Y", "%a %b %-e %H:%M:%S %Y",
    "%b %e %H:%M:%S %G", "%b %e %Y %H:%M:%S",
)  # fmt: skip
_DIRECTIVES = {
    "Y": r"\d{4}", "G": r"(?:19|20)\d\d", "-d": r"\d\d?", "e": r"[ \d]\d", "-e": r"[ \d]?\d",
    "j": r"[0-3]\d\d", "k": r"(?:\d\d| \d)", "-H": r"\d\d?", "-M": r"\d\d?", "-S": r"\d\d?",
    "f": r"\d{1,6}", "b": MONTH, "B": rf"(?i:{MONTH})", "a": DAY,
}  # fmt: skip
_AS_STRPTIME = (("%-", "%"), ("%G", "%Y"), ("%e", "%d"), ("%k", "%H"), ("%B", "%b"))
# What may stand between a date in numbers and its clock, and a cell's end, which has no name.
_BLANK = r",? {1,2}"
_CELL = r"\"?(?:[,;|]|\t|\] *\[)\"?"
_GAPS = (":", "-", " - ", " -- ", "T", " à ", " às ", " at ", " um ", " kl. ", " o ")
_CLOCK_WITHOUT_SECONDS = rf"\d\d:\d\d(?![\d:.,h]| ?{_HALF})"
# Dates before clocks with am or pm have forms of their own; `_time_group` reads on behind them.
_IN_HALVES = rf"(?:[.,:']\d{{1,9}})?{_THEN_HALF}"
_PLAIN_CLOCK = rf"\d\d?:\d\d{_SECONDS}"
_CLOCKS = (
    (_PLAIN_CLOCK, "%H:%M:%S"),
    (rf"{_PLAIN_CLOCK}(?={_IN_HALVES})", "%H:%M:%S"),
    (rf"\d\d?:\d\d ?{_HALF}", "%I:%M %p"),
    # It is also what messages speak of, so it is a time only where the header begins with it.
    (_CLOCK_WITHOUT_SECONDS, "%H:%M"),
)
_CLOCKS_IN_CELLS = (
    (rf"\d\d?:\d\d{_SECONDS} {_HALF}", "%I:%M:%S %p"),
    (rf"{CLOCK}\.\d{{1,6}}", "%H:%M:%S.%f"),
    (rf"{CLOCK}(?!\.\d)", "%H:%M:%S"),
)


def _sure(text: str) -> tuple[str, tuple[str, ...]]:
    """The times that a format reads, and what strptime calls the format."""
    shape = re.sub(
        r"%(-?\w)|.",
        lambda sign: _DIRECTIVES.get(sign[1], r"\d\d") if sign[1] else re.escape(sign[0]),
        text,
    )
    for ours, usual in _AS_STRPTIME:
        text = text.replace(ours, usual)
    return shape + r"(?!\d)", (text,)


def _in_numbers() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Times whose dates are numbers in any order, each with its formats, the likeliest first."""
    for sign, (year, digits) in product("/-.", (("%Y", r"\d{4}"), ("%y", r"\d\d"))):
        date = re.escape(sign).join((r"\d\d?", r"\d\d?", digits))
        # Before a clock of 24 hours, 1.2.34 and 1-2-34 are versions or ranges, 01.02.34 is a date.
        is_doubted = year == "%y" and sign != "/"
        plain_date = re.escape(sign).join((r"\d\d", r"\d\d", digits)) if is_doubted else date
        orders = [sign.join(order) for order in (("%d", "%m", year), ("%m", "%d", year))]
        american = orders[::-1]
        if year == "%y":
            year_first = sign.join(("%y", "%m", "%d"))
            orders.insert(sign == ".", year_first)
            american.insert(0, year_first)
        for clock, form in _CLOCKS:
            is_plain = clock == _PLAIN_CLOCK
            has_half = "%p" in form or clock.endswith(f"(?={_IN_HALVES})")
            # A date with points has its day first, whatever its clock is.
            is_american = sign == "-" and (has_half or (is_doubted and is_plain))
            days = american if is_american or sign == "/" else orders
            start = plain_date if is_plain else date
            yield start + _BLANK + clock, _joined(days, (" ", ", "), form)
        for gap in _GAPS:
            days = american if sign + gap == "/:" else orders
            yield plain_date + re.escape(gap) + CLOCK, _joined(days, (gap,), "%H:%M:%S")
        for clock, form in _CLOCKS_IN_CELLS if sign != "." else ():
            cells = rf"(?<date>{date}){_CELL}(?<time>{clock})\"?"
            yield cells, _joined(american, (" ",), form)


def _joined(days: Iterable[str], gaps: Iterable[str], clock: str) -> tuple[str, ...]:
    return tuple(f"{day}{gap}{clock}" for gap in gaps for day in days)


# What may stand behind a time with a format: its fraction, its offset, and how these are read.
_FRACTIONS = (
    (r"\.\d{1,9}", ".%f"),
    (rf"{_COMMA}\d{{1,9}}", ",%f"),
    # four or five digits between colons are the number of a process, where the clock has no colons
    (r":(?!(?<=:\d{6}:)\d{4,5}:)\d{1,9}", ":%f"),
    (r"'\d{1,9}", "'%f"),
    (r"", ""),
)
_OFFSETS = (
    (rf" {_OFFSET}(?!\w)", " %z"),
    (rf" {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.-])", " %Z"),
    (_ZONE_IN_BRACKETS, " (%Z)"),
    (rf"{_OFFSET}(?!\w)", "%z"),
    (r"", ""),
)
# … and behind one that is read without a format: a number of two digits may be the message's.
_SURE_OFFSETS = (
    r" [+-](?:0\d|1[0-4]):?[0134][05](?![\w.:-])",
    r"(?<=[AaPp][Mm])(?:Z|[+-](?:0\d|1[0-4]):?[0134][05])(?![\w.:-])",
    rf" {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.-])",
    _ZONE_IN_BRACKETS,
    "",
)
# Times without a year, or without a date: no `time` group, so that the event time counts that the
# shipper gave. `inputs/stamps.py` knows the common ones.
_YEARLESS = (
    rf"{_MONTH_NAME}\.? [ \d]?\d {CLOCK}{_FRACTION}",
    rf"{MONTH}-[ \d]?\d {CLOCK}{_FRACTION}",
    # MikroTik
    rf"(?i:{MONTH})/\d\d {CLOCK}",
    # Redis 2
    rf"\d\d?[ -]{MONTH} {CLOCK}{_FRACTION}",
    # Bacula
    rf"\d\d?-{MONTH} \d\d:\d\d(?![:.,\d])",
    # HAProxy: the day of the year
    r"[0-3]\d\d/[0-2]\d[0-5]\d[0-5]\d(?!\d)",
    rf"\d\d[-./]\d\d\.?[- |]{CLOCK}{_FRACTION}",
    rf"(?:0\d|1[0-2])[0-3]\d {CLOCK}\.\d+",
    # Chromium
    r"\d{4}/\d{6}(?:\.\d{3,6})?",
    rf"{CLOCK}(?:[.,:']\d{{1,9}})?Z?",
    # Go's kitchen clock
    r"\d\d?:\d\d(?::\d\d)? ?[AP]M(?=[ :\]])",
)
# A zone that is no part of the time's own form.
ZONES = (rf" {_ZONE_NAME}(?= |\]|>|:)", "")
# What closes a time.
ENDS = (
    r"\]:? +- +", r" ={3,} *", r"\](?=\[)", r"\]{1,2}:? *", rf"(?:{shapes.CLOSING}) *",
    shapes.DRAWN, r"> *", r"\): +", r"\) *", rf" +{shapes.SEPARATOR} +", r"; *", r"\t+ *",
    r", *", r" *\|+ *", r"(?<=:\d{6}):(?<pid>\d{4,5}):(?=\S)", r" +: +", r": +",
    r"[\"'](?:[,;] *|\t| +)", r":(?<serial>\d+)\) ?: *", r" +", "",
)  # fmt: skip

# --- a time in a line ---------------------------------------------------------------------------

# A time's pattern in a chain → the formats that may read it.
FORMATS: dict[str, tuple[str, ...]] = {}
# Times with and without a year; what opens them. Without a format the record reader reads a time as
# it is; to each format a fraction and an offset are added where the lines have them.
_SURE = [
    *((shape, (), compiled(shape)) for shape in _READ_AS_THEY_ARE),
    *((shape, formats, compiled(shape)) for shape, formats in map(_sure, _SURE_FORMATS)),
]
# A line with AM shows no clock of 24 hours; but other lines with one may go on with such a word.
_NO_HALF = rf"(?!{_IN_HALVES})"
_IN_NUMBERS = [
    (shape, formats, compiled(shape + _NO_HALF * shape.endswith(_PLAIN_CLOCK)))
    for shape, formats in _in_numbers()
]
_DATE_IN_NUMBERS = re.compile(r"\d\d?[-/.]\d\d?[-/.]\d\d")
_WITHOUT_YEAR = [(shape, compiled(shape)) for shape in _YEARLESS]
_LEADS = [(text, compiled(text)) for text in shapes.LEADS]
# What may stand before a time without seconds: a number, and brackets that begin with a letter, a
# level, or a day.
_BEGINS = re.compile(
    r"(?:\d{1,10} )?"
    rf"(?>\[[A-Za-z][^\[\]:]*\]|{shapes.LEVEL_WORDS}(?!\w)|{DAY}\b|<\d{{1,3}}>"
    r"|(?i:time|ts|timestamp|date|t)=|\W)*"
)
# What has a zone of its own: a number behind it is the message's.
_OF_ZONES = ("[+-]", "/[A-Z]")


def stamps(line: str, at: int) -> Iterator[tuple[str, str, int]]:
    """Times that stand here: kind, pattern with what opens it, where it ends."""
    for opening, lead in _LEADS:
        opened = lead.match(line, at)
        if opened is None:
            continue
        times = [*_SURE, *_IN_NUMBERS] if _DATE_IN_NUMBERS.match(line, opened.end()) else _SURE
        for shape, formats, pattern in times:
            found = pattern.match(line, opened.end())
            if found:
                is_doubted = shape.endswith(_CLOCK_WITHOUT_SECONDS)
                if is_doubted and not _BEGINS.fullmatch(line, 0, opened.end()):
                    continue
                stamp, end = _time_group(line, found, shape, formats)
                # A clock behind which AM or PM would say another time is not read in part.
                if not _HALF_BEHIND.match(line, end):
                    yield "time", opening + stamp, end
        for shape, pattern in _WITHOUT_YEAR:
            found = pattern.match(line, opened.end())
            if found and not _HALF_BEHIND.match(line, found.end()):
                yield "stamp", opening + shape, found.end()


def _time_group(
    line: str, found: re.Match[str], shape: str, formats: tuple[str, ...]
) -> tuple[str, int]:
    """A time as the group of a chain, with the fraction and the offset that the line has."""
    at = found.end()
    if "(?<time>" in shape:
        FORMATS[shape] = formats
        return shape, at
    fraction = half = offset = ending = ""
    if formats:
        fraction, at = _first([text for text, _ in _FRACTIONS], line, at)
        half, at = _first((_THEN_HALF, ""), line, at)
        offset, at = _first([text for text, _ in _OFFSETS], line, at)
        ending = dict(_FRACTIONS)[fraction] + (half and " %p") + dict(_OFFSETS)[offset]
        formats = tuple(text.replace("%H", "%I") for text in formats) if half else formats
    elif _SECONDS in shape and not any(sign in shape for sign in _OF_ZONES):
        offset, at = _first(_SURE_OFFSETS, line, at)
    stamp = f"(?<time>{shape}{fraction}{half}{offset})"
    FORMATS[stamp] = tuple(text + ending for text in formats)
    return stamp, at


def closed(line: str, at: int) -> tuple[str, int]:
    """What closes a time: its zone, and the sign and blanks behind it."""
    zone, at = _first(ZONES, line, at)
    end, at = _first(ENDS, line, at)
    return zone + end, at


def _first(patterns: Iterable[str], line: str, at: int) -> tuple[str, int]:
    """The first of `patterns` that matches, and where it ends."""
    return next(
        (text, found.end()) for text in patterns if (found := compiled(text).match(line, at))
    )


# --- the format of times ------------------------------------------------------------------------


def best_formats(
    formats: Sequence[str], times: Sequence[str], is_foreign: bool, written_ns: int | None
) -> tuple[str | None, str | None]:
    """The format that reads the times, if one does, and one that reads them as well with day and
    month the other way round.
    """
    read = {text: _fit(moments(times, text), written_ns) for text in formats}
    best = max(formats, key=lambda text: (read[text], is_foreign and _is_day_first(text)))
    if not read[best][0]:
        return None, None
    as_good = [text for text in formats if read[text] == read[best]]
    others = (text for text in as_good if _is_day_first(text) != _is_day_first(best))
    return best, next(others, None)


def _is_day_first(time_format: str) -> bool:
    return time_format.find("%d") < time_format.find("%m")


def _fit(found: Sequence[int], written_ns: int | None) -> tuple[int, int, int, tuple[int, int]]:
    """How well a format reads times: how many of them, how rarely they step back, how short the log
    is then, and how well it goes with the date at which it was written.

    So the order of a whole log tells days from months where each date alone could be read both
    ways: nine days in a row may as well be the same day of nine months. For a log of one day the
    date of its file does; else hardly any language but English has the month first.
    """
    steps = [later - earlier for earlier, later in pairwise(found)]
    near = nearness(found[-1] if found else 0, written_ns)
    return len(found), -sum(step < 0 for step in steps), -sum(map(abs, steps)), near


def moments(times: Sequence[str], time_format: str | None) -> list[int]:
    """The times that a format reads, in ns; without one, those of all usual forms."""
    reader = TimeReader(time_format)
    found = []
    for text in times:
        try:
            found.append(reader.read(text))
        except RecordError:
            continue
    return found
