"""Words in times: names of months in many languages, abbreviations of zones, halves of the day; and
forms by which a text is recognised as a time.
"""

from __future__ import annotations

import re

# How the names of months begin, in English, German, French, Spanish, Portuguese, Italian, Dutch,
# the Scandinavian languages, Finnish, Polish, Czech, Hungarian, Romanian, Turkish, Greek, Russian,
# Ukrainian and Bulgarian. Of two names that begin alike, the longer beginning counts.
_MONTHS = (
    "jan gen ene sty oca led tam ian ιαν янв січ яну",
    "feb fév fev lut şub úno hel φεβ фев лют",
    "mar mär mrz mrt maa bře már μαρ мар бер",
    "apr avr abr kwi nis dub huh ápr απρ апр кві",
    "may mai mei maj mag mayo kvě máj tou μαΐ μάι μαι май мая тра",
    "jun juin giu cze haz červen červn jún kes iun ιουν июн чер юни",
    "jul juil lug lip tem červenc júl hei iul ιουλ июл лип юли",
    "aug aoû août aou ago sie ağu srp elo αυγ авг сер",
    "sep set wrz eyl zář sze syy σεπ сен вер сеп",
    "oct okt ott out paź eki říj lok οκτ окт жов",
    "nov lis kas marr noi νοε ноя лис ное",
    "dec dez déc dic des gru ara pros jou δεκ дек гру",
)
_MONTH_OF = {name: n + 1 for n, names in enumerate(_MONTHS) for name in names.split()}
# Letters by which a month is told.
_LONGEST_MONTH = max(map(len, _MONTH_OF))
_SHORTEST_MONTH = 3
# Parts of the name of a field that speaks of a time.
SPEAKS_OF_TIME = re.compile(
    r"time|date|epoch|stamp|clock|when|zeit|datum|fecha|hora|heure|日時|時刻|时间|(?:^|[_.@])(?:ts|start)$|^@?t$|_at$|At$"
    r"|(?:^|[_.])(?:created|occurred|published|received)$",
    re.IGNORECASE,
)
# A date with its clock, whatever follows, and a whole one.
BEGINS_AS_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
ISO_TIME = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?Z| ?[+-]\d\d:?\d\d)?"
# A number of the size of seconds since 1970, or of smaller units.
SIZE_OF_TIME = re.compile(r"\d{10,19}(?:\.\d+)?\Z")
# Hours of the abbreviations that logs use. Where one has several meanings, the stream's own time
# zone decides first; otherwise it is this.
ABBREVIATIONS = {
    **dict.fromkeys(("UTC", "GMT", "Z", "WET", "UT"), 0.0),
    **dict.fromkeys(("CET", "BST", "WEST", "MEZ", "WAT"), 1.0),
    **dict.fromkeys(("CEST", "EET", "SAST", "MESZ", "CAT"), 2.0),
    **dict.fromkeys(("EEST", "MSK", "TRT", "EAT", "IDT"), 3.0),
    "IRST": 3.5,
    "SAMT": 4.0,
    **dict.fromkeys(("PKT", "UZT", "YEKT"), 5.0),
    "IST": 5.5,
    "NPT": 5.75,
    "OMST": 6.0,
    **dict.fromkeys(("WIB", "ICT", "NOVT", "KRAT"), 7.0),
    **dict.fromkeys(("HKT", "SGT", "AWST", "PHT", "WITA", "MYT", "IRKT"), 8.0),
    **dict.fromkeys(("JST", "KST", "YAKT"), 9.0),
    "ACST": 9.5,
    **dict.fromkeys(("AEST", "VLAT", "CHST"), 10.0),
    "ACDT": 10.5,
    **dict.fromkeys(("AEDT", "MAGT"), 11.0),
    **dict.fromkeys(("NZST", "PETT"), 12.0),
    "NZDT": 13.0,
    "BRST": -2.0,
    "NDT": -2.5,
    **dict.fromkeys(("BRT", "ART", "ADT", "CLST", "UYT"), -3.0),
    "NST": -3.5,
    **dict.fromkeys(("AST", "EDT", "CLT"), -4.0),
    **dict.fromkeys(("EST", "CDT"), -5.0),
    "CST": -6.0,
    "MDT": -6.0,
    "MST": -7.0,
    "PDT": -7.0,
    "PST": -8.0,
    "AKST": -9.0,
    "AKDT": -8.0,
    "HST": -10.0,
}
# Those that are words or acronyms too: behind a time in a line of text, they begin its message.
# They are zones only where a field holds nothing but a time.
_WORDS_TOO = {
    *("CAT", "CHST", "CLT", "EAT", "IDT", "KRAT", "MYT", "NDT", "NST", "PETT", "SAMT", "UYT"),
    *("UZT", "WAT"),
}
ZONES_IN_LINES = tuple(name for name in ABBREVIATIONS if name not in _WORDS_TOO)
# Before noon and after noon, as Chinese, Japanese and Korean have them.
HALVES = {"上午": "a", "午前": "a", "오전": "a", "下午": "p", "午後": "p", "오후": "p"}


def month_of(name: str) -> int:
    """The number of a month from its name, in whatever language. Raises ValueError for no month.

    >>> month_of("October"), month_of("okt."), month_of("juil"), month_of("10月")
    (10, 10, 7, 10)
    """
    if name.endswith("月"):
        return int(name[:-1])
    # Vietnamese counts months too: tháng 10.
    if name[-1:].isdigit():
        return int(name.split()[-1])
    for length in range(_LONGEST_MONTH, _SHORTEST_MONTH - 1, -1):
        month = _MONTH_OF.get(name[:length].lower())
        if month:
            return month
    raise ValueError(name)


# Years are also counted from the begin of a reign, or of the republic; the year before the first.
_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "民國": 1911, "民国": 1911}
_YEAR_OF_ERA = re.compile(r"(令和|平成|昭和|民國|民国) ?(\d{1,3}|元)(?= ?年)")


def with_common_year(text: str) -> str:
    """A time whose year of a Japanese or Taiwanese era is written as the common one.

    >>> with_common_year("令和6年10月15日")
    '2024年10月15日'
    """

    def common(found: re.Match[str]) -> str:
        # 元 is the first year.
        return str(_ERAS[found[1]] + int(found[2].replace("元", "1")))

    return _YEAR_OF_ERA.sub(common, text)
