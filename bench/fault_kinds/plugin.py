"""Faults behind a real Fluentd: `@type krone`, and `out_forward` before `serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import checkout
from fluentd_rig import FLUENTD, Fluentd
from serving import free_port

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config

from .bench import Bench
from .fluentd import KRONE_CONF, OUT_FORWARD_CONF, line_of
from .outcome import RunOutcome, in_any_order, same_but_for_order, sessions_that_differ_in_alerts

# The message that kills every child which reads it.
POISON = "a poison line of blk_666"


def fluentd(bench: Bench) -> dict[str, Any]:
    """`@type krone`: its child is killed, then Fluentd itself, over a file buffer."""
    if FLUENTD is None:
        return {"skipped": "no `fluentd` command on PATH"}
    lines = [line_of(event) for event in bench.events]
    child_kills = 3
    fluentd_kills = 1
    if bench.kills_wanted >= 20:
        child_kills = 20
        fluentd_kills = 5
    whole = _through_fluentd(bench, lines, [])
    figures = {}
    for name, kills in (
        ("child_killed", ["child"] * child_kills),
        ("fluentd_killed", ["fluentd"] * fluentd_kills),
    ):
        figures[name] = _through_fluentd(bench, lines, kills).beside(whole)
    return figures


def _through_fluentd(bench: Bench, lines: list[str], kills: list[str]) -> RunOutcome:
    with tempfile.TemporaryDirectory() as made:
        fluentd = Fluentd(Path(made), KRONE_CONF, bench.bundle_name)
        portions = max(len(kills), 1)
        size = len(lines) // portions + 1
        for number in range(portions):
            fluentd.append(lines[number * size : (number + 1) * size])
            if kills:
                if kills[number] == "fluentd":
                    # in_tail emits again what it emitted before it saved its position.
                    fluentd.wait_until_read()
                time.sleep(bench.random.uniform(0, 1.0))
                fluentd.kill(kills[number])
        fluentd.wait_until_read()
        fluentd.stop()
        outcome = RunOutcome()
        for record in fluentd.alerts():
            outcome.add(record)
        outcome.notes |= {"kills": len(kills), "children": fluentd.told("fluent-krone is ready")}
        outcome.notes["chunks_left_in_buffer"] = len(list(Path(made).glob("buffer/*.log")))
        return outcome.finish(Path(made) / "krone.db", bench.bundle)


async def out_forward(bench: Bench) -> dict[str, Any]:
    """Fluentd's `out_forward` with acks before `serve`, which is killed.

    Nothing may be lost; sessions may differ where chunks came in another order.
    """
    if FLUENTD is None:
        return {"skipped": "no `fluentd` command on PATH"}
    lines = [line_of(event) for event in bench.events]
    kills = 2
    if bench.kills_wanted >= 20:
        kills = 10
    whole = await _behind_out_forward(bench, lines, 0)
    found = await _behind_out_forward(bench, lines, kills)
    figures = in_any_order(found.beside(whole))
    counted = sum(
        same_but_for_order(whole.sessions[key], found.sessions.get(key)) for key in whole.sessions
    )
    reordered = {key for key, value in whole.sessions.items() if found.sessions.get(key) != value}
    without_reason = len(sessions_that_differ_in_alerts(whole, found) - reordered)
    return figures | {
        "sessions_with_all_their_events": counted,
        "differ_without_reason": without_reason,
    }


async def _behind_out_forward(bench: Bench, lines: list[str], kills: int) -> RunOutcome:
    # A single instance for each key, so that each session's events can be counted in the end.
    async with bench.rig("--idle-timeout", "10000h", "--port", str(free_port())) as rig:
        with tempfile.TemporaryDirectory() as made:
            fluentd = Fluentd(Path(made), OUT_FORWARD_CONF, bench.bundle_name, port=rig.serve.port)
            size = len(lines) // (kills + 1) + 1
            for number in range(kills + 1):
                fluentd.append(lines[number * size : (number + 1) * size])
                if number < kills:
                    await asyncio.sleep(bench.random.uniform(0, 1.0))
                    await rig.serve.end()
                    await rig.serve.start()
            await asyncio.to_thread(fluentd.wait_until_read)
            await asyncio.to_thread(fluentd.wait_until_sent)
            await asyncio.to_thread(fluentd.stop)
            rig.outcome.notes |= {"kills": kills}
            return await bench.stop(rig)


def poison(bench: Bench) -> dict[str, Any]:
    """A chunk that kills every child: it alone ends in `<secondary>`, the rest is judged."""
    if FLUENTD is None:
        return {"skipped": "no `fluentd` command on PATH"}
    # Half of the lines before the poison, half after it: both must be judged.
    lines = [line_of(event) for event in bench.events[:20_000]]
    with tempfile.TemporaryDirectory() as made:
        poisoned = [sys.executable, str(checkout.REPOSITORY / "bench" / "faults.py"), "--poisoned"]
        conf = KRONE_CONF.replace("retry_max_times 10", "retry_max_times 3")
        fluentd = Fluentd(Path(made), conf, bench.bundle_name, command=poisoned)
        fluentd.append(lines[:10_000])
        fluentd.wait_until_read()
        fluentd.wait_until_sent()
        fluentd.append(
            [line_of((0, {"message": POISON, "id": "1", "level": "INFO", "component": "x"}))]
        )
        fluentd.wait_for(lambda: any(Path(made).glob("rejected/*")), 300)
        fluentd.append(lines[10_000:])
        fluentd.wait_until_read()
        fluentd.wait_until_sent()
        fluentd.stop()
        rejected = sum(
            POISON in path.read_text(errors="replace") for path in Path(made).glob("rejected/*")
        )
        outcome = RunOutcome()
        for record in fluentd.alerts():
            outcome.add(record)
        deaths = fluentd.told("fluent-krone died")
        outcome.finish(Path(made) / "krone.db", bench.bundle)
    expected = bench.bundle.engine()
    packed = [
        (t, {k.encode(): v.encode() for k, v in record.items()})
        for t, record in bench.events[:20_000]
    ]
    findings = expected.feed("hdfs", packed, time.time_ns()) + expected.finish()
    ids = {AlertMaker(bench.bundle, Config()).make(finding).alert_id for finding in findings}
    return {
        "deaths": deaths,
        "in_secondary": rejected,
        "alerts": len(ids),
        "alerts_lost": len(ids - outcome.alerts.keys()),
        "alerts_new": len(outcome.alerts.keys() - ids),
    }


def poisoned(arguments: list[str]) -> int:
    """Run `fluent-krone` with a reader that one message kills, in place of the command."""
    from fluent_krone import cli
    from fluent_krone.reading.records import RecordReader

    read = RecordReader.read

    def deadly(self: RecordReader, tag: bytes, record: Any) -> Any:
        if POISON.encode() in record.get(b"message", b""):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, tag, record)

    RecordReader.read = deadly  # type: ignore[method-assign]
    return cli.main(arguments)
