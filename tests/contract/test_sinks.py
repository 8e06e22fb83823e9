"""What every sink must do, run on each of them with a real receiver."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest

from fluent_krone.errors import SinkBusy
from fluent_krone.sink import Sink
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.sink.stdout import StdoutSink
from fluent_krone.transport.forward import Chunk
from fluent_krone.transport.server import ForwardServer, ServerSettings
from fluent_krone.types import Alert, Packed


@dataclass
class Rig:
    """A sink and its receiver: the records received so far, and a way to take the receiver away."""

    sink: Sink
    received: Callable[[], list[dict[str, Any]]]
    break_receiver: Callable[[], Any]


@dataclass
class Receiver:
    """Takes chunks in and acks them, as long as `acking`."""

    acking: bool = True
    chunks: list[Chunk] = field(default_factory=list)

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        self.chunks.append(chunk)
        if self.acking:
            ack()

    async def flush(self) -> None: ...

    def records(self) -> list[dict[str, Any]]:
        return [_as_str(record) for chunk in self.chunks for _, record in chunk.events()]


def _as_str(record: Any) -> dict[str, Any]:
    value = msgpack.unpackb(msgpack.packb(record, use_bin_type=False))
    assert isinstance(value, dict)
    return value


@asynccontextmanager
async def stdout_rig() -> AsyncIterator[Rig]:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:

        def received() -> list[dict[str, Any]]:
            return [json.loads(line) for line in os.pread(stream.fileno(), 2**20, 0).splitlines()]

        yield Rig(StdoutSink(stream), received, stream.close)


@asynccontextmanager
async def forward_rig(**options: Any) -> AsyncIterator[Rig]:
    receiver = Receiver()
    key = options.get("shared_key")
    users = {options["username"]: options["password"]} if "username" in options else None
    server = ForwardServer(ServerSettings(port=0, shared_key=key, users=users))
    await server.start(receiver)
    sink = ForwardSink(port=server.port, ack_timeout_s=10, **options)
    yield Rig(sink, receiver.records, server.close)
    await sink.close()
    await server.close()


MakeRig = Callable[[], AbstractAsyncContextManager[Rig]]
RIGS: dict[str, MakeRig] = {
    "stdout": stdout_rig,
    "forward": forward_rig,
    "forward key": lambda: forward_rig(shared_key="key"),
    "forward key and user": lambda: forward_rig(shared_key="key", username="ann", password="pw"),
}


@pytest.fixture(params=list(RIGS.values()), ids=list(RIGS))
def make_rig(request: pytest.FixtureRequest) -> MakeRig:
    factory: MakeRig = request.param
    return factory


def alerts(*ids: str, tag: str = "krone.app") -> list[Alert]:
    rest: dict[str, Any] = {
        "score": 1.5,
        "level": None,
        "lines": ["ä", "b"],
        "evidence": {"extra": []},
    }
    return [Alert(i, tag, 1_700_000_000_123_456_789, {"alert_id": i, **rest}) for i in ids]


def packed(*ids: str) -> Packed:
    entries = [msgpack.packb([1_700_000_000, {"id": i, "text": "ä"}]) for i in ids]
    return Packed("keep.app", b"".join(entries), len(ids), "".join(ids))


def ids_of(records: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of packed records, which standard output shows beside their tag and time."""
    return [record.get("record", record)["id"] for record in records]


def play(make_rig: MakeRig, body: Callable[[Rig], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with make_rig() as rig:
            await body(rig)

    asyncio.run(scenario())


def test_delivers_in_order(make_rig: MakeRig) -> None:
    async def body(rig: Rig) -> None:
        sent = alerts("a", "b", "c")
        await rig.sink.deliver(sent[:2])
        await rig.sink.deliver([])
        await rig.sink.deliver(sent[2:])
        assert rig.received() == [dict(alert.record) for alert in sent]

    play(make_rig, body)


def test_delivers_again_what_it_is_given_again(make_rig: MakeRig) -> None:
    async def body(rig: Rig) -> None:
        await rig.sink.deliver(alerts("a"))
        await rig.sink.deliver(alerts("a"))
        assert [record["alert_id"] for record in rig.received()] == ["a", "a"]

    play(make_rig, body)


def test_delivers_packed_records_in_order(make_rig: MakeRig) -> None:
    async def body(rig: Rig) -> None:
        await rig.sink.deliver_packed(packed("a", "b"))
        await rig.sink.deliver_packed(packed("c"))
        assert ids_of(rig.received()) == ["a", "b", "c"]

    play(make_rig, body)


def test_alerts_and_packed_records_at_the_same_time_do_not_mix(make_rig: MakeRig) -> None:
    async def body(rig: Rig) -> None:
        many = [str(n) for n in range(2_000)]
        async with asyncio.TaskGroup() as group:
            group.create_task(rig.sink.deliver(alerts(*many)))
            group.create_task(rig.sink.deliver_packed(packed(*many)))
        received = rig.received()
        told = [record for record in received if "alert_id" in record]
        assert [record["alert_id"] for record in told] == many
        assert ids_of([record for record in received if "alert_id" not in record]) == many

    play(make_rig, body)


@pytest.mark.parametrize("is_packed", [False, True])
def test_says_so_when_the_receiver_is_gone(make_rig: MakeRig, is_packed: bool) -> None:
    async def body(rig: Rig) -> None:
        async def deliver(name: str) -> None:
            if is_packed:
                await rig.sink.deliver_packed(packed(name))
            else:
                await rig.sink.deliver(alerts(name))

        await deliver("a")
        if (closing := rig.break_receiver()) is not None:
            await closing
        for _ in range(2):
            with pytest.raises(SinkBusy):
                await deliver("b")

    play(make_rig, body)


def test_close_may_come_twice_and_unused(make_rig: MakeRig) -> None:
    async def body(rig: Rig) -> None:
        await rig.sink.close()
        await rig.sink.close()

    play(make_rig, body)


# --- what only the Forward sink can do


def deliver_to(server: ForwardServer, receiver: Receiver, work: Callable[[], Any]) -> None:
    async def scenario() -> None:
        await server.start(receiver)
        try:
            await work()
        finally:
            await server.close()

    asyncio.run(scenario())


def test_one_frame_per_tag_and_the_same_chunk_id_again() -> None:
    receiver, server = Receiver(), ForwardServer(ServerSettings(port=0))

    async def work() -> None:
        sink = ForwardSink(port=server.port)
        both: Sequence[Alert] = [
            *alerts("a", tag="x"),
            *alerts("b", tag="y"),
            *alerts("c", tag="x"),
        ]
        await sink.deliver(both)
        await sink.deliver(both)
        await sink.close()

    deliver_to(server, receiver, work)
    assert [(chunk.tag, chunk.size) for chunk in receiver.chunks] == [("x", 2), ("y", 1)] * 2
    assert receiver.chunks[:2] == receiver.chunks[2:]
    assert {time for chunk in receiver.chunks for time, _ in chunk.events()} == {
        1_700_000_000_123_456_789
    }
    assert server.stats.connections == 1


def test_no_ack_is_no_delivery() -> None:
    receiver, server = Receiver(acking=False), ForwardServer(ServerSettings(port=0))

    async def work() -> None:
        sink = ForwardSink(port=server.port, ack_timeout_s=0.05)
        with pytest.raises(SinkBusy, match=r"did not confirm: no ack within 0\.05 s"):
            await sink.deliver(alerts("a"))
        receiver.acking = True
        await sink.deliver(alerts("a"))
        await sink.close()

    deliver_to(server, receiver, work)
    assert len(receiver.chunks) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ("wrong", "key", "refused us: shared_key mismatch"),
        (None, "key", "does the receiver require a shared_key"),
    ],
)
def test_the_reason_of_a_refusal_is_told(ours: str | None, theirs: str, reason: str) -> None:
    receiver, server = Receiver(), ForwardServer(ServerSettings(port=0, shared_key=theirs))

    async def work() -> None:
        sink = ForwardSink(port=server.port, shared_key=ours)
        with pytest.raises(SinkBusy, match=reason):
            await sink.deliver(alerts("a"))
        await sink.close()

    deliver_to(server, receiver, work)
    assert receiver.chunks == []


def test_a_restarted_receiver_is_found_again() -> None:
    async def scenario() -> None:
        receiver, first = Receiver(), ForwardServer(ServerSettings(port=0))
        await first.start(receiver)
        port = first.port
        sink = ForwardSink(port=port)
        await sink.deliver(alerts("a"))
        await first.close()
        with pytest.raises(SinkBusy):
            await sink.deliver(alerts("b"))
        second = ForwardServer(ServerSettings(port=port))
        await second.start(receiver)
        await sink.deliver(alerts("b"))
        await sink.close()
        await second.close()
        assert [record["alert_id"] for record in receiver.records()] == ["a", "b"]

    asyncio.run(scenario())


def test_a_line_cut_by_a_full_disk_is_written_again_on_its_own() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:
        sink = StdoutSink(stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
        try:
            with pytest.raises(SinkBusy):
                asyncio.run(sink.deliver(alerts("a", "b")))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        asyncio.run(sink.deliver(alerts("a", "b")))
        cut, *whole = os.pread(stream.fileno(), 2**20, 0).splitlines()
    assert len(cut) == 20 and [json.loads(line)["alert_id"] for line in whole] == ["a", "b"]


def test_a_reader_that_does_not_read_holds_up_nothing_else() -> None:
    async def scenario() -> bytes:
        reading, writing = os.pipe()
        told = [
            Alert(str(n), "krone.app", 0, {"alert_id": str(n), "lines": ["x" * 500]})
            for n in range(1_000)
        ]
        with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
            delivery = asyncio.create_task(StdoutSink(stream).deliver(told))
            await asyncio.wait([delivery], timeout=0.2)  # and the loop goes on
            assert not delivery.done()
            text = b""
            while text.count(b"\n") < len(told):
                text += await asyncio.to_thread(reader.read1)
            await delivery
        return text

    assert [json.loads(line)["alert_id"] for line in asyncio.run(scenario()).splitlines()] == [
        str(n) for n in range(1_000)
    ]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "UTF-8"])
def test_standard_output_of_any_encoding_gets_json(encoding: str) -> None:
    told = Alert("1", "krone.app", 0, {"explanation": "“arrived” ×2 …", "lines": ["日本"]})
    with tempfile.TemporaryFile("w+", encoding=encoding) as stream:
        asyncio.run(StdoutSink(stream).deliver([told]))
        stream.seek(0)
        assert json.loads(stream.read()) == told.record
