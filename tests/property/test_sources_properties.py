"""One host whose clock is wrong does not move the time of a stream that others write as well."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from synthetic import GOING, T0, S, event, lift_engine

from fluent_krone.core.engine import Engine

HOSTS = [f"host{number}" for number in range(5)]
# Rides are 60 s idle at most: a leap by any of these would cut all of them.
AHEAD_S = [90, 600, 3500]
# A replay is long after; what is live comes a tenth of a second after it was written.
LONG_AFTER = 30 * 86400 * S

Events = list[tuple[int, dict[bytes, Any]]]


def on_host(host: str, ride: str, at_s: float) -> tuple[int, dict[bytes, Any]]:
    time_ns, record = event(ride, GOING, at_s)
    assert time_ns is not None
    return time_ns, {**record, b"host": host.encode()}


def traffic(seed: int, ahead_s: float, share: float, seconds: int) -> tuple[Events, list[float]]:
    """Events of five hosts, and when each was written; the first host is ahead after a while.

    `share` of the lines are its own. Every host writes a line of its ride in each 20 seconds.
    """
    made = random.Random(seed)
    events: Events = []
    written: list[float] = []
    for tick in range(seconds * 10):
        at_s = tick / 10
        host = HOSTS[0] if made.random() < share else made.choice(HOSTS[1:])
        if tick % 40 == 0:
            host = HOSTS[tick // 40 % len(HOSTS)]
        wrong = ahead_s if host == HOSTS[0] and tick > 100 else 0
        events.append(on_host(host, f"ride-{host}", at_s + wrong))
        written.append(at_s)
    return events, written


def instances(engine: Engine, events: Events, written: list[float], live: bool) -> Counter[str]:
    """How many instances each ride has."""
    found: Counter[str] = Counter()
    engine.on_close.append(lambda session: found.update([session.key[0].decode()]))
    for one, at_s in zip(events, written, strict=True):
        now = T0 + round((at_s + 0.1) * S)
        if not live:
            now += LONG_AFTER
        engine.feed("app", [one], now)
    engine.finish()
    return found


@given(st.integers(0, 2**32), st.sampled_from(AHEAD_S), st.floats(0.5, 0.97), st.booleans())
@example(seed=0, ahead_s=90, share=0.97, live=True)
@example(seed=0, ahead_s=3500, share=0.97, live=False)
def test_one_host_of_five_that_is_ahead_cuts_no_session_of_the_others(
    seed: int, ahead_s: float, share: float, live: bool
) -> None:
    events, written = traffic(seed, ahead_s, share, seconds=150)
    found = instances(lift_engine(), events, written, live)
    assert {ride: found[ride] for ride in (f"ride-{host}" for host in HOSTS[1:])} == {
        f"ride-{host}": 1 for host in HOSTS[1:]
    }


@given(st.integers(0, 2**32), st.sampled_from([1000, 7200]), st.integers(16, 60))
def test_a_pause_of_all_hosts_ends_all_sessions(seed: int, pause_s: int, chunk: int) -> None:
    """Afterwards each host's lines come in chunks of their own: the first one has to wait."""
    made = random.Random(seed)
    before = [on_host(host, f"ride-{host}", i / 10) for i, host in enumerate(HOSTS * 8)]
    order = made.sample(HOSTS, len(HOSTS))
    after = [
        on_host(host, f"ride-{host}", pause_s + line / 10)
        for host in order
        for line in range(chunk)
    ]
    events = [*before, *after]
    found = instances(lift_engine(), events, [0.0] * len(events), live=False)
    assert found == {f"ride-{host}": 2 for host in HOSTS}


@given(st.integers(2, 5))
def test_the_last_host_that_still_writes_is_followed_in_the_end(hosts: int) -> None:
    """All others are gone: after ten minutes of its own time it is believed."""
    before = [on_host(host, f"ride-{host}", i / 10) for i, host in enumerate(HOSTS[:hosts] * 8)]
    alone = [on_host(HOSTS[0], f"ride-{HOSTS[0]}", 3600 + 4 * line) for line in range(170)]
    engine = lift_engine()
    engine.feed("app", [*before, *alone], T0 + LONG_AFTER)
    assert engine.watermark == alone[-1][0]
    assert len(engine.sessions.open) == 1


def test_without_hosts_a_run_of_events_is_believed() -> None:
    """Nothing tells sources apart, so there is one."""
    engine = lift_engine()
    before = [event("ride", GOING, i / 10) for i in range(40)]
    after = [event("ride", GOING, 1000 + i / 10) for i in range(16)]
    engine.feed("app", [*before, *after], T0 + LONG_AFTER)
    assert engine.watermark == T0 + round(1001.5 * S)
