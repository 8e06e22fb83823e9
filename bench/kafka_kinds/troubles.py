"""What may happen to a broker and to a topic: it is logged, and nothing is lost by it."""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_kinds.store import tiny_disk
from kafka_broker import Broker
from kafka_rig import Rig

from kafka_kinds.compare import Reference
from kafka_kinds.stages import Setting, send
from kafka_kinds.stream import PARTITIONS, tail_of

# Records of the log that each run sends.
_RECORDS = 20_000
# Megabytes of the disk that gets full, and of each write that fills it.
_DISK_MB = 320
_BALLAST_MB = 1
# Seconds that a broker may take to notice that its disk is full, and a group to go on afterwards.
_NOTICE_S = 120.0
_CATCH_UP_S = 300.0
# A record and a key as large as anybody sends them.
_RECORD_BYTES = 20 * 2**20
_KEY_BYTES = 2**20


def troubles(setting: Setting, away_s: float) -> dict[str, Any]:
    """A broker that is away, a full disk, a partition that is added, and odd messages."""
    return {
        "broker_away": _broker_away(setting, away_s),
        "full_disk": _full_disk(setting),
        "partition_added": _partition_added(setting),
        "odd_messages": _odd_messages(setting),
    }


def _broker_away(setting: Setting, away_s: float) -> dict[str, Any]:
    def trouble(broker: Broker) -> None:
        broker.stop()
        time.sleep(away_s)
        broker.start()

    return {"away_s": away_s} | _with_own_broker(setting, setting.folder / "away" / "data", trouble)


def _full_disk(setting: Setting) -> dict[str, Any]:
    """The disk with all logs of the broker is full. A broker halts then, and comes back."""
    with tiny_disk(_DISK_MB) as folder:
        if folder is None:
            return {"skipped": "mounting a file system takes root"}
        ballast = folder / "ballast"

        def trouble(broker: Broker) -> None:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(_BALLAST_MB * 2**20)):
                    pass
            deadline = time.monotonic() + _NOTICE_S
            while broker.is_running and time.monotonic() < deadline:
                time.sleep(0.5)
            setting.must(not broker.is_running, "the broker goes on with a full disk")
            broker.stop()
            ballast.unlink()
            broker.start()

        return _with_own_broker(setting, folder / "data", trouble, meanwhile=True)


def _with_own_broker(
    setting: Setting, data: Path, trouble: Callable[[Broker], None], *, meanwhile: bool = False
) -> dict[str, Any]:
    """Trouble in the middle of the log; `meanwhile` sends the second half while it lasts."""
    messages = _first_of(setting)
    half = len(messages) // 2
    broker = Broker(setting.folder / f"broker-{data.parent.name}", data=data)
    broker.start()
    rig = Rig(broker, setting.folder, setting.bundle_path, PARTITIONS)
    try:
        for _ in range(2):
            rig.start("--keep", "--log-level", "debug")
        send(rig, messages[:half])
        rig.caught_up()
        if meanwhile:
            send(rig, messages[half:], wait_s=0)
        trouble(broker)
        if not meanwhile:
            send(rig, messages[half:])
        rig.producer.flush(_CATCH_UP_S)
        return _compared(setting, rig)
    finally:
        rig.stop()
        broker.stop()


def _partition_added(setting: Setting) -> dict[str, Any]:
    messages = _first_of(setting)
    half = len(messages) // 2
    rig = setting.rig(PARTITIONS)
    properties = setting.folder / "quick.properties"
    properties.write_text("topic.metadata.refresh.interval.ms=1000\n")
    for _ in range(2):
        rig.start("--keep", "--client-properties", str(properties))
    send(rig, messages[:half])
    rig.add_partitions(PARTITIONS + 2)
    rig.wait(lambda: f"partition={PARTITIONS + 1}" in rig.log(), "the new partitions")
    # Keys are divided anew, so sessions that are open at that moment are cut in two.
    moved = [
        (at, key, value, headers, zlib.crc32(key) % (PARTITIONS + 2))
        for at, key, value, headers, _ in messages[half:]
    ]
    for partition in (PARTITIONS, PARTITIONS + 1):
        # Waits until the producer knows of it too.
        at, key, value, headers, _ = messages[half]
        rig.produce([(at, key, value)], partition=partition, headers=headers)
    send(rig, moved)
    for partition in range(PARTITIONS + 2):
        rig.produce(tail_of(setting.log, partition), partition=partition)
    return {"partitions": PARTITIONS + 2} | _compared(setting, rig, with_tail=False)


def _odd_messages(setting: Setting) -> dict[str, Any]:
    rig = setting.rig(PARTITIONS)
    for _ in range(2):
        rig.start("--keep")
    messages = _first_of(setting)
    half = len(messages) // 2
    send(rig, messages[:half])
    at_ms = messages[half][0]
    huge = json.dumps({"message": "Receiving block blk_1 " + "x" * _RECORD_BYTES}).encode()
    line = json.dumps({"component": "dfs.DataNode:", "message": "Receiving block blk_2"}).encode()
    unreadable = (b"no json", b"\xff\xfe" * 1000, b"[" * 100_000)
    rig.produce([(at_ms, None, huge), (at_ms, "k" * _KEY_BYTES, line)])
    rig.produce([(at_ms, None, value) for value in unreadable])
    send(rig, messages[half:])
    figures = _compared(setting, rig)
    copies = len(rig.read(f"{rig.group}-errors"))
    setting.must(copies == len(unreadable), f"{copies} copies of {len(unreadable)} odd messages")
    told = rig.log().count("message set aside")
    setting.must(told == len(unreadable), f"{told} lines about {len(unreadable)} odd messages")
    return figures | {"set_aside": copies, "told": told}


def _first_of(setting: Setting) -> list[Any]:
    """The first messages of the log over all partitions, without the tails."""
    messages = [message for message in setting.messages() if message[1] is not None]
    return sorted(messages, key=lambda message: message[0])[:_RECORDS]


def _compared(setting: Setting, rig: Rig, *, with_tail: bool = True) -> dict[str, Any]:
    """Let all sessions end, and compare with an engine for each partition."""
    if with_tail:
        for partition in range(PARTITIONS):
            rig.produce(tail_of(setting.log, partition), partition=partition)
    rig.caught_up(_CATCH_UP_S)
    rig.stop()
    reference = Reference(rig, setting.bundle, rig.topic)
    differ = reference.differ(rig)
    setting.must(not differ, f"after trouble: {dict(differ)}")
    log = rig.log()
    return {
        "records": reference.records,
        "alerts": len(reference.alerts),
        "kept": reference.kept.total(),
        "differ": dict(differ),
        **reference.flows_differ(rig.alerts()),
        "began_again": log.count("begins again"),
        "told": sorted({_sort_of(text) for text in log.splitlines() if _is_trouble(text)}),
    }


def _is_trouble(line: str) -> bool:
    return " WARNING " in line or " ERROR " in line


def _sort_of(line: str) -> str:
    """The fixed words of a line of the log, without its time, and what differs each time."""
    words = line.split(" ")
    return " ".join(word for word in words if "=" not in word and not word[:1].isdigit())[:100]
