"""A running `serve`, the receiver of its alerts, and a client that sends until it is acked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import checkout
from machine import resident_bytes

from fluent_krone.transport.forward import Chunk, ForwardDecoder
from fluent_krone.transport.server import ForwardServer, ServerSettings

from .outcome import RunOutcome

# This checkout's command, run by the interpreter that runs the bench.
COMMAND = [sys.executable, "-m", "fluent_krone"]
# UTC, because the log's times carry no zone.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(checkout.REPOSITORY), "TZ": "UTC"}


class Receiver:
    """Where `serve` sends its alerts: it may be away, or slow."""

    def __init__(self, outcome: RunOutcome) -> None:
        self.outcome = outcome
        self.delay_s = 0.0
        self.port = 0
        self._server: ForwardServer | None = None

    async def up(self) -> None:
        self._server = ForwardServer(ServerSettings(port=self.port))
        await self._server.start(self)
        self.port = self._server.port

    async def down(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        await asyncio.sleep(self.delay_s)
        for _, record in chunk.events():
            self.outcome.add(text_of(record))
        ack()

    async def flush(self) -> None: ...


def text_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {text_of(key): text_of(part) for key, part in value.items()}
    if isinstance(value, list):
        return [text_of(part) for part in value]
    if isinstance(value, bytes):
        return value.decode()
    return value


class Serve:
    """`fluent-krone serve` as a process, started again after each end over the same store."""

    def __init__(self, folder: Path, bundle: str, alert_port: int, *flags: str) -> None:
        self.store = folder / "store" / "krone.db"
        self.log = folder / "serve.log"
        self._flags = [
            "--bundle",
            bundle,
            "--store",
            str(self.store),
            "--port",
            "0",
            # Each alert is compared with that of a replay.
            "--alerts",
            "session",
            "--alert-host",
            "127.0.0.1",
        ]
        self._flags += ["--alert-port", str(alert_port), *flags]
        self.process: asyncio.subprocess.Process | None = None
        self.port = 0
        self.starts = 0

    async def start(self) -> None:
        with self.log.open("ab") as log:
            offset = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *COMMAND, "serve", *self._flags, stderr=log, env=ENVIRONMENT
            )
        self.starts += 1
        while not (found := re.search(rb"listening .*port=(\d+)", self.log.read_bytes()[offset:])):
            if self.process.returncode is not None:
                raise RuntimeError(f"serve ended: {self.told(offset)[-500:]}")
            await asyncio.sleep(0.01)
        self.port = int(found[1])

    def set_flag(self, name: str, value: str) -> None:
        """Give a flag another value from the next start on."""
        self._flags[self._flags.index(name) + 1] = value

    async def end(self, signum: int = signal.SIGKILL) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signum)
        await self.process.wait()

    def told(self, offset: int = 0) -> str:
        return self.log.read_text()[offset:]

    def resident(self) -> float:
        """Megabytes."""
        assert self.process is not None
        return resident_bytes(self.process.pid) / 1e6


class Client:
    """Sends chunks one by one, each until it is acked. A broken connection is opened again."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._writer: asyncio.StreamWriter | None = None
        self.sent_again = 0
        # Longer than any fault lasts: a time-out here would hide a chunk that is never acked.
        self.wait_s = 180.0

    async def send(self, frame: bytes) -> None:
        while not await self._try(frame):
            await asyncio.sleep(0.01)

    async def _try(self, frame: bytes) -> bool:
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(
                    "127.0.0.1", self._serve.port
                )
            self._writer.write(frame)
            decoder = ForwardDecoder()
            acks: list[Any] = []
            while not acks:
                data = await asyncio.wait_for(self._reader.read(4096), self.wait_s)
                if not data:
                    raise ConnectionResetError
                acks = decoder.feed(data)
            return True
        except (OSError, TimeoutError):
            self.sent_again += self._writer is not None
            await self.close()
            return False

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def press(
    serve: Serve, frames: Iterator[bytes], acked: list[bytes], end: asyncio.Event
) -> None:
    """One of several clients that send what is left, until the `end`."""
    client = Client(serve)
    while not end.is_set():
        frame = next(frames, None)
        if frame is None:
            break
        await client.send(frame)
        acked.append(frame)
    await client.close()
