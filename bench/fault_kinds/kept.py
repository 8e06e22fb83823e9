"""Kept records, looked for one by one: what went in by its number, and what came back."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_krone.detect.bundle import Bundle
from fluent_krone.reading.records import RecordReader
from fluent_krone.transport.forward import Chunk, encode_events

from .serving import Client, Receiver, Serve, text_of

# Records in a chunk: about 50 kB, so that a log gives enough chunks to kill in between.
_CHUNK = 500

Event = tuple[int, dict[str, Any]]


@dataclass
class Log:
    """The events of a log, each with its number, and the sessions that each belongs to."""

    events: list[Event]
    bundle: Bundle
    name: str
    sessions: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.bundle.input_settings
        reader = RecordReader(settings, max_message_size=2**13, max_keys=16)
        for number, (_, record) in enumerate(self.events):
            packed = {name.encode(): str(value).encode() for name, value in record.items()}
            for key in reader.read(b"app", packed)[1]:
                self.sessions.setdefault(" ".join(p.decode() for p in key), []).append(number)

    def frames(self, size: int = _CHUNK) -> list[bytes]:
        """The log as PackedForward frames, each with an id."""
        cuts = range(0, len(self.events), size)
        return [encode_events("app.hdfs", self.events[i : i + size], f"chunk-{i}") for i in cuts]


@dataclass
class Kept:
    """The records that came back, by number: their ids, and how often each came."""

    log: Log
    ids: dict[int, set[str]] = field(default_factory=dict)
    order: dict[str, list[int]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    summaries: list[Mapping[str, Any]] = field(default_factory=list)
    abnormal: set[str] = field(default_factory=set)
    repeated: int = 0

    def add(self, record: dict[str, Any]) -> None:
        """A record under the tag of kept ones."""
        if "kinds_seen" in record:
            self.summaries.append(record)
            return
        number = int(record["n"])
        came = {name: value for name, value in record.items() if not name.startswith("krone.")}
        self.changed += came != {k: str(v) for k, v in self.log.events[number][1].items()}
        if number in self.ids:
            self.repeated += 1
        else:
            self.reasons[record["krone.kept"]] += 1
            self.order.setdefault(record.get("krone.session", ""), []).append(number)
        self.ids.setdefault(number, set()).add(record["krone.record_id"])

    def alert(self, record: dict[str, Any]) -> None:
        """An alert: its session is abnormal."""
        if record["kind"] in ("sequence", "deviation"):
            self.abnormal.add(" ".join(record["session"]))

    def figures(self) -> dict[str, Any]:
        """What was kept, and what is missing."""
        wanted = {n for name in self.abnormal for n in self.log.sessions[name]}
        in_order = [numbers == sorted(numbers) for numbers in self.order.values()]
        return {
            "records": len(self.log.events),
            "kept": len(self.ids),
            "share": round(len(self.ids) / len(self.log.events), 4),
            "by_reason": dict(self.reasons),
            "abnormal_sessions": len(self.abnormal),
            "their_records": len(wanted),
            "lost": len(wanted - self.ids.keys()),
            "sessions_out_of_order": in_order.count(False),
            "changed": self.changed,
            "under_two_ids": sum(len(ids) > 1 for ids in self.ids.values()),
            "sent_again_under_the_same_id": self.repeated,
            "summaries": len(self.summaries),
            "counted_in_summaries": sum(s["records"] for s in self.summaries),
        }


class KeepReceiver(Receiver):
    """Where `serve` sends alerts and kept records."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.delay_s = 0.0
        self.port = 0
        self._server = None

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        for _, record in chunk.events():
            if chunk.tag.startswith("keep."):
                self.kept.add(text_of(record))
            else:
                self.kept.alert(text_of(record))
        ack()


@dataclass
class Rig:
    """One run of `serve` with its receiver and a client."""

    serve: Serve
    receiver: KeepReceiver
    client: Client

    async def stop(self) -> dict[str, Any]:
        """Stop as an operator would: what is open is judged, and all is delivered."""

        await self.client.close()
        await self.serve.end(signal.SIGTERM)
        assert self.serve.process is not None and self.serve.process.returncode == 0, (
            self.serve.told()[-2000:]
        )
        return self.receiver.kept.figures()


@contextlib.asynccontextmanager
async def serving(log: Log, *flags: str, folder: Path | None = None) -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as made:
        receiver = KeepReceiver(Kept(log))
        await receiver.up()
        serve = Serve(
            folder or Path(made),
            log.name,
            receiver.port,
            "--keep",
            "--keep-summary=3600",
            "--on-shutdown=judge",
            *flags,
        )
        serve.log = Path(made) / "serve.log"
        await serve.start()
        client = Client(serve)
        try:
            yield Rig(serve, receiver, client)
        finally:
            await client.close()
            if serve.process is not None and serve.process.returncode is None:
                await serve.end()
            await receiver.down()
