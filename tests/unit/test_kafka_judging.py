"""What is judged of one partition of a topic, without a broker."""

from __future__ import annotations

from typing import Any, cast

import pytest
from synthetic import CLOSE, OPEN, T0, S, ride

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.kafka.judging import Judging

MINUTE = 60 * S


@pytest.mark.parametrize(("partitions", "is_silent"), [(1, True), (20, False)])
def test_a_partition_expects_its_share_of_the_stream(
    flow_bundle: Bundle, partitions: int, is_silent: bool
) -> None:
    """Wrong before: each partition expected the whole stream, and was silent most of the time."""
    judging = Judging(flow_bundle, Config(topic="logs"), cast(Any, None))
    partition = judging.partition(0)
    judging._created = partitions  # what `prepare` finds out, while the partition is opened
    partition.restore({}, T0)
    for number in range(10):
        events = iter(ride(f"r{number}", (OPEN, CLOSE), 7 * 60 * number))
        partition.judge.feed("logs", events, T0 + 7 * number * MINUTE)
    kinds = [ticket.alert.record["kind"] for ticket in partition.judge.hand_over()]
    assert ("flow" in kinds) == is_silent
