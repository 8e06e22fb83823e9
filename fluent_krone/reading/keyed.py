"""The template of a message whose session key is the only thing in it that is not digits alone.

Session keys are often UUIDs or hexadecimal. Such a message has a new shape every time (see
`events.py`), but without its key it has not:

1. The key's regular expression is searched for, which has to be done for every record anyway.
2. What is left of the message when the key is taken out, with zeroed digits, is its *frame*.
3. The first message of a frame is matched. Its log key is remembered if no other key could give
   another template (`TemplateMatcher.is_sure_but_for`), and if the rest of the message holds no
   second key, whatever its digits are.
4. Any later message of that frame has this log key, if its own key is one word that is part of no
   template.
"""

from __future__ import annotations

import re

from .cache import Generation
from .templates import TemplateMatcher
from .wildcards import ZEROED

# Bytes of a message whose frame is remembered.
_LONGEST_FRAME = 1000
# What a remembered frame costs besides its own bytes.
_ENTRY_BYTES = 150
# Assertions look at what is around a match, which would not be the same for another key.
_ASSERTIONS = re.compile(r"\\[bBAZ]|\(\?<?[=!]|(?<!\[)(?<!\\)\^|\$")
# Keys with zeroed digits of one component: ids of digits have one for each length, and those of
# letters have ever new ones.
_MOST_FORMS = 64
# Stands for the log key of a frame that may have several: it need not be looked into again.
_UNSURE = -1
# What stands for the key in a frame; no text holds it.
_HOLE = b"\x00"


def can_be_keyed(pattern: str) -> bool:
    """Whether a key's regular expression, without its slashes, looks at nothing but its match.

    >>> [can_be_keyed(pattern) for pattern in ("req=([0-9a-f-]{36})", r"\\b[0-9a-f]+", "^x")]
    [True, False, False]
    """
    return _ASSERTIONS.search(pattern) is None


class KeyedFrames:
    """Frames of the messages of one component, or of a stream without components.

    `regex` must treat all digits alike, and `can_be_keyed`.
    """

    __slots__ = (
        "_forms",
        "_frames",
        "_generation",
        "_group",
        "_matcher",
        "_may_stand_for",
        "_search",
    )

    def __init__(
        self, regex: re.Pattern[bytes], matcher: TemplateMatcher, generation: Generation
    ) -> None:
        self._search = regex.search
        self._group = regex.groups
        self._matcher = matcher
        self._may_stand_for = matcher.may_stand_for
        self._generation = generation
        self._frames: dict[bytes, int] = {}
        # Session keys with zeroed digits, as long as there are few of them; None from then on.
        self._forms: set[bytes] | None = set()

    def find(self, message: bytes) -> tuple[int, bytes] | None:
        """Log key and session key of a message whose frame is remembered."""
        found = self._search(message)
        if found is None:
            return None
        start, end = found.span(self._group)
        frame = (message[:start] + _HOLE + message[end:]).translate(ZEROED)
        log_key = self._frames.get(frame, _UNSURE)
        if log_key == _UNSURE:
            return None
        key = message[start:end]
        # A group that took no part in the match has no key.
        if not key or not self._may_stand_for(key):
            return None
        return log_key, key

    def is_numbered(self, key: bytes) -> bool:
        """Whether session keys differ in their digits alone, so that shapes come again."""
        if self._forms is None:
            return False
        self._forms.add(key.translate(ZEROED))
        if len(self._forms) > _MOST_FORMS:
            self._forms = None
        return True

    def learn(self, message: bytes, prefix: bytes, log_key: int) -> None:
        """Remember the frame of a message that stands behind `prefix`, if that is sure."""
        found = self._search(message)
        if found is None or len(message) > _LONGEST_FRAME or _HOLE in message:
            return
        start, end = found.span(self._group)
        if start >= end or self._search(message, found.end()) is not None:
            return
        frame = (message[:start] + _HOLE + message[end:]).translate(ZEROED)
        if frame in self._frames:
            return
        shift = len(prefix)
        if not self._matcher.is_sure_but_for(prefix + message, start + shift, end + shift):
            log_key = _UNSURE
        self._generation.take(_ENTRY_BYTES + len(frame))
        self._frames[frame] = log_key
