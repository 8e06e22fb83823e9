"""Which words are values: those that are many in one place, and decide nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from .folding import MOST_USUAL
from .forms import CONSTANTS, NULLS, PREPOSITIONS, Form, Slot

# This many distinct plain words in a value's place are names; fewer may be states, and each of them
# then makes a template of its own.
MIN_NAMES = 4
# A word behind a key is a usual one from this many messages on. Such words are steps where there
# are no more of them than this, …
_USUAL, _MOST_STEPS = 10, 100
# … where this share of the messages has one of them, and where of any two words, the share that
# comes with the same keys is smaller than this.
_NEARLY_ALL, _SHARED = 0.95, 0.5


class ValuePlaces:
    """Which distinct plain words were seen behind `user=` or `user `, in whatever template."""

    def __init__(self, forms: Iterable[Form]) -> None:
        self._words: dict[str, set[str]] = defaultdict(set)
        # Behind each key: of each word, the lists of keys that its messages have, and how many
        # messages these are.
        self._lists: dict[str, dict[str, set[tuple[str, ...]]]] = defaultdict(dict)
        self._times: dict[str, Counter[str]] = defaultdict(Counter)
        for form in forms:
            keys = tuple(slot.text for slot in form.slots if slot.after[:1] == "=")
            for place, slot in zip(places_of(form), form.slots, strict=True):
                if slot.kind == "word" and place:
                    self._words[place].add(slot.text)
                    if place[-1] == "=":
                        self._lists[place].setdefault(slot.text, set()).add(keys)
                        self._times[place][slot.text] += form.count
        self._telling = {place for place in self._lists if self._decides(place)}

    def _decides(self, place: str) -> bool:
        """Whether the word behind a key decides which other keys a message has.

        Then it says what happened, as in `op=read bytes=7` and `op=wait ms=3`. A name does not:
        whatever one user does, others do as well.
        """
        times = self._times[place]
        usual = {word for word, n in times.items() if n >= _USUAL}
        often = sum(times[word] for word in usual)
        if not MIN_NAMES <= len(usual) <= _MOST_STEPS or often < _NEARLY_ALL * times.total():
            return False
        lists = self._lists[place]
        shared = sum(not lists[one].isdisjoint(lists[other]) for one in usual for other in usual)
        return shared < _SHARED * len(usual) ** 2

    def literal(self, place: str, slots: Sequence[Slot]) -> set[str]:
        """The words that stay literal in this column, each with a template of its own."""
        words = {slot.text for slot in slots if slot.kind == "word"}
        takes_values = any(slot.kind in ("value", "name") for slot in slots)
        constants = {word for word in words if word.lower() in CONSTANTS}
        if place in self._telling:
            return words
        if takes_values:
            return {word for word in constants if word.lower() not in NULLS}
        seen = words | self._words.get(place, set())
        if len(seen - constants) >= MIN_NAMES:
            return constants
        return words

    def are_few(self, place: str, slots: Sequence[Slot]) -> bool:
        """Whether only few distinct words were seen in this column, and in its place elsewhere."""
        if any(slot.kind != "word" for slot in slots):
            return False
        return len({slot.text for slot in slots} | self._words.get(place, set())) <= MOST_USUAL


def places_of(form: Form) -> Iterator[str]:
    """For each slot the word and sign before it; empty after a preposition, which tells nothing."""
    before = ""
    sign = form.lead
    for slot in form.slots:
        if before.lower() in PREPOSITIONS:
            yield ""
        else:
            yield before + sign
        before = slot.text
        sign = slot.after
