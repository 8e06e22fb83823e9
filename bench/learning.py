"""A bundle learnt on the stream by a real Fluentd, beside one fitted offline to the same log.

A shop of services is simulated twice: a normal log to learn from, and a later one with faults. The
first is written to a file that in_tail reads at full speed into one `<match>` block without any
bundle. Once the service judges, the second one follows. The same two logs go through `export fit`
and `replay`. With `--throughput`, records per second are measured with and without the recording
for the next bundle, and while the first bundle is learnt; the exit code is 1 where recording or
learning costs more than a tenth, or a spool grows beyond its limit.

    python bench/learning.py [--sessions 2000] [--faults 5] [--seed 0] [--throughput] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import calendar
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import checkout
from fault_kinds.serving import COMMAND, ENVIRONMENT
from fluentd_rig import FLUENTD, Fluentd, krone_conf, tail_conf
from machine import resident_bytes
from shop.faults import FAULTS
from shop.formats import VARIANTS, write
from shop.traffic import Plan, simulate
from throughput import Collector, chunks_of, frames_of

from fluent_krone.commands.replay import replay
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.inputs import read_labels
from fluent_krone.learning.bundles import BundleFolder
from fluent_krone.learning.learning import Learning
from fluent_krone.learning.recorder import Recorder
from fluent_krone.learning.spool import StreamSpool
from fluent_krone.runtime.wiring import open_service
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert

# Days between the two logs, so that no session of the second one follows one of the first.
_LATER_DAYS = 30
# Seconds that the learning may take.
_LONGEST_S = 1_500
# Rounds of the throughput.
_ROUNDS = 8
# Bytes beyond what is ever recorded here, so that each chunk costs its write.
_UNBOUNDED = 2**34
# The share of the throughput that must be left, and the limit of a spool that is filled beyond it.
_LEAST_RATIO = 0.9
_LIMIT = 4 * 2**20

_CONF = tail_conf(
    "shop",
    """
  <parse>
    @type json
    time_key time
    time_type string
    time_format %Y-%m-%dT%H:%M:%S.%LZ
    keep_time_key true
  </parse>
""",
) + krone_conf(
    "shop",
    "  store {dir}/krone.db\n  learn_sessions {{sessions}}",
    """
    @type file
    path {dir}/buffer
    flush_interval 0.2
    flush_at_shutdown true
""",
)


def simulated(folder: Path, sessions: int, seed: int, faults: int) -> Path:
    """Write a log of the shop; returns its folder."""
    plan = Plan(sessions=sessions, seed=seed, faults=dict.fromkeys(FAULTS, faults))
    write(simulate(plan), VARIANTS["a"], folder)
    return folder


def later(log: Path) -> list[str]:
    """The lines of a log, some weeks later."""
    shifted = []
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        day = record["time"]
        moved = time.gmtime(_seconds(day) + _LATER_DAYS * 86_400)
        record["time"] = time.strftime("%Y-%m-%dT%H:%M:%S", moved) + day[19:]
        shifted.append(json.dumps(record) + "\n")
    return shifted


def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def on_the_stream(folder: Path, normal: Path, odd: Sequence[str], sessions: int) -> dict[str, Any]:
    """What a Fluentd with one `<match>` block comes to."""
    conf = _CONF.replace("{{sessions}}", str(sessions))
    bundle = folder / "bundles"
    began = time.monotonic()
    fluentd = Fluentd(folder, conf, str(bundle))
    try:
        fluentd.append(normal.read_text(encoding="utf-8").splitlines(keepends=True))
        fluentd.wait_for(lambda: fluentd.told("learnt: the stream is judged") > 0, _LONGEST_S)
        armed_s = time.monotonic() - began
        fluentd.append(odd)
        fluentd.wait_until_read()
        fluentd.wait_until_sent()
    finally:
        fluentd.stop()
    flagged = {
        " ".join(alert["session"])
        for alert in fluentd.alerts()
        if alert["kind"] not in ("unseen_template", "change")
    }
    return {"flagged": flagged, "armed_s": round(armed_s, 1), "bundle": load_bundle(str(bundle))}


def offline(folder: Path, normal: Path, odd: Path) -> dict[str, Any]:
    """What `export fit` and `replay` come to."""
    bundle = folder / "offline"
    command = [*COMMAND, "export", "fit", "--input", str(normal), "--output", str(bundle)]
    done = subprocess.run(
        [*command, "--session-key", "auto"], capture_output=True, text=True, env=ENVIRONMENT
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    loaded = load_bundle(str(bundle))
    flagged: set[str] = set()

    def note(alert: Alert) -> None:
        if alert.record["kind"] not in ("unseen_template", "change"):
            flagged.add(" ".join(alert.record["session"]))

    replay(loaded, Config(), odd, on_alert=note)
    return {"flagged": flagged, "bundle": loaded}


def scored(found: dict[str, Any], labels: dict[str, bool]) -> dict[str, Any]:
    """The figures of what was flagged."""
    faulty = {key for key, is_faulty in labels.items() if is_faulty}
    normal = labels.keys() - faulty
    flagged = found["flagged"]
    bundle: Bundle = found["bundle"]
    return {
        "found": round(len(flagged & faulty) / max(len(faulty), 1), 4),
        "false_alarms_per_1000": round(1000 * len(flagged & normal) / max(len(normal), 1), 2),
        "flagged": len(flagged),
        "templates": len(bundle.templates),
        "session_key": ",".join(bundle.input_settings.session_key),
        "idle_timeout_s": bundle.session_settings.idle_timeout,
    }


def learnt(flags: argparse.Namespace) -> dict[str, Any]:
    """The figures of the learnt bundle beside those of the fitted one."""
    if FLUENTD is None:
        return {"skipped": "no `fluentd` command on PATH"}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        normal = simulated(folder / "normal", flags.sessions, flags.seed, 0) / "log.jsonl"
        odd = simulated(folder / "odd", flags.sessions // 2, flags.seed + 1, flags.faults)
        lines = later(odd / "log.jsonl")
        (folder / "later.jsonl").write_text("".join(lines), encoding="utf-8")
        labels = read_labels(odd / "labels.csv")
        run = folder / "fluentd"
        run.mkdir()
        wanted = int(0.9 * flags.sessions)
        streamed = on_the_stream(run, normal, lines, wanted)
        figures = {
            "stream": scored(streamed, labels) | {"armed_s": streamed["armed_s"]},
            "offline": scored(offline(folder, normal, folder / "later.jsonl"), labels),
            "faulty": sum(labels.values()),
        }
        shutil.rmtree(run, ignore_errors=True)
        return figures


def throughput(flags: argparse.Namespace) -> dict[str, Any]:
    """Records per CPU second of a service over a log, with and without the recording.

    CPU time, and not the clock, so that other work on the machine does not count.
    """
    events = checkout.hdfs_events(flags.data, flags.events)
    chunks = [chunk for frame in frames_of(events) for chunk in chunks_of(frame)]
    rates: dict[str, list[float]] = {"off": [], "on": []}
    resident: dict[str, int] = {}
    for number in range(_ROUNDS):
        # The order changes, because the second one finds warmer caches.
        for mode in ("off", "on")[:: 1 - 2 * (number % 2)]:
            with tempfile.TemporaryDirectory() as made:
                took_s = asyncio.run(_fed(chunks, Path(made), mode == "on"))
            rates[mode].append(len(events) / took_s)
            resident[mode] = resident_bytes()
    middle = {mode: statistics.median(of_mode) for mode, of_mode in rates.items()}
    ratios = [on / off for on, off in zip(rates["on"], rates["off"], strict=True)]
    largest = _largest_spools(chunks)
    collecting = round(len(events) / _collecting_s(chunks) / middle["off"], 3)
    ratio = round(statistics.median(ratios), 3)
    missed = []
    if min(ratio, collecting) < _LEAST_RATIO:
        missed.append(f"at least {_LEAST_RATIO} of the throughput is left")
    if max(largest.values()) > _LIMIT:
        missed.append(f"no spool is larger than its limit of {_LIMIT:,} bytes")
    return {
        "records": len(events),
        "off_records_per_cpu_s": round(middle["off"]),
        "on_records_per_cpu_s": round(middle["on"]),
        "ratio": ratio,
        "ratio_between": [round(min(ratios), 3), round(max(ratios), 3)],
        # The recording alone, as a share of all that the service does without it.
        "recording_share": round(_recording_s(chunks) * middle["off"] / len(events), 4),
        "more_megabytes": round((resident["on"] - resident["off"]) / 1e6, 1),
        # Records per CPU second while the first bundle is learnt, as a share of those without.
        "learning_ratio": collecting,
        "largest_spools": largest,
        "missed": missed,
    }


def _collecting_s(chunks: Sequence[Chunk]) -> float:
    """CPU seconds that it takes to collect these chunks for the first bundle."""
    took: list[float] = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as made:
            config = Config(bundle=made, learn=86_400.0, learn_size=_UNBOUNDED)
            learning = Learning(BundleFolder(Path(made)), config)
            began = time.process_time()
            for number, chunk in enumerate(chunks):
                learning.take(chunk)
                learning.commit([str(number).encode()])
            took.append(time.process_time() - began)
            learning.spool.close()
    return statistics.median(took)


def _largest_spools(chunks: Sequence[Chunk]) -> dict[str, int]:
    """The most bytes of each spool, with a limit that the chunks exceed."""
    sizes = {"recorded": 0, "collected": 0}
    with tempfile.TemporaryDirectory() as made:
        recorded = Path(made) / "recorded"
        collected = Path(made) / "collected"
        recorder = Recorder(recorded, _LIMIT, 86_400.0)
        spool = StreamSpool(collected, _LIMIT, syncs=False)
        for number, chunk in enumerate(chunks):
            recorder.take(chunk, time.time_ns())
            spool.take(chunk, time.time_ns())
            spool.commit([str(number).encode()], {})
            for name, folder in (("recorded", recorded), ("collected", collected)):
                held = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
                sizes[name] = max(sizes[name], held)
        recorder.close()
        spool.close()
    return sizes


def _recording_s(chunks: Sequence[Chunk]) -> float:
    """CPU seconds that the recording of these chunks takes."""
    took: list[float] = []
    for _ in range(_ROUNDS):
        with tempfile.TemporaryDirectory() as made:
            recorder = Recorder(Path(made), _UNBOUNDED, 86_400.0)
            began = time.process_time()
            for chunk in chunks:
                recorder.take(chunk, time.time_ns())
            took.append(time.process_time() - began)
            recorder.close()
    return statistics.median(took)


async def _fed(chunks: Sequence[Chunk], folder: Path, records: bool) -> float:
    config = Config(bundle="hdfs", store=str(folder / "krone.db"))
    service = open_service(load_bundle("hdfs"), Collector(), config)
    if records:
        service._intake.recorder = Recorder(folder / "recorded", _UNBOUNDED, 86_400.0)
    await service.start()
    began = time.process_time()
    for chunk in chunks:
        await service.take(chunk, lambda: None)
    await service.flush()
    took_s = time.process_time() - began
    await service.close()
    return took_s


def main() -> int:
    parser = checkout.parser(__doc__, "hdfs_raw")
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--faults", type=int, default=5, help="sessions of each kind of fault")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--throughput", action="store_true", help="measure the recording instead")
    parser.add_argument("--events", type=int, default=200_000)
    flags = parser.parse_args()
    measure = learnt
    if flags.throughput:
        measure = throughput
    figures = measure(flags)
    if flags.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name}: {value}")
    return int(bool(figures.get("missed")))


if __name__ == "__main__":
    sys.exit(main())
