"""The engine for Python programs: ordinary dictionaries in, findings and alerts out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from .alerts.records import AlertMaker
from .config import Config
from .detect.bundle import Bundle
from .reading.values import as_fields
from .types import Alert, Finding

# What a time may be: seconds since 1970, a datetime, or None for "now".
Time = float | datetime | None


class Detector:
    """Judges one stream of records by one bundle, in this process and on this thread.

    `parameters` are those of `docs/configuration.md`, with Python values: `idle_timeout=50400.0`,
    `session_key=("request_id",)`. Raises ConfigError for a value that cannot be used.

    >>> from fluent_krone import Detector, load_bundle
    >>> detector = Detector(load_bundle("hdfs"))
    >>> message = "Receiving block blk_1 src: /10.250.18.114:5 dest: /10.250.18.114:50010"
    >>> record = {"component": "dfs.DataNode$DataXceiver", "message": message}
    >>> detector.feed([(1226261319.0, record)])
    []
    >>> [finding.decided for finding in detector.finish()]
    ['end']
    """

    def __init__(self, bundle: Bundle, **parameters: Any) -> None:
        config = Config(**parameters)
        self._engine = bundle.engine(config)
        self._maker = AlertMaker(bundle, config)

    def feed(
        self, events: Iterable[tuple[Time, Mapping[str, Any]]], *, tag: str = "python"
    ) -> list[Finding]:
        """Take `(time, record)` pairs in log order; the findings that they decide come back.

        A datetime without an offset is read as UTC. A record that cannot become an event is
        counted in `counters` and skipped.
        """
        now_ns = time.time_ns()
        encoded = [(_nanoseconds(when, now_ns), as_fields(record)) for when, record in events]
        return self._engine.feed(tag, encoded, now_ns)

    def advance(self) -> list[Finding]:
        """End the sessions that have been idle too long; call it while no records come."""
        return self._engine.advance(time.time_ns())

    def finish(self) -> list[Finding]:
        """Judge every open session: the end of the input."""
        return self._engine.finish()

    def alert(self, finding: Finding) -> Alert:
        """The alert of a finding; `alert.record` is the dictionary that `docs/alerts.md` lists."""
        return self._maker.make(finding)

    @property
    def counters(self) -> dict[str, int]:
        """Records and events so far; `set_aside_<reason>` counts records that became no event."""
        set_aside = self._engine.set_aside
        return {
            **self._engine.counters,
            **{f"set_aside_{reason}": count for reason, count in set_aside.items()},
        }

    def snapshot(self) -> dict[str, Any]:
        """All open sessions, in values that msgpack carries."""
        return self._engine.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot; call it on a new detector.

        Raises SnapshotError when the snapshot is damaged or of another version.
        """
        self._engine.restore(snapshot)


def _nanoseconds(when: Time, now_ns: int) -> int:
    """A time in ns UTC."""
    if when is None:
        return now_ns
    if isinstance(when, datetime):
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return int(when.timestamp() * 1_000_000) * 1000
    return int(when * 1_000_000) * 1000
