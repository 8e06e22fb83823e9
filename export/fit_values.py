"""Which slots the value witness looks at, and what it knows of them (`detect/values.py`).

Training keeps a slot only where its values prove to be a closed set (hosts, codes, routes) or
numbers within a range (sizes, durations): what half of the sessions had must hold for the other
half, and what the earlier sessions had for the later ones. All other slots are never looked at: ids
differ each time, and numbers of orders, ports and counters grow with time, so that tomorrow's lie
outside whatever range training had.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TypeVar

from fluent_krone.detect.tails import range_of, reaches_zero
from fluent_krone.detect.value_parts import (
    as_number,
    in_unit,
    is_place,
    is_quantity,
    resolution_of,
    unit_of,
    usual_unit,
    without_letter,
    without_port,
    without_tail,
)
from fluent_krone.detect.values import (
    Known,
    KnownRange,
    KnownSet,
    NeverSeen,
    Slot,
    Values,
    ValueWitness,
    value_hash,
)

# Values that a slot needs to be judged. What a session repeats counts once: of seven false alarms
# for another currency, all came after 60 lines of batches, which 19 sessions had.
_FEWEST = 50
# A closed set has at most this many values, …
_LARGEST_SET = 2_000
# … each of which came at least this often on average.
_REPEATS = 10
# A longer value is text, not one of a set.
_LONGEST = 100
# Of the values that one half of training has, this many may be new to the other half.
_NEW_SHARE = 0.001
# Numbers are no range if this many lie outside the range of the other half: a share of them, or a
# few, since the few most extreme ones of any numbers are often all in one half.
_OUTSIDE_SHARE, _OUTSIDE_FEW = 0.01, 12
# The tails of numbers fall as fast as the numbers show, down to this (`tails.py`). With 0.25, a
# quarter of those that were ten times too large were missed where numbers vary by a third.
STEEPEST = 0.12
# Values that show whether all of them may have such a part.
_SOME = 40
# Training is looked at in this many parts, one after the other.
_PARTS = 5
# Of the numbers of a part, this many may lie outside the range of all parts before it, and this
# many more where there are few; a number that grows has nearly all of them there.
_DRIFT_SHARE, _DRIFT_FEW = 0.05, 5
# A set grows where one of its values came for the first time after this share of training, and that
# is less likely than the second share, had the value been there from the beginning.
_LATE, _GROWN = 1 / 3, 0.01


_Item = TypeVar("_Item")


def halves(items: Iterable[_Item], sessions: Iterable[int]) -> tuple[list[_Item], list[_Item]]:
    """The items of every other session, and those of the rest."""
    halves: tuple[list[_Item], list[_Item]] = ([], [])
    for item, session in zip(items, sessions, strict=True):
        halves[session % 2].append(item)
    return halves


@dataclass(slots=True)
class _Column:
    """The values of a slot in the order of the sessions, and the session of each."""

    values: list[bytes]
    sessions: list[int]

    def halves(self) -> tuple[list[bytes], list[bytes]]:
        """The values of every other session, and those of the rest."""
        return halves(self.values, self.sessions)

    def once(self) -> _Column:
        """Each value once for each session that has it."""
        seen = dict.fromkeys(zip(self.sessions, self.values, strict=True))
        return _Column([value for _, value in seen], [session for session, _ in seen])

    def mapped(self, cut: Callable[[bytes], bytes]) -> _Column:
        """What is left of each value."""
        return _Column([*map(cut, self.values)], self.sessions)


def learn_values(
    sessions: Sequence[tuple[Sequence[int], Sequence[Values]]],
    never_seen: Mapping[Slot, float] | None = None,
    never_judged: Collection[Slot] = (),
) -> ValueWitness:
    """The slots worth a look, from normal sessions in the order of their times.

    A session is its log keys, and the values of each event. `never_seen` are the slots of leaves
    that no session has (`NeverSeen`), with their surprise; `never_judged` are slots that tell
    nothing.
    """
    columns: dict[Slot, _Column] = {}
    for number, (keys, values) in enumerate(sessions):
        for key, of_event in zip(keys, values, strict=False):
            for slot, value in enumerate(of_event):
                column = columns.setdefault((key, slot), _Column([], []))
                column.values.append(value)
                column.sessions.append(number)
    found: dict[Slot, Known] = {}
    for place in columns.keys() - set(never_judged):
        known = _known(columns[place])
        if known is not None:
            found[place] = known
    for place, surprise in (never_seen or {}).items():
        found[place] = NeverSeen(surprise)
    return ValueWitness(dict(sorted(found.items())))


def _known(column: _Column) -> Known | None:
    """What a slot is; None where training proves nothing."""
    sessions = set(column.sessions)
    if len({session % 2 for session in sessions}) < 2:
        return None
    if len(sessions) < _FEWEST and len(column.once().values) < _FEWEST:
        return None
    found_set = _known_set(column)
    if found_set is not None and not is_quantity(column.values):
        return None if _grows(column) else found_set
    return _range(column) or _known_by_part(column)


def _known_by_part(column: _Column) -> Known | None:
    """What a slot is of whose values only a part is judged."""
    some = column.values[:_SOME]
    unit = unit_of(some[0])
    if unit and all(unit_of(value) == unit for value in column.values):
        found_range = _range(column.mapped(lambda value: in_unit(value, unit)))
        return found_range and replace(found_range, unit=unit)
    if all(value != without_letter(value) for value in some):
        found_range = _range(column.mapped(without_letter))
        if found_range is not None:
            letters = _closed(column.mapped(itemgetter(slice(-1, None))))
            known = frozenset[str]() if letters is None else letters.known
            return replace(found_range, has_letter=True, letters=known)
    if all(value != without_port(value) for value in some):
        found_set = _closed(column.mapped(without_port))
        return found_set and replace(found_set, has_ports=True)
    if all(value != without_tail(value) for value in some):
        heads = column.mapped(without_tail)
        if all(map(is_place, set(heads.values))):
            found_set = _closed(heads)
            return found_set and replace(found_set, has_tails=True)
    return None


def _closed(column: _Column) -> KnownSet | None:
    found = _known_set(column)
    if found is None or _grows(column):
        return None
    return found


def _grows(column: _Column) -> bool:
    """Whether values of a set came only with time, as the names of new hosts and versions do."""
    values = column.once().values
    times = Counter(values)
    first = {value: at for at, value in reversed([*enumerate(values)])}
    # Had it been there from the beginning, all its occurrences would fall behind its first one by
    # chance. So many values are looked at that one of them may well do so.
    total = len(values)
    late = [value for value, place in first.items() if place > _LATE * total]
    return any((1 - first[value] / total) ** times[value] * len(first) < _GROWN for value in late)


def drifts(numbers: Sequence[float]) -> bool:
    """Whether numbers leave the range of those before them, time and again."""
    size = max(len(numbers) // _PARTS, 1)
    least = min(numbers[:size])
    most = max(numbers[:size])
    for start in range(size, len(numbers), size):
        part = numbers[start : start + size]
        outside = sum(not least <= number <= most for number in part)
        if start >= _PARTS // 2 * size and outside > _DRIFT_SHARE * len(part) + _DRIFT_FEW:
            return True
        least = min(least, *part)
        most = max(most, *part)
    return False


def _known_set(column: _Column) -> KnownSet | None:
    every = set(column.values)
    most = min(_LARGEST_SET, len(column.values) / _REPEATS)
    if len(every) > most or max(map(len, every)) > _LONGEST:
        return None
    one, other = column.once().halves()
    first, second, size = set(one), set(other), len(one) + len(other)
    new = sum(value not in first for value in other) + sum(value not in second for value in one)
    if new > _NEW_SHARE * size + 1:
        return None
    # The share of new values is estimated by those that came once (Good and Turing).
    return KnownSet(frozenset(map(value_hash, every)), math.log((size + 1) / (new + 1)))


def _range(column: _Column) -> KnownRange | None:
    unit = usual_unit(column.values)
    if unit:
        column = column.mapped(lambda value: in_unit(value, unit))
    numbers = []
    for value in column.values:
        number = as_number(value)
        if number is None:
            return None
        numbers.append(number)
    one, other = halves(numbers, column.sessions)
    if outside_too_often(one, other) or drifts(numbers):
        return None
    least = min(numbers)
    floor = 0.0
    if least < 0:
        # Their logarithms are to be taken: from as far below the least one as the others lie above.
        floor = 2 * least - max(*numbers, 0.0)
    resolution = resolution_of(column.values)
    return KnownRange(
        range_of([number - floor for number in numbers], resolution, STEEPEST),
        has_zero=reaches_zero(numbers, resolution),
        surprise=math.log(len(numbers) + 1),
        floor=floor,
        unit=unit,
    )


def outside_too_often(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether too many numbers of either half are outside the range of the other half."""
    outside = _outside(other, one) + _outside(one, other)
    return outside > max(_OUTSIDE_SHARE * (len(one) + len(other)), _OUTSIDE_FEW)


def _outside(numbers: Sequence[float], others: Sequence[float]) -> int:
    """How many numbers are smaller or larger than all the others."""
    least = min(others)
    most = max(others)
    return sum(not least <= number <= most for number in numbers)
