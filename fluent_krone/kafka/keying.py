"""The work of `fluent-krone kafka-key`: messages get the keys of their sessions, and nothing else.

It keeps no state, so any number of instances may share the partitions. A message of several
sessions is written once for each of them; each copy names the session that it is meant for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..config import Config
from ..detect.bundle import Bundle
from ..errors import RecordError
from .clients import LARGEST_BYTES, Clients, Topics, ensure_keyed
from .forms import error_copy
from .records import SESSION_HEADER, TAG_HEADER, Addressed, AddressedReader, Decoder, session_header
from .transactions import Out
from .work import InstanceWork, PartitionWork

# Headers that are written anew, and so are not handed on.
_OWN_HEADERS = (SESSION_HEADER, TAG_HEADER)
# Bytes that a message's key and headers may take besides its value.
_ENVELOPE_BYTES = 64 * 2**10


class KeyedPartition(PartitionWork):
    """One partition whose messages get keys."""

    def __init__(self, keying: Keying) -> None:
        self._keying = keying
        self._pending: list[Out] = []

    def feed(self, messages: Sequence[Any], now_ns: int) -> int:
        """Give messages their keys. One without a session is left out, and counted."""
        keying = self._keying
        for tag, (_, record), message in keying.decoder.tagged(messages):
            keying.counters["records"] += 1
            try:
                if isinstance(record, RecordError):
                    raise record
                self._key(tag, record, message)
            except RecordError as error:
                keying.counters[f"set_aside_{error.reason}"] += 1
                if error.reason in ("undecodable", "too_large"):
                    self._pending.append(error_copy(keying.errors_topic, message, error))
        return len(messages)

    def outs(self, position: int) -> list[Out]:
        """The keyed messages since the last call."""
        found = self._pending
        self._pending = []
        return found

    def _key(self, tag: str, record: Any, message: Any) -> None:
        value = message.value()
        if len(value) > LARGEST_BYTES - _ENVELOPE_BYTES:
            raise RecordError("too_large", f"{len(value)} bytes are more than we can write")
        keys = self._keying.keys(tag, record)
        handed_on = [
            (name, content) for name, content in message.headers() or () if name not in _OWN_HEADERS
        ]
        handed_on.append((TAG_HEADER, tag.encode("utf-8", "surrogateescape")))
        for key in keys:
            headers = handed_on
            if len(keys) > 1 or record.__class__ is Addressed:
                headers = [*handed_on, (SESSION_HEADER, session_header(key))]
            self._keying.counters["messages_keyed"] += 1
            self._pending.append(
                Out(
                    self._keying.output_topic,
                    b" ".join(key),
                    value,
                    headers=headers,
                    timestamp=message.timestamp()[1],
                )
            )


class Keying(InstanceWork):
    """What the partitions of one instance share: how records are read."""

    def __init__(self, bundle: Bundle, config: Config, clients: Clients) -> None:
        assert config.output_topic
        self.output_topic = config.output_topic
        self.errors_topic = Topics.of(config.group).errors
        self.counters: Counter[str] = Counter()
        self._config = config
        self._clients = clients
        self._events = bundle.shared(config, AddressedReader).events
        self.decoder = Decoder(config, self._message_field(bundle))

    def partition(self, number: int) -> KeyedPartition:
        """The work for a partition."""
        return KeyedPartition(self)

    def prepare(self, partition: int) -> None:
        """Create the topics that are missing."""
        ensure_keyed(self._clients, self._config)

    def keys(self, tag: str, record: Any) -> Sequence[tuple[bytes, ...]]:
        """The session keys of a record. Raises RecordError where it belongs to no session."""
        return self._events.read(tag.encode("utf-8", "surrogateescape"), record)[2]

    def stats(self) -> dict[str, float]:
        """Counters of all partitions."""
        return dict(self.counters)

    def _message_field(self, bundle: Bundle) -> str:
        return self._config.message_field or bundle.input_settings.message_field
