"""A storage cluster that writes a log: sessions that went well, and some with a fault whose place
is known.

The cluster is of our own invention, in our own words. `courses` has its log lines and what is
normal, `damage` what goes wrong; here are the sessions and their stream.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from ..core.hierarchy import step_name
from .courses import (
    BEGINS,
    MOVE,
    STEPS,
    UNHEARD_OF,
    WRITE,
    Move,
    Moves,
    balance,
    draw,
    is_normal,
    names,
    normal,
    write,
)
from .damage import FAULTS, KINDS, TOUCHES, Fault, Touch

SESSION_KEY = "/blk-[0-9a-f]{12}/"
# Seconds: more than any pause within a session.
IDLE_TIMEOUT_S = 300.0

# 2025-06-01 09:00 UTC. It is fixed, so that a given seed gives the same stream on any day.
_START_NS = 1_748_768_400 * 10**9
# Mean seconds between two sessions' first events.
_ARRIVAL_S = 2.0
# Shortest and longest pause in seconds before a step that somebody else starts …
_PAUSE_S = (2.0, 90.0)
# … and before any other.
_HASTE_S = (0.002, 0.4)
# The share of sessions with a fault.
_FAULTY_SHARE = 0.08
# Blocks that the balancer moves within a minute when it storms, …
_STORM = 150
# … and seconds in which nobody writes anything.
_QUIET_S = 480.0
# Sessions below which the stream has neither a storm nor a silence: it would be too short.
_FEWEST_FOR_MOMENTS = 300


@dataclass(frozen=True, slots=True)
class SimulatedSession:
    """One execution.

    All lines about one block. `events` are `(time_ns, record)` as a log shipper would send them.
    """

    block: str
    moves: tuple[Move, ...]
    fault: Fault | None
    events: tuple[tuple[int, dict[str, str]], ...]

    def text(self, event: int) -> str:
        """An event as alerts quote it."""
        record = self.events[event][1]
        return f"{record['component']}: {record['message']}"

    @property
    def steps_touched(self) -> str:
        """The fault's steps in the tree's words.

        What came or went, or else what stands in another order.
        """
        assert self.fault
        have = Counter(names(self.moves))
        had = Counter(names(self.fault.original))
        touched = [*((have - had) + (had - have))]
        touched = touched or [
            step for span in self.fault.spans for step in names(self.moves[slice(*span)])
        ]
        words = dict.fromkeys(_words(step) for step in touched)
        shown = ", ".join(list(words)[:3])
        if len(words) > 3:
            return f"{shown} …"
        return shown


def _words(step: str) -> str:
    if step not in STEPS:
        return UNHEARD_OF[step].template
    return step_name(*STEPS[step][2:])


def simulate(sessions: int, seed: int | str, *, faults: bool = True) -> list[SimulatedSession]:
    """Sessions in the order of their first events.

    Some 8 % have a fault, at least one of each kind if there are enough sessions. The same
    arguments give the same sessions.
    """
    # A text seeds the same on every platform.
    rng = Random(f"{seed} {faults}")
    count = 0
    if faults:
        count = min(sessions, max(len(KINDS), round(_FAULTY_SHARE * sessions)))
    kinds = itertools.cycle(rng.sample(KINDS, len(KINDS)))
    faulty = dict(zip(sorted(rng.sample(range(sessions), count)), kinds, strict=False))
    start_ns = _START_NS
    out = []
    for number in range(sessions):
        start_ns += int(rng.expovariate(1 / _ARRIVAL_S) * 1e9)
        out.append(_session(rng, start_ns, faulty.get(number)))
    return out


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that befell the stream as a whole, from `start_ns` to `end_ns`."""

    kind: str
    start_ns: int
    end_ns: int

    @property
    def what(self) -> str:
        """What happened, for people."""
        if self.kind == "burst":
            return f"the balancer moves {_STORM} blocks within a minute"
        return f"nobody writes anything for {_QUIET_S / 60:.0f} minutes"


def with_moments(
    sessions: Sequence[SimulatedSession], seed: int | str
) -> tuple[list[SimulatedSession], list[Moment]]:
    """The same stream with a storm of normal sessions, and later a silence, if it is long enough.

    What was to begin after the silence begins that much later. Sessions that are under way go on.
    """
    if len(sessions) < _FEWEST_FOR_MOMENTS:
        return list(sessions), []
    rng = Random(f"{seed} moments")
    storm_ns = sessions[2 * len(sessions) // 5].events[0][0]
    quiet_ns = sessions[3 * len(sessions) // 4].events[0][0]
    out = []
    for session in sessions:
        if session.events[0][0] >= quiet_ns:
            session = _later(session, int(_QUIET_S * 10**9))
        out.append(session)
    for _ in range(_STORM):
        moves = balance(**draw(MOVE, rng))
        block = f"blk-{rng.getrandbits(48):012x}"
        start_ns = storm_ns + rng.randrange(60 * 10**3) * 10**6
        events = tuple(_events(rng, start_ns, block, moves))
        out.append(SimulatedSession(block, tuple(moves), None, events))
    moments = [
        Moment("burst", storm_ns, storm_ns + 60 * 10**9),
        Moment("silence", quiet_ns, quiet_ns + int(_QUIET_S * 10**9)),
    ]
    return sorted(out, key=lambda session: session.events[0][0]), moments


def _later(session: SimulatedSession, by_ns: int) -> SimulatedSession:
    events = tuple((time_ns + by_ns, record) for time_ns, record in session.events)
    return replace(session, events=events)


def normal_courses(sessions: int, seed: int | str) -> list[tuple[str, ...]]:
    """The steps of this many normal sessions, by name.

    All that learning needs, without times and texts.
    """
    rng = Random(f"{seed} courses")
    return [names(normal(rng)) for _ in range(sessions)]


def stream(sessions: Sequence[SimulatedSession]) -> list[tuple[int, dict[str, str]]]:
    """All events of all sessions in the order of their times: the log of the whole cluster."""
    return sorted(
        (event for session in sessions for event in session.events), key=lambda event: event[0]
    )


def _session(rng: Random, start_ns: int, kind: str | None) -> SimulatedSession:
    moves = normal(rng)
    fault = None
    touch = None
    if kind is not None and kind in TOUCHES:
        moves = write(**draw(WRITE, rng))
        touch = TOUCHES[kind](rng, moves)
        fault = Fault(kind, ((touch.at, touch.at + 1),), tuple(moves))
    elif kind is not None:
        moves, fault = _faulty(rng, kind)
    block = f"blk-{rng.getrandbits(48):012x}"
    events = tuple(_events(rng, start_ns, block, moves, touch))
    return SimulatedSession(block, tuple(moves), fault, events)


def _faulty(rng: Random, kind: str) -> tuple[Moves, Fault]:
    """Draw until the outcome is no normal course.

    A step left out may well give another normal one.
    """
    while True:
        original = write(**draw(WRITE, rng))
        moves, spans = FAULTS[kind](rng, original)
        if not is_normal(moves):
            return moves, Fault(kind, tuple(spans), tuple(original))


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub("<([a-z]+)>", lambda hole: values[hole[1]], text)


def _events(
    rng: Random, start_ns: int, block: str, moves: Sequence[Move], touch: Touch | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    nodes = rng.sample(range(1, 25), 8)
    values = {
        "block": block,
        "file": f"/data/{rng.choice(('web', 'orders', 'sensors'))}/{rng.randrange(10**6):06d}",
        "replicas": str(sum(move.step in ("received", "mirrored") for move in moves)),
    }
    time_ns = start_ns
    for number, (name, node) in enumerate(moves):
        step = STEPS.get(name) or UNHEARD_OF[name]
        disk = f"/disk{rng.randrange(1, 5)}/{block[4:8]}"
        values.update(ip=f"10.0.0.{nodes[node]}", disk=disk, num=str(rng.randrange(1_000, 90_000)))
        if number:
            pause_s = _HASTE_S
            if name in BEGINS:
                pause_s = _PAUSE_S
            if touch is not None and touch.at == number:
                pause_s = touch.pause_s or pause_s
            time_ns += int(rng.uniform(*pause_s) * 1000) * 10**6 + 10**6
        level = step.level
        told = values
        if touch is not None and touch.at == number:
            level = touch.level or level
            if touch.hole is not None:
                told = {**values, touch.hole: touch.value}
        message = _filled(step.text, told)
        host = "head-1"
        if "<disk>" in step.text or "<ip>" in step.text:
            host = f"node-{nodes[node]}"
        record = {"host": host, "level": level, "component": step.component, "message": message}
        yield time_ns, record
