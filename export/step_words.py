"""Fields whose word says which step of its session a record is, although its text does not.

A program that writes `call done` after each of its calls names the call in a field beside the text:
`op: load`, `service: cart`. Such a field is not told by its name, but by how its words come in
sessions:

1. Among records with the same text, the word is known from the step before, as that of the next
   call is. Or it hardly comes twice in a session, and the words of a session come together, as
   those of calls that run side by side. Neither holds of the products of an order, or of the worker
   that happened to take a call.
2. It changes within sessions no less than chance would have it. A worker or a region that a session
   keeps for a while does not.
3. It is not known from the record before, where that belongs to another session. That of workers
   who take turns is.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from fluent_krone.reading.accessor import field_getter
from fluent_krone.reading.line_formats import compile_bytes
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.records import TAG
from fluent_krone.reading.values import as_bytes
from fluent_krone.reading.wildcards import as_text

from .event_names import FEW_VALUES, OF_A_NAME, entropy, is_beside, told
from .facets import MIN_COUNT, is_stable
from .nested_fields import names_in

# The name of a step, such as `auth.verify`, `POST orders` or `支付`: no number and no id.
_NAME = re.compile(rb"(?!.*[0-9]{4})[A-Za-z\x80-\xff][A-Za-z0-9_\x80-\xff.:/ -]{0,60}")
# The name of what wrote a record is a step of a session that goes through several services.
_SERVICE = re.compile(r"(?:.*\.)?service(?:[._]?name)?", re.I)
# What the step before tells of a word, as a share of all that there is to know about it.
_TOLD = 0.6
# Two records of a session with the same word, as a share of those that chance would make alike.
_HARDLY_TWICE = 0.25
# What there is to know about the words of a session, as a share of what there would be if each of
# them came without the others.
_TOGETHER = 0.5
# The share of the words that sessions have on average, where they have nearly all of them.
_NEARLY_ALL = 0.7
# Pairs of records of one form and one session that are needed.
_FEWEST_PAIRS = 30
# What is left to know about a word once its form is known, below which it says nothing more.
_NEWS = 0.1


def step_words(
    message: str, session_key: Sequence[str], sample: list[dict[bytes, Any]]
) -> list[str]:
    """The fields that tell apart steps whose texts have one form, the one with most words first.

    `message` is the field of the text. The records of the `sample` follow one another in the log.
    """
    masker = Masker(None)
    text_of = field_getter(message)
    texts = [as_bytes(text_of(record) or b"") for record in sample]
    forms: list[Hashable] = [masker.form(as_text(text)) for text in texts]
    sessions = _sessions(session_key, texts, sample)
    words = {
        name: [*map(field_getter(name), sample)]
        for name in names_in(sample)
        if name not in {message, *session_key} and _may_be_a_step(name)
    }
    few = {name: had for name, had in words.items() if _are_names(had)}
    found = []
    for name, had in sorted(few.items(), key=lambda item: -len({*item[1]})):
        if _is_news(forms, had) and _is_a_step(forms, had, sessions):
            found.append(name)
            forms = [*zip(forms, had, strict=True)]
    return found


def _sessions(
    session_key: Sequence[str], texts: Sequence[bytes], sample: list[dict[bytes, Any]]
) -> list[list[int]]:
    """The places of the records of each session in the sample, in their order."""
    keys = [_values(part, texts, sample) for part in session_key]
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, key in enumerate(zip(*keys, strict=True)):
        if all(part not in (None, b"") for part in key):
            places[tuple(map(str, key))].append(place)
    return [*places.values()]


def _values(part: str, texts: Sequence[bytes], sample: list[dict[bytes, Any]]) -> list[Any]:
    """What each record has of a session key: a field, or what an expression finds in its text."""
    if part == "tag":
        return [record.get(TAG) for record in sample]
    if not part.startswith("/"):
        return [*map(field_getter(part), sample)]
    regex = compile_bytes("session_key", part[1:-1])
    return [found and found[min(regex.groups, 1)] for found in map(regex.search, texts)]


def _may_be_a_step(name: str) -> bool:
    return _SERVICE.fullmatch(name) is not None or not is_beside(name)


def _are_names(had: Sequence[Any]) -> bool:
    """Whether a field has a few words, the same in either half of the sample."""
    seen: defaultdict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    times = sum(word not in (None, b"") for word in had)
    number = 0
    for word in had:
        if word in (None, b""):
            continue
        if not isinstance(word, bytes) or not _NAME.fullmatch(word):
            return False
        seen[word][number >= times / 2] += 1
        number += 1
    return times >= MIN_COUNT and 2 <= len(seen) <= FEW_VALUES and is_stable(seen)


def _is_news(forms: Sequence[Hashable], had: Sequence[Any]) -> bool:
    """Whether records of one form have several words."""
    pairs = Counter((form, word) for form, word in zip(forms, had, strict=True) if word)
    left = entropy(pairs) - entropy(Counter(form for form, _ in pairs.elements()))
    return left > _NEWS * entropy(Counter(word for _, word in pairs.elements()))


def _is_a_step(
    forms: Sequence[Hashable], had: Sequence[Any], sessions: Sequence[Sequence[int]]
) -> bool:
    alike, by_chance = _pairs_alike(forms, had, sessions)
    if alike > by_chance or by_chance == 0 or _take_turns(forms, had, sessions):
        return False
    within = (one for places in sessions for one in pairwise(places))
    if _told_before(forms, had, within) >= _TOLD:
        return True
    return alike <= _HARDLY_TWICE * by_chance and _come_together(forms, had, sessions)


def _of_sessions(
    forms: Sequence[Hashable], had: Sequence[Any], sessions: Sequence[Sequence[int]]
) -> Iterator[tuple[Hashable, Counter[Any]]]:
    """The words that each session has in records of one form, and how often."""
    for places in sessions:
        words: defaultdict[Hashable, Counter[Any]] = defaultdict(Counter)
        for place in places:
            if had[place]:
                words[forms[place]][had[place]] += 1
        yield from words.items()


def _come_together(
    forms: Sequence[Hashable], had: Sequence[Any], sessions: Sequence[Sequence[int]]
) -> bool:
    """Whether the records of one form have nearly all words in each session, or a few sets of them.

    A session has only a part of its records in the sample, now and then.
    """
    sets: defaultdict[Hashable, Counter[frozenset[Any]]] = defaultdict(Counter)
    for form, words in _of_sessions(forms, had, sessions):
        sets[form][frozenset(words)] += 1
    return all(map(_are_few_sets, sets.values()))


def _are_few_sets(sets: Counter[frozenset[Any]]) -> bool:
    many = sets.total()
    words = Counter(word for some, times in sets.items() for word in [*some] * times)
    if words.total() >= _NEARLY_ALL * len(words) * many:
        return True
    if len(sets) > many // OF_A_NAME:
        return False
    # How much there would be to know if each word came or not, whatever the others do.
    apart = sum(entropy(Counter(had=times, not_had=many - times)) for times in words.values())
    return entropy(sets) <= _TOGETHER * apart


def _pairs_alike(
    forms: Sequence[Hashable], had: Sequence[Any], sessions: Sequence[Sequence[int]]
) -> tuple[float, float]:
    """Pairs of records of one form and one session that have the same word, and how many there
    would be if words came by chance. Both are 0 where there are too few pairs.
    """
    of_form: defaultdict[Hashable, Counter[Any]] = defaultdict(Counter)
    pairs_of = Counter[Hashable]()
    alike = 0
    for form, words in _of_sessions(forms, had, sessions):
        of_form[form] += words
        pairs_of[form] += math.comb(words.total(), 2)
        alike += sum(math.comb(times, 2) for times in words.values())
    if pairs_of.total() < _FEWEST_PAIRS:
        return 0, 0
    by_chance = sum(
        pairs * sum((times / of_form[form].total()) ** 2 for times in of_form[form].values())
        for form, pairs in pairs_of.items()
    )
    return alike, by_chance


def _take_turns(
    forms: Sequence[Hashable], had: Sequence[Any], sessions: Sequence[Sequence[int]]
) -> bool:
    """Whether a record of another session tells the word of the next one that has any."""
    session_of = {
        place: number for number, places in enumerate(sessions) for place in places if had[place]
    }
    across = (
        (before, place)
        for before, place in pairwise(sorted(session_of))
        if session_of[before] != session_of[place]
    )
    return _told_before(forms, had, across) >= _TOLD


def _told_before(
    forms: Sequence[Hashable], had: Sequence[Any], pairs: Iterable[tuple[int, int]]
) -> float:
    """What the first of two records tells of the word of the second one, beside what that one's
    form does: a share of all there is to know about it.
    """
    of_form: defaultdict[Hashable, Counter[Any]] = defaultdict(Counter)
    for before, place in pairs:
        if had[place]:
            of_form[forms[place]][(forms[before], had[before]), had[place]] += 1
    to_know = 0.0
    known = 0.0
    for of_one in of_form.values():
        words = Counter(word for _, word in of_one.elements())
        to_know += of_one.total() * entropy(words)
        known += of_one.total() * told(of_one)
    return known / to_know if to_know else 0.0
