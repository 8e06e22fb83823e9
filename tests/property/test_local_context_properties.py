"""Local-Context against its rules read aloud."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.detect.local_context import Automaton, LocalContext
from fluent_krone.types import LEVELS, Level, Seq

patterns = st.lists(st.integers(0, 4), min_size=1, max_size=6).map(tuple)
pattern_sets = st.fixed_dictionaries({level: st.lists(patterns, max_size=5) for level in LEVELS})
Patterns = dict[Level, list[tuple[int, ...]]]


def is_normal(automaton: Automaton, seen: Patterns, level: Level, pattern: tuple[int, ...]) -> bool:
    if pattern in seen[level]:
        return True
    if automaton == "off" or level == "status":
        return False
    known_pairs = [pair for p in seen[level] for pair in pairwise(p)]
    pairs = list(pairwise(pattern))
    for i, pair in enumerate(pairs):
        seen_pair_follows = any(later in known_pairs for later in pairs[i + 1 :])
        if pair not in known_pairs and (automaton == "strict" or seen_pair_follows):
            return False
    return True


@given(
    pattern_sets, patterns, st.sampled_from(LEVELS), st.sampled_from(["off", "strict", "reference"])
)
def test_normal_is_what_the_rules_say(
    seen: Patterns, pattern: tuple[int, ...], level: Level, automaton: Automaton
) -> None:
    detector = LocalContext(seen, automaton)
    assert detector.is_normal(Seq(level, 0, len(pattern), pattern)) is is_normal(
        automaton, seen, level, pattern
    )


@given(pattern_sets, patterns, st.sampled_from(LEVELS))
def test_a_score_is_zero_for_what_was_seen_and_above_it_for_all_else(
    seen: Patterns, pattern: tuple[int, ...], level: Level
) -> None:
    detector = LocalContext(seen)
    score, nearest = detector.score(Seq(level, 0, len(pattern), pattern))
    assert (score == 0) == (pattern in seen[level])
    assert nearest in seen[level] or (not seen[level] and nearest == ())
    assert score <= max(len(pattern), len(nearest))
