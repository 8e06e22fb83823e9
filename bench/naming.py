"""How often the step that an alert names is the one that is wrong, on injected faults.

A fault is injected into a held-out normal session, so its place is known: between what the session
begins with as the normal one does, and what it ends with as that one does. An alert names it right
when its odd event lies there, or is the event beside it. What is read first counts: a deviation of
a step leaves at once, the verdict on the whole session at its end. The tree adds where more steps
are named right with it than without.

    python bench/naming.py [--data ../shared/data] [--only shop …] [--seed 6] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from budget import CASES, Case
from labelled import ROOT, Fitted, LogKeys, fit, flat
from raw_hdfs import chronological

from export.faults import Injector
from export.traces import Trace
from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy, Leaf

sys.path.insert(0, str(ROOT / "tests"))

from shop.steps import STEPS
from shop.traffic import Plan, simulate

# Kinds of fault that have one place. A session that is reversed is wrong everywhere, and one that
# was cut short lacks what is named.
KINDS = ("skip", "rework", "insert", "early", "late", "swap", "foreign", "wrong_status")


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
    odd = cascade.odd_end(state, keys)
    if odd:
        return odd[0].event
    return None


def named_seq(cascade: Cascade, keys: LogKeys, first: int, last: int) -> tuple[bool, float] | None:
    """Whether the Seq that the verdict on a session names has a wrong event, and its share of the
    session; None where there is no verdict. Without a tree, the only Seq is the session."""
    verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
    if verdict is None:
        return None
    seq = verdict.seq
    return seq.start <= last and first < seq.end, (seq.end - seq.start) / len(keys)


def naming(
    fitted: Fitted,
    hierarchy: Hierarchy,
    normal: Sequence[LogKeys],
    known: set[LogKeys],
    false_alarms: float,
    hosts: int,
    seed: int,
) -> dict[str, Any]:
    """By kind of fault: the share found, and of these the share whose step is named right.

    `seq_hits` is the share of the named Seqs that have the wrong step, `seq_length` their mean
    share of the session.
    """
    rng = np.random.default_rng(seed)
    injector = Injector(hierarchy, sorted({key for keys in normal for key in keys}), rng)
    cascade = fitted.cascade(false_alarms)
    rows: dict[str, dict[str, float]] = {}
    found = 0
    right = 0
    seqs: list[tuple[bool, float]] = []
    for kind in KINDS:
        of_kind = []
        for i in rng.permutation(len(normal))[:hosts]:
            made = injector.inject(Trace(normal[i]), kind)
            if made is None or made.keys in known:
                continue
            first, last = place(normal[i], made.keys)
            event = named_event(cascade, made.keys)
            seq = named_seq(cascade, made.keys, first, last)
            if seq is not None:
                seqs.append(seq)
            of_kind.append((event is not None, event is not None and first <= event <= last))
        if not of_kind:
            continue
        found_of_kind = sum(is_found for is_found, _ in of_kind)
        right_of_kind = sum(is_right for _, is_right in of_kind)
        rows[kind] = {
            "found": round(found_of_kind / len(of_kind), 3),
            "right": round(right_of_kind / max(1, found_of_kind), 3),
        }
        found += found_of_kind
        right += right_of_kind
    hits, length = np.array(seqs or [(False, 1.0)], float).mean(0)
    return {
        "right": round(right / max(1, found), 4),
        "found": found,
        "seqs": len(seqs),
        "seq_hits": round(float(hits), 4),
        "seq_length": round(float(length), 4),
        "kinds": rows,
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
    """How often the step is named right, on faults injected into normal sessions."""
    results: dict[str, Any] = {}
    for name in names:
        case = NAMED[name](data, seed)
        normal = [keys for keys, bad in zip(case.test, case.abnormal, strict=True) if not bad]
        known = {*case.train, *normal}
        tree = Hierarchy(case.leaves)
        row: dict[str, Any] = {}
        for kind, hierarchy in (("hierarchy", tree), ("flat", flat(case.leaves))):
            fitted = fit(case.train, hierarchy)
            row[kind] = naming(fitted, tree, normal, known, 5.0, 100, seed)
            found = row[kind]
            print(
                f"{name}, {kind}: {found['right']:.1%} right of {found['found']} found; "
                f"{found['seqs']} Seqs named, {found['seq_hits']:.1%} hit, "
                f"of {found['seq_length']:.1%} of the session",
                flush=True,
            )
        more = row["hierarchy"]["right"] - row["flat"]["right"]
        print(f"{name}: with the tree {more:+.1%} of the steps are named right")
        results[name.removeprefix("krone_")] = {"named_steps": row}
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--only", nargs="+", choices=NAMED, default=list(NAMED), help="some sets")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="all figures as JSON in the last line")
    flags = parser.parse_args()
    found = named_steps(flags.data, flags.seed, flags.only)
    if flags.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
