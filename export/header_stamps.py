"""The times that log headers have, as regular expressions, each with the formats that may read it.

`header_times.py` looks for them in lines, and reads on behind a time with the tables at the end:
its fraction, its offset, its zone, and the sign that closes it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from fluent_krone.reading.time_words import ZONES_IN_LINES

CLOCK = r"\d\d:\d\d:\d\d"
_FRACTION = r"(?:[.,:']\d{1,9})?"
_OFFSET = r"(?:Z|[+-]\d\d:?\d\d|[+-]\d\d)"
# Those that the record reader knows: three capitals that end in T may be a word, as in `GET /`.
_ZONE_NAME = rf"(?:{'|'.join(name for name in ZONES_IN_LINES if len(name) > 1)})"
# UTC+2, GMT-03:30
_ZONE_OFFSET = r"(?:[+-]\d\d?(?::?\d\d)?)?"
_ZONE_IN_BRACKETS = rf" \({_ZONE_NAME}\)"
# A comma before a fraction: no fraction has ten digits, as a serial number in the next cell has.
_COMMA = r",(?!\d{10})"
# ISO 8601 and its relatives, which the record reader reads without a format: fraction and zone
# belong to the time, with or without a blank before the zone. MariaDB has no zero before an hour.
ISO = (
    rf"\d{{4}}-\d\d-\d\d(?:[Tt_]| {{1,2}})(?:{CLOCK}|(?<= )\d:\d\d:\d\d)"
    rf"(?>(?:(?:[.']|{_COMMA})\d{{1,9}}|:\d{{3}}(?:\d{{3}})?(?!\d))?)"
    rf"(?>(?:[Zz]| (?:Africa|America|Antarctica|Asia|Atlantic|Australia|Europe|Pacific)/[\w/]+"
    rf"| ?[+-]\d\d:?\d\d\b| ?[+-]\d\d\b| ?\((?:UTC|GMT)?[+-]\d\d:?\d\d\)|{_ZONE_IN_BRACKETS}"
    rf"| {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.]|[+-]\d+(?!\w)))?)"
)
MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
# A month's name in another language, as `month_of` of the record reader knows it.
MONTH_NAME = r"(?:[^\s\d./:,;|=()\[\]<>\"'-]{3,20}|1?\d月)"
DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"


_SECONDS = r":\d\d"
_HALF = r"(?:[AaPp][Mm]|[AaPp]\. ?[Mm]\.)"
_HALF_IN_ASIA = "(?:上午|下午|午前|午後|오전|오후)"
HALF_BEHIND = re.compile(rf" ?{_HALF}(?!\w)")


def _halves(sign: str, year: str, year_format: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Times with am or pm, with and without a fraction of a second."""
    day = rf"\d\d?{re.escape(sign)}\d\d?{re.escape(sign)}{year},? \d\d?:\d\d{_SECONDS}"
    dates = [sign.join((*order, year_format)) for order in (("%m", "%d"), ("%d", "%m"))]
    for fraction, form in ((r"", ""), (r"\.\d{1,6}", ".%f")):
        clocks = [f"{date}{comma} %I:%M:%S{form} %p" for comma in ("", ",") for date in dates]
        yield rf"{day}{fraction} ?{_HALF}", tuple(clocks)
    # without seconds
    clocks = [f"{date}{comma} %I:%M %p" for comma in ("", ",") for date in dates]
    yield rf"{day.removesuffix(_SECONDS)} ?{_HALF}", tuple(clocks)


def _with_words() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Times with a sign or a word between a date and its clock: `15/10/2024 à 13:00:00`."""
    for sign in ("/", ".", "-"):
        orders = [sign.join(order) for order in (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))]
        for gap in ("-", " - ", " -- ", "T", " à ", " às ", " at ", " um ", " kl. ", " o "):
            day = rf"\d\d?{re.escape(sign)}\d\d?{re.escape(sign)}\d{{4}}"
            yield (
                rf"{day}{re.escape(gap)}{CLOCK}",
                tuple(f"{order}{gap}%H:%M:%S" for order in orders),
            )


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


def _in_cells() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dates and clocks in cells beside one another, where the order of day and month is not clear:
    `10/15/2024,1:00:00 PM`, `10-15-24,13:00:00.123`. With a blank behind the comma, they are one
    time, which has further forms.
    """
    years = ((r"\d{4}", "%Y"), (r"\d\d", "%y"))
    clocks = (
        (rf"\d\d?:\d\d{_SECONDS} {_HALF}", "%I:%M:%S %p"),
        (rf"{CLOCK}\.\d{{1,6}}", "%H:%M:%S.%f"),
        (rf"{CLOCK}(?!\.\d)", "%H:%M:%S"),
    )
    for sign, (year, year_format), (clock, form) in itertools.product("/-", years, clocks):
        orders = [("%m", "%d", year_format), ("%d", "%m", year_format)]
        if year_format == "%y":
            orders.insert(0, ("%y", "%m", "%d"))
        date = rf"(?<date>\d\d?{sign}\d\d?{sign}{year})"
        yield (
            rf"{date}\"?(?:[,;|]|\t|\] *\[)\"?(?<time>{clock})\"?",
            tuple(f"{sign.join(order)} {form}" for order in orders),
        )


def _without_seconds() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dates in numbers and their clocks, without seconds: `15.10.2024 13:00`, `15/10/24 13:00`."""
    years = ((r"\d{4}", "%Y"), (r"\d\d", "%y"))
    for sign, (year, year_format) in itertools.product("/.-", years):
        orders = [("%d", "%m", year_format), ("%m", "%d", year_format)]
        if sign == "/":
            orders.reverse()
        if year_format == "%y":
            orders.insert(0, ("%y", "%m", "%d"))
        escaped = re.escape(sign)
        for comma in ("", ","):
            yield (
                rf"\d\d?{escaped}\d\d?{escaped}{year}{comma} \d\d:\d\d(?![\d:.,h]| ?{_HALF})",
                tuple(f"{sign.join(order)}{comma} %H:%M" for order in orders),
            )


# They are also what messages speak of, so they are times only where the header begins with them.
WITHOUT_SECONDS = tuple(_without_seconds())

# (pattern, strptime formats to try). Without a format the record reader reads the time as it is.
# Of several formats the one is taken that reads most of the lines and steps back least; to each
# of them a fraction and an offset are added where the lines have them.
TIMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (ISO, ()),
    # where all lines have the zone in a pair behind it
    (rf"(?<=time=\")(?<time>\d{{4}}-\d\d-\d\d[T ]{CLOCK}(?:[.,]\d{{1,9}})?){ZONE_IS_NEXT}", ()),
    (r"@4[0-9a-f]{23}", ()),
    # OpenLDAP: seconds and nanoseconds in hexadecimal, before a thread
    (r"[5-7][0-9a-f]{7}\.[0-9a-f]{8}(?= 0x)", ()),
    # the week or the day of a year: 2024-W42-2T13:00:00Z, 2024-289T13:00:00Z
    (rf"\d{{4}}-(?:W\d\d-\d|\d{{3}})T{CLOCK}(?:[.,]\d{{1,9}})?{_OFFSET}?", ()),
    # without seconds
    (r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?![\d:.,h])", ()),
    *WITHOUT_SECONDS,
    (r"\d\d?\.\d\d?\.\d{4} klo \d\d?[.:]\d\d[.:]\d\d", ()),
    (rf"\d{{4}}\. ?{MONTH_NAME} \d\d?\. {CLOCK}", ()),
    (rf"\d{{8}}T\d{{6}}(?:[.,]\d{{1,9}})?{_OFFSET}?", ()),
    # XenServer
    (rf"\d{{8}}T{CLOCK}(?:[.,]\d{{1,9}})?{_OFFSET}?", ()),
    (rf"\d{{4}}-\d\d-\d\d\t{CLOCK}", ("%Y-%m-%d\t%H:%M:%S",)),
    # Cisco NX-OS: 2024 Oct 15 13:00:00; or 2024 15 Oct 13:00:00, where the line does not begin with
    # it, as it does with the number of a process: 2034 15 Oct 13:00:00
    (
        rf"(?:19|20)\d\d[-/ ](?:{MONTH}[-/ ][ \d]?\d|(?<=[ \[]\d{{4}} )\d\d? {MONTH})[ :T]{CLOCK}"
        r"(?:\.\d{1,9})?",
        (),
    ),
    (rf"\d{{4}}/\d\d/\d\d {CLOCK}", ("%Y/%m/%d %H:%M:%S",)),
    (rf"\d{{4}}/\d\d/\d\d-{CLOCK}", ("%Y/%m/%d-%H:%M:%S",)),
    # Sophos
    (rf"\d{{4}}:\d\d:\d\d-{CLOCK}", ("%Y:%m:%d-%H:%M:%S",)),
    # z/OS: the year and the day of it
    (rf"(?:19|20)\d\d[0-3]\d\d {CLOCK}", ("%Y%j %H:%M:%S",)),
    (
        rf"\d\d-\d\d-\d\d {CLOCK}",
        ("%y-%m-%d %H:%M:%S", "%m-%d-%y %H:%M:%S", "%d-%m-%y %H:%M:%S"),
    ),
    (rf"\d{{4}}[-/]\d\d[-/]\d\d \d\d?:\d\d{_SECONDS}(?:[.,]\d{{1,9}})? ?{_HALF}(?!\w)", ()),
    (rf"\d{{4}}-\d\d-\d\d (?:[AP]M|上午|下午|午前|午後|오전|오후) ?\d?{CLOCK[2:]}", ()),
    (r"(?:\d{4}-\d\d-\d\d|\d\d-\d\d-\d{4})[T ]\d\dh\d\dm\d\ds?", ()),
    (r"\d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d", ("%Y-%m-%d %H.%M.%S",)),
    (r"(?:19|20)\d\d[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d(?:\d{3}|[.,]\d{1,9})?(?!\d)", ()),
    # gin
    (rf"\d{{4}}/\d\d/\d\d - {CLOCK}", ("%Y/%m/%d - %H:%M:%S",)),
    # Unreal Engine, Zabbix
    (r"\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d", ("%Y.%m.%d-%H.%M.%S",)),
    (r"\d{8}:\d{6}", ("%Y%m%d:%H%M%S",)),
    # date and time in brackets, cells or pairs of their own: the reader joins them
    (rf"{_DATE}{_NEXT_CELL}{_CLOCK_OF_DATE}", ()),
    (rf"{_DATE}\"? +time=\"?{_CLOCK_OF_DATE}(?:{_PAIR_OF_ZONE}|)", ()),
    (
        r"(?<date>(?:19|20)\d\d[01]\d[0-3]\d)(?: *[,;|] *|\t)"
        r"(?<time>[0-2]\d[0-5]\d[0-5]\d(?:[.,]\d{1,9})?)(?!\d)",
        (),
    ),
    # with the words of a language: 2024年10月15日 13:00:00, 15. Oktober 2024 13:00:00,
    # 15-oct.-2024 13:00:00, окт 15, 2024 13:00:00
    (
        rf"\d{{4}}(?:年|년) ?\d\d?(?:月|월) ?\d\d?(?:日|일) *(?:{_HALF_IN_ASIA} ?)?"
        r"\d\d?(?::\d\d|(?:时|時|시 ?)\d\d?)(?::\d\d|(?:分|분 ?)\d\d?)(?:[.,]\d{1,9})?(?:秒|초)?",
        (),
    ),
    (rf"\d\d?[- /]{MONTH}[- /]\d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})? {_HALF}", ()),
    (rf"\d\d?\.?[- /]?{MONTH_NAME}\.?[- /]?\d{{4}},?[: ]{CLOCK}(?:[.,]\d{{1,9}})?", ()),
    (
        rf"{MONTH_NAME}\.? \d\d?, \d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})?"
        rf"(?: [AaPp]\.? ?[Mm]\.?| ?{_HALF_IN_ASIA})?",
        (),
    ),
    (rf"\d{{4}}\.\d\d\.\d\d {CLOCK}", ("%Y.%m.%d %H:%M:%S",)),
    (
        rf"\d\d\.\d\d\.\d\d,? {CLOCK}",
        ("%d.%m.%y %H:%M:%S", "%d.%m.%y, %H:%M:%S", "%y.%m.%d %H:%M:%S"),
    ),
    *_with_words(),
    *_halves("/", r"\d{4}", "%Y"),
    *_halves("/", r"\d\d", "%y"),
    *_halves("-", r"\d{4}", "%Y"),
    *_halves(".", r"\d{4}", "%Y"),
    # PHP with the zone of its configuration
    (rf"\d\d?-{MONTH}-\d{{4}} {CLOCK} [A-Z][A-Za-z]+/[A-Z][A-Za-z_]+", ()),
    # with and without zeros, and a comma, as IBM writes it
    (
        r"\d\d?/\d\d?/\d\d,? {1,2}\d\d?:\d\d:\d\d",
        tuple(
            f"{date}{comma} %H:%M:%S"
            for comma in ("", ",")
            for date in ("%y/%m/%d", "%m/%d/%y", "%d/%m/%y")
        ),
    ),
    (
        rf"\d\d?/\d\d?/\d{{4}},? {CLOCK}",
        ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y, %H:%M:%S", "%d/%m/%Y, %H:%M:%S"),
    ),
    *_in_cells(),
    (rf"\d\d?/\d\d?/\d{{4}}:{CLOCK}", ("%m/%d/%Y:%H:%M:%S", "%d/%m/%Y:%H:%M:%S")),
    (rf"(?i:{MONTH})[/-]\d\d?[/-]\d{{4}} {CLOCK}", ("%b/%d/%Y %H:%M:%S", "%b-%d-%Y %H:%M:%S")),
    # ASSP
    (rf"{MONTH}[/-]\d\d[/-]\d\d {CLOCK}", ("%b/%d/%y %H:%M:%S", "%b-%d-%y %H:%M:%S")),
    (rf"\d\d[/-]{MONTH}[/-]\d\d {CLOCK}", ("%d/%b/%y %H:%M:%S", "%d-%b-%y %H:%M:%S")),
    (rf"\d\d-\d\d-\d{{4}} {CLOCK}", ("%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S")),
    (
        rf"\d\d?\.\d\d?\.\d{{4}},? {CLOCK}",
        ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y, %H:%M:%S", "%m.%d.%Y %H:%M:%S"),
    ),
    (rf"\d\d?/{MONTH}/\d{{4}}[: ]{CLOCK}", ("%d/%b/%Y:%H:%M:%S", "%d/%b/%Y %H:%M:%S")),
    (rf"\d\d? {MONTH} \d{{4}} {CLOCK}", ("%d %b %Y %H:%M:%S",)),
    (rf"{DAY}, \d\d? {MONTH} \d{{4}} {CLOCK}", ("%a, %d %b %Y %H:%M:%S",)),
    (rf"\d\d?-{MONTH}-\d{{4}} {CLOCK}", ("%d-%b-%Y %H:%M:%S",)),
    # Oracle's TIMESTAMP WITH TIME ZONE
    (
        rf"\d\d-(?i:{MONTH})-\d\d \d\d\.\d\d\.\d\d(?:\.\d{{1,9}})? [AP]M"
        rf"(?: {_OFFSET}(?!\w)| [A-Z][A-Za-z]+/[A-Z][A-Za-z_]+)?",
        (),
    ),
    # Erlang's reports
    (rf"\d\d?-{MONTH}-\d{{4}}::{CLOCK}", ("%d-%b-%Y::%H:%M:%S",)),
    # as date(1) writes it
    (rf"{DAY} {MONTH} [ \d]?\d {CLOCK}{_FRACTION} (?:{_ZONE_NAME}|UTC|[+-]\d{{4}}) \d{{4}}", ()),
    (rf"{DAY} {MONTH} [ \d]?\d {CLOCK}\.\d{{1,6}} \d{{4}}", ("%a %b %d %H:%M:%S.%f %Y",)),
    # SSSD
    (rf"{DAY} {MONTH} [ \d]?\d {CLOCK}:\d{{1,6}} \d{{4}}", ("%a %b %d %H:%M:%S:%f %Y",)),
    (rf"{DAY} {MONTH} [ \d]?\d {CLOCK} \d{{4}}", ("%a %b %d %H:%M:%S %Y",)),
    # Mailman
    (rf"{MONTH} [ \d]\d {CLOCK} (?:19|20)\d\d(?!\d)", ("%b %d %H:%M:%S %Y",)),
    (rf"{MONTH} [ \d]\d \d{{4}} {CLOCK}", ("%b %d %Y %H:%M:%S",)),
    (
        rf"{MONTH} \d\d?, \d{{4}},? \d\d?:\d\d:\d\d(?:[.,]\d{{1,6}})? [AaPp][Mm]",
        ("%b %d, %Y %I:%M:%S %p", "%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S,%f %p",
         "%b %d, %Y, %I:%M:%S,%f %p", "%b %d, %Y, %I:%M:%S.%f %p"),
    ),
    # DB2, with its offset in minutes
    (r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d\.\d{6}[+-]\d{3}(?!\d)", ()),
    (r"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d", ("%Y-%m-%d-%H.%M.%S",)),
    (
        r"\d{8}[-_ ]\d\d?:\d\d?:\d\d?",
        ("%Y%m%d-%H:%M:%S", "%Y%m%d %H:%M:%S", "%Y%m%d_%H:%M:%S"),
    ),
    (
        r"\d{8}[ _.-]\d{6}(?!\d)",
        ("%Y%m%d %H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d-%H%M%S", "%Y%m%d.%H%M%S"),
    ),
    (rf"\d{{6}} (?:{CLOCK}| \d:\d\d:\d\d)", ("%y%m%d %H:%M:%S",)),
    (r"\d{6} \d{6}", ("%y%m%d %H%M%S",)),
    # Seconds, milliseconds, microseconds or nanoseconds since 1970.
    (
        r"(?<![\d.])1\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9}"
        r"|,(?:\d{3}|\d{6}|\d{9})(?=[\s\]]))?(?![\d.]\d|\d)"
        # a number before a time is an id
        r"(?!\s+\d{4}-\d\d-\d\d[T ])",
        (),
    ),
    (r"1\.\d{9,}[eE]\+?0?9", ()),
)  # fmt: skip
# What may stand behind a time with a format: its fraction, its offset, and how these are read.
FRACTIONS = (
    (r"\.\d{1,9}", ".%f"),
    (rf"{_COMMA}\d{{1,9}}", ",%f"),
    # four or five digits between colons are the number of a process, where the clock has no colons
    (r":(?!(?<=:\d{6}:)\d{4,5}:)\d{1,9}", ":%f"),
    (r"'\d{1,9}", "'%f"),
    (r"", ""),
)
OFFSETS = (
    (rf" {_OFFSET}(?!\w)", " %z"),
    (rf" {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.-])", " %Z"),
    (_ZONE_IN_BRACKETS, " (%Z)"),
    (rf"{_OFFSET}(?!\w)", "%z"),
    (r"", ""),
)
# … and behind one that is read without a format: a number of two digits may be the message's.
SURE_OFFSETS = (
    r" [+-](?:0\d|1[0-4]):?[0134][05](?![\w.:-])",
    rf" {_ZONE_NAME}{_ZONE_OFFSET}(?![\w.-])",
    _ZONE_IN_BRACKETS,
    "",
)
# Times without a year, or without a date: no `time` group, so that the event time counts that the
# shipper gave. `inputs/stamps.py` knows the common ones.
YEARLESS = (
    rf"{MONTH_NAME}\.? [ \d]?\d {CLOCK}{_FRACTION}",
    rf"{MONTH}[ -][ \d]?\d {CLOCK}{_FRACTION}",
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
# A sign between the parts of a header, with which no message goes on.
SEPARATOR = r"(?:-+>?|=+>|>{1,3}|~|::|–|—|›|»|→|▶|•|·|✔|✅|⋮)"
# Signs that are quotes around a part of a header, and a sign that is drawn behind one.
OPENING = "«|‹|“|【|「"
CLOSING = "»|›|”|】|」"
DRAWN = r" *(?:[~^]|(?<!#)#(?![\d#\[])) *"
# What closes a time.
ENDS = (
    r"\]:? +- +", r" ={3,} *", r"\](?=\[)", r"\]{1,2}:? *", rf"(?:{CLOSING}) *", DRAWN,
    r"> *", r"\): +", r"\) *", rf" +{SEPARATOR} +", r"; *", r"\t+ *",
    r", *", r" *\|+ *", r"(?<=:\d{6}):(?<pid>\d{4,5}):(?=\S)", r" +: +", r": +",
    r"[\"'](?:[,;] *|\t| +)", r":(?<serial>\d+)\) ?: *", r" +", "",
)  # fmt: skip
