"""What makes a repeat: tag, id and size, and only while the sender may lack the ack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, Rig, at_seconds, run, settle
from synthetic import NORMAL

from fluent_krone.detect.bundle import Bundle
from fluent_krone.transport.forward import Chunk

# As Fluent Bit makes it: of the records, without the tag.
DIGEST = f"{1:0128x}"


class Sender:
    """A connection, as its input sees it."""

    def __init__(self) -> None:
        self.answer: bool | None = None

    def has_ack(self) -> bool | None:
        return self.answer


def chunk(tag: str = "app", chunk_id: str = DIGEST, keys: Any = NORMAL[0]) -> Chunk:
    entries = at_seconds("a", keys)
    return Chunk(tag, entries, chunk_id, has_digest_id=chunk_id != "of its own")


@pytest.mark.parametrize("chunk_id", [DIGEST, "of its own"])
def test_another_tag_or_size_is_another_chunk(story: Any, chunk_id: str) -> None:
    async def body(rig: Rig) -> None:
        for sent in (chunk("a", chunk_id), chunk("b", chunk_id), chunk("a", chunk_id, BAD)):
            await rig.service.take(sent, lambda: None, Sender())
        assert "chunks_repeated" not in rig.service.stats()

    story(body)


@pytest.mark.parametrize("answer", [True, None])
def test_the_same_line_three_times_counts_three_times(story: Any, answer: bool | None) -> None:
    """Whether each ack arrived, or several connections bring equal chunks at the same time."""

    async def body(rig: Rig) -> None:
        for _ in range(3):
            sender = Sender()
            await rig.service.take(chunk(), lambda: None, sender)
            sender.answer = answer
        assert rig.service.stats()["records"] == 3 * len(NORMAL[0])

    story(body, commit_interval=0.0)


def test_a_chunk_whose_ack_may_be_lost_is_a_repeat_each_time_it_comes(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for _ in range(3):
            sender = Sender()
            await rig.service.take(chunk(), lambda: None, sender)
            sender.answer = False
        assert rig.service.stats()["chunks_repeated"] == 2
        assert rig.service.stats()["records"] == len(NORMAL[0])

    story(body, commit_interval=0.0)


def test_an_id_of_its_own_is_a_repeat_whatever_its_sender_has(story: Any) -> None:
    async def body(rig: Rig) -> None:
        for answer in (True, None, False):
            sender = Sender()
            await rig.service.take(chunk(chunk_id="of its own"), lambda: None, sender)
            sender.answer = answer
        assert rig.service.stats()["chunks_repeated"] == 2

    story(body, commit_interval=0.0)


@pytest.mark.parametrize("answer", [True, None, False])
def test_after_a_restart(lift: Bundle, store_path: str, answer: bool | None) -> None:
    """Only an ack that arrived is known to have arrived; every connection has ended."""

    async def whole() -> None:
        first = Rig(lift, store=store_path, commit_interval=0.0)
        await first.service.start()
        sender = Sender()
        await first.service.take(chunk(), lambda: None, sender)
        sender.answer = answer
        await first.take("another", ("b", NORMAL[0]))
        await settle()
        await first.service.close()

        second = Rig(lift, store=store_path, commit_interval=0.0)
        await second.service.start()
        await second.service.take(chunk(), lambda: None, Sender())
        assert second.service.stats().get("chunks_repeated", 0) == (answer is not True)
        await second.service.close()

    run(whole)


def test_ids_whose_ack_arrived_leave_the_store(story: Any, store_path: str) -> None:
    async def body(rig: Rig) -> None:
        sender = Sender()
        for number in range(10):
            await rig.service.take(chunk(chunk_id=f"{number:0128x}"), lambda: None, sender)
        sender.answer = True
        await rig.service.flush()
        store = rig.service._storage.store
        assert store is not None
        assert store._db.execute("SELECT count(*) FROM chunk").fetchone() == (0,)

    story(body, store=store_path, commit_interval=0.0)
    assert Path(store_path).exists()
