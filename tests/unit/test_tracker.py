"""Sessions step by step: Seqs close when they must, and like sessions share their states."""

from __future__ import annotations

from synthetic import ARRIVED, CLOSE, GOING, NORMAL, OPEN, OPENED, STUCK, patterns_of, tree

from fluent_krone.core.tracker import Tracker
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.types import Seq

RIDE = (OPEN, OPENED, GOING, GOING, ARRIVED, CLOSE)


def lift_tracker() -> Tracker:
    return Tracker(tree(), LocalContext(patterns_of(tree(), NORMAL)).is_normal)


def test_seqs_close_at_their_boundary() -> None:
    closed: list[Seq] = []
    tracker = Tracker(tree(), lambda seq: not closed.append(seq))  # type: ignore[func-returns-value]
    state, after = tracker.start, []
    for key in RIDE:
        state = tracker.step(state, key, RIDE)
        after.append(len(closed))
    assert after == [0, 0, 2, 2, 2, 4]
    assert {*closed, *tracker.closed_by_end(state, RIDE)} == set(tree().decompose(RIDE))


def test_sessions_that_run_alike_share_their_states() -> None:
    tracker = lift_tracker()
    assert tracker.replay(RIDE) is tracker.replay(RIDE)
    misses = tracker.misses
    tracker.replay((*RIDE[:4], STUCK))
    assert tracker.misses == misses + 1


def test_a_closed_seq_that_is_not_normal_taints_what_comes_after() -> None:
    tracker = lift_tracker()
    assert tracker.replay(RIDE).odd is None
    assert tracker.replay((OPEN, OPENED, GOING, STUCK)).odd is None  # still open
    assert tracker.replay((OPEN, OPENED, GOING, STUCK, CLOSE)).odd is not None
    assert tracker.replay((OPEN, OPENED, GOING, STUCK, CLOSE, OPEN, OPENED)).odd is not None
