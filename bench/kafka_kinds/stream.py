"""The log that is judged: real HDFS lines without keys, and a tail for each partition."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fluent_krone.inputs import read_events

# Partitions of the keyed topic: more than instances, so that each has several.
PARTITIONS = 6
_MS = 1_000_000
# Records of a tail. The first ones leap ahead and are doubted, until enough agree.
_TAIL = 40
# Milliseconds from the last record to the tail: more than the bundle's idle timeout of 14 hours.
_TAIL_AFTER_MS = 15 * 3_600_000
# Milliseconds between two records of it: ten minutes lie between the first and the last. After that
# a stream is believed although only one of its sources has gone on.
_TAIL_STEP_MS = 20_000
# The name of sessions of tails; they stay open, and are no part of any comparison.
TAIL = "blk_90000000000000"

Message = tuple[int, str | None, bytes]


def log_of(path: Path, count: int | None) -> list[Message]:
    """The first records of a log, as a producer without keys would send them."""
    found: list[Message] = []
    for time_ns, record in itertools.islice(read_events(path), count):
        fields = {name: record[name].decode() for name in (b"level", b"component", b"message")}
        value = json.dumps({name.decode(): text for name, text in fields.items()})
        found.append(((time_ns or 0) // _MS, None, value.encode()))
    return found


def tail_of(log: list[Message], partition: int) -> Iterator[Message]:
    """Records of one session after which all others of the partition have ended."""
    begin_ms = max(message[0] for message in log) + _TAIL_AFTER_MS
    for number in range(_TAIL):
        fields = {
            "level": "INFO",
            "component": "dfs.DataNode$PacketResponder:",
            "message": f"PacketResponder 1 for block {TAIL}{partition} terminating",
        }
        yield begin_ms + _TAIL_STEP_MS * number, None, json.dumps(fields).encode()


def is_of_tail(alert: dict[str, Any]) -> bool:
    """Whether an alert is about a tail."""
    return any(part.startswith(TAIL) for part in alert["session"])
