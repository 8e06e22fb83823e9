"""`serve` with Claude: the official client asks a local server that speaks the Messages API.

And with Claude switched off: nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from messages_api import MessagesAPI, error, slow
from serving import Receiver, Served, command, receiving, serving
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    MESSAGES,
    NORMAL,
    OPEN,
    OPENED,
    STUCK,
    T0,
    S,
    write_lift_bundle,
)

from fluent_krone.explain.ledger import verify
from fluent_krone.transport.forward import encode_events

REPOSITORY = Path(__file__).parents[2]
KEY = "sk-ant-key-of-the-tests"
# An order that no normal ride has, and no new template.
FIRE = (OPEN, GOING, OPENED, ARRIVED, CLOSE)
STUCK_TWICE = (OPEN, OPENED, GOING, STUCK, STUCK, CLOSE)


@dataclass
class Rig:
    """A running `serve`, a receiver of its alerts, and the API that it asks."""

    folder: Path
    served: Served
    receiver: Receiver
    rides: int = 0
    chunks: list[str] = field(default_factory=list)

    async def ride(self, *rides: Sequence[int]) -> None:
        """Each of these rides, to its end: the next chunk's time ends it."""
        self.rides += 1
        at = T0 + self.rides * 1000 * S
        events: list[tuple[int, Any]] = [
            (at + i * S, {"message": MESSAGES[key], "ride": f"{self.rides}-{n}"})
            for n, ride in enumerate(rides)
            for i, key in enumerate(ride)
        ]
        later = at + 500 * S  # a normal ride, whose time ends the others
        events += [
            (later, {"message": MESSAGES[key], "ride": f"clock {self.rides}"}) for key in NORMAL[0]
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.served.port)
        writer.write(encode_events("app", events, f"chunk-{self.folder.name}-{self.rides}"))
        assert await asyncio.wait_for(reader.read(4096), 30)
        writer.close()

    async def alerts(self, count: int) -> list[dict[str, Any]]:
        """The sequence alerts, once there are `count` of them."""
        async with asyncio.timeout(30):
            while len(found := self.sequences()) < count:
                self.receiver.arrival.clear()
                await self.receiver.arrival.wait()
        return found

    def sequences(self) -> list[dict[str, Any]]:
        """Of the last rides: after a kill an alert may come again."""
        sequences = [alert for _, alert in self.receiver.alerts if alert["kind"] == "sequence"]
        return [alert for alert in sequences if alert["session"][0].startswith(f"{self.rides}-")]

    def command(self, *arguments: str) -> str:
        return command(*arguments, "--store", str(self.folder / "krone.db"))


@asynccontextmanager
async def running(folder: Path, url: str | None, *flags: str, **env: str) -> AsyncIterator[Rig]:
    bundle = folder / "lift"
    if not bundle.exists():
        bundle.mkdir()
        write_lift_bundle(bundle)
    asking = [f"--store={folder / 'krone.db'}"]
    if url:
        asking += [f"--explain-base-url={url}", "--explain=claude"]
        # A server on this machine costs nothing unless it is said.
        asking += ["--explain-input-price=0.1", "--explain-output-price=0.5"]
    env = {"ANTHROPIC_API_KEY": KEY} | env
    async with (
        receiving() as (receiver, to),
        serving(bundle, *to, *asking, *flags, **env) as served,
    ):
        yield Rig(folder, served, receiver)


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(120):
            await story

    asyncio.run(bounded())


def test_an_alert_leaves_with_what_claude_says_and_what_it_cost(tmp_path: Path) -> None:
    async def story() -> None:
        with MessagesAPI() as api:
            async with running(tmp_path, api.url) as rig:
                await rig.ride(FIRE)
                (alert,) = await rig.alerts(1)
            assert alert["explained_by"] == "claude"
            # The evidence stands first; the model's words follow, marked as its own.
            evidence = alert["explained"]["evidence"]
            said = "claude-haiku-5-5 says: A step failed that never fails in normal sessions."
            assert alert["explanation"] == f"{evidence} {said}"
            assert alert["explained"]["cost_usd"] == pytest.approx((1200 * 0.1 + 300 * 0.5) / 1e6)
            assert len(api.requests) == 1
            ledger = verify(tmp_path / "krone.db.ledger.jsonl")
            assert ledger.requests == 1
            sent = json.loads((tmp_path / "krone.db.ledger.jsonl").read_text().splitlines()[0])[
                "body"
            ]
            assert sent == api.requests[0].body
            assert KEY not in rig.served.log + (
                tmp_path / "krone.db.ledger.jsonl"
            ).read_text() + json.dumps(alert)

    run(story())


def test_a_pattern_is_asked_once_over_a_kill_too(tmp_path: Path) -> None:
    async def story() -> None:
        with MessagesAPI() as api:
            async with running(tmp_path, api.url) as rig:
                await rig.ride(*[FIRE] * 50)
                assert {a["explained_by"] for a in await rig.alerts(50)} == {"claude"}
                await rig.served.kill()
            assert len(api.requests) == 1
            async with running(tmp_path, api.url) as rig:
                rig.rides = 1
                await rig.ride(FIRE, STUCK_TWICE)
                known, new = sorted(await rig.alerts(2), key=lambda a: str(a["session"]))
                assert known["explained"]["cost_usd"] == 0
                assert new["explained"]["cost_usd"] > 0
            assert len(api.requests) == 2

    run(story())


def test_with_the_service_dead_alerts_leave_in_time_with_their_evidence(tmp_path: Path) -> None:
    async def story() -> None:
        with MessagesAPI() as api:
            api.behave(error(529))
            async with running(tmp_path, api.url, "--explain-timeout=1") as rig:
                began = asyncio.get_running_loop().time()
                await rig.ride(FIRE)
                (alert,) = await rig.alerts(1)
                assert (
                    asyncio.get_running_loop().time() - began < 20
                )  # not for ever; how long is bench's to say
        assert alert["explained_by"] == "evidence"
        assert alert["explained"]["failed"] in ("overloaded", "timeout")
        assert alert["explanation"]

    run(story())


def test_a_late_explanation_is_sent_under_the_same_id_where_that_is_wanted(tmp_path: Path) -> None:
    async def story() -> None:
        with MessagesAPI() as api:
            api.behave(slow(3.0))
            flags = ("--explain-timeout=1", "--explain-late")
            async with running(tmp_path, api.url, *flags) as rig:
                await rig.ride(FIRE)
                first, second = await rig.alerts(2)
        assert first["alert_id"] == second["alert_id"]
        assert first["explained"]["failed"] == "timeout"
        assert second["explained_by"] == "claude"
        assert second["explanation"].startswith(first["explanation"])
        assert len(api.requests) == 1

    run(story())


def test_a_stop_waits_for_no_explanation(tmp_path: Path) -> None:
    async def story() -> None:
        with MessagesAPI() as api:
            api.behave(slow(20.0))
            async with running(tmp_path, api.url, "--explain-timeout=1h") as rig:
                await rig.ride(FIRE)
                while not api.requests:
                    await asyncio.sleep(0.01)
                rig.served.process.terminate()
                (alert,) = await rig.alerts(1)
                await rig.served.process.wait()
        assert alert["explained"]["failed"] == "stopping"

    run(story())


def test_a_persons_word_takes_effect_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(tmp_path, None) as rig:
            # A mark on an early alert holds for what was seen by then, so the same ride is told
            # once more, at its end.
            for decided in ("early", "end"):
                await rig.ride(FIRE)
                (told,) = await rig.alerts(1)
                assert told["decided"] == decided
                note = ("--note", "a fire drill", "--by", "ada")
                rig.command("knowledge", "mark", told["alert_id"], "normal", *note)
                if decided == "early":
                    first = told
            await rig.ride(FIRE, STUCK_TWICE)
            (other,) = await rig.alerts(1)
            assert other["status"] == "stuck"
            rig.command(
                "knowledge",
                "mark",
                first["pattern"],
                "abnormal",
                "--note",
                "no drill",
                "--by",
                "ada",
            )
            await rig.ride(FIRE)
            (last,) = await rig.alerts(1)
            assert last["explained_by"] == "person"
            assert "no drill" in last["explanation"]

    run(story())


def test_claude_without_a_key_is_told_in_one_line(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ANTHROPIC_API_KEY"}
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "fluent_krone",
            "check-config",
            "--explain=claude",
            f"--store={tmp_path / 's'}",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert checked.returncode == 1
    assert re.fullmatch(r"fluent-krone: explain claude needs a key: .*\n", checked.stderr)
    assert not list(tmp_path.iterdir())


def contacted(*arguments: str, trace: Path) -> list[str]:
    """Every address that the command, or a thread or child of it, asked the kernel to reach."""
    strace = ("strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace))
    stop = ["timeout", "-s", "TERM", "10"] if arguments[0] == "serve" else []
    run = [*stop, *strace, sys.executable, "-m", "fluent_krone", *arguments]
    ended = subprocess.run(run, cwd=REPOSITORY, capture_output=True, check=False)
    assert ended.returncode == (124 if stop else 0), ended.stderr
    return re.findall(
        r'sa_family=AF_INET6?, .*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)', trace.read_text()
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("command", ["demo", "replay", "serve"])
def test_nothing_leaves_the_machine_unasked(tmp_path: Path, command: str) -> None:
    """onnxruntime and its telemetry included: what counts is what the kernel sees."""
    log = tmp_path / "log.jsonl"
    log.write_text(
        "".join(json.dumps({"message": f"x of blk_{i}", "component": "c"}) + "\n" for i in range(3))
    )
    arguments: dict[str, list[str]] = {
        "serve": [
            "serve",
            "--bundle",
            "hdfs",
            "--port",
            "0",
            "--store",
            str(tmp_path / "krone.db"),
        ],
        "demo": ["demo", "--sessions", "40", "--json"],
        "replay": ["replay", "--bundle", "hdfs", "--input", str(log), "--json"],
    }
    reached = contacted(*arguments[command], trace=tmp_path / "trace")
    assert set(reached) <= {"127.0.0.1", "::1"}
    assert bool(reached) == (command == "demo")  # over the loopback: the trace sees what is sent
