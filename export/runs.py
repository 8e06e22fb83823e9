"""How the events of templates run in sessions, and which words run alike (`alike.py`)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

# A session as templates, and how severe each of its events is.
Steps = Sequence[tuple[int, int]]
# Shares that differ by no more than this are alike; two states of one step differ by much more …
_ALIKE = 0.1
# … and so are shares that differ by no more than this many standard errors.
_ERRORS = 3.5
# Of the sessions that have a word, more than this share has another one beside it where both are
# parts of one thing.
_BESIDE = 0.5
# Where two events of a session have the same word at least as often as this share of what chance
# would have, and chance would have that in at least this many pairs of events, they are no parts.
# Of two topics that events were published to, each was a step of its own, and one event that was
# missing was not missed.
_DRAWN_ANEW, _FEWEST_PAIRS = 1 / 2, 10
# A place with more words holds names, which mining has found as such.
LARGEST = 40


@dataclass(slots=True)
class Runs:
    """How events run that have one word in common, or one template."""

    count: int = 0
    # Sessions that have such an event, and how many of them have each other template of the family.
    sessions: int = 0
    beside: Counter[int] = field(default_factory=Counter)
    # Of the pairs of such an event and another one of its family in the same session, how many
    # have each template there.
    pairs: Counter[int] = field(default_factory=Counter)
    # What stands before and behind, the level, and what else the session has; each with its number.
    marks: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, other: Runs) -> None:
        self.count += other.count
        self.sessions += other.sessions
        self.beside.update(other.beside)
        self.pairs.update(other.pairs)
        self.marks.update(other.marks)


def runs_of(
    sessions: Sequence[Steps], number: Sequence[int], family: Sequence[int]
) -> dict[int, Runs]:
    """How the events of each template run, where `number` are their new numbers."""
    runs: dict[int, Runs] = defaultdict(Runs)
    for steps in sessions:
        own = [number[step] for step, _ in steps]
        of_family = [family[step] for step in own]
        there = [("has", one) for one in set(of_family)]
        _note_beside(Counter(own), family, runs)
        around = [-1, *of_family, -2]
        for at, (step, (_, level)) in enumerate(zip(own, steps, strict=True)):
            found = runs[step]
            found.count += 1
            found.marks.update(there)
            found.marks["before", around[at]] += 1
            found.marks["behind", around[at + 2]] += 1
            found.marks["level", level] += 1
    return runs


def _note_beside(steps: Mapping[int, int], family: Sequence[int], runs: Mapping[int, Runs]) -> None:
    """Which members of one family are in the same session, by how often each step comes."""
    by_family: dict[int, list[int]] = defaultdict(list)
    for step in steps:
        runs[step].sessions += 1
        by_family[family[step]].append(step)
    for members in by_family.values():
        if len(members) > LARGEST:
            continue
        for one in members:
            runs[one].beside.update(other for other in members if other != one)
            for other in members:
                runs[one].pairs[other] += steps[one] * (steps[other] - (other == one))


def words_alike(by_word: Mapping[str, Sequence[int]], runs: Mapping[int, Runs]) -> set[str]:
    """The words of one place that run alike; none where no two of them do."""
    of_word: dict[str, Runs] = {}
    for word, templates in by_word.items():
        together = of_word[word] = Runs()
        for template in templates:
            if template in runs:
                together.add(runs[template])
    words = {word for word, together in of_word.items() if together.count}
    words -= {word for word in words if _is_part(word, words, by_word, of_word)}
    while len(words) > 1:
        other = _least_alike({word: of_word[word] for word in words})
        if other is None:
            return words
        words.remove(other)
    return set()


def _is_part(
    word: str,
    words: Collection[str],
    by_word: Mapping[str, Sequence[int]],
    of_word: Mapping[str, Runs],
) -> bool:
    """Whether most sessions that have a word in its place have another one there as well, where
    the words are not drawn anew for each event."""
    together = of_word[word]
    share = together.count / sum(of_word[other].count for other in words)
    pairs = together.pairs.total()
    same = sum(together.pairs[template] for template in by_word[word])
    if share * pairs >= _FEWEST_PAIRS and same >= _DRAWN_ANEW * share * pairs:
        return False
    return any(
        sum(together.beside[template] for template in by_word[other]) > _BESIDE * together.sessions
        for other in words
        if other != word
    )


def _least_alike(runs: Mapping[str, Runs]) -> str | None:
    """The word that differs most from all others together; None where none does."""
    total = Runs()
    for own in runs.values():
        total.add(own)
    worst = 1.0
    found: str | None = None
    for word, own in runs.items():
        others = total.count - own.count
        for mark, times in total.marks.items():
            share = times / total.count
            error = math.sqrt(share * (1 - share) * (1 / own.count + 1 / others))
            difference = abs(own.marks[mark] / own.count - (times - own.marks[mark]) / others)
            unlike = difference / (_ALIKE + _ERRORS * error)
            if unlike > worst:
                worst = unlike
                found = word
    if found is not None and len(runs) == 2:
        # The rarer one differs from what is usual.
        return min(runs, key=lambda word: (runs[word].count, word))
    return found
