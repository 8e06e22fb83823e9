"""Whether training ever had a step after the steps right before it: after one of them, two, … five.

Each number of steps is asked by itself, and where training never had the step there, it counts as
much as there were chances: the logarithm of how often training had these steps before it, or the
step itself, or of how often the step was to be expected there by what came after fewer steps,
whichever is the fewest. A step that comes in one of forty cases is no news where it is new in
forty. The sum over all numbers is the score. So a step that never followed the one before it counts
most, as it did not follow the two before it either, and one that is new only after five steps
counts little. One score for all numbers costs the budget of false alarms less than one for each.

Windows of a few steps are the oldest way to tell odd sequences from normal ones (Forrest et al., "A
sense of self for Unix processes", 1996), which asks only whether a window is new.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..core.steps import START

# Steps before the present one that are looked at together with it. Longer stretches are new in too
# many normal sessions.
REACH = 5
# Windows that are remembered; then all are forgotten, and worked out anew.
_MOST_REMEMBERED = 50_000

_NOTHING: Mapping[int, int] = {}

Window = tuple[int, ...]
# The steps after each stretch of `REACH` steps, with their counts.
Stretches = Mapping[Window, Mapping[int, int]]


class Recent(dict[Window, float]):
    """Scores of windows: a step and the `REACH` steps before it. Remembered.

    >>> recent = Recent(count_recent([(1, 2, 3)] * 9))
    >>> recent.score((1, 2, 3), 2), recent.score((1, 3), 1) > 0
    (0.0, True)
    """

    def __init__(self, stretches: Stretches) -> None:
        self.stretches = stretches
        self._after: dict[Window, Counter[int]] = {}
        for stretch, after in stretches.items():
            for start in range(len(stretch) + 1):
                self._after.setdefault(stretch[start:], Counter()).update(after)
        self._totals = {context: after.total() for context, after in self._after.items()}

    def __missing__(self, window: Window) -> float:
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        score = 0.0
        known = self._after.get((), _NOTHING)
        seen = known.get(window[-1], 0)
        # The step's share of all that came after the most steps that training had it after.
        share = 1.0
        for start in range(len(window) - 2, -1, -1):
            context = window[start:-1]
            if context[0] not in known and context[0] != START:
                # A step that is new itself is reported by itself.
                break
            times = self._after.get(context, _NOTHING).get(window[-1], 0)
            if times:
                share = times / self._totals[context]
                continue
            chances = self._chances(context)
            score += math.log(1 + min(chances, seen, share * chances))
        self[window] = score
        return score

    def score(self, keys: Sequence[int], at: int) -> float:
        """How much it counts that training never had event `at` after those before it."""
        return self[recent_window(keys, at)]

    def told(self, keys: Sequence[int], at: int) -> tuple[Window, Mapping[int, int]]:
        """The fewest steps before event `at` that training never had it after, and what it had
        there; nothing where it never had these steps together."""
        window = recent_window(keys, at)
        for start in range(len(window) - 2, -1, -1):
            context = window[start:-1]
            after = self._after.get(context, _NOTHING)
            if window[-1] not in after:
                return context, after
        return window[-2:-1], self._after.get(window[-2:-1], _NOTHING)

    def _chances(self, context: Window) -> int:
        """How often anything came after these steps, or after the last of them that are known."""
        starts = range(len(context) + 1)
        return next(n for start in starts if (n := self._totals.get(context[start:], 0)))


def recent_window(keys: Sequence[int], at: int) -> Window:
    """Event `at` and the `REACH` events before it; `-1` stands before the first one.

    >>> recent_window((7, 8, 9), 1)
    (-1, -1, -1, -1, 7, 8)
    """
    if at >= REACH:
        return tuple(keys[at - REACH : at + 1])
    return (*(START,) * (REACH - at), *keys[: at + 1])


def count_recent(sessions: Iterable[Sequence[int]]) -> dict[Window, Counter[int]]:
    """The stretches of normal sessions."""
    windows: Counter[Window] = Counter()
    for keys, times in Counter(tuple(keys) for keys in sessions).items():
        padded = (START,) * REACH + keys
        for window in zip(*(padded[i:] for i in range(REACH + 1)), strict=False):
            windows[window] += times
    stretches: dict[Window, Counter[int]] = {}
    for window, times in windows.items():
        stretches.setdefault(window[:-1], Counter())[window[-1]] = times
    return stretches


def recent_to_json(recent: Recent) -> list[list[list[int]]]:
    """Plain values: a stretch, and the steps after it with their counts."""
    return [
        [list(stretch), [number for pair in sorted(after.items()) for number in pair]]
        for stretch, after in sorted(recent.stretches.items())
    ]


def recent_from_json(values: Sequence[Sequence[Sequence[int]]]) -> Recent:
    """The table as `recent_to_json` wrote it."""
    return Recent(
        {
            tuple(stretch): dict(zip(after[::2], after[1::2], strict=True))
            for stretch, after in values
        }
    )
