"""Which stretches two sessions have in common, for the page that shows them side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.core.matching import alike_runs

sessions = st.lists(st.integers(0, 3), max_size=30)


@pytest.mark.parametrize(
    ("session", "nearest", "expected"),
    [
        ([], [], []),
        ([1], [], []),
        ([1, 2], [1, 2], [[0, 0, 2]]),
        ([0, 1, 2, 4], [0, 1, 2, 3, 5], [[0, 0, 3]]),
        ([0, 9, 2], [0, 2], [[0, 0, 1], [2, 1, 1]]),
        # One round of three too many: all else is alike, and not one round beside.
        ([0, 1, 0, 1, 0, 1, 2], [0, 1, 0, 1, 2], [[0, 0, 4], [6, 4, 1]]),
    ],
)
def test_alike_runs(session: list[int], nearest: list[int], expected: list[list[int]]) -> None:
    assert alike_runs(session, nearest) == expected


@given(sessions, sessions)
def test_runs_are_alike_in_order_and_do_not_overlap(session: list[int], nearest: list[int]) -> None:
    i = j = 0
    for at, beside, count in alike_runs(session, nearest):
        assert at >= i and beside >= j and count > 0
        assert session[at : at + count] == nearest[beside : beside + count]
        i = at + count
        j = beside + count
    assert i <= len(session) and j <= len(nearest)
