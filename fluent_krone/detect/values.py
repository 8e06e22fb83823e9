"""Value witness: is a value in a message one that training knows.

A template's wildcards are its slots. Training keeps a slot only where its values prove to be a
closed set (hosts, codes, routes) or numbers within a range (sizes, durations): what half of the
sessions had must hold for the other half. All other slots, such as ids, are never looked at.

A bundle keeps hashes of the values of a set, not the values: hosts and customers of the log that it
was fitted to must not travel with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .tails import Range, range_of
from .times import range_from_row, range_to_row

Slot = tuple[int, int]  # log key, and which of its template's wildcards
Values = Sequence[bytes]  # of one event, one for each wildcard
# Values that a slot needs to be judged.
_FEWEST = 50
# A closed set has at most so many values, …
_LARGEST_SET = 2_000
# … each of which came at least so often on average.
_REPEATS = 10
# A longer value is text, not one of a set.
_LONGEST = 100
# Of the values that one half of training has, so many may be new to the other half.
_NEW_SHARE = 0.001
# Numbers of which so many lie outside the other half's range are no range.
_OUTSIDE_SHARE = 0.01
# A number with more digits is an id, whatever its range.
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A closed set of values, as hashes (`value_hash`); an unknown one scores `surprise`."""

    known: frozenset[str]
    surprise: float
    # Whether the values are addresses with a port, of which only the address is judged.
    has_ports: bool = False

    def score(self, value: bytes) -> float:
        if self.has_ports:
            value = without_port(value)
        if value_hash(value) in self.known:
            return 0.0
        return self.surprise


@dataclass(frozen=True, slots=True)
class KnownRange:
    """Numbers within a range. What is no number, or a zero that training never had, scores
    `surprise`."""

    range: Range
    has_zero: bool
    surprise: float

    def score(self, value: bytes) -> float:
        number = as_number(value)
        if number is None or (number == 0 and not self.has_zero):
            return self.surprise
        return self.range.score(number)

    def side(self, value: bytes) -> str:
        """Where a value lies that is outside the range."""
        number = as_number(value)
        if number is None:
            return "text"
        if number == 0:
            return "zero"
        if number > self.range.median:
            return "high"
        return "low"


Known = KnownSet | KnownRange


def as_number(value: bytes) -> float | None:
    """The number that a value is; None for a text, a negative number or a longer one.

    >>> as_number(b"17"), as_number(b"0.5"), as_number(b"eth0")
    (17.0, 0.5, None)
    """
    if len(value) > _MOST_DIGITS or not value[:1].isdigit():
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def value_hash(value: bytes) -> str:
    """How a value of a closed set stands in a bundle: 16 hex digits."""
    return hashlib.blake2b(value, digest_size=8).hexdigest()


def without_port(value: bytes) -> bytes:
    """An address without its port.

    >>> without_port(b"10.0.0.7:50010"), without_port(b"web1")
    (b'10.0.0.7', b'web1')
    """
    address, colon, port = value.rpartition(b":")
    return address if colon and port.isdigit() else value


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

    def worst_of(self, keys: Sequence[int], values: Sequence[Values]) -> float:
        """The largest score of a session."""
        pairs = zip(keys, values, strict=False)
        return max((self.worst(key, of_event)[0] for key, of_event in pairs), default=0.0)


def learn_values(sessions: Sequence[tuple[Sequence[int], Sequence[Values]]]) -> ValueWitness:
    """The slots worth a look, from normal sessions: log keys, and the values of each event."""
    halves: tuple[dict[Slot, list[bytes]], dict[Slot, list[bytes]]] = ({}, {})
    for number, (keys, values) in enumerate(sessions):
        half = halves[number % 2]
        for key, of_event in zip(keys, values, strict=False):
            for slot, value in enumerate(of_event):
                half.setdefault((key, slot), []).append(value)
    found = {slot: _known(halves[0].get(slot, []), halves[1].get(slot, [])) for slot in halves[0]}
    return ValueWitness({slot: known for slot, known in sorted(found.items()) if known is not None})


def _known(one: list[bytes], other: list[bytes]) -> Known | None:
    """What a slot is, from the values of both halves of training; None where it proves nothing."""
    if len(one) + len(other) < _FEWEST or not one or not other:
        return None
    found = _known_set(one, other) or _known_range(one, other)
    if found is None and all(value != without_port(value) for value in (*one[:20], *other[:20])):
        addresses = [[without_port(value) for value in half] for half in (one, other)]
        found = _known_set(*addresses)
        if found is not None:
            return replace(found, has_ports=True)
    return found


def _known_set(one: list[bytes], other: list[bytes]) -> KnownSet | None:
    first, second = set(one), set(other)
    every, size = first | second, len(one) + len(other)
    if len(every) > min(_LARGEST_SET, size / _REPEATS) or max(map(len, every)) > _LONGEST:
        return None
    new = sum(value not in first for value in other) + sum(value not in second for value in one)
    if new > _NEW_SHARE * size + 1:
        return None
    # The share of new values is estimated by those that came once (Good and Turing).
    return KnownSet(frozenset(map(value_hash, every)), math.log((size + 1) / (new + 1)))


def _known_range(one: list[bytes], other: list[bytes]) -> KnownRange | None:
    numbers = [[as_number(value) for value in half] for half in (one, other)]
    if any(number is None for half in numbers for number in half):
        return None
    first, second = ([float(number or 0) for number in half] for half in numbers)
    outside = _outside(second, first) + _outside(first, second)
    size = len(first) + len(second)
    if outside > _OUTSIDE_SHARE * size:
        return None
    every = first + second
    return KnownRange(range_of(every, unit=1.0), min(every) == 0, math.log(size + 1))


def _outside(numbers: Sequence[float], others: Sequence[float]) -> int:
    """How many numbers are smaller or larger than all the others."""
    least = min(others)
    most = max(others)
    return sum(not least <= number <= most for number in numbers)


def values_to_json(witness: ValueWitness) -> list[dict[str, Any]]:
    """Plain values, as a bundle keeps them."""
    rows: list[dict[str, Any]] = []
    for (log_key, slot), known in sorted(witness.slots.items()):
        row: dict[str, Any] = {"key": log_key, "slot": slot, "surprise": round(known.surprise, 6)}
        if isinstance(known, KnownSet):
            row["has_ports"] = known.has_ports
            row["set"] = sorted(known.known)
        else:
            row |= {"range": range_to_row(known.range), "has_zero": known.has_zero}
        rows.append(row)
    return rows


def values_from_json(rows: Iterable[Mapping[str, Any]]) -> ValueWitness:
    return ValueWitness({(row["key"], row["slot"]): _from_row(row) for row in rows})


def _from_row(row: Mapping[str, Any]) -> Known:
    if "set" in row:
        return KnownSet(frozenset(row["set"]), row["surprise"], row["has_ports"])
    return KnownRange(range_from_row(row["range"]), row["has_zero"], row["surprise"])
