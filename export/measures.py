"""What a value says in words, without the numbers of the measures in it."""

from __future__ import annotations

import re
from typing import Any

from .event_names import is_number

# A number with a unit, as in `80ms`, `1m3.5s` and `CRP 20 mg/l`: units of time, of sizes and rates,
# and of what sensors and laboratories measure. No unit is one hexadecimal digit, as in `48213b`,
# and one capital stands right behind its number, unlike the W of `12 W Main St`.
_UNITS = (
    *("%", "ns", "us", "µs", "μs", "ms", "s", "[mun]?secs?", "(?:milli|micro|nano)?seconds?"),
    *("millis", "m", "mins?", "minutes?", "h", "hrs?", "hours?", "days?", "bytes?", "[KMGT]i"),
    *("[kKMGT]i?B", "[kKMGT]?bps", "[kKMG]?bits?", "[kMG]?Hz"),
    *("rpm", "[mk]V", "mA", "[mkM]W", "k?Wh", "°[CF]", "m?bar", "[hk]?Pa", "psi", "k?g", "[mu]g"),
    *("µg", "m?l", "m?L", "d[lL]", "mmol", "[cmk]m", "mph", "px", "fps", "dBm?", "ppm", "bpm"),
    *("mmHg", "(?:req|requests|ops|msgs?|rows|pkts?|packets|events)/s(?:ec)?"),
)
_UNIT = rf"(?: ?(?:{'|'.join(_UNITS)})(?:/(?:s|sec|min|h|d?[lL]|ml))?|[VWL])"
# Thousands may be parted by commas.
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,6}|[0-9]{1,9})"
_MEASURE = re.compile(
    rf"(?<![\w.:/-])(?:[-+]?{_DIGITS}(?:\.[0-9]{{1,9}})?{_UNIT}){{1,3}}(?![\w.:/-])".encode()
)
_AMOUNT = re.compile(rf"[-+]?{_DIGITS}(?:\.[0-9]+)?".encode())


def word_of(value: Any) -> Any:
    """What a value says in words, without the number of a measure; None of a number alone.

    >>> word_of(b"CRP 20 mg/l"), word_of(b"17")
    (b'CRP # mg/l', None)
    """
    if is_number(value):
        return None
    if isinstance(value, bytes):
        return _MEASURE.sub(lambda found: _AMOUNT.sub(b"#", found[0]), value)
    return value


def is_word(value: Any) -> bool:
    """Whether a value is words alone, without the number of a measure."""
    return isinstance(value, bytes) and word_of(value) == value
