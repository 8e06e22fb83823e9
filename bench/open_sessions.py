"""What open sessions cost: a commit of some of them, and the memory of a process that has many."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loads import CHUNK_RECORDS
from machine import resident_bytes

from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.runtime.repeats import chunk_key
from fluent_krone.runtime.store import Store
from fluent_krone.runtime.wiring import tune_gc

# Sessions that change with each commit that is timed, and how many of these there are.
_CHANGED = 1_000
_ROUNDS = 15


def commits(bundle: Bundle, open_sessions: int) -> float:
    """Median milliseconds of a commit with a thousand of `open_sessions` changed, lines kept."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        engine = bundle.engine()
        store = Store(Path(folder) / "krone.db")
        engine.track()
        names = list(range(open_sessions))
        ids = map(str, itertools.count())
        # Twenty events for each session, so that saved sessions lie in several parts.
        for _ in range(20):
            random.shuffle(names)
            for at in range(0, open_sessions, CHUNK_RECORDS):
                feed_one_each(engine, names[at : at + CHUNK_RECORDS])
                store.commit(engine.changes(store.pack), [chunk_key(next(ids))], [], time.time())
        timings = []
        for _ in range(_ROUNDS):
            feed_one_each(engine, random.sample(names, _CHANGED))
            started = time.perf_counter()
            store.commit(engine.changes(store.pack), [chunk_key(next(ids))], [], time.time())
            timings.append((time.perf_counter() - started) * 1e3)
        store.close()
    return round(statistics.median(timings), 2)


def feed_one_each(engine: Engine, names: Sequence[int]) -> None:
    """One event for each of these sessions."""
    line = b"Receiving block blk_%d src: /10.250.19.102:54106 dest: /10.250.19.102:50010"
    records = (
        {b"component": b"dfs.DataNode$DataXceiver", b"message": line % (10**15 + name)}
        for name in names
    )
    engine.feed(
        "app", ((1_600_000_000 * 10**9, record) for record in records), 1_600_000_000 * 10**9
    )


def whole_process(folder: str | None, results: Any, sessions: int = 100_000) -> None:
    """Resident megabytes of a serving process with open sessions of 20 events and no lines kept."""
    # All that `serve` imports.
    import fluent_krone.cli  # noqa: F401

    engine = load_bundle("hdfs").engine(Config(keep_lines=0))
    store = None
    if folder is not None:
        store = Store(Path(folder) / "krone.db")
    tune_gc()
    if store:
        engine.track()
    for at in range(0, sessions, CHUNK_RECORDS):
        for _ in range(20):
            feed_one_each(engine, range(at, at + CHUNK_RECORDS))
            if store:
                store.commit(engine.changes(store.pack), [], [], time.time())
    gc.collect()
    assert len(engine.sessions.open) == sessions and "anthropic" not in sys.modules
    results.put(round(resident_bytes() / 1e6, 1))


def resident_whole() -> dict[str, float]:
    out = {}
    fresh = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for name, store in (("resident_mb", None), ("resident_mb_with_store", folder)):
            results = fresh.Queue()
            process = fresh.Process(target=whole_process, args=(store, results))
            process.start()
            out[name] = results.get()
            process.join()
    return out
