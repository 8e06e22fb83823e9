"""A child of `@type krone` that does what the records ask for: a `pipe` without a detector.

Run as `python child.py DIR pipe --tag=… …`; DIR remembers acts over a child's death. The `do` of a
record is one of:
  alert      send one alert that echoes the record, under `--tag`
  describe   send one alert with what this child knows: its arguments, its pid, the chunk's bytes
  print      print to standard output, which must not disturb the pipe
  hold       ack this chunk only at the flush, or at SIGUSR1
  hold_once  the same, the first time this record comes
  stats      report statistics
  die        be killed, whenever this record comes
  die_once   be killed, the first time this record comes
  garbage    write something that is not a frame, the first time this record comes
Before its acts, a chunk is written to DIR/taken as one line with its tag and the `n` of its
records. At the flush one last alert is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fluent_krone import __version__
from fluent_krone.errors import KroneError
from fluent_krone.transport.forward import Chunk
from fluent_krone.transport.pipe import PipeEndpoint, claim_standard_streams
from fluent_krone.types import Alert


class Actor:
    """The inlet: does what the records say."""

    def __init__(self, endpoint: PipeEndpoint, memory: Path, arguments: list[str]) -> None:
        self._endpoint, self._memory, self._arguments = endpoint, memory, arguments
        flags = dict(flag.split("=", 1) for flag in arguments if "=" in flag)
        self._tag = flags.get("--tag", "krone.${tag}")
        self._held: list[Callable[[], None]] = []
        self._taken = 0
        self._sending: set[asyncio.Task[None]] = set()

    async def take(self, chunk: Chunk, ack: Callable[[], None], sender: object = None) -> None:
        records = [text(record) for _, record in chunk.events()]
        with (self._memory / "taken").open("a") as taken:
            print(chunk.tag, *(record.get("n") for record in records), file=taken)
        for record in records:
            self._act(record, chunk)
        self._taken += len(records)
        if any(record.get("do") == "hold" or self._is_held_once(record) for record in records):
            self._held.append(ack)
        else:
            ack()

    def release(self) -> None:
        while self._held:
            self._held.pop(0)()

    async def flush(self) -> None:
        self.release()
        await asyncio.gather(*self._sending)
        await self._endpoint.deliver([self._alert("end", {"last": True, "taken": self._taken})])

    def _act(self, record: dict[str, Any], chunk: Chunk) -> None:
        match record.get("do"):
            case "alert":
                self._send(self._alert(chunk.tag, {"echo": record}))
            case "describe":
                assert isinstance(chunk.entries, bytes)
                facts = {
                    "arguments": self._arguments,
                    "pid": os.getpid(),
                    "entries": chunk.entries.hex(),
                }
                self._send(self._alert(chunk.tag, facts))
            case "print":
                print("printed by a careless library", flush=True)
            case "stats":
                self._endpoint.report({"records": 42})
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die_once" if self._first_time():
                os.kill(os.getpid(), signal.SIGKILL)
            case "garbage" if self._first_time():
                os.write(self._endpoint._stdout, b"\xc1")

    def _is_held_once(self, record: dict[str, Any]) -> bool:
        return record.get("do") == "hold_once" and self._first_time(f"held {record.get('n')}")

    def _first_time(self, name: str = "seen") -> bool:
        seen = (self._memory / name).exists()
        (self._memory / name).touch()
        return not seen

    def _alert(self, tag: str, record: dict[str, Any]) -> Alert:
        return Alert(
            f"{self._taken:032x}",
            self._tag.replace("${tag}", tag),
            1_700_000_000_123_456_789,
            record,
        )

    def _send(self, alert: Alert) -> None:
        task = asyncio.get_running_loop().create_task(self._endpoint.deliver([alert]))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


def text(value: Any) -> Any:
    """Records come with raw bytes for strings."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {text(key): text(item) for key, item in value.items()}
    return value


async def run(endpoint: PipeEndpoint, actor: Actor) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, actor.release)
    await endpoint.open()
    await endpoint.run(actor)


def main() -> int:
    memory, arguments = Path(sys.argv[1]), sys.argv[2:]
    print("info: child says", json.dumps(arguments), file=sys.stderr, flush=True)
    try:
        endpoint = PipeEndpoint(
            *claim_standard_streams(), version=os.environ.get("KRONE_VERSION", __version__)
        )
        asyncio.run(run(endpoint, Actor(endpoint, memory, arguments)))
    except KroneError as error:
        print("error:", error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
