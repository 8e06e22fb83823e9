"""`fluent-krone kafka-key` and `kafka-share` on a real broker."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_broker import Broker
from kafka_rig import Rig, ids
from marking import mark
from synthetic import GOING, MESSAGES, NORMAL, OPEN, OPENED, STUCK, write_lift_bundle

from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.explain.knowledge import Knowledge
from fluent_krone.explain.rows import write_rows

BAD = (OPEN, OPENED, GOING, STUCK)
PARTITIONS = 3
# Milliseconds from the first record of `lines` to the first of the next ones, behind `tail`.
WAVE_MS = 350_000
BEGIN_MS = int(time.time() * 1000) - 3_600_000


@pytest.fixture
def rig(broker: Broker, tmp_path: Path, bundle_dir: Path) -> Iterator[Rig]:
    rig = Rig(broker, tmp_path, bundle_dir, 1)
    yield rig
    rig.stop()


def line(log_key: int, *names: str) -> bytes:
    return json.dumps({"message": MESSAGES[log_key], "ride": names}).encode()


def lines(word: str = "r") -> Iterator[tuple[int, None, bytes]]:
    """Records of rides; every third ride shares its records with a twin."""
    for number in range(60):
        log_keys = NORMAL[number % len(NORMAL)]
        if number % 5 == 0:
            log_keys = BAD
        names = [f"{word}{number}"]
        if number % 3 == 0:
            names.append(f"{word}{number}twin")
        for step, log_key in enumerate(log_keys):
            yield BEGIN_MS + 1000 * step + 3000 * number, None, line(log_key, *names)


def tail(rig: Rig, topic: str, partitions: int, begin_ms: int = BEGIN_MS) -> None:
    """Records that let every partition's time go on, so that all rides before have ended."""
    for partition in range(partitions):
        texts = (line(GOING, f"tail{begin_ms}{partition}") for _ in range(40))
        records = ((begin_ms + 180_000 + 4000 * i, None, text) for i, text in enumerate(texts))
        rig.produce(records, topic, partition=partition)


def test_messages_without_keys_are_keyed_and_judged_in_the_partitions_of_their_sessions(
    rig: Rig, bundle_dir: Path
) -> None:
    keyed = f"{rig.topic}-keyed"
    rig.create(keyed, PARTITIONS)
    rig.produce([*lines(), (BEGIN_MS, None, b'{"message": "of no ride"}')])
    keying = rig.start("--output-topic", keyed, command="kafka-key")
    rig.start("--topic", keyed, "--group", f"{rig.group}-judges")
    rig.caught_up()
    rig.stop(keying)
    unkeyed = rig.topic
    rig.topic = keyed
    rig.group += "-judges"
    # Also the marks of transactions at the end of a partition are behind us.
    rig.caught_up()
    tail(rig, keyed, PARTITIONS)
    rig.caught_up()
    rig.stop()

    messages = rig.read(keyed)
    partitions: dict[bytes, set[int]] = {}
    for message in messages:
        if message.key() is not None:
            partitions.setdefault(message.key(), set()).add(message.partition())
    assert len(partitions) == 60 + 20
    assert all(len(where) == 1 for where in partitions.values())
    assert len(set(itertools.chain(*partitions.values()))) == PARTITIONS
    assert "set_aside_no_session_key=1" in rig.log()

    alerts = [alert for alert in rig.alerts() if alert["kind"] == "sequence"]
    flagged = {alert["session"][0] for alert in alerts}
    expected = {f"r{n}" for n in range(0, 60, 5)} | {f"r{n}twin" for n in range(0, 60, 15)}
    assert flagged == expected
    assert {alert["tag"] for alert in alerts} == {unkeyed}
    bundle = load_bundle(str(bundle_dir))
    assert ids(rig.alerts()) == ids(rig.expected(bundle, keyed))


def share(rig: Rig, *flags: str) -> str:
    given = ["--brokers", rig.broker.address, "--group", rig.group]
    command = [sys.executable, "-m", "fluent_krone", "kafka-share", *given, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def patterns(rig: Rig) -> list[str]:
    """The signatures of all rides that were found abnormal."""
    return [
        alert["pattern"]
        for alert in rig.alerts()
        if alert["kind"] == "sequence" and not alert["session"][0].startswith("tail")
    ]


def test_a_mark_that_is_shared_silences_the_signature_at_each_instance(
    rig: Rig, tmp_path: Path
) -> None:
    rig.produce(lines())
    tail(rig, rig.topic, 1)
    first = rig.start()
    rig.caught_up()
    rig.wait(lambda: bool(patterns(rig)), "the first alert")
    before = patterns(rig)
    assert len(set(before)) == 1
    knowledge = Knowledge(None)
    mark(knowledge, before[0], "normal", "known", "ada", until=None, now_s=time.time())
    write_rows(tmp_path / "rows.jsonl", knowledge.rows())
    assert "shared 1 " in share(rig, "--rows", str(tmp_path / "rows.jsonl"))
    time.sleep(2)  # the instance looks twice a second
    rig.produce((at_ms + WAVE_MS, key, value) for at_ms, key, value in lines("s"))
    tail(rig, rig.topic, 1, BEGIN_MS + WAVE_MS)
    rig.caught_up()
    rig.stop(first)
    # An instance that starts later knows it before it judges anything.
    rig.start()
    rig.produce((at_ms + 2 * WAVE_MS, key, value) for at_ms, key, value in lines("t"))
    tail(rig, rig.topic, 1, BEGIN_MS + 2 * WAVE_MS)
    rig.caught_up()
    rig.stop()
    assert patterns(rig) == before
    muted = [words for words in rig.log().split() if words.startswith("alerts_muted=")]
    assert muted == [f"alerts_muted={len(before)}"] * 2


def test_a_new_bundle_waits_until_it_is_announced(rig: Rig, bundle_dir: Path) -> None:
    old = load_bundle(str(bundle_dir)).hash
    assert "shared 1 " in share(rig, "--announce", str(bundle_dir))
    rig.produce(itertools.islice(lines(), 3))
    rig.start("--reload-interval", "0.2")
    rig.caught_up()
    write_lift_bundle(bundle_dir, name="lift2")
    new = load_bundle(str(bundle_dir)).hash
    rig.wait(lambda: "new bundle waits until it is announced" in rig.log(), "the wait")
    share(rig, "--announce", str(bundle_dir))
    rig.wait(lambda: "new bundle in use" in rig.log(), "the change")
    rig.produce(itertools.islice(lines(), 3, 4))
    tail(rig, rig.topic, 1)
    rig.caught_up()
    rig.stop()
    sequences = [alert for alert in rig.alerts() if alert["kind"] == "sequence"]
    assert new != old
    assert {(alert["session"][0], alert["bundle_hash"]) for alert in sequences} == {
        ("r0", new),
        ("r0twin", new),
    }


def test_wrong_parameters_are_told_in_one_line(rig: Rig) -> None:
    config = Config(brokers=rig.broker.address)
    given = ["--brokers", str(config.brokers), "--bundle", str(rig.bundle)]
    for flags, complaint in (
        (["kafka", *given], "topic must be given"),
        (["kafka", *given, "--topic", "none-such"], "no such topic"),
        (["kafka-key", *given, "--topic", rig.topic], "output_topic must be given"),
        (["kafka-key", *given, "--topic", "a", "--output-topic", "a"], "would come back in"),
        (["kafka-share", *given[:2]], "there is nothing to share"),
        (["kafka", *given, "--topic", rig.topic, "--record-tag", "x"], "record_tag must be"),
    ):
        command = [sys.executable, "-m", "fluent_krone", *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr
