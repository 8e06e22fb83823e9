"""Merges clusters of messages that differ in names: of persons, places and things.

Names have one word or several, and may stand where nothing marks them as values. They are
recognised by their number, and because the same ones stand in several places.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from fluent_krone.reading.wildcards import WILDCARD, is_name

from .folding import MIN_VALUES, Merging, are_usual
from .forms import CONSTANTS, GRAMMAR, NOUNS, PREPOSITIONS, UNSPACED, Form, Slot

# Words are names where this many clusters differ in them alone, be it the first word or two words,
# and where each place has this many different ones.
_MANY = 20
_DIFFERENT = 12
# A message with more words than this that stay is known by them. Words, or letters of a word, that
# must be left beside a name; and letters of a name inside a word, at most.
_SHORT, _LEFT, _LETTERS = 8, 2, 4
# Words of a name at most, and words behind which names stand.
_WORDS = 4
_LEADS = PREPOSITIONS | NOUNS | {"to", "table", "customer", "an", "a", "à", "de", "en"}
# Messages of a cluster whose names are looked at.
_LOOKED_AT = 20
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(slots=True)
class _Phrases:
    """Clusters that differ only in one to `_WORDS` words from one place on."""

    begin: int
    # Slots behind the words.
    behind: int
    # The word before them.
    lead: str
    names: set[str] = field(default_factory=set)
    # Each with the number of words of its name.
    members: dict[int, int] = field(default_factory=dict)


def fold_phrases(clusters: list[list[Form]], by_sessions: bool) -> list[list[Form]]:
    """Merge clusters that differ in a name of several words, as in `rows of <customer orders>`.

    A name stands behind a preposition or a noun such as `user`, or is one that was found there.
    The words of each are one slot then. With `by_sessions`, a few usual ones that stand behind one
    preposition only stay apart: `waiting for disk flush` is a step.
    """
    merging = Merging(clusters)
    names: set[str] = set()
    # What stands behind names of one word does not belong to them.
    single: set[tuple[int, int]] = set()
    found = _phrases(clusters, None)
    leads: dict[str, set[str]] = defaultdict(set)
    for group in found:
        for name in group.names:
            leads[name].add(group.lead)
    for group in found:
        places = {(member, group.begin) for member in group.members}
        if len(group.names) < MIN_VALUES or not single.isdisjoint(places):
            continue
        are_steps = by_sessions and _are_steps(group, clusters, leads)
        if are_steps or max(group.members.values()) == 1:
            single |= places
        elif _take(group, clusters, merging):
            names |= group.names
    if names:
        for group in _phrases(clusters, names):
            if max(group.members.values()) > 1 and len(group.names) >= MIN_VALUES:
                _take(group, clusters, merging)
    return merging.left()


def _are_steps(
    group: _Phrases, clusters: Sequence[Sequence[Form]], leads: Mapping[str, Collection[str]]
) -> bool:
    """Whether the words are a few usual ones, in lower case, behind one preposition only.

    `leads` are the words that each name stands behind.
    """
    if group.lead not in PREPOSITIONS:
        return False
    if any(len(leads[name]) > 1 or name[:1].isupper() for name in group.names):
        return False
    return are_usual([clusters[c] for c in group.members])


def _phrases(clusters: Sequence[Sequence[Form]], known: set[str] | None) -> list[_Phrases]:
    """What may be names, by what is around them: the `known` ones, or where the place tells so.

    Names are as short as they can be, so those with most around them come first.
    """
    groups: dict[tuple[object, ...], _Phrases] = {}
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        slots = cluster[0].slots
        for begin in range(1, len(slots)):
            if known is None and not _leads(slots[begin - 1]):
                continue
            for end in range(begin + 1, min(begin + _WORDS, len(slots)) + 1):
                words = slots[begin:end]
                if not _may_be_name(words):
                    break
                if known is not None and _said(words) not in known:
                    continue
                around = (begin, *key[: begin + 1], words[-1].after, *key[end + 1 :])
                lead = slots[begin - 1].text.lower()
                found = groups.setdefault(around, _Phrases(begin, len(slots) - end, lead))
                found.names.update(_said(form.slots[begin:end]) for form in cluster[:_LOOKED_AT])
                found.members[c] = end - begin
    return sorted(groups.values(), key=lambda group: (-group.begin, -group.behind))


def _leads(slot: Slot) -> bool:
    return slot.text.lower() in _LEADS and slot.after == " "


def _said(words: Sequence[Slot]) -> str:
    return "".join(word.text + word.after for word in words[:-1]) + words[-1].text


def _may_be_name(words: Sequence[Slot]) -> bool:
    """Whether words with nothing but blanks between may be one name."""
    last = words[-1]
    return (
        all(word.after == " " for word in words[:-1])
        and last.kind in ("hard", "word")
        and last.after[:1] not in ("=", "(")
        and is_name(last.text)
        and last.text not in GRAMMAR
        and last.text.lower() not in CONSTANTS
    )


def _take(group: _Phrases, clusters: Sequence[Sequence[Form]], merging: Merging) -> bool:
    """Merge the clusters of a group, with one slot for each name, if all of them are still free."""
    if not merging.are_free(group.members):
        return False
    for c, length in group.members.items():
        for form in clusters[c]:
            end = group.begin + length
            words = form.slots[group.begin : end]
            form.slots[group.begin : end] = [Slot("word", _said(words), words[-1].after)]
    merging.merge(list(group.members))
    return True


def fold_names(clusters: list[list[Form]]) -> list[list[Form]]:
    """Merge clusters that differ in their first word only, or in two words, where very many
    different ones were seen: `<ann> closed issue <num>`, `<ann> -> <bob>: <num> bytes`.
    """
    # Places and, to save memory, the hash of all else.
    groups: dict[tuple[tuple[int, ...], int], list[int]] = defaultdict(list)
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        for places in _open_places(cluster[0]):
            blanked = list(key)
            for j in places:
                blanked[j + 1] = "\0" + cluster[0].slots[j].after
            groups[places, hash(tuple(blanked))].append(c)
    merging = Merging(clusters)
    largest = sorted((-len(members), places, members) for (places, _), members in groups.items())
    for _, places, members in largest:
        if len(members) < _MANY:
            continue
        forms = [form for c in members for form in clusters[c]]
        if all(len({form.slots[j].text for form in forms}) >= _DIFFERENT for j in places):
            merging.merge(members)
    return merging.left()


def _open_places(form: Form) -> Iterator[tuple[int, ...]]:
    """The first word, and pairs of words, that may be names: at least one word is left."""
    hard = [j for j, slot in enumerate(form.slots) if slot.kind == "hard"]
    names = [
        j
        for j in hard
        if form.slots[j].after[:1] not in ("(", "=")
        and form.slots[j].text.lower() not in CONSTANTS | GRAMMAR
        and (j or form.slots[j].after[:1] != ":")
    ]
    if len(hard) > _SHORT:
        return
    if names and names[0] == 0 and len(hard) > _LEFT:
        yield (0,)
    for pair in combinations(names, 2):
        rest = "".join(slot.text for j, slot in enumerate(form.slots) if j not in pair)
        if _LETTER.search(WILDCARD.sub("", rest)):
            yield pair


# A place, the word there with a wildcard for the name, and what is before and behind it.
_Inside = tuple[int, str, tuple[str, ...], str, tuple[str, ...]]


def fold_inside(clusters: list[list[Form]]) -> list[list[Form]]:
    """Merge clusters that differ in a few letters of a word in a script without blanks, where very
    many different ones were seen: in `用户<王伟>登录成功`, a name.
    """
    groups: dict[_Inside, list[int]] = defaultdict(list)
    for c, cluster in enumerate(clusters):
        key = cluster[0].key
        for j, slot in enumerate(cluster[0].slots):
            if slot.kind != "hard" or not UNSPACED.fullmatch(slot.text):
                continue
            for begin, end in combinations(range(len(slot.text) + 1), 2):
                before, behind = slot.text[:begin], slot.text[end:]
                if end - begin <= _LETTERS and len(before + behind) >= _LEFT:
                    text = f"{before}<*>{behind}"
                    groups[j, text, key[: j + 1], slot.after, key[j + 2 :]].append(c)
    merging = Merging(clusters)
    # The largest groups first, and of these the one with most around the name.
    for (j, text, *_), members in sorted(groups.items(), key=_largest_and_firmest_first):
        if len(members) >= _DIFFERENT and merging.are_free(members):
            for c in members:
                for form in clusters[c]:
                    form.slots[j].text = text
            merging.merge(members)
    return merging.left()


def _largest_and_firmest_first(item: tuple[_Inside, list[int]]) -> tuple[int, int, _Inside]:
    around, members = item
    return (-len(members), -len(around[1]), around)
