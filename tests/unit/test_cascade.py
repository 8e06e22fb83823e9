"""The verdict of pattern sets: its level, the Seq and event that it names, its evidence; at the end
and early.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from synthetic import (
    ARRIVED,
    BYE,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    STUCK,
    UNKNOWN,
    patterns_of,
    tree,
)

from fluent_krone.core.cascade import Cascade
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.types import Verdict


def lift_cascade() -> Cascade:
    return Cascade(tree(), LocalContext(patterns_of(tree(), NORMAL)))


def judge(keys: Sequence[int]) -> Verdict | None:
    cascade = lift_cascade()
    verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
    assert (
        cascade.at_end(cascade.tracker.replay(keys), keys) is verdict
    )  # remembered with the state
    return verdict


@pytest.mark.parametrize("keys", NORMAL)
def test_what_training_had_is_normal(keys: tuple[int, ...]) -> None:
    assert judge(keys) is None


@pytest.mark.parametrize(
    ("keys", "level", "score"),
    [
        ((OPEN, OPENED, GOING, STUCK, CLOSE), "status", 1),
        ((OPEN, OPENED, GOING, STUCK), "status", 1),  # closed by the end only
        ((GOING, ARRIVED, CLOSE), "entity", 1),
        ((OPEN, OPENED, CLOSE, OPEN, OPENED, CLOSE), "action", 2),
        ((OPEN, OPENED, GOING, ARRIVED, CLOSE, GOING, ARRIVED, CLOSE), "entity", 2),
        ((OPEN, OPENED, GOING, STUCK, CLOSE, OPEN, OPENED, CLOSE, GOING), "status", 1),
        ((UNKNOWN,), "status", 1),
    ],
)
def test_the_first_abnormal_level_from_below_decides(
    keys: tuple[int, ...], level: str, score: float
) -> None:
    verdict = judge(keys)
    assert verdict is not None
    assert (verdict.level, verdict.score, verdict.threshold) == (level, score, 0)


def test_of_several_abnormal_seqs_the_most_abnormal_is_named_and_of_equals_the_first() -> None:
    worst = judge((OPEN, OPENED, GOING, STUCK, CLOSE, GOING, STUCK, STUCK, STUCK, CLOSE))
    assert worst is not None and (worst.seq.level, worst.seq.start, worst.seq.end) == (
        "status",
        5,
        9,
    )
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
    assert verdict.seq.start <= event < verdict.seq.end


# -- early


def decided_at(keys: Sequence[int]) -> int | None:
    """After how many events the session is decided."""
    cascade = lift_cascade()
    return next(
        (n for n in range(1, len(keys) + 1) if cascade.tracker.replay(keys[:n]).decided), None
    )


def test_a_session_is_decided_when_an_unseen_seq_closes() -> None:
    assert decided_at((OPEN, OPENED, GOING, STUCK, CLOSE, OPEN)) == 5
    assert decided_at((OPEN, OPENED, GOING, STUCK)) is None
    assert decided_at(NORMAL[2]) is None
    assert (
        decided_at((OPEN, OPENED, CLOSE, OPEN, OPENED, CLOSE)) is None
    )  # an action Seq, which the end closes


def test_an_early_verdict_names_what_is_closed_not_what_is_still_under_way() -> None:
    long = (*[GOING] * 6, ARRIVED)
    cascade = Cascade(
        tree(),
        LocalContext(patterns_of(tree(), [(OPEN, OPENED, CLOSE), (OPEN, OPENED, *long, CLOSE)])),
    )
    keys = (OPEN, OPENED, OPENED, GOING)
    state = cascade.tracker.replay(keys)
    assert state.decided
    verdict = cascade.early(state, keys)
    assert (verdict.level, verdict.seq.start, verdict.seq.end, verdict.event) == ("status", 0, 3, 2)
    assert verdict.score == 1


# -- evidence


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
