"""`fluent-krone kafka` on a real broker: one engine's alerts, each once, whatever happens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from kafka_broker import Broker
from kafka_rig import BEGIN_MS, PARTITIONS, Rig, ids, rides, tail

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.kafka.clients import Clients
from fluent_krone.kafka.transactions import Fenced, Out, Transactions


def flagged(rig: Rig) -> set[str]:
    return {alert["session"][0] for alert in rig.alerts() if alert["kind"] == "sequence"}


def test_instances_that_come_go_and_are_killed_give_the_alerts_of_one_engine(
    rig: Rig, bundle: Bundle
) -> None:
    rig.produce(rides(0, 100))
    first = rig.start()
    rig.wait(lambda: 0 <= rig.lag() < 100, "the first commits")
    rig.start()
    rig.produce(rides(100, 100))
    rig.caught_up()
    first.kill()
    rig.produce(rides(200, 100))
    third = rig.start()
    rig.caught_up()
    rig.stop(third)
    rig.produce(rides(300, 20))
    tail(rig, 320)
    rig.caught_up()
    rig.stop()

    alerts = rig.alerts()
    expected = rig.expected(bundle)
    assert flagged(rig) >= {f"ride{number}" for number in range(0, 320, 5)}
    assert ids(alerts) == ids(expected)
    assert len(set(ids(alerts))) == len(alerts)


def test_a_broker_that_is_away_for_a_while_costs_nothing(
    tmp_path: Path, bundle_dir: Path, bundle: Bundle
) -> None:
    broker = Broker(tmp_path / "broker")
    broker.start()
    try:
        rig = Rig(broker, tmp_path, bundle_dir, PARTITIONS)
        rig.produce(rides(0, 100))
        rig.start()
        rig.caught_up()
        rig.produce(rides(100, 50))
        broker.stop()
        time.sleep(3)
        broker.start()
        rig.connect()
        rig.produce(rides(150, 50))
        tail(rig, 200)
        rig.caught_up()
        rig.stop()
        assert ids(rig.alerts()) == ids(rig.expected(bundle))
        assert "no broker can be reached, nothing is read until one answers" in rig.log()
    finally:
        rig.stop()
        broker.stop()


def test_what_cannot_be_read_is_set_aside_and_the_rest_is_judged(rig: Rig, bundle: Bundle) -> None:
    huge = json.dumps({"message": "x" * 20 * 2**20, "ride": "huge"}).encode()
    rig.produce(rides(0, 5))
    rig.produce(
        [
            (BEGIN_MS, None, b"no json"),
            (BEGIN_MS, None, b"[1, 2]"),
            (BEGIN_MS, None, b"\xff\xfe" * 40_000),
            (BEGIN_MS, None, huge),
            (BEGIN_MS, "k" * 2**20, b'{"message": "gate: open door 3", "ride": "7"}'),
        ]
    )
    rig.produce(rides(5, 6))
    tail(rig, 11)
    rig.start()
    rig.caught_up()
    rig.stop()

    assert flagged(rig) >= {"ride0", "ride5", "ride10"}
    assert ids(rig.alerts()) == ids(rig.expected(bundle))
    errors = rig.read(f"{rig.group}-errors")
    reasons = sorted(dict(message.headers())["reason"] for message in errors)
    assert reasons == [b"undecodable", b"undecodable"]
    assert b"no json" in {message.value() for message in errors}
    assert all(len(message.value()) <= 64 * 2**10 for message in errors)
    stats = rig.log().split("stats ")[-1]
    assert "set_aside_undecodable=2" in stats
    assert "set_aside_not_a_map=1" in stats
    assert "messages_cut=1" in stats


def test_an_owner_that_was_replaced_can_commit_nothing(rig: Rig) -> None:
    config = Config(brokers=rig.broker.address, topic=rig.topic, group=rig.group)
    state = f"{rig.group}-state"
    rig.create(state, PARTITIONS, **{"cleanup.policy": "compact"})
    clients = Clients(config, lambda error: None)
    place = rig.kafka.TopicPartition(rig.topic, 1)
    before = Transactions(clients, rig.group, place, state)
    assert before.open().rows == {}
    before.commit([Out(state, b"part/1", b"kept", 1), Out(state, b"part/2", b"gone", 1)], 7)
    before.commit([Out(state, b"part/2", None, 1)], 9)
    after = Transactions(clients, rig.group, place, state)
    opened = after.open()
    assert (opened.offset, opened.rows) == (9, {b"part/1": b"kept"})

    with pytest.raises(Fenced):
        before.commit([Out(state, b"part/1", b"of a zombie", 1)], 20)

    after.commit([], 11)
    last = Transactions(clients, rig.group, place, state)
    reopened = last.open()
    assert (reopened.offset, reopened.rows) == (11, {b"part/1": b"kept"})
    for transactions in (before, after, last):
        transactions.close()


def test_a_partition_that_is_added_is_judged_too(rig: Rig, tmp_path: Path) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    quick = tmp_path / "client.properties"
    quick.write_text(
        "# by default it takes half a minute\ntopic.metadata.refresh.interval.ms=500\n"
    )
    rig.start("--client-properties", str(quick))
    rig.produce(rides(0, 6))
    rig.caught_up()
    admin: Any = AdminClient({"bootstrap.servers": rig.broker.address, "log_level": 0})
    admin.create_partitions([NewPartitions(rig.topic, PARTITIONS + 1)])[rig.topic].result(30)
    rig.wait(lambda: f"assigned partitions=[{PARTITIONS}]" in rig.log(), "the new assignment")
    rig.produce(((at_ms, key, record) for at_ms, key, record in rides(10, 1)), partition=PARTITIONS)
    tail(rig, 11, PARTITIONS + 1)
    rig.caught_up()
    rig.stop()
    assert flagged(rig) == {"ride0", "ride5", "ride10"}


def test_a_changelog_that_takes_nothing_stops_the_partition_and_loses_nothing(
    rig: Rig, bundle: Bundle
) -> None:
    state = f"{rig.group}-state"
    rig.create(state, PARTITIONS, **{"cleanup.policy": "compact", "max.message.bytes": "100"})
    rig.produce(rides(0, 60))
    tail(rig, 60)
    rig.start()
    rig.wait(lambda: rig.log().count("begins again from what was committed") > 3, "the failures")
    assert "size" in rig.log().split("begins again from what was committed")[1]
    assert rig.lag() > 0
    assert rig.alerts() == []
    rig.configure(state, **{"max.message.bytes": "33554432"})
    rig.caught_up()
    rig.stop()
    assert ids(rig.alerts()) == ids(rig.expected(bundle))
