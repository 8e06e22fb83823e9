"""Finds free text in messages: what persons wrote, between words that are always the same.

`Subject: weekly report from mail7` and `Subject: re: your offer from mail2` have neither words nor
their number in common, so no place of theirs holds a value. What gives free text away is that its
messages hardly ever come twice, however many there are. So the clusters of messages are a tree of
their words, which is searched from the root:

- Where most clusters go on with one word, the text begins further behind.
- Where they go on with many different words, most of them are seen only once, and a sign of a label
  (`Subject: `, `query=`) or the same words behind all of them tell where the text lies, all of them
  are one cluster.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .forms import PREPOSITIONS, Form, Slot

# Clusters that have the same words before a text, at least. So many errors of one kind, each of
# which came once, would not be found in a training of normal executions.
_FEWEST = 30
# … of which at least this share came only once, …
_ONCE = 0.5
# … and which go on with this many different words, none of which this share of them has.
_DIFFERENT, _ONE_WORD = 6, 0.6
# Words before a text, at least.
_BEFORE = 1
# Signs at the end of a label or at the beginning of a quotation.
_SIGNS = (":", "=", '"', "'")

Cluster = Sequence[Form]


@dataclass(frozen=True, slots=True)
class FreeText:
    """Clusters with a text between their first `before` slots and their last `behind` ones."""

    members: tuple[int, ...]
    before: int
    behind: int
    # What stands between the text and the words behind it.
    sign: str


def free_texts(clusters: Sequence[Cluster]) -> list[FreeText]:
    """The texts that are found; no cluster has two."""
    by_lead: dict[str, list[int]] = defaultdict(list)
    for number, cluster in enumerate(clusters):
        by_lead[cluster[0].lead].append(number)
    return [found for _, members in sorted(by_lead.items()) for found in _at(members, 0, clusters)]


def _at(members: Sequence[int], length: int, clusters: Sequence[Cluster]) -> Iterator[FreeText]:
    """The texts of clusters that have their first `length` words in common."""
    if len(members) < _FEWEST:
        return
    by_word: dict[str, list[int]] = defaultdict(list)
    for number in members:
        slots = clusters[number][0].slots
        if len(slots) > length:
            by_word[_word(slots[length])].append(number)
    if length >= _BEFORE and _is_text(members, by_word, clusters):
        found = _bounds(members, length, clusters)
        if found is not None:
            yield found
            return
        if clusters[members[0]][0].slots[length - 1].text.lower() in PREPOSITIONS:
            # Many words behind a preposition are names, and the text is further behind.
            by_word = {"": [number for longer in by_word.values() for number in longer]}
    for _, longer in sorted(by_word.items()):
        yield from _at(longer, length + 1, clusters)


def _word(slot: Slot) -> str:
    """What a slot says; all values say the same."""
    if slot.kind == "value":
        return slot.key
    return slot.text + slot.after


def _is_text(
    members: Sequence[int], by_word: dict[str, list[int]], clusters: Sequence[Cluster]
) -> bool:
    once = sum(sum(form.count for form in clusters[number]) == 1 for number in members)
    most = max(map(len, by_word.values()), default=0)
    return (
        len(by_word) >= _DIFFERENT
        and most < _ONE_WORD * len(members)
        and once >= _ONCE * len(members)
    )


def _bounds(members: Sequence[int], before: int, clusters: Sequence[Cluster]) -> FreeText | None:
    """Where the text of all members lies; None where nothing marks it."""
    forms = [clusters[number][0] for number in members]
    # At least one word of each is the text.
    room = min(len(form.slots) for form in forms) - before - 1
    behind = 0
    while behind < room and len({form.slots[-1 - behind].key for form in forms}) == 1:
        behind += 1
    is_labelled = forms[0].slots[before - 1].after.strip().endswith(_SIGNS)
    has_words = any(slot.kind == "hard" for slot in forms[0].slots[len(forms[0].slots) - behind :])
    if not (is_labelled or has_words):
        return None
    ends = [form.slots[-1 - behind].after for form in forms]
    sign = ends[0]
    while not all(end.endswith(sign) for end in ends):
        sign = sign[1:]
    return FreeText(tuple(members), before, behind, sign)
