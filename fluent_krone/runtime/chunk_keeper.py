"""Holds the chunks of a service until their sessions are judged, and annotates their records."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from ..alerts.tags import TagRule
from ..config import Config
from ..detect.bundle import Bundle
from ..errors import StoreError
from ..keeping.releases import Releaser
from ..keeping.watch import Annotator
from ..transport.forward import Chunk, Event
from ..transport.forward.spool import Run
from .keeper import Keeper, keep_rule
from .kept import KeptChanges, KeptSaved
from .spool import RecordSpool


class ChunkKeeper(Keeper):
    """The records that are held for one service, and the decisions about them."""

    def __init__(
        self, config: Config, spool: RecordSpool, counters: Counter[str], saved: KeptSaved
    ) -> None:
        super().__init__(config, spool, counters, saved)
        self.spool = spool
        self.releaser = Releaser(spool, keep_rule(config), config.keep_prefix)
        self._annotated: AnnotatedRecords | None = None

    def events(self, chunk: Chunk, now_ns: int) -> Iterator[Event]:
        """Hold a chunk, and return its events; references follow them while they are taken.

        Raises StoreError while there is no room on the disk; then nothing is held.
        """
        if not self._config.keep and self._annotated is None:
            # Only what the last process held is delivered.
            return chunk.events()
        assert not isinstance(chunk.entries, list), "BUG: decoded entries cannot be held"
        name = chunk.chunk
        if isinstance(name, str):
            name = name.encode("utf-8", "surrogateescape")
        if chunk.has_digest_id:
            # An equal chunk before had the same id.
            name = None
        base = self.spool.hold(chunk.tag, name, now_ns, chunk.entries)
        if self._annotated is not None:
            self._annotated.begin(chunk.tag, base, chunk.entries, now_ns)
        return chunk.events_with(self.references, base)

    def fed(self) -> None:
        """Some of the events of the chunk at work were taken."""
        if self._annotated is not None:
            self._annotated.fed()

    def sync(self) -> None:
        """Bring all that is held to the disk. Raises StoreError while there is no room."""
        self.spool.sync()

    def gather(self) -> KeptChanges:
        """All that was decided since the last commit, which is the caller's from now on.

        Raises StoreError while there is no room on the disk; nothing is lost then.
        """
        if self._annotated is not None:
            for tag, ref, size, count in self._annotated.take():
                self._counters["records_annotated"] += count
                self._row().add_block(tag, ref, size, count)
        return super().gather()

    def stats(self) -> dict[str, float]:
        """Figures by name."""
        return super().stats() | {"kept_missing": self.releaser.missing}

    def _new_annotator(self, bundle: Bundle) -> Annotator | None:
        if not self._config.annotate:
            return None
        self._annotated = AnnotatedRecords(self._config, self.spool, bundle)
        return self._annotated.annotator


class AnnotatedRecords:
    """What was read in each record of the chunk at work, written as records of their own.

    They are written into the spool, from where they leave with the next commit.
    """

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
