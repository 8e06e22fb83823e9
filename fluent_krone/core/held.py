"""Sessions that have ended and wait for their verdict, in the order of their release."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from operator import itemgetter

from .changes import NEVER
from .sessions import Session

# What a session is ordered by: the time of its release; of several with one time, the one that was
# held first. Sessions themselves are not compared.
_ORDER = itemgetter(0, 1)


class HeldSessions:
    """A queue of sessions; `session.saved.held` says until which stream time (ns) each is held.

    A session is given out once, and then forgotten here.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Session]] = []
        # How many were ever held.
        self._numbers = 0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Session]:
        """All of them, in the order of their release."""
        return (session for _, _, session in sorted(self._heap, key=_ORDER))

    @property
    def due_ns(self) -> int:
        """The stream time of the next release; NEVER where none is held."""
        if not self._heap:
            return NEVER
        return self._heap[0][0]

    def add(self, session: Session) -> None:
        """Hold a session."""
        self._numbers += 1
        heapq.heappush(self._heap, (session.saved.held, self._numbers, session))

    def pop(self) -> Session:
        """Give out the session that is due next. Raises IndexError where none is held."""
        return heapq.heappop(self._heap)[2]

    def take(self, is_wanted: Callable[[Session], bool]) -> list[Session]:
        """Give out the sessions of which that is true, in the order of their release."""
        wanted = [entry for entry in self._heap if is_wanted(entry[2])]
        if wanted:
            numbers = {number for _, number, _ in wanted}
            self._heap = [entry for entry in self._heap if entry[1] not in numbers]
            heapq.heapify(self._heap)
        return [session for _, _, session in sorted(wanted, key=_ORDER)]
