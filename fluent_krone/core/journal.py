"""What is saved of an engine: snapshots, what changed since the last commit, and the way back.

How a commit costs what changed, and not what is open:

1. An event moves its session to the end of the sessions' order. So the sessions that changed
   since the last commit lie at the end, and looking back stops at the first one that did not.
2. Of a session that changed, only a *part* is saved: its fields, and the events since its last
   part. Parts have numbers; the session remembers the numbers of its own.
3. When a session has `_MOST_PARTS` parts, its next one holds all of it, and the numbers of the
   others are reported as dropped. So are all numbers of a session that ends.
4. Whoever stores parts adds the new ones, removes the dropped ones, and can at any time give all
   that are left, in the order of their numbers, to `restore`.
5. What is reported of a session without an event of it (that it hangs) changes its last part,
   which keeps its number, and so its place in the order of sessions.
6. After a restore with other templates every log key means something else. The next changes are
   then everything there is.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import SnapshotError
from ..reading.newforms import NUMBERS
from ..reading.templates import TemplateMatcher, template_id
from .deploys.settling import Settling
from .novelties import Novelties
from .sessions import Session, Sessionizer
from .stream.doubted import DoubtedEvents
from .stream.lateness import InOrder
from .stream.stream_time import StreamTime

# Raised when a snapshot's values change their meaning; an older snapshot is then refused.
SNAPSHOT_VERSION = 3
# Parts of one session. More would make a restart read many small rows; fewer would write long
# sessions anew more often.
_MOST_PARTS = 8
_NUMBER = struct.Struct("q")

Pack = Callable[[list[Any]], bytes]


def _part(session: Session, number: int = 0, since: int = 0) -> list[Any]:
    """A session as it is saved: its fields, and its events from `since` on."""
    levels = session.levels
    return [
        number,
        since,
        session.key,
        session.tag,
        session.opened,
        session.instance,
        session.ordinal,
        session.limit,
        session.seen,
        session.last_ns,
        session.alerted,
        session.told,
        session.keys[since:].tobytes(),
        session.times[since:].tobytes(),
        session.lines[since:],
        _refs(session, since),
        session.passed,
        session.saved.new_steps,
        session.saved.held,
        # Of its first event, so it stands in the first part.
        () if since else session.saved.context,
        None if levels is None else levels[since:],
    ]


def _refs(session: Session, since: int) -> bytes:
    """References to the records of the events from `since` on."""
    if not session.refs:
        return b""
    if not since:
        return session.refs.tobytes()
    return session.refs[since - len(session.keys) :].tobytes()


class Journal:
    """The one owner of what is saved of an engine's sessions, its time and its novelties.

    It alone writes `Session.saved`, but for the time until which a session is held.
    """

    def __init__(
        self,
        *,
        matcher: TemplateMatcher,
        sessions: Sessionizer,
        time: StreamTime,
        novelties: Novelties,
        doubted: DoubtedEvents,
        in_order: InOrder | None,
        settling: Settling,
        keep_lines: int,
    ) -> None:
        self._match = matcher.match
        self._templates = matcher.texts
        self._sessions = sessions
        self._time = time
        self._novelties = novelties
        self._doubted = doubted
        self._in_order = in_order
        self._tracker = settling.tracker
        self._settling = settling
        # Sessions that are held since the last `changes`.
        self._held: list[Session] = []
        self._keep_lines = keep_lines
        # The `unknown` leaf's log key, which every bundle has after those of its templates.
        self._unknown = len(self._templates)
        # The largest number that a part has.
        self._numbers = 0
        # Numbers of parts that are void since the last `changes`.
        self._dropped = array("q")
        # Whether the next changes are everything there is.
        self._everything = True
        # A row for each session that started since the last `changes`; None: nobody asks for them.
        self._started: list[list[Any]] | None = None

    def track(self) -> None:
        """Note from now on what changes."""
        self._novelties.track()
        if self._started is None:
            self._started = []

    def save_everything(self) -> None:
        """The next changes are everything there is."""
        self._everything = True

    def note_start(self, session: Session, time_ns: int) -> None:
        """A session has started."""
        if self._started is not None:
            row = [session.key, session.instance, time_ns, session.ordinal + 1]
            self._started.append(row)

    def note_end(self, session: Session) -> None:
        """A session has ended: what is saved of it is void."""
        self._dropped.frombytes(session.saved.parts)

    def note_held(self, session: Session) -> None:
        """A session has ended and is held: it is saved once more, as it is now."""
        self._dropped.frombytes(session.saved.parts)
        session.saved.parts = b""
        session.saved.events = 0
        self._held.append(session)

    def save_again(self, sessions: Iterable[Session]) -> None:
        """The fields of open sessions changed, and not by an event: save them as a whole."""
        for session in sessions:
            session.saved.events = 0

    def changes(self, pack: Pack) -> dict[str, Any]:
        """What changed since the last call; see `Engine.changes`."""
        if self._started is None:
            raise RuntimeError("BUG: changes without track")
        if self._everything:
            self._held = list(self._settling.held)
            for session in [*self._held, *self._sessions.open.values()]:
                self._dropped.frombytes(session.saved.parts)
                session.saved.events = 0
                session.saved.parts = b""
        in_place = [session for session in self._sessions.touched if self._is_saved(session)]
        self._sessions.touched = []
        # One that is held for longer than was first planned is noted twice: its last place counts,
        # since sessions that are due at one time are released in the order in which they were held.
        noted = {id(one): one for one in reversed(self._held) if one.saved.held}
        held = list(reversed(noted.values()))
        self._held = []
        parts = [self._save(session, pack) for session in [*held, *self._unsaved()]]
        parts += [self._save_in_place(session, pack) for session in in_place]
        # Asked for in any case: asking also begins the next interval of notes.
        novelties = self._novelties.changes()
        if self._everything:
            found = self.snapshot(parts)
        else:
            found = self._always(everything=False) | self._settling.change_watch.changed()
            found |= {"novelties": novelties, "sessions": parts, "started": self._started}
        found["dropped"] = self._dropped
        self._dropped = array("q")
        self._started = []
        self._everything = False
        return found

    def parts(self) -> Iterator[list[Any]]:
        """Every session that is open or held, each as one part."""
        for session in [*self._settling.held, *self._sessions.open.values()]:
            yield _part(session)

    def snapshot(self, sessions: Iterable[Any]) -> dict[str, Any]:
        """The whole state, with `sessions` as its sessions. Log keys go with their template ids."""
        return (
            self._always(everything=True)
            | self._settling.change_watch.save()
            | {
                "templates": self._template_ids(),
                "novelties": self._novelties.dump(),
                "sessions": sessions,
                "started": self._sessions.dump(),
            }
        )

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot; see `Engine.restore`."""
        if snapshot.get("version") != SNAPSHOT_VERSION:
            raise SnapshotError(
                f"the saved state has version {snapshot.get('version')!r}, and this program reads "
                f"version {SNAPSHOT_VERSION}: set the store aside and start with a new one"
            )
        try:
            self._restore(snapshot)
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise SnapshotError(
                f"the saved state is damaged ({error.__class__.__name__}: {error})"
            ) from None

    def _always(self, *, everything: bool) -> dict[str, Any]:
        """What each commit holds, since it changes with nearly every record."""
        found = {
            "version": SNAPSHOT_VERSION,
            **self._time.save(everything=everything),
            **self._novelties.save(),
            **self._doubted.save(),
        }
        if self._in_order is not None:
            found |= self._in_order.save()
        return found

    def _template_ids(self) -> list[str]:
        return [template_id(text) for text in self._templates]

    def _unsaved(self) -> list[Session]:
        """Open sessions that had an event since they were saved, in the order of `open`."""
        found = []
        for session in reversed(self._sessions.open.values()):
            if session.saved.events == len(session.keys) and session.saved.events:
                break
            found.append(session)
        found.reverse()
        return found

    def _save(self, session: Session, pack: Pack) -> tuple[int, bytes]:
        """The session's next part and its number; all of it, where it has too many parts."""
        if not session.saved.events or len(session.saved.parts) == _MOST_PARTS * _NUMBER.size:
            self._dropped.frombytes(session.saved.parts)
            session.saved.events = 0
            session.saved.parts = b""
        self._numbers += 1
        part = pack(_part(session, self._numbers, session.saved.events))
        session.saved.events = len(session.keys)
        session.saved.parts += _NUMBER.pack(self._numbers)
        return self._numbers, part

    def _is_saved(self, session: Session) -> bool:
        """Whether an open session has no event that is not saved."""
        is_open = self._sessions.open.get(session.key) is session
        return is_open and session.saved.events == len(session.keys)

    def _save_in_place(self, session: Session, pack: Pack) -> tuple[int, bytes]:
        """All of a session as its last part, which keeps its number; the others are void."""
        numbers = array("q")
        numbers.frombytes(session.saved.parts)
        last = numbers.pop()
        self._dropped.extend(numbers)
        session.saved.parts = _NUMBER.pack(last)
        return last, pack(_part(session, last))

    def _restore(self, snapshot: Mapping[str, Any]) -> None:
        own = self._template_ids()
        index = {name: i for i, name in enumerate(own)}
        # Log key in the snapshot → our log key.
        log_keys = [index.get(name, self._unknown) for name in snapshot["templates"]]
        log_keys.append(self._unknown)
        # New steps keep their numbers, which are behind those of the bundle's templates.
        log_keys += range(self._unknown + 1, self._unknown + 1 + NUMBERS)
        self._time.load(snapshot)
        self._settling.change_watch.load(snapshot, log_keys)
        self._novelties.load(snapshot, snapshot["novelties"])
        for part in snapshot["sessions"]:
            self._load_part(part, log_keys)
        for session in self._sessions.open.values():
            session.state = self._tracker.replay(session.keys)
            session.saved.events = len(session.keys)
            # `keep_lines` may be another one now.
            due = min(session.saved.events, self._keep_lines)
            session.lines = [*session.lines[:due], *[b""] * (due - len(session.lines))]
            if session.levels is not None:
                session.levels = session.levels[:due].ljust(due, b"\0")
        self._sessions.load(snapshot["started"])
        self._doubted.load(snapshot)
        if self._in_order is not None:
            self._in_order.load(snapshot, log_keys)
        self._everything = own != list(snapshot["templates"])

    def _found_again(self, keys: Sequence[int], lines: Sequence[bytes]) -> list[int]:
        """Log keys with the unknown ones read from their lines, where these were kept.

        Another bundle may have another template for the same lines. Its sessions must not look
        abnormal for that.
        """
        found = list(keys)
        for at, line in enumerate(lines):
            if found[at] == self._unknown and line:
                found[at] = self._match(line)
        return found

    def _load_part(self, part: Sequence[Any], log_keys: Sequence[int]) -> None:
        number, since, key, tag, opened, instance, ordinal, *rest = part
        limit, seen, last_ns, alerted, told, keys, times, lines, refs, passed, *rest = rest
        new_steps, held, context, *rest = rest
        key = tuple(key)
        sessions = self._sessions
        session = None
        if not held:
            session = sessions.open.get(key)
        if session is None:
            start = self._tracker.start
            session = Session(key, tag, opened, instance, ordinal, start, limit, seen, 0)
            if not held:
                sessions.open[key] = session
        if since != len(session.keys):
            raise ValueError(
                f"a session of {len(session.keys)} events cannot go on with event {since}"
            )
        session.opened = opened
        # The settings may be shorter now, and they hold for this session too. An end further away
        # than that of a session which has an event now would break the order of ends.
        session.limit = min(limit, sessions.limit(opened))
        session.seen = min(seen, self._time.clock)
        session.alerted = alerted
        session.told = tuple(told)
        own_keys = [log_keys[i] for i in array("H", keys)]
        if self._unknown in own_keys:
            own_keys = self._found_again(own_keys, lines)
        session.keys.extend(own_keys)
        session.times.frombytes(times)
        session.passed_ns = last_ns
        if session.times and last_ns <= session.times[-1]:
            # Its last event was a step.
            session.passed_ns = 0
        # Asked for before there are more lines: levels that are alike are as many as the lines.
        levels_before = session.levels or b""
        if lines:
            # With another `keep_lines`, the parts before may have none.
            session.lines += [b""] * (since - len(session.lines)) + lines
        for levels in rest:
            # Parts that an older version saved say nothing of levels.
            if levels is not None:
                session.levels = levels_before.ljust(since, b"\0") + levels
        if refs:
            session.refs = session.refs or array("q")
            session.refs.frombytes(refs)
        session.passed = passed
        session.saved.new_steps = new_steps
        if context:
            session.saved.context = tuple((name, value) for name, value in context)
        session.saved.held = held
        if number:
            session.saved.parts += _NUMBER.pack(number)
            self._numbers = max(self._numbers, number)
        if held:
            session.state = self._tracker.waiting
            session.saved.events = len(session.keys)
            self._settling.held.add(session)
            return
        sessions.open.move_to_end(key)
