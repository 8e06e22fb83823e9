"""Values of parameters: literals as Fluentd writes them (`30s`, `8m`, `true`), and addresses.

Literals are turned into values and back again. For addresses and URLs, functions say who can reach
them or read along.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# Seconds in each of Fluentd's units of time.
_TIME_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Seconds. A longer duration, in nanoseconds, would not fit into a signed 64-bit integer.
_MAX_SECONDS = 2**63 / 1e9
# Bytes in each of Fluentd's units of size.
_SIZE_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def parse_duration(text: str) -> float:
    """Seconds, from Fluentd's `30s`, `5m`, `14h`, `1d`, or a plain number of seconds (`0.5`).

    Raises ValueError for what Fluentd itself would silently misread (`0.5s` as 5 s, `100ms` as
    6,000 s), so that a value means the same in a `<match>` block and on our command line.

    >>> parse_duration("14h"), parse_duration("0.5")
    (50400.0, 0.5)
    """
    number = text
    unit = 1
    if match := re.fullmatch(r"([0-9]+)([smhd])", text):
        number = match[1]
        unit = _TIME_UNITS[match[2]]
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ValueError(
            f"{text!r} is not a duration that Fluentd understands: write 30s, 5m, 14h, 1d "
            "or seconds (0.5)"
        ) from None
    if not 0 <= seconds < _MAX_SECONDS:
        raise ValueError(f"must lie between 0 and 292 years, got {text}")
    return seconds


def parse_size(text: str) -> int:
    """Bytes, from Fluentd's `8m`, `64k`, or a plain number.

    >>> parse_size("8m")
    8388608
    """
    match = re.fullmatch(r"([0-9]+)([kmgt]?)", text.lower())
    if not match:
        raise ValueError(f"{text!r} is not a size: write 8m, 64k or a number of bytes")
    return int(match[1]) * _SIZE_UNITS.get(match[2], 1)


def parse_bool(text: str) -> bool:
    """True or False, from Fluentd's `true` and `yes`, `false` and `no`."""
    if text.lower() in ("true", "yes"):
        return True
    if text.lower() in ("false", "no"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def parse_count(text: str) -> int:
    """A whole number, not negative."""
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def parse_price(text: str) -> float:
    """An amount of US dollars, not negative."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f"{text!r} is not a number: write for example 0.5")
    return float(text)


def parse_rate(text: str) -> float:
    """A number above 0.

    >>> parse_rate("0.5")
    0.5
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) == 0:
        raise ValueError(f"{text!r} is not a number above 0: write for example 0.5")
    return float(text)


def parse_share(text: str) -> float:
    """A share between 0 and 1.

    >>> parse_share("0.01")
    0.01
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or float(text) > 1:
        raise ValueError(f"{text!r} is not a share: write a number from 0 to 1, such as 0.01")
    return float(text)


def parse_frequency(text: str) -> float:
    """A number of 0 or more.

    >>> parse_frequency("0"), parse_frequency("2.5")
    (0.0, 2.5)
    """
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f"{text!r} is not a number: write 1, or 0 for none")
    return float(text)


def parse_mode(text: str) -> int:
    """Permissions of a file, written as chmod takes them.

    >>> oct(parse_mode("0660"))
    '0o660'
    """
    if not re.fullmatch(r"0[0-7]{3}", text):
        raise ValueError(
            f"{text!r} is not a permission mode: write 0660, in TOML with quotation marks"
        )
    return int(text, 8)


def parse_list(text: str) -> tuple[str, ...]:
    """Comma-separated items; a `/regex/` item keeps its commas.

    >>> parse_list("tag, /blk_-?[0-9]{1,20}/")
    ('tag', '/blk_-?[0-9]{1,20}/')
    """
    found = re.findall(r"\s*(/(?:\\.|\[(?:\\.|[^\]\\])+\]|[^/\\])+/|[^,]+)\s*(?:,|$)", text)
    items = tuple(item.strip() for item in found if item.strip())
    for item in items:
        if item.startswith("/") and not (len(item) > 2 and item.endswith("/")):
            raise ValueError(
                f"{item!r} begins like a /regex/ but does not end like one: "
                "write a slash inside it as \\/"
            )
    return items


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of parameter: its `name` in the documentation, and the function that reads it."""

    name: str
    parse: Callable[[str], Any]


STRING = Kind("string", str)
DURATION = Kind("duration", parse_duration)
SIZE = Kind("size", parse_size)
COUNT = Kind("integer", parse_count)
BOOL = Kind("bool", parse_bool)
LIST = Kind("list", parse_list)
MODE = Kind("permissions", parse_mode)
PRICE = Kind("float", parse_price)
RATE = Kind("float", parse_rate)
SHARE = Kind("float", parse_share)
FREQUENCY = Kind("float", parse_frequency)


def literal(value: Any) -> str:
    """A value of a TOML file as Fluentd would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def literal_of(kind: Kind, value: Any) -> str:
    """A value of a parameter as an operator would write it; empty for None.

    >>> literal_of(DURATION, 50400.0), literal_of(SIZE, 8388608), literal_of(MODE, 0o660)
    ('14h', '8m', '0660')
    """
    if value is None:
        return ""
    if kind is MODE:
        return f"{value:04o}"
    if isinstance(value, bool):
        return literal(value)
    units: Mapping[str, int] = {}
    if kind is DURATION:
        units = _TIME_UNITS
    elif kind is SIZE:
        units = _SIZE_UNITS
    # The largest unit that divides the value reads best.
    for unit, size in reversed(list(units.items())):
        if value and value % size == 0:
            return f"{int(value // size)}{unit}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`: did you mean …?` where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    if not near:
        return ""
    return f": did you mean {near[0]!r}?"


# Ends of names that are not in the public name system.
_NEVER_PUBLIC = (".local", ".localhost", ".internal", ".lan", ".home.arpa", ".svc", ".test")


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which no other machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to a URL: it is https, or this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and is_loopback(host)


def is_local(url: str) -> bool:
    """Whether a URL is of this machine."""
    return is_loopback(_host(url))


def may_use_proxy(url: str) -> bool:
    """Whether a proxy of the environment may carry requests to a URL.

    Never for plain http, where the proxy could read the API key. Nor for addresses that are not
    public: a proxy outside cannot reach them, and need not learn of them. A host name without a
    dot, or one that ends in `.local` or the like, is never public.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return False
    host = _host(url)
    if scheme != "https" or not host:
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.rstrip(".").endswith(_NEVER_PUBLIC)


def proxy_mounts(url: str) -> dict[str, None]:
    """What httpx is to mount so that requests to a URL use no proxy; empty if they may use one."""
    if may_use_proxy(url):
        return {}
    return {"http://": None, "https://": None, "all://": None}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
