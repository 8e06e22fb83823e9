"""The values of fields as the reader has them: texts are bytes."""

from __future__ import annotations

from typing import Any

from .accessor import joined


def as_bytes(value: Any) -> bytes:
    """A field's value as text in bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return joined(value)
    text = str(value)
    try:
        # Without the name of the codec, this is twice as fast.
        return text.encode()
    except UnicodeEncodeError:
        return _with_surrogates(text)


def _with_surrogates(text: str) -> bytes:
    """A text with characters that stand for bytes that are no UTF-8, or with halves of others."""
    try:
        return text.encode("utf-8", "surrogateescape")
    # JSON's \ud800 is half a character.
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def as_fields(value: Any) -> Any:
    """A record, or a part of it, as the inputs hand it on: names and texts are bytes, numbers stay.

    >>> as_fields({"message": "hi", "http": {"status": 500}})
    {b'message': b'hi', b'http': {b'status': 500}}
    """
    if isinstance(value, str):
        return as_bytes(value)
    if isinstance(value, dict):
        return {as_bytes(name): as_fields(v) for name, v in value.items()}
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list):
        return [as_fields(v) for v in value]
    return as_bytes(value)
