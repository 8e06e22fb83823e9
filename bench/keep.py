"""What is kept of a log, and what faults cost of it: each record is looked for by itself.

Every record of the log gets a number. A kept record is compared with the one that went in, and the
records of each abnormal session are looked for one by one, in their order.

    python bench/keep.py [--data ../shared/data/hdfs_raw] [--only fluentd kills …] [--kills 200]
                         [--events N] [--pause 60] [--json]

`fluentd` runs the log through a real Fluentd with a `<keep>` section; the others through `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import checkout
from fault_kinds.fluentd import KRONE_CONF, line_of
from fault_kinds.kept import Event, Kept, Log, Rig, serving
from fault_kinds.store import tiny_disk
from fluentd_rig import FLUENTD, Fluentd, file_conf
from loads import CHUNK_RECORDS
from machine import resident_bytes
from throughput import Collector, chunks_of

from fluent_krone.config import Config
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.runtime.wiring import open_service, tune_gc
from fluent_krone.transport.forward import Chunk

# What the records kept of hdfs_raw may be of all records.
_SHARE_AIM = 0.15
# What is left of the throughput with `<keep>`, and with annotation.
_KEEP_AIM = 0.7
_ANNOTATE_AIM = 0.6
# Where the records of the `<keep>` section go.
_KEEP_CONF = file_conf("keep", "kept")


def fluentd(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """The log through a real Fluentd with a `<keep>` section."""
    if FLUENTD is None:
        return {"skipped": "no `fluentd` command on PATH"}
    conf = KRONE_CONF.replace(
        "  alerts session\n", "  alerts session\n  on_shutdown judge\n  <keep>\n  </keep>\n"
    )
    conf = conf.replace("(?<message>.*)$/", "(?<n>[0-9]+) (?<message>.*)$/") + _KEEP_CONF
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as made:
        folder = Path(made)
        running = Fluentd(folder, conf, log.name)
        began = time.monotonic()
        running.append([_line(event) for event in log.events])
        running.wait_until_read()
        running.wait_until_sent()
        took_s = time.monotonic() - began
        running.stop()
        kept = Kept(log)
        for record in running.alerts():
            kept.alert(record)
        for path in sorted(folder.glob("kept*.log")):
            for line in path.read_text().splitlines():
                kept.add(json.loads(line))
        figures = kept.figures()
    figures |= _kinds_found(log, kept)
    figures["records_per_s"] = round(len(log.events) / took_s)
    figures["aim_met"] = (
        not (figures["lost"] or figures["changed"] or figures["under_two_ids"])
        and figures["share"] <= _SHARE_AIM
        and not figures["kinds_missing"]
    )
    return figures


def _line(event: Event) -> str:
    """An event as a line of the file that in_tail reads, with its number before its message."""
    time_ns, record = event
    fields = {name: str(record[name]) for name in checkout.FIELDS}
    fields["message"] = f"{record['n']} {record['message']}"
    return line_of((time_ns, fields))


def _kinds_found(log: Log, kept: Kept) -> dict[str, int]:
    """How many kinds of normal execution the log has, and how many have no session that is kept."""
    from fluent_krone.keeping.rules import Kinds

    engine = log.bundle.engine()
    kinds = Kinds(log.bundle, "nested", None)
    found: dict[int, set[str]] = {}

    def note(session: Any) -> None:
        if not session.is_abnormal:
            name = " ".join(part.decode() for part in session.key)
            found.setdefault(kinds.of(session).name, set()).add(name)

    engine.on_close.append(note)
    events = [
        (time_ns, {name.encode(): str(value).encode() for name, value in record.items()})
        for time_ns, record in log.events
    ]
    engine.feed("app", events, time.time_ns())
    engine.finish()
    missing = [kind for kind, names in found.items() if not names & kept.order.keys()]
    return {"kinds": len(found), "kinds_missing": len(missing)}


async def kills(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """SIGKILL at random moments, each while a chunk is in flight."""
    chance = random.Random(flags.seed)
    frames = log.frames()
    at = Counter(chance.choices(range(len(frames)), k=flags.kills))
    async with serving(log) as rig:
        for number, frame in enumerate(frames):
            sending = asyncio.create_task(rig.client.send(frame))
            for _ in range(at[number]):
                await asyncio.sleep(chance.uniform(0, 0.05))
                await rig.serve.end()
                await rig.serve.start()
            await sending
        ends = rig.serve.starts - 1
        return await rig.stop() | {"ends": ends}


async def receiver_away(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """The receiver is away for a while in the middle of the log."""
    frames = log.frames()
    async with serving(log) as rig:
        for frame in frames[: len(frames) // 2]:
            await rig.client.send(frame)
        await rig.receiver.down()
        before = rig.serve.resident()
        rest = asyncio.create_task(_send_all(rig, frames[len(frames) // 2 :]))
        await asyncio.sleep(flags.pause)
        grew = rig.serve.resident() - before
        await rig.receiver.up()
        await rest
        return await rig.stop() | {"resident_grew_mb": round(grew, 1)}


async def full_disk(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """The file system of store and spool is full for a while."""
    frames = log.frames()
    size_mb = max(96, len(log.events) // 1000)
    with tiny_disk(size_mb) as folder:
        if folder is None:
            return {"skipped": "mounting a file system takes root"}
        async with serving(log, folder=folder) as rig:
            early = len(frames) // 10
            await _send_all(rig, frames[:early])
            ballast = folder / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(2**16)):
                    pass
            sent: list[int] = []
            rest = asyncio.create_task(_send_all(rig, frames[early:], sent))
            await asyncio.sleep(flags.pause / 2)
            stuck_at = len(sent)
            await asyncio.sleep(flags.pause / 2)
            meanwhile = len(sent) - stuck_at
            ballast.unlink()
            await rest
            return await rig.stop() | {"acked_meanwhile": meanwhile}


async def size_reached(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """The spool may hold a tenth of the log: what does not fit is released as it is."""
    frames = log.frames()
    size = sum(map(len, frames)) // 10
    largest = 0
    async with serving(log, f"--keep-size={size}") as rig:
        spool = Path(f"{rig.serve.store}.keep")
        for frame in frames:
            await rig.client.send(frame)
            largest = max(largest, sum(path.stat().st_size for path in spool.iterdir()))
        return await rig.stop() | {"keep_size": size, "largest": largest}


async def _send_all(rig: Rig, frames: Sequence[bytes], sent: list[int] | None = None) -> None:
    for number, frame in enumerate(frames):
        await rig.client.send(frame)
        if sent is not None:
            sent.append(number)


async def throughput(log: Log, flags: argparse.Namespace) -> dict[str, Any]:
    """Records per second of processor time with and without, in turns; memory while it runs."""
    chunks = [chunk for frame in log.frames(CHUNK_RECORDS) for chunk in chunks_of(frame)]
    ways: dict[str, dict[str, Any]] = {
        "without": {},
        "keep": {"keep": True},
        "annotate": {"annotate": True},
    }
    best = dict.fromkeys(ways, 0.0)
    memory: dict[str, list[float]] = {}
    for _ in range(flags.rounds):
        for name, options in ways.items():
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                config = Config(store=f"{folder}/krone.db", on_shutdown="keep", **options)
                rate, memory[name] = await _rate(chunks, log, config)
                best[name] = max(best[name], rate)
    keep = best["keep"] / best["without"]
    annotate = best["annotate"] / best["without"]
    return {
        "records_per_cpu_s": {name: round(rate) for name, rate in best.items()},
        "keep_ratio": round(keep, 3),
        "annotate_ratio": round(annotate, 3),
        "resident_mb_by_quarter": memory,
        "aim_met": keep >= _KEEP_AIM and annotate >= _ANNOTATE_AIM,
    }


async def _rate(chunks: Sequence[Chunk], log: Log, config: Config) -> tuple[float, list[float]]:
    service = open_service(log.bundle, Collector(), config)
    await service.start()
    tune_gc()
    resident = []
    cpu = time.process_time()
    for number, chunk in enumerate(chunks, 1):
        await service.take(chunk, lambda: None)
        await asyncio.sleep(0)
        if number % max(len(chunks) // 4, 1) == 0:
            resident.append(round(resident_bytes() / 1e6, 1))
    await service.flush()
    rate = len(log.events) / (time.process_time() - cpu)
    await service.close()
    gc.unfreeze()
    gc.collect()
    return rate, resident


RUNS: Mapping[str, Callable[[Log, argparse.Namespace], Any]] = {
    "fluentd": fluentd,
    "kills": kills,
    "receiver_away": receiver_away,
    "full_disk": full_disk,
    "size_reached": size_reached,
    "throughput": throughput,
}


def main() -> int:
    parser = checkout.parser(__doc__, "hdfs_raw", RUNS)
    parser.add_argument("--bundle", default="hdfs")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--events", type=int, help="no more of the log than this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--pause", type=float, default=60.0, help="seconds that a disk is full or a receiver away"
    )
    flags = parser.parse_args()
    read = checkout.hdfs_events(flags.data, flags.events)
    events: list[Event] = [
        (time_ns, {**record, "n": str(number)}) for number, (time_ns, record) in enumerate(read)
    ]
    log = Log(events, load_bundle(flags.bundle), flags.bundle)
    figures = {}
    for name in flags.only:
        began = time.monotonic()
        outcome = RUNS[name](log, flags)
        if asyncio.iscoroutine(outcome):
            outcome = asyncio.run(outcome)
        figures[name] = outcome | {"took_s": round(time.monotonic() - began, 1)}
        if not flags.json:
            print(name, json.dumps(figures[name]), flush=True)
    if flags.json:
        print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
