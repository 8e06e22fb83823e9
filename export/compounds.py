"""Compound names in front of templates (`A_SUBMITTED COMPLETE`): which part says who acts.

Logs of workflows name their events in words that are joined by `_`, and what comes first is the
part of the system: of `A_SUBMITTED`, `A_ACCEPTED`, `O_CREATED` and `O_SENT`, the entities are `A`
and `O`. No word list knows these parts; that several templates begin with them tells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fluent_krone.reading.templates import WILDCARD

# A part is a name where this many templates begin with it. Two may share a word by chance.
_FEWEST = 3
# A name of joined parts in front of a template: `W_Completeren aanvraag START`.
_COMPOUND = re.compile(r"([A-Za-z][A-Za-z0-9]*)_[A-Za-z0-9_]+(?= |\Z)")
_SEPARATOR = re.compile(r"[ _]")

Words = tuple[str, ...]


class Name(NamedTuple):
    """Who acts, what is done, and how that ended where the name says it; empty where not."""

    entity: str
    action: str
    status: str


def read_compounds(texts: Sequence[str]) -> list[Name | None]:
    """The names in front of templates; None where there is none, or hardly another template has its
    first part.

    >>> names = read_compounds(["A_SENT COMPLETE", "A_pack it START", "A_pack it END", "go"])
    >>> tuple(names[0]), tuple(names[1]), names[3]
    (('A', 'SENT', 'complete'), ('A', 'pack it', 'start'), None)
    """
    firsts = [_first_part(text) for text in texts]
    sharing = Counter(filter(None, firsts))
    names = [
        _words(text) if sharing[first] >= _FEWEST else ()
        for text, first in zip(texts, firsts, strict=True)
    ]
    # How many templates go on after these words.
    beginnings = Counter(words[:size] for words in names for size in range(1, len(words)))
    return [_name(words, beginnings) if words else None for words in names]


def _first_part(text: str) -> str:
    found = _COMPOUND.match(text)
    return found[1] if found else ""


def _words(text: str) -> Words:
    """The words of a template up to its first value."""
    said = WILDCARD.split(text, maxsplit=1)[0]
    return tuple(filter(None, _SEPARATOR.split(said)))


def _name(words: Words, beginnings: Counter[Words]) -> Name:
    """The longest words that templates go on after are entity and action; what follows is how it
    ended."""
    shared = next(
        size for size in range(len(words) - 1, 0, -1) if size == 1 or beginnings[words[:size]] > 1
    )
    end = shared
    if shared == 1:
        end = 2
    return Name(words[0], " ".join(words[1:end]), " ".join(words[end:]).lower())
