"""Feed, commit and crash in any order: the findings are those of the undisturbed run.

After a crash, what was committed is there, and the rest is sent again.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from store_runs import NOW, Run, as_alert
from synthetic import BROKEN, ROWS, event, lift_engine, make_limits

from fluent_krone.core.engine import Limits
from fluent_krone.runtime.store import Store
from fluent_krone.types import Finding

seconds = st.one_of(st.integers(0, 400), st.sampled_from([None, 1e9]))
events = st.builds(event, st.sampled_from("abcdefg"), st.integers(0, BROKEN), seconds)
chunks = st.lists(st.lists(events, max_size=5), max_size=12)
steps = st.lists(
    st.sampled_from(["commit", "crash", "close", "advance", "confirm", "fail"]), max_size=30
)
session_settings = st.fixed_dictionaries(
    {"idle_timeout": st.sampled_from([5.0, 60.0, 300.0])},
    optional={
        "window": st.sampled_from([7.0, 50.0]),
        "max_age": st.sampled_from([3.0, 20.0]),
        "max_events": st.integers(1, 6),
        "end_templates": st.just((ROWS[5][0],)),
    },
)
limits = st.builds(
    make_limits,
    max_sessions=st.sampled_from([2, 100]),
    novelty_interval=st.sampled_from([0.0, 10.0, 3600.0]),
    change_settle=st.sampled_from([0.0, 5.0, 60.0]),
    keep_lines=st.sampled_from([0, 2, 256]),
)


@hypothesis_settings(max_examples=60)
@given(chunks=chunks, steps=steps, session=session_settings, limits=limits)
def test_no_crash_changes_a_finding(
    chunks: list[list[Any]], steps: list[str], session: dict[str, Any], limits: Limits
) -> None:
    whole = lift_engine(limits=limits, **session)
    expected: list[Finding] = []
    for chunk in chunks:
        expected += whole.feed("app", chunk, NOW)
    expected += whole.finish()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "krone.db", chunks, limits=limits, **session)
        acked = sent = 0  # chunks below `acked` are committed
        for step in [*steps, *["send"] * len(chunks)]:
            if sent < len(chunks):
                run.feed(sent)
                sent += 1
            match step:
                case "commit" | "fail":
                    run.commit(fails=step == "fail")
                    acked = sent
                case "close" | "crash":
                    if step == "close":
                        run.commit()
                        acked = sent
                        run.deliver(confirm=False)  # the crash comes before the receiver's word
                    run.crash()
                    sent = max(acked - 1, 0)  # the last ack was lost too: that chunk comes again
                case "advance":
                    run.fresh += map(as_alert, run.engine.advance(NOW))
                case "confirm":
                    run.deliver()
        while sent < len(chunks):
            run.feed(sent)
            sent += 1
        run.finish()
    # Nothing lost, nothing else; what came more than once came as it was.
    assert set(run.delivered) == {repr(finding) for finding in expected}
    once = Counter(repr(finding) for finding in expected)
    assert all(run.delivered.count(name) >= count for name, count in once.items())


@given(chunks=chunks, cuts=st.sets(st.integers(0, 12)), session=session_settings, limits=limits)
def test_committed_changes_add_up_to_a_snapshot(
    chunks: list[list[Any]], cuts: set[int], session: dict[str, Any], limits: Limits
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, engine = Store(Path(folder) / "krone.db"), lift_engine(limits=limits, **session)
        engine.track()
        for number, chunk in enumerate(chunks):
            engine.feed("app", chunk, NOW)
            if number in cuts:
                store.commit(engine.changes(store.pack), [], [], 0)
        store.commit(engine.changes(store.pack), [], [], 0)
        again = lift_engine(limits=limits, **session)
        again.restore(store.load() or {})
        store.close()
    assert again.snapshot() == engine.snapshot()
