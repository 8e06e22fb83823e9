"""Fields of a log's records that say where a session ran: pod, host, tenant, version.

Such a field has one value within nearly every session, and not the same one in all sessions. It is
looked for in the records that sessions are cut from, so that it costs no second reading of the log.
A usual name (`USUAL_FIELDS`) that the records have is always taken: the host of a log from a single
machine never varies, and that of a request that several machines serve is not constant, and both
are asked for when something went wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fluent_krone.core.context import USUAL_FIELDS
from fluent_krone.errors import RecordError
from fluent_krone.reading.field_names import LEVEL_FIELDS
from fluent_krone.reading.records import InputSettings, SessionKey
from fluent_krone.reading.seam import Read
from fluent_krone.reading.times import TimeReader
from fluent_krone.reading.values import as_bytes

# Sessions that are looked at, and records of each. What is constant in this many is a rule of the
# log, and each costs the memory of its values.
_MOST_SESSIONS = 3_000
_MOST_RECORDS = 50
# Sessions with several records that must have a field. Fewer could agree by chance.
_FEWEST = 20
# The share of the sessions with a field in which it must be constant. The rest are executions that
# moved, such as a job that was started again on another host.
_CONSTANT = 0.95
# The share of the sessions that must have the field at all.
_PRESENT = 0.2
# Fields that are shown at most, since an alert is read by a person.
_MOST_FIELDS = 12
# Fields that are counted. A record whose names are values would fill the memory.
_MOST_NAMES = 300
# How deep nested fields are looked into: `$.kubernetes.labels.version` has three names.
_DEEPEST = 3
# Characters of a value. Names and ids are shorter; a longer value is a text.
_LONGEST = 100
# Numbers at least as large count seconds or bytes, and identify nothing.
_LARGEST = 10**9
# Names of times, in whatever spelling.
_TIME_NAME = re.compile(r"(?:^|[_.@-])(?:time|date|ts|timestamp|datetime)s?$", re.IGNORECASE)
# A name that a path can hold without quotes.
_PLAIN = re.compile(r"[^.\[\]'\"*?()\s]+\Z")


class ContextFields:
    """Looks at records as they are read, and says afterwards which fields tell where they ran."""

    def __init__(self, settings: InputSettings) -> None:
        self._excluded = excluded_by(settings)
        self._times = TimeReader()
        # Session → its records so far, and the first value of each field.
        self._sessions: dict[SessionKey, dict[str, bytes]] = {}
        self._records: dict[SessionKey, int] = {}
        # Sessions in which a field had a second value, by field.
        self._varied: dict[str, set[SessionKey]] = {}
        self._names: set[str] = set()

    def over(self, read: Callable[[bytes, Any], Read]) -> Callable[[bytes, Any], Read]:
        """A function that reads as this one does, and looks at each record."""

        def reading(tag: bytes, record: Any) -> Read:
            found = read(tag, record)
            keys = found[2]
            # A record of several sessions says of none where it ran.
            if len(keys) == 1:
                self._note(keys[0], record)
            return found

        return reading

    def found(self) -> tuple[str, ...]:
        """The fields, as names or record accessors: those with the fewest values first."""
        several = {key for key, count in self._records.items() if count > 1}
        if len(several) < _FEWEST:
            return ()
        values: dict[str, set[bytes]] = {}
        present: dict[str, int] = {}
        for key in several:
            for name, value in self._sessions[key].items():
                values.setdefault(name, set()).add(value)
                present[name] = present.get(name, 0) + 1
        usual = [name for name in USUAL_FIELDS if present.get(name)]
        others = [
            name
            for name, count in present.items()
            if name not in usual
            and count >= max(_FEWEST, _PRESENT * len(several))
            and len(values[name]) > 1
            and self._is_constant(name, count, several)
        ]
        others.sort(key=lambda name: (len(values[name]), name))
        return tuple([*usual, *others][:_MOST_FIELDS])

    def _is_constant(self, name: str, count: int, several: set[SessionKey]) -> bool:
        varied = len(self._varied.get(name, set()) & several)
        return count - varied >= _CONSTANT * count

    def _note(self, key: SessionKey, record: Mapping[bytes, Any]) -> None:
        firsts = self._sessions.get(key)
        if firsts is None:
            if len(self._sessions) >= _MOST_SESSIONS:
                return
            firsts = self._sessions[key] = {}
            self._records[key] = 0
        if self._records[key] >= _MOST_RECORDS:
            return
        self._records[key] += 1
        for name, value in self._values(record):
            # A field that repeats the session key tells nothing that the alert does not say.
            if value in key:
                continue
            if firsts.setdefault(name, value) != value:
                self._varied.setdefault(name, set()).add(key)

    def _values(self, record: Mapping[bytes, Any]) -> Iterator[tuple[str, bytes]]:
        """Names or accessors of the fields that look like context, and their values."""
        for path, value in _leaves(record, (), _DEEPEST):
            name = _accessor(path)
            if name in self._excluded or _TIME_NAME.search(path[-1]) or not _is_short(value):
                continue
            if name not in self._names:
                if len(self._names) >= _MOST_NAMES or self._is_time(value):
                    self._excluded.add(name)
                    continue
                self._names.add(name)
            yield name, as_bytes(value)

    def _is_time(self, value: Any) -> bool:
        """Whether a value reads as a time. A number as text may be an id as well."""
        if not isinstance(value, bytes) or value.isdigit():
            return False
        try:
            self._times.read(value)
        except RecordError:
            return False
        return True


def excluded_by(settings: InputSettings) -> set[str]:
    """Fields that the settings use otherwise: as message, time, level, step, or session key."""
    fields = {
        settings.time_field,
        settings.component_field,
        settings.level_field,
        *settings.message_field.split(","),
        *settings.facet_fields,
        *settings.session_key,
        *(name.decode() for name in LEVEL_FIELDS),
    }
    return {field.strip() for field in fields if field}


def _leaves(
    record: Mapping[bytes, Any], path: tuple[str, ...], deeper: int
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in record.items():
        if not isinstance(key, bytes):
            continue
        here = (*path, key.decode("utf-8", "replace"))
        if isinstance(value, dict):
            if deeper > 1:
                yield from _leaves(value, here, deeper - 1)
        elif value is not None and not isinstance(value, list):
            yield here, value


def _accessor(path: tuple[str, ...]) -> str:
    """How a field is named in `alert_fields`.

    >>> _accessor(("host",)), _accessor(("kubernetes", "labels", "app.io/name"))
    ('host', "$.kubernetes.labels['app.io/name']")
    """
    if len(path) == 1:
        return path[0]
    return "$" + "".join(f".{step}" if _PLAIN.match(step) else f"['{step}']" for step in path)


def _is_short(value: Any) -> bool:
    """Whether a value may be a name, an id or a small number."""
    if isinstance(value, bytes):
        return 0 < len(value) <= _LONGEST and b" " not in value.strip()
    if isinstance(value, bool):
        return False
    return isinstance(value, int) and abs(value) < _LARGEST
