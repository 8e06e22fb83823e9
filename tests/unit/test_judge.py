"""The bundle at work: whether it fits the stream."""

from __future__ import annotations

from typing import Any

import pytest
from service_rig import Rig
from synthetic import NORMAL

from fluent_krone.detect.bundle import Bundle
from fluent_krone.transport.forward import Chunk


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
            "bundle does not fit this stream: "
            "10000 of 10000 events match no template; export one for it"
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


def test_a_misfit_is_trouble_until_it_is_gone(story: Any, lift: Bundle) -> None:
    async def body(rig: Rig) -> None:
        assert not any("set aside" in text for text in rig.service.troubles())
        nothing = Chunk("app", [[1, {b"other": b"field"}] for _ in range(2_000)])
        await rig.service.take(nothing, lambda: None)
        [found] = [text for text in rig.service.troubles() if "set aside" in text]
        assert found.startswith("2000 of 2000 records are set aside (no_message)")
        for n in range(1_000):
            await rig.take(None, (f"a{n}", NORMAL[1]))
        assert not any("set aside" in text for text in rig.service.troubles())

    story(body)
