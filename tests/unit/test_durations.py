"""Durations of Seqs: which are measured, and from where on they are too long."""

from __future__ import annotations

import json

import pytest
from synthetic import ARRIVED, CLOSE, GOING, NORMAL, OPEN, OPENED, S, tree

from fluent_krone.detect.durations import (
    Durations,
    durations_from_json,
    durations_to_json,
    measure_durations,
)

RIDE = (OPEN, OPENED, GOING, GOING, GOING, ARRIVED, CLOSE)


def durations() -> Durations:
    """Three floors in some ten seconds; the gaps differ, and their sum hardly does."""
    gaps = [
        (S, S, (3 + i % 3) * S, (3 + (i + 1) % 3) * S, (3 + (i + 2) % 3) * S, S) for i in range(90)
    ]
    return measure_durations([(RIDE, of_one) for of_one in gaps], tree())


def test_the_seqs_of_three_events_and_more_are_measured_once_each() -> None:
    spans = durations().spans(RIDE)
    assert [(s.level, s.start, s.end) for s in spans] == [("status", 2, 6), ("entity", 0, 7)]
    assert not durations().spans((OPEN, OPENED))


def test_a_seq_is_too_long_though_each_of_its_gaps_is_usual() -> None:
    known = durations()
    span = known.spans(RIDE)[0]
    assert span.score(12 * S) == 0
    start, end, longest_ns = known.limits(RIDE, 6.0)[0]
    assert (start, end) == (span.start, span.end)
    assert longest_ns > 12 * S
    assert span.score(longest_ns + S) > 6.0 >= span.score(longest_ns - S)
    assert durations().worst([span], (S, S, 60 * S, 60 * S, 60 * S, S)) == span.score(180 * S)


def test_a_rare_pattern_is_compared_with_its_node() -> None:
    rare = (OPEN, OPENED, *[GOING] * 9, ARRIVED, CLOSE)
    assert ("status", 2, 12) in [(s.level, s.start, s.end) for s in durations().spans(rare)]


def test_sessions_without_times_teach_nothing() -> None:
    assert not measure_durations([(keys, ()) for keys in NORMAL * 50], tree()).ranges


def test_durations_survive_json() -> None:
    back = durations_from_json(json.loads(json.dumps(durations_to_json(durations()))), tree())
    assert [s.start for s in back.spans(RIDE)] == [s.start for s in durations().spans(RIDE)]
    assert back.limits(RIDE, 6.0)[0] == pytest.approx(durations().limits(RIDE, 6.0)[0], rel=1e-3)
    assert not durations_from_json(None, tree()).ranges
    with pytest.raises(ValueError, match="level 'stream'"):
        durations_from_json([["stream", [1], 1, 1, 1, 1, 1, 1, 1, 1]], tree())
