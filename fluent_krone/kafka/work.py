"""What is done with the messages of one partition: the seam between the loop and its two commands.

`judging.py` judges them, `keying.py` gives them keys. The loop calls all of this in one thread.
Work that has no state and holds nothing leaves most of it as it is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .transactions import Out


class PartitionWork:
    """One partition's work, from its assignment to its loss."""

    def held_from(self, rows: Mapping[bytes, bytes]) -> int | None:
        """The offset from which on messages must be read again before `restore`; None: none.

        Called in a thread, with what was committed, and so is `hold_again`.
        """
        return None

    def hold_again(self, messages: Sequence[Any]) -> None:
        """Hold messages that were fed by an earlier owner."""

    def restore(self, rows: Mapping[bytes, bytes], now_ns: int) -> None:
        """Go on from what was committed."""

    def feed(self, messages: Sequence[Any], now_ns: int) -> int:
        """Take messages; returns how many records that were."""
        raise NotImplementedError

    def advance(self, now_ns: int) -> None:
        """No message is left to be read: let time go on."""

    def resume(self, now_ns: int) -> None:
        """No message could be read for a while: that time does not count as silence."""

    def outs(self, position: int) -> list[Out]:
        """What the next commit writes; it is the caller's from now on.

        All messages before offset `position` were fed.
        """
        raise NotImplementedError

    def committed(self) -> bool:
        """What `outs` gave last was committed; returns whether more waits for the next commit."""
        return False

    def close(self) -> None:
        """The partition is lost; what is in memory goes with it."""


class InstanceWork:
    """What all partitions of an instance have in common."""

    @property
    def state_topic(self) -> str | None:
        """The topic of changelogs; None: there is no state."""
        return None

    def partition(self, number: int) -> PartitionWork:
        """The work for a partition that was assigned."""
        raise NotImplementedError

    def prepare(self, partition: int) -> None:
        """Create what the partition writes to. It blocks, and runs in a thread."""
        raise NotImplementedError

    def tick(self, now_ns: int) -> None:
        """Called about twice a second."""

    def stats(self) -> dict[str, float]:
        """Counters of all partitions."""
        raise NotImplementedError

    def troubles(self) -> list[str]:
        """Problems that keep records from being judged correctly."""
        return []
