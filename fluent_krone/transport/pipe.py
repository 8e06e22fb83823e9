"""The child's side of `@type krone`: Fluentd's chunks on standard input, alerts on standard output.

Either direction is one stream of msgpack objects. Arrays are Forward frames: chunks come in and
alerts go out, each with a `chunk` id that the other side acks. Maps are control messages:

    from Fluentd   {"ack": id of an alert frame}   {"flush": n}
    to Fluentd     {"ready": version}   {"ack": chunk id}   {"flushed": n}
                   {"stats": {name: number}}
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import msgpack

from ..errors import ConfigError, ProtocolError, SinkBusy
from ..types import Alert, Packed
from . import BurstInlet, Delivery, Inlet
from .bursts import burst_inlet, chunk_bytes, together
from .forward import Chunk, ForwardDecoder, ack_bytes, encode_events, pack_message
from .forward.framing import MAX_FRAME_BYTES, MAX_INFLATED_BYTES

# Bytes of one read: what a pipe of the largest usual size holds.
_READ_BYTES = 2**18


def claim_standard_streams() -> tuple[int, int]:
    """Return descriptors to read from and to write to.

    Call this before anything can print, hence before importing what may. Whatever is printed
    later goes to standard error, which Fluentd logs.

    Signals are ignored. A terminal's Ctrl-C and systemd's stop reach us along with Fluentd, which
    still has chunks to hand over. We end at the end of standard input, which comes however Fluentd
    ends. (Who wants SIGHUP sets its handler later.) Raises ConfigError when there is no pipe.
    """
    for fd, name in ((0, "input"), (1, "output")):
        if not stat.S_ISFIFO(os.fstat(fd).st_mode) and not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise ConfigError(
                f"standard {name} is not a pipe: only @type krone starts `fluent-krone pipe`; "
                "use serve or replay"
            )
    stdout = os.dup(1)
    os.dup2(2, 1)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    return 0, stdout


class PipeEndpoint:
    """Input and sink over a pair of pipes; one `run`, on one event loop.

    It reads on while the inlet works, because Fluentd's acks of our alerts come behind the chunks
    that it has already sent. If it stopped reading until its alerts are confirmed, it would wait
    for itself. `out_krone.rb` keeps at most 16 MiB of chunks unacked, which bounds what is read
    ahead.
    """

    def __init__(
        self,
        stdin: int,
        stdout: int,
        *,
        version: str = "",
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._version = version
        self._decoder = ForwardDecoder(max_frame_bytes, max_inflated_bytes)
        # An int is a call for a flush.
        self._inbox: asyncio.Queue[list[Delivery] | int] = asyncio.Queue()
        self._out: asyncio.WriteTransport | None = None
        self._reader: asyncio.StreamReader | None = None
        self._unconfirmed: dict[str, asyncio.Future[None]] = {}
        self._ids = map("{:x}".format, itertools.count(1))

    async def run(self, inlet: Inlet) -> None:
        """Serve until standard input ends. What is unacked then is sent again, to the next child.

        Raises ProtocolError when the input is not a stream of frames. The process must then exit,
        and Fluentd starts another.
        """
        assert self._reader is not None, "BUG: run before open"
        tasks = {
            asyncio.create_task(self._read(self._reader)),
            asyncio.create_task(self._work(burst_inlet(inlet))),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._close()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts, in order; return once Fluentd has routed them.

        Raises SinkBusy when the pipe is closed.
        """
        runs = itertools.groupby(alerts, key=attrgetter("tag"))
        confirmations = [self._send(tag, list(run)) for tag, run in runs]
        await asyncio.gather(*confirmations)

    async def deliver_packed(self, packed: Packed) -> None:
        """Send records; return once Fluentd has routed them. Raises SinkBusy as `deliver` does."""
        await self._send_frame(
            lambda name: pack_message(
                [packed.tag, packed.entries, {"size": packed.count, "chunk": name}]
            )
        )

    def has_ack(self) -> bool | None:
        """Say nothing while the pipe is open; see `transport.Sender`. Fluentd's ids are unique."""
        if self._out is None:
            return False
        return None

    async def close(self) -> None:
        """Do nothing: the pipes are closed at the end of `run`."""

    def report(self, stats: Mapping[str, float]) -> None:
        """Show these numbers in Fluentd's monitor_agent, in place of the previous ones."""
        self._send_control({"stats": dict(stats)})

    async def open(self) -> None:
        """Tell Fluentd that we are ready; alerts can be sent from now on."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._stdin, "rb", buffering=0)
        )
        self._out, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(self._stdout, "wb", buffering=0)
        )
        self._send_control({"ready": self._version})
        self._reader = reader

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ_BYTES):
            came: list[Delivery] = []
            for frame in self._decoder.feed(data):
                if isinstance(frame, Chunk):
                    came.append(Delivery(frame, partial(self._ack, frame), self))
                else:
                    # A flush waits behind the chunks that came before it.
                    self._hand_on(came)
                    came = []
                    self._obey(frame)
            self._hand_on(came)
            if self._decoder.error is not None:
                raise self._decoder.error

    def _hand_on(self, came: list[Delivery]) -> None:
        for burst in together(came, chunk_bytes):
            self._inbox.put_nowait(burst)

    def _obey(self, control: Mapping[str, Any]) -> None:
        match control:
            case {"ack": str(frame_id)}:
                confirmation = self._unconfirmed.pop(frame_id, None)
                if confirmation is not None and not confirmation.done():
                    confirmation.set_result(None)
            case {"flush": int(n)}:
                self._inbox.put_nowait(n)
            case _:
                raise ProtocolError(f"unknown control message: {control!r:.80}")

    async def _work(self, inlet: BurstInlet) -> None:
        while True:
            match await self._inbox.get():
                case list() as burst:
                    await inlet.take_burst(burst)
                case n:
                    await inlet.flush()
                    self._send_control({"flushed": n})

    def _ack(self, chunk: Chunk) -> None:
        if chunk.chunk is not None:
            self._write(ack_bytes(chunk.chunk))

    def _send(self, tag: str, alerts: Sequence[Alert]) -> asyncio.Future[None]:
        events = [(alert.time_ns, alert.record) for alert in alerts]
        return self._send_frame(lambda name: encode_events(tag, events, name))

    def _send_frame(self, frame: Callable[[str], bytes]) -> asyncio.Future[None]:
        """Send the frame of this name, and return what its confirmation sets."""
        if self._out is None:
            raise SinkBusy("Fluentd's pipe is not open")
        name = next(self._ids)
        confirmation = self._unconfirmed[name] = asyncio.get_running_loop().create_future()
        self._write(frame(name))
        return confirmation

    def _send_control(self, control: Mapping[str, Any]) -> None:
        self._write(msgpack.packb(control))

    def _write(self, data: bytes) -> None:
        """Queue bytes for the pipe without waiting; once it is closed, do nothing.

        The queue cannot grow without bound: acks are as many as chunks in flight, and the sender of
        alerts waits for their confirmation.
        """
        if self._out is not None:
            self._out.write(data)

    def _close(self) -> None:
        """Fail unconfirmed deliveries. Bytes still queued are sent if the pipe has room."""
        if self._out is not None:
            self._out.close()
            self._out = None
        for confirmation in self._unconfirmed.values():
            if not confirmation.done():
                confirmation.set_exception(
                    SinkBusy("Fluentd closed the pipe before it confirmed the alerts")
                )
        self._unconfirmed.clear()
