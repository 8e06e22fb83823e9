"""Incidents do not depend on how the stream was cut, nor on restarts in between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from synthetic import T0, UNKNOWN, S, event

from fluent_krone.alerts.incidents import Incidents, in_order
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.types import Alert

# Short enough that some incidents end while others go on.
QUIET_S = 90.0
NOW = T0 + 400 * 86400 * S

events = st.builds(
    lambda key, log_key, step: (key, log_key, step),
    st.sampled_from("abcdef"),
    st.integers(0, UNKNOWN),
    st.sampled_from([0, 1, 1, 5, 40, 70]),
)


def records(steps: Sequence[tuple[str, int, int]]) -> list[tuple[int | None, Any]]:
    """Events one after the other, each some seconds after the one before."""
    at_s = 0
    found = []
    for key, log_key, step in steps:
        at_s += step
        found.append(event(key, log_key, at_s))
    return found


def told(
    bundle: Bundle, chunks: Sequence[Sequence[tuple[int | None, Any]]], restarts: bool, each: bool
) -> list[Alert]:
    config = Config(incident_quiet=QUIET_S, novelty_interval=100.0)
    engine = bundle.engine(config)
    maker = AlertMaker(bundle, config)
    incidents = Incidents(QUIET_S, each=each)
    found: list[Alert] = []
    for chunk in chunks:
        for finding in in_order(engine.feed("app", chunk, NOW)):
            found += incidents.join(maker.make(finding), finding.told_ns).events
        found += incidents.advance(engine.time.clock)
        if restarts:
            saved = [incident.saved() for incident in incidents.open.values()]
            incidents = Incidents(QUIET_S, each=each)
            incidents.restore(saved)
    for finding in in_order(engine.finish()):
        found += incidents.join(maker.make(finding), finding.told_ns).events
    return found + incidents.finish()


def ids(alerts: Sequence[Alert]) -> list[tuple[str, Any, Any]]:
    return sorted(
        (one.alert_id, one.record["incident_id"], one.record.get("incident")) for one in alerts
    )


@given(st.lists(events, max_size=40), st.lists(st.integers(0, 40), max_size=6), st.booleans())
def test_incidents_depend_on_the_stream_alone(
    lift: Bundle, steps: list[tuple[str, int, int]], cuts: list[int], restarts: bool
) -> None:
    stream = records(steps)
    bounds = [0, *sorted(cuts), len(stream)]
    chunks = [stream[start:end] for start, end in itertools.pairwise(bounds)]
    for each in (True, False):
        whole = told(lift, [stream], restarts=False, each=each)
        assert ids(told(lift, chunks, restarts, each)) == ids(whole)
