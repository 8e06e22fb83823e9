"""Bursts and silences are found alike however the stream is cut, and whatever is killed."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from store_runs import NOW, delivered_over_kills, found_over_snapshots
from synthetic import CLOSE, OPEN, event, flow_nodes, lift_engine, make_limits

from fluent_krone.types import Finding


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int | None, Any]]:
    """Rides that begin now and then, many at a time or none for long."""
    steps = st.tuples(st.sampled_from([1, 20, 61, 300, 4000, 9 * 86400]), st.integers(1, 12))
    drawn = draw(st.lists(steps, min_size=1, max_size=12))
    found = []
    number = 0
    for at, (_, size) in zip(accumulate(gap for gap, _ in drawn), drawn, strict=True):
        for _ in range(size):
            number += 1
            log_key = draw(st.sampled_from([OPEN, OPEN, CLOSE]))
            found.append(event(f"ride{number}", log_key, at + number / 1000))
    return found


def flows(findings: list[Finding]) -> Counter[str]:
    return Counter(repr(finding) for finding in findings if finding.kind == "flow")


@given(
    stream=streams(),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    lateness=st.sampled_from([0.0, 5.0]),
)
def test_chunks_and_snapshots_change_nothing(
    stream: list[Any], cuts: list[int], lateness: float
) -> None:
    def new() -> Any:
        return lift_engine(flow_nodes=flow_nodes(), allowed_lateness=lateness)

    whole = new()
    expected = flows(whole.feed("app", stream, NOW) + whole.finish())
    assert flows(found_over_snapshots(stream, cuts, new)) == expected


@hypothesis_settings(max_examples=50)
@given(
    stream=streams(),
    cuts=st.lists(st.integers(0, 60), max_size=8),
    kills=st.sets(st.integers(0, 8)),
)
def test_kills_change_nothing(stream: list[Any], cuts: list[int], kills: set[int]) -> None:
    whole = lift_engine(flow_nodes=flow_nodes())
    expected = Counter(map(repr, whole.feed("app", stream, NOW) + whole.finish()))
    found = delivered_over_kills(stream, cuts, kills, limits=make_limits(), flow_nodes=flow_nodes())
    assert found == expected
