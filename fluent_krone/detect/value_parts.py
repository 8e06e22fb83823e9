"""What is judged of a value: its number, of a path its place, of an address no port."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

# A path or the like, with a last name; and how many digits what stands before it may have. More are
# a date or an id, which will be another one tomorrow.
_TAIL = re.compile(rb"[A-Za-z][^/@]*[/@]")
_DIGITS = re.compile(rb"[0-9]+")
_MOST_IN_PLACE = 2
# A number with more digits before its point is an id, whatever its range; and what is written with
# more characters altogether is a text.
_MOST_DIGITS, _LONGEST_NUMBER = 18, 40
# A number and its unit in one word.
_WITH_UNIT = re.compile(rb"(-?\d+(?:\.\d+)?)((?:[nmu]|\xc2\xb5)?s|sec|min|h|[kKMGT]?i?[bB]|%)")
# Units that can be converted: of time in seconds, and of size.
_SECONDS = {
    b"ns": 1e-9,
    b"us": 1e-6,
    b"\xc2\xb5s": 1e-6,
    b"ms": 1e-3,
    b"s": 1.0,
    b"sec": 1.0,
    b"min": 60.0,
    b"h": 3600.0,
}
_SIZES = {
    prefix + b: 1024.0**power
    for power, prefixes in enumerate((b" ", b"kK", b"M", b"G", b"T"))
    for prefix in (bytes([one]).strip() + i for one in prefixes for i in (b"", b"i"))
    for b in (b"b", b"B")
}
_KINDS_OF_UNITS = (_SECONDS, _SIZES)
# Numbers with a comma: one before decimals, where points may part thousands, or commas that part
# thousands themselves.
_DECIMAL_COMMA = re.compile(rb"(-?(?:\d{1,3}(?:\.\d{3})+|\d+)),(\d+)(?![\d.,])")
_THOUSANDS = re.compile(rb"-?[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
# A number with any other unit.
_WITH_ANY_UNIT = re.compile(rb"-?\d+(?:\.\d+)?([A-Za-z]{1,12})")
# A number with a letter behind it, as a seat in a row.
_WITH_LETTER = re.compile(rb"(-?\d+)[A-Za-z]")

# A finer resolution than this many decimals tells nothing, as where programs print whatever a
# division gave.
_MOST_DECIMALS = 6
_LETTERS = bytes(range(0x3A, 0x100)) + b"%"
# Numbers count something where their range holds fewer than this many times as many numbers.
_DENSE = 2
# … but for numbers from here on that differ by less than this share of the least of them, …
_LEAST_CODE, _CODES_WITHIN = 100, 0.1
# … unless they leave none out of a row of this many.
_FEWEST_IN_ROW = 5
# At most this many numbers, each of which came at least this often, are no quantity where they
# leave some out: a quantity would have had these as well.
_MOST_CODES, _OFTEN = 8, 20


def as_number(value: bytes) -> float | None:
    """The number that a value is, with or without a unit; None for a text or a longer number.

    >>> as_number(b"17"), as_number(b"-0.5"), as_number(b"230ms"), as_number(b"eth0")
    (17.0, -0.5, 230.0, None)
    >>> as_number(b"1.208,71"), as_number(b"0,5"), as_number(b"1,024"), as_number(b"1,2,3")
    (1208.71, 0.5, 1024.0, None)
    """
    if b"," in value:
        value = with_point(value)
    digits = value[1:] if value[:1] == b"-" else value
    if not digits[:1].isdigit() or len(digits) > _LONGEST_NUMBER:
        return None
    if len(digits) > _MOST_DIGITS and digits.find(b".", 0, _MOST_DIGITS + 1) < 0:
        return None
    if not value[-1:].isdigit():
        with_unit = _WITH_UNIT.fullmatch(value)
        if with_unit is None:
            return None
        value = with_unit[1]
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def usual_unit(values: Iterable[bytes]) -> bytes:
    """The unit that most values have, of those that can be converted; empty for no such unit.

    >>> usual_unit([b"512KB", b"7MB", b"9KB"]), usual_unit([b"7", b"9%"])
    (b'KB', b'')
    """
    words = (value for value in values if not value[-1:].isdigit())
    units = (found[2] for value in words if (found := _WITH_UNIT.fullmatch(value)))
    most = Counter(unit for unit in units if any(unit in kind for kind in _KINDS_OF_UNITS))
    return max(most, key=lambda unit: (most[unit], unit), default=b"")


def in_unit(value: bytes, unit: bytes) -> bytes:
    """The number that a value is in a unit; empty where it has another kind of unit.

    A unit of the log's own stands behind each number. Where no unit is asked for, a value is as it
    stands.

    >>> in_unit(b"7MB", b"KB"), in_unit(b"1.5s", b"ms"), in_unit(b"5ms", b"s"), in_unit(b"7s", b"")
    (b'7168', b'1500', b'0.005', b'7s')
    >>> in_unit(b"7MB", b"ms"), in_unit(b"7kbits", b"kbits"), in_unit(b"7", b"kbits")
    (b'', b'7', b'')
    """
    if b"," in value:
        value = with_point(value)
    head = value.removesuffix(unit)
    kind = next((kind for kind in _KINDS_OF_UNITS if unit in kind), None)
    if kind is None:
        return head if value.endswith(unit) else b""
    found = _WITH_UNIT.fullmatch(value)
    if head[-1:].isdigit() or found is None:
        return head
    if found[2] not in kind:
        return b""
    return b"%.9g" % (float(found[1]) * kind[found[2]] / kind[unit])


def with_point(value: bytes) -> bytes:
    """A number whose decimals stand behind a point, and whose thousands nothing parts.

    >>> with_point(b"-1.208,71kg"), with_point(b"12,345.6"), with_point(b"a,b")
    (b'-1208.71kg', b'12345.6', b'a,b')
    """
    thousands = _THOUSANDS.match(value)
    if thousands is not None:
        return thousands[0].replace(b",", b"") + value[thousands.end() :]
    decimal = _DECIMAL_COMMA.match(value)
    if decimal is not None:
        return decimal[1].replace(b".", b"") + b"." + decimal[2] + value[decimal.end() :]
    return value


def is_quantity(values: Iterable[bytes]) -> bool:
    """Whether a few numbers are how many there were of something: 9 is next to 8, and codes lie far
    apart. Large numbers that hardly differ, such as 200, 201 and 204, are codes as well: what is
    counted varies more, or takes all numbers of a row, as the length of a message does. So are 0, 3
    and 4 where each of them comes often, and 1 and 2 never do.
    """
    times = Counter(values)
    numbers = [as_number(value) for value in times]
    known = [number for number in numbers if number is not None]
    if len(known) < max(len(numbers), 2):
        return False
    spread = max(known) - min(known)
    is_row = len(known) >= _FEWEST_IN_ROW and spread == len(known) - 1
    is_code = min(known) >= _LEAST_CODE and spread < _CODES_WITHIN * min(known) and not is_row
    leaves_out = (
        len(known) <= _MOST_CODES
        and min(times.values()) >= _OFTEN
        and all(number.is_integer() for number in known)
        and spread > len(known) - 1
    )
    return spread < _DENSE * len(known) and not is_code and not leaves_out


def unit_of(value: bytes) -> bytes:
    """The word behind a number; empty where there is no such word.

    >>> unit_of(b"4302.3kbits"), unit_of(b"12"), unit_of(b"A12")
    (b'kbits', b'', b'')
    """
    found = _WITH_ANY_UNIT.fullmatch(value)
    return found[1] if found else b""


def without_letter(value: bytes) -> bytes:
    """A number without the one letter behind it.

    >>> without_letter(b"12A"), without_letter(b"12"), without_letter(b"A12")
    (b'12', b'12', b'A12')
    """
    found = _WITH_LETTER.fullmatch(value)
    return found[1] if found else value


def without_port(value: bytes) -> bytes:
    """An address without its port.

    >>> without_port(b"10.0.0.7:50010"), without_port(b"web1")
    (b'10.0.0.7', b'web1')
    """
    address, colon, port = value.rpartition(b":")
    return address if colon and port.isdigit() else value


def without_tail(value: bytes) -> bytes:
    """What stands before the last name of a path, or before a version.

    >>> without_tail(b"s3://lake/orders/part-17"), without_tail(b"web/shop@9f2c")
    (b's3://lake/orders', b'web/shop')
    """
    if not _TAIL.search(value):
        return value
    return value[: max(value.rfind(b"/"), value.rfind(b"@"))]


def is_place(head: bytes) -> bool:
    """Whether a path is one of few places: neither a date nor an id is a part of it."""
    few = sum(map(len, _DIGITS.findall(head))) <= _MOST_IN_PLACE
    return few and not any(name.isdigit() for name in head.split(b"/"))


def resolution_of(values: Iterable[bytes]) -> float:
    """The unit of numbers: 1, or as many decimals as they are written with.

    >>> resolution_of([b"0.25", b"1"]), resolution_of([b"7ms"]), resolution_of([b"1,5"])
    (0.01, 1.0, 0.1)
    """
    # Behind the point, without a unit.
    tails = (with_point(value).partition(b".")[2].rstrip(_LETTERS) for value in values)
    return 10.0 ** -min(max(map(len, tails), default=0), _MOST_DECIMALS)
