"""How often the steps of a whole stream come, across sessions: bursts, and silences.

1. Every event counts for its log key, in windows of a minute of stream time; so does the start of a
   session. When stream time leaves a window, it is judged (`roll`), node of the tree by node.
2. A *silence* is a run of windows in which a node does not come at all. It is measured by the
   events that usually come in so much time at these hours of the day, so that a quiet night is no
   silence. A node is not reported where the node above it is silent as well: the cause lies there.
   A silence that was reported is over when the node came at about its usual rate for a while.
3. A *burst* is a window, or ten, or sixty, with many more events than usual. In an hour that
   training lacks, the other events of the stream tell what is usual. Of several nodes that
   begin to burst together, the one that is most times above its usual rate is reported. The others,
   and those that follow within `_TOGETHER` windows, are taken for the same.
4. A node is reported when it becomes abnormal, and again only after it was normal.
5. Windows that nobody listened to from begin to end are not judged.
6. While no record comes, stream time goes on with wall time, and windows end without it. What comes
   later than that and belongs to a window that has ended is not counted.

Which rates are usual, and what is too far from them, comes from the bundle (`detect/rates.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import add, ge
from typing import Any

from ...types import Finding
from .delays import ARRIVAL_NS
from .flow_findings import (
    SCALES,
    WINDOW_NS,
    Direction,
    FlowNode,
    Hour,
    OddFlow,
    UsualFlow,
    flow_finding,
)
from .silences import Silence

# Windows after a burst or a silence was reported in which others are taken for the same.
_TOGETHER = 10
# The name under which a report is noted that is about rare steps alone.
_RARE = "rare burst"
# A burst is over when it was not seen again for this many of its spans of windows.
_OVER = 2
# Windows without a record that are judged one by one, three days; after more, counting begins anew.
_MOST_EMPTY = 3 * 1440
# A window that never ends.
_NEVER = 2**63


@dataclass(slots=True)
class _Now:
    """What is known of a node: whether it is silent, and its last burst."""

    silence: Silence
    # The last window in which a burst was seen, and its scale.
    burst_at: int = -(10**9)
    burst_scale: int = 0


class FlowWatch:
    """Counts the events of one stream, and judges window by window.

    `counts` has a number for each log key, and in the end one for the starts of sessions. Whoever
    feeds adds to it, and calls `roll` when stream time reaches `edge_ns`.
    """

    def __init__(self, log_keys: int, nodes: Sequence[FlowNode] = ()) -> None:
        self.counts = [0] * (log_keys + 1)
        self.edge_ns = 0 if nodes else _NEVER
        # Into how many engines the stream is divided: each expects its part of what is usual.
        self.divided_by = 1
        self._nodes = nodes
        # Counts belong to these nodes alone.
        names = "\n".join(f"{node.level} {node.name} {node.log_keys}" for node in nodes)
        self._digest = hashlib.blake2b(f"{log_keys}\n{names}".encode(), digest_size=8).digest()
        self._now = [_Now(Silence()) for _ in nodes]
        # Of these, the numbers of the nodes that are silent, or have been and are low.
        self._running: set[int] = set()
        self._usual = UsualFlow(nodes)
        # Of the longer scales: counts of the windows so far, by node.
        self._sums = {scale: [0] * len(nodes) for scale in SCALES[1:]}
        # The window that is counted; windows before `_begun` were not listened to altogether.
        self._window = -1
        self._begun = 0
        # Whether windows ended by wall time, so that the stream has to reach the present one first.
        self._is_ahead = False
        # Whether it is the wall clock that windows are counted by, as no record has come yet.
        self._is_by_wall = False
        self._is_resumed = False
        # The last window in which something was reported, by direction; rare steps apart.
        self._told: dict[str, int] = dict.fromkeys(("burst", "silence", _RARE), -_TOGETHER)
        self._tag = b""
        # Log keys of steps that may have come under new names in the present window.
        self._heard: set[int] = set()
        # Window, log key, and starts of sessions of events whose time is in doubt.
        self._held: list[tuple[int, int, int]] = []
        self._found: list[Finding] = []
        # Whether anything but `counts` changed since it was saved.
        self._is_changed = True

    def add(self, log_key: int) -> None:
        """An event has come. Log keys of steps that the bundle does not know do not count."""
        if log_key < len(self.counts) - 1:
            self.counts[log_key] += 1

    def uncount_start(self) -> None:
        """The session that has just begun is the rest of another one: no execution has started.

        A job that goes on after its idle timeout begins with a step that no session begins with.
        """
        self.counts[-1] -= 1

    def hear(self, log_keys: Iterable[int]) -> None:
        """An event has come that may be one of these steps under a new name: none is silent."""
        self._heard.update(log_keys)

    def meet(self, tag: bytes) -> None:
        """A chunk has this tag. The alert's is what all tags of the stream begin with."""
        if not self._tag:
            self._tag = tag
        elif not tag.startswith(self._tag) or tag[len(self._tag) :][:1] not in (b"", b"."):
            self._tag = _common(self._tag, tag) or self._tag

    def roll(self, clock: int) -> None:
        """Stream time has reached `clock`: judge the windows that have ended."""
        window = clock // WINDOW_NS
        if self._is_by_wall:
            self._is_by_wall = False
            self._is_ahead = False
            self._window = -1
        if self._is_ahead and window >= self._window:
            # What came in between belongs to windows that have ended already.
            self._clear()
            self._is_ahead = False
        if self._window < 0 or self._is_resumed or window - self._window > _MOST_EMPTY:
            self._begin(window)
        while self._window < window:
            if self._held:
                self._count_held(self._window)
            self._judge()
            self._window += 1
        if self._held:
            self._count_held(window)
        self.edge_ns = (window + 1) * WINDOW_NS
        self._is_changed = True

    def idle(self, clock: int | None, now_ns: int) -> None:
        """While no record comes, stream time would be at `clock`.

        Where none has come at all (`clock` is None), windows are counted by wall time, `now_ns`.
        """
        by_wall = clock is None
        if clock is None:
            clock = now_ns
        clock -= ARRIVAL_NS
        if not self._nodes or self._is_resumed or (self._window < 0 and not by_wall):
            return
        if clock >= self.edge_ns or self._window < 0:
            self._is_by_wall = False
            self.roll(clock)
            self._is_ahead = True
            self._is_by_wall = by_wall
            self.edge_ns = self._window * WINDOW_NS
            if by_wall:
                # The first record has its own time.
                self.edge_ns = 0

    @contextlib.contextmanager
    def uncounted(self) -> Iterator[None]:
        """Events in the block do not count: they have been counted, or it is in doubt when."""
        before = self.counts.copy()
        yield
        self.counts[:] = before

    def hold(self, clock: int, log_key: int, starts: int) -> None:
        """It is in doubt whether an event came at stream time `clock`."""
        if self._nodes:
            self._held.append((clock // WINDOW_NS, log_key, starts))

    def release(self) -> None:
        """The events that are held were slips: they came in the present window."""
        self._count_held(_NEVER)

    def _count_held(self, window: int) -> None:
        """Count the events that are held and came up to a window."""
        for at, log_key, starts in self._held:
            if at <= window:
                self.add(log_key)
                self.counts[-1] += starts
        self._held = [one for one in self._held if one[0] > window]

    def resume(self) -> None:
        """Nobody listened for a while: no window that has begun is judged."""
        self._is_resumed = True
        if self._nodes:
            self.edge_ns = 0

    def take(self) -> list[Finding]:
        """What was found since the last call."""
        found = self._found
        self._found = []
        return found

    def save(self, *, everything: bool) -> dict[str, Any]:
        """What a snapshot holds of it. Most of it changes only when a window ends."""
        if not self._nodes:
            return {}
        saved: dict[str, Any] = {
            "flow_counts": array("q", self.counts).tobytes(),
            "flow_held": [list(one) for one in self._held],
            "flow_heard": sorted(self._heard),
        }
        if everything or self._is_changed:
            saved["flow"] = {
                "nodes": self._digest,
                "window": self._window,
                "begun": self._begun,
                "ahead": self._is_ahead,
                "by_wall": self._is_by_wall,
                "resumed": self._is_resumed,
                "edge": self.edge_ns,
                "tag": self._tag,
                "told": dict(self._told),
                "sums": [self._sums[scale] for scale in SCALES[1:]],
                "now": [[now.burst_at, now.burst_scale] for now in self._now],
                "silences": [now.silence.save() for now in self._now],
            }
        self._is_changed = False
        return saved

    def load(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot. With other nodes, counting begins anew."""
        saved = snapshot.get("flow")
        if saved is None or saved["nodes"] != self._digest:
            return
        self.counts[:] = array("q", snapshot["flow_counts"])
        self._held = [(at, key, starts) for at, key, starts in snapshot["flow_held"]]
        self._heard = set(snapshot.get("flow_heard", ()))
        self._window = saved["window"]
        self._begun = saved["begun"]
        self._is_ahead = saved["ahead"]
        self._is_by_wall = saved["by_wall"]
        self._is_resumed = saved["resumed"]
        self.edge_ns = saved["edge"]
        self._tag = saved["tag"]
        self._told.update(saved["told"])
        self._sums = dict(zip(SCALES[1:], map(list, saved["sums"]), strict=True))
        # Earlier versions have runs and bursts in one row.
        silences = saved.get("silences") or [[*row[:3], row[2]] for row in saved["now"]]
        self._now = [
            _Now(Silence(*silence), *row[-2:])
            for silence, row in zip(silences, saved["now"], strict=True)
        ]
        self._running = set(range(len(self._now)))
        self._is_changed = True

    def _begin(self, window: int) -> None:
        """Count from a window on. The one that is under way is not judged."""
        self._window = window
        self._begun = window + 1
        self._is_resumed = False
        self._clear()
        for now in self._now:
            now.silence.forget_run()
        for sums in self._sums.values():
            sums[:] = [0] * len(sums)

    def _clear(self) -> None:
        # In place: the loop that counts holds the list.
        self.counts[:] = [0] * len(self.counts)
        self._heard.clear()

    # A log of rare events has as many windows as events, so a window must cost little. What a node
    # needs is therefore looked up once for all windows of an hour, and a node that came no more
    # often than its rate allows is done with one comparison.
    def _judge(self) -> None:
        """The present window has ended."""
        window = self._window
        counts = self._usual.counts(self.counts)
        for sums in self._sums.values():
            sums[:] = map(add, sums, counts)
        silent: list[OddFlow] = []
        bursting: list[OddFlow] = []
        if window >= self._begun:
            hour = self._usual.hour(window, self.divided_by)
            self._note_silences(counts, hour, silent)
            self._note_bursts(counts, hour, bursting)
        self._clear()
        for scale, sums in self._sums.items():
            if (window + 1) % scale == 0:
                sums[:] = [0] * len(sums)
        silent = [odd for odd in silent if not self._is_silent_above(odd.node)]
        for odd in silent:
            self._now[odd.node].silence.tell()
            self._excuse_below(odd.node)
        self._tell("silence", silent)
        self._tell("burst", bursting)

    def _note_silences(self, counts: Sequence[int], hour: Hour, found: list[OddFlow]) -> None:
        empty = {number for number in hour.expected if not counts[number]}
        low = set()
        for number in self._running - empty:
            silence = self._now[number].silence
            silence.end(counts[number], hour.usual[number], self._nodes[number].most_missing)
            if silence.is_low:
                low.add(number)
        self._running = empty | low
        for number in sorted(empty):
            node = self._nodes[number]
            silence = self._now[number].silence
            silence.wait(hour.usual[number] * self._share_above(number, counts, hour.usual))
            if silence.is_told:
                continue
            if not self._heard.isdisjoint(node.log_keys):
                silence.forget_run()
            elif silence.run >= node.most_windows and silence.missing > node.most_missing:
                missing = silence.missing
                found.append(OddFlow(number, silence.run, 0, missing, missing, node.most_missing))

    def _share_above(self, number: int, counts: Sequence[int], usual: Sequence[float]) -> float:
        """The share of a node's usual events that can be expected in this window, 0 to 1.

        Where a node above it is silent or low, that is the share of that node's events which came.
        """
        for above in self._line(self._nodes[number].above):
            if self._now[above].silence.is_low and usual[above] > 0:
                return min(counts[above] / usual[above], 1.0)
        return 1.0

    def _excuse_below(self, silent: int) -> None:
        """Nodes below a silent one could not come, so that they are missed only from now on."""
        for number, now in enumerate(self._now):
            if number != silent and not now.silence.is_told and silent in self._line(number):
                now.silence.forget_run()

    def _is_silent_above(self, number: int) -> bool:
        above = self._nodes[number].above
        if above < 0:
            return False
        return 2 * self._now[above].silence.run >= self._now[number].silence.run

    def _note_bursts(self, counts: Sequence[int], hour: Hour, found: list[OddFlow]) -> None:
        window = self._window
        for place, scale in enumerate(SCALES):
            first = window + 1 - scale
            if (window + 1) % scale or first < self._begun:
                continue
            sums = counts
            if scale > 1:
                sums = self._sums[scale]
            if not any(map(ge, sums, hour.fewest[place])):
                continue
            for number, fewest in enumerate(hour.fewest[place]):
                count = sums[number]
                if count < fewest or not count:
                    continue
                usual = self._usual.in_windows(number, scale, sums)
                highest = self._nodes[number].highest[place]
                if usual < 0 or (score := math.log((count + 1) / (usual + 1))) <= highest:
                    continue
                now = self._now[number]
                # A longer window that holds a burst which was reported is the same burst.
                is_same = now.burst_at >= first
                is_open = is_same or window - now.burst_at <= _OVER * now.burst_scale
                if not is_same or scale == 1:
                    now.burst_at = window
                    now.burst_scale = max(scale, _TOGETHER)
                if not is_open:
                    found.append(OddFlow(number, scale, count, usual, score, highest))

    def _is_in_line(self, one: int, other: int) -> bool:
        """Whether one of two nodes is the other, or stands above it."""
        above = [set(self._line(number)) for number in (one, other)]
        return above[0] <= above[1] or above[1] <= above[0]

    def _line(self, number: int) -> Iterator[int]:
        """A node, and all above it."""
        while number >= 0:
            yield number
            number = self._nodes[number].above

    def _depth(self, number: int) -> int:
        """How many nodes there are above one."""
        return len(list(self._line(number))) - 1

    def _tell(self, direction: Direction, odd: Sequence[OddFlow]) -> None:
        """Report one of the nodes that have become abnormal in the same window."""
        if not odd:
            return
        is_same = self._window - self._told[direction] < _TOGETHER
        told_as: str = direction
        if direction == "silence":
            # Longer silences come to light later: the node that is further up counts.
            lead = min(odd, key=lambda one: (self._depth(one.node), -one.score / one.threshold))
            is_same = is_same and self._depth(lead.node) > 0
        else:
            # Of rare steps, bursts alone are judged.
            usual = [one for one in odd if self._nodes[one.node].most_missing < math.inf]
            lead = max(usual or odd, key=lambda one: one.score)
            # A longer window may end long after the burst that it holds.
            is_same = is_same or self._window - lead.windows - self._told[direction] < _TOGETHER
            if not usual:
                # A few rare lines do not hide what happens to the whole stream.
                told_as = _RARE
                is_same = is_same or self._window - self._told[_RARE] < _TOGETHER
        if is_same:
            return
        self._told[told_as] = self._window
        node = self._nodes[lead.node]
        others = [
            self._nodes[one.node].name or "the starts of executions"
            for one in sorted(odd, key=lambda one: -one.score)
            if not self._is_in_line(one.node, lead.node)
        ]
        found = flow_finding(node, direction, lead, self._window, others)
        self._found.append(replace(found, tag=self._tag))


def _common(one: bytes, other: bytes) -> bytes:
    """The parts that two tags begin with.

    >>> _common(b"app.web.in", b"app.db"), _common(b"a", b"b")
    (b'app', b'')
    """
    same = []
    for left, right in zip(one.split(b"."), other.split(b"."), strict=False):
        if left != right:
            break
        same.append(left)
    return b".".join(same)
