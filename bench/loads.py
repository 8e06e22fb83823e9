"""Streams of records that differ in what makes them costly, each with a bundle that knows it.

Every stream is made from a seed, so that two runs measure the same. A load's bundle is made anew
for each round: its caches, the model's among them, start empty.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from export.calibrate import calibrate
from export.sequences import patterns_of
from export.to_onnx import fit_onnx, nested_files
from fluent_krone.config import Config
from fluent_krone.core.cascade import Clearing
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.detect.nested_aware import NestedAware
from fluent_krone.reading.records import InputSettings
from fluent_krone.transport.forward import ForwardDecoder, encode_events

# Records in a chunk: about what Fluentd sends of a busy log.
CHUNK_RECORDS = 5_000
SEED = 5
_START_S = 1_600_000_000
# Sessions that are open at the same time, so that their records are mixed as in a real stream.
_MIXED = 200
# Steps of a workflow of `uuids`.
_STEPS = 10
# Every such session of `uuids` skips a step, and is abnormal.
_ODD_EACH = 200
# Events of a session of very many.
_LONG = 10_000

Record = dict[str, Any]
_NOUNS = [
    "order",
    "shard",
    "queue",
    "worker",
    "session",
    "billing",
    "upload",
    "index",
    "segment",
    "commit",
    "replica",
    "lease",
    "quota",
    "token",
    "stream",
    "bucket",
    "volume",
    "node",
    "rack",
    "disk",
    "cache",
    "page",
    "block",
    "chunk",
    "file",
    "event",
]
_VERBS = [
    "opened",
    "closed",
    "sent",
    "stored",
    "read",
    "moved",
    "locked",
    "freed",
    "checked",
    "merged",
]


@dataclass(frozen=True)
class Load:
    """Frames as Fluentd would send them, and the bundle and settings that judge them."""

    name: str
    frames: list[bytes]
    records: int
    bundle: Callable[[], Bundle]
    config: dict[str, Any] = field(default_factory=dict)

    def settings(self, **more: Any) -> Config:
        return Config(**({"alerts": "session"} | self.config), **more)


def frames_of(
    records: Iterable[Record],
    chunk_records: int = CHUNK_RECORDS,
    times_ns: Sequence[int] | None = None,
) -> list[bytes]:
    """PackedForward frames of records, with their own times, or a hundred to the second."""
    events = [(_START_S * 10**9 + i * 10**7, record) for i, record in enumerate(records)]
    if times_ns is not None:
        events = [(time_ns, event[1]) for time_ns, event in zip(times_ns, events, strict=True)]
    cuts = range(0, len(events), chunk_records)
    return [encode_events("app", events[i : i + chunk_records], f"chunk-{i}") for i in cuts]


def uuids(templates: int, records: int) -> Load:
    """Workflows of ten steps, each step with a template of its own and the UUID of its request."""
    made = random.Random(SEED)
    texts = workflow_templates(templates)
    courses = [tuple(range(i, i + _STEPS)) for i in range(0, templates, _STEPS)]

    def lines() -> Iterator[list[Record]]:
        for number in range(records // _STEPS):
            name = str(uuid.UUID(int=made.getrandbits(128)))
            course = made.choice(courses)
            if number % _ODD_EACH == 0:
                course = course[1:]
            yield [{"message": filled(texts[key], name, made)} for key in course]

    mixed = list(_mixed(lines(), made))
    leaves = [Leaf(text, text.split()[0], text.split()[1], "done") for text in texts]
    settings = InputSettings(session_key=("/req=([0-9a-f-]{36})/",))

    def bundle() -> Bundle:
        return fitted(f"uuids-{templates}", leaves, courses, settings)

    return Load(f"uuids_{templates}_templates", frames_of(mixed), len(mixed), bundle)


def workflow_templates(count: int) -> list[str]:
    """Templates with shared words, one word of their own, an id and a number."""
    made = random.Random(SEED)
    texts = []
    for i in range(count):
        own = f"{_NOUNS[i % 26]}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}"
        noun, other = made.sample(_NOUNS, 2)
        verb = made.choice(_VERBS)
        texts.append(f"{noun} {own} {verb} req=<id> for {other} in <num> ms")
    return texts


def filled(template: str, name: str, made: random.Random) -> str:
    """A message of a template."""
    return template.replace("<id>", name).replace("<num>", str(made.randrange(10_000)))


def fitted(
    name: str, leaves: list[Leaf], courses: list[tuple[int, ...]], settings: InputSettings
) -> Bundle:
    """A bundle that holds these courses for normal."""
    tree = Hierarchy(leaves)
    # Each course often enough that a threshold can be set.
    sessions = [*courses, *courses[: max(0, 40 - len(courses))]] * 2
    model, content = fit_onnx(sessions, tree)
    calibration = calibrate(sessions, tree)
    files = nested_files(model, content, calibration.threshold, calibration.band)
    return Bundle(
        name=name,
        hash="0" * 16,
        input_settings=settings,
        session_settings=SessionSettings(idle_timeout=600.0),
        templates=tuple(leaf.template for leaf in leaves),
        counts=tuple(1 for _ in leaves),
        hierarchy=tree,
        patterns=LocalContext(patterns_of(courses, tree)),
        nested=NestedAware(tree, files),
        clearing=Clearing(),
        training=frozenset(),
        golden=(),
    )


def send_until_acked(
    connection: socket.socket, frames: Iterable[bytes], most_in_flight: int
) -> None:
    """Send frames until all are acked, with at most `most_in_flight` chunks on their way."""
    decoder = ForwardDecoder()
    unacked = 0
    for frame in frames:
        connection.sendall(frame)
        unacked += 1
        while unacked >= most_in_flight:
            unacked -= len(decoder.feed(connection.recv(65536)))
    while unacked:
        unacked -= len(decoder.feed(connection.recv(65536)))


def plain(hdfs: list[Record], times_ns: Sequence[int]) -> Load:
    """HDFS as it is."""
    return Load("hdfs", frames_of(hdfs, times_ns=times_ns), len(hdfs), _hdfs)


def hexadecimal(hdfs: list[Record], times_ns: Sequence[int]) -> Load:
    """HDFS with block ids of 16 hexadecimal digits."""

    def renamed(found: re.Match[str]) -> str:
        return f"blk_{hash_of(found[1]):016x}"

    records = [
        {**record, "message": re.sub(r"blk_(-?[0-9]+)", renamed, record["message"])}
        for record in hdfs
    ]
    key = "/blk_[0-9a-f]+/"
    config = {"session_key": (key,)}
    frames = frames_of(records, times_ns=times_ns)
    return Load("hexadecimal_ids", frames, len(records), _hdfs, config)


def hash_of(number: str) -> int:
    """64 bits that look like chance, the same for the same text."""
    return random.Random(number).getrandbits(64)


def kubernetes(hdfs: list[Record], times_ns: Sequence[int]) -> Load:
    """HDFS in records of 23 fields, as Fluent Bit's kubernetes filter makes them; 2 are read."""
    pods = [f"datanode-{number:05x}" for number in range(40)]

    def wrapped(i: int, record: Record) -> Record:
        pod = pods[i % len(pods)]
        return {
            "log": record["message"],
            "component": record["component"],
            "stream": "stdout",
            "logtag": "F",
            "time": "2020-09-13T12:26:40.123456789Z",
            "level": record["level"],
            "kubernetes": {
                "pod_name": pod,
                "namespace_name": "storage",
                "pod_id": "6f1e1ee1-7ae0-4c43-a5b9-0d3a3e6c2b0f",
                "pod_ip": "10.42.0.17",
                "host": f"worker-{i % 7}",
                "container_name": "datanode",
                "docker_id": "9f8d7c6b5a4938271605f4e3d2c1b0a99f8d7c6b5a4938271605f4e3d2c1b0a9",
                "container_hash": "registry.example/hdfs@sha256:0a1b2c3d4e5f",
                "container_image": "registry.example/hdfs:3.4",
                "labels": {
                    "app": "hdfs",
                    "role": "datanode",
                    "release": "stable",
                    "controller-revision-hash": "datanode-5d8c7b9f",
                    "statefulset.kubernetes.io/pod-name": pod,
                },
                "annotations": {"checksum/config": "8d7f", "prometheus.io/scrape": "true"},
            },
        }

    records = [wrapped(i, record) for i, record in enumerate(hdfs)]
    config = {"message_field": "log"}
    frames = frames_of(records, times_ns=times_ns)
    return Load("kubernetes", frames, len(records), _hdfs, config)


def whole_lines(hdfs: list[Record], times_ns: Sequence[int]) -> Load:
    """HDFS in lines of text, each with a header and a time in milliseconds that the service reads.

    Lines of the same second come a millisecond after one another.
    """
    records = []
    for second_ns, group in itertools.groupby(range(len(hdfs)), times_ns.__getitem__):
        clock = datetime.fromtimestamp(second_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for number, i in enumerate(group):
            record = hdfs[i]
            head = f"{clock},{min(number, 999):03} {record['level']} [{record['id']}]"
            records.append({"message": f"{head} {record['component']}: {record['message']}"})
    header = r"(?<time>[\d-]+ [\d:,]+) (?<level>[A-Z]+) \[\d+\] (?<component>\S+):"
    config = {"line_format": rf"{header} (?<message>.*)"}
    return Load("whole_lines", frames_of(records, times_ns=times_ns), len(records), _hdfs, config)


def many_keys(keys: int) -> Load:
    """Three events for each of very many keys."""
    texts = ["job <id> taken", "job <id> started", "job <id> done"]
    leaves = [Leaf(text, "job", text.split()[-1], "ok") for text in texts]
    made = random.Random(SEED)

    def lines() -> Iterator[list[Record]]:
        for number in range(keys):
            yield [{"message": text.replace("<id>", f"j-{number}")} for text in texts]

    records = list(_mixed(lines(), made))
    settings = InputSettings(session_key=("/job (\\S+)/",))

    def bundle() -> Bundle:
        found = fitted("jobs", leaves, [(0, 1, 2)], settings)
        return replace(found, session_settings=SessionSettings(idle_timeout=60.0))

    return Load("many_keys", frames_of(records), len(records), bundle)


def long_sessions(hdfs: list[Record], times_ns: Sequence[int], sessions: int) -> Load:
    """Few sessions of very many events: the blocks of HDFS, one after the other, under one name.

    Each has the pauses of its part of HDFS, and all begin at the same time.
    """
    made = random.Random(SEED)

    def events_of(number: int) -> Iterator[tuple[int, int, Record]]:
        start = made.randrange(len(hdfs) - _LONG)
        name = f"blk_{number + 1}"
        for i in range(start, start + _LONG):
            message = re.sub(r"blk_-?[0-9]+", name, hdfs[i]["message"])
            time_ns = _START_S * 10**9 + times_ns[i] - times_ns[start]
            yield time_ns, number, {**hdfs[i], "message": message}

    mixed = list(heapq.merge(*map(events_of, range(sessions)), key=itemgetter(0)))
    records = [record for _, _, record in mixed]
    frames = frames_of(records, times_ns=[time_ns for time_ns, _, _ in mixed])
    return Load("long_sessions", frames, len(records), _hdfs, {"max_events": 20_000})


def single_records(hdfs: list[Record], times_ns: Sequence[int]) -> Load:
    """HDFS, every record in a chunk of its own."""
    return Load("one_record_chunks", frames_of(hdfs, 1, times_ns), len(hdfs), _hdfs)


def _hdfs() -> Bundle:
    return load_bundle("hdfs")


def _mixed(sessions: Iterator[list[Record]], made: random.Random) -> Iterator[Record]:
    """Records of `_MIXED` sessions at a time, each session's in their order."""
    running: list[Iterator[Record]] = []
    while True:
        while len(running) < _MIXED:
            lines = next(sessions, None)
            if lines is None:
                break
            running.append(iter(lines))
        if not running:
            return
        at = made.randrange(len(running))
        record = next(running[at], None)
        if record is None:
            running[at] = running[-1]
            running.pop()
        else:
            yield record
