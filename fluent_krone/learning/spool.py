"""The stream as the inputs see it, on disk, until a bundle has been learnt from it.

1. A chunk is appended as it came. Nothing is redacted, and nothing leaves the machine.
2. A commit is a frame with the keys of all chunks before it. It is written before the store's
   transaction, and so before the acks.
3. After a kill, everything behind the last commit is cut off: its chunks were not acked, and come
   again. The keys of the last commits are handed to the store once more, since the process may
   have been killed between the two. So each record is in the spool exactly once.
4. While a bundle is fitted, the stream goes on into a second folder: a fit reads its input several
   times, and has to find the same in it each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..inputs.spooled import Committed, Spooled, chunk_parts, commit_parts, unpacked
from ..segments import Place, Segments, frames_of, move_files, number_of, read_frames, segment_files
from ..transport.forward import Chunk

_log = logging.getLogger(__name__)

# Bytes that a chunk takes besides its entries: the frame, the tag, and its key in the commit.
_OVERHEAD = 512
# What is learnt from, and what has come since.
_COLLECTED = "collected"
_SINCE = "since"


class StreamSpool:
    """Chunks of a stream in two folders under `folder`, at most `max_bytes` of them.

    `keys` are those of the chunks that the last process committed here, and `facts` what it noted
    with them. What does not fit, or cannot be written, is left out and counted in `left_out`.
    """

    def __init__(self, folder: Path, max_bytes: int, *, syncs: bool = False) -> None:
        self.folder = folder
        self.left_out = 0
        self.keys: list[bytes] = []
        self.facts: dict[str, Any] = {}
        # The error that keeps the spool from being written.
        self.trouble: OSError | None = None
        self._max_bytes = max_bytes
        self._syncs = syncs
        self._frozen_bytes = 0
        # Whether chunks were taken since the last commit.
        self.has_news = False
        self._recover()

    @property
    def collected(self) -> Path:
        """The folder to learn from; `export fit --input` reads it."""
        return self.folder / _COLLECTED

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk."""
        return self._frozen_bytes + self._segments.size_bytes

    @property
    def end(self) -> Place:
        """The place behind the last chunk."""
        return self._segments.end

    @property
    def is_frozen(self) -> bool:
        """Whether what is learnt from stays as it is, because a bundle is fitted to it."""
        return self._segments.folder.name == _SINCE

    def take(self, chunk: Chunk, arrived_ns: int) -> bool:
        """Append a chunk; False if it was left out."""
        if self.size_bytes + len(chunk.entries) + _OVERHEAD > self._max_bytes:
            self.left_out += 1
            return False
        try:
            self._segments.append(chunk_parts(chunk, arrived_ns))
        except OSError as error:
            self._note(error)
            self.left_out += 1
            return False
        self.has_news = True
        self.trouble = None
        return True

    def commit(self, keys: list[bytes], facts: dict[str, Any]) -> None:
        """Make final what was taken.

        Where that cannot be written, the chunks since the last commit are taken out again: after a
        kill they would be cut off, although they were acked.
        """
        if not self.has_news:
            return
        try:
            self._committed = self._segments.append(commit_parts(keys, facts))
            if self._syncs:
                self._segments.sync()
        except OSError as error:
            self._note(error)
            self._segments.cut(self._committed)
            self.left_out += 1
        self.has_news = False

    def freeze(self) -> None:
        """Keep what was collected as it is; the stream goes on in the other folder.

        Call it behind a commit.
        """
        if self.is_frozen:
            return
        number = self._segments.roll()
        self._frozen_bytes = self._segments.size_bytes
        self._segments.close()
        self._open(_SINCE, number)

    def thaw(self, max_bytes: int) -> None:
        """Collect on in one folder; of more than `max_bytes` the oldest files are deleted."""
        if self.is_frozen:
            self._segments.close()
            move_files(segment_files(self.folder / _SINCE), self.collected)
            (self.folder / _SINCE).rmdir()
            self._frozen_bytes = 0
            self._open(_COLLECTED)
        files = segment_files(self.collected)
        excess = self.size_bytes - max_bytes
        for path in files:
            if excess <= 0:
                break
            excess -= path.stat().st_size
            self._segments.drop_before(number_of(path) + 1)

    def read(self, start: Place) -> Iterator[tuple[Place, bool, Spooled]]:
        """From a place on: the place behind each chunk, whether it came after `freeze`, and it.

        Numbers of files go on from the one folder to the other, so a place is in both.
        """
        for name in (_COLLECTED, _SINCE):
            for place, frame in read_frames(self.folder / name, start):
                content = unpacked(frame)
                if isinstance(content, Spooled):
                    yield place, name == _SINCE, content

    def close(self) -> None:
        """Let go of the files."""
        self._segments.close()

    def _open(self, name: str, first: int = 1) -> None:
        self._segments = Segments(self.folder / name, first=first)
        self._committed = self._segments.end

    def _recover(self) -> None:
        """Go on where the last process ended: behind its last commit."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = _COLLECTED
        collected = segment_files(self.collected)
        if (self.folder / _SINCE).is_dir():
            name = _SINCE
            self._frozen_bytes = sum(path.stat().st_size for path in collected)
        first = 1
        if collected and name == _SINCE:
            first = number_of(collected[-1]) + 1
        self._open(name, first)
        for path in reversed(segment_files(self.folder / name)):
            end = self._read_commits(path)
            if end is not None:
                self._segments.cut((number_of(path), end))
                break
        else:
            self._segments.cut((first, 0))
        self._committed = self._segments.end
        if not self.facts and name == _SINCE and collected:
            self._read_commits(collected[-1])

    def _read_commits(self, path: Path) -> int | None:
        """Remember a file's commits; returns the offset behind its last one, if it has one."""
        end = None
        with path.open("rb") as file:
            for at, frame in frames_of(file):
                content = unpacked(frame)
                if isinstance(content, Committed):
                    end = at
                    self.keys += content.keys
                    self.facts = content.facts
        return end

    def _note(self, error: OSError) -> None:
        if self.trouble is None:
            _log.error(
                "what is learnt from cannot be written folder=%s reason=%s",
                self.folder,
                error.strerror,
            )
        self.trouble = error
