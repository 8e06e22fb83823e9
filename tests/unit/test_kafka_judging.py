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


def test_times_that_nobody_reads_are_seen_over_all_partitions_together(flow_bundle: Bundle) -> None:
    """Each of them alone has too few records that are looked at."""
    judging = Judging(flow_bundle, Config(topic="logs"), cast(Any, None))
    partitions = [judging.partition(number) for number in range(40)]
    for number in range(600):
        events = ride(f"r{number}", (OPEN, CLOSE), number)
        for _, record in events:
            record[b"ts"] = b"%d" % (T0 // S + number * 60)
        part = partitions[number % 40]
        part.judge.feed("logs", iter(events), T0 + number * S)
    [trouble] = [one for one in judging.troubles() if "'ts'" in one]
    assert "event times go on differently" in trouble
