"""What a sample of records says of each session key that it offers.

A log may spell one id in several ways, as in `job 7a1c` and `job=7a1c`. These are one session key.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from .session_ids import HEX_LENGTHS, NOT_KEYS, QUOTED, ids_in, labelled, of_length

# Characters of a message that tell its kind.
_SHAPE = 60
_DIGITS = re.compile(r"[0-9]+")
# A value that is a date, perhaps with its clock, and no id.
_STAMP = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[\d:.,]*(?:Z| ?[+-]\d\d:?\d\d)?)?\Z")
# An option of which something stands before the id, and the form of the id.
_SPELLED = re.compile(r"/(?P<before>[^()]+)(?P<form>\([^?].*\)\"?)/", re.DOTALL)
# The option of a pair of JSON, whose name may be a label in other messages.
_OF_PAIR = re.compile(r'/"(?P<name>[\w\\-]+)": \?"\(\[\^"\]\+\)"/')
_CHARACTER = re.compile(r"\\.|.", re.DOTALL)
# Spellings are of one id where nearly all values of one are values of the other as well, and most
# records have one of them only. The id of a parent is also one of an execution, but it stands
# beside the execution's own.
_SAME = 0.9
_APART = 0.9
# The share of the log within which the records of an execution lie.
NEAR = 0.25
# Forms of ids that are known by themselves, each with an expression that finds them in a line.
_PLAIN_FORMS = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), r"[0-9a-f]{8}-[0-9a-f-]{27}"),
    *((re.compile(rf"[0-9a-f]{{{digits}}}"), of_length(digits)) for digits in HEX_LENGTHS),
)
# The share of the records in which the form or the sign of ids may find other values.
_FEW_OTHERS = 0.05
# Signs before ids, which are enough to find them.
_SIGNS = (r"\[", r"\(", r"\#", "#", "<", "№", "@")
# Ids of one kind that are told from other words by themselves: letters, the same in all, with some
# digits behind them, as `TH500036` and `INV-2026-017`.
_LETTERS_AND_DIGITS = re.compile(r"(?:[A-Za-z]+[-_/])*[A-Za-z]*[0-9]+(?:[-_/][0-9]+)*")
_FEWEST_DIGITS = 4
# The same letters with a sign before random ones, as `req-7a1c09`, `tx_09F3K2`, `web-5d8f7-x2k`.
_SIGNED_LETTERS = re.compile(r"((?:[A-Za-z]+[-_])+?)([0-9A-Za-z]{4,}(?:-[0-9A-Za-z]+)*)")
_LETTERS_OF_FORM = re.compile(r"\(\?<!\[0-9A-Za-z\]\)((?:[A-Za-z]+[-_])+)")
# Random letters and digits, all as long, as `01J9ZQ4N7TK8`. Words are shorter as a rule.
_RANDOM_LETTERS = re.compile(r"[0-9A-Za-z_-]{10,}")
_OF_CHARACTERS = ("[0-9a-f]", "[0-9A-Z]", "[0-9a-z]", "[0-9A-Za-z]", r"[\w-]")
# Longer ones are texts.
_LONGEST_RANDOM = 100
# Numbers with hyphens between, as `20261017-00042`.
_HYPHENED_NUMBERS = re.compile(r"[0-9]+(?:-[0-9]+)+")
# The share of random ids that has digits at least, since letters alone are rare, …
_WITH_DIGITS = 0.6
# … and the share of the records that may have others of these forms, such as ids without a digit.
_SOME_OTHERS = 0.2
_PLAIN_NUMBER = re.compile(r"-?[0-9]+")
# A spelling of fewer records than this share is not worth a longer expression.
_WORTH_JOINING = 0.02


@dataclass(slots=True)
class Seen:
    """The values of one option in a sample."""

    values: Counter[str] = field(default_factory=Counter)
    # The records that have it, however many of its values.
    records: set[int] = field(default_factory=set)
    # Value → the shapes of the messages that it was seen in: what names an execution links several.
    shapes: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    # Value of an id → the first and the last record that have it.
    reach: dict[str, list[int]] = field(default_factory=dict)

    def add(self, number: int, value: str, shape: int) -> None:
        self.values[value] += 1
        self.records.add(number)
        self.shapes[value].add(shape)
        self.reach.setdefault(value, [number, number])[1] = number


class Sample:
    """All options of a sample, from a field or from an id in a message.

    `are_lines` says that a session key is looked for in whole lines, as where several programs
    wrote them: one has it in its header, another one in its message.
    """

    def __init__(
        self, records: Iterable[tuple[str, Mapping[str, str]]], *, are_lines: bool = False
    ) -> None:
        self.options: dict[str, Seen] = defaultdict(Seen)
        self._messages: list[str] = []
        self._spellings: dict[str, frozenset[str]] = {}
        self.size = 0
        for message, fields in records:
            self.size += 1
            self._messages.append(message)
            self._add(message, fields)
        self._join_spellings()
        if are_lines:
            self._join_plain_ids()

    def _add(self, message: str, fields: Mapping[str, str]) -> None:
        shape = _shape(message)
        for name, value in fields.items():
            if name.lower() not in NOT_KEYS and value and not _STAMP.match(value):
                self.options[name].add(self.size, value, shape)
        for option, value in set(ids_in(message)):
            self.options[option].add(self.size, value, shape)

    def _join_spellings(self) -> None:
        """Add an option for each set of options that spell the same ids."""
        by_form: dict[str, dict[str, str]] = defaultdict(dict)
        for option, seen in self.options.items():
            found = _SPELLED.fullmatch(option)
            if found and len(seen.records) >= _WORTH_JOINING * self.size:
                by_form[found["form"]][option] = found["before"]
        for form, befores in by_form.items():
            for group in self._groups(befores):
                words = [befores[option] for option in group]
                if not self._join_by_form(words, form, group):
                    self._join(f"/{_any_of(words)}{form}/", group)
        for pair in list(filter(None, map(_OF_PAIR.fullmatch, self.options))):
            labels = (f"/{pair['name']}=", f"/{pair['name']}: ")
            same = [o for o in self.options if o.startswith(labels) and self._is_same(o, pair[0])]
            if same:
                self._join(f"/{labelled(pair['name'])}/", [pair[0], *same])

    def _join_by_form(self, befores: Sequence[str], form: str, group: Sequence[str]) -> bool:
        """Whether ids that stand behind several words are found without these.

        They are by their own form, or by the sign before them. A message that training never had,
        such as that of a failure, has another word there, and is found nevertheless.
        """
        known = self._together(group)
        if all(map(_PLAIN_NUMBER.fullmatch, known.values)):
            # Other numbers of messages, as of bytes, look the same.
            return False
        options = []
        if (alone := _form_of(known.values)) is not None:
            options.append((f"({alone})", _FEW_OTHERS))
        if (sign := _sign_of(befores)) is not None:
            options.append((sign + form, _FEW_OTHERS))
        alone = _random_form_of(known.values)
        if alone is not None and not self._is_found_plainly(alone, known):
            options.append((f"({alone})", _SOME_OTHERS))
        for expression, most_others in options:
            seen = self._found_by(expression, known, most_others)
            if seen is not None:
                option = f"/{expression}/"
                self.options[option] = seen
                # Several beginnings of one word are found by the same form.
                self._spellings[option] = self.spellings(option).union(group)
                return True
        return False

    def _is_found_plainly(self, expression: str, known: Seen) -> bool:
        """Whether an option that begins with the letters of the ids finds all of them already."""
        letters = _LETTERS_OF_FORM.match(expression)
        return letters is not None and any(
            option.startswith(f"/{letters[1]}") and known.records <= seen.records
            for option, seen in self.options.items()
        )

    def _found_by(self, expression: str, known: Seen, most_others: float) -> Seen | None:
        """What an expression finds in the messages; None unless it finds the known ids, each where
        it is known to be, and others in at most this share of the records.
        """
        seen = Seen()
        others = 0
        for number, message in enumerate(self._messages, 1):
            found = set(re.findall(expression, message))
            # Of random ids, a few have digits alone.
            others += not found <= known.values.keys()
            if len(found) > 1 or others > most_others * len(known.records):
                return None
            for value in found:
                seen.add(number, value, _shape(message))
        return seen if known.records <= seen.records else None

    def _join_plain_ids(self) -> None:
        """Add an option for ids that stand in fields and texts of whatever names."""
        of_form: dict[str, list[str]] = defaultdict(list)
        for option, seen in self.options.items():
            if len(seen.records) >= _WORTH_JOINING * self.size:
                for form, expression in _PLAIN_FORMS:
                    if all(map(form.fullmatch, seen.values)):
                        of_form[expression].append(option)
        for expression, options in of_form.items():
            for group in self._groups(options):
                self._join(f"/{expression}/", group)

    def _join(self, joined: str, group: Sequence[str]) -> None:
        """Add the option that finds the ids of all of a group."""
        self.options[joined] = self._together(group)
        self._spellings[joined] = frozenset(group)

    def spellings(self, option: str) -> frozenset[str]:
        """The options whose ids an option finds: itself, or those that it was joined of."""
        return self._spellings.get(option, frozenset((option,)))

    def _groups(self, options: Iterable[str]) -> Iterator[list[str]]:
        """Options that spell the same ids, the commonest first."""
        left = sorted(options, key=lambda option: (-len(self.options[option].records), option))
        while left:
            group = [left.pop(0)]
            for option in [*left]:
                if all(self._is_same(option, other) for other in group):
                    group.append(option)
                    left.remove(option)
            if len(group) > 1:
                yield group

    def _is_same(self, option: str, other: str) -> bool:
        one, two = self.options[option], self.options[other]
        fewer = min(len(one.records), len(two.records))
        if len(one.records & two.records) > (1 - _APART) * fewer:
            return False
        shared = one.values.keys() & two.values.keys()
        near = sum(self._is_near(one.reach[value], two.reach[value]) for value in shared)
        return near >= _SAME * min(len(one.values), len(two.values))

    def _is_near(self, one: Sequence[int], two: Sequence[int]) -> bool:
        """Whether all records of a value lie together; a count, as in `try 3`, comes anywhere."""
        return max(one[1], two[1]) - min(one[0], two[0]) <= NEAR * self.size

    def _together(self, options: Iterable[str]) -> Seen:
        """What is known of several options, as if they were one."""
        whole = Seen()
        for option in options:
            seen = self.options[option]
            whole.values += seen.values
            whole.records |= seen.records
            for value, shapes in seen.shapes.items():
                whole.shapes[value] |= shapes
            for value, (first, last) in seen.reach.items():
                known = whole.reach.setdefault(value, [first, last])
                whole.reach[value] = [min(known[0], first), max(known[1], last)]
        return whole


def _shape(message: str) -> int:
    """What tells the kind of a message, without its numbers."""
    return hash(_DIGITS.sub("0", QUOTED.sub("", message))[:_SHAPE])


def _sign_of(befores: Sequence[str]) -> str | None:
    r"""The sign that all words have before the id, as it is written in an expression.

    >>> _sign_of([r"paid \[", r"lost \["]), _sign_of(["order ", "order="])
    ('\\[', None)
    """
    signs = {_CHARACTER.findall(before)[-1] for before in befores}
    sign = signs.pop()
    return sign if not signs and sign in _SIGNS else None


def _form_of(values: Iterable[str]) -> str | None:
    """An expression for ids by what all of them have in common; None where that tells nothing.

    >>> _form_of(["TH500036", "TH500054"])
    '(?<![0-9A-Za-z])TH[0-9]+(?![0-9A-Za-z])'
    >>> _form_of(["INV-2026-017", "INV-2026-1018"])
    '(?<![0-9A-Za-z])INV-[0-9]+-[0-9]+(?![0-9A-Za-z])'
    >>> _form_of(["20261017", "20261018"]), _form_of(["eu-17", "us-18"])
    (None, None)
    """
    known = list(values)
    for form, expression in _PLAIN_FORMS:
        if all(map(form.fullmatch, known)):
            return expression
    if not all(map(_LETTERS_AND_DIGITS.fullmatch, known)):
        return None
    signs = {tuple(_DIGITS.split(value)) for value in known}
    if len(signs) != 1:
        return None
    letters, *between = signs.pop()
    fewest = min(sum(map(len, _DIGITS.findall(value))) for value in known)
    if not letters or fewest < _FEWEST_DIGITS:
        return None
    # Numbers that are counted begin again one day, and become longer.
    text = "".join(f"[0-9]+{sign}" for sign in between)
    return f"(?<![0-9A-Za-z]){letters}{text}(?![0-9A-Za-z])".replace("/", r"\/")


def _random_form_of(values: Iterable[str]) -> str | None:
    r"""An expression for ids of random letters and digits, by what all of them have in common.

    >>> _random_form_of(["req-7a1c09", "req-183442", "req-facade"])
    '(?<![0-9A-Za-z])req-[0-9a-f]{6,}(?![0-9A-Za-z])'
    >>> print(_random_form_of(["01J9ZQ4N7T", "01J9ZQ5C2X"]))
    (?<![\w-])[0-9A-Z]{10}(?![\w-])
    >>> print(_random_form_of(["20261017-04", "20261018-17"]))
    (?<![\w-])[0-9]{8}-[0-9]{2}(?![\w-])
    >>> _random_form_of(["brave-curie", "calm-turing"])
    """
    known = list(values)
    if max(map(len, known)) > _LONGEST_RANDOM:
        return None
    if all(map(_HYPHENED_NUMBERS.fullmatch, known)):
        lengths = {tuple(map(len, value.split("-"))) for value in known}
        if len(lengths) > 1:
            return None
        numbers = "-".join(f"[0-9]{{{length}}}" for length in lengths.pop())
        return rf"(?<![\w-]){numbers}(?![\w-])"
    with_digits = sum(_DIGITS.search(value) is not None for value in known)
    if with_digits < _WITH_DIGITS * len(known):
        return None
    signed = [*filter(None, map(_SIGNED_LETTERS.fullmatch, known))]
    if len(signed) == len(known) and len({one[1] for one in signed}) == 1:
        rests = [one[2] for one in signed]
        fewest = min(map(len, rests))
        return f"(?<![0-9A-Za-z]){signed[0][1]}{_characters_of(rests)}{{{fewest},}}(?![0-9A-Za-z])"
    if len(set(map(len, known))) == 1 and all(map(_RANDOM_LETTERS.fullmatch, known)):
        return rf"(?<![\w-]){_characters_of(known)}{{{len(known[0])}}}(?![\w-])"
    return None


def _characters_of(values: Sequence[str]) -> str:
    """The narrowest class that has all characters of some values."""
    whole = "".join(values)
    return next(one for one in _OF_CHARACTERS if re.fullmatch(f"{one}+", whole))


def _any_of(befores: list[str]) -> str:
    r"""An expression for any of several texts, written as briefly as it can be.

    >>> _any_of(["job ", "job="])
    'job(?: |=)'
    >>> _any_of([r"\[", "id:"])
    '(?:\\[|id:)'
    """
    split = [_CHARACTER.findall(before) for before in befores]
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*split, strict=False))
    common = [column[0] for column in columns]
    rests = "|".join("".join(characters[len(common) :]) for characters in split)
    return f"{''.join(common)}(?:{rests})"
