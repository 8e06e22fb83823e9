"""Chunks in, acks and alerts out: once each, in order, and not before their commit. No test asserts a time."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    ROWS,
    STUCK,
    T0,
    S,
    ride,
    write_lift_bundle,
)

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.errors import ConfigError, SinkBusy
from fluent_krone.runtime import committer
from fluent_krone.runtime.wiring import open_service
from fluent_krone.transport.forward import Chunk
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
    def __init__(self, bundle: Bundle, receiver: Receiver | None = None, **config: Any) -> None:
        settings = Config(**{"commit_interval": 3600.0} | config)
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
        assert [alert.record["kind"] for alert in rig.receiver.alerts] == [
            "unseen_template",
            "sequence",
        ]
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


def test_a_busy_receiver_gets_the_same_alerts_again_in_order(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.outbox._BACK_OFF_S", (0.0, 0.0))

    async def body(rig: Rig) -> None:
        rig.receiver.failures = 3
        await rig.take("1", ("a", BAD), ("b", BAD))
        await rig.service.flush()
        assert [alert.record["session"] for alert in rig.receiver.alerts] == [["a"], ["a"], ["b"]]
        stats = rig.service.stats()
        assert (stats["deliveries_failed"], stats["alerts"], stats["alerts_outgoing"]) == (3, 3, 0)

    story(body)


def test_idle_sessions_end_while_no_record_comes(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.service._TICK_S", 0.0)

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", (GOING,)))
        await settle()
        assert rig.receiver.alerts == []
        rig.now += 61 * S
        await settle(lambda: bool(rig.receiver.alerts), turns=10_000)
        assert [alert.record["session"] for alert in rig.receiver.alerts] == [["a"]]

    story(body)


def test_alerts_that_nobody_confirmed_are_told_at_the_close(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
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


# -- with a store


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "krone.db")


def test_a_restart_goes_on_where_the_last_one_was_killed(lift: Bundle, store: str) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store)
        await first.service.start()
        await first.take("1", ("a", BAD[:2]))
        await settle()
        await first.take("2", ("b", NORMAL[0]))  # never committed, so never acked
        assert first.acked == ["1"]
        await killed(first)

        second = Rig(lift, store=store, on_shutdown="judge")
        await second.service.start()
        assert second.service.stats()["sessions_open"] == 1
        for chunk_id in ("1", "2"):
            await second.take(chunk_id, ("b", NORMAL[0]))
        await second.take("3", ("a", BAD[2:]))
        await second.service.flush()
        assert second.acked == ["1", "2", "3"]
        assert second.service.stats()["chunks_repeated"] == 1
        assert [
            (a.record["kind"], a.record["session"], a.record["events"])
            for a in second.receiver.alerts
        ] == [
            ("unseen_template", ["a"], 1),
            ("sequence", ["a"], 4),
        ]
        await second.service.close()

    run(whole)


def test_alerts_that_nobody_confirmed_leave_after_the_restart(
    lift: Bundle, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store)
        first.receiver.open.clear()
        await first.service.start()
        await first.take("1", ("a", BAD))
        await settle()
        assert first.acked == ["1"]
        await first.service.close()
        assert "alerts wait in the store for the next start count=1" in caplog.text

        second = Rig(lift, store=store)
        await second.service.start()
        await settle(lambda: bool(second.receiver.alerts))
        assert [alert.record["kind"] for alert in second.receiver.alerts] == ["unseen_template"]
        await second.service.close()

        third = Rig(lift, store=store)
        await third.service.start()
        await settle()
        assert third.receiver.alerts == []
        await third.service.close()

    run(whole)


def test_nobody_was_idle_while_nobody_listened(lift: Bundle, store: str) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store)
        await first.service.start()
        await first.take("1", ("a", (GOING,)))
        await first.service.flush()
        await first.service.close()
        second = Rig(lift, store=store)
        second.service._judge.engine.resume(T0 + 10**6 * S)
        assert second.service._judge.engine.advance(T0 + (10**6 + 59) * S) == []
        assert len(second.service._judge.engine.advance(T0 + (10**6 + 200) * S)) == 1
        await second.service.close()

    run(whole)


def test_while_the_store_is_full_nothing_is_acked_and_nothing_fed(
    story: Any, store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.committer._BACK_OFF_S", (0.0, 0.0))

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", BAD))
        await settle()
        sqlite(rig).execute("PRAGMA query_only = true")
        await rig.take("2", ("b", BAD))
        waiting = asyncio.create_task(rig.take("3", ("c", BAD)))
        nameless = asyncio.create_task(rig.take(None, ("d", BAD)))
        await settle()
        assert rig.acked == ["1"] and not waiting.done() and not nameless.done()
        assert "the store can't be written, nothing is acked" in rig.service.troubles()
        stats = rig.service.stats()
        assert (stats["records"], stats["chunks_unacked"]) == (8, 1)
        assert stats["commits_failed"] > 1
        assert caplog.text.count("nothing is acked until") == 1

        sqlite(rig).execute("PRAGMA query_only = false")
        await asyncio.gather(waiting, nameless)
        await settle(lambda: len(rig.acked) == 4)
        assert rig.acked == ["1", "2", "3", "None"]
        assert rig.service.troubles() == []
        assert "the store is written again" in caplog.text

    story(body, store=store, commit_interval=0.0)


def test_a_store_damaged_under_us_is_set_aside_and_only_chunk_ids_are_lost(
    lift: Bundle, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store, commit_interval=0.0)
        first.receiver.open.clear()
        await first.service.start()
        await first.take("1", ("a", BAD))
        damage(first)
        await first.take("2", ("b", BAD))
        await settle(lambda: len(first.acked) == 2, turns=10**6)
        assert first.acked == ["1", "2"]
        assert "the store was set aside" in caplog.text
        await killed(first)

        second = Rig(lift, store=store, on_shutdown="judge")
        await second.service.start()
        await second.take("2", ("b", BAD))
        await second.service.flush()
        assert second.service.stats()["chunks_repeated"] == 1
        assert [(a.record["kind"], a.record["session"]) for a in second.receiver.alerts] == [
            ("unseen_template", ["a"]),
            ("sequence", ["a"]),
            ("sequence", ["b"]),
        ]
        await second.service.close()

    run(whole)
    assert Path(store + ".unreadable").exists()


def test_a_store_that_cannot_be_read_is_set_aside_at_the_start(
    story: Any, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    Path(store).write_bytes(b"no database at all" * 1000)

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        await settle()
        assert rig.acked == ["1"]

    story(body, store=store)
    assert caplog.text.count("the store was set aside") == 1
    assert Path(store + ".unreadable").read_bytes().startswith(b"no database")


def test_a_store_with_alerts_that_cannot_be_read_is_set_aside_at_the_start(
    lift: Bundle, store: str
) -> None:
    async def stuck() -> None:
        rig = Rig(lift, store=store, commit_interval=0.0)
        rig.receiver.open.clear()
        await rig.service.start()
        await rig.take("1", ("a", BAD))
        sqlite(rig).execute("UPDATE alert SET data = x'c1'")
        await killed(rig)

    run(stuck)
    again = Rig(lift, store=store)
    assert Path(store + ".unreadable").exists()
    run(again.service.close)


def test_a_kill_while_a_damaged_store_is_made_anew_loses_nothing_and_doubles_nothing(
    lift: Bundle, store: str, tmp_path: Path
) -> None:
    kills: list[Path] = []  # the files as they lay before each commit

    async def damaged() -> None:
        rig = Rig(lift, store=store, commit_interval=0.0)
        rig.receiver.open.clear()
        await rig.service.start()
        await rig.take("1", ("a", (OPEN, OPENED)))
        damage(
            rig,
            "part",
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_chunk_1'",
        )  # chunks are known still
        assert rig.service._storage.store is not None
        commit = rig.service._storage.store.commit

        def noted(*arguments: Any) -> None:
            kills.append(tmp_path / str(len(kills)))
            kills[-1].mkdir()
            for file in Path(store).parent.glob("krone.db*"):
                shutil.copy(file, kills[-1])
            commit(*arguments)

        rig.service._storage.store.commit = noted  # type: ignore[method-assign]
        await rig.take("2", ("a", (GOING,)), ("b", BAD))
        await settle(lambda: len(rig.acked) == 2, 10**6)
        await killed(rig)

    run(damaged)
    assert len(kills) > 1
    for kill in kills[1:]:  # the first is before the damage was met

        async def resumed(path: str = str(kill / Path(store).name)) -> None:
            rig = Rig(lift, store=path, commit_interval=0.0)
            await rig.service.start()
            await rig.take("2", ("a", (GOING,)), ("b", BAD))
            await rig.service.flush()
            assert list(rig.service._judge.engine.sessions.open[b"a",].keys)[-1:] == [GOING]
            assert rig.service._judge.engine.counters["records"] in (0, 1 + len(BAD))
            assert [alert.record["kind"] for alert in rig.receiver.alerts] == ["unseen_template"]
            await rig.service.close()

        run(resumed)


class Turnstile(Receiver):
    """Open for one delivery."""

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await super().deliver(alerts)
        self.open.clear()


def test_alerts_confirmed_before_the_new_store_is_written_take_no_others_along(
    lift: Bundle, store: str
) -> None:
    async def body() -> None:
        rig = Rig(lift, Turnstile(), store=store, commit_interval=0.0)
        await rig.service.start()
        rig.receiver.open.clear()
        await rig.take("1", ("a", BAD))
        await settle()
        rig.service._outbox.tickets.append(
            rig.service._outbox.tickets[0]
        )  # one more, that is not on its way yet
        damage(
            rig,
            "part",
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_chunk_1'",
        )  # chunks are known still
        assert rig.service._storage.store is not None
        renew = rig.service._storage.store.renew

        def renewed() -> Path:
            aside = renew()
            sqlite(rig).execute("PRAGMA query_only = true")
            return aside

        rig.service._storage.store.renew = renewed  # type: ignore[method-assign]
        taking = asyncio.create_task(rig.take("2", ("b", NORMAL[0])))
        while not rig.service._storage.is_new:
            await asyncio.sleep(0)
        rig.receiver.open.set()
        await settle(lambda: len(rig.service._outbox.tickets) == 1)
        sqlite(rig).execute("PRAGMA query_only = false")
        await taking
        await settle(lambda: rig.acked == ["1", "2"], 10**6)
        assert len(rig.service._storage.store.alerts()) == len(rig.service._outbox.tickets) == 1
        await killed(rig)

    run(body)


def test_a_chunk_fed_in_part_is_never_committed(
    lift: Bundle, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.intake._SLICE", 1)

    async def whole() -> None:
        first = Rig(lift, store=store, commit_interval=0.0)
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

        second = Rig(lift, store=store)
        assert second.service.stats()["sessions_open"] == 1
        await second.service.close()

    run(whole)


def test_a_store_over_its_cap_judges_the_longest_idle_sessions(
    story: Any, store: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", *((f"ride {n}", NORMAL[0]) for n in range(50)))
        await rig.take("2", ("late", NORMAL[0]))
        stats = rig.service.stats()
        assert (stats["sessions_over_cap"], stats["sessions_open"]) == (
            6,
            45,
        )  # a twentieth at each commit
        assert rig.acked == ["1", "2"]

    story(body, store=store, max_store_size=1, commit_interval=0.0)
    assert "store is larger than max_store_size" in caplog.text


def test_a_reload_judges_open_sessions_by_the_new_bundle(
    story: Any, store: str, tmp_path: Path, lift: Bundle
) -> None:
    """The new one has other log keys for the same templates."""
    folder = tmp_path / "new lift"
    folder.mkdir()
    write_lift_bundle(folder, rows=list(reversed(ROWS)), counts=[9] * len(ROWS), golden=())
    new = load_bundle(str(folder))

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", (OPEN, OPENED, GOING)), ("b", (OPEN, GOING)))
        await rig.service.reload(new)
        await rig.take("2", ("a", (ARRIVED, CLOSE)))
        assert rig.acked == ["1", "2"]
        stats = rig.service.stats()
        assert (stats["reloads"], stats["sessions_open"], stats["records"]) == (1, 2, 7)
        await rig.service.flush()
        texts = [
            rig.service._judge.engine.log_key_text(key)
            for key in rig.service._judge.engine.sessions.open[b"a",].keys
        ]
        assert texts == [ROWS[key][0] for key in NORMAL[1]]

    story(body, store=store, commit_interval=0.0)
    again = Rig(new, store=store)  # and so does the store
    assert again.service.stats()["sessions_open"] == 2
    assert list(again.service._judge.engine.sessions.open[b"a",].keys) == [
        len(ROWS) - 1 - key for key in NORMAL[1]
    ]
    run(again.service.close)


def test_a_stop_keeps_what_is_open_only_where_it_can(lift: Bundle, store: str) -> None:
    assert Config().judges_on_shutdown
    assert not Config(store=store).judges_on_shutdown
    assert Config(store=store, on_shutdown="judge").judges_on_shutdown
    with pytest.raises(ConfigError, match="on_shutdown keep needs a store"):
        Config(on_shutdown="keep")


def test_moments_of_an_empty_queue_do_not_call_for_a_commit_each(story: Any, store: str) -> None:
    async def body(rig: Rig) -> None:
        rig.service._committer.took_s = 3600.0  # as if the last one had taken an hour
        await rig.take("1", ("a", NORMAL[0]))
        await settle()
        assert rig.acked == []
        await rig.service.flush()
        assert rig.acked == ["1"]

    story(body, store=store)


@pytest.mark.parametrize("never", ["_REST", "_PAUSE_REST_S"])
def test_a_pause_or_a_rest_calls_for_a_commit(
    story: Any, store: str, never: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, never, 1e9)  # so it is the other one

    async def body(rig: Rig) -> None:
        rig.service._committer.took_s = 0.01
        await rig.take("1", ("a", NORMAL[0]))
        assert rig.acked == []
        while not rig.acked:
            await asyncio.sleep(0)

    story(body, store=store, commit_interval=1e6)


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
    """Let SQLite meet what can't be: a table begins at a page that is not there, or is another's."""
    db = sqlite(rig)
    db.execute("PRAGMA writable_schema = true")
    db.execute(f"UPDATE sqlite_master SET rootpage = ({rootpage}) WHERE name = ?", (table,))
    db.execute("PRAGMA writable_schema = reset")


class Buggy(Receiver):
    async def deliver(self, alerts: Sequence[Alert]) -> None:
        raise TypeError("what no sink may raise")


def test_a_task_that_dies_of_a_bug_tears_the_service(
    lift: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        rig = Rig(lift, Buggy(), commit_interval=0.0)
        await rig.service.start()
        await rig.take("1", ("a", BAD))
        await rig.service.torn.wait()
        assert rig.service.troubles() == ["BUG: the service can't go on"]
        await rig.service.close()

    run(whole)
    assert "what no sink may raise" in caplog.text


def test_a_bug_in_a_commit_tears_the_service(story: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def body(rig: Rig) -> None:
        def refuse() -> None:
            raise TypeError("what no ack may raise")

        await rig.service.take(Chunk("app", [[1, {"message": "hi"}]], "1"), refuse)
        await rig.service.torn.wait()
        await rig.take("2", ("a", NORMAL[0]))
        await settle()
        assert rig.acked == []

    story(body)
    assert "what no ack may raise" in caplog.text


def strange(count: int) -> Chunk:
    return Chunk("app", [[1, {b"ride": b"x", b"message": b"of another log"}] for _ in range(count)])


def test_a_bundle_that_does_not_fit_is_told_once(
    story: Any, lift: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.take(strange(9_999), lambda: None)
        assert not told()
        for _ in range(3):
            await rig.service.take(strange(1), lambda: None)
        assert told() == [
            "bundle does not fit this stream: 10000 of 10000 events match no template; export one for it"
        ]
        await rig.service.reload(lift)
        await rig.service.take(strange(10_000), lambda: None)
        assert len(told()) == 2

    def told() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if "does not fit" in record.getMessage()
        ]

    story(body)


def test_a_bundle_that_knows_half_of_the_stream_fits(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(rig: Rig) -> None:
        for n in range(1_000):
            await rig.take(None, (f"a{n}", NORMAL[1]))  # five events
        await rig.service.take(strange(5_000), lambda: None)
        assert rig.service.stats()["unmatched"] == 5_000

    story(body)
    assert "does not fit" not in caplog.text
