"""The short form of `bench/fuzz.py`: each target against random bytes, random msgpack, and valid
inputs with damage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from fuzz.targets import TARGETS, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.sampled_from(seeds())
KEYS = st.sampled_from(["message", "ride", "time", "component", "a", "b", "m", "n"]) | st.binary(
    max_size=4
)
SCALARS = (
    *(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=20),
    ),
    *(
        st.binary(max_size=20),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=9)),
    ),
)
VALUES = st.recursive(
    st.one_of(*SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TIMES = (
    st.integers(-(2**40), 2**40)
    | st.builds(msgpack.ExtType, st.just(0), st.binary(min_size=8, max_size=8))
    | VALUES
)
EVENTS = st.lists(st.tuples(TIMES, st.dictionaries(KEYS, VALUES, max_size=4) | VALUES), max_size=5)
PACKED = EVENTS.map(lambda events: b"".join(map(msgpack.packb, events)))
FRAMES = st.builds(
    lambda events, rest: msgpack.packb(["app", events, *rest]), EVENTS, st.lists(VALUES, max_size=2)
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid input with some of its bytes cut out, put in, or turned into others."""
    data = draw(SEEDS | PACKED | FRAMES)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        data = data[:start] + draw(st.binary(max_size=8) | SEEDS) + data[end:]
    return data


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300) | PACKED | FRAMES | damaged())
def test_no_bytes_break_it(target: Callable[[bytes], None], data: bytes) -> Any:
    target(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_valid_inputs_pass(target: Callable[[bytes], None]) -> None:
    for seed in seeds():
        target(seed)
