"""What a record costs at the Kafka input, beside the Forward input with its store, in CPU time."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from loads import send_until_acked
from machine import cpu_s

from fluent_krone.transport.forward import encode_events
from kafka_kinds.compare import Reference
from kafka_kinds.stages import LEAST_SHARE, TIMES, Setting, again

# Records in a chunk, and chunks on their way at the same time: as Fluentd sends a busy log.
_CHUNK = 5_000
_IN_FLIGHT = 4
# Rounds of both inputs in turns.
_ROUNDS = 3


def rates(setting: Setting, reference: Reference) -> dict[str, Any]:
    """Records per second of CPU time at both inputs, one process each, in a stream without alerts.

    Alerts are few in a real stream, and cost something else at each input: the Forward input also
    delivers them, and remembers them in the knowledge file.
    """
    flagged = {part for alert in reference.alerts for part in alert["session"]}
    messages = [
        message
        for message in setting.rig(1).read(setting.keyed)
        if message.key() is not None and message.key().decode() not in flagged
    ]
    # In the order of their times, as one stream has them.
    in_order = sorted(messages, key=lambda message: message.timestamp()[1])
    # In turns, and the best of each: what else the machine does only ever makes a round slower.
    kafka = forward = keep = annotate = 0.0
    for _ in range(_ROUNDS):
        kafka = max(kafka, _kafka(setting, messages))
        forward = max(forward, _forward(setting, in_order))
        keep = max(keep, _kafka(setting, messages, "--keep"))
        annotate = max(annotate, _kafka(setting, messages, "--annotate"))
    share = kafka / forward
    setting.must(
        share >= LEAST_SHARE, f"the Kafka input's rate is {share:.2f} of the Forward input's"
    )
    return {
        "records": TIMES * len(messages),
        "kafka_records_per_cpu_s": round(kafka),
        "forward_records_per_cpu_s": round(forward),
        "share": round(share, 2),
        "with_keep": round(keep / kafka, 2),
        "with_annotate": round(annotate / kafka, 2),
    }


def _kafka(setting: Setting, messages: list[Any], *flags: str) -> float:
    rig = setting.rig()
    for number in range(TIMES):
        rig.produce(again(messages, number))
    instance = rig.start("--log-level", "warn", *flags)
    whole = TIMES * len(messages)
    rig.wait(lambda: 0 <= rig.lag() < whole, "the first commit")
    # What the start costs is the same at both inputs, and no part of the rate.
    before = cpu_s(instance.pid)
    left = rig.lag()
    rig.caught_up()
    spent = cpu_s(instance.pid) - before
    rig.stop()
    return left / spent


def _forward(setting: Setting, messages: list[Any]) -> float:
    frames = []
    count = 0
    for number in range(TIMES):
        events = [(at * 10**6, json.loads(value)) for at, _, value in again(messages, number)]
        count += len(events)
        cuts = range(0, len(events), _CHUNK)
        frames += [
            encode_events("logs", events[cut : cut + _CHUNK], f"{number}-{cut}") for cut in cuts
        ]
    command = [sys.executable, "-m", "fluent_krone", "serve", "--port", "0"]
    command += ["--bundle", str(setting.bundle_path), "--alerts", "session"]
    command += ["--store", str(setting.folder / f"{uuid.uuid4().hex}.db")]
    serve = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serve.stderr is not None
    port = 0
    while not port:
        found = re.search(r"listening .*port=(\d+)", serve.stderr.readline())
        port = int(found[1]) if found else 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        # The first chunk warms up, as the first commit does at the other input.
        send_until_acked(connection, frames[:1], _IN_FLIGHT)
        before = cpu_s(serve.pid)
        send_until_acked(connection, frames[1:], _IN_FLIGHT)
        spent = cpu_s(serve.pid) - before
    serve.terminate()
    time.sleep(0.1)
    serve.communicate(timeout=60)
    return (count - _CHUNK) / spent
