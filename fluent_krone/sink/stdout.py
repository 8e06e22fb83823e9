"""Alerts as JSON lines, for a terminal, a file or a shell pipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from fluent_krone.errors import SinkBusy
from fluent_krone.types import Alert


class StdoutSink:
    """Writes each alert's record as one line of JSON, or indented over several when `pretty`.

    >>> import asyncio, sys
    >>> alert = Alert("3f", "krone.app", 0, {"alert_id": "3f", "session": "a"})
    >>> asyncio.run(StdoutSink(sys.stdout).deliver([alert]))
    {"alert_id": "3f", "session": "a"}
    """

    def __init__(self, stream: TextIO, pretty: bool = False) -> None:
        self._stream = stream
        self._indent = 2 if pretty else None
        self._ascii = not (stream.encoding or "utf-8").lower().startswith("utf")  # then \u2026, which is JSON too

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        lines = [json.dumps(alert.record, ensure_ascii=self._ascii, indent=self._indent) + "\n" for alert in alerts]
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError) as error:  # a full disk, a closed pipe, a closed file
            raise SinkBusy(f"alerts can't be written: {error}") from None

    async def close(self) -> None:
        """Leave the stream open: it is the caller's."""
