"""Steps that are gone, or come in another order, in many sessions.

A deploy may remove a step, or put two in another order. No line is new then, and one such session
may be too little to alert about. So it is counted over sessions:

1. A step is *gone* where the sessions lack it that nearly always had it in training, beside another
   step that they have, and no session has it any more. Sessions that alert by that alone soon show
   it; once they do, what they lack is reported, and no further session is (`Absent`).
2. A *new order* is a step right after another one, which no normal session had.
3. What the sessions of one state lack, and what is new in them, is worked out once per state.
4. When enough sessions have the same, and they are not few among all, it is reported, together with
   all else that is found soon after. Sessions that have an alert for another reason do not count.
5. A session that lacks what is gone is judged once more as if it had come where training had it
   (`Absent`). What else goes wrong in it is reported as usual.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ...types import ChangeReport
from ..cascade import Cascade
from ..sessions import Session
from ..steps import NEVER_NS, NO_WITNESSES, StepJudge
from .open_changes import Fired

# ("gone", step, -1) or ("order", step before, step): log keys.
Item = tuple[str, int, int]

# Sessions that must have the same, and the share of all sessions since the first of them.
_ENOUGH = 20
_LEAST_SHARE = 0.05
# Sessions that alert only because they lack a step. More such alerts would tell nothing new: it is
# then reported that the step is gone.
_ENOUGH_ALERTED = 5
# They must come within this much stream time, in ns.
_WITHIN_NS = 3600 * 10**9
# The share of normal sessions with one step that must have another one, so that it can be missed,
# and how many of them there must be.
_NEARLY_ALL = 0.98
_ENOUGH_NORMAL = 20
# Normal sessions that are looked at for that, and pairs of their steps: looking takes the square of
# a session's steps, and some tenths of a second in all.
_MOST_NORMAL = 1_500
_MOST_PAIRS = 1_000_000
# Sessions before anything is worked out, which may take some tenths of a second: a short run, or a
# service that has just begun, has nothing to say here.
_FIRST_SESSIONS = 200
# Things that are counted at one time.
_MOST_ITEMS = 500
# Longer sessions are not looked at, and are reported as they are: a verdict must not hold up the
# stream.
_LONGEST = 300
# Steps in a row that may be gone.
_MOST_IN_A_ROW = 3


class Shifts:
    """Counts what many sessions have in common that training had not.

    `normal` are the log keys of normal sessions; one may stand for all that have the same steps.
    `names` are the templates of log keys, and `unknown` is the log key of messages without one.
    `steps` tells how often training had a log key, and all three steps that it had in a row.
    `settle_ns` is how long to wait for all that belongs together; 0 looks for nothing.
    """

    def __init__(
        self,
        normal: Iterable[Sequence[int]],
        names: Sequence[str],
        unknown: int,
        settle_ns: int,
        steps: StepJudge = NO_WITNESSES,
    ) -> None:
        self._normal = normal
        self._steps = steps
        self._names = names
        # The tag of the last session that was counted.
        self._tag = b""
        self._unknown = unknown
        self._settle_ns = settle_ns
        # Worked out at the first session.
        self._pairs: set[tuple[int, int]] | None = None
        self._expects: dict[int, tuple[int, ...]] = {}
        # What is counted → [sessions, all sessions before the first of them, its stream time,
        # sessions that alerted by that alone].
        self._counts: dict[Item, list[int]] = {}
        self._sessions = 0
        self._before_first = _FIRST_SESSIONS
        self._told: set[Item] = set()
        # Judges sessions as if they had what is gone.
        self.absent: Absent | None = None
        self._found: list[Item] = []
        self.due_ns = NEVER_NS
        # Whether `save` would return something else than last time.
        self.is_dirty = False

    @property
    def gone(self) -> Collection[int]:
        """The steps that no session has any more."""
        return {step for kind, step, _ in (*self._told, *self._found) if kind == "gone"}

    def is_pair(self, before: int, step: int) -> bool:
        """Whether normal sessions had a step right after another one."""
        return (before, step) in self._learnt()

    def expected(self, log_keys: Sequence[int]) -> Collection[int]:
        """The steps that nearly all sessions with these steps have."""
        self._learnt()
        return {step for other in log_keys for step in self._expects.get(other, ())}

    def note(self, session: Session, ended: int) -> None:
        """A session has ended, and its verdict is known."""
        state = session.state
        if not self._settle_ns or not session.keys:
            return
        if self._before_first:
            self._before_first -= 1
            self.is_dirty = True
            return
        if self._counts or self._told:
            self._sessions += 1
            self.is_dirty = True
            self._forget_seen(session)
        if state.shifts is None:
            state.shifts = self._shifts_of(session.keys)
        items = state.shifts
        if session.is_abnormal:
            items = self._alerted_by(session, items)
        for item in items:
            if self._follows(item):
                continue
            self._tag = session.tag
            self._count(item, ended, is_alerted=session.is_abnormal)

    def _follows(self, item: Item) -> bool:
        """Whether an order is new only because a step between both was reported to be gone."""
        kind, before, behind = item
        if kind != "order" or not self._told:
            return False
        gone = (step for what, step, _ in self._told if what == "gone")
        return any(self.is_pair(before, step) and self.is_pair(step, behind) for step in gone)

    def _alerted_by(self, session: Session, items: Iterable[Item]) -> tuple[Item, ...]:
        """The steps that a session lacks, where it alerted for no other reason."""
        gone = tuple(item for item in items if item[0] == "gone")
        if not gone or self.absent is None:
            return ()
        if not self.absent.lacks_only(session.keys, {step for _, step, _ in gone}):
            return ()
        return gone

    def fire(self, at_ns: int) -> list[Fired]:
        """What is reported at the stream time `at_ns`, if anything is due by then."""
        if at_ns < self.due_ns:
            return []
        found = self._found
        self._found = []
        self.due_ns = NEVER_NS
        self.is_dirty = True
        if not found:
            return []
        self._told.update(found)
        return [Fired(at_ns, report=self._report(found, at_ns))]

    def save(self) -> list[Any]:
        """What a snapshot holds of it."""
        counts = [[*item, *count] for item, count in self._counts.items()]
        told = sorted(self._told)
        first = self._before_first
        return [first, self._sessions, self.due_ns, self._tag, counts, told, list(self._found)]

    def load(self, saved: Sequence[Any], log_keys: Sequence[int]) -> None:
        """Go on from a snapshot; `log_keys` are ours by those of the snapshot."""
        self._before_first, self._sessions, self.due_ns, self._tag, counts, told, found = saved
        self._counts = {}
        for kind, before, step, *count in counts:
            # Earlier snapshots do not say how many alerted.
            self._counts[_mapped((kind, before, step), log_keys)] = [*count, 0][:4]
        self._told = {_mapped(item, log_keys) for item in told}
        self._found = [_mapped(item, log_keys) for item in found]

    def _count(self, item: Item, ended: int, *, is_alerted: bool) -> None:
        count = self._counts.get(item)
        if count is None or ended - count[2] > _WITHIN_NS:
            if len(self._counts) >= _MOST_ITEMS:
                # The oldest ones make room; what comes again is counted anew.
                del self._counts[next(iter(self._counts))]
            self._counts.pop(item, None)
            count = self._counts[item] = [0, self._sessions, ended, 0]
        count[0] += 1
        count[3] += is_alerted
        self.is_dirty = True
        all_since = self._sessions - count[1] + 1
        is_much = count[0] >= _ENOUGH and count[0] >= _LEAST_SHARE * all_since
        is_much = is_much or count[3] >= _ENOUGH_ALERTED
        if is_much and item not in self._told and item not in self._found:
            self._found.append(item)
            if self.due_ns == NEVER_NS:
                self.due_ns = ended + self._settle_ns

    def _forget_seen(self, session: Session) -> None:
        """A step that a session has is not gone."""
        counted = (*self._counts, *self._told)
        gone = {item for item in counted if item[0] == "gone" and item[1] in session.keys}
        for item in gone:
            self._counts.pop(item, None)
            self._told.discard(item)
            if item in self._found:
                self._found.remove(item)

    def _shifts_of(self, log_keys: Sequence[int]) -> tuple[Item, ...]:
        """What sessions with these steps lack, and what order is new in them."""
        known = self._learnt()
        if not known or len(log_keys) > _LONGEST:
            return ()
        has = set(log_keys)
        gone = set(self.expected(log_keys)) - has
        pairs = set(itertools.pairwise(log_keys)) - known
        order = [pair for pair in sorted(pairs) if self._unknown not in pair]
        return (
            *(("gone", step, -1) for step in sorted(gone)),
            *(("order", before, step) for before, step in order),
        )

    def _learnt(self) -> set[tuple[int, int]]:
        """The pairs of normal sessions, worked out the first time, with what these expect."""
        if self._pairs is None:
            self._pairs = set()
            self._learn(self._pairs)
        return self._pairs

    def _learn(self, pairs: set[tuple[int, int]]) -> None:
        having: Counter[int] = Counter()
        both: Counter[tuple[int, int]] = Counter()
        normal = list(self._normal)
        for keys in normal:
            pairs.update(itertools.pairwise(keys))
        for before, step, behind, _ in self._steps.rows() or ():
            pairs.add((before, step))
            pairs.add((step, behind))
        for keys in normal[:: 1 + len(normal) // _MOST_NORMAL]:
            if both.total() > _MOST_PAIRS:
                break
            has = sorted(set(keys[:_LONGEST]))
            having.update(has)
            both.update((one, other) for one in has for other in has if one != other)
        for (one, other), count in both.items():
            is_known = max(having[one], self._steps.seen(one)[0]) >= _ENOUGH_NORMAL
            if is_known and count >= _NEARLY_ALL * having[one]:
                self._expects[one] = (*self._expects.get(one, ()), other)

    def _report(self, items: Sequence[Item], at_ns: int) -> ChangeReport:
        names = self._names
        gone = tuple(names[step] for kind, step, _ in items if kind == "gone")
        order = tuple((names[one], names[two]) for kind, one, two in items if kind == "order")
        said = repr((at_ns, gone, order)).encode()
        return ChangeReport(
            name=hashlib.blake2b(said, digest_size=8).hexdigest(),
            state="shifted",
            tag=self._tag,
            first_ns=at_ns,
            at_ns=at_ns,
            templates=(),
            sessions=max(self._counts[item][0] for item in items if item in self._counts),
            abnormal=0,
            field=None,
            values=(),
            before=(),
            gone=gone,
            order=order,
        )


def _mapped(item: Sequence[Any], log_keys: Sequence[int]) -> Item:
    kind, before, step = item
    if step >= 0:
        step = log_keys[step]
    return kind, log_keys[before], step


class Absent:
    """Puts steps that are gone back into sessions, and judges these."""

    def __init__(self, cascade: Cascade, known: Shifts) -> None:
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
