"""A service in miniature over a store, which may be killed at any moment."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgpack
from synthetic import T0, S, lift_engine

from fluent_krone.core.engine import Engine
from fluent_krone.runtime.repeats import chunk_key
from fluent_krone.runtime.store import Store
from fluent_krone.types import Alert, Finding

NOW = T0 + 400 * 86400 * S


def found_over_snapshots(
    stream: Sequence[Any], cuts: Iterable[int], new: Callable[[], Engine]
) -> list[Finding]:
    """What is found in a stream that is cut into chunks, with a new engine after each of them."""
    engine = new()
    findings: list[Finding] = []
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        findings += engine.feed("app", stream[start:end], NOW)
        findings += engine.advance(NOW)
        saved = msgpack.packb(engine.snapshot())
        engine = new()
        engine.restore(msgpack.unpackb(saved, strict_map_key=False))
        assert msgpack.packb(engine.snapshot()) == saved
    return findings + engine.finish()


def as_alert(finding: Finding) -> Alert:
    return Alert(repr(finding), "app", 0, {})


class Run:
    """A service in miniature: a crash loses what it holds in memory, not what it committed."""

    def __init__(self, path: Path, chunks: list[list[Any]], **engine: Any) -> None:
        self._path, self._chunks, self._settings = path, chunks, engine
        self.delivered: list[str] = []
        self._open()

    def _open(self) -> None:
        self.store = Store(self._path)
        self.engine: Engine = lift_engine(**self._settings)
        if (saved := self.store.load()) is not None:
            self.engine.restore(saved)
        self.engine.track()
        self.outgoing = self.store.alerts()
        self.fresh: list[Alert] = []
        self.fed: list[bytes] = []

    def feed(self, number: int) -> None:
        key = chunk_key(str(number))
        if key not in self.fed and not self.store.chunks.has(key):
            self.fed.append(key)
            self.fresh += map(as_alert, self.engine.feed("app", self._chunks[number], NOW))

    def commit(self, fails: bool = False) -> None:
        changes = self.engine.changes(self.store.pack)
        if fails:  # a full disk; the same is tried again
            self.store._db.execute("PRAGMA query_only = true")
            try:
                self.store.commit(changes, self.fed, self.fresh, 0)
            except Exception as error:
                assert "readonly" in str(error)
            self.store._db.execute("PRAGMA query_only = false")
        self.store.commit(changes, self.fed, self.fresh, 0)
        self.outgoing += self.fresh
        self.fresh, self.fed = [], []

    def deliver(self, confirm: bool = True) -> None:
        self.delivered += [alert.alert_id for alert in self.outgoing]
        if confirm:
            self.store.confirm(len(self.outgoing))
            self.outgoing = []

    def crash(self) -> None:
        self.store._db.close()
        self._open()

    def finish(self) -> None:
        self.fresh += map(as_alert, self.engine.finish())
        self.commit()
        self.deliver()
        self.store.close()


def delivered_over_kills(
    stream: Sequence[Any], cuts: Iterable[int], kills: Container[int], **engine: Any
) -> Counter[str]:
    """How often each alert of a stream is delivered that is fed in chunks, cut at `cuts`.

    The service is killed between the feeding of a chunk and its commit, for the chunks `kills`.
    """
    chunks = [list(stream[start:end]) for start, end in pairwise([0, *sorted(cuts), len(stream)])]
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "krone.db", chunks, **engine)
        for number in range(len(chunks)):
            run.feed(number)
            if number in kills:
                run.crash()
                run.feed(number)
            run.commit()
        run.finish()
    return Counter(run.delivered)
