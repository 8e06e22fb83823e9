"""Message → log key: a frozen template matcher whose cost does not grow with its templates.

Where several templates match a message, the one with the most literal characters wins, then the one
with the fewest wildcards, then the first. How that one is found without trying them all:

1. The *vocabulary* is every word that some template must have in its messages, wherever its
   wildcards end (`Template.words`).
2. Those words of a message that are in the vocabulary, in their order, are its *key*. Values such
   as ids and numbers are hardly ever in the vocabulary, so messages of one kind have one key.
3. A template can match only if its words are found in the key, in their order. The first message
   of a key finds these candidates by the rarest word of each template; they are remembered, in the
   order in which they win.
4. The first candidate whose regular expression matches is the template.

So a message costs one split into words, one look-up and mostly one regular expression, whether
there are 20 templates or 2,000, and whatever the values look like.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from .cache import Generation
from .wildcards import WILDCARD, ZEROED, Template, separated

__all__ = ["UNMATCHED", "WILDCARD", "TemplateMatcher", "novel_shape", "template_id"]

# The log key of a message that matches no template, where the caller names no other.
UNMATCHED = -1
_HAS_DIGIT = re.compile(rb"\S*\d\S*")
# Bytes of all remembered keys and their candidates. A log with more kinds of messages than fit
# works out the candidates of some of them again, at some microseconds each.
_KEY_BYTES = 16_000_000
# Bytes of a key that is remembered. Longer messages are free text, in which words come in ever new
# orders.
_LONGEST_KEY = 1000
# What a remembered key costs besides its own bytes: two objects and a place in the dictionary; and
# what each of its candidates costs (a pair and a pointer).
_ENTRY_BYTES = 200
_ITEM_BYTES = 80

_Match = Callable[[bytes], Any]
# The first candidate's match and number, and the pairs of the others: mostly there is one, and
# every object less is one place in memory less.
_Candidates = tuple[_Match, int, tuple[tuple[_Match, int], ...]]


def template_id(text: str) -> str:
    """16 hex digits of a hash of the text.

    So a template keeps its id when a bundle is exported again, and no id ever changes its meaning.
    """
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def novel_shape(message: bytes) -> bytes:
    """A coarse template for a message that matched none, at most 200 bytes long.

    Words with a digit become `<*>`.

    >>> novel_shape(b"lost block blk_17 after 3 tries")
    b'lost block <*> after <*> tries'
    """
    return _HAS_DIGIT.sub(b"<*>", message[:400])[:200]


class _Index:
    """Templates by their words; see the steps above. `order` is that in which templates win."""

    def __init__(self, templates: Sequence[Template], order: Sequence[int]) -> None:
        self._templates = templates
        self._rank = {i: rank for rank, i in enumerate(order)}
        uses = Counter(word for i in order for word in set(templates[i].words))
        # Of a set, since that of a dictionary's keys is six times slower.
        self.in_vocabulary = frozenset(uses).__contains__
        # Templates by the rarest of their words; those without one may match any message.
        self._by_word: dict[bytes, list[int]] = {}
        self._wordless: list[int] = []
        for i in order:
            words = templates[i].words
            if words:
                rarest = min(words, key=lambda word: (uses[word], word))
                self._by_word.setdefault(rarest, []).append(i)
            else:
                self._wordless.append(i)
        # Key → candidates. A key is its words in one bytes object: comparing a tuple of words
        # would read each of them from another place in memory.
        self._candidates: dict[bytes, _Candidates] = {}
        self._generation = Generation(_KEY_BYTES, self._candidates.clear)

    def first(self, message: bytes) -> int | None:
        """The template that wins among those that match."""
        key = b" ".join(filter(self.in_vocabulary, separated(message).split()))
        candidates = self._candidates.get(key)
        if candidates is None:
            candidates = self._find(key)
        match, i, others = candidates
        if match(message):
            return i
        for match, i in others:
            if match(message):
                return i
        return None

    def best_candidate(self, message: bytes) -> int | None:
        """The template that would win if all that have their words in the message matched."""
        key = b" ".join(filter(self.in_vocabulary, separated(message).split()))
        match, i, _ = self._find(key)
        if match is _matches_nothing:
            return None
        return i

    def _find(self, key: bytes) -> _Candidates:
        words = key.split()
        found = [*self._wordless]
        for word in set(words):
            found += [
                i
                for i in self._by_word.get(word, ())
                if _is_subsequence(self._templates[i].words, words)
            ]
        found.sort(key=self._rank.__getitem__)
        pairs = [(self._templates[i].match, i) for i in found] or [(_matches_nothing, 0)]
        candidates = (*pairs[0], tuple(pairs[1:]))
        if len(key) <= _LONGEST_KEY:
            self._generation.take(_ENTRY_BYTES + len(key) + _ITEM_BYTES * len(pairs))
            self._candidates[key] = candidates
        return candidates


def _matches_nothing(message: bytes) -> bool:
    return False


def _is_subsequence(words: Iterable[bytes], others: Iterable[bytes]) -> bool:
    left = iter(others)
    return all(word in left for word in words)


class TemplateMatcher:
    """Finds the template of a message.

    `wide` says, for each template, which of its `<*>` may take several tokens; None, for all
    templates or for one: all of them.

    >>> matcher = TemplateMatcher(["send <num> bytes", "send <num> bytes to <*>", "code 404"])
    >>> messages = (b"send 7 bytes to bob", b"send 7 bytes", b"code 404", b"code 405")
    >>> [matcher.match(message) for message in messages]
    [1, 0, 2, -1]
    """

    def __init__(
        self,
        templates: Sequence[str],
        *,
        unmatched: int = UNMATCHED,
        wide: Sequence[Collection[int] | None] | None = None,
    ) -> None:
        if wide is None:
            wide = [None] * len(templates)
        pairs = list(zip(templates, wide, strict=True))
        self._unmatched = unmatched
        self.texts = tuple(templates)
        self.templates = [Template(text, wide=where) for text, where in pairs]
        order = sorted(range(len(templates)), key=self._rank)
        self._index = _Index(self.templates, order)
        # For `is_sure`: templates whose text has digits, as messages without digits show them.
        blind = [Template(text, wide=where, zeroed=True) for text, where in pairs]
        with_digits = [i for i in order if self.templates[i].has_digits]
        self._with_digits = _Index(blind, with_digits)

    def _rank(self, i: int) -> tuple[int, int, int]:
        template = self.templates[i]
        return -template.literals, template.wildcards, i

    def match(self, message: bytes) -> int:
        """Index of the template of `message`, or `unmatched`."""
        found = self._index.first(message)
        if found is None:
            return self._unmatched
        return found

    def slots(self, log_key: int, message: bytes) -> tuple[bytes, ...]:
        """What the wildcards of a message's template stand for, from left to right.

        It is empty for `unmatched`, and where the message does not match that template.

        >>> TemplateMatcher(["send <num> bytes to <*>"]).slots(0, b"send 7 bytes to bob")
        (b'7', b'bob')
        """
        if not 0 <= log_key < len(self.templates):
            return ()
        return self.templates[log_key].slots(message)

    def is_sure(self, message: bytes) -> bool:
        """Whether all messages of this one's shape (the same but for digits) have its template.

        They do unless a template with literal digits matches some of them. All wildcards take all
        digits alike, so any other template matches either all of them or none.
        """
        found = self._index.first(message)
        rival = self._with_digits.first(message.translate(ZEROED))
        if rival is None:
            return True
        if found is None or self.templates[found].has_digits:
            return False
        return self._rank(found) < self._rank(rival)

    def is_sure_but_for(self, message: bytes, start: int, end: int) -> bool:
        """`is_sure`, of all messages that also have another word in place of `[start, end)`.

        The other word must be one that `may_stand_for` a value.

        1. The template takes any word there (`Template.is_free`), so it matches all of them.
        2. A template that wins over it would have all its words in the message. Words that stand
           for a value are in no template, so it is enough that none has them in this message.
        3. The same holds for templates with literal digits, in messages whose digits are all "0".
        """
        found = self._index.first(message)
        if found is None or self.templates[found].has_digits:
            return False
        if not self.may_stand_for(message[start:end]):
            return False
        around = separated(message[max(start - 1, 0) : start] + message[end : end + 1])
        if around.strip() or self._index.best_candidate(message) != found:
            return False
        rival = self._with_digits.best_candidate(message.translate(ZEROED))
        if rival is not None and self._rank(rival) < self._rank(found):
            return False
        return self.templates[found].is_free(message, start, end)

    def may_stand_for(self, value: bytes) -> bool:
        """Whether a value is one word, and one that no template has."""
        return (
            separated(value) == value
            and not self._index.in_vocabulary(value)
            and not self._with_digits.in_vocabulary(value.translate(ZEROED))
        )


def several_tokens(matcher: TemplateMatcher, messages: Iterable[bytes]) -> list[tuple[int, ...]]:
    """For each template, the wildcards that stand for several tokens in some of `messages`.

    It is what `wide` takes, learnt from the messages of training.
    """
    wide: list[set[int]] = [set() for _ in matcher.templates]
    # Wildcards that may yet turn out to be wide; most templates have none.
    doubtful = [
        {i for i, kind in enumerate(template.kinds) if template.may_be_wide(kind)}
        for template in matcher.templates
    ]
    for message in messages:
        log_key = matcher.match(message)
        if not 0 <= log_key < len(doubtful) or not doubtful[log_key]:
            continue
        slots = matcher.slots(log_key, message)
        # A blank before or behind a token is more than one token takes, too.
        now = {i for i in doubtful[log_key] if slots[i].split() != [slots[i]]}
        wide[log_key] |= now
        doubtful[log_key] -= now
    return [tuple(sorted(positions)) for positions in wide]
