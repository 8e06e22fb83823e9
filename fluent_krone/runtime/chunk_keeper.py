"""Holds the chunks of a service until their sessions are judged, and annotates their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..config import Config
from ..detect.bundle import Bundle
from ..keeping.annotation import Annotator
from ..keeping.releases import Releaser
from ..transport.forward import Chunk, Event
from .annotated import AnnotatedRecords
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
