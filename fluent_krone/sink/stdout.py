"""Alerts as JSON lines, for a terminal, a file or a shell pipe."""

from __future__ import annotations

import asyncio
import json
import os
import select
from collections.abc import Sequence
from typing import TextIO

from fluent_krone.errors import SinkBusy
from fluent_krone.types import Alert


class StdoutSink:
    """Writes each alert's record as one line of JSON, past the stream's own buffer: nobody else is to write to it.

    A reader that does not read holds up alerts, and no more than those.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._in_line = False  # a write failed in the middle of one
        self._ascii = (
            not (stream.encoding or "utf-8").lower().startswith("utf")
        )  # then \u2026, which is JSON too

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Return once all of it is written. Raises SinkBusy when it can't be: a full disk, a closed pipe."""
        lines = [json.dumps(alert.record, ensure_ascii=self._ascii) + "\n" for alert in alerts]
        text = "\n" * self._in_line + "".join(lines)
        rest = memoryview(text.encode(errors="backslashreplace"))
        try:
            descriptor = self._stream.fileno()
            while rest:
                await _writable(descriptor)
                written = os.write(
                    descriptor, rest[: select.PIPE_BUF]
                )  # so much never waits in a writable pipe
                self._in_line = rest[written - 1] != ord("\n")
                rest = rest[written:]
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            raise SinkBusy(f"alerts can't be written: {error}") from None

    async def close(self) -> None:
        """Leave the stream open: it is the caller's."""


async def _writable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_writer(descriptor, ready.set)
    except PermissionError:  # a file: there is nobody to wait for
        return
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
