"""Sessions that hang are found alike however the stream is cut, whatever is killed in between."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from store_runs import NOW, delivered_over_kills, found_over_snapshots
from synthetic import CLOSE, NORMAL, event, lift_engine, make_limits, step_judge

from fluent_krone.types import Finding


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[int | None, Any]]:
    """Rides that go on step by step, some slowly, some never again; a few records come late."""
    courses = {name: draw(st.sampled_from(NORMAL)) for name in "abcdef"}
    done = dict.fromkeys(courses, 0)
    found = []
    gaps = st.sampled_from([0.2, 0.5, 1, 1, 2, 4, 9, 30, 100])
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=5, max_size=40))
    for name, at in zip(names, accumulate(draw(gaps) for _ in names), strict=True):
        late = draw(st.sampled_from([0, 0, 0, 0, 0.3, 3, 20]))
        course = courses[name]
        found.append(event(name, course[done[name] % len(course)], at - late))
        done[name] += 1
    return found


settings = st.fixed_dictionaries(
    {
        "idle_timeout": st.sampled_from([20.0, 300.0]),
        "steps": st.sampled_from([step_judge(silence_s=5), step_judge(silence_s=600)]),
    },
    optional={
        "max_age": st.sampled_from([15.0, 60.0]),
        "end_templates": st.just(("gate: close door <num>",)),
    },
)


def stuck(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if any(d.direction == "stuck" for d in f.deviations)]


def outcome(findings: list[Finding]) -> Counter[str]:
    return Counter(map(repr, findings))


@hypothesis_settings(max_examples=60)
@given(stream=streams(), cuts=st.lists(st.integers(0, 40), max_size=8), session=settings)
def test_chunks_and_snapshots_change_nothing(
    stream: list[Any], cuts: list[int], session: dict[str, Any]
) -> None:
    whole = lift_engine(**session)
    expected = outcome(whole.feed("app", stream, NOW) + whole.finish())
    found = found_over_snapshots(stream, cuts, lambda: lift_engine(**session))
    assert outcome(found) == expected


@hypothesis_settings(max_examples=60)
@given(
    stream=streams(),
    cuts=st.lists(st.integers(0, 40), max_size=8),
    kills=st.sets(st.integers(0, 8)),
    session=settings,
)
def test_kills_change_nothing(
    stream: list[Any], cuts: list[int], kills: set[int], session: dict[str, Any]
) -> None:
    whole = lift_engine(**session)
    expected = outcome(whole.feed("app", stream, NOW) + whole.finish())
    found = delivered_over_kills(stream, cuts, kills, limits=make_limits(), **session)
    assert found == expected


@given(stream=streams(), session=settings)
def test_no_session_is_told_twice_that_it_hangs_at_a_step(
    stream: list[Any], session: dict[str, Any]
) -> None:
    engine = lift_engine(**session)
    found = stuck(engine.feed("app", stream, NOW) + engine.finish())
    told = Counter((f.session, f.instance, f.deviations[0].log_key) for f in found)
    assert all(times == 1 for times in told.values())


@given(stream=streams(), session=settings)
def test_a_session_that_may_end_where_it_is_never_hangs(
    stream: list[Any], session: dict[str, Any]
) -> None:
    engine = lift_engine(**session)
    for finding in stuck(engine.feed("app", stream, NOW) + engine.finish()):
        assert finding.log_keys[-1] != CLOSE
        assert finding.decided == "early"
