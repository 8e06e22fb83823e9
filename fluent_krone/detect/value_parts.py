"""What is judged of values that are new each time: of a path its place, of an address no port."""

from __future__ import annotations

import re

# A path or the like, with a last name; and the digits that what stands before it may have. More are
# a date or an id, of which tomorrow has another one.
_TAIL = re.compile(rb"[A-Za-z][^/@]*[/@]")
_DIGITS = re.compile(rb"[0-9]+")
_MOST_DIGITS = 2


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
    few = sum(map(len, _DIGITS.findall(head))) <= _MOST_DIGITS
    return few and not any(name.isdigit() for name in head.split(b"/"))
