"""Where a session's own key stands in templates: there a sentence shows it in place of the mask."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable

from ..reading.wildcards import WILDCARD

# The word before a mask: the one that it touches, or else the one before the blank.
_WORD_BEFORE = re.compile(r"(?:\S+|\S*\s+)\Z")
_QUOTED = re.compile("“[^”]*”")
# Templates whose places of masks are remembered; a bundle has some hundreds.
_MOST_TEMPLATES = 4_096


class OwnKey:
    """The key of a session, at the places where it stood each time in the session's messages.

    A place is a mask with the word before it. At any other place the mask may stand for the id of
    something else. `messages` are pairs of a template and the values of its masks, in order;
    `keys` are the parts of the session's key.

    >>> own = OwnKey([("parcel=<id> left", ["P17"])], ["P17"])
    >>> own.put_into("parcel=<id> is on trailer TR-<id>")
    'parcel=P17 is on trailer TR-<id>'
    """

    def __init__(
        self, messages: Iterable[tuple[str, Iterable[str]]], keys: Collection[str]
    ) -> None:
        seen: dict[str, set[str]] = {}
        for template, values in messages:
            for place, value in zip(_places(template), values, strict=False):
                seen.setdefault(place, set()).add(value)
        self._values = {
            place: next(iter(values))
            for place, values in seen.items()
            if len(values) == 1 and not values.isdisjoint(keys)
        }

    def put_into(self, template: str) -> str:
        """A template that shows the key where it stands."""
        if not self._values:
            return template
        parts = WILDCARD.split(template)
        for i, place in enumerate(_places(template)):
            name = parts[2 * i + 1]
            parts[2 * i + 1] = self._values.get(place, f"<{name}>")
        return "".join(parts)

    def put_into_quotes(self, sentence: str) -> str:
        """A sentence whose quoted templates show the key."""
        if not self._values:
            return sentence
        return _QUOTED.sub(lambda quoted: f"“{self.put_into(quoted[0][1:-1])}”", sentence)


@functools.lru_cache(_MOST_TEMPLATES)
def _places(template: str) -> tuple[str, ...]:
    """The masks of a template, each with the word before it.

    >>> _places("parcel=<id> is on trailer <id>")
    ('parcel=<id>', 'trailer <id>')
    """
    found = []
    for mask in WILDCARD.finditer(template):
        before = _WORD_BEFORE.search(template, 0, mask.start())
        found.append((before[0] if before else "") + mask[0])
    return tuple(found)
