"""Faults injected into held-out normal sessions: what a detector is worth, without any label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.reading.levels import RANKS

from .facets import other_leaves
from .traces import Trace

# What a fault does to a session's steps …
STEP_KINDS = (
    "skip", "rework", "insert", "early", "late", "swap", "reverse", "truncated", "foreign",
    "wrong_status", "new_line",
)  # fmt: skip
# … and to their times, values and severities, where the sessions have any.
TIME_KINDS = ("slow", "slow_all", "pause", "stuck")
VALUE_KINDS = ("value",)
LEVEL_KINDS = ("level",)
# What repeats itself in normal sessions as well, and far more often in these.
LOOP_KINDS = ("loop",)
# Kinds that are to be found while the session is still open.
HANGING = ("stuck",)
KINDS = (*STEP_KINDS, *TIME_KINDS, *VALUE_KINDS, *LEVEL_KINDS, *LOOP_KINDS)
# How many times as often as in the session a round of a loop comes.
_ROUNDS = 10
# Of the faults of any other kind, so many are injected of those: they have as many more events.
LOOPS_SHARE = 1 / _ROUNDS
# How many times as long a slow step takes, at least and at most: a step so slow that anybody would
# notice says nothing about where a threshold has to lie …
_SLOWER_AT_LEAST, _SLOWER_AT_MOST = 8, 50
# … as it did, or as the shortest time that the clock can tell, in ns: of seconds, or of less.
_SECOND_NS, _MILLISECOND_NS = 1_000_000_000, 1_000_000
# How many times as long each step of a session takes that is slow altogether.
_SLOWER_ALL = 8
# The length of a pause, in ns. Fifty times the gap of a session that takes milliseconds is hardly a
# second, and machines that stop, or persons who are waited for, take longer than that. Without this
# kind the gaps of raw HDFS were given none of three false alarms in 1,000, and one pause in five
# was missed.
_PAUSE_NS = 3_600 * 1_000_000_000
# What a wrong value becomes: a zero, a huge number, a text that nobody knows, or, where it is a
# number, this many times that number.
_WRONG_VALUES = (b"0", b"999999999999", b"unheard-of")
_TIMES_AS_LARGE = 10
_NUMBER = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{1,6})?")
# Of wrong statuses, the share that no leaf has, where a step has facets; and the values that such
# an event is given, which are enough for any template.
_UNSEEN_STATUS = 0.5
_MOST_PLACES = 30
# Steps after the first one of a session that can get stuck. A shorter one is one step alone.
_STUCK_AT_LEAST = 2
# Beside what is kept of a session, the share of a truncated one, at least and at most.
_KEPT_AT_LEAST, _KEPT_AT_MOST = 0.3, 0.8


class Injector:
    """Makes faulty copies of sessions. `pool` are the log keys that training has."""

    def __init__(self, hierarchy: Hierarchy, pool: Sequence[int], rng: np.random.Generator) -> None:
        self._hierarchy = hierarchy
        self._pool = list(pool)
        self._rng = rng
        # Of each leaf with a facet, the one that takes all values which training never had.
        templates = [row.template for row in hierarchy.rows[: hierarchy.unknown]]
        self._other_leaf = {
            leaf: plain
            for plain, leaves in other_leaves(templates, {*pool} - {hierarchy.unknown}).items()
            for leaf in leaves
        }
        self._steps: dict[str, Callable[[list[int]], list[int]]] = {
            "skip": self._skip,
            "rework": self._rework,
            "insert": self._insert,
            "early": self._early,
            "late": self._late,
            "swap": self._swap,
            "reverse": lambda keys: keys[::-1],
            "truncated": self._truncated,
            "foreign": self._foreign,
            "wrong_status": self._wrong_status,
            "new_line": self._new_line,
        }
        self._timed: dict[str, Callable[[Trace], Trace | None]] = {
            "slow": self._slow,
            "slow_all": self._slow_all,
            "pause": self._paused,
            "stuck": self._stuck,
        }

    def inject(self, session: Trace, kind: str) -> Trace | None:
        """A copy with one fault of `kind`; None where the session gives it nothing to work on."""
        if kind == "wrong_status" and self._rng.random() < _UNSEEN_STATUS:
            unseen = self._unseen_status(session)
            if unseen is not None:
                return unseen
        if kind in self._steps:
            keys = tuple(self._steps[kind](list(session.keys)))
            if not keys or keys == session.keys:
                return None
            return Trace(keys)
        if kind in self._timed:
            return self._timed[kind](session)
        if kind == "value":
            return self._value(session)
        if kind == "level":
            return self._level(session)
        if kind == "loop":
            return self._loop(session)
        raise ValueError(f"BUG: no fault is called {kind!r}")

    def _at(self, size: int) -> int:
        return int(self._rng.integers(size))

    def _pick(self, keys: Sequence[int]) -> int:
        return keys[self._at(len(keys))]

    def _skip(self, keys: list[int]) -> list[int]:
        del keys[self._at(len(keys))]
        return keys

    def _rework(self, keys: list[int]) -> list[int]:
        at = self._at(len(keys))
        return [*keys[:at], keys[at], *keys[at:]]

    def _insert(self, keys: list[int]) -> list[int]:
        keys.insert(self._at(len(keys) + 1), self._pick(self._pool))
        return keys

    def _two_places(self, size: int) -> tuple[int, int]:
        """Two places with another step between, where there are three steps."""
        first, last = sorted(int(at) for at in self._rng.choice(size, 2, replace=False))
        if last - first < 2:
            last = min(size - 1, first + 2)
            first = max(0, last - 2)
        return first, last

    def _early(self, keys: list[int]) -> list[int]:
        if len(keys) < 3:
            return keys
        first, last = self._two_places(len(keys))
        keys.insert(first, keys.pop(last))
        return keys

    def _late(self, keys: list[int]) -> list[int]:
        if len(keys) < 3:
            return keys
        first, last = self._two_places(len(keys))
        keys.insert(last, keys.pop(first))
        return keys

    def _swap(self, keys: list[int]) -> list[int]:
        if len(keys) > 1:
            at = self._at(len(keys) - 1)
            keys[at : at + 2] = [keys[at + 1], keys[at]]
        return keys

    def _truncated(self, keys: list[int]) -> list[int]:
        share = self._rng.uniform(_KEPT_AT_LEAST, _KEPT_AT_MOST)
        return keys[: max(1, int(len(keys) * share))]

    def _foreign(self, keys: list[int]) -> list[int]:
        """A step of an entity that has no part in the session."""
        own = {self._hierarchy.entity_of[key] for key in keys}
        foreign = [key for key in self._pool if self._hierarchy.entity_of[key] not in own]
        others = foreign or sorted(set(self._pool) - set(keys))
        if others:
            keys.insert(self._at(len(keys)), self._pick(others))
        return keys

    def _wrong_status(self, keys: list[int]) -> list[int]:
        """Another outcome of a step: a leaf of its action, else of its entity, else any."""
        at = self._at(len(keys))
        others = [key for key in self._pool if key != keys[at]]
        for node_of in (self._hierarchy.action_of, self._hierarchy.entity_of):
            if alike := [key for key in others if node_of[key] == node_of[keys[at]]]:
                others = alike
                break
        if others:
            keys[at] = self._pick(others)
        return keys

    def _new_line(self, keys: list[int]) -> list[int]:
        """A message that no session of training has."""
        keys.insert(self._at(len(keys) + 1), self._hierarchy.unknown)
        return keys

    def _unseen_status(self, session: Trace) -> Trace | None:
        """A status that its step never had, where the step has facets: it falls to the leaf that
        takes all other values."""
        places = [at for at, key in enumerate(session.keys) if key in self._other_leaf]
        if not places or not session.values:
            return None
        at = places[self._at(len(places))]
        other = self._other_leaf[session.keys[at]]
        wrong = (_WRONG_VALUES[-1],) * _MOST_PLACES
        return replace(
            session,
            keys=(*session.keys[:at], other, *session.keys[at + 1 :]),
            values=(*session.values[:at], wrong, *session.values[at + 1 :]),
        )

    def _slow(self, session: Trace) -> Trace | None:
        if not session.gaps_ns:
            return None
        gaps = list(session.gaps_ns)
        at = self._at(len(gaps))
        shortest_ns = _MILLISECOND_NS
        if all(gap % _SECOND_NS == 0 for gap in gaps):
            shortest_ns = _SECOND_NS
        slower = self._rng.uniform(_SLOWER_AT_LEAST, _SLOWER_AT_MOST)
        # What the clock calls nothing took some part of what it can tell.
        took_ns = max(gaps[at], self._rng.uniform(0, shortest_ns))
        gaps[at] = int(took_ns * slower // shortest_ns) * shortest_ns
        return replace(session, gaps_ns=tuple(gaps))

    def _slow_all(self, session: Trace) -> Trace | None:
        if not any(session.gaps_ns):
            return None
        return replace(session, gaps_ns=tuple(gap * _SLOWER_ALL for gap in session.gaps_ns))

    def _paused(self, session: Trace) -> Trace | None:
        """Nothing happens for an hour between two steps."""
        if not session.gaps_ns:
            return None
        gaps = list(session.gaps_ns)
        gaps[self._at(len(gaps))] += _PAUSE_NS
        return replace(session, gaps_ns=tuple(gaps))

    def _stuck(self, session: Trace) -> Trace | None:
        """Nothing follows a step any more. It counts as found only by what sees it hang."""
        if len(session.gaps_ns) < _STUCK_AT_LEAST:
            return None
        end = 1 + self._at(len(session.gaps_ns))
        return replace(
            session,
            keys=session.keys[:end],
            gaps_ns=session.gaps_ns[: end - 1],
            values=session.values[:end],
            levels=session.levels[:end],
        )

    def _value(self, session: Trace) -> Trace | None:
        places = [
            (event, slot)
            for event, values in enumerate(session.values)
            for slot in range(len(values))
        ]
        if not places:
            return None
        event, slot = places[self._at(len(places))]
        wrong = list(session.values[event])
        wrong[slot] = self._wrong_value(wrong[slot])
        values = (*session.values[:event], tuple(wrong), *session.values[event + 1 :])
        return replace(session, values=values)

    def _wrong_value(self, value: bytes) -> bytes:
        """What a value becomes; a number may become one that is merely unusual."""
        found = _NUMBER.match(value)
        choice = self._at(len(_WRONG_VALUES) + 1)
        if choice < len(_WRONG_VALUES) or found is None or not float(found[0]):
            return _WRONG_VALUES[choice % len(_WRONG_VALUES)]
        whole, point, decimals = found[0].partition(b".")
        if not point:
            return b"%d" % (int(whole) * _TIMES_AS_LARGE) + value[found.end() :]
        larger = b"%.*f" % (len(decimals), float(found[0]) * _TIMES_AS_LARGE)
        return larger + value[found.end() :]

    def _level(self, session: Trace) -> Trace | None:
        if not any(session.levels):
            return None
        at = self._at(len(session.levels))
        levels = (*session.levels[:at], RANKS[b"fatal"], *session.levels[at + 1 :])
        return replace(session, levels=levels)

    def _loop(self, session: Trace) -> Trace | None:
        """A round of a loop comes ten times as often: all from a step to the next one alike."""
        keys = session.keys
        often = Counter(keys)
        repeated = [key for key, number in often.items() if number > 1]
        if not repeated:
            return None
        key = self._pick(repeated)
        places = [at for at, other in enumerate(keys) if other == key]
        # Of all rounds, the shortest: a step that comes at the start and at the end is no loop.
        first, end = min(pairwise(places), key=lambda at: at[1] - at[0])
        more = keys[first:end] * ((_ROUNDS - 1) * often[key])
        return Trace((*keys[:end], *more, *keys[end:]))
