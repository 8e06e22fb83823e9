"""The verdict: first abnormal level from below, of its Seqs the most abnormal, and where in it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from synthetic import ARRIVED, BYE, CLOSE, GOING, NORMAL, OPEN, OPENED, STUCK, UNKNOWN, patterns_of, tree

from fluent_krone.core.cascade import Cascade
from fluent_krone.core.tracker import Tracker
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.types import Verdict


def judge(keys: Sequence[int]) -> Verdict | None:
    hierarchy = tree()
    detector = LocalContext(patterns_of(hierarchy, NORMAL))
    tracker = Tracker(hierarchy, detector.is_normal)
    cascade = Cascade(hierarchy, tracker, detector)
    verdict = cascade.at_end(tracker.replay(keys), keys)
    assert cascade.at_end(tracker.replay(keys), keys) is verdict  # remembered with the state
    return verdict


@pytest.mark.parametrize("keys", NORMAL)
def test_what_training_had_is_normal(keys: tuple[int, ...]) -> None:
    assert judge(keys) is None


@pytest.mark.parametrize(
    ("keys", "level", "span"),
    [
        ((OPEN, OPENED, GOING, STUCK, CLOSE), "status", (2, 4)),
        ((OPEN, OPENED, GOING, STUCK), "status", (2, 4)),  # closed by the end only
        ((GOING, ARRIVED, CLOSE), "entity", (0, 3)),
        ((OPEN, OPENED, CLOSE, OPEN, OPENED, CLOSE), "action", (0, 6)),
        ((OPEN, OPENED, GOING, ARRIVED, CLOSE, GOING, ARRIVED, CLOSE), "entity", (0, 8)),
        ((OPEN, OPENED, GOING, STUCK, CLOSE, OPEN, OPENED, CLOSE, GOING), "status", (2, 4)),
        ((UNKNOWN,), "status", (0, 1)),
    ],
)
def test_the_first_abnormal_level_from_below_decides(keys: tuple[int, ...], level: str, span: tuple[int, int]) -> None:
    verdict = judge(keys)
    assert verdict is not None
    assert (verdict.seq.level, verdict.seq.start, verdict.seq.end) == (level, *span)
    assert verdict.score > verdict.threshold


def test_of_several_abnormal_seqs_the_most_abnormal_is_named_and_of_equals_the_first() -> None:
    worst = (OPEN, OPENED, GOING, STUCK, CLOSE, GOING, STUCK, STUCK, STUCK, CLOSE)
    verdict = judge(worst)
    assert verdict is not None and (verdict.seq.start, verdict.seq.end) == (5, 9)
    equal = judge((OPEN, OPENED, GOING, STUCK, CLOSE, GOING, STUCK))
    assert equal is not None and (equal.seq.start, equal.seq.end) == (2, 4)


@pytest.mark.parametrize(
    ("keys", "event"),
    [
        ((OPEN, OPENED, GOING, STUCK, CLOSE), 3),  # where it leaves the nearest normal pattern
        ((OPEN, OPENED, GOING), 2),  # it only falls short: its last event
        ((OPEN, OPENED, CLOSE, BYE, CLOSE), 3),  # no ride without moving says bye
    ],
)
def test_the_odd_event(keys: tuple[int, ...], event: int) -> None:
    verdict = judge(keys)
    assert verdict is not None and verdict.event == event


def test_evidence_tells_what_is_extra_missing_repeated_unseen() -> None:
    stuck = judge((OPEN, OPENED, GOING, STUCK, CLOSE))
    assert stuck is not None
    assert stuck.evidence.extra == {"lift: stuck at floor <num>": 1}
    assert stuck.evidence.missing == {"lift: arrived at floor <num>": 1}
    assert stuck.evidence.unseen == ("lift: stuck at floor <num>",)
    assert stuck.evidence.nearest == ("lift: going to floor <num>", "lift: arrived at floor <num>")
    often = judge((OPEN, OPENED, GOING, GOING, GOING, ARRIVED, CLOSE))
    assert often is not None
    assert often.evidence.repeated == {"lift: going to floor <num>": 1}
    assert (often.evidence.extra, often.evidence.missing, often.evidence.unseen) == ({}, {}, ())
