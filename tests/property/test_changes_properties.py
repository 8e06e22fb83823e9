"""A deploy, however the stream is cut, and wherever it is saved and goes on: the same findings."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st
from synthetic import (
    ARRIVED,
    BROKEN,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    STANDS_OPEN,
    STUCK,
    T0,
    WEIGHED,
    Counts,
    S,
    lift_engine,
    make_limits,
    ride,
    step_judge,
)

from fluent_krone.core.engine import Engine
from fluent_krone.runtime.store import Store
from fluent_krone.types import Finding

NOW = T0 + 1_000_000 * S
# A ride of the new version, and rides of both, good ones and bad ones.
DEPLOYED = (OPEN, STANDS_OPEN, GOING, WEIGHED, ARRIVED, CLOSE)
COURSES = (
    *NORMAL,
    DEPLOYED,
    (OPEN, STANDS_OPEN, CLOSE),
    (OPEN, STANDS_OPEN, GOING, GOING, WEIGHED, ARRIVED, CLOSE),
    (OPEN, GOING, WEIGHED, ARRIVED, CLOSE),
    (OPEN, STANDS_OPEN, GOING, WEIGHED, STUCK, CLOSE),
    (OPEN, OPENED, BROKEN, CLOSE),
    (WEIGHED,),
    (WEIGHED, OPEN, OPENED, CLOSE, STANDS_OPEN),
)
rides = st.lists(st.tuples(st.sampled_from(COURSES), st.integers(0, 12)), min_size=5, max_size=40)
settings = st.fixed_dictionaries(
    {
        "idle_timeout": st.sampled_from([8.0, 30.0]),
        "nested": st.sampled_from([None, Counts(0), Counts(1)]),
    },
    optional={"steps": st.just(step_judge()), "allowed_lateness": st.just(3.0)},
)
settles = st.sampled_from([10.0, 25.0, 100.0])


def stream(drawn: list[tuple[tuple[int, ...], int]]) -> list[Any]:
    """The events of the rides in the order of their times; each begins so long after the last."""
    events = []
    at_s = 0
    for number, (keys, pause) in enumerate(drawn):
        at_s += pause
        events += ride(f"r{number}", keys, at_s)
    return sorted(events, key=lambda event: event[0])


def engine_of(settle: float, session: dict[str, Any]) -> Engine:
    return lift_engine(limits=make_limits(change_settle=settle), **session)


def outcome(engine: Engine, findings: list[Finding]) -> tuple[Any, ...]:
    return Counter(map(repr, findings)), engine.counters, engine.settling.changes.counters


@given(
    drawn=rides, cuts=st.lists(st.integers(0, 200), max_size=12), settle=settles, session=settings
)
def test_chunking_changes_nothing_of_a_change(
    drawn: list[Any], cuts: list[int], settle: float, session: dict[str, Any]
) -> None:
    events = stream(drawn)
    whole = engine_of(settle, session)
    expected = outcome(whole, whole.feed("app", events, NOW) + whole.finish())
    engine = engine_of(settle, session)
    findings: list[Finding] = []
    for start, end in pairwise([0, *sorted(cuts), len(events)]):
        findings += engine.feed("app", events[start:end], NOW)
    findings += engine.finish()
    assert outcome(engine, findings) == expected


# Wrong before: a second session with a new step lets it wait longer, and the time at which it is
# given up was not worked out anew.
@example(
    drawn=[(DEPLOYED, 0), ((WEIGHED,), 0), *((DEPLOYED, pause) for pause in (3, 9, 12))],
    at=5,
    settle=25.0,
    session={"idle_timeout": 8.0, "nested": None},
)
@given(drawn=rides, at=st.integers(0, 150), settle=settles, session=settings)
def test_a_snapshot_anywhere_changes_nothing_of_a_change(
    drawn: list[Any], at: int, settle: float, session: dict[str, Any]
) -> None:
    events = stream(drawn)
    whole = engine_of(settle, session)
    expected = whole.feed("app", events[:at], NOW) + whole.feed("app", events[at:], NOW)
    expected += whole.finish()
    first = engine_of(settle, session)
    findings = first.feed("app", events[:at], NOW)
    second = engine_of(settle, session)
    saved = msgpack.unpackb(msgpack.packb(first.snapshot()), strict_map_key=False)
    second.restore(saved)
    findings += second.feed("app", events[at:], NOW) + second.finish()
    assert findings == expected


@given(drawn=rides, cuts=st.lists(st.integers(0, 200), max_size=8), settle=settles)
def test_commits_add_up_to_what_is_known_of_a_change(
    drawn: list[Any], cuts: list[int], settle: float
) -> None:
    events = stream(drawn)
    session = {"nested": Counts(0), "idle_timeout": 8.0}
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "krone.db")
        engine = engine_of(settle, session)
        engine.track()
        for start, end in pairwise([0, *sorted(cuts), len(events)]):
            engine.feed("app", events[start:end], NOW)
            store.commit(engine.changes(store.pack), [], [], 0)
        again = engine_of(settle, session)
        again.restore(store.load() or {})
        store.close()
    assert again.snapshot() == engine.snapshot()


@given(drawn=rides, settle=settles)
def test_every_session_with_a_new_error_is_told(drawn: list[Any], settle: float) -> None:
    engine = engine_of(settle, {"nested": Counts(0)})
    findings = engine.feed("app", stream(drawn), NOW) + engine.finish()
    told = {finding.session[0] for finding in findings if finding.kind == "sequence"}
    broken = {f"r{n}".encode() for n, (keys, _) in enumerate(drawn) if BROKEN in keys}
    assert broken <= told
    texts = [one.text for finding in findings if finding.change for one in finding.change.templates]
    assert not any("failed" in text for text in texts)
