"""Records per second from the input to the alert, beside a baseline of the same run.

The baseline is the same codec and TCP input with every record unpacked to a dict, acks on, but no
engine. The two take turns in one process, and the client is another process. Quote the ratio: the
absolute figures depend on the machine.

    python bench/throughput.py [--data ../shared/data/hdfs_raw] [--rounds 5] [--json]
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import platform
import re
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import checkout
import loads
from loads import CHUNK_RECORDS
from machine import processor, resident_bytes
from open_sessions import commits, resident_whole

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.runtime.wiring import open_service, tune_gc
from fluent_krone.transport import Inlet
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_events
from fluent_krone.transport.server import ForwardServer, ServerSettings
from fluent_krone.types import Alert, Packed

# Chunks that the client sends before it waits for an ack, so that the server never waits for it.
IN_FLIGHT = 8
# Seconds between two records of an idle stream: longer than any commit, so none falls into another.
IDLE_S = 0.02


class Baseline:
    """Unpacks every record and acks; no engine."""

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        for _ in chunk.events():
            pass
        ack()

    async def flush(self) -> None:
        pass


class Collector:
    """A sink that remembers when each alert came."""

    def __init__(self) -> None:
        self.count = 0
        self.records = 0
        self.arrived = asyncio.Event()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self.count += len(alerts)
        self.arrived.set()

    async def deliver_packed(self, packed: Packed) -> None:
        self.records += packed.count

    async def close(self) -> None:
        pass


def frames_of(events: Sequence[tuple[int, dict[str, str]]]) -> list[bytes]:
    """PackedForward frames of a log's records, as Fluentd would send them."""
    cuts = range(0, len(events), CHUNK_RECORDS)
    return [encode_events("app.hdfs", events[i : i + CHUNK_RECORDS], f"chunk-{i}") for i in cuts]


def chunks_of(frame: bytes) -> list[Chunk]:
    """What a server reads of one frame."""
    return [chunk for chunk in ForwardDecoder().feed(frame) if isinstance(chunk, Chunk)]


def send(port: int, frames: list[bytes], results: Any) -> None:
    """The client process: sends all frames and waits for every ack; puts its wall seconds."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        started = time.perf_counter()
        loads.send_until_acked(connection, frames, IN_FLIGHT)
        results.put(time.perf_counter() - started)


async def run_once(frames: list[bytes], inlet: Inlet) -> tuple[float, float]:
    """Wall and server CPU seconds for all frames through the TCP input."""
    server = ForwardServer(ServerSettings(port=0))
    await server.start(inlet)
    results: Any = multiprocessing.Queue()
    client = multiprocessing.Process(target=send, args=(server.port, frames, results))
    cpu = time.process_time()
    client.start()
    while client.is_alive():
        await asyncio.sleep(0.01)
    cpu = time.process_time() - cpu
    await server.close()
    return results.get(), cpu


async def whole_way(
    frames: list[bytes], bundle: Bundle, store: str | None = None, config: Config | None = None
) -> tuple[float, float, int]:
    """The same through the service, with every session judged at the end; alerts counted."""
    sink = Collector()
    config = replace(config or Config(alerts="session"), store=store, on_shutdown="judge")
    service = open_service(bundle, sink, config)
    await service.start()
    wall, cpu = await run_once(frames, service)
    started = time.perf_counter()
    started_cpu = time.process_time()
    await service.flush()
    # Judging what is open is part of the work, though no client waits for it.
    wall += time.perf_counter() - started
    cpu += time.process_time() - started_cpu
    await service.close()
    return wall, cpu, sink.count


def throughput(
    frames: list[bytes], records: int, bundle: Bundle, rounds: int, alerts_as: str
) -> dict[str, Any]:
    """Median rates, and the median of the paired ratios, over rounds that take turns.

    `alerts_as` is the parameter `alerts`.
    """
    base = []
    whole = []
    stored = []
    alerts = 0
    for _ in range(rounds):
        # The same garbage for all three, so that none collects what another left.
        gc.collect()
        base.append(asyncio.run(run_once(frames, Baseline())))
        config = Config(alerts=alerts_as)
        *timing, alerts = asyncio.run(whole_way(frames, bundle, None, config))
        whole.append(timing)
        # Not below /tmp, which may be in memory.
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            way = whole_way(frames, bundle, f"{folder}/krone.db", config)
            *timing, alerts_stored = asyncio.run(way)
        stored.append(timing)
        # Without a store, the ends of incidents are reported when the service stops.
        assert alerts == alerts_stored or alerts_as != "session"
    pairs = list(zip(base, whole, strict=True))
    with_store = list(zip(whole, stored, strict=True))
    return {
        "records": records,
        "alerts": alerts,
        "baseline_records_per_s": round(records / statistics.median(wall for wall, _ in base)),
        "records_per_s": round(records / statistics.median(wall for wall, _ in whole)),
        "ratio": round(statistics.median(b[0] / w[0] for b, w in pairs), 3),
        "records_per_cpu_s": round(records / statistics.median(cpu for _, cpu in whole)),
        "ratio_cpu": round(statistics.median(b[1] / w[1] for b, w in pairs), 3),
        "with_store_ratio": round(statistics.median(w[0] / s[0] for w, s in with_store), 3),
        "with_store_ratio_cpu": round(statistics.median(w[1] / s[1] for w, s in with_store), 3),
    }


def load_rates(
    hdfs: list[dict[str, str]], times_ns: list[int], rounds: int, scale: float
) -> dict[str, Any]:
    """Records per CPU second of each load, beside those of HDFS in the same round; medians.

    Each run has a bundle of its own, so that no cache is warm. One-record chunks are measured in
    microseconds that a chunk costs more than the same record does in a large chunk. With a store,
    alerts cost more as well, however records are cut into chunks: `us_per_chunk` compares with
    large chunks without a store, and `us_per_chunk_beside_store` with large chunks and a store.
    The sessions of that load are cut off by its end, so that it has an alert for every 28 records,
    where a whole day of HDFS has one for every 500; `alerts` counts them.
    """
    many = round(100_000 * scale)
    few = many // 5
    single = loads.single_records(hdfs[:few], times_ns[:few])
    same = loads.plain(hdfs[:few], times_ns[:few])
    streams = [
        loads.plain(hdfs, times_ns),
        loads.hexadecimal(hdfs, times_ns),
        loads.uuids(300, many),
        loads.uuids(1_000, many),
        loads.kubernetes(hdfs, times_ns),
        loads.whole_lines(hdfs, times_ns),
        loads.many_keys(many // 3),
        loads.long_sessions(hdfs, times_ns, max(many // 10_000, 1)),
        replace(same, name="one_record_chunks_joined"),
        single,
        replace(same, name="one_record_chunks_joined_with_store"),
        replace(single, name="one_record_chunks_with_store"),
    ]
    found: dict[str, list[float]] = {stream.name: [] for stream in streams}
    alerts: dict[str, int] = {}
    for stream in streams * rounds:
        gc.collect()
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            store = None
            if stream.name.endswith("_with_store"):
                store = f"{folder}/krone.db"
            way = whole_way(stream.frames, stream.bundle(), store, stream.settings())
            _, cpu, alerts[stream.name] = asyncio.run(way)
        found[stream.name].append(stream.records / cpu)
    rates = {name: statistics.median(rate) for name, rate in found.items()}
    result: dict[str, Any] = {
        name: {
            "records_per_cpu_s": round(rate),
            "of_hdfs": round(rate / rates["hdfs"], 2),
            "alerts": alerts[name],
        }
        for name, rate in rates.items()
    }
    joined = 1e6 / rates["one_record_chunks_joined"]
    for name in ("one_record_chunks", "one_record_chunks_with_store"):
        result[name]["us_per_chunk"] = round(1e6 / rates[name] - joined, 1)
    name = "one_record_chunks_with_store"
    joined = 1e6 / rates["one_record_chunks_joined_with_store"]
    result[name]["us_per_chunk_beside_store"] = round(1e6 / rates[name] - joined, 1)
    return result


def stages(frames: list[bytes], records: int, bundle: Bundle, rounds: int) -> dict[str, float]:
    """Microseconds of CPU per record that each stage adds; the best of `rounds`."""

    def decode(engine: Any) -> None:
        for frame in frames:
            for chunk in chunks_of(frame):
                for _ in chunk.events():
                    pass

    def read(engine: Any) -> None:
        for frame in frames:
            for chunk in chunks_of(frame):
                for _, record in chunk.events():
                    engine.events.read(b"", record)

    def feed(engine: Any) -> None:
        for frame in frames:
            for chunk in chunks_of(frame):
                engine.feed(chunk.tag, chunk.events(), time.time_ns())
        engine.finish()

    best = {}
    for run in (decode, read, feed):
        timings = []
        for _ in range(rounds):
            engine = bundle.engine()
            started = time.process_time()
            run(engine)
            timings.append(time.process_time() - started)
        best[run.__name__] = min(timings) / records * 1e6
    names = ("decode", "read", "feed")
    before = (0.0, *(best[name] for name in names[:-1]))
    return {
        f"{name}_us": round(best[name] - less, 2) for name, less in zip(names, before, strict=True)
    }


async def latency(bundle: Bundle, store: str | None = None) -> dict[str, float]:
    """Milliseconds from a record's send to its alert, in an idle stream, over the TCP input."""
    sink = Collector()
    # Each alert by itself and at once: those of an incident would be one event, and a new template
    # would wait until it is no step of a change, so that the bench would await what never comes.
    config = Config(store=store, alerts="session", change_settle=0)
    service = open_service(bundle, sink, config)
    await service.start()
    server = ForwardServer(ServerSettings(port=0))
    await server.start(service)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    waits = []
    for i in range(300):
        # A text that no template fits gives an alert at once, and its digits would be masked.
        word = "".join(chr(ord("a") + int(digit)) for digit in str(i))
        record = {"component": "bench", "message": f"never seen {word} of blk_{i}"}
        sink.arrived.clear()
        started = time.perf_counter()
        writer.write(encode_events("app", [(time.time_ns(), record)], f"one-{i}"))
        await sink.arrived.wait()
        waits.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(IDLE_S)
    writer.close()
    await server.close()
    await service.close()
    cuts = statistics.quantiles(waits, n=100)
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}


def memory(frames: list[bytes], keep_lines: int, results: Any, sessions: int = 100_000) -> None:
    """Bytes of resident memory per open session of 20 events; in a process of its own."""
    bundle = load_bundle("hdfs")
    engine = bundle.engine(Config(keep_lines=keep_lines))
    log = [
        record for frame in frames[:2] for chunk in chunks_of(frame) for _, record in chunk.events()
    ]
    rest = [record[b"message"] for record in log]
    key = bundle.input_settings.session_key[0].strip("/")
    gc.collect()
    before = resident_bytes()
    pattern = re.compile(key.encode())
    for number in range(sessions):
        name = b"blk_%d" % number
        events = [
            (
                1_600_000_000 * 10**9,
                {**log[i % len(log)], b"message": pattern.sub(name, rest[i % len(log)])},
            )
            for i in range(number, number + 20)
        ]
        engine.feed("app", events, 1_600_000_000 * 10**9)
    gc.collect()
    results.put((resident_bytes() - before) / sessions)


def memory_per_session(frames: list[bytes]) -> dict[str, int]:
    out = {}
    for name, lines in (("bytes_per_session", 0), ("bytes_per_session_with_lines", 256)):
        results: Any = multiprocessing.Queue()
        process = multiprocessing.Process(target=memory, args=(frames, lines, results))
        process.start()
        out[name] = round(results.get())
        process.join()
    return out


def main() -> None:
    parser = checkout.parser(__doc__, "hdfs_raw")
    parser.add_argument("--loads", action="store_true", help="measure only the other loads")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the loads; 30 has 1,000,000 keys"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--alerts",
        choices=("session", "incident"),
        default="session",
        help="how alerts leave; latencies are always those of single alerts",
    )
    flags = parser.parse_args()
    events = checkout.hdfs_events(flags.data)
    multiprocessing.set_start_method("fork")
    if flags.loads:
        hdfs = [record for _, record in events]
        tune_gc()
        times_ns = [time_ns for time_ns, _ in events]
        print(json.dumps(load_rates(hdfs, times_ns, flags.rounds, flags.scale)))
        return
    bundle = load_bundle("hdfs")
    frames = frames_of(events)
    records = len(events)
    # Not held meanwhile: the memory that is measured must not be that of the log.
    del events
    tune_gc()
    result: dict[str, Any] = {"processor": processor(), "python": platform.python_version()}
    result |= throughput(frames, records, bundle, flags.rounds, flags.alerts)
    result["stages"] = stages(frames, records, bundle, min(flags.rounds, 3))
    result["latency"] = asyncio.run(latency(bundle))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        result["latency_with_store"] = asyncio.run(latency(bundle, f"{folder}/krone.db"))
    result["commit_ms"] = {
        str(sessions): commits(bundle, sessions) for sessions in (10_000, 100_000)
    }
    result["memory"] = memory_per_session(frames) | resident_whole()
    print(json.dumps(result, indent=None if flags.json else 2))


if __name__ == "__main__":
    main()
