"""What a text must hold for an expression to match: a few short words that are quick to look for.

A rule's expression takes ten to a hundred microseconds on a sentence, and there are some eighty
rules. Nearly all of them need a word that few sentences have (`ssh-`, `htpasswd`, `@`), and looking
for a word takes a twentieth of a microsecond. The needs are worked out from the expression itself,
so that they cannot be forgotten or wrong when a rule is changed:

1. What an expression can match is walked through from left to right. As long as there are few
   possible texts, they are collected (`passw(?:or)?d` is `passwd` or `password`).
2. Where anything may follow (`\\S+`), the texts collected so far are one *clause*: whatever matches
   holds one of them. Of alternatives, the clauses are joined. An expression needs all its clauses.
3. Texts are compared as small letters whose digits are all "0" (`Folded`), so that `[0-9]{3}-`
   needs `000-`.

What is not understood needs nothing, so its rule is always tried.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

# Python's own parser of expressions. It is no public interface, so it is used with care: what it
# gives and is not known here needs nothing.
_parser: Any = importlib.import_module("re._parser")

# One of these words must be in a text.
Clause = frozenset[str]
# Possible texts of one place that are told apart. More would take longer to look for than the
# expression itself.
_MOST_TEXTS = 80
# Of a place that takes more characters than these, none is told apart.
_MOST_CHARACTERS = 4
# Repeats that are written out.
_MOST_REPEATS = 8
# Clauses that are looked at for one expression.
_MOST_CLAUSES = 3
# How often a character of a kind occurs in a text, by a coarse estimate: that of a letter, of a
# digit, of a space, and of a sign.
_LETTER, _DIGIT, _SPACE, _SIGN = 1 / 16, 1 / 3, 1 / 6, 1 / 40
# What looking for one more word costs, in the unit of these estimates.
_COST = 1e-4
# A clause that is met by so many of all places in texts is met by nearly every text.
_USELESS = 0.05

# Letters beyond ASCII that an expression takes for `i`, `s` or `k` when capitals do not matter.
_ALIKE = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}
_HAS_ALIKE = re.compile(f"[{''.join(_ALIKE)}]")
_FOLDS = bytes(
    ord("0") if chr(code).isascii() and chr(code).isdigit() else ord(chr(code).lower())
    for code in range(128)
) + bytes(range(128, 256))


# Neighbouring characters of a text that are one number.
_FOUR = 4


def _last_four(word: bytes) -> int:
    return memoryview(word[-_FOUR:]).cast("I")[0]


class Folded:
    """A text in small letters, with every digit as "0" and every character beyond ASCII as "?".

    >>> Folded("Order 17 für Ada").text
    b'order 00 f?r ada'
    """

    __slots__ = ("fours", "text")

    def __init__(self, text: str) -> None:
        if not text.isascii():
            text = _HAS_ALIKE.sub(lambda found: _ALIKE[found[0]], text)
        self.text = text.encode("ascii", "replace").translate(_FOLDS)
        # All fours of neighbours, as numbers. They rule out many words by one look.
        self.fours: set[int] = set()
        view = memoryview(self.text)
        for start in range(_FOUR):
            end = start + max(len(view) - start, 0) // _FOUR * _FOUR
            self.fours.update(view[start:end].cast("I"))


# Words of which a text holds one, where an expression matches it.
Need = tuple[bytes, ...]


class Choice:
    """Which of several expressions can match a text, from the needs of each.

    Many expressions need the same words. So each word is looked for once, and not once for each
    expression.

    >>> choice = Choice([needs("passw(?:or)?d=[^ ]+"), needs("[0-9]{3}-[0-9]")])
    >>> choice.of(Folded("call 555-1"))
    [False, True]
    """

    def __init__(self, needs_of: Iterable[tuple[Need, ...]]) -> None:
        self._needs = [[frozenset(need) for need in needs] for needs in needs_of]
        words = sorted({word for needs in self._needs for need in needs for word in need})
        self._short = [word for word in words if len(word) < _FOUR]
        # The longer ones, by their last four characters as a number.
        self._long: dict[int, list[bytes]] = {}
        for word in words:
            if len(word) >= _FOUR:
                self._long.setdefault(_last_four(word), []).append(word)
        self._fours = frozenset(self._long)

    def of(self, text: Folded) -> list[bool]:
        """For each expression, whether it can match."""
        whole = text.text
        held = {word for word in self._short if word in whole}
        for four in self._fours & text.fours:
            held.update(word for word in self._long[four] if word in whole)
        return [not any(map(held.isdisjoint, needs)) for needs in self._needs]


def needs(pattern: str) -> tuple[Need, ...]:
    """What every text meets that the pattern matches, in capitals or small letters.

    >>> [needs(pattern) for pattern in ("passw(?:or)?d=[^ ]+", "[0-9]{3}-[0-9]", "x?")]
    [((b'passwd=', b'password='),), ((b'000-0',),), ()]
    """
    texts, clauses = _sequence(_parser.parse(pattern))
    if texts is not None:
        clauses = [*clauses, texts]
    useful = {_shortest(clause) for clause in clauses if all(clause)}
    ranked = sorted(
        (clause for clause in useful if _weight(clause) < _USELESS),
        key=lambda clause: (_weight(clause), sorted(clause)),
    )
    return tuple(
        tuple(word.encode() for word in sorted(clause)) for clause in ranked[:_MOST_CLAUSES]
    )


# What one part of an expression can match, where these are few texts; and clauses.
_Found = tuple[Clause | None, list[Clause]]
_NOTHING: _Found = (frozenset([""]), [])
_ANYTHING: _Found = (None, [])


def _sequence(parts: Iterable[tuple[Any, Any]]) -> _Found:
    """Parts that stand one behind the other."""
    clauses: list[Clause] = []
    # The possible texts right before this place, and whether they are all there is from the start.
    run = frozenset([""])
    is_whole = True
    for operation, argument in parts:
        texts, needed, last = _part(str(operation), argument)
        clauses += needed
        joined = None if texts is None else _joined(run, texts)
        if joined is None:
            clauses.append(run)
            is_whole = False
            joined = texts or frozenset([""])
        if last is not None:
            # More of the same may follow; what comes then stands behind the last of them.
            clauses.append(joined)
            is_whole = False
            joined = last
        run = joined
    if is_whole:
        return run, clauses
    return None, [*clauses, run]


def _joined(run: Clause, texts: Clause) -> Clause | None:
    """The texts of two places as those of one, where these are few."""
    if len(run) * len(texts) > _MOST_TEXTS:
        return None
    return frozenset(one + other for one, other in product(run, texts))


def _part(operation: str, argument: Any) -> tuple[Clause | None, list[Clause], Clause | None]:
    """What one part can match, and clauses; and the texts of its last repeat, where it repeats."""
    texts, clauses = _ANYTHING
    if operation == "LITERAL":
        texts = _characters([argument])
    elif operation == "IN":
        texts = _class(argument)
    elif operation == "SUBPATTERN":
        texts, clauses = _sequence(argument[-1])
    elif operation == "ATOMIC_GROUP":
        texts, clauses = _sequence(argument)
    elif operation == "BRANCH":
        texts, clauses = _branch(argument[1])
    elif operation.endswith("_REPEAT"):
        return _repeat(*argument)
    elif operation in ("AT", "ASSERT_NOT"):
        texts, clauses = _NOTHING
    elif operation == "ASSERT":
        within, clauses = _sequence(argument[1])
        if within is not None:
            clauses = [*clauses, within]
        texts = frozenset([""])
    return texts, clauses, None


def _characters(codes: Sequence[int]) -> Clause | None:
    """Characters as they are folded, where all are ASCII and these are few."""
    if any(code >= 128 for code in codes):
        return None
    found = frozenset(chr(_FOLDS[code]) for code in codes)
    if len(found) > _MOST_CHARACTERS:
        return None
    return found


def _class(items: Sequence[tuple[Any, Any]]) -> Clause | None:
    codes: list[int] = []
    for operation, argument in items:
        if str(operation) == "LITERAL":
            codes.append(argument)
        elif str(operation) == "RANGE":
            if argument[1] >= 128:
                return None
            codes += range(argument[0], argument[1] + 1)
        else:
            # All but these, or a category such as `\w`.
            return None
    return _characters(codes)


def _branch(branches: Sequence[Any]) -> _Found:
    found = [_sequence(branch) for branch in branches]
    texts: set[str] = set()
    for possible, _ in found:
        texts |= possible or frozenset()
    if all(possible is not None for possible, _ in found) and len(texts) <= _MOST_TEXTS:
        return frozenset(texts), []
    best = [_best(possible, clauses) for possible, clauses in found]
    if any(clause is None for clause in best):
        return _ANYTHING
    return None, [frozenset(word for clause in best if clause is not None for word in clause)]


def _best(texts: Clause | None, clauses: Sequence[Clause]) -> Clause | None:
    """The clause that the fewest texts meet; None where none says anything."""
    known = [*clauses] if texts is None else [*clauses, texts]
    useful = [_shortest(clause) for clause in known if all(clause)]
    return min(useful, key=_weight, default=None)


def _repeat(
    least: Any, most: Any, part: Sequence[tuple[Any, Any]]
) -> tuple[Clause | None, list[Clause], Clause | None]:
    texts, clauses = _sequence(part)
    if least == 0:
        if int(most) == 1 and texts is not None:
            return texts | {""}, [], None
        return *_ANYTHING, None
    if texts is None:
        return None, clauses, None
    times: Clause | None = frozenset([""])
    for _ in range(min(least, _MOST_REPEATS)):
        more = None if times is None else _joined(times, texts)
        if more is None:
            break
        times = more
    else:
        if least == most and least <= _MOST_REPEATS:
            return times, clauses, None
    return times, clauses, texts


def _shortest(clause: Clause) -> Clause:
    """The clause without words that hold another of its words."""
    kept: list[str] = []
    for word in sorted(clause, key=lambda word: (len(word), word)):
        if not any(other in word for other in kept):
            kept.append(word)
    return frozenset(kept)


def _weight(clause: Clause) -> float:
    """How many places of texts hold a word of the clause, and what looking for its words costs."""
    return sum(_share(word) + _COST for word in clause)


def _share(word: str) -> float:
    share = 1.0
    for character in word:
        if character.isalpha():
            share *= _LETTER
        elif character.isdigit():
            share *= _DIGIT
        elif character == " ":
            share *= _SPACE
        else:
            share *= _SIGN
    return share
