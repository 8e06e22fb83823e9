"""How well the named Seq meets ThunderBird's event labels, beside baselines and a fit without a
tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from labelled import (
    CHOSEN_ON,
    Fitted,
    LogKeys,
    authors_data,
    average_precision,
    fitted_split,
)
from naming import window

from fluent_krone.core.localise import Place, localise
from fluent_krone.types import Seq


def localisation(data: Path) -> dict[str, Any]:
    """In flagged abnormal sessions, seeds 0–5: average precision of the scores of events, hits of
    the named Seq, and its length."""
    authors = authors_data(data / "krone_thunderbird")
    rows: dict[str, list[tuple[float, bool, float]]] = {}
    for seed in CHOSEN_ON:
        _, test = authors.split(seed)
        fitted = fitted_split(data, "thunderbird", seed)
        without_tree = fitted_split(data, "thunderbird", seed, with_tree=False)
        cascade = fitted.cascade()
        rng = np.random.default_rng(seed)
        for i in test[authors.abnormal[test]]:
            assert authors.odd is not None
            keys = authors.sessions[i]
            labels = authors.odd[i]
            verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
            if verdict is None:
                continue
            told = named(fitted, keys, rng)
            told["without the tree"] = named_flat(without_tree, keys, told["ours"][1])
            for name, (scores, seq) in told.items():
                hit = any(labels[seq.start : seq.end])
                row = (average_precision(scores, labels), hit, (seq.end - seq.start) / len(keys))
                rows.setdefault(name, []).append(row)
    return {"thunderbird": {"localisation": _shown(rows)}}


def _shown(rows: dict[str, list[tuple[float, bool, float]]]) -> dict[str, Any]:
    print(
        f"\nthunderbird: localisation in {len(rows['ours'])} flagged abnormal sessions, seeds 0–5"
    )
    print(f"  {'':<20} {'AP':>6} {'hits':>7} {'mean length':>12}")
    found: dict[str, Any] = {}
    for name, values in rows.items():
        ap, hits, length = np.array(values, float).mean(0)
        print(f"  {name:<20} {ap:6.3f} {hits:7.1%} {length:12.2%}")
        found[name] = {
            "ap": round(ap, 4),
            "hit_rate": round(hits, 4),
            "mean_length": round(length, 5),
        }
    ours: dict[str, Any] = found.pop("ours")
    return ours | {"ap_longest_run": found["longest action run"]["ap"], "baselines": found}


def named(
    fitted: Fitted, keys: LogKeys, rng: np.random.Generator
) -> dict[str, tuple[Sequence[float], Seq]]:
    """The event scores and the Seq that we name, and those of three baselines."""
    seqs = fitted.hierarchy.decompose(keys)
    place = _place(fitted, keys, [seq for seq in seqs if not fitted.patterns.is_normal(seq)])
    longest = max((s for s in seqs if s.level == "action"), key=lambda s: s.end - s.start)
    length = [0.0] * len(keys)
    for seq in seqs:
        if seq.level == "action":
            length[seq.start : seq.end] = [float(seq.end - seq.start)] * (seq.end - seq.start)
    below = [seq for seq in seqs if seq.level != "entity"]
    new = [float(not fitted.nested.most(key)) for key in keys]
    first = new.index(max(new))
    return {
        "ours": (place.event_scores, place.seq),
        "longest action run": (length, longest),
        "random Seq": (rng.random(len(keys)).tolist(), below[int(rng.integers(len(below)))]),
        "first unseen key": (new, fitted.hierarchy.seq("status", keys, first, first + 1)),
    }


def named_flat(fitted: Fitted, keys: LogKeys, seq: Seq) -> tuple[Sequence[float], Seq]:
    """The event scores of a fit without a tree, and as many events as `seq` has around the one that
    it names.

    Its only pattern is the whole session, which says nothing of the place.
    """
    place = _place(fitted, keys, [])
    start, end = window(place.event, seq.end - seq.start, len(keys))
    return place.event_scores, fitted.hierarchy.seq("status", keys, start, end)


def _place(fitted: Fitted, keys: LogKeys, unseen: Sequence[Seq]) -> Place:
    by_counts = fitted.nested.is_abnormal(fitted.nested.density(keys).score)
    return localise(
        keys, unseen, fitted.hierarchy, fitted.patterns, fitted.nested, by_counts=by_counts
    )
