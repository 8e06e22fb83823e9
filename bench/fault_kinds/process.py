"""Faults of the process: it is killed or stopped at random moments."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any

from .bench import Bench


async def kills(bench: Bench) -> dict[str, Any]:
    """SIGKILL at random moments, each while a chunk is in flight."""
    return await _ended(bench, signal.SIGKILL, bench.kills_wanted)


async def terms(bench: Bench) -> dict[str, Any]:
    """SIGTERM at random moments: a stop keeps what is open."""
    return await _ended(bench, signal.SIGTERM, max(bench.kills_wanted // 20, 2))


async def _ended(bench: Bench, signum: int, count: int) -> dict[str, Any]:
    # How many ends fall into the sending of each chunk.
    at = Counter(bench.random.choices(range(len(bench.frames)), k=count))
    async with bench.rig() as rig:
        for number, frame in enumerate(bench.frames):
            sending = asyncio.create_task(rig.client.send(frame))
            for _ in range(at[number]):
                # A little longer than a chunk takes, so that some ends come after its ack.
                await asyncio.sleep(bench.random.uniform(0, 1.3 * bench.ack_s))
                await rig.serve.end(signum)
                await rig.serve.start()
            await sending
        ends = rig.serve.starts - 1
        return (await bench.stop(rig)).beside(bench.whole) | {"ends": ends}
