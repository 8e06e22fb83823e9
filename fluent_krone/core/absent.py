"""Sessions as they would be with the steps that do not come any more in the whole stream.

A deploy may remove a step. Each session then lacks it, and would be abnormal by that alone. Once it
is known that no session has a step any more (`shifts.py`), a session is judged once more as if it
had come where training had it: if nothing is odd then, nothing is told. What else goes wrong in a
session is told as ever.

Only a step between two others is put back. Where sessions lack their first or last steps, they may
as well be cut off, all of them: a service that hangs looks like that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from .cascade import Cascade

# Longer sessions are told as they are: reading them again must not hold up the stream.
_LONGEST = 300
# Steps in a row that may be gone.
_MOST_IN_A_ROW = 3


class Gone(Protocol):
    """What is known of steps that are gone."""

    @property
    def gone(self) -> Collection[int]:
        """The steps that no session has any more."""
        ...

    def is_pair(self, before: int, step: int) -> bool:
        """Whether normal sessions had a step right after another one."""
        ...

    def expected(self, log_keys: Sequence[int]) -> Collection[int]:
        """The steps that nearly all sessions with these steps have."""
        ...


class Absent:
    """Puts steps that are gone back into sessions, and judges these."""

    def __init__(self, cascade: Cascade, known: Gone) -> None:
        self._cascade = cascade
        self._known = known

    def is_normal_step(self, log_keys: Sequence[int]) -> bool:
        """Whether the last step of a session under way is normal with what is gone before it."""
        whole = self._whole(log_keys, self._known.gone)
        if whole is None:
            return False
        state = self._cascade.tracker.replay(whole)
        return not state.deviations and not state.decided

    def is_normal(self, log_keys: Sequence[int]) -> bool:
        """Whether a session that has ended is normal with what is gone."""
        return self._is_normal(self._whole(log_keys, self._known.gone))

    def lacks_only(self, log_keys: Sequence[int], lacking: Collection[int]) -> bool:
        """Whether a session that has ended is normal with these steps, which it lacks, put back.

        Where one of them has no place between two others, that is all that is looked at: a stream
        of cut sessions must not cost a second verdict each.
        """
        whole = self._whole(log_keys, lacking)
        if whole is None or not set(lacking) <= set(whole):
            return False
        return self._is_normal(whole)

    def _is_normal(self, whole: Sequence[int] | None) -> bool:
        if whole is None:
            return False
        state = self._cascade.tracker.replay(whole)
        if self._cascade.at_end(state, whole) is not None:
            return False
        return not self._cascade.ending(state, whole)[0]

    def _whole(self, log_keys: Sequence[int], gone: Collection[int]) -> list[int] | None:
        """The steps of a session with those that are gone; None where there are none to add."""
        if not gone or not log_keys or len(log_keys) > _LONGEST:
            return None
        whole = [log_keys[0]]
        for step in log_keys[1:]:
            if not self._known.is_pair(whole[-1], step):
                whole += self._between(whole[-1], step, gone)
            whole.append(step)
        missing = [step for step in self._known.expected(log_keys) if step in gone]
        for step in sorted(set(missing) - set(whole)):
            self._put(whole, step)
        if len(whole) == len(log_keys):
            return None
        return whole

    def _between(self, before: int, behind: int, gone: Collection[int]) -> list[int]:
        """Steps that are gone, by which training came from one step to another one."""
        rows: list[list[int]] = [[]]
        for _ in range(_MOST_IN_A_ROW):
            longer = []
            for row in rows:
                last = (before, *row)[-1]
                for step in sorted(set(gone) - set(row)):
                    if not self._known.is_pair(last, step):
                        continue
                    if self._known.is_pair(step, behind):
                        return [*row, step]
                    longer.append([*row, step])
            rows = longer
        return []

    def _put(self, whole: list[int], step: int) -> None:
        """Put a step in the first place where training had it between the same neighbours."""
        for place in range(1, len(whole)):
            if self._known.is_pair(whole[place - 1], step) and self._known.is_pair(
                step, whole[place]
            ):
                whole.insert(place, step)
                return
