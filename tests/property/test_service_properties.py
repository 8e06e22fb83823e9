"""Chunks in any order, repeated, one by one or at once: each is fed once, and acked each time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import NORMAL, OPEN, STUCK, T0, S, ride

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.runtime.service import Service
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert

RIDES = [NORMAL[1], (OPEN, STUCK), NORMAL[0], (STUCK,), (OPEN, OPEN)]  # the ride of each chunk id


class Receiver:
    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self.alerts += alerts

    async def close(self) -> None: ...


def chunk(number: int) -> Chunk:
    entries = [
        [(time_ns or 0) // S, record] for time_ns, record in ride(str(number), RIDES[number])
    ]
    return Chunk("app", entries, f"id {number}")


async def serve(
    bundle: Bundle, rounds: list[list[int]], config: Config
) -> tuple[Counter[int], Service, Receiver]:
    """Hand each round's chunks over at once, round after round."""
    receiver, acks = Receiver(), Counter[int]()
    service = Service(
        bundle.engine(config),
        AlertMaker(bundle, config),
        receiver,
        config,
        clock_ns=lambda: T0 + 100 * S,
    )
    await service.start()

    async def hand_over(number: int) -> None:
        await service.take(chunk(number), lambda: acks.update([number]))

    for chunks in rounds:
        await asyncio.gather(*map(hand_over, chunks))
    await service.flush()
    await service.close()
    return acks, service, receiver


@settings(deadline=None)
@given(
    rounds=st.lists(st.lists(st.integers(0, len(RIDES) - 1), max_size=4), max_size=8),
    commit_records=st.integers(1, 10),
    slice_size=st.integers(1, 4),
)
def test_each_hand_over_is_acked_once_and_each_chunk_fed_once(
    lift: Bundle, rounds: list[list[int]], commit_records: int, slice_size: int
) -> None:
    config = Config(commit_interval=3600.0, commit_records=commit_records, alerts="session")
    with patch("fluent_krone.runtime.intake._SLICE", slice_size):
        acks, service, receiver = asyncio.run(serve(lift, rounds, config))
    handed = Counter(number for chunks in rounds for number in chunks)
    assert acks == handed
    stats = service.stats()
    assert stats.get("records", 0) == sum(len(RIDES[number]) for number in handed)
    flagged = Counter(
        alert.record["session"][0]
        for alert in receiver.alerts
        if alert.record["kind"] == "sequence"
    )
    assert flagged == Counter(str(number) for number in handed if number in (1, 3, 4))
