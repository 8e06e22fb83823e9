"""What is odd about one event of a session: its order, the gap before it, its values."""

from __future__ import annotations

from collections.abc import Sequence

from ..reading.slots import SlotReader
from ..types import Deviation
from .steps import StepJudge
from .tracker import State


class OddEvents:
    """Asks the step judge, where there is one, about the few events that may be odd.

    `watched` are the log keys whose values are worth a look.
    """

    def __init__(self, steps: StepJudge | None, slots: SlotReader) -> None:
        self._steps = steps
        self._slots = slots
        self.watched: frozenset[int] = frozenset()
        if steps is not None:
            self.watched = steps.watched

    def has_odd_value(self, log_key: int, text: bytes) -> bool:
        """Whether any value of an event deviates. Asked for every event of a watched log key."""
        assert self._steps is not None, "BUG: log keys are watched only for a step judge"
        return self._steps.is_odd(log_key, self._slots.values(log_key, text))

    def deviations(
        self, state: State, keys: Sequence[int], gap_ns: int, text: bytes
    ) -> list[Deviation]:
        """What is odd about the last of `keys`, which led to `state`."""
        found = list(state.deviations)
        if self._steps is None:
            return found
        others = [self._steps.gap(keys, gap_ns)]
        if keys[-1] in self.watched:
            others.append(self._steps.value(keys, self._slots.values(keys[-1], text)))
        return found + [deviation for deviation in others if deviation is not None]
