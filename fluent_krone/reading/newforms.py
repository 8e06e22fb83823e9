"""Templates of messages that no template of the bundle matches, found while they come.

A new version of a program writes messages that training never saw. To speak of them one by one,
each needs a template before there is a log to mine:

1. A message is masked as `export` masks it: what looks like a value becomes a typed wildcard. So
   does a word that the bundle's templates show to be one (`WordValues`).
2. Two masked messages that differ have two templates, at first.
3. When a third one differs from two others in one and the same word only, that word is a value:
   all three become one template with `<*>` there, and so does every later one. Two are not enough,
   since `order paid` and `order sent` are two steps. They are where the words differ in their
   digits only, as `shard s3` and `shard s7` do: both become `shard s<num>`.

`export` looks at the whole log at once and can do better; its next bundle replaces these templates.
Memory is bounded: there are at most so many templates, and all else is remembered by `Generation`s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .cache import Generation
from .mask import SAYS, Masker
from .templates import WILDCARD
from .wildcards import ZEROED, Template, as_text

# Templates at one time. A large deploy has some hundred; a stream of another kind than the bundle's
# would have new ones for ever.
MOST_FORMS = 1_000
# Templates that differ in one word only, from which on that word is taken for a value.
_ENOUGH_WORDS = 3
# The same for words that differ in their digits only.
_ENOUGH_NUMBERS = 2
# Of a template with so few other words, that word may be all that it says: it needs more.
_FEW_OTHERS = 2
_ENOUGH_OF_FEW = 8
_ENOUGH_NUMBERS_OF_FEW = 3
# Words of a message whose last words may still be values. What is longer is free text.
_MOST_WORDS = 60
# Bytes of messages that are remembered with their templates.
_MEMO_BYTES = 2_000_000
# What a remembered message costs besides its own bytes.
_ENTRY_BYTES = 150
# A longer message is masked anew each time.
_LONGEST_SHAPE = 1_000
# Messages and words that the masks remember.
_MASKS = 5_000
# Numbers of templates: far more than are kept at one time, so that a number that was given up is
# not soon that of another template, and few enough for the 16 bits of a log key, which the
# bundle's templates need as well.
NUMBERS = 20_000
# Stands for the number of a message that has none, since there are too many.
NO_FORM = -1

_LETTER = re.compile(r"[^\W\d_]")

_Hole = tuple[int, tuple[str, ...]]
_DIGITS = re.compile(r"[0-9]+")
# A letter right before a number, which makes the number a part of a word.
_NUMBERED = re.compile(r"[^\W\d_][_-]?<num>")
# A key and its value, with the comma that may follow.
_KEY_VALUE = re.compile(r"([\w.\-]+)=(.+?)([,;]?)")


@dataclass(slots=True)
class _Form:
    text: str
    # The number of the template that this one became a part of; its own where it did not.
    into: int


class NewForms:
    """Numbers the templates of new messages: 0, 1, … in the order in which they come.

    `session_pattern` is the regular expression of the session key, where it has one; `templates`
    are those of the bundle, which tell some values from words.

    >>> forms = NewForms(None)
    >>> [forms.number(b"label for %s printed in 3 ms" % who) for who in (b"dhl", b"ups", b"gls")]
    [0, 1, 0]
    >>> forms.text(0), forms.whole(1)
    ('label for <*> printed in <num> ms', 0)
    """

    def __init__(self, session_pattern: str | None, templates: Iterable[str] = ()) -> None:
        self._masker = Masker(session_pattern, _MASKS)
        self._values = WordValues(templates)
        self._forms: dict[int, _Form] = {}
        self._by_text: dict[str, int] = {}
        # A template with one word left out → the numbers of those that agree in all else.
        self._holes: dict[_Hole, list[int]] = {}
        # Templates with `<*>` or with a number in a word, which are compared as such, as a masked
        # message may have the very value; by their first word, which is never such a value.
        self._open: dict[str, list[tuple[Template, int]]] = {}
        self._memo: dict[bytes, int] = {}
        self._generation = Generation(_MEMO_BYTES, self._memo.clear)
        self._next = 0
        # (number, number that it became a part of), until whoever counts by numbers has read it.
        self.folded: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._forms)

    def number(self, message: bytes, *, only_known: bool = False) -> int:
        """The number of a message's template; `NO_FORM` where there are too many templates.

        With `only_known`, it is also `NO_FORM` where the template would be a new one.

        A template that became a part of another one is known by that one's number.
        """
        shape = message.translate(ZEROED)
        known = self._memo.get(shape)
        if known is not None:
            return known
        text = self._values.masked(self._masker.form(as_text(message)))
        number = self._find(text, message, only_known)
        # A word with one or two digits keeps them, so then the digits make the template.
        if len(shape) <= _LONGEST_SHAPE and number != NO_FORM and not _has_digits(text):
            self._generation.take(_ENTRY_BYTES + len(shape))
            self._memo[shape] = number
        return number

    def add(self, text: str) -> int:
        """The number of a template that is given as such; it may be a new one."""
        text = self._values.masked(text)
        known = self._by_text.get(text)
        if known is not None:
            return self.whole(known)
        if len(self._forms) >= MOST_FORMS:
            return NO_FORM
        return self._new(text)

    def find(self, text: str) -> int:
        """The number of a template that is known by this text; `NO_FORM` where none is."""
        known = self._by_text.get(self._values.masked(text))
        if known is None:
            return NO_FORM
        return self.whole(known)

    def whole(self, number: int) -> int:
        """The number that a template goes by now."""
        form = self._forms.get(number)
        while form is not None and form.into != number:
            number = form.into
            form = self._forms.get(number)
        if form is None:
            return NO_FORM
        return number

    def text(self, number: int) -> str:
        """The text of a template."""
        return self._forms[number].text

    def forget(self, numbers: Sequence[int]) -> None:
        """Forget templates, with all that became parts of them.

        A number is used again only after all others were, when the last session that had it has
        long ended.
        """
        gone = set(numbers)
        self._forms = {
            number: form
            for number, form in self._forms.items()
            if number not in gone and form.into not in gone
        }
        self._index()

    def save(self) -> list[list[Any]]:
        """What a snapshot holds of it."""
        rows: list[list[Any]] = [[self._next, "", NO_FORM]]
        rows += ([number, form.text, form.into] for number, form in self._forms.items())
        return rows

    def load(self, saved: Sequence[Sequence[Any]]) -> None:
        """Go on from a snapshot."""
        self._forms = {}
        for number, text, into in saved:
            if into == NO_FORM:
                self._next = number
            else:
                self._forms[number] = _Form(text, into)
        self._index()

    def _index(self) -> None:
        self._by_text = {}
        self._holes = {}
        self._open = {}
        self._memo.clear()
        for number, form in self._forms.items():
            self._enter(number, form)

    def _enter(self, number: int, form: _Form) -> None:
        self._by_text.setdefault(form.text, number)
        if form.into != number:
            return
        if "<*>" in form.text or has_numbered_word(form.text):
            first = form.text.partition(" ")[0]
            self._open.setdefault(first, []).append((Template(form.text, wide=()), number))
        for hole in _holes_of(form.text):
            self._holes.setdefault(hole, []).append(number)

    def _find(self, text: str, message: bytes, only_known: bool) -> int:
        known = self._by_text.get(text)
        if known is not None:
            return self.whole(known)
        for template, number in self._open.get(text.partition(" ")[0], ()):
            if template.match(message):
                return number
        if only_known or len(self._forms) >= MOST_FORMS:
            return NO_FORM
        alike = self._alike(text)
        if alike is not None:
            return self._fold(*alike)
        return self._new(text)

    def _new(self, text: str) -> int:
        number = self._next
        while number in self._forms:
            number = (number + 1) % NUMBERS
        self._next = (number + 1) % NUMBERS
        form = _Form(text, number)
        self._forms[number] = form
        self._enter(number, form)
        return number

    def _alike(self, text: str) -> tuple[_Hole, str, list[int]] | None:
        """The templates that differ from a text in one word only, if they are enough.

        Where they differ, and what stands for that word in all of them, come first.
        """
        for hole in _holes_of(text):
            others = self._holes.get(hole)
            if not others:
                continue
            value = self._value(hole[0], text, others)
            words = [word for word in hole[1] if not WILDCARD.fullmatch(word)]
            if len(others) + 1 >= _enough(value, len(words) - 1):
                return hole, value, list(others)
        return None

    def _value(self, place: int, text: str, others: Iterable[int]) -> str:
        """What stands for a word in which a text and others differ: `s<num>` of `s3` and `s7`."""
        texts = (text, *(self._forms[number].text for number in others))
        words = {numbered(one.split(" ")[place]) for one in texts}
        if len(words) > 1:
            return "<*>"
        return words.pop()

    def _fold(self, hole: _Hole, value: str, members: Sequence[int]) -> int:
        """Make one template of those that differ in a word; it has the number of the first."""
        place, words = hole
        first = min(members)
        for number in members:
            self._forms[number].into = first
            if number != first:
                self.folded.append((number, first))
        folded = list(words)
        folded[place] = value
        self._forms[first].text = " ".join(folded)
        # Texts of the members lead to the first one still; all else is found anew.
        texts = self._by_text
        self._index()
        for text, number in texts.items():
            self._by_text.setdefault(text, number)
        return first


def _enough(value: str, others: int) -> int:
    """How many templates must differ in one word, so that it is a value, of so many other words."""
    has_few = others <= _FEW_OTHERS
    if value == "<*>":
        return _ENOUGH_OF_FEW if has_few else _ENOUGH_WORDS
    return _ENOUGH_NUMBERS_OF_FEW if has_few else _ENOUGH_NUMBERS


def _holes_of(text: str) -> list[_Hole]:
    """A text with each of its words left out in turn.

    The first word says what speaks, and one behind `event=` what happened: they are no values.
    """
    words = tuple(text.split(" "))
    if len(words) > _MOST_WORDS:
        return []
    found = []
    for place, word in enumerate(words):
        says = word.partition("=")[0] in SAYS
        if place and _LETTER.search(WILDCARD.sub("", word)) and not says:
            found.append((place, (*words[:place], "", *words[place + 1 :])))
    return found


def _has_digits(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


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
    """Knows from the templates of a bundle which words of a new message are values.

    A word such as `v3` or `currency=EUR` may be a value, or it may say what happened. One message
    does not tell. Where the bundle has `v<num>` or `currency=<*>`, training met many values there,
    and a new version of the program means the same by such a word. A word that other templates have
    as it is may tell steps apart, so it is no value.

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
