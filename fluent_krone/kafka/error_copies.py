"""Messages that are set aside, on their way to the topic of errors."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import RecordError
from .forms import HeldMessage
from .transactions import Out

_log = logging.getLogger(__name__)

# Bytes of a message that are copied. The message itself stays where it is, and the headers of the
# copy say where that is; so nothing is lost as long as the topic keeps it.
_COPIED_BYTES = 64 * 2**10


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
