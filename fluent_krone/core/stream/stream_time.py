"""What time it is in the stream: which event times are believed, and what makes time go on.

1. The *watermark* is the event time that the stream has reached. It moves with the events, but no
   single event moves it far: one line whose clock is wrong must not end every open session.
2. An event that is much further ahead than the events before it were, is *doubted*: it takes the
   watermark's time. When `AGREED` events in a row are as far ahead, and come from several sources
   where the stream has several (`Sources`), it has moved on, and all of them are believed after all
   (`Engine` then cuts their sessions where it would have). When an event comes that is where the
   stream was, those that were doubted are taken for slips, and are counted. The first events of a
   stream are believed at once while all come from one source, since nothing speaks against them.
3. While records come as they are written, an event that is not ahead of the wall clock is not
   doubted: the time since the last record explains it.
4. A time further ahead of the wall clock than `max_future` is never believed, and one further ahead
   of the watermark than `max_leap` is always doubted.
5. Late events are behind the watermark, and change nothing. When `AGREED` events in a row are
   further behind than `_STEP_BACK_NS`, and in order among themselves, the stream has stepped back
   (clocks did, in autumn), and the watermark follows.
6. The *clock* is what ages sessions. It never goes back: it is the watermark, and what the
   watermark has gone back by. A later leap ahead takes that back first, so that a batch of old
   records among new ones does not age any session. With `idle_clock wall` it is arrival times.
7. While no record comes, the clock goes on with wall time, from the moment of the last `feed`.
8. A silence of the whole stream that is longer than training had is noted (`delays`), and so is
   how late events come: whoever waits for a session's next event must allow for both.
9. When no time is believed since all are ahead of the wall clock by nearly the same, their writer's
   times are local ones without an offset, or its clock is wrong: that offset is noticed
   (`offset_s`), and the clock goes on with arrivals. An offset of less than `max_future` is noticed
   as well, and so is one behind the wall clock, but their times are believed.

Pure: wall time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..steps import NEVER_NS
from .delays import StreamDelays
from .flow import FlowWatch
from .offsets import AGREED, FAR_BEHIND_NS, Offset, quarters_s
from .sources import Sources

_NS = 1_000_000_000
# Events in a row, of too few sources, that are doubted at most: each is noted in memory. After so
# many, the other sources are taken for gone.
_MOST_DOUBTED = 20_000
# A step ahead is doubted when it is this many times the usual step of the stream, and this much.
_TIMES_USUAL = 8
_LEAST_DOUBTED_NS = 5 * _NS
# A step ahead that was usual is forgotten by this share with every smaller step.
_FORGOTTEN = 16
# Behind the watermark by more than this, events may be a step back; closer ones are late.
_STEP_BACK_NS = 60 * _NS
# Rows of old records that are further apart do not come from a source that is always behind.
_ROWS_APART_NS = 3600 * _NS


class _Pace:
    """What steps ahead are usual: `moves` of the watermark so far, and the usual largest one."""

    __slots__ = ("moved_at", "moves", "now_ns", "usual_ns")

    def __init__(self) -> None:
        # Up to `AGREED`, from when on a step can be unusual.
        self.moves = 0
        self.usual_ns = 0
        # Wall time of the last move, and of the chunk that is being read.
        self.moved_at = 0
        self.now_ns = 0

    @property
    def is_known(self) -> bool:
        """Whether there were enough steps to know which are usual."""
        return self.moves >= AGREED

    def is_unusual(self, step: int, time_ns: int) -> bool:
        """Whether a step is much larger than those so far."""
        if step <= max(self.usual_ns * _TIMES_USUAL, _LEAST_DOUBTED_NS):
            return False
        # Where the wall clock went on as well, the record is where it should be.
        return time_ns > self.now_ns or step > self.now_ns - self.moved_at + _LEAST_DOUBTED_NS

    def moved(self, step: int) -> None:
        self.moves = min(self.moves + 1, AGREED)
        self.usual_ns = max(step, self.usual_ns - self.usual_ns // _FORGOTTEN)


class _Doubt:
    """What is known of the events that are doubted: their sources, the earliest of their times, and
    how many of them are counted only if they turn out to be slips."""

    __slots__ = ("earliest_ns", "sources", "uncounted")

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.earliest_ns = NEVER_NS
        self.uncounted = 0


class _StepBack:
    """Events in a row that are far behind the watermark, and the largest of their times."""

    __slots__ = ("count", "largest_ns", "rows")

    def __init__(self) -> None:
        self.count = 0
        self.largest_ns = 0
        # How many rows, one soon after the other, were over before they were long enough.
        self.rows = 0

    def end(self) -> bool:
        """A record is where the stream is; whether so many rows are over that a source is behind
        all the time, as one whose clock is.
        """
        self.rows += self.count > 0
        self.count = 0
        return self.rows >= AGREED

    def add(self, time_ns: int) -> bool:
        """Whether enough records agree now that the stream has stepped back."""
        if self.count and time_ns < self.largest_ns - _STEP_BACK_NS:
            # Not in order with those before it: old records that come in any order.
            self.count = 0
        if not self.count:
            if time_ns > self.largest_ns + _ROWS_APART_NS:
                self.rows = 0
            self.largest_ns = time_ns
        self.count += 1
        self.largest_ns = max(self.largest_ns, time_ns)
        return self.count >= AGREED


class StreamTime:
    """The watermark and the clock of one stream, in ns UTC; 0 while no event time was believed.

    `max_future` and `max_leap` are in seconds. `counters` receives `time_in_future` and
    `time_leap`. `on_begin` is called with the first time that the clock shows.
    """

    def __init__(
        self,
        *,
        max_future: float,
        max_leap: float,
        by_stream: bool,
        counters: Counter[str],
        on_begin: Callable[[int], None],
        delays: StreamDelays | None = None,
        flow: FlowWatch | None = None,
        sources: Sources | None = None,
    ) -> None:
        self.by_stream = by_stream
        self.delays = delays or StreamDelays()
        self.flow = flow or FlowWatch(0)
        self.watermark = 0
        self.clock = 0
        # Wall time of the last `feed`; 0 before the first.
        self.fed_at = 0
        # Events in a row that were doubted. Of the last event that `meet` saw: whether it is one
        # of them, or settles the doubts; whether it is doubted; whether all are believed after all.
        self.doubted = 0
        self.is_unusual = False
        self.in_doubt = False
        self.confirmed = False
        # An event before this is later than any before it, or may be a step back.
        self.behind = 0
        # How far ahead of the wall clock, and of the watermark, an event time may be.
        self._most_ahead_ns = (int(max_future * _NS), max_leap * _NS)
        self._counters = counters
        self._on_begin = on_begin
        self._doubt = _Doubt(sources or Sources())
        # Whether nothing is noted of the last events that the next one could settle.
        self._calm = False
        # What the clock is ahead of the watermark by.
        self._shift_ns = 0
        self._pace = _Pace()
        self._back = _StepBack()
        self._offset = Offset()

    @property
    def sources(self) -> Sources:
        """Where the events of the stream come from."""
        return self._doubt.sources

    @property
    def offset_s(self) -> int | None:
        """What all times are ahead of their arrival by, in seconds; None where they are not.

        Where it is less than `max_future`, as an hour may be, the times are believed all the same,
        and so are those that are behind, whose offset is negative.
        """
        if self._offset.seconds is not None or not self.fed_at:
            return self._offset.seconds
        ahead_ns = self.watermark - self.fed_at
        if ahead_ns < -FAR_BEHIND_NS and self.watermark:
            return quarters_s(ahead_ns)
        if self._offset.behind.seconds is not None:
            return -self._offset.behind.seconds
        ahead_s = quarters_s(ahead_ns)
        if not self._pace.is_known or ahead_s <= 0:
            return None
        return ahead_s

    def arrive(self, now_ns: int) -> int:
        """A chunk arrives at wall time `now_ns`; returns the latest event time to be believed."""
        self._pace.now_ns = now_ns
        if self.fed_at:
            self._offset.behind.note(self.fed_at - self.watermark, now_ns)
        if not self.by_stream or self._offset.seconds is not None:
            self._go_on(now_ns)
        return now_ns + self._most_ahead_ns[0]

    def _go_on(self, clock: int) -> None:
        """The clock shows `clock` from now on, unless it shows more already."""
        if clock > self.clock:
            if self.clock and clock - self.clock > self.delays.silence_ns:
                self.delays.note_step(self.clock, clock)
            self.clock = clock
            if clock >= self.flow.edge_ns:
                self.flow.roll(clock)

    def meet(self, time_ns: int, latest: int, tag: bytes = b"", record: Any = None) -> int:
        """The time of an event that is ahead of the watermark, or before `behind`.

        Tag and record tell its source, where that matters.
        Sets `is_unusual`, `in_doubt` and `confirmed`. A time ahead that is not believed is replaced
        by the watermark, or by the wall time of arrival while there is no watermark yet.
        """
        # Nearly every event of a stream of milliseconds comes here, and nearly all are calm.
        step = time_ns - self.watermark
        pace = self._pace
        usual_ns = pace.usual_ns
        if self._calm and 0 < step <= usual_ns * _TIMES_USUAL and time_ns <= latest:
            if step < usual_ns:
                step = usual_ns - usual_ns // _FORGOTTEN
            pace.usual_ns = step
            pace.moved_at = pace.now_ns
            self.watermark = time_ns
            delays = self.delays
            self.behind = time_ns - delays.lag_ns
            if self.by_stream:
                clock = time_ns + self._shift_ns
                if clock - self.clock > delays.silence_ns or clock >= self.flow.edge_ns:
                    self._go_on(clock)
                elif clock > self.clock:
                    self.clock = clock
            return time_ns
        believed = self._meet(time_ns, latest, tag, record)
        self._calm = (
            pace.is_known
            and not self.doubted
            and not self.is_unusual
            and not self._back.count
            and not self._offset.count
        )
        return believed

    def _meet(self, time_ns: int, latest: int, tag: bytes, record: Any) -> int:
        self.is_unusual = self.doubted > 0
        self.in_doubt = False
        self.confirmed = False
        if time_ns <= self.watermark:
            self._look_back(time_ns)
            return time_ns
        self._end_row()
        if time_ns > latest:
            return self._too_far(time_ns, latest)
        step = time_ns - self.watermark
        # Whether the stream gets to where doubted ones were. It does so without any doubt where
        # the wall clock went on meanwhile, as between two chunks.
        is_reached = self._doubt.earliest_ns <= time_ns
        if self.watermark and self._is_doubtful(step, time_ns, tag, record):
            self.doubted += 1
            self._doubt.earliest_ns = min(self._doubt.earliest_ns, time_ns)
            self.is_unusual = True
            agreed = self._doubt.sources.agree(tag, record, time_ns) and self.doubted >= AGREED
            if not agreed and self.doubted < _MOST_DOUBTED:
                self.in_doubt = True
                # Any event that is not ahead is of interest now.
                self.behind = self.watermark + 1
                if step > self._most_ahead_ns[1]:
                    self._counters["time_leap"] += 1
                else:
                    self._doubt.uncounted += 1
                return self.watermark
            self.confirmed = True
        if self.confirmed or is_reached:
            # They were right, so they are no slips.
            self._doubt.uncounted = 0
        self._end_doubt()
        self._move(time_ns, step)
        self.confirmed |= is_reached
        return time_ns

    def _look_back(self, time_ns: int) -> None:
        """An event that is not ahead of the watermark."""
        self._end_doubt()
        late_ns = self.watermark - time_ns
        if late_ns <= _STEP_BACK_NS:
            self.delays.note_late(late_ns, self.clock, _STEP_BACK_NS)
            self.behind = self.watermark - self.delays.lag_ns
            self._end_row()
            return
        if not self._back.add(time_ns):
            # Any event that is not so far behind is of interest now: it ends the row.
            self.behind = self.watermark + 1
            return
        self._shift_ns += self.watermark - self._back.largest_ns
        self.watermark = self._back.largest_ns
        self._back.count = 0
        self._settle()

    def _end_row(self) -> None:
        if self._back.end():
            self.delays.note_late(_STEP_BACK_NS, self.clock, _STEP_BACK_NS)

    def give_up_doubt(self) -> bool:
        """The input ends: what was doubted last is believed, since nothing spoke against it."""
        had = self.doubted > 0
        self.doubted = 0
        self._doubt.earliest_ns = NEVER_NS
        return had

    def clock_at(self, time_ns: int) -> int:
        """What the clock showed, or will show, when the watermark is at that time."""
        return time_ns + self._shift_ns

    def idle_until(self, now_ns: int) -> int | None:
        """The clock at wall time `now_ns` if no record comes; None before the first `feed`."""
        if not self.fed_at:
            return None
        return self.clock + max(now_ns - self.fed_at, 0)

    def resume(self, now_ns: int) -> None:
        """Go on after a pause in which nobody listened: no session was idle in it."""
        if self.fed_at:
            self.fed_at = now_ns

    def save(self, *, everything: bool = True) -> dict[str, Any]:
        """What a snapshot holds; without `everything`, what has changed since the last one."""
        return {
            "watermark": self.watermark,
            "clock": self.clock,
            "fed_at": self.fed_at,
            "leaps": self.doubted,
            "slips": self._doubt.uncounted,
            "doubted_from": self._doubt.earliest_ns,
            "sources": self._doubt.sources.save(),
            "pace": [self._pace.moves, self._pace.usual_ns, self._pace.moved_at],
            "shift": self._shift_ns,
            "back": [self._back.count, self._back.largest_ns, self._back.rows],
            "offset": self._offset.save(),
            **self.delays.save(),
            **self.flow.save(everything=everything),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on from a snapshot. Those of an earlier version lack some of it."""
        self.watermark = saved["watermark"]
        self.clock = saved["clock"]
        self.fed_at = saved["fed_at"]
        self.doubted = saved["leaps"]
        self._doubt.uncounted = saved.get("slips", 0)
        self._doubt.earliest_ns = saved.get("doubted_from", NEVER_NS)
        self._doubt.sources.load(saved.get("sources"))
        pace = self._pace
        pace.moves, pace.usual_ns, pace.moved_at = saved.get("pace", (0, 0, 0))
        self._shift_ns = saved.get("shift", 0)
        self._back.count, self._back.largest_ns, *rows = saved.get("back", (0, 0))
        self._back.rows = rows[0] if rows else 0
        self._offset.load(saved.get("offset", (0, 0, 0, None)))
        self.delays.load(saved)
        self.flow.load(saved)
        self.behind = self.watermark - self.delays.lag_ns
        if self.doubted or self._back.count:
            self.behind = self.watermark + 1

    def _end_doubt(self) -> None:
        """The stream is where it was, or has moved on; what is not counted yet were slips."""
        if self._doubt.uncounted:
            self._counters["time_leap"] += self._doubt.uncounted
        self._doubt.uncounted = 0
        self._doubt.earliest_ns = NEVER_NS
        self.doubted = 0
        self._doubt.sources.disagree()

    def _is_doubtful(self, step: int, time_ns: int, tag: bytes, record: Any) -> bool:
        if step > self._most_ahead_ns[1]:
            return True
        if not self._pace.is_unusual(step, time_ns):
            return False
        # At the start one source alone may have paused. With several, one may have a clock that is
        # ahead, which would end what the others have begun.
        return self._pace.is_known or self._doubt.sources.has_another(tag, record)

    def _move(self, time_ns: int, step: int) -> None:
        if not self.watermark:
            step = 0
            if self.by_stream and not self.clock:
                self._on_begin(time_ns)
        if self.confirmed:
            # A leap first takes back what the stream went back by before.
            self._shift_ns -= min(self._shift_ns, step)
        else:
            self._pace.moved(step)
        self._pace.moved_at = self._pace.now_ns
        self._offset.end()
        self.watermark = time_ns
        self._settle()

    def _settle(self) -> None:
        self.behind = self.watermark - self.delays.lag_ns
        if self.by_stream:
            self._go_on(self.watermark + self._shift_ns)

    def _too_far(self, time_ns: int, latest: int) -> int:
        """An event that is further ahead of the wall clock than `max_future`."""
        self._counters["time_in_future"] += 1
        self._offset.add(time_ns - self._pace.now_ns)
        if self._offset.seconds is not None:
            if not self.clock:
                # What came so far is as old as its arrival, and none of it has been idle for long.
                self._on_begin(self._pace.now_ns)
            self._go_on(self._pace.now_ns)
            return self._pace.now_ns
        return self.watermark or latest - self._most_ahead_ns[0]
