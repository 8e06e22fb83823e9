"""Record → event: which text is matched, which sessions it belongs to, when it happened."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigError, RecordError
from .accessor import Fields, field_getter, message_getter, text_of_map
from .cache import Generation
from .colours import bare_bytes
from .line_formats import HEADER, MESSAGE, LineFormat, LineFormats, compile_bytes, formats_in
from .times import TimeReader, zone_of
from .values import as_bytes

SessionKey = tuple[bytes, ...]
# Bytes of all component names whose prefix is remembered. A field that is no component, such as a
# request id, would otherwise fill the memory.
_COMPONENT_BYTES = 4_000_000
# What a remembered component costs besides its name and its prefix.
_ENTRY_BYTES = 200
# The name under which a record that was kept of a stream carries the tag that it came with. It
# begins with a zero byte, as no field of a log does.
TAG = b"\0tag"
# Bytes of a facet's value. Values that tell steps apart are short words and codes.
_LONGEST_FACET = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """How a record becomes an event, for every input alike. Part of a bundle's manifest."""

    session_key: tuple[str, ...]
    message_field: str = "message"
    component_field: str | None = None
    time_field: str | None = None
    time_format: str | None = None
    # IANA name of the zone of times without an offset; None is UTC.
    timezone: str | None = None
    # The field of the level, where it has no usual name.
    level_field: str | None = None
    line_format: str | None = None
    # Fields whose value stands before the message in brackets, since it tells steps apart.
    facet_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # JSON has lists only.
        object.__setattr__(self, "facet_fields", tuple(self.facet_fields))
        if not self.session_key:
            raise ConfigError(
                "session_key is empty: name a field, `tag`, or a /regex/ over the message"
            )
        if sum(_is_regex(part) for part in self.session_key) > 1:
            raise ConfigError("session_key takes one /regex/ at most")
        if self.timezone is not None:
            zone_of(self.timezone)
        for time_format in filter(None, formats_in(self.time_format)):
            _check_time_format(time_format)

    def override(self, **values: Any) -> InputSettings:
        """These settings, with those of the operator that are given (not None) in their place."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


def _check_time_format(time_format: str) -> None:
    try:
        datetime.strptime(datetime(2000, 1, 1, tzinfo=UTC).strftime(time_format), time_format)
    except (ValueError, re.error) as error:
        raise ConfigError(f"time_format {time_format!r} cannot be read: {error}") from None
    if not re.search("%[yYGcxs]", time_format):
        raise ConfigError(
            f"time_format {time_format!r} has no year: "
            "leave time_field out, and the time that Fluentd gives the record is used"
        )


def _is_regex(part: str) -> bool:
    return len(part) > 2 and part[0] == part[-1] == "/"


def _getter(name: str | None) -> Callable[[Fields], Any] | None:
    """`field_getter`, where a field is named at all."""
    if not name:
        return None
    return field_getter(name)


class _Prefixes(dict[bytes, bytes]):
    """Component → what stands before its messages."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._generation = Generation(_COMPONENT_BYTES, self.clear)

    def __missing__(self, component: bytes) -> bytes:
        prefix = bare_bytes(component[: self._max_size]).rstrip(b": ")
        if prefix:
            prefix += b": "
        if len(component) <= self._max_size:
            self._generation.take(_ENTRY_BYTES + len(component) + len(prefix))
            self[component] = prefix
        return prefix


@dataclass(slots=True)
class _Cut:
    """A line that was cut: its format, the groups of that, and these with the record's fields."""

    form: LineFormat
    groups: dict[bytes, Any]
    fields: Fields


class RecordReader:
    """Cuts records into events by `settings`. One instance a stream.

    >>> reader = RecordReader(InputSettings(session_key=("/blk_-?[0-9]+/",)))
    >>> reader.read(b"app", {b"message": b"served blk_7"})
    (b'served blk_7', [(b'blk_7',)])
    """

    def __init__(
        self, settings: InputSettings, *, max_message_size: int = 8192, max_keys: int = 16
    ) -> None:
        self.settings = settings
        self.keys_over_cap = 0
        self.messages_cut = 0
        # Events whose record lacks the component field, or has no text in it.
        self.components_missing = 0
        # The names of the fields of the first record that could not be an event, by the reason.
        self.fields_aside: dict[str, tuple[bytes, ...]] = {}
        # How often the field of the level that is named was asked for, by whether it had one.
        self.levels: Counter[bool] = Counter()
        self.max_size = max_message_size
        self.max_keys = max_keys
        self._message = message_getter(settings.message_field)
        self._facets = [field_getter(name) for name in settings.facet_fields]
        self._component = _getter(settings.component_field)
        self._prefixes = _Prefixes(max_message_size)
        self._lines: LineFormats | None = None
        if settings.line_format:
            self._lines = LineFormats(settings.line_format, settings.time_format, settings.timezone)
        # The last record whose line was cut: its level is mostly asked for at once.
        self._last: tuple[Any, _Cut | None] = (None, None)
        self._has_keyed_header = self._lines is not None and self._lines.are_keyed
        self._parts = [self._part(part) for part in settings.session_key]
        # The session key's regex, where the key consists of nothing else: the usual case, which
        # has a short way of its own.
        self.sole_regex: re.Pattern[bytes] | None = None
        if len(settings.session_key) == 1:
            self.sole_regex = self._regex_of(settings.session_key[0])
        self._time = _getter(settings.time_field)
        self.has_time = self._lines is not None and self._lines.has_time
        if self._time is not None:
            self.has_time = True
            self._times = TimeReader(settings.time_format, settings.timezone)

    def read(self, tag: bytes, record: Any) -> tuple[bytes, list[SessionKey]]:
        """The text to match and the keys of its sessions.

        The component stands before the text, where there is one.

        Raises RecordError: `not_a_map`, `no_message`, `no_session_key`, `line_format`,
        `continuation`.
        """
        if record.__class__ is not dict:
            raise RecordError("not_a_map", "the record is not a map")
        if self._lines is not None:
            record = self._cut_of(record).fields
            message = record[MESSAGE]
        else:
            message = self._line(record)
        text: bytes = message.strip()
        if not text:
            raise RecordError("no_message", "the message is empty")
        if self._facets:
            for value in reversed(self.facets(record)):
                if value is not None:
                    text = b"[" + value + b"] " + text
        if self._component is not None:
            component = self._component(record)
            if component.__class__ is bytes:
                text = self.prefix(component) + text
            else:
                self.components_missing += 1
        return text, self.keys(tag, record, message)

    def note_aside(self, record: Any, reason: str) -> None:
        """Remember which fields a record has that cannot be an event."""
        if record.__class__ is dict and reason not in self.fields_aside:
            # A sender may use numbers as names.
            self.fields_aside[reason] = tuple(map(as_bytes, record))

    def count_level(self, found: bool) -> None:
        """Count that the field of the level was asked for, and whether it had one."""
        self.levels[found] += 1

    def fields(self, record: Fields) -> Fields:
        """The record's fields, with those of its line's header. Raises RecordError as `read`."""
        if self._lines is None:
            return record
        return self._cut_of(record).fields

    @property
    def has_key_in_message(self) -> bool:
        """Whether a regex alone finds the session key, and finds it in the message."""
        return self.sole_regex is not None and not self._has_keyed_header

    def key_is_in_line(self, record: Fields) -> bool:
        """Whether the session key may stand anywhere in the line, as where several programs write
        lines of text: one has it in its header, another one in its message.
        """
        if self._lines is None or not self._lines.are_several:
            return False
        return not self._cut_of(record).form.is_json

    def facets(self, record: Fields) -> list[bytes | None]:
        """The values that stand before the message in brackets; None where a field is absent."""
        values = [facet(record) for facet in self._facets]
        return [None if value is None else as_bytes(value)[:_LONGEST_FACET] for value in values]

    def prefix(self, component: bytes) -> bytes:
        """What stands before the messages of a component."""
        return self._prefixes[component]

    def keys(self, tag: bytes, record: Fields, message: bytes) -> list[SessionKey]:
        """The sessions of a record whose message is text. Raises RecordError `no_session_key`."""
        if self.sole_regex is not None:
            found = self._matches(self.sole_regex, record, message)
            if len(found) == 1 and found[0]:
                return [(found[0],)]
            return self.capped([(key,) for key in dict.fromkeys(found) if key])
        keys: list[SessionKey] = [()]
        for part in self._parts:
            values = part(tag, record, message)
            keys = self.capped([(*key, value) for key in keys for value in values])
        return keys

    def _text(self, message: Any) -> bytes:
        if isinstance(message, dict):
            message = text_of_map(message) or None
        if message is None:
            raise RecordError("no_message", "the record has no message")
        text = as_bytes(message)
        if len(text) > self.max_size:
            self.messages_cut += 1
        return text[: self.max_size]

    def time(self, record: Any) -> int | None:
        """The time of a record that `read` took, in ns UTC.

        It is that of `time_field`, or of the groups of `line_format` that make a time together;
        None where the line's own format has no time. Raises RecordError `bad_time`.
        """
        if self._time is None:
            cut = self._cut_of(record)
            return cut.form.time(cut.groups)
        value = self._time(self.fields(record))
        if isinstance(value, dict | bool) or value is None:
            raise RecordError("bad_time", f"{str(value)[:40]} is not a time")
        return self._times.read(value)

    def _cut_of(self, record: Fields) -> _Cut:
        """How the line of a record is cut. Raises RecordError as `read`."""
        last, cut = self._last
        if record is last and cut is not None:
            return cut
        return self._cut_line(self._line(record), record)

    def _line(self, record: Fields) -> bytes:
        """The text of the message field, without colours."""
        message = self._message(record)
        if message.__class__ is not bytes or len(message) > self.max_size:
            message = self._text(message)
        return bare_bytes(message)

    def _cut_line(self, line: bytes, record: Fields) -> _Cut:
        assert self._lines
        form, groups = self._lines.cut(line)
        message = groups.get(MESSAGE, b"").strip()
        fields = {**record, **groups, MESSAGE: message}
        if self._has_keyed_header and not form.is_keyed:
            # A field of that name is no header, in which the key would be looked for.
            fields.pop(HEADER, None)
        cut = _Cut(form, groups, fields)
        self._last = (record, cut)
        return cut

    def capped(self, keys: list[SessionKey]) -> list[SessionKey]:
        """At most `max_keys` of them; the rest are counted.

        Raises RecordError `no_session_key` where there is none.
        """
        if not keys:
            raise RecordError("no_session_key", "the record belongs to no session")
        if len(keys) > self.max_keys:
            self.keys_over_cap += len(keys) - self.max_keys
            del keys[self.max_keys :]
        return keys

    def _matches(self, regex: re.Pattern[bytes], record: Fields, message: bytes) -> list[bytes]:
        """The keys that the regex finds in the message, or the one of the line's header."""
        if not self._has_keyed_header or HEADER not in record:
            return regex.findall(message)
        found = regex.search(record[HEADER] + message)
        if found is None:
            return []
        return [found[regex.groups]]

    def _part(self, part: str) -> Callable[[bytes, Fields, bytes], list[bytes]]:
        """A function of tag, record and message that gives the values of one part of the key."""
        regex = self._regex_of(part)
        get = field_getter(part)

        def matches(tag: bytes, record: Fields, message: bytes) -> list[bytes]:
            assert regex is not None
            found = self._matches(regex, record, message)
            return [key for key in dict.fromkeys(found) if key]

        def only_tag(tag: bytes, record: Fields, message: bytes) -> list[bytes]:
            return [record.get(TAG, tag)]

        def values(tag: bytes, record: Fields, message: bytes) -> list[bytes]:
            return [value[: self.max_size] for value in _key_values(get(record))]

        if regex is not None:
            return matches
        if part == "tag":
            return only_tag
        return values

    @staticmethod
    def _regex_of(part: str) -> re.Pattern[bytes] | None:
        if not _is_regex(part):
            return None
        regex = compile_bytes("session_key", part[1:-1])
        if regex.match(b""):
            raise ConfigError(
                f"session_key {part} matches the empty text, so that every record would have "
                "that key: let it match at least one character"
            )
        if regex.groups > 1:
            raise ConfigError(
                f"session_key {part} has {regex.groups} groups: at most one group may be there, "
                "and it is the key; write the others as (?:…)"
            )
        return regex


def _key_values(value: Any) -> list[bytes]:
    if value is None or value == b"" or value == "" or isinstance(value, dict):
        return []
    if not isinstance(value, list):
        return [as_bytes(value)]
    scalars = [v for v in value if v not in (None, b"", "") and not isinstance(v, list | dict)]
    return list(dict.fromkeys(map(as_bytes, scalars)))


def key_text(key: SessionKey) -> str:
    """A session key as labels name it.

    >>> key_text((b"web1", b"42"))
    'web1 42'
    """
    return " ".join(part.decode("utf-8", "replace") for part in key)
