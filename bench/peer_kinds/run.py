"""One case: `serve` between a peer that sends and a peer that receives."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fault_kinds.serving import COMMAND, ENVIRONMENT
from serving import free_port

from fluent_krone.transport.forward import Chunk
from fluent_krone.transport.server import ForwardServer, ServerSettings

if TYPE_CHECKING:
    from .cases import Case

# How a line of HDFS is read, wherever it comes from.
READING = [
    r"--line-format=^(?P<time>\d{6} \d{6}) (?P<id>\d+) (?P<level>[A-Z]+) "
    r"(?P<component>[^ ]+): (?P<message>.*)$",
    *("--time-field=time", "--time-format=%y%m%d %H%M%S"),
]
# Seconds without a new record after which a case is over, whatever is missing.
_QUIET_S = 15.0


def replayed(lines: Sequence[str], folder: Path) -> set[str]:
    """The alert ids of a replay."""
    log = folder / "lines.jsonl"
    log.write_text("".join(json.dumps({"log": line}) + "\n" for line in lines))
    alerts = folder / "replayed.jsonl"
    flags = ["--bundle=hdfs", f"--input={log}", f"--alerts={alerts}", "--message-field=log"]
    subprocess.run(
        [*COMMAND, "replay", *flags, *READING], env=ENVIRONMENT, check=True, capture_output=True
    )
    return {json.loads(line)["alert_id"] for line in alerts.read_text().splitlines()}


class Run:
    """What a case has at hand: `serve`, a receiver of alerts, a directory for the peer."""

    def __init__(self, directory: Path, lines: list[str], expected: set[str]) -> None:
        self.directory = directory
        self.lines = lines
        self.expected = expected
        self.port = free_port()
        self.alerts: Counter[str] = Counter()
        self.notes = ""
        self.flags: list[str] = []
        self._metrics_port = free_port()
        self._serve: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []
        self._receiver: ForwardServer | None = None
        # Records counted by earlier processes of `serve`, when it was restarted.
        self._records_before = 0.0
        self.records = 0.0
        self.wanted = len(lines)

    async def play(self, case: Case) -> None:
        """Run a case and stop all it started."""
        try:
            await case.play(self)
        finally:
            for process in [self._serve, *self._others]:
                if process is not None and process.poll() is None:
                    process.kill()
                    process.wait()
            if self._receiver is not None:
                await self._receiver.close()

    def outcome(self) -> dict[str, object]:
        """Whether the alerts are right, and what is missing or too much."""
        missing = len(self.expected - set(self.alerts))
        extra = len(set(self.alerts) - self.expected)
        repeated = sum(self.alerts.values()) - len(self.alerts)
        same = not missing and not extra and int(self.records) == self.wanted
        return {
            "result": "same" if same else "DIFFERS",
            "records": f"{int(self.records)}/{self.wanted}",
            "missing": missing,
            "extra": extra,
            "repeated": repeated,
            "notes": self.notes,
        }

    # -- serve

    async def receive(self) -> None:
        """Receive alerts ourselves; a case with another receiver does not call this."""
        self._receiver = ForwardServer(ServerSettings(port=0))
        await self._receiver.start(self)
        self.flags += ["--alert-host=127.0.0.1", f"--alert-port={self._receiver.port}"]

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        for _, record in chunk.events():
            self.alerts[record[b"alert_id"].decode()] += 1
        ack()

    async def flush(self) -> None: ...

    async def serve(self, *flags: str) -> None:
        """Start `serve`; return when it listens."""
        self.flags += flags
        arguments = [
            *("--bundle=hdfs", f"--port={self.port}", "--on-shutdown=judge", "--metrics=true"),
            # Each alert is compared with that of a replay.
            "--alerts=session",
            *(f"--metrics-port={self._metrics_port}", "--message-field=log", *READING, *self.flags),
        ]
        log = (self.directory / "serve.log").open("ab")
        self._serve = subprocess.Popen(
            [*COMMAND, "serve", *arguments], env=ENVIRONMENT, stdout=log, stderr=log
        )
        await self._until(lambda: self._metric("fluent_krone_connections_total") is not None)

    async def stop_serve(self, signum: int = signal.SIGTERM) -> None:
        """End `serve`; in good order it judges what is open and delivers the last alerts."""
        assert self._serve is not None
        self._serve.send_signal(signum)
        while self._serve.poll() is None:
            await asyncio.sleep(0.05)

    async def restart_serve(self, signum: int) -> None:
        """End `serve` by this signal and start it again with the same store."""
        now = self._metric("fluent_krone_records_total") or 0.0
        await self.stop_serve(signum)
        self._records_before += now
        await self.serve()

    async def taken(self, at_least: int, quiet_s: float = _QUIET_S) -> None:
        """Return when `at_least` records have been taken, or none has come for a while."""
        since = time.monotonic()
        while self.records < at_least and time.monotonic() - since < quiet_s:
            before = self.records
            now = self._metric("fluent_krone_records_total")
            if now is not None:
                self.records = self._records_before + now
            if self.records != before:
                since = time.monotonic()
            await asyncio.sleep(0.1)

    async def finish(self) -> None:
        """Wait for all records, and a little for what would be too much; end `serve`."""
        await self.taken(self.wanted)
        await self.taken(self.wanted + 1, quiet_s=2)
        await self.stop_serve()

    def _metric(self, name: str) -> float | None:
        try:
            url = f"http://127.0.0.1:{self._metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as answer:
                page = answer.read().decode()
        except OSError:
            return None
        for line in page.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        return None

    # -- other programs

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a peer; its output goes to a file, and it is killed at the end of the case."""
        log = (self.directory / f"{Path(command[0]).name}.log").open("ab")
        process = subprocess.Popen(
            command, cwd=self.directory, env=os.environ | environment, stdout=log, stderr=log
        )
        self._others.append(process)
        return process

    async def stop(self, process: subprocess.Popen[bytes], signum: int = signal.SIGTERM) -> None:
        process.send_signal(signum)
        while process.poll() is None:
            await asyncio.sleep(0.05)

    def write_log(self, name: str = "app.log", lines: Sequence[str] | None = None) -> Path:
        """Write lines (all unless given) to a file that a peer tails."""
        path = self.directory / name
        path.write_text("".join(line + "\n" for line in (self.lines if lines is None else lines)))
        return path

    def count_alerts(self, path: Path) -> None:
        """Count the alerts that a peer wrote, as JSON objects anywhere in its lines."""
        for line in path.read_text(errors="replace").splitlines():
            start = line.find("{")
            if start >= 0 and '"alert_id"' in line:
                self._count(json.JSONDecoder().raw_decode(line, start)[0])

    def _count(self, value: object) -> None:
        if isinstance(value, dict):
            if "alert_id" in value:
                self.alerts[value["alert_id"]] += 1
            for part in value.values():
                self._count(part)

    async def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            if self._serve is not None and self._serve.poll() is not None:
                raise RuntimeError((self.directory / "serve.log").read_text()[-400:])
            if time.monotonic() > deadline:
                raise TimeoutError("waited for 60 s")
            await asyncio.sleep(0.1)
