"""How often the step that an alert names is the one that is wrong, on injected faults.

A fault is injected into a held-out normal session, so its place is known: between what the session
begins with as the normal one does, and what it ends with as that one does. An alert names it right
when its odd event lies there, or is the event beside it. What is read first counts: a deviation of
a step leaves at once, the verdict on the whole session at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from labelled import Fitted, LogKeys

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


def naming(
    fitted: Fitted,
    hierarchy: Hierarchy,
    normal: Sequence[LogKeys],
    known: set[LogKeys],
    false_alarms: float,
    hosts: int,
    seed: int,
) -> dict[str, Any]:
    """By kind of fault: the share found, and of these the share whose step is named right."""
    rng = np.random.default_rng(seed)
    injector = Injector(hierarchy, sorted({key for keys in normal for key in keys}), rng)
    cascade = fitted.cascade(false_alarms)
    rows: dict[str, dict[str, float]] = {}
    found = 0
    right = 0
    for kind in KINDS:
        of_kind = []
        for i in rng.permutation(len(normal))[:hosts]:
            made = injector.inject(Trace(normal[i]), kind)
            if made is None or made.keys in known:
                continue
            first, last = place(normal[i], made.keys)
            event = named_event(cascade, made.keys)
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
    return {"right": round(right / max(1, found), 4), "found": found, "kinds": rows}
