"""Small chunks that came together: how they are joined, and that it changes nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from frames import Inlet
from service_rig import BAD, Rig, at_seconds, run
from synthetic import GOING, NORMAL

from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import ProtocolError
from fluent_krone.transport import Delivery
from fluent_krone.transport.bursts import burst_inlet, together
from fluent_krone.transport.forward import Chunk

SMALL = 100
LARGE = 1_000_000


def size(item: int) -> int:
    return item


def test_small_ones_are_joined_in_their_order_and_a_large_one_comes_alone() -> None:
    items = [SMALL, SMALL + 1, LARGE, SMALL, LARGE, LARGE + 1]
    found = list(together(items, size))
    assert found == [[SMALL, SMALL + 1], [LARGE], [SMALL], [LARGE], [LARGE + 1]]


def test_a_burst_has_a_bound() -> None:
    made = random.Random(3)
    items = [made.randrange(1, 5_000) for _ in range(3_000)]
    found = list(together(items, size))
    assert [item for burst in found for item in burst] == items
    assert max(map(len, found)) <= 64
    assert all(sum(burst) <= 2**15 for burst in found if len(burst) > 1)


def test_what_came_before_a_fault_comes_before_it() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ProtocolError("here")

    found = []
    with pytest.raises(ProtocolError):
        found.extend(together(items(), size))
    # `extend` keeps what it has got.
    assert found == [[1, 2]]


def test_the_first_comes_before_the_second_is_asked_for() -> None:
    asked = []

    def items() -> Iterator[int]:
        for item in range(1, 4):
            asked.append(item)
            yield item

    bursts = together(items(), size, first_alone=True)
    assert next(bursts) == [1] and asked == [1]
    assert next(bursts) == [2, 3]


def test_an_inlet_of_single_chunks_gets_a_burst_one_by_one() -> None:
    async def story() -> None:
        inlet = Inlet(acking=False)
        burst = [
            Delivery(Chunk("app", [[1, {b"m": b"x"}]], str(i)), lambda: None, Never())
            for i in range(3)
        ]
        await burst_inlet(inlet).take_burst(burst)
        assert [chunk.chunk for chunk in inlet.chunks] == ["0", "1", "2"]

    asyncio.run(story())


class Never:
    def has_ack(self) -> bool | None:
        return None


def deliveries(rig: Rig) -> list[Delivery]:
    """Chunks of one record each, of two tags, some of them sent twice."""
    rides = [("a", BAD), ("b", NORMAL[0]), ("c", (GOING,))]
    records = [(name, event) for name, keys in rides for event in at_seconds(name, keys)]
    found = []
    for i, (name, event) in enumerate(records):
        # The rides of one tag come one after the other, and then those of another.
        tag = f"app.{name}"
        for _ in range(1 + (i % 3 == 0)):
            chunk = Chunk(tag, [list(event)], str(i))
            found.append(Delivery(chunk, acked(rig, str(i))))
    return found


def acked(rig: Rig, name: str) -> Callable[[], None]:
    return lambda: rig.acked.append(name)


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_burst_does_what_its_chunks_do(lift: Bundle, tmp_path: Path, is_stored: bool) -> None:
    async def outcome(is_burst: bool) -> tuple[object, ...]:
        store = None
        if is_stored:
            store = str(tmp_path / f"{is_burst}.db")
        rig = Rig(lift, store=store, on_shutdown="judge")
        await rig.service.start()
        burst = deliveries(rig)
        if is_burst:
            await rig.service.take_burst(burst)
        else:
            for delivery in burst:
                await rig.service.take(*delivery)
        await rig.service.flush()
        numbers = rig.service.stats()
        await rig.service.close()
        counts = [numbers[name] for name in ("chunks", "chunks_repeated", "records", "events")]
        return rig.receiver.alerts, rig.acked, counts

    async def story() -> None:
        alone = await outcome(is_burst=False)
        assert alone[0]
        assert await outcome(is_burst=True) == alone

    run(story)
