"""Annotated records on their way into the spool, from where they leave with the next commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..alerts.tags import TagRule
from ..config import Config
from ..detect.bundle import Bundle
from ..errors import StoreError
from ..keeping.annotation import Annotator
from ..transport.forward.spool import Run
from .spool import RecordSpool


class AnnotatedRecords:
    """What was read in each record of the chunk at work, written as records of their own."""

    def __init__(self, config: Config, spool: RecordSpool, bundle: Bundle) -> None:
        self.annotator = Annotator(bundle.templates, bundle.hierarchy, config.keep_prefix)
        self._rule = TagRule("annotate_tag", config.annotate_tag)
        self._spool = spool
        # Of the chunk that is fed: tag, reference of its first record, entries, time of arrival.
        self._at_work: tuple[str, int, Run, int] = ("", 0, b"", 0)
        # Entries that are not written yet, with their tag and number.
        self._unwritten: list[tuple[str, bytes, int]] = []
        # What was written since the last commit: tag, reference, bytes, number of records.
        self._written: list[tuple[str, int, int, int]] = []

    def begin(self, tag: str, base: int, run: Run, arrived_ns: int) -> None:
        """A chunk is fed from now on."""
        self._at_work = (tag, base, run, arrived_ns)

    def fed(self) -> None:
        """Some of its records were fed. Without room on the disk they wait for a commit."""
        tag, base, run, arrived_ns = self._at_work

        out = self._rule.of(tag)
        for entries, count in self.annotator.take(arrived_ns, base, run, self._spool.entry):
            self._unwritten.append((out, entries, count))
        with contextlib.suppress(StoreError):
            self._write()

    def take(self) -> Iterator[tuple[str, int, int, int]]:
        """What was written since the last call. Raises StoreError while not all could be."""
        self._write()
        written = self._written
        self._written = []
        return iter(written)

    def _write(self) -> None:
        while self._unwritten:
            tag, entries, count = self._unwritten[0]
            ref = self._spool.hold(tag, None, 0, entries)
            del self._unwritten[0]
            self._written.append((tag, ref, len(entries), count))
