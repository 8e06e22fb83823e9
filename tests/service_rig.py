"""A service over a receiver that tests hold in their hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from synthetic import GOING, OPEN, OPENED, STUCK, T0, S, ride

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import SinkBusy
from fluent_krone.runtime.wiring import open_service
from fluent_krone.transport.forward import Chunk
from fluent_krone.types import Alert, Packed

BAD = (OPEN, OPENED, GOING, STUCK)


class Receiver:
    """A sink that holds what it is given, once it is `open`; before that a delivery waits."""

    def __init__(self, failures: int = 0) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.alerts: list[Alert] = []
        self.packed: list[Packed] = []
        self.failures = failures
        self.closed = False

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise SinkBusy("not now")
        self.alerts += alerts

    async def deliver_packed(self, packed: Packed) -> None:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise SinkBusy("not now")
        self.packed.append(packed)

    async def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, bundle: Bundle, receiver: Receiver | None = None, **config: Any) -> None:
        # Each alert for itself, unless a test is about incidents.
        settings = Config(**{"commit_interval": 3600.0, "alerts": "session"} | config)
        self.now = T0 + 100 * S
        self.receiver = receiver or Receiver()
        self.acked: list[str] = []
        self.service = open_service(bundle, self.receiver, settings, clock_ns=lambda: self.now)

    async def take(self, chunk_id: str | None, *rides: tuple[str, Sequence[int]]) -> None:
        entries = [[t, record] for name, keys in rides for t, record in at_seconds(name, keys)]
        await self.service.take(
            Chunk("app", entries, chunk_id), lambda: self.acked.append(str(chunk_id))
        )


def at_seconds(name: str, keys: Sequence[int]) -> list[tuple[int, Any]]:
    return [((time_ns or 0) // S, record) for time_ns, record in ride(name, keys)]


# Seconds in which a fit ends, even on a machine that is busy with other things.
FIT_S = 300


def run(story: Callable[[], Coroutine[Any, Any, None]], limit_s: float = 30) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(limit_s):
            await story()

    asyncio.run(bounded())


async def settle(until: Callable[[], bool] = lambda: False, turns: int = 50) -> None:
    """Let the loop turn: as often as told, or until something holds."""
    for _ in range(turns):
        if until():
            return
        await asyncio.sleep(0)


async def killed(rig: Rig) -> None:
    """End a service without its word: tasks stop, nothing is committed, the file is let go of."""
    for task in rig.service._tasks:
        task.cancel()
    await asyncio.gather(*rig.service._tasks, return_exceptions=True)
    sqlite(rig).close()


def sqlite(rig: Rig) -> Any:
    assert rig.service._storage.store is not None
    return rig.service._storage.store._db


def damage(rig: Rig, table: str = "chunk", rootpage: str = "1000") -> None:
    """Damage the open file: a table begins at a page that is missing or belongs to another."""
    db = sqlite(rig)
    db.execute("PRAGMA writable_schema = true")
    db.execute(f"UPDATE sqlite_master SET rootpage = ({rootpage}) WHERE name = ?", (table,))
    db.execute("PRAGMA writable_schema = reset")


def damage_parts(rig: Rig) -> None:
    """Damage the sessions of the open file; the ids of chunks can still be read."""
    damage(
        rig, "part", "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_chunk_1'"
    )
