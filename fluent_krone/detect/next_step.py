"""How surprising a step is after some steps before it.

A variable-order model of the log keys (prediction by partial matching, PPM-C: Moffat, "Implementing
the PPM data compression scheme", 1990) answers with the probability of the next step after the
longest known context, and falls back to a shorter context where the longer one never had that step.
The surprise of a step is the negative logarithm of that probability, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

Context = tuple[int, ...]
Counts = Mapping[Context, Mapping[int, int]]

# Surprises that are remembered; then all are forgotten, and worked out anew.
_MOST_REMEMBERED = 50_000


class NextStep:
    """Counts of the step that followed each context, and the surprise of a step after one.

    >>> model = NextStep({(): {1: 3, 2: 1}, (1,): {2: 3}})
    >>> model.surprise((1,), 2) < model.surprise((1,), 1)
    True
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self._totals = {context: sum(after.values()) for context, after in counts.items()}
        # Where no context at all had the step, each known step and one unknown are equally likely.
        self._least = math.log(1 + len(counts.get((), ())))
        # A context and a step after it come again much more often than a whole session does.
        self._remembered: dict[tuple[Context, int], float] = {}

    def surprise(self, context: Context, step: int) -> float:
        """−ln of the probability of `step` after `context`."""
        found = self._remembered.get((context, step))
        if found is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            found = self._remembered[context, step] = self._surprise(context, step)
        return found

    def chances(self, context: Context, step: int) -> float:
        """ln of how often `step` could have come after `context`: as often as it came at all, or as
        often as anything came after the longest part of the context that training had."""
        starts = range(len(context) + 1)
        after = next((n for at in starts if (n := self._totals.get(context[at:]))), 0)
        return math.log(1 + min(after, self.counts.get((), {}).get(step, 0)))

    def _surprise(self, context: Context, step: int) -> float:
        escaped = 0.0
        for start in range(len(context) + 1):
            after = self.counts.get(context[start:])
            if after is None:
                continue
            total = self._totals[context[start:]] + len(after)
            if times := after.get(step):
                return escaped - math.log(times / total)
            escaped -= math.log(len(after) / total)
        return escaped + self._least
