"""Kept and annotated records on a real broker: each once, and unchanged but for what is added."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from kafka_rig import BEGIN_MS, Rig, kept_of, rides, tail

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle


def expected(rig: Rig, bundle: Bundle, folder: Path, **config: Any) -> list[dict[str, Any]]:
    """What one keeper for each partition keeps, without any break."""
    settings = Config(topic=rig.topic, group=rig.group, keep=True, **config)
    by_partition: dict[int, list[Any]] = {}
    for message in rig.read(rig.topic):
        by_partition.setdefault(message.partition(), []).append(message)
    outs = [
        out
        for messages in by_partition.values()
        for out in kept_of(bundle, settings, messages, folder)
    ]
    return [json.loads(out.value or b"") for out in outs if out.topic == f"{rig.group}-keep"]


def comparable(records: list[dict[str, Any]]) -> list[str]:
    """Records as texts, without the incident, of which the keeper that is compared has none."""
    without = ({n: v for n, v in r.items() if n != "krone.incident_id"} for r in records)
    return sorted(json.dumps(record, sort_keys=True) for record in without)


def test_kept_records_are_those_of_one_keeper_each_once_over_kills_and_moves(
    rig: Rig, bundle: Bundle, tmp_path: Path
) -> None:
    flags = ("--keep", "--keep-per-kind", "2", "--keep-share", "0.2", "--keep-summary", "5")
    flags += ("--keep-folder", str(tmp_path / "held"))
    rig.produce(rides(0, 100))
    first = rig.start(*flags)
    rig.wait(lambda: 0 <= rig.lag() < 100, "the first commits")
    rig.start(*flags)
    rig.produce(rides(100, 100))
    rig.caught_up()
    first.send_signal(signal.SIGKILL)
    first.wait()
    rig.produce(rides(200, 100))
    third = rig.start(*flags)
    rig.caught_up()
    rig.stop(third)
    rig.produce(rides(300, 20))
    tail(rig, 320)
    rig.caught_up()
    rig.stop()

    found = rig.records("keep")
    names = [record["krone.record_id"] for record in found]
    assert len(set(names)) == len(names)
    settings = {"keep_per_kind": 2, "keep_share": 0.2, "keep_summary": 5.0}
    assert comparable(found) == comparable(expected(rig, bundle, tmp_path, **settings))
    whole = {f"ride{n}" for n in range(0, 320, 5)}
    abnormal = [record for record in found if record["krone.kept"] == "abnormal"]
    assert {record["krone.session"] for record in abnormal} >= whole
    assert all(record["krone.alert_id"] for record in abnormal)
    originals = {(m.value(), m.key(), m.timestamp()) for m in rig.read(rig.topic)}
    for message in rig.read(f"{rig.group}-keep"):
        own = {n: v for n, v in json.loads(message.value()).items() if not n.startswith("krone.")}
        whole_message = (json.dumps(own).encode(), message.key(), message.timestamp())
        assert whole_message in originals
        assert dict(message.headers())["tag"] == f"keep.{rig.topic}".encode()
    summaries = [json.loads(message.value()) for message in rig.read(f"{rig.group}-keep-summary")]
    normal = [f"ride{n}" for n in range(320) if n % 5]
    known = {record["krone.session"] for record in found}
    assert sum(summary["sessions"] for summary in summaries) <= len(set(normal) - known)
    assert summaries
    # Nothing is left of the one that was killed: the next to start deleted it.
    assert list((tmp_path / "held").iterdir()) == []


def test_each_record_is_annotated_once(rig: Rig) -> None:
    rig.produce(rides(0, 30))
    rig.produce([(BEGIN_MS, None, b'{"message": "of nobody"}'), (BEGIN_MS, None, b"no json")])
    first = rig.start("--annotate")
    rig.wait(lambda: rig.lag() == 0, "reading")
    first.kill()
    rig.produce(rides(30, 30))
    rig.start("--annotate")
    rig.caught_up()
    rig.stop()
    sent = [message.value() for message in rig.read(rig.topic) if message.value() != b"no json"]
    found = [json.loads(message.value()) for message in rig.read(f"{rig.group}-annotated")]
    own = [{n: v for n, v in record.items() if not n.startswith("krone.")} for record in found]
    assert comparable(own) == comparable([json.loads(value) for value in sent])
    bad = next(record for record in found if record.get("ride") == "ride5")
    assert (bad["krone.entity"], bad["krone.session"]) == ("gate", "ride5")
    assert "krone.template" not in next(r for r in found if r["message"] == "of nobody")
