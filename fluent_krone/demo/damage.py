"""What goes wrong in the simulated storage cluster: steps that are damaged, and events touched.

Damage counts as a fault only if no normal course results (`courses.is_normal`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from .courses import BEGINS, STEPS, UNHEARD_OF, Move, Moves, names

# Events [start, end); a gap before event g is (g, g).
Span = tuple[int, int]
# What comes of the steps of a session, and where they are damaged.
Damage = tuple[Moves, list[Span]]
# Seconds that a slow step takes, at least and at most: some fifty times as long as usual, and less
# than the idle timeout.
_SLOW_S = (15.0, 60.0)
# What a value that is wrong becomes.
_WRONG = {"num": ("0", "999999999999"), "ip": ("203.0.113.77",), "replicas": ("9",)}
# What a step becomes when its status is wrong.
_ERROR_OF = {
    "stored": "store_failed",  # three that no normal session has
    "copied": "copy_failed",
    "removed": "remove_failed",
    "checked": "corrupt",  # three that are normal elsewhere
    "acked": "late",
    "read": "hung_up",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to a session.

    `spans` of its delivered events, in order, and how it would have run without.
    """

    kind: str
    spans: tuple[Span, ...]
    original: tuple[Move, ...]

    def is_in(self, start: int, end: int) -> bool:
        """Whether events `[start, end)` have an event of the fault, or one beside its gap."""
        return any(
            start < max(last, first + 1) and end > min(first, last - 1)
            for first, last in self.spans
        )

    def is_near(self, event: int) -> bool:
        """Whether an event is of the fault or one event beside it.

        Of a gap, one of its two neighbours.
        """
        return any(first - 1 <= event <= last for first, last in self.spans)

    @property
    def where(self) -> str:
        """The place in words; events counted from 1."""
        start = min(first for first, _ in self.spans)
        end = max(last for _, last in self.spans)
        if start == end:
            return f"after event {start}"
        if end - start == 1:
            return f"event {end}"
        return f"events {start + 1}–{end}"


def _missing_step(rng: Random, moves: Moves) -> Damage:
    at = rng.randrange(1, len(moves) - 1)
    return _without(moves, {at})


def _lost_replica(rng: Random, moves: Moves) -> Damage:
    """A node of the pipeline falls silent once it has begun."""
    node = rng.randrange(1, 3)
    silent = {"acked", "stored", "recorded", "closed"}
    return _without(
        moves, {i for i, move in enumerate(moves) if move.node == node and move.step in silent}
    )


def _truncated(rng: Random, moves: Moves) -> Damage:
    end = rng.randrange(2, len(moves))
    return moves[:end], [(end, end)]


def _repeated_step(rng: Random, moves: Moves) -> Damage:
    at = rng.randrange(len(moves))
    return _with(moves, at, [moves[at]])


def _extra_step(rng: Random, moves: Moves) -> Damage:
    return _with(moves, rng.randrange(1, len(moves)), [rng.choice(moves)])


def _foreign_step(rng: Random, moves: Moves) -> Damage:
    return _with(moves, rng.randrange(1, len(moves)), [Move(rng.choice(("move_planned", "moved")))])


def _unseen_line(rng: Random, moves: Moves) -> Damage:
    return _with(moves, rng.randrange(1, len(moves)), [Move(rng.choice(list(UNHEARD_OF)))])


def _stuck(rng: Random, moves: Moves) -> Damage:
    """Nothing follows any more, in the middle of the pipeline."""
    end = rng.randrange(2, names(moves).index("sealed") + 1)
    return moves[:end], [(end, end)]


def _sealed_twice(rng: Random, moves: Moves) -> Damage:
    sealed = names(moves).index("sealed")
    return _with(moves, rng.randrange(sealed + 1, len(moves) + 1), [moves[sealed]])


def _retry_loop(rng: Random, moves: Moves) -> Damage:
    """Packets are sent again and again, until at last they are acked."""
    at = rng.choice([i for i, move in enumerate(moves) if move.step == "acked"])
    node = moves[at].node
    return _with(moves, at, [Move("late", node), *[Move("resent", node)] * rng.randrange(4, 12)])


def _wrong_status(rng: Random, moves: Moves) -> Damage:
    at = rng.choice([i for i, move in enumerate(moves) if move.step in _ERROR_OF])
    return [*moves[:at], moves[at]._replace(step=_ERROR_OF[moves[at].step]), *moves[at + 1 :]], [
        (at, at + 1)
    ]


def _swapped_steps(rng: Random, moves: Moves) -> Damage:
    at = rng.randrange(len(moves) - 1)
    return [*moves[:at], moves[at + 1], moves[at], *moves[at + 2 :]], [(at, at + 2)]


def _swapped_entities(rng: Random, moves: Moves) -> Damage:
    """What one component did comes before what another had to do first."""
    runs = [
        list(run) for _, run in itertools.groupby(moves, key=lambda move: STEPS[move.step].entity)
    ]
    at = rng.randrange(len(runs) - 1)
    start = sum(map(len, runs[:at]))
    span = (start, start + len(runs[at]) + len(runs[at + 1]))
    runs[at : at + 2] = [runs[at + 1], runs[at]]
    return [move for run in runs for move in run], [span]


FAULTS: Mapping[str, Callable[[Random, Moves], Damage]] = {
    "missing step": _missing_step,
    "lost replica": _lost_replica,
    "truncated": _truncated,
    "stuck": _stuck,
    "repeated step": _repeated_step,
    "extra step": _extra_step,
    "foreign step": _foreign_step,
    "unseen line": _unseen_line,
    "sealed twice": _sealed_twice,
    "retry loop": _retry_loop,
    "wrong status": _wrong_status,
    "swapped steps": _swapped_steps,
    "swapped entities": _swapped_entities,
}


@dataclass(frozen=True, slots=True)
class Touch:
    """What is wrong with one event of a session whose steps are all in order."""

    at: int
    pause_s: tuple[float, float] | None = None
    hole: str | None = None
    value: str = ""
    level: str | None = None


def _slow_step(rng: Random, moves: Moves) -> Touch:
    quick = [i for i, move in enumerate(moves) if i and move.step not in BEGINS]
    return Touch(rng.choice(quick), pause_s=_SLOW_S)


def _wrong_value(rng: Random, moves: Moves) -> Touch:
    places = [
        (i, hole)
        for i, move in enumerate(moves)
        for hole in _WRONG
        if f"<{hole}>" in STEPS[move.step].text
    ]
    at, hole = rng.choice(places)
    return Touch(at, hole=hole, value=rng.choice(_WRONG[hole]))


def _severe_step(rng: Random, moves: Moves) -> Touch:
    return Touch(rng.randrange(len(moves)), level=rng.choice(("ERROR", "FATAL")))


# Faults that leave the steps as they are.
TOUCHES: Mapping[str, Callable[[Random, Moves], Touch]] = {
    "slow step": _slow_step,
    "wrong value": _wrong_value,
    "severe step": _severe_step,
}
# All faults of sessions.
KINDS = (*FAULTS, *TOUCHES)


def _with(moves: Moves, at: int, more: Moves) -> Damage:
    """Steps put in before event `at`.

    Which of several equal neighbours was put in can't be told: the span has all.
    """
    damaged = [*moves[:at], *more, *moves[at:]]
    return damaged, [_widened(damaged, (at, at + len(more)), more[0].step, more[-1].step)]


def _without(moves: Moves, lost: set[int]) -> Damage:
    """Steps taken out; a gap beside a step equal to the lost one has that too."""
    damaged = [move for i, move in enumerate(moves) if i not in lost]
    gaps = [
        _widened(damaged, (i - before, i - before), moves[i].step, moves[i].step)
        for before, i in enumerate(sorted(lost))
    ]
    return damaged, list(dict.fromkeys(gaps))


def _widened(moves: Moves, span: Span, first: str, last: str) -> Span:
    start, end = span
    while start > 0 and moves[start - 1].step == first:
        start -= 1
    while end < len(moves) and moves[end].step == last:
        end += 1
    return start, end
