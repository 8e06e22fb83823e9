"""Attacks on a running `serve` with well-behaved clients beside them, for tests and benches."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgpack
from serving import Served, serving
from synthetic import GOING, MESSAGES, T0

from fluent_krone.errors import SinkBusy
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.transport.forward import ClientHandshake, encode_events
from fluent_krone.types import Alert

MIB = 2**20
KEY = "the key"
# Seconds for which the well-behaved try to deliver one chunk.
PATIENCE_S = 60


@dataclass(frozen=True)
class Attack:
    """`run(port, scale)` returns when the attackers have finished.

    `serve` may grow by `memory_bytes` meanwhile, and `traces` must stand in its log.
    """

    run: Callable[[int, float], Awaitable[None]]
    memory_bytes: int
    traces: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    key: str | None = None


@dataclass
class AttackOutcome:
    sent: int = 0  # chunks of the well-behaved, a record each
    acked: int = 0
    records: int = 0  # of theirs, as `serve` counted
    slowest_s: float = 0.0  # of their acks
    before_bytes: int = 0
    grown_bytes: int = 0
    log: str = ""


async def under_attack(bundle: Path, attack: Attack, scale: float) -> AttackOutcome:
    """Attack a `serve`, while one client keeps its connection and another one reconnects often."""
    outcome = AttackOutcome()
    flags = [
        "--max-frame-size=16m",
        "--max-inflated-size=32m",
        "--max-pending-size=32m",
        *attack.flags,
    ]
    env = {"FLUENT_KRONE_SHARED_KEY": attack.key} if attack.key else {}
    async with serving(bundle, *flags, **env) as served:
        over = asyncio.Event()
        first = asyncio.Event()
        clients = [
            asyncio.create_task(
                _well_behaved(served.port, outcome, over, first, attack.key, anew=anew)
            )
            for anew in (False, True)
        ]
        await first.wait()
        outcome.before_bytes = served.resident_bytes()
        watch = asyncio.create_task(_watch(served, outcome))
        await attack.run(served.port, scale)
        over.set()
        await asyncio.wait_for(asyncio.gather(*clients), 120)
        watch.cancel()
        _measure(served, outcome)
    outcome.log = served.log
    [stats] = [line for line in served.log.splitlines() if " stats " in line][-1:]
    numbers = dict(word.split("=") for word in stats.split() if "=" in word)
    outcome.records = int(numbers["events"])
    return outcome


async def _well_behaved(
    port: int,
    outcome: AttackOutcome,
    over: asyncio.Event,
    first: asyncio.Event,
    key: str | None,
    anew: bool,
) -> None:
    sink = ForwardSink("127.0.0.1", port, shared_key=key)
    for number in itertools.count():
        if over.is_set() and number:
            break
        name = f"{anew}-{number}"
        outcome.sent += 1
        began = time.monotonic()
        alert = Alert(name, "app", T0, {"message": MESSAGES[GOING], "ride": name})
        # An ack that is late ends the connection by design, and any client sends the chunk again.
        # On a machine with much else to do, an ack may be late.
        async with asyncio.timeout(PATIENCE_S):
            while not await _delivered(sink, alert):
                await asyncio.sleep(0.1)
        outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - began)
        outcome.acked += 1
        if anew:
            first.set()
            await sink.close()
        await asyncio.sleep(0.01)
    await sink.close()


async def _delivered(sink: ForwardSink, alert: Alert) -> bool:
    try:
        await sink.deliver([alert])
    except SinkBusy:
        return False
    return True


async def _watch(served: Served, outcome: AttackOutcome) -> None:
    while True:
        _measure(served, outcome)
        await asyncio.sleep(0.02)


def _measure(served: Served, outcome: AttackOutcome) -> None:
    outcome.grown_bytes = max(outcome.grown_bytes, served.resident_bytes() - outcome.before_bytes)


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _send(port: int, data: bytes) -> bytes:
    """Send, end, and read until we are cut off; what came back."""
    async with _connected(port) as (reader, writer):
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()
            writer.write_eof()
            return await reader.read()
    return b""


# --- the attacks


async def bombs(port: int, scale: float) -> None:
    """Chunks that inflate far past the cap, many at once: 1 GiB each out of 1 MiB."""
    bomb = b"".join(gzip.compress(bytes(64 * MIB)) for _ in range(1 if scale < 1 else 16))
    frame = msgpack.packb(["app", bomb, {"compressed": "gzip", "chunk": "bomb"}])
    await asyncio.gather(*(_send(port, frame) for _ in range(max(4, round(40 * scale)))))


async def gigabyte_headers(port: int, scale: float) -> None:
    """Headers that promise a gigabyte, of each kind, and as much as the input takes after them."""
    heads = [
        b"\x92\xa3app" + kind + b"\x40\x00\x00\x00" for kind in (b"\xc6", b"\xdb", b"\xdd", b"\xdf")
    ]
    heads += [b"\xc9\x40\x00\x00\x00\x01", b"\xdd\x40\x00\x00\x00"]
    await asyncio.gather(*(_send(port, head + bytes(20 * MIB)) for head in heads))


async def silent_crowd(port: int, scale: float) -> None:
    """More connections than are allowed, and none of them sends anything."""
    async with contextlib.AsyncExitStack() as crowd:
        for _ in range(round(1000 * scale)):
            await crowd.enter_async_context(_connected(port))
        await asyncio.sleep(0.5)


async def wrong_keys(port: int, scale: float) -> None:
    """Guesses at the key, one connection each."""

    async def guess(number: int) -> None:
        async with _connected(port) as (reader, writer):
            with contextlib.suppress(OSError):
                ping, _ = ClientHandshake(f"guess {number}", "guesser").ping(
                    await reader.read(1000)
                )
                writer.write(ping)
                await reader.read()

    for start in range(0, round(10_000 * scale), 20):
        await asyncio.gather(*map(guess, range(start, start + 20)))


async def slow_frames(port: int, scale: float) -> None:
    """Unfinished frames of the largest size on many connections, then a byte now and then."""
    async with contextlib.AsyncExitStack() as crowd:
        begun = b"\x92\xa3app\xc6\x00\xff\x00\x00" + bytes(15 * MIB)
        writers = []
        for _ in range(round(200 * scale)):
            _, writer = await crowd.enter_async_context(_connected(port))
            writer.write(begun)
            writers.append(writer)
        for _ in range(round(400 * scale)):
            for writer in writers:
                with contextlib.suppress(OSError):
                    writer.write(b"\0")
            await asyncio.sleep(0.05)
        for writer in writers:
            writer.transport.abort()


async def garbage(port: int, scale: float) -> None:
    """Whole chunks of what costs most to read: many small non-events, and data that inflates."""
    kinds = [b"\x00", b"\x80", b"\x92\x00\x80", b"\x81\x90\x00", b"\xdc\xff\xff" + b"\x80" * 65535]
    for number in range(round(5 * max(1, 4 * scale))):
        kind = kinds[number % len(kinds)]
        body = kind * ((2 if scale < 1 else 15) * MIB // len(kind))
        await _send(port, msgpack.packb(["app", body, {"chunk": f"g{number}"}]))
        await _send(port, b"\x92\xa3app\xdd" + (len(body) // len(kind)).to_bytes(4, "big") + body)


async def drips(port: int, scale: float) -> None:
    """A nested frame byte by byte, so that each byte might cost a look at all before it."""
    frame = b"\x92\xa3app\xdd\x00\x01\x00\x00" + b"\x92\x00\x80" * 2000
    async with _connected(port) as (_, writer):
        for byte in frame[: round(6000 * scale) + 10]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)


async def acks_unread(port: int, scale: float) -> None:
    """Many chunks, and not one ack read."""
    entry = encode_events("app", [], "x" * 60_000)
    async with _connected(port) as (_, writer):
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(2 + 8 * scale):
                while True:
                    writer.write(entry)
                    await writer.drain()
        writer.transport.abort()


_PER_CLIENT = MIB  # what asyncio and the kernel's copy of a connection may cost
ATTACKS = {
    "bombs": Attack(bombs, 224 * MIB),
    "gigabyte headers": Attack(gigabyte_headers, 200 * MIB, ("reason=bad_frame",)),
    "silent crowd": Attack(
        silent_crowd, 64 * _PER_CLIENT, ("idle connection evicted",), ("--max-connections=64",)
    ),
    "wrong keys": Attack(wrong_keys, 64 * MIB, ("reason=shared_key mismatch",), key=KEY),
    "slow frames": Attack(slow_frames, 384 * MIB),
    "garbage": Attack(garbage, 160 * MIB, ("set_aside_undecodable",)),
    "drips": Attack(drips, 32 * MIB, ("reason=cut_short",)),
    "acks unread": Attack(acks_unread, 64 * MIB),
}
