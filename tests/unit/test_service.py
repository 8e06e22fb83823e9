"""Chunks in, acks and alerts out: once each, in order, and not before their commit. No clock runs in these tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic import GOING, NORMAL, OPEN, OPENED, STUCK, T0, S, ride

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle
from fluent_krone.errors import SinkBusy
from fluent_krone.service import open_service
from fluent_krone.transport.forward_codec import Chunk
from fluent_krone.types import Alert

BAD = (OPEN, OPENED, GOING, STUCK)


class Receiver:
    """A sink that holds what it is given, once it is `open`; before that a delivery waits."""

    def __init__(self, failures: int = 0) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.alerts: list[Alert] = []
        self.failures = failures
        self.closed = False

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise SinkBusy("not now")
        self.alerts += alerts

    async def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, bundle: Bundle, **config: Any) -> None:
        settings = Config(**{"commit_interval": 3600.0} | config)
        self.now = T0 + 100 * S
        self.receiver = Receiver()
        self.acked: list[str] = []
        self.service = open_service(bundle, self.receiver, settings, clock_ns=lambda: self.now)

    async def take(self, chunk_id: str | None, *rides: tuple[str, Sequence[int]]) -> None:
        entries = [[t, record] for name, keys in rides for t, record in at_seconds(name, keys)]
        await self.service.take(Chunk("app", entries, chunk_id), lambda: self.acked.append(str(chunk_id)))


def at_seconds(name: str, keys: Sequence[int]) -> list[tuple[int, Any]]:
    return [((time_ns or 0) // S, record) for time_ns, record in ride(name, keys)]


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(bounded())


async def settle(until: Callable[[], bool] = lambda: False, turns: int = 50) -> None:
    """Let the loop turn: as often as told, or until something holds."""
    for _ in range(turns):
        if until():
            return
        await asyncio.sleep(0)


@pytest.fixture
def story(lift: Bundle) -> Callable[[Callable[[Rig], Awaitable[None]]], None]:
    """Runs a test's body with a started service, and closes it."""

    def play(body: Callable[[Rig], Awaitable[None]], **config: Any) -> None:
        async def whole() -> None:
            rig = Rig(lift, **config)
            await rig.service.start()
            await body(rig)
            await rig.service.close()
            assert rig.receiver.closed

        run(whole)

    return play


def test_a_chunk_is_acked_once_the_queue_is_empty(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        assert rig.acked == []
        await settle()
        assert rig.acked == ["1"]

    story(body)


def test_a_busy_stream_is_acked_after_so_many_records(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        await rig.take("2", ("b", NORMAL[0]))
        assert rig.acked == ["1", "2"]

    story(body, commit_records=6)


def test_or_at_the_commit_interval(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        assert rig.acked == ["1"]

    story(body, commit_interval=0.0)


def test_alerts_leave_with_the_commit(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", BAD))
        assert rig.receiver.alerts == []
        await settle()
        assert [alert.record["kind"] for alert in rig.receiver.alerts] == ["unseen_template"]
        await rig.service.flush()
        assert [alert.record["kind"] for alert in rig.receiver.alerts] == ["unseen_template", "sequence"]
        assert rig.service.stats()["alerts_delivered"] == 2

    story(body)


def test_a_chunk_seen_before_is_acked_and_skipped(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for chunk_id in ("1", "1", "2", "1"):
            await rig.take(chunk_id, ("a", BAD))
            await settle()
        assert rig.acked == ["1", "1", "2", "1"]
        stats = rig.service.stats()
        assert (stats["records"], stats["chunks"], stats["chunks_repeated"]) == (8, 4, 2)

    story(body)


def test_also_while_the_first_is_not_yet_committed(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await asyncio.gather(*(rig.take("1", ("a", BAD)) for _ in range(3)))
        await settle()
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


def test_large_chunks_let_others_have_their_turn(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluent_krone.service._SLICE", 2)

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


def test_chunks_are_taken_whole_one_after_the_other(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluent_krone.service._SLICE", 1)

    async def body(rig: Rig) -> None:
        first, second = NORMAL[1][:3], NORMAL[1][3:]
        await asyncio.gather(rig.take("1", ("a", first)), rig.take("2", ("a", second)))
        await rig.service.flush()
        assert rig.receiver.alerts == []  # interleaved, they would not be a normal ride

    story(body)


def test_flush_judges_what_is_open_and_waits_for_the_receiver(story: Any) -> None:
    async def body(rig: Rig) -> None:
        rig.receiver.open.clear()
        await rig.take("1", ("a", BAD))
        flush = asyncio.create_task(rig.service.flush())
        await settle()
        assert rig.acked == ["1"] and not flush.done()
        rig.receiver.open.set()
        await flush
        assert len(rig.receiver.alerts) == 2

    story(body)


def test_flush_may_keep_what_is_open(story: Any, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0][:2]), ("b", (GOING,)))
        await rig.service.flush()
        assert rig.receiver.alerts == []
        assert rig.service.stats()["sessions_open"] == 2

    story(body, store=str(tmp_path / "krone.db"))


def test_a_chunk_after_the_flush_stays_with_its_sender(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.flush()
        late = asyncio.create_task(rig.take("1", ("a", BAD)))
        await settle()
        assert not late.done() and rig.acked == []
        late.cancel()

    story(body)


def test_too_many_outgoing_alerts_stop_the_reading(story: Any) -> None:
    async def body(rig: Rig) -> None:
        rig.receiver.open.clear()
        await rig.take("1", ("a", BAD))
        await settle()
        second = asyncio.create_task(rig.take("2", ("b", BAD)))
        await settle()
        assert rig.acked == ["1"] and not second.done()
        rig.receiver.open.set()
        await second
        await settle()
        assert rig.acked == ["1", "2"]

    story(body, max_alerts=1)


def test_a_busy_receiver_gets_the_same_alerts_again_in_order(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluent_krone.service._BACK_OFF_S", (0.0, 0.0))

    async def body(rig: Rig) -> None:
        rig.receiver.failures = 3
        await rig.take("1", ("a", BAD), ("b", BAD))
        await rig.service.flush()
        assert [alert.record["session"] for alert in rig.receiver.alerts] == [["a"], ["a"], ["b"]]
        stats = rig.service.stats()
        assert (stats["deliveries_failed"], stats["alerts"], stats["alerts_outgoing"]) == (3, 3, 0)

    story(body)


def test_idle_sessions_end_while_no_record_comes(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluent_krone.service._TICK_S", 0.0)

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", (GOING,)))
        await settle()
        assert rig.receiver.alerts == []
        rig.now += 61 * S
        await settle(lambda: bool(rig.receiver.alerts), turns=10_000)
        assert [alert.record["session"] for alert in rig.receiver.alerts] == [["a"]]

    story(body)


def test_alerts_that_nobody_confirmed_are_told_at_the_close(story: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def body(rig: Rig) -> None:
        rig.receiver.open.clear()
        await rig.take("1", ("a", BAD))
        await settle()

    story(body)
    assert "alerts lost: nobody confirmed them count=1" in caplog.text


def test_stats_name_every_discard(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.take(Chunk("app", [[1, {b"message": b"x"}], [1, 7]], "1"), lambda: None)
        stats = rig.service.stats()
        assert (stats["set_aside_no_session_key"], stats["set_aside_not_a_map"]) == (1, 1)
        assert all(isinstance(value, int | float) for value in stats.values())

    story(body)
