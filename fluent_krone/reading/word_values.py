"""Which words of a new message are values, as the templates of a bundle tell.

A word such as `v3` or `currency=EUR` may be a value, or it may say what happened. One message does
not tell. The bundle does: where it has `v<num>` or `currency=<*>`, training met many values there,
and a new version of the program means the same by such a word as the old one did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .mask import SAYS
from .templates import WILDCARD

_DIGITS = re.compile(r"[0-9]+")
# A letter right before a number, which makes the number a part of a word.
_NUMBERED = re.compile(r"[^\W\d_][_-]?<num>")
# A key and its value, with the comma that may follow.
_KEY_VALUE = re.compile(r"([\w.\-]+)=(.+?)([,;]?)")


def numbered(word: str) -> str:
    """A word with `<num>` for its digits.

    >>> numbered("model=v3")
    'model=v<num>'
    """
    return _DIGITS.sub("<num>", word)


def has_numbered_word(text: str) -> bool:
    """Whether a template has a number as a part of a word.

    >>> has_numbered_word("sorted by v<num>"), has_numbered_word("sorted <num> hits")
    (True, False)
    """
    return _NUMBERED.search(text) is not None


class WordValues:
    """Knows from templates which words are values.

    A word that other templates have as it is may tell steps apart, so it is no value.

    >>> values = WordValues(["ranked <num> hits by v<num>", "paid <num> currency=<*>"])
    >>> values.masked("sorted <num> hits by v3"), values.masked("booked currency=EUR")
    ('sorted <num> hits by v<num>', 'booked currency=<*>')
    """

    def __init__(self, templates: Iterable[str]) -> None:
        # Worked out when it is first asked for: most services never see a deploy.
        self._templates = templates
        self._numbered: frozenset[str] | None = None
        self._keys: frozenset[str] = frozenset()

    def masked(self, text: str) -> str:
        """A masked message with wildcards for those of its words that are values."""
        if self._numbered is None:
            self._numbered = self._learn()
        if not self._numbered and not self._keys:
            return text
        return " ".join(map(self._word, text.split(" ")))

    def _word(self, word: str) -> str:
        assert self._numbered is not None, "BUG: asked before it was learnt"
        shape = numbered(word)
        if shape != word and shape in self._numbered:
            return shape
        pair = _KEY_VALUE.fullmatch(word)
        if pair is not None and pair[1] in self._keys and not WILDCARD.search(word):
            return f"{pair[1]}=<*>{pair[3]}"
        return word

    def _learn(self) -> frozenset[str]:
        """The words with numbers; and the keys whose values vary, which are kept."""
        words = {word for text in self._templates for word in text.split(" ")}
        literal = {word for word in words if not WILDCARD.search(word)}
        varying = set()
        said = set()
        for word in words:
            pair = _KEY_VALUE.fullmatch(word)
            if pair is None:
                continue
            if pair[2].strip('"') == "<*>":
                varying.add(pair[1])
            elif word in literal:
                said.add(pair[1])
        self._keys = frozenset(varying - said - SAYS)
        names = {numbered(word) for word in literal}
        return frozenset(
            word for word in words - names if has_numbered_word(word) and word == numbered(word)
        )
