"""Chunks in: taken whole, one after the other, each fed once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from service_rig import BAD, Rig, run, settle
from synthetic import NORMAL

from fluent_krone.detect.bundle import Bundle


def test_a_chunk_seen_before_is_acked_and_skipped(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for chunk_id in ("1", "1", "2", "1"):
            acked = len(rig.acked)
            await rig.take(chunk_id, ("a", BAD))
            await settle(lambda n=acked: len(rig.acked) > n, turns=10**6)
        assert rig.acked == ["1", "1", "2", "1"]
        stats = rig.service.stats()
        assert (stats["records"], stats["chunks"], stats["chunks_repeated"]) == (8, 4, 2)

    story(body)


def test_also_while_the_first_is_not_yet_committed(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await asyncio.gather(*(rig.take("1", ("a", BAD)) for _ in range(3)))
        await settle(lambda: len(rig.acked) == 3, turns=10**6)
        assert rig.acked == ["1", "1", "1"]
        assert rig.service.stats()["records"] == 4

    story(body)


def test_a_chunk_without_id_is_fed_each_time_and_counted(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take(None, ("a", BAD))
        await rig.take(None, ("a", BAD))
        stats = rig.service.stats()
        assert (stats["records"], stats["chunks_without_id"]) == (8, 2)

    story(body)


def test_large_chunks_let_others_have_their_turn(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.intake._SLICE", 2)

    async def body(rig: Rig) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        await rig.take("1", ("a", NORMAL[2] * 4))
        counter.cancel()
        assert turns >= 12
        assert rig.service.stats()["records"] == 24

    story(body)


def test_chunks_are_taken_whole_one_after_the_other(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.intake._SLICE", 1)

    async def body(rig: Rig) -> None:
        first, second = NORMAL[1][:3], NORMAL[1][3:]
        await asyncio.gather(rig.take("1", ("a", first)), rig.take("2", ("a", second)))
        await rig.service.flush()
        assert rig.receiver.alerts == []  # interleaved, they would not be a normal ride

    story(body)


def test_a_chunk_after_the_flush_stays_with_its_sender(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.flush()
        late = asyncio.create_task(rig.take("1", ("a", BAD)))
        await settle()
        assert not late.done() and rig.acked == []
        late.cancel()

    story(body)


def test_a_chunk_fed_in_part_is_never_committed(
    lift: Bundle, store_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.intake._SLICE", 1)

    async def whole() -> None:
        first = Rig(lift, store=store_path, commit_interval=0.0)
        await first.service.start()
        await first.take("1", ("a", NORMAL[0]))
        taking = asyncio.create_task(first.take("2", ("b", NORMAL[0])))
        await settle(lambda: first.service.stats()["records"] > 4)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert (
            first.service.torn.is_set() and first.service.troubles() and not first.service.has_bug
        )
        await first.take("3", ("c", NORMAL[0]))
        await settle()
        assert first.acked == ["1"]
        await first.service.close()

        second = Rig(lift, store=store_path)
        assert second.service.stats()["sessions_open"] == 1
        await second.service.close()

    run(whole)
