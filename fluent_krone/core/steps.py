"""What judges the steps of a session one by one, and how its word becomes a finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..types import Deviation

# The gaps that are no deviation where nothing is known of a transition, in ns.
ANY_GAP_NS = (-(2**63), 2**63 - 1)
# Limits that no gap keeps.
NO_GAP_NS = (2**63 - 1, -(2**63))
# A wait that never ends, and a time that is never reached, in ns.
NEVER_NS = 2**63 - 1
# Before a session's first step, and behind its last one, where log keys count from 0.
START, END = -1, -2

# Three steps in a row, `START` and `END` among them, and how often training had them.
Row = tuple[int, int, int, int]
# What has come so far in a session, in whatever order, as the step judge sums it up; nothing yet.
SoFar = tuple[int, int]
NOTHING: SoFar = (0, 0)


class Situation:
    """What a step judge knows of sessions whose steps so far are the same to it.

    After `waits_ns` without an event there is something to do, and no gap from `shortest_ns` to
    `longest_ns` before the last step is a deviation. `memory` is what the judge needs to go on from
    here. `next` are the situations after steps that are no deviation here.
    """

    __slots__ = ("longest_ns", "memory", "next", "shortest_ns", "waits_ns")

    def __init__(
        self, memory: Any = None, waits_ns: int = NEVER_NS, limits_ns: tuple[int, int] = ANY_GAP_NS
    ) -> None:
        self.memory = memory
        self.waits_ns = waits_ns
        self.shortest_ns, self.longest_ns = limits_ns
        self.next: dict[int, Situation] = {}


_NS = 1_000_000_000

# Events `[start, end)` of a Seq, and the longest duration of it that is no deviation, in ns.
Limit = tuple[int, int, int]


# All steps are the same to a judge that knows nothing.
_ALL_ALIKE = Situation()


class StepJudge:
    """Judges each step of a session by its order, its time and its values.

    This one knows nothing of normal training, so that nothing is odd to it: an engine without
    witnesses has it. What `after`, `at_end` and `spans` say is a function of the log keys alone:
    the tracker asks once per state.
    """

    def seen(self, log_key: int) -> tuple[int, int]:
        """How many such steps normal training had, and how many sessions."""
        return 0, 0

    def rows(self) -> Iterable[Row] | None:
        """All three steps that normal training had in a row; None where that is not known."""
        return None

    def begin(self) -> Situation:
        """The situation of a session before its first step."""
        return _ALL_ALIKE

    def after(
        self, before: Situation, keys: Sequence[int]
    ) -> tuple[Situation, tuple[Deviation, ...]]:
        """The situation after the last of `keys`, and what is odd about the order of that step.

        `before` is the situation before it.
        """
        return before, ()

    def at_end(self, keys: Sequence[int]) -> tuple[Deviation, ...]:
        """What is odd about a session that ends after `keys`."""
        return ()

    def limits_ns(self, before: int, step: int) -> tuple[int, int]:
        """The shortest and the longest gap between two steps, in ns, that is no deviation."""
        return ANY_GAP_NS

    def gap(self, keys: Sequence[int], gap_ns: int) -> Deviation | None:
        """What is odd about the gap before the last of `keys`."""
        return None

    def wait_score(self, keys: Sequence[int], waited_ns: int) -> float:
        """How unusual it is that nothing has followed `keys` for so long, in nats."""
        return 0.0

    @property
    def silence_ns(self) -> int:
        """How long a silence of the whole stream counts as waiting; 0 where nothing waits."""
        return 0

    @property
    def has_fractions(self) -> bool:
        """Whether the times of normal training were finer than whole seconds."""
        return False

    def hanging(self, keys: Sequence[int]) -> Deviation:
        """What is odd about a session that nothing has followed for longer than that."""
        raise AssertionError("BUG: a session hangs without a limit")

    def spans(self, keys: Sequence[int]) -> tuple[Limit, ...]:
        """The Seqs of a session whose durations have a limit."""
        return ()

    def long(self, keys: Sequence[int], limit: Limit, duration_ns: int, event: int) -> Deviation:
        """What is odd about a Seq that took longer than its limit; `event` is its slowest one."""
        raise AssertionError("BUG: a Seq takes long without a limit")

    @property
    def watched(self) -> frozenset[int]:
        """Log keys whose values or levels are worth a look."""
        return frozenset()

    @property
    def has_levels(self) -> bool:
        """Whether levels are worth a look at all."""
        return False

    def is_too_severe(self, log_key: int, rank: int) -> bool:
        """Whether a level of that rank deviates."""
        return False

    def severity(self, keys: Sequence[int], rank: int) -> Deviation | None:
        """What is odd about the level of the last of `keys`."""
        return None

    def is_odd(self, log_key: int, slot: int, value: bytes) -> bool:
        """Whether a value deviates."""
        return False

    def judged_part(self, log_key: int, slot: int, value: bytes) -> bytes:
        """The beginning of a value that `is_odd` depends on, as an address without its port.

        Its length may not depend on which digits the value has.
        """
        return value

    def slots(self, log_key: int) -> Sequence[int]:
        """The places of a watched log key's template whose values are worth a look."""
        return ()

    def value(self, keys: Sequence[int], values: Sequence[bytes]) -> Deviation | None:
        """What is odd about the values of the last of `keys`."""
        return None

    @property
    def compared(self) -> frozenset[int]:
        """Log keys whose numbers are compared with one another, at each of their events."""
        return frozenset()

    def proportion(
        self, keys: Sequence[int], gap_ns: int, values: Sequence[bytes]
    ) -> Deviation | None:
        """What is odd about the numbers of the last of `keys`, which is one of those, beside one
        another: its values, and the gap before it."""
        return None

    def fitting_gap(self, keys: Sequence[int], gap_ns: int, values: Sequence[bytes]) -> int:
        """The gap that fits the values of such an event and is nearest to `gap_ns`."""
        return gap_ns


NO_WITNESSES = StepJudge()


def uncertain_ns(steps: StepJudge, *times_ns: int) -> int:
    """By how much a time between two of these may be longer or shorter than they say, in ns.

    Whole seconds say less than training knew whose times had fractions: an output that sends
    integers cuts them off. Of times with fractions, hardly any pair are whole seconds by chance.
    """
    if not steps.has_fractions or any(time % _NS for time in times_ns):
        return 0
    return _NS
