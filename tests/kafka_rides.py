"""Rides of the lift on a topic, for tests on a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kafka_rig import Rig
from synthetic import GOING, NORMAL, OPEN, OPENED, STUCK, T0, S, ride

BAD = (OPEN, OPENED, GOING, STUCK)
PARTITIONS = 3
# Milliseconds of the first record: an hour ago, as a topic that is read late has it.
BEGIN_MS = int(time.time() * 1000) - 3_600_000


def rides(first: int, count: int) -> Iterator[tuple[int, str | None, Any]]:
    """Rides one after the other, every fifth a bad one, two seconds between two of them."""
    for number in range(first, first + count):
        log_keys = NORMAL[number % len(NORMAL)]
        if number % 5 == 0:
            log_keys = BAD
        name = f"ride{number}"
        for time_ns, record in ride(name, log_keys):
            assert time_ns is not None
            yield BEGIN_MS + (time_ns - T0) * 1000 // S + 2000 * number, name, record


def tail(rig: Rig, after: int, partitions: int = PARTITIONS) -> None:
    """Records that let every partition's time go on, so that all rides before have ended."""
    for partition in range(partitions):
        records = [
            (BEGIN_MS + 2000 * after + 4000 * i, None, record)
            for i, (_, record) in enumerate(ride(f"tail{partition}", (GOING,) * 40))
        ]
        rig.produce(records, partition=partition)
