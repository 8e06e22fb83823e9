"""A session with new steps is read again once it is known what they are, and then judged."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..types import Deviation, Finding
from .changes import Changes
from .odd_events import OddEvents
from .places import PASSED
from .sessions import ALERTED, Session
from .tracker import State

if TYPE_CHECKING:
    from .engine import Engine


class Rejudging:
    """Judges sessions of an engine by what `changes` knows of their new steps."""

    def __init__(self, engine: Engine, changes: Changes, odd: OddEvents) -> None:
        self._engine = engine
        self._changes = changes
        self._odd = odd

    def judge(self, session: Session, told_ns: int, findings: list[Finding]) -> None:
        """Read an ended session again, and judge it.

        All of it is told at one time, the stream time `told_ns`. So what is odd about single steps
        is a part of the alert about the whole session, if there is one.
        """
        passed = self._read_again(session)
        keys = session.keys
        state = self._engine.tracker.start
        odd: list[Deviation] = []
        for place, log_key in enumerate(keys):
            state = self._engine.tracker.step(state, log_key, keys)
            if session.alerted != ALERTED:
                odd += self._odd_step(session, state, place, passed.get(place, 0))
        session.state = state
        if keys and session.alerted != ALERTED:
            self._engine.judging.judge_end(session, told_ns, findings, steps=odd)

    def _read_again(self, session: Session) -> dict[int, int]:
        """Put the steps that new ones stand for into a session, and take out those it is to pass.

        Returns the event times of these, by the places of the steps that come after them. Lines
        and levels may be fewer than steps: only the first of a long session are kept.
        """
        kept: list[int] = []
        passed: dict[int, int] = {}
        for place, log_key in enumerate(session.keys):
            known = self._changes.read_as(log_key, _line(session, place))
            session.saved.new_steps += self._changes.is_of_change(log_key)
            if known == PASSED:
                passed[len(kept)] = session.times[place]
            else:
                session.keys[place] = known
                kept.append(place)
        session.saved.last_ns = session.last_ns
        session.lines = [session.lines[place] for place in kept if place < len(session.lines)]
        levels = session.levels
        if levels is not None:
            session.levels = bytes(levels[place] for place in kept if place < len(levels))
        session.times = array("q", [session.times[place] for place in kept])
        session.keys = array("H", [session.keys[place] for place in kept])
        return passed

    def _odd_step(
        self, session: Session, state: State, place: int, passed_ns: int
    ) -> Sequence[Deviation]:
        """What is odd about the order of the step at a place, and the gap before it.

        `state` is the session's with that step, and `passed_ns` the time of an event before it that
        was passed over. Values and levels were judged as the step came.
        """
        gap_ns = session.times[place] - session.times[max(place - 1, 0)]
        gap_ns = self._engine.judging.certain_gap(session, place, gap_ns, passed_ns)
        if not state.deviations and state.shortest_ns <= gap_ns <= state.longest_ns:
            return ()
        keys = session.keys[: place + 1]
        line = _line(session, place)
        return self._odd.deviations(state, keys, gap_ns, line, None, rare=True)


def _line(session: Session, place: int) -> bytes:
    """The raw line of an event; empty where it was not kept."""
    if place < len(session.lines):
        return session.lines[place]
    return b""
