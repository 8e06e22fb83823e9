"""How often the step that an alert names is the one that is wrong, on injected faults.

A fault is injected into a held-out normal session, so its place is known: between what the session
begins with as the normal one does, and what it ends with as that one does. An alert names it right
when its odd event lies there, or is the event beside it. What is read first counts: a deviation of
a step leaves at once, the verdict on the whole session at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from budget import CASES
from labelled import Fitted, LogKeys, fit, flat

from export.faults import Injector
from export.traces import Trace
from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy

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


def named_steps(data: Path, seed: int = 6) -> dict[str, Any]:
    """How often the step is named right, on faults injected into normal sessions."""
    results: dict[str, Any] = {}
    for name in ("bpic12", "hdfs_full", "krone_hdfs"):
        case = CASES[name](data, name, seed)
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
                f"of {found['seq_length']:.1%} of the session"
            )
        results[name.removeprefix("krone_")] = {"named_steps": row}
    return results
