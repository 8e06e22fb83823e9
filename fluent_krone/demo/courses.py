"""The simulated storage cluster's log lines, and every course that goes well.

A block is written down a pipeline of storage nodes, recorded, sealed, later checked, read, copied,
removed; now and then the balancer moves one. Every normal course follows from a few choices
(`WRITE`, `MOVE`), so all can be listed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple


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
UNHEARD_OF = {
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
# Steps that come after a pause.
BEGINS = {"checked", "corrupt", "copying", "reading", "released"}


class Move(NamedTuple):
    """One step of a session, and the storage node concerned."""

    step: str
    node: int = 0


# The steps of a session, in order.
Moves = list[Move]

# What a write is made of: each choice, its options and their shares.
WRITE: dict[str, dict[Any, float]] = {
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
# What a move by the balancer is made of.
MOVE: dict[str, dict[Any, float]] = {"check": {True: 0.3, False: 0.7}, "resends": {0: 0.9, 1: 0.1}}
# The share of sessions that are such moves.
_MOVE_SHARE = 0.1


def write(
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


def balance(*, check: bool, resends: int) -> Moves:
    """The other workflow: a block moves from one node to another."""
    moves = [
        Move("move_planned"),
        Move("mirrored", 1),
        *[Move("resent", 1)] * resends,
        Move("acked", 1),
    ]
    moves += [Move("stored", 1), Move("recorded", 1), *[Move("checked", 1)] * check]
    return [*moves, Move("removed", 0), Move("moved")]


def draw(choices: Mapping[str, Mapping[Any, float]], rng: Random) -> dict[str, Any]:
    """One option of each choice, by their shares."""
    return {
        name: rng.choices(list(options), list(options.values()))[0]
        for name, options in choices.items()
    }


def _every(choices: Mapping[str, Mapping[Any, float]]) -> Iterator[dict[str, Any]]:
    return (
        dict(zip(choices, picked, strict=True)) for picked in itertools.product(*choices.values())
    )


def normal(rng: Random) -> Moves:
    """The steps of a session that goes well."""
    if rng.random() < _MOVE_SHARE:
        return balance(**draw(MOVE, rng))
    return write(**draw(WRITE, rng))


@functools.cache
def _all_normal() -> frozenset[tuple[str, ...]]:
    courses = [
        *(write(**picked) for picked in _every(WRITE)),
        *(balance(**picked) for picked in _every(MOVE)),
    ]
    return frozenset(map(names, courses))


def is_normal(moves: Sequence[Move]) -> bool:
    """Whether a session without a fault can run like this."""
    return names(moves) in _all_normal()


def names(moves: Sequence[Move]) -> tuple[str, ...]:
    """The steps alone, without the nodes concerned."""
    return tuple(move.step for move in moves)
