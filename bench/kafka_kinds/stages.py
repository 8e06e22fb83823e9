"""The stages of the bench. Each returns its figures, and whether they are what they must be."""

from __future__ import annotations

import functools
import itertools
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafka_broker import Broker
from kafka_rig import Rig
from machine import cpu_s, resident_bytes

from fluent_krone.detect.bundle import Bundle
from kafka_kinds.compare import Reference
from kafka_kinds.stream import PARTITIONS, Message, is_of_tail, tail_of

# Kinds of alerts that depend on one session only, and so not on how sessions are divided.
_OF_ONE_SESSION = ("sequence", "deviation")
# The least rate per core, as a share of that of the Forward input with its store.
LEAST_SHARE = 0.6
# The least that two instances must take, as a multiple of what one takes, in CPU time.
LEAST_SCALING = 1.7
# Seconds in which 100,000 open sessions must be restored.
MOST_RESTORE_S = 10.0
# Seconds between two acts: some fall into a start or a rebalance, some into undisturbed work.
_BETWEEN_S = (0.5, 3.0)
# Seconds that the instances may take for what is left after the last kill.
_CATCH_UP_S = 600.0
# Times that the log is sent where rates are measured.
TIMES = 4


@dataclass
class Setting:
    """What all stages share."""

    broker: Broker
    folder: Path
    bundle_path: Path
    bundle: Bundle
    log: list[Message]
    show: Callable[[str], None]
    wrong: list[str] = field(default_factory=list)
    keyed: str = ""

    def must(self, holds: bool, what: str) -> None:
        """Note a figure that is not what it must be."""
        if not holds:
            self.wrong.append(what)
            self.show(f"WRONG: {what}")

    def rig(self, partitions: int = PARTITIONS) -> Rig:
        """A new topic and group."""
        return Rig(self.broker, self.folder, self.bundle_path, partitions)

    def messages(self) -> list[Any]:
        """The keyed log: time in ms, key, value, headers and partition of each message."""
        return [
            (m.timestamp()[1], m.key(), m.value(), m.headers(), m.partition())
            for m in self.rig(1).read(self.keyed)
        ]

    def group_over(self, topic: str) -> Rig:
        """A new group over a topic that is there."""
        rig = self.rig(1)
        rig.topic = topic
        return rig


def key_the_log(setting: Setting) -> dict[str, Any]:
    """Write the log without keys, and let `kafka-key` write it to six partitions."""
    rig = setting.rig(1)
    rig.produce(setting.log)
    setting.keyed = f"{rig.topic}-keyed"
    rig.create(setting.keyed, PARTITIONS)
    began = time.monotonic()
    keying = rig.start("--output-topic", setting.keyed, command="kafka-key")
    rig.caught_up()
    took_s = time.monotonic() - began
    cpu = cpu_s(keying.pid)
    rig.stop()
    written = len(rig.read(setting.keyed))
    for partition in range(PARTITIONS):
        rig.produce(tail_of(setting.log, partition), setting.keyed, partition=partition)
    return {
        "records": len(setting.log),
        "messages_keyed": written,
        "took_s": round(took_s, 1),
        "records_per_cpu_s": round(len(setting.log) / cpu),
    }


def equal(setting: Setting, reference: Reference) -> dict[str, Any]:
    """One, two and three instances give the alerts of one engine for each partition."""
    figures: dict[str, Any] = {
        "expected_alerts": len(reference.alerts),
        "expected_kept": reference.kept.total(),
    }
    for count in (1, 2, 3):
        rig = setting.group_over(setting.keyed)
        for _ in range(count):
            rig.start("--keep")
        rig.caught_up()
        rig.stop()
        differ = reference.differ(rig)
        figures[f"{count}_instances"] = dict(differ) or "equal"
        setting.must(not differ, f"{count} instances differ: {dict(differ)}")
    return figures


def replayed(setting: Setting, reference: Reference) -> dict[str, Any]:
    """The verdicts of `replay` on the whole log, which has one stream time for all sessions."""
    lines = setting.folder / "log.jsonl"
    with lines.open("w", encoding="utf-8") as file:
        for at_ms, _, value in setting.log:
            file.write(json.dumps(json.loads(value) | {"time": at_ms / 1000}) + "\n")
    out = setting.folder / "replay.jsonl"
    command = [sys.executable, "-m", "fluent_krone", "replay", "--input", str(lines)]
    command += ["--bundle", str(setting.bundle_path), "--alerts", str(out), "--time-field", "time"]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    alerts = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    expected = {a["alert_id"] for a in alerts if a["kind"] in _OF_ONE_SESSION}
    got = {
        alert["alert_id"]
        for alert in reference.alerts
        if alert["kind"] in _OF_ONE_SESSION and not is_of_tail(alert)
    }
    figures = {
        "alerts": len(expected),
        "missing": len(expected - got),
        "beyond": len(got - expected),
    }
    setting.must(expected == got, f"verdicts are not those of replay: {figures}")
    return figures


def kills(setting: Setting, count: int, moves: int, seed: int) -> dict[str, Any]:
    """Kill, add and stop instances, and restart the broker, while the log is sent."""
    rng = random.Random(seed)
    rig = setting.rig()
    messages = setting.messages()
    acts = ["kill"] * count + ["join"] * (moves // 2) + ["leave"] * (moves - moves // 2)
    rng.shuffle(acts)
    # In the middle, so that transactions of all kinds lie before and after it.
    acts.insert(len(acts) // 2, "broker")
    done: dict[str, int] = dict.fromkeys(("kill", "join", "leave", "broker"), 0)
    began = time.monotonic()
    members = Members(rig, rng)
    sent = 0
    for place, act in enumerate(acts):
        upto = len(messages) * (place + 1) // len(acts)
        send(rig, messages[sent:upto])
        sent = upto
        time.sleep(rng.uniform(*_BETWEEN_S))
        members.act(act)
        done[act] += 1
    rig.caught_up(_CATCH_UP_S)
    rig.stop()
    took_s = time.monotonic() - began
    reference = Reference(rig, setting.bundle, rig.topic)
    alerts = rig.alerts()
    differ = reference.differ(rig)
    setting.must(not differ, f"after kills: {dict(differ)}")
    log = rig.log()
    return {
        **done,
        "records": reference.records,
        "alerts": len(alerts),
        "kept": reference.kept.total(),
        "sessions": sum(map(len, reference.sessions.values())),
        "differ": dict(differ),
        **reference.flows_differ(alerts),
        **{
            name: differ[name]
            for name in (
                "sessions_lost",
                "sessions_different",
                "alerts_lost",
                "alerts_different",
                "alerts_duplicated",
                "kept_lost",
                "kept_beyond",
                "kept_duplicated",
            )
        },
        "partitions_started": log.count("partition started"),
        "began_again": log.count("begins again"),
        "took_s": round(took_s, 1),
    }


def send(rig: Rig, messages: list[Any], wait_s: float = 60.0) -> None:
    """Send messages as `Setting.messages` gives them, and wait until the broker has them."""
    for at_ms, key, value, headers, partition in messages:
        rig.producer.produce(
            rig.topic, value, key=key, timestamp=at_ms, headers=headers, partition=partition
        )
        rig.producer.poll(0)
    rig.producer.flush(wait_s)


class Members:
    """Instances that are killed, join and leave. Each has a name, under which it is restarted.

    With its name, a killed instance gets its partitions back at once, in the middle of what it did;
    otherwise most kills would meet instances that have none yet.
    """

    def __init__(self, rig: Rig, rng: random.Random) -> None:
        self._rig = rig
        self._rng = rng
        self._names = itertools.count()
        self._running: list[tuple[str, Any]] = []
        for _ in range(2):
            self._join()

    def act(self, act: str) -> None:
        """Do one of `kill`, `join`, `leave` and `broker`."""
        if act == "kill":
            name, victim = self._taken()
            victim.kill()
            victim.wait()
            self._start(name)
        elif act == "join":
            self._join()
        elif act == "leave":
            self._rig.stop(self._taken()[1])
            if not self._running:
                self._join()
        else:
            self._rig.broker.stop(signal.SIGTERM)
            time.sleep(2)
            self._rig.broker.start()

    def _taken(self) -> tuple[str, Any]:
        return self._running.pop(self._rng.randrange(len(self._running)))

    def _join(self) -> None:
        self._start(f"member-{next(self._names)}")

    def _start(self, name: str) -> None:
        self._running.append((name, self._rig.start("--member-name", name, "--keep")))


def scaling(setting: Setting) -> dict[str, Any]:
    """What two instances can take with a core each, against one: in CPU time of the busier one."""
    records = [m for m in setting.rig(1).read(setting.keyed) if m.key() is not None]
    busiest: dict[int, float] = {}
    memory = 0.0
    for count in (1, 2):
        rig = setting.rig()
        instances = [rig.start() for _ in range(count)]
        # All are members, and have their partitions, before the first record is sent.
        rig.wait(functools.partial(_is_shared, rig, count), "the assignment")
        before = [cpu_s(instance.pid) for instance in instances]
        for number in range(TIMES):
            rig.produce(again(records, number))
        rig.caught_up()
        after = [cpu_s(instance.pid) for instance in instances]
        busiest[count] = max(b - a for a, b in zip(before, after, strict=True))
        memory = max(memory, *(resident_bytes(instance.pid) / 1e6 for instance in instances))
        rig.stop()
    scaled = busiest[1] / busiest[2]
    setting.must(scaled >= LEAST_SCALING, f"two instances take {scaled:.2f} times as much as one")
    return {
        "records": TIMES * len(records),
        "one_records_per_cpu_s": round(TIMES * len(records) / busiest[1]),
        "two_against_one": round(scaled, 2),
        "resident_mb": round(memory),
    }


def _is_shared(rig: Rig, count: int) -> bool:
    """Whether all instances have an equal part of the partitions, and have started them."""
    log = rig.log()
    given = re.findall(r"assigned partitions=\[(.+)\]", log)
    taken = re.findall(r"revoked partitions=\[(.+)\]", log)
    held = sum(len(each.split(",")) for each in given) - sum(len(each.split(",")) for each in taken)
    # Those that join at the same time get their parts at once, and nothing is revoked.
    shared = held == PARTITIONS and len(given) >= count
    return shared and log.count("partition started") >= PARTITIONS


def again(messages: list[Any], number: int) -> Iterator[tuple[int, Any, bytes]]:
    """The log once more, with other session keys, right behind what was before."""
    times = [message.timestamp()[1] for message in messages]
    begin = times[0]
    length = max(times) - begin + 1000
    for message in messages:
        value = message.value().replace(b"blk_", b"blk_%d" % (number + 1))
        yield message.timestamp()[1] + number * length, message.key(), value


def restore(setting: Setting, sessions: int) -> dict[str, Any]:
    """How long it takes to take over a partition with `sessions` open sessions."""
    rig = setting.rig(1)
    begin_ms = int(time.time() * 1000) - 60_000
    steps = [
        ("dfs.FSNamesystem:", "BLOCK* NameSystem.allocateBlock: /user/root/part-0. {}"),
        ("dfs.DataNode$DataXceiver:", "Receiving block {} src: /10.0.0.1:1 dest: /10.0.0.2:50010"),
    ]
    records = (
        (
            begin_ms + number // 10,
            None,
            json.dumps(
                {"component": component, "message": text.format(f"blk_{10**9 + number}")}
            ).encode(),
        )
        for component, text in steps
        for number in range(sessions)
    )
    rig.produce(records)
    rig.start()
    rig.caught_up()
    rig.stop()
    rig.start()
    rig.wait(lambda: rig.log().count("partition started") == 2, "the second start")
    rig.stop()
    line = [words for words in rig.log().splitlines() if "partition started" in words][1]
    found = dict(re.findall(r"(\w+)=([\d.]+)", line))
    figures = {
        "open_sessions": sessions,
        "changelog_records": int(found["changelog_records"]),
        "changelog_bytes": int(found["changelog_bytes"]),
        "read_s": float(found["read_s"]),
        "restore_s": float(found["restore_s"]),
    }
    took_s = figures["read_s"] + figures["restore_s"]
    setting.must(took_s <= MOST_RESTORE_S, f"{sessions} sessions restored in {took_s:.1f} s")
    return figures
