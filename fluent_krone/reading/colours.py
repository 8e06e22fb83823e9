"""Colours and other control sequences of a terminal, which belong to no message."""

from __future__ import annotations

import re

# The escape character begins them. A daemon that takes it for a danger writes it in letters: `#033`
# (rsyslog), `^[` (the syslog of BSD). Then only colours are sequences, and behind one without a
# number there is no letter: `^[[mail]` is none.
_FORM = (
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])"
    r"|(?:#033|\^\[)\[(?:[0-9][0-9;]*m|m(?![0-9A-Za-z_]))"
)
_IN_TEXT = re.compile(_FORM)
_IN_BYTES = re.compile(_FORM.encode())


def has_colours(message: bytes) -> bool:
    """Whether there may be something in a message for `bare_bytes` to take away."""
    return b"\x1b" in message or b"#033[" in message or b"^[[" in message


def bare_bytes(message: bytes) -> bytes:
    """A message without colours.

    >>> bare_bytes(b"\\x1b[32mpaid\\x1b[0m 7"), bare_bytes(b"#033[32mpaid#033[0m 7")
    (b'paid 7', b'paid 7')
    """
    return _IN_BYTES.sub(b"", message) if has_colours(message) else message


def bare_text(text: str) -> str:
    """A text without colours."""
    if "\x1b" in text or "#033[" in text or "^[[" in text:
        return _IN_TEXT.sub("", text)
    return text
