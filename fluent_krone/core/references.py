"""Which records the events of a session were, for those who hold the records themselves.

Core sees a record once, reads it, and lets go of it. Who holds records elsewhere gives each one a
*reference*, a number that core does not understand, and finds it again in `Session.refs`:

1. The feeder sets `References.current` before it hands over each record.
2. Each event puts the current reference into its session, beside its log key.
3. A record may be an event of several sessions. Its references then have the bit `SHARED`, so that
   one can tell when one session has ended and another has not.

Without a feeder that asks for this, nothing is noted, and the engine's loop does what it always
did: the note is made by the call that moves a session to the end of the order.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..reading.records import SessionKey

if TYPE_CHECKING:
    from .sessions import Session

# Set in the references of a record that is an event of several sessions. References lie below it.
SHARED = 1 << 61
# May be set by the feeder, for a meaning of its own; see `keeping`.
MARKED = 1 << 62
# What is left of a reference without these bits.
PLAIN = SHARED - 1
# `current` while the record that is fed is held by nobody.
NONE = -1


class References:
    """The reference of the record that is fed, and the sessions that it goes into.

    `aside` collects references of records that became no event, with the reason.
    """

    __slots__ = ("_first", "_last", "aside", "current", "notes_aside")

    def __init__(self) -> None:
        self.current = NONE
        self.aside: list[tuple[int, str]] = []
        # Whether anybody takes what `aside` collects.
        self.notes_aside = False
        self._last = NONE
        self._first: Session | None = None

    def note(self, session: Session) -> None:
        """The current record is an event of this session."""
        ref = self.current
        if ref == self._last:
            # The same record again: it is an event of another session as well.
            if ref != NONE and self._first is not None and self._first.refs:
                self._first.refs[-1] |= SHARED
                self._first = None
            ref |= SHARED
        else:
            self._last = ref
            self._first = session
        if ref != NONE and session.refs is not None:
            session.refs.append(ref)

    def begin(self, session: Session) -> None:
        """A session has started; its first record is noted as all others are."""
        session.refs = array("q")

    def note_aside(self, reason: str) -> None:
        """The current record became no event."""
        if self.notes_aside and self.current != NONE:
            self.aside.append((self.current, reason))

    def mover(self, sessions: OrderedDict[SessionKey, Session]) -> Callable[[SessionKey], None]:
        """What moves a session to the end of the order, and notes the current record in it."""
        move = sessions.move_to_end
        note = self.note

        def move_and_note(key: SessionKey) -> None:
            move(key)
            note(sessions[key])

        return move_and_note


def cut_refs(session: Session, events: int) -> list[int]:
    """Take the references of a session's last events out of it: one for each, or `NONE`.

    Events from before anybody noted records have none.
    """
    if not session.refs or not events:
        return [NONE] * events
    later = session.refs[-events:].tolist()
    del session.refs[-events:]
    session.passed = min(session.passed, len(session.refs))
    return [NONE] * (events - len(later)) + later
