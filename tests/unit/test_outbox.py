"""Alerts out: in order, until their receiver confirms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from service_rig import BAD, Receiver, Rig, run, settle

from fluent_krone.detect.bundle import Bundle
from fluent_krone.timing import BackOff
from fluent_krone.types import Alert


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
    monkeypatch.setattr("fluent_krone.runtime.outbox.BackOff", lambda: BackOff(0.0, 0.0))

    async def body(rig: Rig) -> None:
        rig.receiver.failures = 3
        await rig.take("1", ("a", BAD), ("b", BAD))
        await rig.service.flush()
        assert [alert.record["session"] for alert in rig.receiver.alerts] == [["a"], ["a"], ["b"]]
        stats = rig.service.stats()
        assert (stats["deliveries_failed"], stats["alerts"], stats["alerts_outgoing"]) == (3, 3, 0)

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
