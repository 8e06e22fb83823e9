"""Parameters, each declared once: read from flags, a TOML file, the environment or Fluentd."""

from .literals import (
    is_local,
    is_loopback,
    is_private,
    may_use_proxy,
    parse_bool,
    parse_count,
    parse_duration,
    parse_list,
    parse_mode,
    parse_price,
    parse_rate,
    parse_size,
    proxy_mounts,
    suggestion,
)
from .parameters import Config, default_of, groups, params
from .sources import add_flags, from_flags, from_strings, help_of, set_flags, show_default
from .usage import Parser

__all__ = [
    "Config",
    "Parser",
    "add_flags",
    "default_of",
    "from_flags",
    "from_strings",
    "groups",
    "help_of",
    "is_local",
    "is_loopback",
    "is_private",
    "may_use_proxy",
    "params",
    "parse_bool",
    "parse_count",
    "parse_duration",
    "parse_list",
    "parse_mode",
    "parse_price",
    "parse_rate",
    "parse_size",
    "proxy_mounts",
    "set_flags",
    "show_default",
    "suggestion",
]
