"""Kills while a bundle is learnt on the stream, and while the next ones are fitted and swapped in.

The stream is that of an invented shop, since a bundle is fitted to it within seconds. After each
kill every bundle of the directory must load, and the link `current` must name one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fluent_krone.detect.bundle import load_bundle
from fluent_krone.errors import KroneError
from fluent_krone.inputs import read_events
from fluent_krone.learning.bundles import BundleFolder
from fluent_krone.runtime.store import Store
from fluent_krone.transport.forward import encode_events

from .bench import Bench
from .outcome import RunOutcome
from .serving import Client, Receiver, Serve

_NS = 1_000_000_000
# Orders in a chunk of the stream.
_ORDERS = 10
# Orders that are learnt from.
_LEARNT = 1_500
# Seconds that a fit may take, with all the kills in it.
_PATIENCE_S = 300.0
# Chunks that are sent after a swap, so that the service has taken the new bundle up.
_TAKEN_UP = 20
# Every order of this number goes wrong, once the bundle is in use.
_FAULTY = 25

_PLACED = "order {} placed, {} items"
_PAID = "payment of order {} captured after {} ms"
_PACKED = "order {} packed by robot {}"
_SENT = "order {} handed to carrier {}"
_RETURNED = "order {} came back, reason code {}"
_LOST = "robot lost order {} in aisle {}"
_NORMAL = (
    (_PLACED, _PAID, _PACKED, _SENT),
    (_PLACED, _PAID, _PACKED, _PACKED, _SENT),
    (_PLACED, _PAID, _PACKED, _SENT, _RETURNED),
)
_WRONG = (_PLACED, _PAID, _LOST, _LOST)


class Shop:
    """An endless stream of orders in chunks; `faulty` are those that go wrong, as they come."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        # The stream ends now, so that its times are believed.
        self._began = int(time.time()) - 86_400
        self.events: list[str] = []
        self.names: set[str] = set()
        self.faulty: list[str] = []
        self.has_faults = False

    def chunk(self) -> bytes:
        """The next chunk, packed as a client sends it."""
        events = []
        for _ in range(_ORDERS):
            number = next(self._numbers)
            # Numbers that grow would leave the range that was learnt.
            name = f"{self._random.getrandbits(48):012x}"
            self.names.add(name)
            steps = self._random.choices(_NORMAL, (6, 3, 1))[0]
            if self.has_faults and number % _FAULTY == 0:
                steps = _WRONG
                self.faulty.append(name)
            for at, step in enumerate(steps):
                text = step.format(name, self._random.randint(1, 9))
                time_ns = (self._began + number + at) * _NS + number
                events.append((time_ns, {"message": text, "order": name}))
        events.sort(key=lambda event: event[0])
        self.events += [record["message"] for _, record in events]
        return encode_events("shop", events, f"shop-{len(self.events)}")


@dataclass
class Run:
    """A running service over a directory of bundles, killed now and then."""

    folder: BundleFolder
    serve: Serve
    client: Client
    outcome: RunOutcome
    kills: Counter[str] = field(default_factory=Counter)
    half_bundles: int = 0

    async def kill(self, during: str) -> None:
        """SIGKILL, a look at the bundles, and a new start."""
        await self.serve.end(signal.SIGKILL)
        self.kills[during] += 1
        self.half_bundles += half_bundles(self.folder)
        await self.serve.start()

    async def kill_while(self, during: str, frame: bytes, after_s: float) -> None:
        """SIGKILL while a chunk is in flight."""
        sending = asyncio.create_task(self.client.send(frame))
        await asyncio.sleep(after_s)
        await self.kill(during)
        await sending


def half_bundles(folder: BundleFolder) -> int:
    """Bundles of the directory that cannot be loaded."""
    names = [kept.name for kept in folder.bundles()]
    if folder.current is None and (folder.path / "current").is_symlink():
        names.append("current")
    found = 0
    for name in names:
        try:
            load_bundle(str(folder.path / name))
        except KroneError:
            found += 1
    return found


@contextlib.asynccontextmanager
async def _running(*flags: str) -> AsyncIterator[Run]:
    with tempfile.TemporaryDirectory() as made:
        outcome = RunOutcome()
        receiver = Receiver(outcome)
        await receiver.up()
        folder = BundleFolder(Path(made) / "bundles")
        given = ("--idle-timeout", "60s", "--reload-interval", "0.2", *flags)
        serve = Serve(Path(made), str(folder.path), receiver.port, *given)
        client = Client(serve)
        await serve.start()
        try:
            yield Run(folder, serve, client, outcome)
        finally:
            await client.close()
            if serve.process is not None and serve.process.returncode is None:
                await serve.end()
            await receiver.down()


async def learning(bench: Bench) -> dict[str, Any]:
    """Kills while the stream is collected, while the bundle is fitted, and while it is taken up."""
    shop = Shop(seed=bench.random.randrange(1000))
    flags = ("--learn-sessions", str(10**9), "--learn", "1d", "--on-shutdown", "judge")
    async with _running(*flags) as run:
        figures = await _collect(bench, run, shop)
        # Restarted with other parameters: what was collected is enough now.
        await run.serve.end(signal.SIGTERM)
        run.serve.set_flag("--learn", "1")
        await run.serve.start()
        await _until_armed(bench, run, shop)
        return figures | await _judged(run, shop)


async def _collect(bench: Bench, run: Run, shop: Shop) -> dict[str, Any]:
    """Collect with kills; what lies in the spool must be what was sent."""
    chunks = _LEARNT // _ORDERS
    at = Counter(bench.random.choices(range(chunks), k=max(bench.kills_wanted // 2, 1)))
    for number in range(chunks):
        frame = shop.chunk()
        if at[number]:
            await run.kill_while("collecting", frame, bench.random.uniform(0, bench.ack_s))
            for _ in range(at[number] - 1):
                await asyncio.sleep(bench.random.uniform(0, bench.ack_s))
                await run.kill("collecting")
        else:
            await run.client.send(frame)
    spooled = read_events(run.folder.learning / "collected")
    found = Counter(record[b"message"].decode() for _, record in spooled)
    sent = Counter(shop.events)
    return {
        "records_sent": sent.total(),
        "records_lost": (sent - found).total(),
        "records_doubled": (found - sent).total(),
    }


async def _until_armed(bench: Bench, run: Run, shop: Shop) -> None:
    """Kill at random moments of the fit and behind it, while the stream goes on."""
    wanted = max(bench.kills_wanted // 2, 1)
    deadline = time.monotonic() + _PATIENCE_S
    while not _is_armed(run):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no bundle was learnt: {run.serve.told()[-2000:]}")
        if run.kills["fitting"] < wanted:
            # Nearly all of a fit is shorter; it goes on from its last finished stage.
            after_s = bench.random.uniform(0, 3.0)
            await run.kill_while("fitting", shop.chunk(), after_s)
        else:
            await run.client.send(shop.chunk())
            await asyncio.sleep(0.1)


def _is_armed(run: Run) -> bool:
    return run.folder.current is not None and not run.folder.learning.exists()


async def _judged(run: Run, shop: Shop) -> dict[str, Any]:
    """What is found in the stream from now on."""
    shop.has_faults = True
    for _ in range(100):
        await run.client.send(shop.chunk())
    await run.client.close()
    await run.serve.end(signal.SIGTERM)
    return _figures(run, shop)


def _figures(run: Run, shop: Shop) -> dict[str, Any]:
    """Call this once the service has ended: alerts that it could not deliver lie in its store."""
    undelivered = _undelivered(run)
    faulty = set(shop.faulty)
    alerted: set[str] = set()
    reasons: Counter[str] = Counter()
    for record in run.outcome.alerts.values():
        if record["kind"] == "unseen_template":
            continue
        name = " ".join(record["session"])
        alerted.add(name)
        if name not in faulty:
            reasons[f"{record['kind']} {record['deviations'][0]['witness']}"] += 1
    return {
        "kills": dict(run.kills),
        "half_bundles": run.half_bundles + half_bundles(run.folder),
        "bundles": len(run.folder.bundles()),
        "faulty_orders": len(faulty),
        "faulty_orders_missed": len(faulty - alerted),
        # Where the missed ones stand among the faulty: at a kill, before a swap, or behind it.
        "missed_at": [at for at, name in enumerate(shop.faulty) if name not in alerted][:20],
        "normal_orders": len(shop.names - faulty),
        "normal_orders_flagged": len(alerted - faulty),
        "alerts_undelivered": undelivered,
        # A lost or doubled record would show as a session of other counts or in another order.
        "flagged_for": dict(reasons),
        "repeated_with_the_same_id": sum(n - 1 for n in run.outcome.arrived.values()),
        "repeats_that_differ": run.outcome.notes.get("repeats_that_differ", 0),
    }


def _undelivered(run: Run) -> int:
    """Count in the alerts that the service has kept for its next start; returns how many."""
    held = Store(run.serve.store)
    alerts = held.alerts()
    for alert in alerts:
        run.outcome.add(dict(alert.record))
    held.close()
    return len(alerts)


async def refit(bench: Bench) -> dict[str, Any]:
    """Kills while the next bundles are fitted and swapped in, by themselves and by command."""
    shop = Shop(seed=bench.random.randrange(1000))
    flags = ("--learn", "1", "--refit", "auto", "--refit-interval", "2s", "--on-shutdown", "judge")
    async with _running(*flags) as run:
        for _ in range(_LEARNT // _ORDERS):
            await run.client.send(shop.chunk())
        await _until_swapped(run, shop, 1)
        shop.has_faults = True
        for after_s in _moments(bench):
            await run.kill_while("refit", shop.chunk(), after_s)
        swapped = await _until_swapped(run, shop, 2)
        await _roll_back_and_forth(bench, run, shop)
        await run.client.close()
        await run.serve.end(signal.SIGTERM)
        return _figures(run, shop) | {"swaps_seen": swapped}


def _moments(bench: Bench) -> Iterator[float]:
    for _ in range(max(bench.kills_wanted // 2, 1)):
        yield bench.random.uniform(0, 3.0)


async def _until_swapped(run: Run, shop: Shop, bundles: int) -> int:
    """Send on until `bundles` bundles were in use; returns how many the log names."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _is_armed(run) or (bundles > 1 and run.folder.previous is None):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no bundle was swapped in: {run.serve.told()[-2000:]}")
        await run.client.send(shop.chunk())
        await asyncio.sleep(0.05)
    # The service looks for a new bundle now and then: what follows is judged by it.
    for _ in range(_TAKEN_UP):
        await run.client.send(shop.chunk())
        await asyncio.sleep(0.05)
    return run.serve.told().count("new bundle in use")


async def _roll_back_and_forth(bench: Bench, run: Run, shop: Shop) -> None:
    """Swap by the link, and kill right behind it."""
    for _ in range(max(bench.kills_wanted // 2, 1)):
        run.folder.roll_back()
        await run.kill_while("swap", shop.chunk(), bench.random.uniform(0, 0.6))
