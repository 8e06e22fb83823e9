"""Messages with fields added, in each form that records have, and copies of those set aside.

All else of a message stays as it came. `pack` turns fields into bytes, and several of these can be
joined; `with_fields` adds them to a message. Where the form has no place for fields (`text`), they
become headers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgpack

from ..errors import RecordError
from ..keeping import entries
from ..keeping.entries import plain
from ..transport.forward import encode_event_time
from .records import SESSION_HEADER, TAG_HEADER, Decoder
from .transactions import Out

_log = logging.getLogger(__name__)

# The number of fields, and their bytes.
Fields = tuple[int, bytes]
Headers = list[tuple[str, bytes]]
# The header in which a message that we write has its tag.
TAG = "tag"
# Headers that mean something to us alone, or that we set anew.
_OURS = frozenset((TAG_HEADER, SESSION_HEADER, TAG))
# Stands in front of a msgpack record where it is taken for an entry, which begins with its time.
_HEAD = b"\x92" + msgpack.packb(encode_event_time(1))
# Bytes of a message that are copied. The message itself stays where it is, and the headers of the
# copy say where that is; so nothing is lost as long as the topic keeps it.
_COPIED_BYTES = 64 * 2**10


class HeldMessage(NamedTuple):
    """A message as it came. `time_ms` is Kafka's own."""

    offset: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()

    @classmethod
    def of(cls, message: Any) -> HeldMessage:
        """A message of the client, without what the broker may forget."""
        return cls(
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value() or b"",
            message.headers() or (),
        )

    @property
    def other_headers(self) -> Headers:
        """The headers that are handed on."""
        return [(name, value) for name, value in self.headers if name not in _OURS]


class Form(Protocol):
    """How fields are added to messages of one form."""

    def pack(self, fields: Mapping[str, Any]) -> Fields:
        """The fields that have a value."""

    def with_fields(
        self, message: HeldMessage, index: int, fields: Fields
    ) -> tuple[bytes, Headers]:
        """Value and headers of the record number `index` in a message. Raises NotARecord."""


def form_of(record_format: str, decoder: Decoder) -> Form:
    """The form of the messages that a decoder reads."""
    if record_format == "json":
        return _Json()
    if record_format == "msgpack":
        return _Msgpack()
    if record_format == "text":
        return _Text()
    return _Otlp(decoder)


class _Json:
    """Fields go behind the last one of the object, whose bytes stay as they are."""

    def pack(self, fields: Mapping[str, Any]) -> Fields:
        """Each field with a comma before it."""
        given = {name: value for name, value in fields.items() if value is not None}
        texts = (f",{_text(name)}:{_text(value)}" for name, value in given.items())
        return len(given), "".join(texts).encode("utf-8", "surrogateescape")

    def with_fields(
        self, message: HeldMessage, index: int, fields: Fields
    ) -> tuple[bytes, Headers]:
        """As `Form` says."""
        value = message.value.strip()
        if value[:1] != b"{" or value[-1:] != b"}":
            raise entries.NotARecord("a message is no JSON object")
        if not fields[0]:
            return message.value, message.other_headers
        begin = value[:-1].rstrip()
        added = fields[1]
        if begin == b"{":
            added = added[1:]
        return begin + added + b"}", message.other_headers


class _Msgpack:
    """The map's header gets a larger number; the fields go behind its last one."""

    pack = staticmethod(entries.packed_fields)

    def with_fields(
        self, message: HeldMessage, index: int, fields: Fields
    ) -> tuple[bytes, Headers]:
        """As `Form` says."""
        if not message.value:
            raise entries.NotARecord("a message is empty")
        entry = entries.with_fields(_HEAD + message.value, fields, 1)
        return entry[len(_HEAD) :], message.other_headers


class _Text:
    """A line stays as it is, and the fields are headers."""

    pack = staticmethod(entries.packed_fields)

    def with_fields(
        self, message: HeldMessage, index: int, fields: Fields
    ) -> tuple[bytes, Headers]:
        """As `Form` says."""
        reader = msgpack.Unpacker(unicode_errors="surrogateescape")
        reader.feed(fields[1])
        headers = message.other_headers
        for _ in range(fields[0]):
            name = reader.unpack()
            value = reader.unpack()
            if isinstance(value, list):
                value = " ".join(value)
            headers.append((name, str(value).encode("utf-8", "surrogateescape")))
        return message.value, headers


class _Otlp(_Json):
    """Each record of a request is an object of its own, as it was read."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        # The request that was read last: its records are asked for one after the other.
        self._last: tuple[int, Any] = (-1, None)

    def with_fields(
        self, message: HeldMessage, index: int, fields: Fields
    ) -> tuple[bytes, Headers]:
        """As `Form` says."""
        if self._last[0] != message.offset:
            self._last = (message.offset, self._decoder.decode(message.value))
        logs = self._last[1]
        if not isinstance(logs, list) or index >= len(logs):
            raise entries.NotARecord("a message is no request of logs")
        value = _text(plain(logs[index][1])).encode("utf-8", "surrogateescape")
        return super().with_fields(message._replace(value=value), index, fields)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def error_copy(errors_topic: str, message: Any, error: RecordError) -> Out:
    """The copy of a message that was set aside; a log line is written as well."""
    source = (message.topic(), message.partition())
    return error_copy_of(errors_topic, source, HeldMessage.of(message), error)


def error_copy_of(
    errors_topic: str, source: tuple[str, int], message: HeldMessage, error: RecordError
) -> Out:
    """The same of a message of this topic and partition, as it is held."""
    topic, partition = source
    value = message.value
    _log.warning(
        "message set aside topic=%s partition=%d offset=%d bytes=%d reason=%s",
        topic,
        partition,
        message.offset,
        len(value),
        error,
    )
    headers = [
        ("reason", error.reason.encode()),
        ("topic", topic.encode()),
        ("partition", b"%d" % partition),
        ("offset", b"%d" % message.offset),
        ("bytes", b"%d" % len(value)),
    ]
    key = (message.key or b"")[:_COPIED_BYTES]
    return Out(errors_topic, key, value[:_COPIED_BYTES], headers=headers)
