"""The service from its start to its stop: flush, restart, reload, figures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, Rig, killed, run, settle
from synthetic import (
    ARRIVED,
    CLOSE,
    GOING,
    NORMAL,
    OPEN,
    OPENED,
    ROWS,
    T0,
    UNKNOWN,
    S,
    write_lift_bundle,
)

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.errors import ConfigError
from fluent_krone.transport.forward import Chunk


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


def test_stats_name_every_discard(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.service.take(Chunk("app", [[1, {b"message": b"x"}], [1, 7]], "1"), lambda: None)
        stats = rig.service.stats()
        assert (stats["set_aside_no_session_key"], stats["set_aside_not_a_map"]) == (1, 1)
        assert all(isinstance(value, int | float) for value in stats.values())

    story(body)


def test_a_restart_goes_on_where_the_last_one_was_killed(lift: Bundle, store_path: str) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store_path)
        await first.service.start()
        await first.take("1", ("a", BAD[:2]))
        await settle()
        await first.take("2", ("b", NORMAL[0]))  # never committed, so never acked
        assert first.acked == ["1"]
        await killed(first)

        second = Rig(lift, store=store_path, on_shutdown="judge")
        await second.service.start()
        assert second.service.stats()["sessions_open"] == 1
        await second.take("1", ("a", BAD[:2]))
        await second.take("2", ("b", NORMAL[0]))
        await second.take("3", ("a", BAD[2:]))
        await second.service.flush()
        assert second.acked == ["1", "2", "3"]
        assert second.service.stats()["chunks_repeated"] == 1
        assert [
            (a.record["kind"], a.record["session"], a.record["events"])
            for a in second.receiver.alerts
        ] == [("unseen_template", ["a"], 1), ("sequence", ["a"], 4)]
        await second.service.close()

    run(whole)


def test_alerts_that_nobody_confirmed_leave_after_the_restart(
    lift: Bundle, store_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store_path)
        first.receiver.open.clear()
        await first.service.start()
        await first.take("1", ("a", BAD))
        await settle()
        assert first.acked == ["1"]
        await first.service.close()
        assert "alerts wait in the store for the next start count=1" in caplog.text

        second = Rig(lift, store=store_path)
        await second.service.start()
        await settle(lambda: bool(second.receiver.alerts))
        assert [alert.record["kind"] for alert in second.receiver.alerts] == ["unseen_template"]
        await second.service.close()

        third = Rig(lift, store=store_path)
        await third.service.start()
        await settle()
        assert third.receiver.alerts == []
        await third.service.close()

    run(whole)


def test_nobody_was_idle_while_nobody_listened(lift: Bundle, store_path: str) -> None:
    async def whole() -> None:
        first = Rig(lift, store=store_path)
        await first.service.start()
        await first.take("1", ("a", (GOING,)))
        await first.service.flush()
        await first.service.close()
        second = Rig(lift, store=store_path)
        second.service._judge.engine.resume(T0 + 10**6 * S)
        assert second.service._judge.engine.advance(T0 + (10**6 + 59) * S) == []
        assert len(second.service._judge.engine.advance(T0 + (10**6 + 200) * S)) == 1
        await second.service.close()

    run(whole)


def test_a_reload_judges_open_sessions_by_the_new_bundle(
    story: Any, store_path: str, tmp_path: Path, lift: Bundle
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

    story(body, store=store_path, commit_interval=0.0)
    again = Rig(new, store=store_path)  # and so does the store
    assert again.service.stats()["sessions_open"] == 2
    assert list(again.service._judge.engine.sessions.open[b"a",].keys) == [
        len(ROWS) - 1 - key for key in NORMAL[1]
    ]
    run(again.service.close)


def test_a_reload_finds_steps_again_whose_templates_have_another_text(
    story: Any, tmp_path: Path
) -> None:
    """A bundle that was fitted again may have other wildcards for the same lines."""
    folder = tmp_path / "new lift"
    folder.mkdir()
    rows = [(row[0].replace("<num>", "<*>"), *row[1:]) for row in ROWS]
    write_lift_bundle(folder, rows=rows, golden=())
    new = load_bundle(str(folder))

    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", (OPEN, OPENED, GOING)), ("b", (OPEN, UNKNOWN)))
        await rig.service.reload(new)
        await rig.take("2", ("a", (ARRIVED, CLOSE)))
        engine = rig.service._judge.engine
        texts = {
            key[0]: [engine.log_key_text(log_key) for log_key in session.keys]
            for key, session in engine.sessions.open.items()
        }
        assert texts[b"a"] == [rows[key][0] for key in NORMAL[1]]
        assert texts[b"b"] == [rows[OPEN][0], "<unknown>"]
        await rig.service.flush()
        alerted = {tuple(alert.record["session"]) for alert in rig.receiver.alerts}
        assert ("a",) not in alerted

    story(body, commit_interval=0.0)


def test_a_stop_keeps_what_is_open_only_where_it_can(lift: Bundle, store_path: str) -> None:
    assert Config().judges_on_shutdown
    assert not Config(store=store_path).judges_on_shutdown
    assert Config(store=store_path, on_shutdown="judge").judges_on_shutdown
    with pytest.raises(ConfigError, match="on_shutdown keep needs a store"):
        Config(on_shutdown="keep")
