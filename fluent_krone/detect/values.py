"""Value witness: is a value in a message one that training knows.

A template's wildcards are its slots. Which of them are looked at, training has decided
(`export/fit_values.py`).

Two things are told apart, since each has a threshold of its own: a value that is new to a set
(`values`), and a number outside a range (`values.range`), which is a matter of degree.

A bundle keeps hashes of the values of a set, not the values: hosts and customers of the log that it
was fitted to must not travel with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .measures import as_figure
from .tails import Range
from .times import range_from_row, range_to_row
from .value_parts import as_number, in_unit, without_letter, without_port, without_tail

# Digits of a number that needs no second look.
_SHORT = 15

Slot = tuple[int, int]  # log key, and which of its template's wildcards
Values = Sequence[bytes]  # of one event, one for each wildcard
ScoreName = Literal["values", "values.range"]
# How a value deviates: the direction, what tells it from others of that direction, and what is
# usual, in words.
Told = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A closed set of values, as hashes (`value_hash`); an unknown one scores `surprise`."""

    known: frozenset[str]
    surprise: float
    # Whether the values are addresses with a port: then only the address is judged …
    has_ports: bool = False
    # … or paths and the like: then only what stands before the last name is.
    has_tails: bool = False

    def score_name(self, value: bytes) -> ScoreName:
        return "values"

    def score(self, value: bytes) -> float:
        if value_hash(self.judged_part(value)) in self.known:
            return 0.0
        return self.surprise

    def judged_part(self, value: bytes) -> bytes:
        """The beginning of a value that its score depends on."""
        if self.has_ports:
            return without_port(value)
        if self.has_tails:
            return without_tail(value)
        return value

    def told(self, value: bytes) -> Told:
        # Another unknown value is another deviation; a hash, as no value is kept elsewhere.
        usual = "Normal sessions always have the same other value there"
        if len(self.known) > 1:
            usual = f"Normal sessions have one of {len(self.known):,} other values there"
        return "unknown_value", value_hash(value), usual


@dataclass(frozen=True, slots=True)
class KnownRange:
    """Numbers within a range. What is no number, or a zero where there are none, scores
    `surprise`, and so does the first negative number.

    `has_zero` says that a zero is nothing new. The range is of the distances from `floor`, which is
    below 0 where training had negative ones.
    """

    range: Range
    has_zero: bool
    surprise: float
    floor: float = 0.0
    # Whether each number has a letter behind it, as the seat 12A.
    has_letter: bool = False
    # The unit of the range. Other units of its kind are converted, such as MB and KB.
    unit: bytes = b""
    # Which letters stand behind numbers, as hashes; any, where there are none of these.
    letters: frozenset[str] = frozenset()

    def score_name(self, value: bytes) -> ScoreName:
        """A text in a number's place, the first zero, and a new letter behind a number are new
        values; others lie out or not.
        """
        if self._has_new_letter(value) or self._is_new(self.number(value)):
            return "values"
        return "values.range"

    def score(self, value: bytes) -> float:
        number = self.number(value)
        if number is None or self._is_new(number) or self._has_new_letter(value):
            return self.surprise
        return self.range.score(number - self.floor)

    def _has_new_letter(self, value: bytes) -> bool:
        return bool(self.letters) and value_hash(value[-1:]) not in self.letters

    def number(self, value: bytes) -> float | None:
        """The number that a value is, in the unit of the range; None where it is none."""
        if not self.unit and value.isdigit() and len(value) <= _SHORT:
            # Most are such, and the rest takes ten times as long.
            return float(value)
        if self.has_letter:
            value = without_letter(value)
        return as_number(in_unit(value, self.unit))

    def _is_new(self, number: float | None) -> bool:
        if number is None:
            return True
        return (number == 0 and not self.has_zero) or number < 0 == self.floor

    def told(self, value: bytes) -> Told:
        low = as_figure(self.range.low_end() + self.floor)
        high = as_figure(self.range.high_end() + self.floor)
        usual = f"In normal sessions this number lies between {low} and {high}"
        side = self.side(value)
        if side != "text" and self._has_new_letter(value):
            usual = f"Normal sessions have one of {len(self.letters):,} other letters there"
            return "unknown_value", value_hash(value[-1:]), usual
        return "out_of_range", side, usual

    def side(self, value: bytes) -> str:
        """Where a value lies that is outside the range."""
        number = self.number(value)
        if number is None:
            return "text"
        if number == 0:
            return "zero"
        if number > self.range.median + self.floor:
            return "high"
        return "low"


@dataclass(frozen=True, slots=True)
class NeverSeen:
    """The place of a facet in a template that has it as it never was in training: a status that no
    leaf has. Whatever stands there scores `surprise`."""

    surprise: float

    def score_name(self, value: bytes) -> ScoreName:
        return "values"

    def score(self, value: bytes) -> float:
        return self.surprise

    def told(self, value: bytes) -> Told:
        return "unknown_value", value_hash(value), "No normal session has it there"


Known = KnownSet | KnownRange | NeverSeen


def value_hash(value: bytes) -> str:
    """How a value of a closed set stands in a bundle: 16 hex digits."""
    return hashlib.blake2b(value, digest_size=8).hexdigest()


class ValueWitness:
    """Scores of the values of an event; `slots` are those worth a look."""

    def __init__(self, slots: Mapping[Slot, Known]) -> None:
        self.slots = slots
        self.by_key: dict[int, list[tuple[int, Known]]] = {}
        for (log_key, slot), known in slots.items():
            self.by_key.setdefault(log_key, []).append((slot, known))

    def worst(self, log_key: int, values: Values) -> tuple[float, int]:
        """The largest score of an event's values, and its slot; (0, 0) where none is odd."""
        found = (0.0, 0)
        for slot, known in self.by_key.get(log_key, ()):
            if slot < len(values) and (score := known.score(values[slot])) > found[0]:
                found = (score, slot)
        return found

    def worst_of(self, keys: Sequence[int], values: Sequence[Values]) -> dict[ScoreName, float]:
        """The largest scores of a session, by name."""
        found: dict[ScoreName, float] = {"values": 0.0, "values.range": 0.0}
        for log_key, of_event in zip(keys, values, strict=False):
            for slot, known in self.by_key.get(log_key, ()):
                if slot < len(of_event) and (score := known.score(of_event[slot])):
                    name = known.score_name(of_event[slot])
                    found[name] = max(found[name], score)
        return found


def values_to_json(witness: ValueWitness) -> list[dict[str, Any]]:
    """Plain values, as a bundle keeps them."""
    rows: list[dict[str, Any]] = []
    for (log_key, slot), known in sorted(witness.slots.items()):
        row: dict[str, Any] = {"key": log_key, "slot": slot, "surprise": round(known.surprise, 6)}
        if isinstance(known, KnownSet):
            row["has_ports"] = known.has_ports
            if known.has_tails:
                row["has_tails"] = True
            row["set"] = sorted(known.known)
        elif isinstance(known, NeverSeen):
            row["never_seen"] = True
        else:
            row |= {"range": range_to_row(known.range), "has_zero": known.has_zero}
            if known.floor:
                row["floor"] = known.floor
            if known.has_letter:
                row["has_letter"] = True
            if known.unit:
                row["unit"] = known.unit.decode()
            if known.letters:
                row["letters"] = sorted(known.letters)
        rows.append(row)
    return rows


def values_from_json(rows: Iterable[Mapping[str, Any]]) -> ValueWitness:
    return ValueWitness({(row["key"], row["slot"]): _from_row(row) for row in rows})


def _from_row(row: Mapping[str, Any]) -> Known:
    if "never_seen" in row:
        return NeverSeen(row["surprise"])
    if "set" in row:
        tails = row.get("has_tails", False)
        return KnownSet(frozenset(row["set"]), row["surprise"], row["has_ports"], tails)
    known = range_from_row(row["range"])
    floor = row.get("floor", 0.0)
    has_letter = row.get("has_letter", False)
    unit = row.get("unit", "").encode()
    letters = frozenset(row.get("letters", ()))
    return KnownRange(known, row["has_zero"], row["surprise"], floor, has_letter, unit, letters)
