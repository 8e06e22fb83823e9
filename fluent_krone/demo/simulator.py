"""A storage cluster that writes a log: sessions that went well, and some with a fault whose place
is known.

The cluster is of our own invention, in our own words. A block is written down a pipeline of
storage nodes, recorded, sealed, later checked, read, copied, removed; now and then the balancer
moves one. Every normal course follows from a few choices (`_WRITE`, `_MOVE`), so all can be
listed, and damage counts as a fault only if it gives none of them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

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
# Seconds that a slow step takes, at least and at most: some fifty times as long as usual, and less
# than the idle timeout.
_SLOW_S = (15.0, 60.0)
# What a value that is wrong becomes.
_WRONG = {"num": ("0", "999999999999"), "ip": ("203.0.113.77",), "replicas": ("9",)}
# The share of sessions with a fault.
_FAULTY_SHARE = 0.08
# Blocks that the balancer moves within a minute when it storms, …
_STORM = 150
# … and seconds in which nobody writes anything.
_QUIET_S = 480.0
# Sessions below which the stream has neither a storm nor a silence: it would be too short.
_FEWEST_FOR_MOMENTS = 300


class Step(NamedTuple):
    """One kind of log line: who logs it, its text, and where it stands in the tree."""

    component: str
    # `<block>`, `<ip>` … are filled in; as they stand they are the template's wildcards.
    text: str
    entity: str
    action: str
    status: str
    # The severity that it is logged with.
    level: str = "INFO"

    @property
    def template(self) -> str:
        """The template that a matcher needs: the component stands before the message."""
        return f"{self.component}: {self.text}"


STEPS: Mapping[str, Step] = {
    "allocated": Step(
        "Namespace",
        "<block> allotted to <file>, to be on <replicas> nodes",
        "namespace",
        "allot",
        "granted",
    ),
    "received": Step(
        "Storage", "<block> coming in from client <ip>", "storage", "receive", "started"
    ),
    "mirrored": Step(
        "Storage", "<block> coming in from upstream node <ip>", "storage", "mirror", "started"
    ),
    "opened": Step(
        "Responder", "pipeline of <block> open towards <ip>", "responder", "open", "ready"
    ),
    "late": Step(
        "Responder",
        "<ip> owes acks for <block> since <num> ms",
        "responder",
        "await acks",
        "late",
        "WARN",
    ),
    "resent": Step(
        "Responder",
        "sending <num> packets of <block> to <ip> again",
        "responder",
        "resend",
        "started",
    ),
    "acked": Step(
        "Responder", "all packets of <block> acked by <ip>", "responder", "await acks", "complete"
    ),
    "stored": Step("Storage", "<block> safe on <disk>, <num> bytes", "storage", "store", "done"),
    "store_failed": Step(
        "Storage", "<block> not stored, <disk> is full", "storage", "store", "failed", "ERROR"
    ),
    "recorded": Step(
        "Namespace", "replica of <block> on <ip> recorded", "namespace", "record replica", "added"
    ),
    "closed": Step(
        "Responder", "pipeline of <block> towards <ip> closed", "responder", "close", "done"
    ),
    "sealed": Step("Namespace", "<block> sealed, <num> bytes", "namespace", "seal", "done"),
    "checked": Step("Scanner", "checksum of <block> on <ip> holds", "scanner", "check", "ok"),
    "corrupt": Step(
        "Scanner",
        "checksum of <block> on <ip> does not hold",
        "scanner",
        "check",
        "mismatch",
        "WARN",
    ),
    "copying": Step(
        "Replicator", "one more copy of <block> wanted on <ip>", "replicator", "copy", "started"
    ),
    "copied": Step("Replicator", "copy of <block> on <ip> complete", "replicator", "copy", "done"),
    "copy_failed": Step(
        "Replicator", "copy of <block> on <ip> given up", "replicator", "copy", "failed", "ERROR"
    ),
    "reading": Step("Reader", "<ip> asks for <block>", "reader", "serve", "started"),
    "read": Step("Reader", "<block> served to <ip>, <num> bytes", "reader", "serve", "done"),
    "hung_up": Step(
        "Reader", "<ip> hung up while <block> was served", "reader", "serve", "broken off", "WARN"
    ),
    "released": Step("Namespace", "<file> lets go of <block>", "namespace", "release", "marked"),
    "removed": Step("Storage", "<block> removed from <disk>", "storage", "remove", "done"),
    "remove_failed": Step(
        "Storage", "<block> on <disk> is busy, not removed", "storage", "remove", "failed", "ERROR"
    ),
    "move_planned": Step("Balancer", "<block> to move from <ip>", "balancer", "move", "planned"),
    "moved": Step("Balancer", "<block> moved, <num> bytes", "balancer", "move", "done"),
}
# Lines that no template has.
_UNHEARD_OF = {
    "unheard_of_1": Step(
        "Storage", "<disk> answers with bytes of another block, not of <block>", "", "", ""
    ),
    "unheard_of_2": Step(
        "Responder", "clock of <ip> ran backwards while <block> was open", "", "", ""
    ),
    "unheard_of_3": Step(
        "Namespace", "two writers hold the lease of <block>: <ip> and a stranger", "", "", ""
    ),
}
_ERROR_OF = {
    "stored": "store_failed",  # three that no normal session has
    "copied": "copy_failed",
    "removed": "remove_failed",
    "checked": "corrupt",  # three that are normal elsewhere
    "acked": "late",
    "read": "hung_up",
}
# Steps that come after a pause.
_BEGINS = {"checked", "corrupt", "copying", "reading", "released"}


class Move(NamedTuple):
    """One step of a session, and the storage node concerned."""

    step: str
    node: int = 0


Moves = list[Move]
# Events [start, end); a gap before event g is (g, g).
Span = tuple[int, int]


# --- what is normal
# -------------------------------------------------------------------------------------------------

# choice → its options and their shares
_WRITE: dict[str, dict[Any, float]] = {
    "replicas": {3: 0.7, 2: 0.2, 1: 0.1},
    "records": {"at once": 0.5, "one behind": 0.3, "together": 0.2},
    "resends": {0: 0.8, 1: 0.14, 2: 0.06},
    "check": {"none": 0.5, "ok": 0.44, "mended": 0.06},
    "copies": {0: 0.7, 1: 0.3},
    "reads": {
        (): 0.5,
        ("read",): 0.25,
        ("hung_up",): 0.06,
        ("read", "read"): 0.13,
        ("hung_up", "read"): 0.06,
    },
    "check_first": {True: 0.5, False: 0.5},
    "remove": {True: 0.4, False: 0.6},
}
_MOVE: dict[str, dict[Any, float]] = {"check": {True: 0.3, False: 0.7}, "resends": {0: 0.9, 1: 0.1}}
_MOVE_SHARE = 0.1


def _write(
    *,
    replicas: int,
    records: str,
    resends: int,
    check: str,
    copies: int,
    reads: Sequence[str],
    check_first: bool,
    remove: bool,
) -> Moves:
    """A block's life: written down the pipeline, acked back up it, sealed, and what comes later."""
    moves = [
        Move("allocated"),
        Move("received", 0),
        *(Move("mirrored", n) for n in range(1, replicas)),
    ]
    moves += [Move("opened", n) for n in range(replicas)]
    unrecorded: Moves = []
    for node in reversed(range(replicas)):
        if resends and node == 0:
            moves += [Move("late", node), *[Move("resent", node)] * resends]
        moves += [Move("acked", node), Move("stored", node)]
        unrecorded.append(Move("recorded", node))
        if records == "at once":
            moves.append(unrecorded.pop())
        moves.append(Move("closed", node))
        if records == "one behind" and len(unrecorded) > 1:
            moves.append(unrecorded.pop(0))
    moves += [*unrecorded, Move("sealed")]
    for number in range(copies):
        moves += _copy(replicas + number)
    later = [_check(check), [move for how in reads for move in (Move("reading"), Move(how))]]
    moves += [move for part in (later if check_first else later[::-1]) for move in part]
    if remove:
        moves += [Move("released"), *(Move("removed", n) for n in range(replicas + copies))]
    return moves


def _copy(node: int) -> Moves:
    return [Move(step, node) for step in ("copying", "mirrored", "stored", "recorded", "copied")]


def _check(how: str) -> Moves:
    return {
        "none": [],
        "ok": [Move("checked")],
        "mended": [Move("corrupt"), *_copy(3), Move("checked", 3)],
    }[how]


def _balance(*, check: bool, resends: int) -> Moves:
    """The other workflow: a block moves from one node to another."""
    moves = [
        Move("move_planned"),
        Move("mirrored", 1),
        *[Move("resent", 1)] * resends,
        Move("acked", 1),
    ]
    moves += [Move("stored", 1), Move("recorded", 1), *[Move("checked", 1)] * check]
    return [*moves, Move("removed", 0), Move("moved")]


def _draw(choices: Mapping[str, Mapping[Any, float]], rng: Random) -> dict[str, Any]:
    return {
        name: rng.choices(list(options), list(options.values()))[0]
        for name, options in choices.items()
    }


def _every(choices: Mapping[str, Mapping[Any, float]]) -> Iterator[dict[str, Any]]:
    return (
        dict(zip(choices, picked, strict=True)) for picked in itertools.product(*choices.values())
    )


def _normal(rng: Random) -> Moves:
    if rng.random() < _MOVE_SHARE:
        return _balance(**_draw(_MOVE, rng))
    return _write(**_draw(_WRITE, rng))


@functools.cache
def _all_normal() -> frozenset[tuple[str, ...]]:
    courses = [
        *(_write(**picked) for picked in _every(_WRITE)),
        *(_balance(**picked) for picked in _every(_MOVE)),
    ]
    return frozenset(map(_names, courses))


def is_normal(moves: Sequence[Move]) -> bool:
    """Whether a session without a fault can run like this."""
    return _names(moves) in _all_normal()


def _names(moves: Sequence[Move]) -> tuple[str, ...]:
    return tuple(move.step for move in moves)


# --- what goes wrong
# ------------------------------------------------------------------------------------------------

Damage = tuple[Moves, list[Span]]


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
    return _with(moves, rng.randrange(1, len(moves)), [Move(rng.choice(list(_UNHEARD_OF)))])


def _stuck(rng: Random, moves: Moves) -> Damage:
    """Nothing follows any more, in the middle of the pipeline."""
    end = rng.randrange(2, _names(moves).index("sealed") + 1)
    return moves[:end], [(end, end)]


def _sealed_twice(rng: Random, moves: Moves) -> Damage:
    sealed = _names(moves).index("sealed")
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
    quick = [i for i, move in enumerate(moves) if i and move.step not in _BEGINS]
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


# --- sessions and their stream
# --------------------------------------------------------------------------------------


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
        have = Counter(_names(self.moves))
        had = Counter(_names(self.fault.original))
        touched = [*((have - had) + (had - have))]
        touched = touched or [
            step for span in self.fault.spans for step in _names(self.moves[slice(*span)])
        ]
        words = dict.fromkeys(_words(step) for step in touched)
        shown = ", ".join(list(words)[:3])
        if len(words) > 3:
            return f"{shown} …"
        return shown


def _words(step: str) -> str:
    if step not in STEPS:
        return _UNHEARD_OF[step].template
    return " → ".join(STEPS[step][2:])


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

    What was to begin after the silence begins so much later. Sessions that are under way go on.
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
        moves = _balance(**_draw(_MOVE, rng))
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
    """The steps of so many normal sessions, by name.

    All that learning needs, without times and texts.
    """
    rng = Random(f"{seed} courses")
    return [_names(_normal(rng)) for _ in range(sessions)]


def stream(sessions: Sequence[SimulatedSession]) -> list[tuple[int, dict[str, str]]]:
    """All events of all sessions in the order of their times: the log of the whole cluster."""
    return sorted(
        (event for session in sessions for event in session.events), key=lambda event: event[0]
    )


def _session(rng: Random, start_ns: int, kind: str | None) -> SimulatedSession:
    moves = _normal(rng)
    fault = None
    touch = None
    if kind is not None and kind in TOUCHES:
        moves = _write(**_draw(_WRITE, rng))
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
        original = _write(**_draw(_WRITE, rng))
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
        step = STEPS.get(name) or _UNHEARD_OF[name]
        disk = f"/disk{rng.randrange(1, 5)}/{block[4:8]}"
        values.update(ip=f"10.0.0.{nodes[node]}", disk=disk, num=str(rng.randrange(1_000, 90_000)))
        if number:
            pause_s = _HASTE_S
            if name in _BEGINS:
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
