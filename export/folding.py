"""Merges clusters of messages that differ in one word only, where that word is a value.

What tells is how many such words there are, or that they are codes of one form.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fluent_krone.reading.mask import may_be_random

from .forms import CONSTANTS, GRAMMAR, Form

# This many distinct words in a place that nothing marks as a value's are values; more than where
# something does (`value_places.py`), since such a place is doubtful.
MIN_VALUES = 6
# Of no more than this many words that each come this often, at least in this share of the messages,
# the sessions can tell whether they are values.
MOST_USUAL, _OFTEN, _NEARLY_ALL = 20, 10, 0.95
# Different codes that each of the clusters has which differ in a letter of their codes.
_CODES = 3
# What a random id is masked as.
_ID = "<code>"
# Literal words of a sentence that is the same for every speaker.
_LONG = 6
_LETTER = re.compile(r"[^\W\d_]")
_DIGIT = re.compile(r"[0-9]+")


def fold(clusters: list[list[Form]], by_sessions: bool) -> list[list[Form]]:
    """Merge clusters that differ in one word only, where at least MIN_VALUES such words were seen.

    With `by_sessions`, a few usual words stay apart. Each cluster is listed under its key with one
    foldable word left out. Large groups are merged first, and a group counts only as long as none
    of its clusters has gone into another group.
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        for j in _foldable(cluster[0]):
            groups[(str(j), *key[: j + 1], "", *key[j + 2 :])].append(c)
    merging = Merging(clusters)
    for _, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        # Of two words, the other one is all that is left of the message.
        hard = sum(slot.kind == "hard" for slot in clusters[members[0]][0].slots)
        least = MIN_VALUES
        if hard <= 2:
            least = 2 * MIN_VALUES
        if by_sessions and are_usual([clusters[c] for c in members]):
            continue
        if len(members) >= least:
            merging.merge(members)
    return merging.left()


class Merging:
    """Merges clusters, named by their numbers; each goes into another one at most once."""

    def __init__(self, clusters: Sequence[list[Form]]) -> None:
        self._clusters = clusters
        # The cluster that each has gone into; a free one is its own.
        self._into = list(range(len(clusters)))

    def are_free(self, members: Iterable[int]) -> bool:
        """Whether none of them has gone into another one."""
        return all(self._into[c] == c for c in members)

    def merge(self, members: Sequence[int]) -> None:
        """Merge clusters into the first of them, if all of them are still free."""
        if self.are_free(members):
            first, *others = members
            for c in others:
                self._into[c] = first
                self._clusters[first].extend(self._clusters[c])

    def left(self) -> list[list[Form]]:
        """The clusters that have gone into no other one, in their order."""
        return [cluster for c, cluster in enumerate(self._clusters) if self._into[c] == c]


def are_usual(clusters: Sequence[Sequence[Form]]) -> bool:
    """Whether clusters are few, and nearly all their messages are of those that come often."""
    counts = [sum(form.count for form in cluster) for cluster in clusters]
    often = sum(count for count in counts if count >= _OFTEN)
    return len(counts) <= MOST_USUAL and often >= _NEARLY_ALL * sum(counts)


def fold_codes(clusters: list[list[Form]]) -> list[list[Form]]:
    """Merge clusters that differ in the letters of one code only, such as ORD-17A and ORD-17B.

    Codes are of one form where letters and digits have the same places; each of the clusters must
    have several of them. A long word that looks like no name, where others have random ids, is one.
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        for j, slot in enumerate(cluster[0].slots):
            form = _form_of_code(slot.text)
            if slot.text == _ID or may_be_random(slot.text):
                form = _ID
            elif len({one.slots[j].text for one in cluster}) < _CODES:
                continue
            if form:
                groups[(str(j), *key[: j + 1], form + slot.after, *key[j + 2 :])].append(c)
    merging = Merging(clusters)
    for key, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        j = int(key[0])
        if key[j + 2].startswith(_ID) and all(clusters[c][0].slots[j].text != _ID for c in members):
            continue
        merging.merge(members)
    return merging.left()


def _form_of_code(word: str) -> str:
    """The places of letters and digits in a code, where letters touch digits; else nothing.

    Small letters are those of a word, as in `eth0`, but for a single one.

    >>> _form_of_code("ORD-17A"), _form_of_code("k17"), _form_of_code("eth0"), _form_of_code("A-B")
    ('AAA-#A', 'A#', '', '')
    """
    if not _DIGIT.search(word) or re.search(r"[^\W\d_]*[a-z][^\W\d_]", word):
        return ""
    return _DIGIT.sub("#", _LETTER.sub("A", word))


def _foldable(form: Form) -> Iterator[int]:
    """Places of words that may be values.

    No label, no state, no small word, and enough words are left beside it. The first word says
    what a message is about, so only a dotted name before a long sentence may be a value there.
    """
    hard = [j for j, slot in enumerate(form.slots) if slot.kind == "hard"]
    if len(hard) < 2:
        return
    for j in hard:
        slot = form.slots[j]
        lower = slot.text.lower()
        # What stands before `=` names a value, and is none.
        label = slot.after[:1] in ("(", "=") or (
            slot.after[:1] == ":" and form.slots[j - 1].after != " "
        )
        if j == 0:
            if len(hard) >= _LONG and slot.text.count(".") >= 2:
                yield j
        elif not (label or slot.text.startswith("/") or lower in CONSTANTS or lower in GRAMMAR):
            # A route says what is done, as a verb does.
            yield j
