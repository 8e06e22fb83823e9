"""The field that holds the component of records: the logger that wrote them, or its module.

Its name tells it, in whatever spelling and however deep it is nested. A few names mean other things
as well, such as `target` or `category`: they count only where they are not nested, and where their
values look like the names of loggers, which have several parts, and not like hosts or files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import chain
from typing import Any

from fluent_krone.reading.accessor import field_getter, is_path, message_getter, path_steps
from fluent_krone.reading.field_names import COMPONENT_NAMES, SERVICE_NAMES, spelled
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.values import as_bytes
from fluent_krone.reading.wildcards import as_text

from .event_names import MOST_OF_SHORT
from .nested_fields import last_name, plain_fields

# The last two are those of Windows, of the program that wrote the event.
_NAMES = (*COMPONENT_NAMES, "providername", "sourcename")
# The name of a level, beside which Monolog and Python's logging write that of the logger.
_BESIDE_LEVEL = "levelname"
_OF_MONOLOG, _OF_PYTHON = "channel", "name"
# The name of the logger among the short names that MongoDB and zap give all fields.
_OF_SHORT_NAMES = ((("s", "c", "ctx"), "c"), (("L", "N", "M"), "N"))
_NAMES_OF_MUCH = ("target", "category", "name", "class", "classname", "source")
# `com.acme.Pump`, `app::api`
_LOGGER = re.compile(rb"[A-Za-z_][\w$-]*(?:(?:\.|::)[\w$<>-]+)+")
_HOST_OR_FILE = re.compile(
    rb".*\.(?:com|net|org|io|dev|cloud|local|internal|lan|corp|svc|log|txt|json|out|gz)"
)
# The share of the records whose message may come from several services.
_SHARED = 0.2
# More distinct components than this share of the records are none. In a short log, they are many of
# its records.
_FEW, _FEW_OF_SHORT = 0.1, 0.5


def find_component_field(
    sample: list[dict[bytes, Any]], message_field: str, say: Callable[[str], None]
) -> str | None:
    """The field's name or accessor, which is said; None where records have none."""
    names = dict.fromkeys(name for record in sample for name, _ in plain_fields(record))
    written: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name.count(".")):
        written.setdefault(spelled(last_name(name)), name)
        if is_path(name):
            # `logger.name`, nested in whatever else
            written.setdefault("".join(map(str, path_steps(name)[-2:])).lower(), name)
    sure: tuple[str, ...] = _NAMES
    if _BESIDE_LEVEL in written:
        sure = (*_NAMES, _OF_MONOLOG)
        if not is_path(written.get(_OF_PYTHON, "$.")):
            sure = (_OF_PYTHON, *sure)
    for beside, name in _OF_SHORT_NAMES:
        if names.keys() >= {*beside}:
            sure = (*sure, spelled(name))
    for spelling in (*sure, *_NAMES_OF_MUCH, *SERVICE_NAMES):
        found = written.get(spelling)
        is_sure = spelling in sure
        if found is None:
            continue
        if spelling in SERVICE_NAMES:
            fits = _holds(found, sample, True) and _writes_its_own(found, sample, message_field)
        else:
            fits = (is_sure or not is_path(found)) and _holds(found, sample, is_sure)
        if fits:
            say(f"component field, guessed: {found}")
            return found
    return None


def _writes_its_own(name: str, sample: list[dict[bytes, Any]], message_field: str) -> bool:
    """Whether there are several services, and hardly any message is written by two of them.

    Where all write the same few messages, the service is the step itself, or what a step is for
    (`facet_fields.py`).
    """
    service_of = field_getter(name)
    message_of = message_getter(message_field)
    masker = Masker(None)
    services: dict[str, Counter[Any]] = defaultdict(Counter)
    for record in sample:
        if message := message_of(record):
            services[masker.form(as_text(as_bytes(message)))][service_of(record)] += 1
    if "," in message_field:
        # These say already what is told apart.
        return False
    several = set(chain.from_iterable(services.values()))
    shared = sum(one.total() for one in services.values() if len(one) > 1)
    return len(several) > 1 and shared <= _SHARED * len(sample)


def _holds(name: str, sample: list[dict[bytes, Any]], is_sure: bool) -> bool:
    """Whether all records have such a field, with few values. Unless the name `is_sure`, all of
    these must look like loggers.
    """
    values = list(map(field_getter(name), sample))
    if not all(isinstance(value, bytes) and value for value in values):
        return False
    most = max(_FEW * len(sample), min(_FEW_OF_SHORT * len(sample), MOST_OF_SHORT))
    if len(set(values)) > most:
        return False
    return is_sure or all(
        _LOGGER.fullmatch(value) and not _HOST_OR_FILE.fullmatch(value) for value in set(values)
    )
