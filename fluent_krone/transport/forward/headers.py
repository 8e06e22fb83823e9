"""Which kind of msgpack object begins with a byte, and how long it says it is."""

from __future__ import annotations

# Bytes of a tag. Each open session and each alert keeps one, so a longer one is cut. It is not an
# error, after which a pipe would get the same chunk again for ever.
MAX_TAG_BYTES = 2**10
# Bytes of an option or of a control map, which are built whole. Real ones have a few hundred.
MAX_OPTION_BYTES = 2**16
NOT_FORWARD = "not a Forward message"

# First byte of a str, bin or array with a length field => bytes of that field.
_LENGTH_FIELDS = {
    0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4,
}  # fmt: skip


# First bytes of what other clients send, and what to do about it.
_FOREIGN = {
    b"[": "this is JSON: turn off MarshalAsJSON in Go's fluent-logger, or send msgpack",
    b"{": "this is JSON: send msgpack",
    b"\x16\x03": "this is TLS: turn it off at the client, or set tls_cert_path here",
    b"GET ": "this is HTTP",
    b"HEAD": "this is HTTP",
    b"POST": "this is HTTP",
    b"PUT ": "this is HTTP",
}


def foreign_protocol(start: bytes) -> str:
    """Say what a stream that begins so is instead of Forward, in brackets; nothing if unknown."""
    for beginning, words in _FOREIGN.items():
        if start.startswith(beginning):
            return f" ({words})"
    return ""


def is_array(kind: int) -> bool:
    """Whether an array begins with this byte."""
    return 0x90 <= kind <= 0x9F or kind in (0xDC, 0xDD)


def is_map(kind: int) -> bool:
    """Whether a map begins with this byte."""
    return 0x80 <= kind <= 0x8F or kind in (0xDE, 0xDF)


def is_text(kind: int) -> bool:
    """Whether a str or bin begins with this byte."""
    return 0xA0 <= kind <= 0xBF or kind in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB)


def length_at(packed: bytes, at: int) -> tuple[int, int]:
    """Return the length that a str, bin or array says it has, and the bytes of its header.

    Raises IndexError when the header is cut.

    >>> length_at(b"\\xdc\\x01\\x00", 0), length_at(b"\\xa3abc", 0)
    ((256, 3), (3, 1))
    """
    kind = packed[at]
    field = _LENGTH_FIELDS.get(kind, 0)
    if field:
        digits = packed[at + 1 : at + 1 + field]
        if len(digits) < field:
            raise IndexError("the header is cut")
        return int.from_bytes(digits, "big"), 1 + field
    if is_array(kind):
        return kind & 0x0F, 1
    return kind & 0x1F, 1
