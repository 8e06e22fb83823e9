"""The log that all faults run over, its undisturbed run, and what each run of `serve` needs."""

from __future__ import annotations

import contextlib
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fluent_krone.detect.bundle import load_bundle
from fluent_krone.transport.forward import encode_events

from .outcome import RunOutcome
from .serving import Client, Receiver, Serve

Events = list[tuple[int, dict[str, str]]]


@dataclass
class Rig:
    """One run of `serve`: a folder, a receiver, a client."""

    serve: Serve
    receiver: Receiver
    client: Client
    outcome: RunOutcome


class Bench:
    """The log in chunks, and its undisturbed run.

    `pause_s` is how long a disk stays full or a receiver away.
    """

    def __init__(
        self, events: Events, bundle: str, *, chunk: int, seed: int, kills: int, pause_s: float
    ) -> None:
        self.events = events
        self.bundle_name = bundle
        self.bundle = load_bundle(bundle)
        cuts = range(0, len(events), chunk)
        self.frames = [encode_events("app.hdfs", events[i : i + chunk], f"chunk-{i}") for i in cuts]
        self.random = random.Random(seed)
        self.kills_wanted = kills
        self.pause_s = pause_s
        self.whole = RunOutcome()
        # Seconds until a chunk is acked, measured in the undisturbed run; kills fall into it.
        self.ack_s = 0.05

    @contextlib.asynccontextmanager
    async def rig(self, *flags: str, folder: Path | None = None) -> AsyncIterator[Rig]:
        with tempfile.TemporaryDirectory() as made:
            outcome = RunOutcome()
            receiver = Receiver(outcome)
            await receiver.up()
            serve = Serve(Path(made), self.bundle_name, receiver.port, *flags)
            if folder is not None:
                serve.store = folder / "krone.db"
                serve.set_flag("--store", str(serve.store))
            client = Client(serve)
            await serve.start()
            try:
                yield Rig(serve, receiver, client, outcome)
            finally:
                await client.close()
                if serve.process is not None and serve.process.returncode is None:
                    await serve.end()
                await receiver.down()

    async def stop(self, rig: Rig) -> RunOutcome:
        """Stop as an operator would, and read the store. A stop that fails is an error."""
        await rig.client.close()
        await rig.serve.end(signal.SIGTERM)
        assert rig.serve.process is not None and rig.serve.process.returncode == 0, (
            rig.serve.told()[-1000:]
        )
        rig.outcome.notes["chunks_sent_again"] = rig.client.sent_again
        return rig.outcome.finish(rig.serve.store, self.bundle)

    async def undisturbed(self) -> RunOutcome:
        async with self.rig() as rig:
            began = time.monotonic()
            for frame in self.frames:
                await rig.client.send(frame)
            self.ack_s = (time.monotonic() - began) / len(self.frames)
            return await self.stop(rig)
