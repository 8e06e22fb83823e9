"""Record → event, by one look-up for a record whose shape was seen before.

1. The *shape* of a message is the message with every digit replaced by "0".
2. Which template a message has depends on its shape alone, unless templates hold digits. So does
   the place of its session key, if the key's regex treats all digits alike.
3. The first record of a shape goes the long way, through `RecordReader` and `TemplateMatcher`. What
   they answered is remembered under the component and the shape.
4. A later record of that shape is one look-up, and its session key is a slice of its message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .cache import Generation
from .records import RecordReader, SessionKey
from .templates import LONGEST_SHAPE, ZEROED, TemplateMatcher

# `[start, end)` of a session key in its message.
Span = tuple[int, int]
# Shape → log key and spans.
Shapes = dict[bytes, tuple[int, tuple[Span, ...]]]


class EventReader:
    """The reader and the matcher of one stream as one. Gives what they give.

    >>> from .records import InputSettings
    >>> reader = RecordReader(InputSettings(session_key=("/blk_-?[0-9]+/",)))
    >>> events = EventReader(reader, TemplateMatcher(["served blk_<num>"]))
    >>> [events.read(b"app", {b"message": m}) for m in (b"served blk_7", b"served blk_8")]
    [(0, b'served blk_7', [(b'blk_7',)]), (0, b'served blk_8', [(b'blk_8',)])]
    """

    def __init__(
        self, reader: RecordReader, matcher: TemplateMatcher, cache_size: int = 100_000
    ) -> None:
        self._reader = reader
        self._matcher = matcher
        # Component → what stands before its messages, and their shapes: log key and spans of the
        # session keys. There are no spans where the keys are not in the message, or where another
        # message of the same shape may have them elsewhere.
        self._components: dict[bytes | None, tuple[bytes, Shapes]] = {}
        self._generation = Generation(cache_size, self._forget)
        settings = reader.settings
        self._message = settings.message_field.encode()
        self._component = _name(settings.component_field)
        names = (settings.message_field, settings.component_field or "")
        self._can_remember = settings.line_format is None and not any(
            name.startswith("$.") for name in names
        )
        self._has_spans = reader.sole_regex is not None and takes_digits_alike(
            settings.session_key[0]
        )

    def read(self, tag: bytes, record: Any) -> tuple[int, bytes, Sequence[SessionKey]]:
        """Log key, the text that was matched, and session keys.

        Raises RecordError as `RecordReader.read` does.
        """
        try:
            message = record[self._message]
            component = None
            if self._component is not None:
                component = record[self._component]
            prefix, shapes = self._components[component]
            log_key, spans = shapes[message.translate(ZEROED)]
            if len(spans) == 1:
                start, end = spans[0]
                return log_key, prefix + message, [(message[start:end],)]
            if spans:
                found = {(message[start:end],): None for start, end in spans}
                return log_key, prefix + message, self._reader.capped(list(found))
            return log_key, prefix + message, self._reader.keys(tag, record, message)
        # There is no such shape yet, or the record is no map, or its message is not bytes.
        except (LookupError, TypeError, AttributeError):
            return self._read(tag, record)

    def _read(self, tag: bytes, record: Any) -> tuple[int, bytes, Sequence[SessionKey]]:
        """The long way."""
        text, keys = self._reader.read(tag, record)
        log_key = self._matcher.match(text)
        if self._can_remember:
            self._remember(record, text, log_key)
        return log_key, text, keys

    def _remember(self, record: Any, text: bytes, log_key: int) -> None:
        message = record.get(self._message)
        component = None
        if self._component is not None:
            component = record.get(self._component)
        if (
            message.__class__ is not bytes
            or len(text) > LONGEST_SHAPE
            or not self._matcher.is_sure(text)
        ):
            return
        if component is not None and component.__class__ is not bytes:
            return
        prefix = b""
        if component:
            prefix = self._reader.prefix(component)
        if text != prefix + message:
            # The message was cut or stripped, so the spans would lie elsewhere.
            return
        self._generation.take()
        _, shapes = self._components.setdefault(component, (prefix, {}))
        shapes[message.translate(ZEROED)] = (log_key, self._spans(message))

    def _forget(self) -> None:
        self._components = {}

    def _spans(self, message: bytes) -> tuple[Span, ...]:
        regex = self._reader.sole_regex
        if regex is None or not self._has_spans:
            return ()
        spans = (found.span(regex.groups) for found in regex.finditer(message))
        return tuple(span for span in spans if span[0] < span[1])


def _name(field: str | None) -> bytes | None:
    if not field:
        return None
    return field.encode()


def takes_digits_alike(pattern: str) -> bool:
    """Whether a regex matches wherever it would if any digit were another.

    False where that is not plain to see.

    >>> [takes_digits_alike(p) for p in ("blk_-?[0-9]+", r"id=(\\w{3,8})", "node7", "[1-9][0-9]*")]
    [True, True, False, False]
    """
    # An escaped bracket opens no class.
    plain = re.sub(r"\\\W", "", pattern)
    # Characters by number, back-references, and braces within a class are not looked into.
    if re.search(r"\\[^\W_]?\d|\(\?P?[=(]|\[\^?\]|\[[^\]]*\{|-0-9", plain):
        return False
    classes_without = re.sub(r"\[[^\]]+\]", lambda found: found[0].replace("0-9", ""), plain)
    return not re.search(r"\d", re.sub(r"\{\d*,?\d*\}", "", classes_without))
