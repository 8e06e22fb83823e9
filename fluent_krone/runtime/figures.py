"""What the parts of the service share: figures, and the switch that ends the process."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field

from ..timing import Histogram


def _timings() -> dict[str, Histogram]:
    return {name: Histogram() for name in ("feed", "commit", "chunk_ack")}


@dataclass(frozen=True, slots=True)
class Figures:
    """Shared by all parts of one service; every name has its line in `metric_names`."""

    counters: Counter[str] = field(default_factory=Counter)
    timings: dict[str, Histogram] = field(default_factory=_timings)


_log = logging.getLogger(__name__)


class Halt:
    """Is set as soon as what is in memory must not be committed any more.

    The next process begins at the last commit. `event` is set for good; `has_bug` says whether an
    error, and not a cancelled task, was the reason.
    """

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.has_bug = False

    @property
    def is_set(self) -> bool:
        return self.event.is_set()

    def fail(self, error: BaseException) -> None:
        """Halt. Anything but a cancellation is logged as a bug."""
        self.event.set()
        if isinstance(error, Exception):
            self.has_bug = True
            _log.error("BUG: the service can't go on", exc_info=error)

    def on_bug(self, task: asyncio.Task[None]) -> None:
        """Callback for a task that must not end: halt when it ended with an error."""
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)
