"""When a commit happens, and what happens when the store refuses it. No test asserts a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from service_rig import BAD, Rig, settle, sqlite
from synthetic import NORMAL

from fluent_krone.runtime import committer
from fluent_krone.timing import BackOff
from fluent_krone.transport.forward import Chunk


def test_a_chunk_is_acked_once_the_queue_is_empty(story: Any) -> None:
    async def body(rig: Rig) -> None:
        await rig.take("1", ("a", NORMAL[0]))
        assert rig.acked == []
        await settle()
        assert rig.acked == ["1"]

    story(body)


@pytest.mark.parametrize(
    ("limit", "chunks"), [({"commit_records": 6}, ["1", "2"]), ({"commit_interval": 0.0}, ["1"])]
)
def test_a_busy_stream_is_acked_after_some_records_or_at_the_commit_interval(
    story: Any, limit: dict[str, Any], chunks: list[str]
) -> None:
    async def body(rig: Rig) -> None:
        for name in chunks:
            assert rig.acked == []
            await rig.take(name, (name, NORMAL[0]))
        assert rig.acked == chunks

    story(body, **limit)


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


def test_while_the_store_is_full_nothing_is_acked_and_nothing_fed(
    story: Any, store_path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("fluent_krone.runtime.committer.BackOff", lambda: BackOff(0.0, 0.0))

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

    story(body, store=store_path, commit_interval=0.0)


def test_a_store_over_its_cap_judges_the_longest_idle_sessions(
    story: Any, store_path: str, caplog: pytest.LogCaptureFixture
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

    story(body, store=store_path, max_store_size=1, commit_interval=0.0)
    assert "store is larger than max_store_size" in caplog.text


def test_moments_of_an_empty_queue_do_not_call_for_a_commit_each(
    story: Any, store_path: str
) -> None:
    async def body(rig: Rig) -> None:
        rig.service._committer.took_s = 3600.0  # as if the last one had taken an hour
        await rig.take("1", ("a", NORMAL[0]))
        await settle()
        assert rig.acked == []
        await rig.service.flush()
        assert rig.acked == ["1"]

    story(body, store=store_path)


@pytest.mark.parametrize("never", ["_REST", "_PAUSE_REST_S"])
def test_a_pause_or_a_rest_calls_for_a_commit(
    story: Any, store_path: str, never: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, never, 1e9)  # so it is the other one

    async def body(rig: Rig) -> None:
        rig.service._committer.took_s = 0.01
        await rig.take("1", ("a", NORMAL[0]))
        assert rig.acked == []
        while not rig.acked:
            await asyncio.sleep(0)

    story(body, store=store_path, commit_interval=1e6)


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
