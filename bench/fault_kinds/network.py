"""Faults of the network: receivers away or slow, chunks repeated, reordered or cut short."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fluent_krone.transport.forward import Chunk, ForwardDecoder

from .bench import Bench
from .outcome import in_any_order, name_of


async def sink_down(bench: Bench) -> dict[str, Any]:
    """The alerts' receiver is away for a while, over a kill too."""
    async with bench.rig() as rig:
        half = len(bench.frames) // 2
        await rig.receiver.down()
        for frame in bench.frames[:half]:
            await rig.client.send(frame)
        await rig.serve.end()
        await rig.serve.start()
        await asyncio.sleep(bench.pause_s)
        await rig.receiver.up()
        for frame in bench.frames[half:]:
            await rig.client.send(frame)
        return (await bench.stop(rig)).beside(bench.whole)


async def slow_sink(bench: Bench) -> dict[str, Any]:
    """The receiver takes its time, and few alerts may wait: reading stops, memory stays."""
    async with bench.rig("--max-alerts", "5") as rig:
        rig.receiver.delay_s = 0.02
        began = time.monotonic()
        before = rig.serve.resident()
        for frame in bench.frames:
            await rig.client.send(frame)
        rig.outcome.notes["seconds"] = round(time.monotonic() - began, 1)
        rig.outcome.notes["resident_grew_mb"] = round(rig.serve.resident() - before, 1)
        return (await bench.stop(rig)).beside(bench.whole)


async def duplicated(bench: Bench) -> dict[str, Any]:
    """Every chunk comes twice, and all of them again after a restart."""
    async with bench.rig() as rig:
        for frame in bench.frames:
            await asyncio.gather(rig.client.send(frame))
            await rig.client.send(frame)
        await rig.serve.end()
        await rig.serve.start()
        for frame in bench.frames:
            await rig.client.send(frame)
        return (await bench.stop(rig)).beside(bench.whole)


async def reordered(bench: Bench) -> dict[str, Any]:
    """Neighbouring chunks change places: nothing is lost, but sessions in both may differ."""
    frames = list(bench.frames)
    # Keys of sessions that lie in both of two chunks that changed places: only these may differ.
    crossing: set[str] = set()
    size = len(bench.events) // len(frames) + 1
    # One pair in ten chunks is enough to show a difference, and leaves most sessions alone.
    for i in range(0, len(frames) - 1, 10):
        frames[i], frames[i + 1] = frames[i + 1], frames[i]
        crossing |= _keys_of(bench, bench.frames[i]) & _keys_of(bench, bench.frames[i + 1])
    async with bench.rig() as rig:
        for frame in frames:
            await rig.client.send(frame)
        found = await bench.stop(rig)
    different = {
        key
        for key, value in bench.whole.sessions.items()
        if _but_for_starts(found.sessions.get(key, [])) != _but_for_starts(value)
    }
    figures = in_any_order(found.beside(bench.whole))
    return figures | {"events_a_chunk": size, "differ_without_reason": len(different - crossing)}


def _but_for_starts(session: list[Any]) -> list[Any]:
    """What is held of a session, without the stream times at which it was seen first.

    After a step back, stream time follows only once several events agree. So the first session of a
    chunk that was moved has another such time, or two of them, whatever chunks it lies in.
    """
    return [row for row in session if len(row) != 3 or row[1] is None]


def _keys_of(bench: Bench, frame: bytes) -> set[str]:
    engine = bench.bundle.engine()
    [chunk] = ForwardDecoder().feed(frame)
    assert isinstance(chunk, Chunk)
    return {
        name_of(key) for _, record in chunk.events() for key in engine.reader.read(b"", record)[1]
    }


async def truncated(bench: Bench) -> dict[str, Any]:
    """Connections break off inside a frame, at random places; the chunk is then sent whole."""
    async with bench.rig() as rig:
        for frame in bench.frames:
            if bench.random.random() < 0.2:
                _, writer = await asyncio.open_connection("127.0.0.1", rig.serve.port)
                writer.write(frame[: bench.random.randrange(len(frame))])
                await writer.drain()
                writer.close()
            await rig.client.send(frame)
        return (await bench.stop(rig)).beside(bench.whole)
