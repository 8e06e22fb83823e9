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

4. Where a text must not follow a letter (`(?<![a-z])tan`), its word is marked: the `tan` in
   `instance` does not count.

What is not understood needs nothing, so its rule is always tried.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Literal

# Python's own parser of expressions. It is no public interface, so it is used with care: what it
# gives and is not known here needs nothing.
_parser: Any = importlib.import_module("re._parser")

# One of these words must be in a text.
Clause = frozenset[str]
# Possible texts of one place that are kept apart. More would take longer to look for than the
# expression itself. `first_name` and its kin are 108; `name` alone stands in many log lines.
_MOST_TEXTS = 120
# A place that takes more characters than this may hold anything.
_MOST_CHARACTERS = 4
# Repeats that are written out.
_MOST_REPEATS = 8
# Clauses that are looked at for one expression.
_MOST_CLAUSES = 3
# How often a character of a kind occurs in a text, by a coarse estimate: that of a letter, of a
# digit, of a space, and of a sign.
_LETTER, _DIGIT, _SPACE, _SIGN = 1 / 16, 1 / 3, 1 / 6, 1 / 40
# How many places have no letter before them.
_AT_EDGE = 1 / 4
# What looking for one more word costs, in the unit of these estimates.
_COST = 1e-4
# A clause that is met by this many of all places in texts is met by nearly every text.
_USELESS = 0.05

# Letters beyond ASCII that an expression takes for `i`, `s` or `k` when capitals do not matter.
_ALIKE = {"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"}
_HAS_ALIKE = re.compile(f"[{''.join(_ALIKE)}]")
_FOLDS = bytes(
    ord("0") if chr(code).isascii() and chr(code).isdigit() else ord(chr(code).lower())
    for code in range(128)
) + bytes(range(128, 256))


# Stands before a word that no letter may stand before.
_EDGE = "\x00"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
# Neighbouring characters of a text that are one number: four of them, and two for short words.
_FOUR = 4
_TWO = 2
# The forms of such numbers, as `memoryview` calls them.
_FORMS: Mapping[int, Literal["I", "H"]] = {_FOUR: "I", _TWO: "H"}


def _last(word: bytes, size: int) -> int:
    """The last characters of a word as a number."""
    return memoryview(word[-size:]).cast(_FORMS[size])[0]


def _neighbours(text: bytes, size: int) -> set[int]:
    """All runs of `size` neighbouring characters of a text, as numbers."""
    found: set[int] = set()
    view = memoryview(text)
    for start in range(size):
        end = start + max(len(view) - start, 0) // size * size
        found.update(view[start:end].cast(_FORMS[size]))
    return found


class Folded:
    """A text in small letters, with every digit as "0" and every character beyond ASCII as "?".

    >>> Folded("Order 17 für Ada").text
    b'order 00 f?r ada'
    """

    __slots__ = ("fours", "text", "twos")

    def __init__(self, text: str) -> None:
        if not text.isascii():
            text = _HAS_ALIKE.sub(lambda found: _ALIKE[found[0]], text)
        self.text = text.encode("ascii", "replace").translate(_FOLDS)
        # Neighbours, four and two at a time. They rule out many words by one look.
        self.fours = _neighbours(self.text, _FOUR)
        self.twos = _neighbours(self.text, _TWO)


# A text that an expression matches holds at least one of these words.
Need = tuple[bytes, ...]


class Choice:
    """Which of several expressions can match a text, from the needs of each.

    Many expressions need the same words. So each word is looked for once, and not once for each
    expression.

    >>> choice = Choice([needs("passw(?:or)?d=[^ ]+"), needs("[0-9]{3}-[0-9]")])
    >>> choice.of(Folded("call 555-1"))
    [1]
    """

    def __init__(self, needs_of: Iterable[tuple[Need, ...]]) -> None:
        # Every need is a bit. What an expression needs is one number, and so is what a word meets.
        bits: dict[frozenset[bytes], int] = {}
        self._needs: list[int] = []
        for needs in needs_of:
            needed = 0
            for need in map(frozenset, needs):
                needed |= bits.setdefault(need, 1 << len(bits))
            self._needs.append(needed)
        self._all = (1 << len(bits)) - 1
        self._met: dict[str, int] = {}
        for need, bit in bits.items():
            for word in map(bytes.decode, need):
                self._met[word] = self._met.get(word, 0) | bit
        # Those for which it matters whether a letter stands before them.
        self._edged = {word.removeprefix(_EDGE) for word in self._met if _EDGE in word}
        words = sorted(self._edged | {word for word in self._met if _EDGE not in word})
        self._single = [word for word in words if len(word) < _TWO]
        # The longer ones, by their last two or four characters as a number.
        self._short: dict[int, list[str]] = {}
        self._long: dict[int, list[str]] = {}
        for word in words:
            if len(word) >= _FOUR:
                self._long.setdefault(_last(word.encode(), _FOUR), []).append(word)
            elif len(word) >= _TWO:
                self._short.setdefault(_last(word.encode(), _TWO), []).append(word)
        self._fours = frozenset(self._long)
        self._twos = frozenset(self._short)

    def of(self, text: Folded) -> list[int]:
        """The numbers of the expressions that can match, in their order."""
        # Python looks for words in text four times faster than in bytes.
        whole = text.text.decode("ascii")
        held = [word for word in self._single if word in whole]
        for two in self._twos & text.twos:
            held += [word for word in self._short[two] if word in whole]
        for four in self._fours & text.fours:
            held += [word for word in self._long[four] if word in whole]
        met = 0
        for word in held:
            met |= self._met.get(word, 0)
            if word in self._edged and _has_alone(word, whole):
                met |= self._met[_EDGE + word]
        unmet = self._all & ~met
        return [number for number, needed in enumerate(self._needs) if not needed & unmet]


def _has_alone(word: str, text: str) -> bool:
    """Whether a word stands in a text with no letter before it.

    >>> _has_alone("tan", "an instance"), _has_alone("tan", "instance: tan 1")
    (False, True)
    """
    at = text.find(word)
    while at > 0 and text[at - 1] in _LETTERS:
        at = text.find(word, at + 1)
    return at >= 0


def needs(pattern: str) -> tuple[Need, ...]:
    """What every text meets that the pattern matches, in capitals or small letters.

    >>> [needs(pattern) for pattern in ("passw(?:or)?d=[^ ]+", "[0-9]{3}-[0-9]", "x?")]
    [((b'passwd=', b'password='),), ((b'000-0',),), ()]
    """
    texts, clauses = _sequence(_parser.parse(pattern))
    if texts is not None:
        clauses = [*clauses, texts]
    useful = {_shortest(clause) for clause in clauses if _says_something(clause)}
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
# Where a part stands: anywhere, or where no letter is before it.
_BEGIN: Clause = frozenset([""])
_AT_AN_EDGE: Clause = frozenset([_EDGE])


def _sequence(parts: Iterable[tuple[Any, Any]], start: Clause = _BEGIN) -> _Found:
    """Parts in a row; `start` says whether at an edge."""
    clauses: list[Clause] = []
    # The possible texts right before this place, and whether they are all there is from the start.
    run = start
    is_whole = True
    for operation, argument in parts:
        # An edge in front of a group stands in front of each of its alternatives.
        at = run if run == _AT_AN_EDGE else _BEGIN
        texts, needed, last = _part(str(operation), argument, at)
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


def _says_something(clause: Clause) -> bool:
    """Whether no word of a clause is met by every text."""
    return all(word != _EDGE for word in clause) and all(clause)


def _joined(run: Clause, texts: Clause) -> Clause | None:
    """The texts of two places as those of one, where these are few."""
    if len(run) * len(texts) > _MOST_TEXTS:
        return None
    return frozenset(_behind(one, other) for one, other in product(run, texts))


def _behind(one: str, other: str) -> str:
    """A text behind another. A mark says what is before the first of them, and nothing else."""
    if one in ("", _EDGE):
        return one + other.removeprefix(one)
    return one + other.removeprefix(_EDGE)


def _part(
    operation: str, argument: Any, at: Clause
) -> tuple[Clause | None, list[Clause], Clause | None]:
    """What one part can match, and clauses; and the texts of its last repeat, where it repeats."""
    texts, clauses = _ANYTHING
    if operation == "LITERAL":
        texts = _characters([argument])
    elif operation == "IN":
        texts = _class(argument)
    elif operation == "SUBPATTERN":
        texts, clauses = _sequence(argument[-1], at)
        if argument[2]:
            # Capitals matter within, so that `(?<![a-z])` allows them, and they are folded here.
            texts = None if texts is None else _without_edges(texts)
            clauses = list(map(_without_edges, clauses))
    elif operation == "ATOMIC_GROUP":
        texts, clauses = _sequence(argument, at)
    elif operation == "BRANCH":
        texts, clauses = _branch(argument[1], at)
    elif operation.endswith("_REPEAT"):
        return _repeat(*argument)
    elif operation in ("AT", "ASSERT_NOT"):
        texts, clauses = _NOTHING
        if operation == "ASSERT_NOT" and _is_edge(*argument):
            texts = frozenset([_EDGE])
    elif operation == "ASSERT":
        within, clauses = _sequence(argument[1])
        if within is not None:
            clauses = [*clauses, within]
        texts = frozenset([""])
    return texts, clauses, None


def _is_edge(direction: int, part: Sequence[tuple[Any, Any]]) -> bool:
    """Whether what must not stand there is a letter, right before."""
    if direction >= 0 or len(part) != 1 or str(part[0][0]) != "IN":
        return False
    ranges = [argument for kind, argument in part[0][1] if str(kind) == "RANGE"]
    is_negated = str(part[0][1][0][0]) == "NEGATE"
    return not is_negated and (ord("a"), ord("z")) in ranges


def _without_edges(clause: Clause) -> Clause:
    return frozenset(word.removeprefix(_EDGE) for word in clause)


def _characters(codes: Sequence[int]) -> Clause | None:
    """Characters as they are folded, where these are few.

    A letter beyond ASCII is folded to "?" with the letters that capitals make of it, unless one of
    these is an ASCII letter.
    """
    found = frozenset(_folded(code) for code in codes)
    if "" in found:
        return None
    if len(found) > _MOST_CHARACTERS:
        return None
    return found


def _folded(code: int) -> str:
    """A character as it is folded; nothing where it is folded in more than one way."""
    if code < 128:
        return chr(_FOLDS[code])
    if chr(code) in _ALIKE:
        return ""
    return "?"


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


def _branch(branches: Sequence[Any], at: Clause) -> _Found:
    found = [_sequence(branch, at) for branch in branches]
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
    useful = [_shortest(clause) for clause in known if _says_something(clause)]
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
        if character == _EDGE:
            share *= _AT_EDGE
        elif character.isalpha():
            share *= _LETTER
        elif character.isdigit():
            share *= _DIGIT
        elif character == " ":
            share *= _SPACE
        else:
            share *= _SIGN
    return share
