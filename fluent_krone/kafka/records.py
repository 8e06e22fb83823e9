"""Message → tag, time and record, as the engine takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgpack

from ..config import Config
from ..errors import ConfigError, RecordError
from ..reading.accessor import field_getter
from ..reading.events import EventReader
from ..reading.otlp import logs_of
from ..reading.records import SessionKey
from ..reading.seam import Aside, Events, Found, Read, reading_by
from ..reading.values import as_bytes, as_fields

# The header in which `kafka-key` hands on the tag of a message.
TAG_HEADER = "krone.tag"
# The header that names the one session which a copy of a message is meant for. A message of several
# sessions is copied once for each, and each copy counts for its own session only.
SESSION_HEADER = "krone.session"
_MS = 1_000_000
# What decoders raise for a message that is none of the format; RecursionError: brackets that are
# nested thousands of times.
_UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    msgpack.UnpackException,
)
# Names of fields that are remembered as bytes. A map whose names are values would fill the memory.
_MOST_NAMES = 10_000


class Decoder:
    """Reads messages of one topic, as `record_format` and `record_tag` say."""

    def __init__(self, config: Config, message_field: str) -> None:
        assert config.topic
        self._topic = config.topic
        self._message_field = message_field.encode()
        self._is_otlp = config.record_format == "otlp_json"
        self._decode = {
            "json": _Json().decode,
            "msgpack": _from_msgpack,
            "text": self._of_text,
            "otlp_json": self._of_otlp,
        }[config.record_format]
        self._header, self._field = _tag_source(config.record_tag)

    def decode(self, value: bytes | None) -> Any:
        """The record in a message; a RecordError in its place where it can't be read.

        With `otlp_json` it is a list of times and records.
        """
        if value is None:
            return RecordError("no_message", "the message is empty")
        try:
            return self._decode(value)
        except _UNREADABLE as error:
            return RecordError("undecodable", f"{error.__class__.__name__}: {error}"[:200])

    def tagged(self, messages: Iterable[Any]) -> Iterator[tuple[str, tuple[int, Any], Any]]:
        """Tag, (time in ns, record) and message of each message."""
        decode = self.decode
        for message in messages:
            record = decode(message.value())
            tag = self._topic
            # Messages without headers, and most are, need no look at them.
            headers = message.headers()
            if headers or self._field is not None:
                tag = self._tag(headers, record)
                only = _header(headers, SESSION_HEADER)
                if only is not None and record.__class__ is dict:
                    record = Addressed(record, session_of(only))
            if self._is_otlp and record.__class__ is list:
                for time_ns, log in record:
                    yield tag, (time_ns or message.timestamp()[1] * _MS, log), message
                continue
            yield tag, (message.timestamp()[1] * _MS, record), message

    def tag_of(self, headers: Any, value: bytes) -> str:
        """The tag of a message with these headers and this value."""
        record = None
        if self._field is not None:
            record = self.decode(value)
        return self._tag(headers, record)

    def _tag(self, headers: Any, record: Any) -> str:
        found: Any = _header(headers, TAG_HEADER)
        if found is None and self._header is not None:
            found = _header(headers, self._header)
        if found is None and self._field is not None and record.__class__ is dict:
            found = self._field(record)
        if found is None or isinstance(found, dict | list) or found == b"":
            return self._topic
        return as_bytes(found).decode("utf-8", "surrogateescape")

    def _of_otlp(self, value: bytes) -> Any:
        """The logs in a request, with their times, as a list."""
        logs = logs_of(json.loads(value), self._message_field.decode())
        return [(time_ns, as_fields(record)) for time_ns, record in logs]

    def _of_text(self, value: bytes) -> Any:
        return {self._message_field: value}


def session_header(key: SessionKey) -> bytes:
    """A session key as a header's value."""
    return bytes(msgpack.packb(list(key)))


def session_of(header: bytes) -> SessionKey:
    """The session key in a header; an empty one, which no session has, where it can't be read."""
    try:
        return tuple(msgpack.unpackb(header, raw=True))
    except (ValueError, TypeError, msgpack.UnpackException):
        return ()


class _Json:
    """Records in JSON. Most are flat maps of texts, which have a short way."""

    def __init__(self) -> None:
        self._names: dict[str, bytes] = {}
        self._loads = json.JSONDecoder().decode

    def decode(self, value: bytes) -> Any:
        # JSON is UTF-8. A byte that is none becomes one that `as_bytes` turns back.
        record = self._loads(value.decode("utf-8", "surrogateescape"))
        if record.__class__ is not dict:
            return record
        names = self._names
        fields = {}
        for name, content in record.items():
            key = names.get(name)
            if key is None:
                key = self._remembered(name)
            if content.__class__ is str:
                fields[key] = as_bytes(content)
            else:
                fields[key] = as_fields(content)
        return fields

    def _remembered(self, name: str) -> bytes:
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        key = as_bytes(name)
        self._names[name] = key
        return key


def _from_msgpack(value: bytes) -> Any:
    return msgpack.unpackb(value, raw=True, strict_map_key=False)


def _header(headers: Any, name: str) -> bytes | None:
    for header, value in headers or ():
        if header == name and value is not None:
            return bytes(value)
    return None


def _tag_source(given: str) -> tuple[str | None, Callable[[Any], Any] | None]:
    """The header and the field that have the tag; None where it is not there."""
    kind, _, name = given.partition(":")
    if given == "topic":
        return None, None
    if kind == "header" and name:
        return name, None
    if kind == "field" and name:
        return None, field_getter(name)
    raise ConfigError(f"record_tag must be topic, header:NAME or field:NAME, got {given!r}")


class Addressed(dict[bytes, Any]):
    """A record that is meant for one of its sessions.

    A message that names several sessions belongs to several partitions. `kafka-key` writes a copy
    for each session; without the address each copy would be an event of all of them.
    """

    __slots__ = ("session",)

    def __init__(self, record: dict[bytes, Any], session: SessionKey) -> None:
        super().__init__(record)
        self.session = session


class AddressedReader(EventReader):
    """An `EventReader` that gives, of an `Addressed` record, only its own session."""

    def read(self, tag: bytes, record: Any) -> Read:
        """As `EventReader.read`; a copy whose session it does not name has `no_session_key`."""
        if record.__class__ is not Addressed:
            return EventReader.read(self, tag, record)
        log_key, text, keys, note = EventReader.read(self, tag, dict(record))
        if record.session not in keys:
            raise RecordError("no_session_key", "the copy is meant for a session it does not name")
        return log_key, text, [record.session], note

    def read_all(self, tag: bytes, events: Events, aside: Aside) -> Iterator[Found]:
        """As `EventReader.read_all`, each record by `read`."""
        return reading_by(self.read)(tag, events, aside)
