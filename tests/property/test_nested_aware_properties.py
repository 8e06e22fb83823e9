"""The Nested-Aware detector, trained, exported and run as in a bundle, on whatever a session may
hold.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import NORMAL, ROWS, tree

from export.to_onnx import nested_files, to_onnx
from export.train import DensityModel, fit_density
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.detect.nested_aware import NestedAware, NestedFiles, nested_counts, sparse_vector

STRANGERS = 500
HIERARCHY = Hierarchy(
    [
        *(Leaf(*row[:4]) for row in ROWS),
        *(Leaf(f"new {i}", f"thing {i}", "none", "none") for i in range(STRANGERS)),
    ]
)
THRESHOLD = 9.0
# As in the cascade: an early verdict needs the bound this far above the threshold.
MARGIN = 1e-3


@cache
def model() -> DensityModel:
    return fit_density(
        [NORMAL[0]] * 200 + [NORMAL[1]] * 90 + [NORMAL[2]] * 9 + [NORMAL[3]], HIERARCHY
    )


def files() -> NestedFiles:
    return nested_files(model(), to_onnx(model()), THRESHOLD, (8.0, 10.0))


@cache
def detector() -> NestedAware:
    return NestedAware(HIERARCHY, files())


log_keys = st.integers(0, len(ROWS) + STRANGERS)
sessions = st.one_of(
    st.lists(log_keys, max_size=60).map(tuple),
    st.lists(st.integers(0, len(ROWS) - 1), max_size=400).map(tuple),
    st.sampled_from(NORMAL),
)


@given(sessions)
def test_onnx_says_what_was_trained(keys: tuple[int, ...]) -> None:
    density = detector().density(keys)
    assert density.score == pytest.approx(model().score(keys), rel=1e-5, abs=1e-3)
    assert density.bound == pytest.approx(model().bound(keys), rel=1e-5, abs=1e-3)


@given(sessions, sessions)
def test_no_continuation_scores_below_the_bound(
    prefix: tuple[int, ...], rest: tuple[int, ...]
) -> None:
    bound = model().bound(prefix)
    assert bound <= model().score(prefix) + 1e-9 * (1 + abs(bound))
    assert bound <= model().score(prefix + rest) + 1e-6 * (1 + abs(bound))
    rounded = detector().density(prefix).bound
    assert rounded <= detector().density(prefix + rest).score + MARGIN * (1 + abs(rounded))


@given(sessions, sessions)
def test_the_bound_never_falls(prefix: tuple[int, ...], rest: tuple[int, ...]) -> None:
    bound = model().bound(prefix)
    assert bound <= model().bound(prefix + rest) + 1e-6 * (1 + abs(bound))


@given(sessions)
def test_scores_are_finite_and_above_the_likeliest_session(keys: tuple[int, ...]) -> None:
    density = detector().density(keys)
    assert math.isfinite(density.score)
    assert density.score >= density.bound - MARGIN >= -2 * MARGIN
    assert len(density.nearest) == len(NORMAL)


@given(sessions, st.randoms(use_true_random=False))
def test_equal_counts_are_equal_sessions(keys: tuple[int, ...], random: Any) -> None:
    """Entities and actions of their own: no order changes a run."""
    strangers = [key for key in dict.fromkeys(keys) if len(ROWS) <= key < len(ROWS) + STRANGERS]
    shuffled = list(strangers)
    random.shuffle(shuffled)
    assert model().score(shuffled) == model().score(strangers)
    assert detector().density(shuffled) == detector().density(strangers)


@given(sessions)
def test_another_detector_of_the_same_bytes_agrees(keys: tuple[int, ...]) -> None:
    other = NestedAware(HIERARCHY, files(), cache_bytes=1)
    assert other.density(keys) == detector().density(keys)


def test_five_hundred_distinct_unseen_templates_are_far_out() -> None:
    worst = range(len(ROWS), len(ROWS) + STRANGERS)
    density = detector().density(worst)
    assert math.isfinite(density.score)
    assert density.score > 100 * THRESHOLD
    assert density.bound > 100 * THRESHOLD
    assert detector().is_abnormal(density.score)


def test_an_absurdly_long_session_is_far_out_too() -> None:
    for keys in ([0] * 10_000, list(range(len(ROWS) + STRANGERS + 1)) * 40):
        density = detector().density(keys)
        assert math.isfinite(density.score)
        assert detector().is_abnormal(density.score)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_what_is_no_number_is_never_normal(score: float) -> None:
    assert detector().is_abnormal(score)


@given(st.lists(st.integers(0, len(ROWS) + STRANGERS), min_size=1), st.integers(1, 400))
def test_counts_of_long_sessions_are_those_of_short_ones(keys: list[int], times: int) -> None:
    """Long sessions are counted in another way. Every round but the first adds the same."""
    keys = [*keys, *keys]
    rounds = [nested_counts(keys * number, HIERARCHY) for number in (1, 2, times)]
    assert rounds[2] == {
        feature: count + (times - 1) * (rounds[1][feature] - count)
        for feature, count in rounds[0].items()
    }


def test_unseen_counts_stay_in_range() -> None:
    """A raw count of unseen features overflowed float32, and the worst session passed as NaN."""
    counts = nested_counts([tree().unknown] * 1_000_000, tree())
    _, values = sparse_vector(counts, {})
    assert values.dtype == np.float32
    assert 10 < values[0] < 30
