"""However a stream is cut into chunks, and whenever idle sessions are collected, the findings are
the same.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from synthetic import BROKEN, ROWS, T0, S, event, flow_nodes, lift_engine, make_limits, step_judge

from fluent_krone.core.engine import Engine, Limits
from fluent_krone.types import Finding

DAY = 86400
NOW = T0 + 400 * DAY * S

names = st.sampled_from("abcdefg")
log_keys = st.integers(0, BROKEN)
# Mostly near each other, some without time, in 2099, or a leap ahead.
seconds = st.one_of(
    st.integers(0, 30),
    st.integers(0, 200),
    st.floats(0, 50, allow_nan=False).map(lambda s: round(s, 3)),
    st.sampled_from([None, None, 2_370_000_000, 31 * DAY, 31 * DAY + 1, 70 * DAY]),
)
bad_records = st.sampled_from([b"no map", {b"ride": b"a"}, {b"message": b"x"}, {}]).map(
    lambda record: (T0, record)
)
streams = st.lists(st.one_of(st.builds(event, names, log_keys, seconds), bad_records), max_size=60)
jumps = st.builds(
    lambda before, jump, after: before + [event("a", 0, 40 * DAY + i) for i in range(jump)] + after,
    streams,
    st.integers(10, 20),
    streams,
)
settings = st.fixed_dictionaries(
    {"idle_timeout": st.sampled_from([5.0, 60.0, 300.0])},
    optional={
        "window": st.sampled_from([0.0, 7.0, 50.0]),
        "max_age": st.sampled_from([0.0, 3.0, 20.0]),
        "max_events": st.integers(1, 6),
        "end_templates": st.sampled_from([(), (ROWS[5][0],)]),
        "flow_nodes": st.just(flow_nodes()),
        "steps": st.sampled_from([step_judge(), step_judge(silence_s=3), step_judge(60)]),
    },
)
limits = st.builds(
    make_limits,
    max_sessions=st.sampled_from([1, 2, 3, 100]),
    novelty_interval=st.sampled_from([0.0, 10.0, 3600.0]),
    idle_clock=st.sampled_from(["stream", "wall"]),
    cache_size=st.sampled_from([1, 1000]),
    keep_lines=st.sampled_from([0, 2, 256]),
)
# Where changes are looked for, what is not known yet waits, and sessions are held.
changing = st.builds(
    lambda limits, settle: dataclasses.replace(limits, change_settle=settle),
    limits,
    st.sampled_from([0.0, 5.0, 60.0]),
)


def outcome(engine: Engine, findings: list[Finding]) -> tuple[Any, ...]:
    return (
        Counter(map(repr, findings)),
        engine.counters,
        engine.set_aside,
        engine.sessions.over_cap,
        engine.settling.changes.counters,
    )


@given(
    stream=st.one_of(streams, jumps),
    cuts=st.lists(st.integers(0, 140), max_size=8),
    advances=st.sets(st.integers(0, 8)),
    session=settings,
    limits=changing,
)
def test_chunking_changes_nothing(
    stream: list[Any], cuts: list[int], advances: set[int], session: dict[str, Any], limits: Limits
) -> None:
    whole = lift_engine(limits=limits, **session)
    expected = outcome(whole, whole.feed("app", stream, NOW) + whole.finish())
    engine = lift_engine(limits=limits, **session)
    findings: list[Finding] = []
    edges = [0, *sorted(cuts), len(stream)]
    for number, (start, end) in enumerate(pairwise(edges)):
        findings += engine.feed("app", stream[start:end], NOW)
        if number in advances:
            findings += engine.advance(NOW)
    findings += engine.finish()
    assert outcome(engine, findings) == expected


@given(stream=streams, session=settings, limits=limits)
def test_every_event_is_of_one_instance_and_no_instance_outgrows_its_caps(
    stream: list[Any], session: dict[str, Any], limits: Limits
) -> None:
    engine = lift_engine(limits=limits, **session)
    lengths: list[int] = []
    engine.on_close.append(lambda ended: lengths.append(len(ended.keys)))
    engine.feed("app", stream, NOW)
    assert len(engine.sessions.open) <= limits.max_sessions
    engine.finish()
    assert sum(lengths) == engine.counters["events"] == len(stream) - engine.set_aside.total()
    assert max(lengths, default=0) <= session.get("max_events", 10_000)


@given(stream=st.one_of(streams, jumps), at=st.integers(0, 80), session=settings, limits=changing)
def test_snapshot_and_restore_anywhere_change_nothing(
    stream: list[Any], at: int, session: dict[str, Any], limits: Limits
) -> None:
    whole = lift_engine(limits=limits, **session)
    expected = [
        whole.feed("app", stream[:at], NOW),
        whole.feed("app", stream[at:], NOW),
        whole.finish(),
    ]
    first = lift_engine(limits=limits, **session)
    findings = [first.feed("app", stream[:at], NOW)]
    saved = msgpack.packb(first.snapshot())
    second = lift_engine(limits=limits, **session)
    second.restore(msgpack.unpackb(saved, strict_map_key=False))
    assert msgpack.packb(second.snapshot()) == saved
    findings += [second.feed("app", stream[at:], NOW), second.finish()]
    assert findings == expected
