"""What faults cost: sessions, verdicts and alerts after kills and full disks, beside an undisturbed run.

Every session is compared: those that gave an alert by the whole record, those still open by all their events. `serve`
runs as a process and gets a real log over the Forward protocol, one chunk in flight; `@type krone` runs in a real
Fluentd, where there is a `fluentd` command.

    python bench/faults.py [--data ../shared/data/hdfs_raw] [--only kills,full_disk,…] [--kills 200] [--quick] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # this checkout, whatever is installed

from fluent_krone.alerts.records import AlertMaker  # noqa: E402
from fluent_krone.config import Config  # noqa: E402
from fluent_krone.detect.bundle import Bundle, load_bundle  # noqa: E402
from fluent_krone.inputs import read_events  # noqa: E402
from fluent_krone.runtime.store import Store  # noqa: E402
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_events  # noqa: E402
from fluent_krone.transport.server import ForwardServer, ServerSettings  # noqa: E402

COMMAND = [sys.executable, "-m", "fluent_krone"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(REPOSITORY), "TZ": "UTC"}
FIELDS = ("id", "level", "component", "message")  # what in_tail's parser would give
FLUENTD = shutil.which("fluentd")
Events = list[tuple[int, dict[str, str]]]
Alerts = dict[str, Any]  # alert id → its record


@dataclass
class Outcome:
    """What a run came to: alerts as they arrived, and what the store held in the end."""

    arrived: Counter[str] = field(default_factory=Counter)
    alerts: Alerts = field(default_factory=dict)
    sessions: dict[str, Any] = field(
        default_factory=dict
    )  # key → instances, first times, events of the open one
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        self.arrived[record["alert_id"]] += 1
        if self.alerts.setdefault(record["alert_id"], record) != record:
            self.notes["repeats_that_differ"] = self.notes.get("repeats_that_differ", 0) + 1

    def finish(self, store: Path, bundle: Bundle) -> Outcome:
        """Read what the store holds, and judge it."""
        held, engine = Store(store), bundle.engine()
        engine.restore(held.load() or {})
        self.notes["alerts_in_store"] = len(held.alerts())
        for alert in held.alerts():
            self.add(dict(alert.record))
        held.close()
        for key, *counts in engine.snapshot()["started"]:
            self.sessions.setdefault(_name(key), []).append(counts)
        for session in engine.sessions.open.values():
            about = (session.first_ns, session.instance, session.ordinal, session.alerted)
            self.sessions[_name(session.key)].append([*about, list(session.keys), session.lines])
        maker = AlertMaker(bundle, Config())
        for alert in map(maker.make, engine.finish()):
            self.alerts[alert.alert_id] = dict(alert.record)
        return self

    def beside(self, whole: Outcome) -> dict[str, Any]:
        """The figures: what is lost or other than in the undisturbed run."""
        return {
            "sessions": len(whole.sessions),
            "sessions_lost": len(whole.sessions.keys() - self.sessions.keys()),
            "sessions_different": sum(
                whole.sessions[key] != self.sessions.get(key) for key in whole.sessions
            ),
            "alerts": len(whole.alerts),
            "alerts_lost": len(whole.alerts.keys() - self.alerts.keys()),
            "alerts_new": len(self.alerts.keys() - whole.alerts.keys()),
            "verdicts_different": sum(
                a != self.alerts[i] for i, a in whole.alerts.items() if i in self.alerts
            ),
            "repeated_with_the_same_id": sum(count - 1 for count in self.arrived.values()),
            **self.notes,
        }


def _name(key: Sequence[bytes]) -> str:
    return " ".join(part.decode() for part in key)


class Receiver:
    """Where `serve` sends its alerts: it may be away, or slow."""

    def __init__(self, outcome: Outcome) -> None:
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

    async def take(self, chunk: Chunk, ack: Callable[[], None]) -> None:
        await asyncio.sleep(self.delay_s)
        for _, record in chunk.events():
            self.outcome.add(_text(record))
        ack()

    async def flush(self) -> None: ...


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _text(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_text(part) for part in value]
    return value.decode() if isinstance(value, bytes) else value


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
        return (
            int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            * resource.getpagesize()
            / 1e6
        )


class Client:
    """Sends chunks one by one, each until it is acked, over a connection made anew whenever it breaks."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._writer: asyncio.StreamWriter | None = None
        self.sent_again = 0
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


async def _press(serve: Serve, frames: Iterator[bytes], acked: list[bytes]) -> None:
    """One of several clients that send what is left."""
    client = Client(serve)
    for frame in frames:
        await client.send(frame)
        acked.append(frame)
    await client.close()


@dataclass
class Rig:
    """One run of `serve`: a folder, a receiver, a client."""

    serve: Serve
    receiver: Receiver
    client: Client
    outcome: Outcome


class Bench:
    """The log, its undisturbed run, and the faults: each method that a name of `FAULTS` names is one."""

    def __init__(
        self, events: Events, bundle: str, *, chunk: int, seed: int, kills: int, pause_s: float
    ) -> None:
        self.events = events
        self.bundle_name, self.bundle = bundle, load_bundle(bundle)
        cuts = range(0, len(events), chunk)
        self.frames = [encode_events("app.hdfs", events[i : i + chunk], f"chunk-{i}") for i in cuts]
        self.random = random.Random(seed)
        self.kills_wanted = kills
        self.pause_s = pause_s  # how long a disk is full, a receiver away
        self.whole = Outcome()
        self.ack_s = 0.05  # what a chunk takes, found in the undisturbed run

    @contextlib.asynccontextmanager
    async def rig(self, *flags: str, folder: Path | None = None) -> AsyncIterator[Rig]:
        with tempfile.TemporaryDirectory() as made:
            outcome = Outcome()
            receiver = Receiver(outcome)
            await receiver.up()
            serve = Serve(Path(made), self.bundle_name, receiver.port, *flags)
            if folder is not None:
                serve.store = folder / "krone.db"
                serve._flags[serve._flags.index("--store") + 1] = str(serve.store)
            client = Client(serve)
            await serve.start()
            try:
                yield Rig(serve, receiver, client, outcome)
            finally:
                await client.close()
                if serve.process is not None and serve.process.returncode is None:
                    await serve.end()
                await receiver.down()

    async def stop(self, rig: Rig) -> Outcome:
        """Stop as an operator would, and read the store."""
        await rig.client.close()
        await rig.serve.end(signal.SIGTERM)
        assert rig.serve.process is not None and rig.serve.process.returncode == 0, (
            rig.serve.told()[-1000:]
        )
        rig.outcome.notes["chunks_sent_again"] = rig.client.sent_again
        return rig.outcome.finish(rig.serve.store, self.bundle)

    async def undisturbed(self) -> Outcome:
        async with self.rig() as rig:
            began = time.monotonic()
            for frame in self.frames:
                await rig.client.send(frame)
            self.ack_s = (time.monotonic() - began) / len(self.frames)
            return await self.stop(rig)

    # -- faults of the process

    async def kills(self) -> dict[str, Any]:
        """SIGKILL at random moments, each while a chunk is in flight."""
        return await self._ended(signal.SIGKILL, self.kills_wanted)

    async def terms(self) -> dict[str, Any]:
        """SIGTERM at random moments: a stop keeps what is open."""
        return await self._ended(signal.SIGTERM, max(self.kills_wanted // 20, 2))

    async def _ended(self, signum: int, count: int) -> dict[str, Any]:
        at = Counter(self.random.choices(range(len(self.frames)), k=count))
        async with self.rig() as rig:
            for number, frame in enumerate(self.frames):
                sending = asyncio.create_task(rig.client.send(frame))
                for _ in range(at[number]):
                    await asyncio.sleep(self.random.uniform(0, 1.3 * self.ack_s))
                    await rig.serve.end(signum)
                    await rig.serve.start()
                await sending
            ends = rig.serve.starts - 1
            return (await self.stop(rig)).beside(self.whole) | {"ends": ends}

    # -- faults of the store

    async def full_disk(self) -> dict[str, Any]:
        """The store's file system is full for a while."""
        with _tiny_disk(max(64, len(self.events) // 2000)) as folder:
            if folder is None:
                return {"skipped": "mounting a file system takes root"}
            ballast = folder / "ballast"

            def fill() -> None:
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while file.write(bytes(2**16)):
                        pass

            return await self._unwritable(fill, ballast.unlink, folder)

    async def file_limit(self) -> dict[str, Any]:
        """Every write to a file fails: what a full disk looks like without root."""
        return await self._unwritable(lambda: 0, None)

    async def read_only(self) -> dict[str, Any]:
        """The store's files become immutable under the running process."""
        folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
        try:

            def chattr(flag: str) -> None:
                files = map(str, folder.iterdir())
                subprocess.run(["chattr", flag, *files], check=True, capture_output=True)

            try:
                (folder / "x").touch()
                chattr("+i")
                chattr("-i")
            except (OSError, subprocess.CalledProcessError):
                return {"skipped": "chattr +i takes root and a file system that knows it"}
            return await self._unwritable(lambda: chattr("+i"), lambda: chattr("-i"), folder)
        finally:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                chattr("-i")  # whatever broke off
            shutil.rmtree(folder)

    async def _unwritable(
        self,
        forbid: Callable[[], object],
        allow: Callable[[], object] | None,
        folder: Path | None = None,
    ) -> dict[str, Any]:
        async with self.rig(folder=folder) as rig:
            early = (
                len(self.frames) // 10
            )  # SQLite's log has not had its full size yet: it must grow
            for frame in self.frames[:early]:
                await rig.client.send(frame)
            assert rig.serve.process is not None
            pid = rig.serve.process.pid
            if allow is None:
                hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
            else:
                forbid()
            offset, before = len(rig.serve.told()), rig.serve.resident()
            acked: list[bytes] = []
            rest = iter(self.frames[early:])
            pressing = [asyncio.create_task(_press(rig.serve, rest, acked)) for _ in range(8)]
            await asyncio.sleep(self.pause_s / 2)
            stuck_at, resident = len(acked), rig.serve.resident()
            await asyncio.sleep(self.pause_s / 2)
            rig.outcome.notes |= {
                "acked_meanwhile": len(acked) - stuck_at,
                "resident_grew_mb": round(resident - before, 1),
                "and_in_the_second_half_mb": round(rig.serve.resident() - resident, 1),
                # Its log is a file too.
                "lines_told": rig.serve.told(offset).count("nothing is acked until")
                if allow
                else None,
            }
            if allow is None:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            else:
                allow()
            await asyncio.gather(*pressing)
            # Eight clients at once: their chunks are taken in an order of their own.
            return _in_any_order((await self.stop(rig)).beside(self.whole))

    async def corrupted(self) -> dict[str, Any]:
        """The store is overwritten while nobody runs, and again under the running process."""
        async with self.rig() as rig:
            third = len(self.frames) // 3
            for frame in self.frames[:third]:
                await rig.client.send(frame)
            await rig.client.close()
            await rig.serve.end()
            self._scribble(rig.serve.store)
            await rig.serve.start()
            set_aside = rig.serve.told().count("the store was set aside")
            for frame in self.frames[third : 2 * third]:
                await rig.client.send(frame)
            self._scribble(rig.serve.store)  # under the running process, which has it open
            for frame in self.frames[2 * third :]:
                await rig.client.send(frame)
            await rig.client.close()
            await rig.serve.end(signal.SIGTERM)
            assert rig.serve.process is not None
            return {
                "set_aside_at_start": set_aside,
                "set_aside_while_running": rig.serve.told().count("the store was set aside")
                - set_aside,
                "chunks_acked": len(self.frames),
                "exit_code": rig.serve.process.returncode,
                "alerts_arrived": len(rig.outcome.alerts),
            }

    def _scribble(self, store: Path) -> None:
        """Overwrite the file and its log; what a disk might do."""
        for path in store.parent.iterdir():
            with path.open("r+b") as file:
                file.write(self.random.randbytes(max(path.stat().st_size, 2**16)))

    # -- faults of the network

    async def sink_down(self) -> dict[str, Any]:
        """The alerts' receiver is away for a while, over a kill too."""
        async with self.rig() as rig:
            half = len(self.frames) // 2
            await rig.receiver.down()
            for frame in self.frames[:half]:
                await rig.client.send(frame)
            await rig.serve.end()
            await rig.serve.start()
            await asyncio.sleep(self.pause_s)
            await rig.receiver.up()
            for frame in self.frames[half:]:
                await rig.client.send(frame)
            return (await self.stop(rig)).beside(self.whole)

    async def slow_sink(self) -> dict[str, Any]:
        """The receiver takes its time, and few alerts may wait: reading stops, memory stays."""
        async with self.rig("--max-alerts", "5") as rig:
            rig.receiver.delay_s = 0.02
            began, before = time.monotonic(), rig.serve.resident()
            for frame in self.frames:
                await rig.client.send(frame)
            rig.outcome.notes["seconds"] = round(time.monotonic() - began, 1)
            rig.outcome.notes["resident_grew_mb"] = round(rig.serve.resident() - before, 1)
            return (await self.stop(rig)).beside(self.whole)

    async def duplicated(self) -> dict[str, Any]:
        """Every chunk comes twice, and all of them again after a restart."""
        async with self.rig() as rig:
            for frame in self.frames:
                await asyncio.gather(rig.client.send(frame))
                await rig.client.send(frame)
            await rig.serve.end()
            await rig.serve.start()
            for frame in self.frames:
                await rig.client.send(frame)
            return (await self.stop(rig)).beside(self.whole)

    async def reordered(self) -> dict[str, Any]:
        """Neighbouring chunks change places: nothing is lost, sessions that lie in both may differ."""
        frames, crossing = list(self.frames), set()
        size = len(self.events) // len(frames) + 1
        for i in range(0, len(frames) - 1, 10):
            frames[i], frames[i + 1] = frames[i + 1], frames[i]
            first, second = (self._keys_of(self.frames[j]) for j in (i, i + 1))
            crossing |= first & second
        async with self.rig() as rig:
            for frame in frames:
                await rig.client.send(frame)
            found = await self.stop(rig)
        different = {
            key for key, value in self.whole.sessions.items() if found.sessions.get(key) != value
        }
        figures = _in_any_order(found.beside(self.whole))
        return figures | {
            "events_a_chunk": size,
            "differ_without_reason": len(different - crossing),
        }

    def _keys_of(self, frame: bytes) -> set[str]:
        engine = self.bundle.engine()
        [chunk] = ForwardDecoder().feed(frame)
        assert isinstance(chunk, Chunk)
        return {
            _name(key) for _, record in chunk.events() for key in engine.reader.read(b"", record)[1]
        }

    async def truncated(self) -> dict[str, Any]:
        """Connections break off inside a frame, at random places; the chunk is then sent whole."""
        async with self.rig() as rig:
            for frame in self.frames:
                if self.random.random() < 0.2:
                    _, writer = await asyncio.open_connection("127.0.0.1", rig.serve.port)
                    writer.write(frame[: self.random.randrange(len(frame))])
                    await writer.drain()
                    writer.close()
                await rig.client.send(frame)
            return (await self.stop(rig)).beside(self.whole)

    # -- a real Fluentd

    def fluentd(self) -> dict[str, Any]:
        """`@type krone`: its child is killed, then Fluentd itself, over a file buffer."""
        if FLUENTD is None:
            return {"skipped": "no `fluentd` command on PATH"}
        lines = [_line(event) for event in self.events]
        child_kills, fluentd_kills = (20, 5) if self.kills_wanted >= 20 else (3, 1)
        whole = self._through_fluentd(lines, [])
        figures = {}
        for name, kills in (
            ("child_killed", ["child"] * child_kills),
            ("fluentd_killed", ["fluentd"] * fluentd_kills),
        ):
            figures[name] = self._through_fluentd(lines, kills).beside(whole)
        return figures

    def _through_fluentd(self, lines: list[str], kills: list[str]) -> Outcome:
        with tempfile.TemporaryDirectory() as made:
            fluentd = Fluentd(Path(made), KRONE_CONF, self.bundle_name)
            portions = max(len(kills), 1)
            size = len(lines) // portions + 1
            for number in range(portions):
                fluentd.append(lines[number * size : (number + 1) * size])
                if kills:
                    if kills[number] == "fluentd":
                        fluentd.wait_until_read()  # what in_tail emitted but did not note it would emit again
                    time.sleep(self.random.uniform(0, 1.0))
                    fluentd.kill(kills[number])
            fluentd.wait_until_read()
            fluentd.stop()
            outcome = Outcome()
            for record in fluentd.alerts():
                outcome.add(record)
            outcome.notes |= {
                "kills": len(kills),
                "children": fluentd.told("fluent-krone is ready"),
            }
            outcome.notes["chunks_left_in_buffer"] = len(list(Path(made).glob("buffer/*.log")))
            return outcome.finish(Path(made) / "krone.db", self.bundle)

    async def out_forward(self) -> dict[str, Any]:
        """A Fluentd's `out_forward` with acks before `serve`, which is killed: lost 0, what differs came reordered."""
        if FLUENTD is None:
            return {"skipped": "no `fluentd` command on PATH"}
        lines = [_line(event) for event in self.events]
        kills = 10 if self.kills_wanted >= 20 else 2
        whole = await self._behind_out_forward(lines, 0)
        found = await self._behind_out_forward(lines, kills)
        figures = _in_any_order(found.beside(whole))
        counted = sum(
            _same_but_for_order(whole.sessions[key], found.sessions.get(key))
            for key in whole.sessions
        )
        reordered = {
            key for key, value in whole.sessions.items() if found.sessions.get(key) != value
        }
        without_reason = len(_sessions_told_otherwise(whole, found) - reordered)
        return figures | {
            "sessions_with_all_their_events": counted,
            "differ_without_reason": without_reason,
        }

    async def _behind_out_forward(self, lines: list[str], kills: int) -> Outcome:
        # One instance a key, so that each session's events can be counted in the end.
        async with self.rig("--idle-timeout", "10000h", "--port", str(_free_port())) as rig:
            with tempfile.TemporaryDirectory() as made:
                fluentd = Fluentd(
                    Path(made), OUT_FORWARD_CONF, self.bundle_name, port=rig.serve.port
                )
                size = len(lines) // (kills + 1) + 1
                for number in range(kills + 1):
                    fluentd.append(lines[number * size : (number + 1) * size])
                    if number < kills:
                        await asyncio.sleep(self.random.uniform(0, 1.0))
                        await rig.serve.end()
                        await rig.serve.start()
                await asyncio.to_thread(fluentd.wait_until_read)
                await asyncio.to_thread(fluentd.wait_until_sent)
                await asyncio.to_thread(fluentd.stop)
                rig.outcome.notes |= {"kills": kills}
                return await self.stop(rig)

    def poison(self) -> dict[str, Any]:
        """A chunk that kills every child: it alone ends in `<secondary>`, the rest is judged."""
        if FLUENTD is None:
            return {"skipped": "no `fluentd` command on PATH"}
        lines = [_line(event) for event in self.events[:20_000]]
        with tempfile.TemporaryDirectory() as made:
            poisoned = [sys.executable, __file__, "--poisoned"]
            conf = KRONE_CONF.replace("retry_max_times 10", "retry_max_times 3")
            fluentd = Fluentd(Path(made), conf, self.bundle_name, command=poisoned)
            fluentd.append(lines[:10_000])
            fluentd.wait_until_read()
            fluentd.wait_until_sent()
            fluentd.append(
                [_line((0, {"message": POISON, "id": "1", "level": "INFO", "component": "x"}))]
            )
            fluentd.wait_for(lambda: any(Path(made).glob("rejected/*")), 300)
            fluentd.append(lines[10_000:])
            fluentd.wait_until_read()
            fluentd.wait_until_sent()
            fluentd.stop()
            rejected = sum(
                POISON in path.read_text(errors="replace") for path in Path(made).glob("rejected/*")
            )
            outcome = Outcome()
            for record in fluentd.alerts():
                outcome.add(record)
            deaths = fluentd.told("fluent-krone died")
            outcome.finish(Path(made) / "krone.db", self.bundle)
        expected = self.bundle.engine()
        packed = [
            (t, {k.encode(): v.encode() for k, v in record.items()})
            for t, record in self.events[:20_000]
        ]
        findings = expected.feed("hdfs", packed, time.time_ns()) + expected.finish()
        ids = {AlertMaker(self.bundle, Config()).make(finding).alert_id for finding in findings}
        return {
            "deaths": deaths,
            "in_secondary": rejected,
            "alerts": len(ids),
            "alerts_lost": len(ids - outcome.alerts.keys()),
            "alerts_new": len(outcome.alerts.keys() - ids),
        }


POISON = "a poison line of blk_666"

_TAIL = r"""
<source>
  @type tail
  path {dir}/app.log
  pos_file {dir}/app.pos
  read_from_head true
  refresh_interval 1
  tag hdfs
  <parse>
    @type regexp
    expression /^(?<time>\d+) (?<id>\d+) (?<level>[A-Z]+) (?<component>[^ ]+) (?<message>.*)$/
    time_format %s
  </parse>
</source>
"""
KRONE_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type krone
  command {command}
  bundle {bundle}
  store {dir}/krone.db
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_max_times 10
  </buffer>
  <secondary>
    @type secondary_file
    directory {dir}/rejected
  </secondary>
</match>
<match krone.**>
  @type file
  path {dir}/alerts
  append true
  <format>
    @type json
  </format>
  <buffer time>
    @type file
    path {dir}/alertbuffer
    flush_mode immediate
    flush_at_shutdown true
  </buffer>
</match>
"""
)
OUT_FORWARD_CONF = (
    _TAIL
    + r"""
<match hdfs>
  @type forward
  require_ack_response true
  ack_response_timeout 10
  heartbeat_type none
  keepalive true
  <server>
    host 127.0.0.1
    port {port}
  </server>
  <buffer tag>
    @type file
    path {dir}/buffer
    chunk_limit_size 256k
    flush_interval 0.2
    flush_at_shutdown true
    retry_wait 0.2
    retry_max_interval 1
    retry_forever true
  </buffer>
</match>
"""
)


class Fluentd:
    """A running Fluentd over one folder: app.log goes in."""

    def __init__(
        self,
        folder: Path,
        conf: str,
        bundle: str,
        *,
        command: Sequence[str] = COMMAND,
        port: int = 0,
    ) -> None:
        self._folder = folder
        path = folder / "fluent.conf"
        path.write_text(
            conf.format(dir=folder, bundle=bundle, command=shlex.join(command), port=port)
        )
        (folder / "app.log").touch()
        plugin_dir = REPOSITORY / "fluent_krone" / "fluentd"
        self._command = [str(FLUENTD), "--no-supervisor", "-c", str(path), "-p", str(plugin_dir)]
        self._start()

    def _start(self) -> None:
        with (self._folder / "fluentd.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT
            )

    def append(self, lines: Sequence[str]) -> None:
        with (self._folder / "app.log").open("a") as file:
            file.writelines(lines)

    def kill(self, which: str) -> None:
        """Kill the child or Fluentd itself, and wait until it is there again."""
        self.wait_for(lambda: bool(self._child()))
        ready = self.told("fluent-krone is ready")
        if which == "child":
            os.kill(self._child(), signal.SIGKILL)
        else:
            self._process.kill()
            self._process.wait()
            self._start()
        self.wait_for(lambda: self.told("fluent-krone is ready") > ready)

    def _child(self) -> int:
        found = re.findall(r"fluent-krone is ready .*\bpid=(\d+)", self._log())
        return int(found[-1]) if found else 0

    def told(self, words: str) -> int:
        return self._log().count(words)

    def _log(self) -> str:
        return (self._folder / "fluentd.log").read_text(errors="replace")

    def wait_until_read(self) -> None:
        """Until in_tail has emitted the whole file: its position says so."""
        size = (self._folder / "app.log").stat().st_size

        def position() -> int:
            path = self._folder / "app.pos"
            entries = path.read_text().split("\t") if path.exists() else []
            return int(entries[1], 16) if len(entries) > 2 else -1

        self.wait_for(lambda: position() == size)

    def wait_until_sent(self) -> None:
        self.wait_for(lambda: not any((self._folder / "buffer").glob("*.log")))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"Fluentd did not get there: {self._log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        if self._process.wait(timeout=120):
            raise RuntimeError(f"Fluentd failed: {self._log()[-2000:]}")

    def alerts(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self._folder.glob("alerts*.log")):
            yield from map(json.loads, path.read_text().splitlines())


def _line(event: tuple[int, dict[str, str]]) -> str:
    time_ns, record = event
    return f"{time_ns // 10**9} {' '.join(record[name] for name in FIELDS)}\n"


def _in_any_order(figures: dict[str, Any]) -> dict[str, Any]:
    """Where chunks came in another order, other sessions and verdicts are no loss."""
    renamed = {
        "sessions_different": "sessions_in_another_order",
        "verdicts_different": "verdicts_in_another_order",
    }
    return {renamed.get(name, name): value for name, value in figures.items()}


def _sessions_told_otherwise(one: Outcome, other: Outcome) -> set[str]:
    """Sessions with a sequence alert that only one of the two has, or has as it is. (New templates have no session.)"""
    both = one.alerts | other.alerts
    odd = (both[i] for i in both if one.alerts.get(i) != other.alerts.get(i))
    return {" ".join(alert["session"]) for alert in odd if alert["kind"] == "sequence"}


def _same_but_for_order(one: Any, other: Any) -> bool:
    return other is not None and sorted(one[-1][-2]) == sorted(other[-1][-2])


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _tiny_disk(megabytes: int) -> Iterator[Path | None]:
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount")
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def _poisoned(arguments: list[str]) -> int:
    """`fluent-krone` with a detector that one message kills: run in place of the command."""
    from fluent_krone import cli
    from fluent_krone.reading.records import RecordReader

    read = RecordReader.read

    def deadly(self: RecordReader, tag: bytes, record: Any) -> Any:
        if POISON.encode() in record.get(b"message", b""):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, tag, record)

    RecordReader.read = deadly  # type: ignore[method-assign]
    return cli.main(arguments)


FAULTS = (
    *(
        "kills",
        "terms",
        "full_disk",
        "file_limit",
        "read_only",
        "corrupted",
        "sink_down",
        "slow_sink",
    ),
    *("duplicated", "reordered", "truncated", "fluentd", "out_forward", "poison"),
)


async def run(
    bench: Bench, names: Sequence[str], show: Callable[[str, Any], None]
) -> dict[str, Any]:
    bench.whole = await bench.undisturbed()
    figures: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        outcome = getattr(bench, name)()
        figures[name] = await outcome if asyncio.iscoroutine(outcome) else outcome
        figures[name]["took_s"] = round(time.monotonic() - began, 1)
        show(name, figures[name])
    return figures


def main() -> int:
    if sys.argv[1:2] == ["--poisoned"]:
        return _poisoned(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared/data/hdfs_raw")
    parser.add_argument("--bundle", default="hdfs")
    parser.add_argument("--only", default=",".join(FAULTS), help="faults, comma-separated")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, help="no more of the log than this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--pause", type=float, default=60.0, help="seconds that a disk is full or a receiver away"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute's worth: few kills over a part of the log"
    )
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    path = flags.data / "events.parquet"
    if not path.is_file():
        sys.exit(f"bench: {path} is absent")
    if flags.quick:
        flags.events, flags.kills, flags.pause = flags.events or 10_000, min(flags.kills, 5), 0.5
    read = itertools.islice(read_events(path), flags.events)
    events = [
        (time_ns or 0, {name: record[name.encode()].decode() for name in FIELDS})
        for time_ns, record in read
    ]
    chunk = 500
    bench = Bench(
        events, flags.bundle, chunk=chunk, seed=flags.seed, kills=flags.kills, pause_s=flags.pause
    )

    def show(name: str, figures: Any) -> None:
        if not flags.json:
            print(name, json.dumps(figures), flush=True)

    figures = asyncio.run(run(bench, flags.only.split(","), show))
    if flags.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
