"""A store that is damaged: set aside, and only what it alone held is lost."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, Receiver, Rig, damage, damage_parts, killed, run, settle, sqlite
from synthetic import GOING, NORMAL, OPEN, OPENED

from fluent_krone.detect.bundle import Bundle
from fluent_krone.types import Alert


def test_a_store_damaged_under_us_is_set_aside_and_only_chunk_ids_are_lost(
    lift: Bundle, store_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store_path, commit_interval=0.0)
        first.receiver.open.clear()
        await first.service.start()
        await first.take("1", ("a", BAD))
        damage(first)
        await first.take("2", ("b", BAD))
        await settle(lambda: len(first.acked) == 2, turns=10**6)
        assert first.acked == ["1", "2"]
        assert "the store was set aside" in caplog.text
        await killed(first)

        second = Rig(lift, store=store_path, on_shutdown="judge")
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
    assert Path(store_path + ".unreadable").exists()


def test_a_store_that_cannot_be_read_is_set_aside_at_the_start(
    story: Any, store_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    Path(store_path).write_bytes(b"no database at all" * 1000)

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        await settle()
        assert rig.acked == ["1"]

    story(body, store=store_path)
    assert caplog.text.count("the store was set aside") == 1
    assert Path(store_path + ".unreadable").read_bytes().startswith(b"no database")


def test_a_store_with_alerts_that_cannot_be_read_is_set_aside_at_the_start(
    lift: Bundle, store_path: str
) -> None:
    async def stuck() -> None:
        rig = Rig(lift, store=store_path, commit_interval=0.0)
        rig.receiver.open.clear()
        await rig.service.start()
        await rig.take("1", ("a", BAD))
        sqlite(rig).execute("UPDATE alert SET data = x'c1'")
        await killed(rig)

    run(stuck)
    again = Rig(lift, store=store_path)
    assert Path(store_path + ".unreadable").exists()
    run(again.service.close)


def test_a_kill_while_a_damaged_store_is_made_anew_loses_nothing_and_doubles_nothing(
    lift: Bundle, store_path: str, tmp_path: Path
) -> None:
    kills: list[Path] = []  # the files as they lay before each commit

    async def damaged() -> None:
        rig = Rig(lift, store=store_path, commit_interval=0.0)
        rig.receiver.open.clear()
        await rig.service.start()
        await rig.take("1", ("a", (OPEN, OPENED)))
        damage_parts(rig)
        assert rig.service._storage.store is not None
        commit = rig.service._storage.store.commit

        def noted(*arguments: Any) -> None:
            kills.append(tmp_path / str(len(kills)))
            kills[-1].mkdir()
            for file in Path(store_path).parent.glob("krone.db*"):
                shutil.copy(file, kills[-1])
            commit(*arguments)

        rig.service._storage.store.commit = noted  # type: ignore[method-assign]
        await rig.take("2", ("a", (GOING,)), ("b", BAD))
        await settle(lambda: len(rig.acked) == 2, 10**6)
        await killed(rig)

    run(damaged)
    assert len(kills) > 1
    for kill in kills[1:]:  # the first is before the damage was met

        async def resumed(path: str = str(kill / Path(store_path).name)) -> None:
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
    lift: Bundle, store_path: str
) -> None:
    async def body() -> None:
        rig = Rig(lift, Turnstile(), store=store_path, commit_interval=0.0)
        await rig.service.start()
        rig.receiver.open.clear()
        await rig.take("1", ("a", BAD))
        await settle()
        rig.service._outbox.tickets.append(
            rig.service._outbox.tickets[0]
        )  # one more, that is not on its way yet
        damage_parts(rig)
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
