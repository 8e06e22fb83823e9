"""Common stretches of two sessions are those that difflib finds."""

from __future__ import annotations

from difflib import SequenceMatcher

from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.core.matching import gaps, likeness, stretches

SESSIONS = st.lists(st.sampled_from([0, 1, 2, 3, 55_296, 65_535]), max_size=40)


@given(SESSIONS, SESSIONS)
def test_stretches_gaps_and_likeness_are_those_of_difflib(one: list[int], other: list[int]) -> None:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    *blocks, _ = matcher.get_matching_blocks()
    opcodes = matcher.get_opcodes()
    assert stretches(one, other) == [tuple(block) for block in blocks]
    assert likeness(one, other) == matcher.ratio()
    assert gaps(one, other) == [tuple(places) for tag, *places in opcodes if tag != "equal"]
