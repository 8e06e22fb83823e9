"""Local-Context: what is normal at each level, and how far off the rest is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from fluent_krone.detect.local_context import Automaton, LocalContext
from fluent_krone.types import Level, Seq

Pattern = tuple[int, ...]


def detector(automaton: Automaton = "off", **patterns: Iterable[Pattern]) -> LocalContext:
    whole: Mapping[Level, Iterable[Pattern]] = {
        "status": [],
        "action": [],
        "entity": [],
        **patterns,
    }  # type: ignore[dict-item]
    return LocalContext(whole, automaton)


def seq(level: Level, *pattern: int) -> Seq:
    return Seq(level, 0, len(pattern), pattern)


def test_normal_is_what_training_had_at_that_level() -> None:
    status_only = detector(status=[(0, 1)])
    assert status_only.is_normal(seq("status", 0, 1))
    assert not status_only.is_normal(seq("action", 0, 1))
    assert not status_only.is_normal(seq("status", 0, 1, 1))


@pytest.mark.parametrize(
    ("pattern", "strict", "reference"),
    [
        ((0, 1, 2), True, True),  # seen whole
        ((0, 1, 0, 1), True, True),  # walks over seen pairs only
        ((0, 1, 3), False, True),  # an unseen tail
        ((0, 3, 0, 1), False, False),  # unseen pairs, then a seen one
        ((3,), True, True),  # one node has no pairs
        ((3, 4), False, True),
        ((3, 4, 5), False, True),  # no seen pair at all
        ((3, 0, 1, 4), False, False),
    ],
)
def test_automaton_adjustment(pattern: Pattern, strict: bool, reference: bool) -> None:
    seen = [(0, 1, 2), (1, 0)]
    for level in ("action", "entity"):
        assert detector("strict", **{level: seen}).is_normal(seq(level, *pattern)) is strict  # type: ignore[arg-type]
        assert detector("reference", **{level: seen}).is_normal(seq(level, *pattern)) is reference  # type: ignore[arg-type]
        assert detector("off", **{level: seen}).is_normal(seq(level, *pattern)) is (pattern in seen)  # type: ignore[arg-type]


def test_the_automaton_leaves_the_status_level_alone() -> None:
    for automaton in ("strict", "reference"):
        assert not detector(automaton, status=[(0, 1), (1, 0)]).is_normal(seq("status", 0, 1, 0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "score", "nearest"),
    [
        ((1, 2), 0.0, (1, 2)),
        ((1, 2, 9), 1.0, (1, 2)),
        ((1,), 1.0, (1, 2)),
        ((5, 5, 6), 1.0, (5, 5)),
        ((2, 1), 2.0, (1, 2)),
    ],
)
def test_score_is_the_edit_distance_to_the_nearest_pattern(
    pattern: Pattern, score: float, nearest: Pattern
) -> None:
    assert detector(status=[(1, 2), (5, 5)]).score(seq("status", *pattern)) == (score, nearest)


def test_with_no_pattern_at_all_everything_is_as_far_as_it_is_long() -> None:
    assert detector().score(seq("status", 1, 2)) == (2.0, ())


def test_what_is_not_normal_scores_above_the_threshold_however_late_it_differs() -> None:
    long = tuple(range(150))
    near = detector(status=[long])
    for other in ((*long[:-1], 999), (*long, 999), (999, *long)):
        assert near.score(seq("status", *other))[0] > near.threshold
    assert near.score(seq("status", *long))[0] == 0


def test_known_nodes() -> None:
    known = detector(status=[(1, 2)])
    assert known.is_known("status", 1)
    assert not known.is_known("status", 3)
    assert not known.is_known("action", 1)
