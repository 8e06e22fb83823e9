"""Whether training ever had a step after what has come so far, in whatever order it came.

The next step depends on what is done already more than on the order in which it was done: after
three replicas are received the block is closed, whichever came first. So a session is taken once
for how often each step has come so far, and once for which steps have come at all (multiset and set
abstraction: van der Aalst et al., "Process mining: a two-step approach to balance between
underfitting and overfitting", 2010). Where normal sessions repeat steps, hardly two ever have
exactly the same counts, and still some steps never come before others were done.

A step that training never had there counts as much as there were chances: the logarithm of how many
sessions came as far, or of how often the step came at all, whichever is fewer. The end of a session
is judged like a step.

A bundle holds hashes of what has come so far: the sum of one number for each step.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

# Events of a session that are looked at: this bounds the work.
REACH = 256
# What fewer sessions of training had come to says nothing of what may follow.
_RAREST = 3
# How much it counts that a step never came after the same steps, each as often, beside that it
# never came after the same steps, however often. Fewer normal sessions are new in the former; with
# equal weights, a few that are new in the latter hid half of the faults of HDFS.
_WEIGHTS = (1.0, 2.0)
# Bytes of the number that stands for a step. Sums of them are exact in JSON's numbers, and of
# 100,000 sums two are equal by chance in one bundle of 50,000.
_HASH_BYTES = 6
# After a session's last step.
_END = -2

# What came so far, as a sum → the steps after it, with the numbers of sessions.
Ways = Mapping[int, Mapping[int, int]]
# What came so far: however often, and each as often.
Sums = tuple[int, int]
# Nobody knows what has come so far: a step that training never had, or too many of them.
_UNKNOWN = (-1, -1)


class Expected(NamedTuple):
    """What training had after the same steps, each as often or `however_often`: `after`, in `total`
    sessions."""

    however_often: bool
    total: int
    after: Mapping[int, int]


class Progress:
    """Scores of a step, or of the end, after what has come so far; `ways` are of the set and of the
    multiset.

    >>> progress = Progress(count_progress([(1, 2, 3), (2, 1, 3)] * 9))
    >>> progress.score((2, 1, 3), 2), progress.score((2, 3), 1) > 0, progress.end_score((1, 2)) > 0
    (0.0, True, True)
    """

    def __init__(self, ways: Sequence[Ways]) -> None:
        self.ways = ways
        self._totals = [{so_far: sum(a.values()) for so_far, a in way.items()} for way in ways]
        self._after_set = ways[0].get
        self._after_all = ways[1].get
        # How often each step came in training, within the first `REACH` events of sessions.
        self._seen: Counter[int] = Counter()
        for after in ways[0].values():
            self._seen.update(after)
        # A step that training never had has none.
        self._number_of = {step: _number(step) for step in self._seen}.__getitem__

    def score(self, keys: Sequence[int], at: int, before: Sums | None = None) -> float:
        """How much it counts that event `at` never came after what came before it.

        `before` is that, where it is known already.
        """
        sums = before or self._sums(keys, at)
        step = keys[at]
        # Every new state of a session asks, and most steps came there before.
        for after in (self._after_set(sums[0]), self._after_all(sums[1])):
            if after is not None and step not in after:
                return self._score_of(sums, step)
        return 0.0

    def end_score(self, keys: Sequence[int]) -> float:
        """The same of the end of a session."""
        return self._score_of(self._sums(keys, len(keys)), _END)

    def with_last(self, before: Sums, keys: Sequence[int]) -> Sums:
        """What has come so far with the last of `keys`, after what came `before` it."""
        of_set, of_all = before
        last = keys[-1]
        if of_set < 0 or len(keys) >= REACH or last not in self._seen:
            return _UNKNOWN
        number = self._number_of(last)
        if keys.index(last) == len(keys) - 1:
            of_set += number
        return of_set, of_all + number

    def worst(self, keys: Sequence[int]) -> float:
        """The largest score of a session, its end included."""
        found = 0.0
        for sums, step in zip(_course(keys), [*keys, _END], strict=False):
            found = max(found, self._score_of(sums, step))
            if step not in self._seen:
                break
        return found

    def expected(self, keys: Sequence[int], at: int) -> Expected:
        """What comes instead of a step that never came there, by what counts more."""
        step = _END
        if at < len(keys):
            step = keys[at]
        found = Expected(True, 0, {})
        is_set = True
        for way, so_far in zip(self.ways, self._sums(keys, at), strict=True):
            after = way.get(so_far, {})
            total = sum(after.values())
            # The same steps, each as often, are more like this session.
            if step not in after and 2 * total >= found.total:
                found = Expected(is_set, total, after)
            is_set = False
        return found

    def _sums(self, keys: Sequence[int], at: int) -> Sums:
        """What has come before event `at`."""
        before = keys[:at]
        # A step that is new itself is reported by itself.
        if at >= REACH or not self._seen.keys() >= {*before}:
            return _UNKNOWN
        return sum(map(self._number_of, {*before})), sum(map(self._number_of, before))

    def _score_of(self, sums: Sums, step: int) -> float:
        if step not in self._seen:
            return 0.0
        score = 0.0
        for weight, way, totals, so_far in zip(
            _WEIGHTS, self.ways, self._totals, sums, strict=True
        ):
            after = way.get(so_far)
            if after is not None and step not in after:
                score += weight * math.log(1 + min(totals[so_far], self._seen[step]))
        return score


@cache
def _number(step: int) -> int:
    digest = hashlib.blake2b(str(step).encode(), digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "big")


def _course(keys: Sequence[int]) -> Iterator[Sums]:
    """What has come before each of the first events of a session, and before its end."""
    steps: set[int] = set()
    of_set = of_all = 0
    yield of_set, of_all
    for key in islice(keys, REACH - 1):
        number = _number(key)
        of_all += number
        if key not in steps:
            steps.add(key)
            of_set += number
        yield of_set, of_all


def count_progress(sessions: Iterable[Sequence[int]]) -> list[dict[int, Counter[int]]]:
    """What came after what in normal sessions."""
    ways: list[defaultdict[int, Counter[int]]] = [defaultdict(Counter) for _ in _WEIGHTS]
    for keys, times in Counter(tuple(keys) for keys in sessions if keys).items():
        for sums, step in zip(_course(keys), [*keys, _END], strict=False):
            for way, so_far in zip(ways, sums, strict=True):
                way[so_far][step] += times
    return [
        {so_far: after for so_far, after in way.items() if after.total() >= _RAREST} for way in ways
    ]


def progress_to_json(progress: Progress) -> list[Any]:
    """Plain values: of set and multiset, what came so far, and the steps after it with numbers."""
    return [
        [
            [so_far, [number for pair in sorted(after.items()) for number in pair]]
            for so_far, after in sorted(way.items())
        ]
        for way in progress.ways
    ]


def progress_from_json(values: Sequence[Any]) -> Progress:
    """The tables as `progress_to_json` wrote them."""
    return Progress(
        [
            {so_far: dict(zip(after[::2], after[1::2], strict=True)) for so_far, after in way}
            for way in values
        ]
    )
