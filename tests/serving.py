"""`fluent-krone serve` as a process of its own, and a receiver of its alerts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from fluent_krone.transport.forward import Chunk
from fluent_krone.transport.server import ForwardServer, ServerSettings

REPOSITORY = Path(__file__).parents[1]


def text(value: Any) -> Any:
    """A decoded record with its bytes as str."""
    if isinstance(value, dict):
        return {text(key): text(part) for key, part in value.items()}
    if isinstance(value, list):
        return [text(part) for part in value]
    return value.decode() if isinstance(value, bytes) else value


class Receiver:
    """Where alerts go: an inlet for a Forward server of ours that acks them."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, dict[str, Any]]] = []  # tag and record
        self.arrival = asyncio.Event()

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        for _, record in chunk.events():
            self.alerts.append((chunk.tag, text(record)))
        ack()
        self.arrival.set()

    async def flush(self) -> None: ...


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, list[str]]]:
    """A receiver of alerts, and the flags of `serve` that send them there."""
    receiver, server = Receiver(), ForwardServer(ServerSettings(port=0))
    await server.start(receiver)
    try:
        yield receiver, ["--alert-host=127.0.0.1", f"--alert-port={server.port}"]
    finally:
        await server.close()


@dataclass
class Served:
    """A running `serve`. `log` is complete once it has stopped."""

    process: asyncio.subprocess.Process
    listening: str
    metrics: str = ""
    log: str = ""

    @property
    def port(self) -> int:
        return int(self.listening.split("port=")[1].split()[0])

    @property
    def metrics_port(self) -> int:
        return int(self.metrics.split("127.0.0.1:")[1].split("/")[0])

    async def kill(self) -> None:
        """SIGKILL: it ends here and now."""
        self.process.kill()
        await self.process.wait()

    def resident_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def serving(bundle: Path, *flags: str, **env: str) -> AsyncIterator[Served]:
    """Run `serve` on a free port; at the end SIGTERM stops it, and it judges what is open."""
    # Each alert for itself, unless a test is about incidents.
    arguments = ["--bundle", str(bundle), "--port", "0", "--on-shutdown", "judge"]
    arguments += ["--alerts", "session", *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "fluent_krone", "serve", *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
    )
    assert process.stderr is not None
    served = Served(process, await _line(process.stderr, "listening"))
    if "--metrics=true" in flags:
        served.metrics = await _line(process.stderr, "metrics at")
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield served
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        served.log = (await asyncio.wait_for(reading, 60)).decode()
        await process.wait()
    assert process.returncode in (0, -signal.SIGKILL)


def command(*arguments: str) -> str:
    """Run a command of `fluent-krone` as a process that must end well; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fluent_krone", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def until(holds: Callable[[], bool], within_s: float = 30) -> None:
    """Wait until a condition holds; raises TimeoutError where it takes longer than `within_s`."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


async def send_frames(port: int, frames: Iterable[bytes]) -> None:
    """Send frames one by one, each when the one before was acked by its own id."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    unpacker = msgpack.Unpacker()
    for frame in frames:
        writer.write(frame)
        unpacker.feed(await asyncio.wait_for(reader.read(4096), 30))
        assert next(unpacker)["ack"] == msgpack.unpackb(frame)[-1]["chunk"]
    writer.close()


async def _line(lines: asyncio.StreamReader, words: str) -> str:
    seen: list[str] = []
    while words not in (line := (await asyncio.wait_for(lines.readline(), 30)).decode()):
        seen.append(line)
        assert line, f"serve ended: {''.join(seen)}"
    return line


async def http_get(port: int, path: str) -> tuple[int, str]:
    """Status and body of one HTTP request to the loopback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


def samples(exposition: str, names: Sequence[str]) -> list[float]:
    """Values of these samples, labels included in the name, in a /metrics page."""
    values = dict(
        line.rsplit(" ", 1) for line in exposition.splitlines() if not line.startswith("#")
    )
    return [float(values[name]) for name in names]
