"""The child's side of the pipe, with this test in Fluentd's place at its other end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from fluent_krone import __version__
from fluent_krone.errors import ProtocolError, SinkBusy
from fluent_krone.transport.forward import Chunk, ForwardDecoder, encode_events
from fluent_krone.transport.pipe import PipeEndpoint
from fluent_krone.types import Alert

CHILD = Path(__file__).parents[1] / "fluentd" / "child.py"


class FluentdEnd:
    """What `out_krone.rb` does, in a few lines: a real child process at the other end."""

    def __init__(self, memory: Path, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, CHILD, memory, "pipe", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(CHILD.parents[2])},
        )
        self._decoder = ForwardDecoder()
        self._frames = self._incoming()

    def send(self, *records: dict[str, Any], tag: str = "app", chunk: str) -> None:
        self.write(encode_events(tag, [(1_000_000_000, record) for record in records], chunk))

    def tell(self, control: dict[str, Any]) -> None:
        self.write(msgpack.packb(control))

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def expect(self) -> Any:
        """The next frame; a Chunk as (tag, id, records)."""
        frame = next(self._frames)
        return (
            (frame.tag, frame.chunk, [record for _, record in frame.events()])
            if isinstance(frame, Chunk)
            else frame
        )

    def end(self) -> tuple[int, str]:
        """Close the pipe; exit status and log of the child."""
        _, log = self.process.communicate(timeout=20)
        return self.process.returncode, log.decode()

    def _incoming(self) -> Iterator[Any]:
        assert self.process.stdout
        while data := os.read(self.process.stdout.fileno(), 2**16):
            yield from self._decoder.feed(data)


@pytest.fixture
def fluentd(tmp_path: Path) -> Iterator[FluentdEnd]:
    end = FluentdEnd(tmp_path, "--tag=krone.${tag}")
    assert end.expect() == {"ready": __version__}
    yield end
    if end.process.poll() is None:
        end.process.kill()
        end.process.communicate()


def test_a_chunk_is_acked_by_the_id_it_came_with(fluentd: FluentdEnd) -> None:
    fluentd.send({"n": 1}, {"n": 2}, chunk="c0ffee")
    assert fluentd.expect() == {"ack": "c0ffee"}


def test_chunks_are_taken_in_the_order_they_came(fluentd: FluentdEnd) -> None:
    for n in range(50):
        fluentd.send({"n": n}, chunk=f"{n:x}")
    assert [fluentd.expect()["ack"] for _ in range(50)] == [f"{n:x}" for n in range(50)]


def test_a_chunk_comes_through_in_any_portions(fluentd: FluentdEnd) -> None:
    for byte in encode_events("app", [(1, {"n": 1})], "id"):
        fluentd.write(bytes([byte]))
    assert fluentd.expect() == {"ack": "id"}


def test_an_alert_leaves_under_its_tag_and_counts_as_sent_once_acked(fluentd: FluentdEnd) -> None:
    fluentd.send({"do": "alert", "n": 7}, chunk="a")
    assert fluentd.expect() == {"ack": "a"}
    tag, frame, records = fluentd.expect()
    assert (tag, records) == ("krone.app", [{b"echo": {b"do": b"alert", b"n": 7}}])
    fluentd.tell({"flush": 1})
    fluentd.send({"n": 8}, chunk="b")  # the flush waits for the ack of the alert, reading does not
    fluentd.tell({"ack": frame})
    tag, frame, records = fluentd.expect()
    assert (tag, records) == ("krone.end", [{b"last": True, b"taken": 1}])
    fluentd.tell({"ack": frame})
    assert fluentd.expect() == {"flushed": 1}
    assert fluentd.expect() == {"ack": "b"}


def test_the_flush_comes_after_the_chunks_before_it(fluentd: FluentdEnd) -> None:
    fluentd.send({"do": "hold"}, chunk="held")
    fluentd.tell({"flush": 3})
    assert fluentd.expect() == {"ack": "held"}
    _, frame, records = fluentd.expect()
    assert records == [{b"last": True, b"taken": 1}]
    fluentd.tell({"ack": frame})
    assert fluentd.expect() == {"flushed": 3}


def test_statistics_go_up_as_they_are(fluentd: FluentdEnd) -> None:
    fluentd.send({"do": "stats"}, chunk="a")
    assert fluentd.expect() == {"stats": {"records": 42}}


def test_what_is_printed_goes_to_the_log_and_not_into_the_stream(fluentd: FluentdEnd) -> None:
    fluentd.send({"do": "print"}, chunk="a")
    assert fluentd.expect() == {"ack": "a"}
    status, log = fluentd.end()
    assert status == 0
    assert "printed by a careless library" in log


def test_more_than_a_pipe_holds_flows_both_ways(fluentd: FluentdEnd) -> None:
    pad = "x" * 5_000
    fluentd.send(*({"do": "alert", "pad": pad} for _ in range(200)), chunk="big")
    assert fluentd.expect() == {"ack": "big"}
    for _ in range(200):
        _, frame, records = fluentd.expect()
        assert records[0][b"echo"][b"pad"] == pad.encode()
        fluentd.tell({"ack": frame})
    assert fluentd.end()[0] == 0


def test_signals_do_not_stop_it_while_chunks_may_come(fluentd: FluentdEnd) -> None:
    for signum in (signal.SIGTERM, signal.SIGINT):
        fluentd.process.send_signal(signum)
    fluentd.send({"n": 1}, chunk="after")
    assert fluentd.expect() == {"ack": "after"}


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xc1",
        b"\x92\x01\x02",
        b"GET / HTTP/1.1\r\n",
        msgpack.packb({"stop": 1}),
        msgpack.packb({"ack": 5}),
    ],
)
def test_garbage_ends_the_process_and_says_so(fluentd: FluentdEnd, garbage: bytes) -> None:
    fluentd.send({"n": 1}, chunk="before")
    assert fluentd.expect() == {"ack": "before"}
    fluentd.write(garbage)
    status, log = fluentd.end()
    assert status == 1
    assert "error:" in log


def test_without_a_pipe_it_says_who_should_start_it(tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, CHILD, tmp_path, "pipe"],
        env=os.environ | {"PYTHONPATH": str(CHILD.parents[2])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert outcome.returncode == 1
    assert "standard input is not a pipe" in outcome.stderr


class Deaf:
    """An inlet that acks nothing; taking a chunk is one given act."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        self._act()

    async def flush(self) -> None:
        raise AssertionError("nobody asked for a flush")


ALERT = Alert("0" * 32, "krone.app", 1, {"kind": "sequence"})


def test_alerts_that_nobody_confirmed_stay_with_the_sender() -> None:
    async def story() -> None:
        (stdin, to_child), (from_child, stdout) = os.pipe(), os.pipe()
        endpoint = PipeEndpoint(stdin, stdout)
        with pytest.raises(SinkBusy):
            await endpoint.deliver([ALERT])  # not open yet
        sending: list[asyncio.Task[None]] = []

        def send() -> None:
            sending.append(
                asyncio.create_task(endpoint.deliver([ALERT, replace(ALERT, tag="other")]))
            )

        await endpoint.open()
        running = asyncio.create_task(endpoint.run(Deaf(send)))
        os.write(to_child, encode_events("app", [(1, {})], "a"))
        await asyncio.to_thread(_read_until, from_child, b"other")
        os.close(to_child)
        await running
        os.close(from_child)
        with pytest.raises(SinkBusy):
            await sending[0]
        with pytest.raises(SinkBusy):
            await endpoint.deliver([ALERT])  # closed

    asyncio.run(story())


def _read_until(fd: int, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += os.read(fd, 2**16)


def test_an_inlet_that_fails_ends_the_run() -> None:
    def fail() -> None:
        raise ProtocolError("from the inlet")

    async def story() -> None:
        (stdin, to_child), (from_child, stdout) = os.pipe(), os.pipe()
        os.write(to_child, encode_events("app", [(1, {})], "a"))
        with pytest.raises(ProtocolError, match="from the inlet"):
            endpoint = PipeEndpoint(stdin, stdout)
            await endpoint.open()
            await endpoint.run(Deaf(fail))
        os.close(to_child)
        os.close(from_child)

    asyncio.run(story())
