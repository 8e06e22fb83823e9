"""A warning about clients whose chunks overtake each other."""

from __future__ import annotations

from typing import Any

import pytest
from service_rig import Rig
from synthetic import NORMAL, T0, S, ride

from fluent_krone.transport.forward import Chunk


class Client:
    def __init__(self, host: str) -> None:
        self.host = host

    def has_ack(self) -> bool | None:
        return True


def chunk(number: int, at_s: int, tag: str = "app") -> Chunk:
    events = ride(f"ride {number}", NORMAL[0], at_s)
    return Chunk(tag, [[(time_ns or T0) // S, record] for time_ns, record in events], str(number))


def play(story: Any, chunks: list[tuple[str, Chunk]]) -> dict[str, float]:
    figures: dict[str, float] = {}

    async def body(rig: Rig) -> None:
        for host, sent in chunks:
            await rig.service.take(sent, lambda: None, Client(host))
        figures.update(rig.service.stats())

    story(body)
    return figures


def test_it_is_said_once_when_the_third_chunk_begins_too_early(
    story: Any, caplog: pytest.LogCaptureFixture
) -> None:
    times = [50, 10, 60, 20, 70, 30, 80, 40]
    stats = play(story, [("10.0.0.1", chunk(n, at)) for n, at in enumerate(times)])
    assert stats["chunks_backwards"] == 4
    assert stats["records"] == len(times) * len(NORMAL[0])
    [told] = [r.getMessage() for r in caplog.records if "backwards in time" in r.getMessage()]
    assert "host=10.0.0.1 tag=app step_s=40 chunks=3" in told


@pytest.mark.parametrize(
    "chunks",
    [
        [("a", chunk(n, at)) for n, at in enumerate([10, 20, 20, 19, 30, 29, 40, 39])],
        [(host, chunk(n, at)) for n, (host, at) in enumerate([("a", 50), ("b", 10)] * 5)],
        [("a", chunk(n, at, tag)) for n, (tag, at) in enumerate([("x", 50), ("y", 10)] * 5)],
    ],
    ids=["within a second", "several clients", "several tags"],
)
def test_what_has_no_order_is_not_reported(
    story: Any, chunks: list[tuple[str, Chunk]], caplog: pytest.LogCaptureFixture
) -> None:
    assert "chunks_backwards" not in play(story, chunks)
    assert "backwards" not in caplog.text
