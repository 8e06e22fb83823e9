"""Alerts as JSON lines, for a terminal, a file or a shell pipe."""

from __future__ import annotations

import asyncio
import json
import os
import select
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from ..errors import SinkBusy
from ..keeping.entries import events_of, line_of
from ..types import Alert, Packed


class StdoutSink:
    """Writes each alert's record as one line of JSON.

    It bypasses the stream's own buffer, so nothing else may write to the stream. A reader that does
    not read delays alerts and nothing else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # One delivery at a time, because lines of two would mix.
        self._turn = asyncio.Lock()
        # Whether a write failed in the middle of a line.
        self._in_line = False
        # A terminal that is not UTF-8 gets escapes such as \u2026, which are JSON too.
        self._ascii = not (stream.encoding or "utf-8").lower().startswith("utf")

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Return once all alerts are written.

        Raises SinkBusy when they cannot be, because of a full disk or a closed pipe.
        """
        await self._write([alert.record for alert in alerts])

    async def deliver_packed(self, packed: Packed) -> None:
        """Write records as lines of their own, with their tag and time; see `deliver`."""
        await self._write([line_of(packed.tag, *event) for event in events_of(packed.entries)])

    async def _write(self, records: Iterable[Mapping[str, Any]]) -> None:
        lines = [json.dumps(record, ensure_ascii=self._ascii) + "\n" for record in records]
        async with self._turn:
            await self._write_text("".join(lines))

    async def _write_text(self, text: str) -> None:
        text = "\n" * self._in_line + text
        rest = memoryview(text.encode(errors="backslashreplace"))
        try:
            descriptor = self._stream.fileno()
            while rest:
                await _writable(descriptor)
                # A writable pipe takes this many bytes without blocking.
                written = os.write(descriptor, rest[: select.PIPE_BUF])
                self._in_line = rest[written - 1] != ord("\n")
                rest = rest[written:]
        except (OSError, ValueError) as error:
            # ValueError means that the stream is closed.
            raise SinkBusy(f"alerts cannot be written: {error}") from None

    async def close(self) -> None:
        """Leave the stream open, because it belongs to the caller."""


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_writer(descriptor, ready.set)
    except PermissionError:
        # A regular file is always writable.
        return
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
