"""The label of a record that names the version of its program, and which values of it are new."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from ...reading.accessor import Fields, field_getter, first_field

# Where records of Kubernetes, and of programs that state their version, usually have it. The first
# one that a record has counts.
USUAL_FIELDS = (
    "$.kubernetes.labels.version",
    "$['kubernetes']['labels']['app.kubernetes.io/version']",
    "$.kubernetes.container_image",
    "version",
)
# Values that are remembered: every program of a stream may have its own, and some old ones.
_MOST_VALUES = 200
# Bytes of a value. A longer one is no version.
_LONGEST = 200
# Looks after which it is decided whether the label is of use; and the share of them that may have
# a value never seen before. A label that is new with every record tells nothing of deploys.
_ENOUGH = 200
_MOST_NEW = 0.5
# Looks that must lie before a value, so that it can be called new at all.
_MATURE = 20


class Versions:
    """Remembers the values of one label, and since when each has been seen.

    `field` is a record accessor; without one, the usual places are tried.

    >>> versions = Versions("$.version")
    >>> [versions.look({b"version": name}, at) for at, name in enumerate((b"1.0", b"1.1"))]
    [b'1.0', b'1.1']
    """

    def __init__(self, field: str | None) -> None:
        # The accessor that found a value.
        self.found: str | None = None
        names: tuple[str | None, ...] = (field,)
        if field is None:
            names = USUAL_FIELDS
        # With the field of the record that each begins with: most records have none of them.
        self._getters: list[tuple[str, bytes, Callable[[Fields], Any]]] = [
            (name, first_field(name), field_getter(name)) for name in names if name
        ]
        self._tops = frozenset(first for _, first, _ in self._getters)
        # Value → [stream time of the first look that had it, looks].
        self._values: OrderedDict[bytes, list[int]] = OrderedDict()
        self._looks = 0
        self._new = 0
        # Whether `save` would return something else than last time.
        self.is_dirty = False
        # Whether nearly every record has a value of its own; then the label is not looked at.
        self.is_useless = False

    def look(self, record: Any, clock: int) -> bytes | None:
        """The value that a record has, which is remembered; None where it has none."""
        if self.is_useless or record.__class__ is not dict or self._tops.isdisjoint(record):
            return None
        value = self._value(record)
        if value is None:
            return None
        self._looks += 1
        self.is_dirty = True
        entry = self._values.get(value)
        if entry is None:
            self._new += 1
            self._values[value] = [clock, 1]
            if len(self._values) > _MOST_VALUES:
                self._values.popitem(last=False)
        else:
            entry[1] += 1
            self._values.move_to_end(value)
        if self._looks == _ENOUGH:
            self.is_useless = self._new > _MOST_NEW * self._looks
            self._looks = _MATURE
            self._new = 0
        return value

    def is_new(self, value: bytes | None, since_ns: int) -> bool:
        """Whether a value was first seen after `since_ns`, and others before it."""
        if value is None or self.is_useless or self._looks < _MATURE:
            return False
        entry = self._values.get(value)
        if entry is None or entry[0] < since_ns:
            return False
        return any(other[0] < since_ns for other in self._values.values())

    def before(self, since_ns: int, most: int) -> list[bytes]:
        """The values seen before `since_ns`, the most frequent first."""
        found = [
            (-looks, value) for value, (first, looks) in self._values.items() if first < since_ns
        ]
        return [value for _, value in sorted(found)[:most]]

    def save(self) -> list[Any]:
        """What a snapshot holds of it."""
        rows = [[value, *entry] for value, entry in self._values.items()]
        return [self._looks, self._new, self.is_useless, rows]

    def load(self, saved: Sequence[Any]) -> None:
        """Go on from a snapshot."""
        self._looks, self._new, self.is_useless, rows = saved
        self._values = OrderedDict((value, [first, looks]) for value, first, looks in rows)

    def _value(self, record: Fields) -> bytes | None:
        for name, first, get in self._getters:
            if first not in record:
                continue
            value = get(record)
            if value.__class__ is bytes and 0 < len(value) <= _LONGEST:
                self.found = name
                return bytes(value)
        return None
