"""Kills at any moment: no kept record is lost, and none has two ids."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgpack
import pytest
from service_rig import BAD, Receiver, Rig, killed, run, settle
from synthetic import CLOSE, MESSAGES, NORMAL, T0, S

from fluent_krone.detect.bundle import Bundle
from fluent_krone.transport.forward import Chunk, encode_event_time

RIDES = {
    f"{kind}{n}": keys for n in range(12) for kind, keys in (("good", NORMAL[1]), ("bad", BAD))
}
# Half of the abnormal sessions are reported early, since something follows.
RIDES |= {f"worse{n}": (*BAD, CLOSE, CLOSE) for n in range(6)}


def chunks(chance: random.Random) -> list[Chunk]:
    """All rides, interleaved as it happens, in chunks of any size; each record has a number."""
    waiting = {name: list(keys) for name, keys in RIDES.items()}
    lines: list[tuple[str, int]] = []
    while waiting:
        name = chance.choice(list(waiting))
        lines.append((name, waiting[name].pop(0)))
        if not waiting[name]:
            del waiting[name]
    found = []
    at = 0
    while at < len(lines):
        size = chance.randint(1, 12)
        entries = [
            msgpack.packb(
                [
                    encode_event_time(T0 + number * S // 10),
                    {"ride": name, "message": MESSAGES[key], "n": number},
                ]
            )
            for number, (name, key) in enumerate(lines[at : at + size], at)
        ]
        found.append(Chunk("app", b"".join(entries), f"chunk-{at}", len(entries)))
        at += size
    return found


class Story:
    """One service after the other over one store, and what their receivers got."""

    def __init__(self, bundle: Bundle, store: Path, chance: random.Random) -> None:
        self._bundle = bundle
        self._store = store
        self._chance = chance
        self.kills = 0
        self.got: dict[int, set[str]] = {}
        self.order: dict[str, list[int]] = {}

    async def begin(self) -> None:
        self.receiver = Receiver(failures=self._chance.choice((0, 0, 1)))
        self.rig = Rig(
            self._bundle,
            self.receiver,
            store=str(self._store),
            on_shutdown="judge",
            keep=True,
            keep_per_kind=0,
            keep_share=0.0,
            keep_size=self._chance.choice((3_000, 2**30, 2**30)),
        )
        await self.rig.service.start()

    async def kill(self) -> None:
        self.kills += 1
        await killed(self.rig)
        self.count()
        await self.begin()

    def count(self) -> None:
        for packed in self.receiver.packed:
            for _, record in Chunk("", packed.entries).events():
                if b"n" not in record:
                    continue
                number = record[b"n"]
                if number not in self.got:
                    self.order.setdefault(record[b"ride"].decode(), []).append(number)
                self.got.setdefault(number, set()).add(record[b"krone.record_id"].decode())

    async def send(self, chunk: Chunk) -> None:
        """As a client does: again after each kill, until it is acked."""
        while True:
            acked = asyncio.Event()
            await self.rig.service.take(chunk, acked.set)
            if self._chance.random() < 0.25:
                await settle(turns=self._chance.randint(0, 5))
                await self.kill()
                continue
            self.rig.service._committer.commit()
            await settle(turns=self._chance.randint(0, 8))
            assert acked.is_set()
            if self._chance.random() < 0.15:
                await self.kill()
            return


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_any_moment_cost_no_kept_record(lift: Bundle, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    all_chunks = chunks(chance)
    story = Story(lift, tmp_path / "krone.db", chance)

    async def whole() -> None:
        await story.begin()
        for chunk in all_chunks:
            await story.send(chunk)
        await story.rig.service.flush()
        await story.rig.service.close()
        story.count()

    run(whole)
    wanted: dict[str, list[int]] = {}
    for chunk in all_chunks:
        for _, record in chunk.events():
            wanted.setdefault(record[b"ride"].decode(), []).append(record[b"n"])
    assert story.kills >= 3
    assert [number for number, ids in story.got.items() if len(ids) > 1] == []
    for name, numbers in wanted.items():
        kept: Any = story.order.get(name, [])
        if not name.startswith("good"):
            assert kept == numbers, name
        else:
            # Only what did not fit into the spool.
            assert kept == numbers[: len(kept)]
