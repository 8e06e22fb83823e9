"""Sessions that hang: found while nothing happens in them.

1. The state of a session says after how long without an event there is something to do
   (`State.waits_ns`). That moment changes with each event.
2. Even noting it with each event would cost too much. `Session.due` is a moment that is never
   later: an event may make it earlier, and it is made later when the session is looked at.
3. Keeping all of them in order would cost more than judging the events. So a session has one
   moment in a heap, `Session.alarm`, which is never later than `due`: most events touch no heap.
   When its alarm is reached, the session is looked at, and put back with its `due` of that time.
4. What is found is a function of the stream alone. A session is looked at before its next event is
   taken and before it ends, whether or not it was collected in between; so the finding says that
   the limit was exceeded, and not by how much.
5. Silences of the whole stream do not count, and events may come as late as they have come before
   (`StreamDelays`).
"""

from __future__ import annotations

import heapq

from ..reading.records import SessionKey
from ..types import Finding
from .findings import FindingMaker
from .sessions import ALERTED, Session, Sessionizer
from .steps import StepJudge, uncertain_ns
from .stream.delays import ARRIVAL_NS, NO_SILENCE_NS
from .stream.stream_time import StreamTime

# Sessions reported since the last commit that are remembered: more do not hang within one.
_MOST_TOUCHED = 10_000
# The alarm of a session that has none in the heap.
NO_ALARM = 2**64


class Hanging:
    """Finds the sessions that hang."""

    def __init__(
        self, steps: StepJudge, sessions: Sessionizer, time: StreamTime, make: FindingMaker
    ) -> None:
        self._steps = steps
        self._sessions = sessions
        self._time = time
        self._make = make
        self._alarms: list[tuple[int, SessionKey]] = []
        if time.delays.silence_ns != NO_SILENCE_NS:
            sessions.first_alarm = NO_ALARM

    def set_alarm(self, session: Session, due: int) -> None:
        """Look at the session at stream time `due`, which is before its alarm so far."""
        session.alarm = due
        heapq.heappush(self._alarms, (due, session.key))

    def watch(self, session: Session) -> None:
        """The session's state or its last time changed, and not by an event: look at it anew."""
        session.due = self._due(session)
        self._put_back(session)

    def collect(self, clock: int, findings: list[Finding], most: int) -> None:
        """Report the sessions that hang at stream time `clock`, until there are `most` findings."""
        silent_ns = clock - self._time.clock
        if silent_ns > 0:
            # While no record comes: it may be on its way, and a silence that is longer than
            # training had is no waiting.
            silent_ns = max(silent_ns - ARRIVAL_NS, 0)
            clock = self._time.clock + min(silent_ns, self._time.delays.silence_ns)
        while self._alarms and self._alarms[0][0] < clock and len(findings) < most:
            alarm, key = heapq.heappop(self._alarms)
            session = self._sessions.open.get(key)
            if session is None or session.alarm != alarm:
                # It ended, or has another moment in the heap.
                continue
            self.look_at(session, clock, findings)
            self._put_back(session)

    def look_at(self, session: Session, clock: int, findings: list[Finding]) -> None:
        """Report the session if it hangs at stream time `clock`, or hung before it ended."""
        end = self._sessions.end_of(session)
        clock = min(clock, end)
        # The events since have moved it.
        session.due = max(session.due, min(session.seen + session.state.waits_ns, end))
        if clock <= session.due:
            return
        session.due = self._due(session)
        if clock <= session.due or session.state.waits_ns >= self._sessions.idle_ns:
            return
        due = session.due
        session.due = self._sessions.end_of(session)
        if session.alerted == ALERTED:
            return
        odd = [self._steps.hanging(session.keys)]
        told = self._make.deviations(session, odd, "early", due)
        if told:
            findings += told
            # Without a store, nothing empties the list.
            del self._sessions.touched[:-_MOST_TOUCHED]
            self._sessions.touched.append(session)

    def _put_back(self, session: Session) -> None:
        session.alarm = self._sessions.first_alarm
        if session.due < min(session.alarm, self._sessions.end_of(session)):
            self.set_alarm(session, session.due)

    def _due(self, session: Session) -> int:
        """The stream time from which on the session hangs; its end where it never does."""
        end = self._sessions.end_of(session)
        wait_ns = session.state.waits_ns
        if wait_ns >= self._sessions.idle_ns or self._make.is_told(session, "stuck"):
            return end
        wait_ns += uncertain_ns(self._steps, session.last_ns)
        return min(self._time.delays.due(session.seen, wait_ns), end)
