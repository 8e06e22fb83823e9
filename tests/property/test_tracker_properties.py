"""Seqs found one event at a time are those of the whole session, whatever the tree, the session and
the cache.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.core.cascade import Cascade
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.tracker import State, Tracker
from fluent_krone.detect.local_context import Automaton, LocalContext
from fluent_krone.types import LEVELS, Level, Seq

steps = st.sampled_from(["none", "none_1", "", "disk", "net", "disk_2"])
rows = st.lists(st.builds(Leaf, st.just("t"), steps, steps, steps), min_size=1, max_size=8)
trees = st.builds(Hierarchy, rows, st.sampled_from(["separate", "merged"]))


@st.composite
def trees_and_sessions(draw: st.DrawFn) -> tuple[Hierarchy, list[list[int]]]:
    tree = draw(trees)
    keys = st.integers(0, tree.unknown)
    return tree, draw(st.lists(st.lists(keys, min_size=1, max_size=25), min_size=1, max_size=6))


def whim(seq: Seq) -> bool:
    """Some Seqs are normal."""
    return sum(seq.pattern) % 3 != 0


def values(state: State) -> tuple[object, ...]:
    return (
        state.events,
        state.entity,
        state.action,
        state.entity_start,
        state.action_start,
        state.odd,
    )


@given(trees_and_sessions())
def test_seqs_seen_as_they_close_are_those_of_decompose(
    case: tuple[Hierarchy, list[list[int]]],
) -> None:
    tree, sessions = case
    for keys in sessions:
        closed: list[Seq] = []

        def note(seq: Seq, closed: list[Seq] = closed) -> bool:
            closed.append(seq)
            return True

        tracker = Tracker(tree, note)
        state, seen = tracker.start, []
        for key in keys:
            assert tracker.closed_by(state, key, seen) == tracker.closed_by(state, key, keys)
            seen.append(key)
            state = tracker.step(state, key, seen)
        assert Counter([*closed, *tracker.closed_by_end(state, keys)]) == Counter(
            tree.decompose(keys)
        )


@given(trees_and_sessions())
def test_seqs_of_a_level_tile_the_session(case: tuple[Hierarchy, list[list[int]]]) -> None:
    tree, sessions = case
    for keys in sessions:
        for level in LEVELS:
            spans = [(seq.start, seq.end) for seq in tree.decompose(keys) if seq.level == level]
            assert [event for start, end in spans for event in range(start, end)] == list(
                range(len(keys))
            )


@given(trees_and_sessions(), st.integers(1, 3))
def test_a_tiny_cache_gives_the_states_of_a_large_one(
    case: tuple[Hierarchy, list[list[int]]], cache_size: int
) -> None:
    tree, sessions = case
    tiny, large = Tracker(tree, whim, cache_size=cache_size), Tracker(tree, whim)
    for keys in sessions * 2:
        assert values(tiny.replay(keys)) == values(large.replay(keys))
    for keys in sessions:  # interleaved with others, one step of each
        state, other = tiny.start, tiny.start
        for at, key in enumerate(keys):
            state = tiny.step(state, key, keys[: at + 1])
            other = tiny.step(other, keys[-1], [keys[-1]] * (at + 1))
        assert values(state) == values(large.replay(keys))


@given(trees_and_sessions(), st.integers(0, 6))
def test_a_verdict_tells_the_first_level_that_is_not_normal(
    case: tuple[Hierarchy, list[list[int]]], trained: int
) -> None:
    tree, sessions = case
    patterns: dict[Level, list[tuple[int, ...]]] = {level: [] for level in LEVELS}
    for keys in sessions[:trained]:
        for seq in tree.decompose(keys):
            patterns[seq.level].append(seq.pattern)
    detector = LocalContext(patterns)
    cascade = Cascade(tree, detector, cache_size=2)
    for number, keys in enumerate(sessions):
        verdict = cascade.at_end(cascade.tracker.replay(keys), keys)
        abnormal = [seq for seq in tree.decompose(keys) if seq.pattern not in patterns[seq.level]]
        assert (verdict is None) == (not abnormal)
        assert verdict is None or number >= trained
        if verdict is not None:
            assert verdict.level == abnormal[0].level
            assert (
                verdict.score
                == max(detector.score(seq)[0] for seq in abnormal if seq.level == verdict.level)
                > 0
            )
            assert verdict.seq in tree.decompose(keys)
            assert verdict.seq.start <= verdict.event < verdict.seq.end


@given(trees_and_sessions(), st.sampled_from(["off", "strict", "reference"]))
def test_no_early_verdict_is_ever_reversed(
    case: tuple[Hierarchy, list[list[int]]], automaton: Automaton
) -> None:
    tree, [normal, *sessions] = case
    seqs = tree.decompose(normal)
    detector = LocalContext(
        {level: [seq.pattern for seq in seqs if seq.level == level] for level in LEVELS}, automaton
    )
    cascade = Cascade(tree, detector, cache_size=2)
    for keys in sessions:
        decided = False
        for end in range(1, len(keys) + 1):
            state = cascade.tracker.replay(keys[:end])
            assert state.decided or not decided
            decided = state.decided
            if decided:
                early = cascade.early(state, keys[:end])
                assert cascade.at_end(state, keys[:end]) is not None
                assert early.seq.end < end or early.level == "entity"
                assert early.seq.start <= early.event < early.seq.end
