"""Record → event, in one look-up for a record of a shape seen before.

The shape of a message is the message with every digit made "0". Which template it has hangs on the shape alone (but
where templates hold digits), and so does where its session key lies, if the key's regex takes all digits alike. The
first record of a shape goes the long way, through `RecordReader` and `TemplateMatcher`; what they said is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .records import RecordReader, SessionKey
from .templates import LONGEST_SHAPE, ZEROED, TemplateMatcher

Span = tuple[int, int]


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
        self._cache_size = cache_size
        self._remembered = 0
        # Component → what stands before its messages, and their shapes: log key and spans of session keys; no spans
        # where the keys are not in the message, or not where they were.
        self._components: dict[
            bytes | None, tuple[bytes, dict[bytes, tuple[int, tuple[Span, ...]]]]
        ] = {}
        settings = reader.settings
        self._message, self._component = (
            settings.message_field.encode(),
            _name(settings.component_field),
        )
        names = (settings.message_field, settings.component_field or "")
        self._can_remember = settings.line_format is None and not any(
            name.startswith("$.") for name in names
        )
        self._has_spans = reader.sole_regex is not None and takes_digits_alike(
            settings.session_key[0]
        )

    def read(self, tag: bytes, record: Any) -> tuple[int, bytes, Sequence[SessionKey]]:
        """Log key, the text that was matched, session keys. Raises RecordError as `RecordReader.read` does."""
        try:
            message = record[self._message]
            prefix, shapes = self._components[record[self._component] if self._component else None]
            log_key, spans = shapes[message.translate(ZEROED)]
            if len(spans) == 1:
                start, end = spans[0]
                return log_key, prefix + message, [(message[start:end],)]
            if spans:
                found = {(message[start:end],): None for start, end in spans}
                return log_key, prefix + message, self._reader.capped(list(found))
            return log_key, prefix + message, self._reader.keys(tag, record, message)
        except (LookupError, TypeError, AttributeError):  # no such shape yet; no map, no bytes
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
        component = record.get(self._component) if self._component else None
        if (
            message.__class__ is not bytes
            or len(text) > LONGEST_SHAPE
            or not self._matcher.is_sure(text)
        ):
            return
        if component is not None and component.__class__ is not bytes:
            return
        prefix = self._reader.prefix(component) if component else b""
        if text != prefix + message:  # it was cut, or stripped
            return
        if self._remembered >= self._cache_size:
            self._components, self._remembered = {}, 0
        _, shapes = self._components.setdefault(component, (prefix, {}))
        shapes[message.translate(ZEROED)] = (log_key, self._spans(message))
        self._remembered += 1

    def _spans(self, message: bytes) -> tuple[Span, ...]:
        regex = self._reader.sole_regex
        if regex is None or not self._has_spans:
            return ()
        spans = (found.span(regex.groups) for found in regex.finditer(message))
        return tuple(span for span in spans if span[0] < span[1])


def _name(field: str | None) -> bytes | None:
    return field.encode() if field else None


def takes_digits_alike(pattern: str) -> bool:
    """Whether a regex matches wherever it would if any digit were another; False where that is not plain to see.

    >>> [takes_digits_alike(p) for p in ("blk_-?[0-9]+", r"id=(\\w{3,8})", "node7", "[1-9][0-9]*")]
    [True, True, False, False]
    """
    plain = re.sub(r"\\\W", "", pattern)  # an escaped bracket is none
    if re.search(r"\\[^\W_]?\d|\(\?P?[=(]|\[\^?\]|\[[^\]]*\{|-0-9", plain):
        return False  # characters by number, back-references, braces within a class
    classes_without = re.sub(r"\[[^\]]+\]", lambda found: found[0].replace("0-9", ""), plain)
    return not re.search(r"\d", re.sub(r"\{\d*,?\d*\}", "", classes_without))
