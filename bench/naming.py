"""How often the step that an alert names is the one that is wrong, on injected faults.

A fault is injected into a held-out normal session, so its place is known: between what the session
begins with as the normal one does, and what it ends with as that one does. An alert names it right
when its odd event lies there, or is the event beside it. What is read first counts: a deviation of
a step leaves at once, the verdict on the whole session at its end. The tree adds where more steps
are named right with it than without, and where the Seq that a verdict names has the wrong step more
often than as many events around the step that is named without the tree.

    python bench/naming.py [--data ../shared/data] [--only shop …] [--seed 6] [--json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import checkout
import numpy as np
from budget import CASES, Case
from labelled import LogKeys, fit, flat
from raw_hdfs import chronological
from shop.steps import STEPS
from shop.traffic import Plan, simulate

from export.faults import Injector
from export.traces import Trace
from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.types import Level, Seq

# Kinds of fault that have one place. A session that is reversed is wrong everywhere, and one that
# was cut short lacks what is named.
KINDS = ("skip", "rework", "insert", "early", "late", "swap", "foreign", "wrong_status")
# Sessions that get each kind of fault, and the number of false alarms in 1,000 sessions.
_HOSTS, _ASKED = 100, 5.0


def place(host: Sequence[int], faulty: Sequence[int]) -> tuple[int, int]:
    """The first and the last event of a faulty session that may be called wrong.

    >>> place((1, 2, 3, 4), (1, 2, 9, 3, 4)), place((1, 2, 3, 4), (1, 2, 4))
    ((1, 3), (1, 2))
    """
    short = min(len(host), len(faulty))
    head = next((i for i in range(short) if host[i] != faulty[i]), short)
    left = short - head
    tail = next((i for i in range(left) if host[-1 - i] != faulty[-1 - i]), left)
    return head - 1, len(faulty) - tail


def named_event(cascade: Cascade, keys: LogKeys) -> int | None:
    """The odd event of the first alert about a session; None where there is none."""
    state = cascade.tracker.start
    for key in keys:
        state = cascade.tracker.step(state, key, keys)
        if state.deviations:
            return state.deviations[0].event
    verdict = cascade.at_end(state, keys)
    if verdict is not None:
        return verdict.event
    odd, _ = cascade.ending(state, keys)
    if odd:
        return odd[0].event
    return None


@dataclass(frozen=True)
class Faulty:
    """A session with an injected fault: the first and the last event that may be called wrong."""

    kind: str
    keys: LogKeys
    first: int
    last: int

    def is_right(self, event: int) -> bool:
        return self.first <= event <= self.last

    def is_hit(self, start: int, end: int) -> bool:
        """Whether a stretch has an event that may be called wrong."""
        return start <= self.last and self.first < end


def faulty_sessions(
    hierarchy: Hierarchy, normal: Sequence[LogKeys], known: set[LogKeys], hosts: int, seed: int
) -> list[Faulty]:
    """Copies of normal sessions, as many of each kind of fault as there are `hosts`."""
    rng = np.random.default_rng(seed)
    injector = Injector(hierarchy, sorted({key for keys in normal for key in keys}), rng)
    made: list[Faulty] = []
    for kind in KINDS:
        for i in rng.permutation(len(normal))[:hosts]:
            trace = injector.inject(Trace(normal[i]), kind)
            if trace is not None and trace.keys not in known:
                made.append(Faulty(kind, trace.keys, *place(normal[i], trace.keys)))
    return made


class AllUsual:
    """Patterns that are never new.

    Without a tree nearly every session is a pattern that is new, which says nothing of its place:
    heard beside the counts, it names three steps of five wrong that the counts name right.
    """

    name = "none"
    threshold = 0.0

    def __init__(self, patterns: LocalContext) -> None:
        self._patterns = patterns

    def is_normal(self, seq: Seq) -> bool:
        return True

    def is_known(self, level: Level, node: int) -> bool:
        return self._patterns.is_known(level, node)

    def score(self, seq: Seq) -> tuple[float, tuple[int, ...]]:
        return 0.0, ()


def cascades_of(case: Case) -> dict[str, Cascade]:
    """What judges with the tree, and without."""
    tree = fit(case.train, Hierarchy(case.leaves))
    flat_one = fit(case.train, flat(case.leaves))
    return {
        "hierarchy": tree.cascade(_ASKED),
        "flat": flat_one.cascade(_ASKED, AllUsual(flat_one.patterns)),
    }


def steps_named(cascade: Cascade, sessions: Sequence[Faulty]) -> dict[str, Any]:
    """By kind of fault: the share found, and of these the share whose step is named right by the
    first alert."""
    events = [(session, named_event(cascade, session.keys)) for session in sessions]
    rows: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        of_kind = [(session, event) for session, event in events if session.kind == kind]
        found = [(session, event) for session, event in of_kind if event is not None]
        right = sum(session.is_right(event) for session, event in found)
        if of_kind:
            rows[kind] = {
                "found": round(len(found) / len(of_kind), 3),
                "right": round(right / max(1, len(found)), 3),
            }
    told = [(session, event) for session, event in events if event is not None]
    right = sum(session.is_right(event) for session, event in told)
    return {"right": round(right / max(1, len(told)), 4), "found": len(told), "kinds": rows}


def window(event: int, length: int, size: int) -> tuple[int, int]:
    """The stretch of `length` events around one event of a session of `size` events.

    >>> window(5, 3, 10), window(0, 3, 10), window(9, 4, 10)
    ((4, 7), (0, 3), (6, 10))
    """
    start = max(0, min(event - (length - 1) // 2, size - length))
    return start, start + length


def seqs_named(tree: Cascade, flat_one: Cascade, sessions: Sequence[Faulty]) -> dict[str, Any]:
    """How often the Seq that a verdict names has a wrong step, and how often as many events around
    the step that is named without a tree have one, in the sessions that both flag.

    Without a tree the only Seq is the whole session, so that it names a step and nothing more. Who
    reads as many lines around it is given as much as the Seq gives.
    """
    rows: list[tuple[bool, bool, float]] = []
    alone = {"hierarchy": 0, "flat": 0}
    for session in sessions:
        keys = session.keys
        with_tree = tree.at_end(tree.tracker.replay(keys), keys)
        without = flat_one.at_end(flat_one.tracker.replay(keys), keys)
        if with_tree is not None and without is not None:
            seq = with_tree.seq
            length = seq.end - seq.start
            around = window(without.event, length, len(keys))
            hits = (session.is_hit(seq.start, seq.end), session.is_hit(*around))
            rows.append((*hits, length / len(keys)))
        alone["hierarchy"] += with_tree is not None and without is None
        alone["flat"] += without is not None and with_tree is None
    hits, around_hits, share = np.array(rows or [(False, False, 1.0)], float).mean(0)
    return {
        "sessions": len(rows),
        "hierarchy": round(float(hits), 4),
        "flat": round(float(around_hits), 4),
        "length": round(float(share), 4),
        "flagged_alone": alone,
    }


def raw_case(data: Path, seed: int) -> Case:
    """HDFS from raw lines, fitted on the first 60 % of the log: its tree is read from templates."""
    run = chronological(data)
    keys = [session.log_keys for session in run.sessions]
    train = [of_one for of_one, use in zip(keys, run.fit_on, strict=True) if use]
    test = [of_one for of_one, use in zip(keys, run.fit_on, strict=True) if not use]
    return Case(run.leaves, train, test, run.abnormal[~run.fit_on])


def shop_case(data: Path, seed: int) -> Case:
    """The simulated shop, whose tree is the one that its services and events have."""
    number = {name: i for i, name in enumerate(STEPS)}
    leaves = [
        Leaf(step.text, step.service, step.event.split(".")[0], step.event)
        for step in STEPS.values()
    ]
    train, test = (
        [
            tuple(number[event.name] for event in request.events)
            for request in simulate(Plan(sessions=count, seed=of_log)).requests
        ]
        for count, of_log in ((3_000, seed), (1_500, seed + 1_000))
    )
    return Case(leaves, train, test, np.zeros(len(test), bool))


def _listed(name: str) -> Callable[[Path, int], Case]:
    return lambda data, seed: CASES[name](data, name, seed)


# Where the naming of steps is measured, with the tree and without.
NAMED: Mapping[str, Callable[[Path, int], Case]] = {
    "bpic12": _listed("bpic12"),
    "hdfs_full": _listed("hdfs_full"),
    "krone_hdfs": _listed("krone_hdfs"),
    "hdfs_raw": raw_case,
    "shop": shop_case,
}


def named_steps(data: Path, seed: int = 6, names: Sequence[str] = (*NAMED,)) -> dict[str, Any]:
    """How often step and Seq are named right, on faults injected into normal sessions."""
    results: dict[str, Any] = {}
    for name in names:
        case = NAMED[name](data, seed)
        normal = [keys for keys, bad in zip(case.test, case.abnormal, strict=True) if not bad]
        known = {*case.train, *normal}
        tree = Hierarchy(case.leaves)
        sessions = faulty_sessions(tree, normal, known, _HOSTS, seed)
        cascades = cascades_of(case)
        row = {kind: steps_named(cascade, sessions) for kind, cascade in cascades.items()}
        seqs = seqs_named(cascades["hierarchy"], cascades["flat"], sessions)
        for kind, found in row.items():
            print(f"{name}, {kind}: {found['right']:.1%} right of {found['found']} found")
        more = row["hierarchy"]["right"] - row["flat"]["right"]
        print(f"{name}: with the tree {more:+.1%} of the steps are named right")
        print(
            f"{name}: {seqs['hierarchy']:.1%} of {seqs['sessions']} named Seqs have a wrong step, "
            f"{seqs['flat']:.1%} of as many events without the tree "
            f"({seqs['hierarchy'] - seqs['flat']:+.1%}; {seqs['length']:.1%} of the session); "
            f"flagged by one alone: {seqs['flagged_alone']}",
            flush=True,
        )
        results[name.removeprefix("krone_")] = {"named_steps": row, "named_seqs": seqs}
    return results


def main() -> int:
    parser = checkout.parser(__doc__, "", NAMED)
    parser.add_argument("--seed", type=int, default=6)
    flags = parser.parse_args()
    found = named_steps(flags.data, flags.seed, flags.only)
    if flags.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
