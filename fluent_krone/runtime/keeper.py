"""Decides which records leave, of those that are held until their sessions are judged.

The way of a record:

1. It is written to a spool before it is fed, so that a full disk stops the feeding and loses
   nothing. `chunk_keeper.py` does it for chunks, `kafka/message_keeper.py` for messages.
2. While it is fed, the engine notes its reference in each of its sessions (`core/references.py`).
3. When a session ends, the rules decide. A session with an alert that was sent is released at once,
   and what still comes of it leaves with the next commit.
4. `gather` makes rows of what was released since the last commit. They are made final with the
   sessions, in one transaction.
5. After that commit, segments of the spool that nobody refers to any more are deleted.

Nothing here knows how records are held, and how rows are saved or sent.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import msgpack

from ..alerts.records import AlertMaker
from ..alerts.tags import TagRule
from ..config import Config
from ..core.engine import Engine
from ..core.references import MARKED, PLAIN, References
from ..core.sessions import Session
from ..detect.bundle import Bundle
from ..detect.nested_aware import NestedAware
from ..keeping.counts import DroppedCounts
from ..keeping.releases import MOST_IN_ROW, Row, plain_refs
from ..keeping.rules import Decision, Keeping, Kinds, Rules
from ..keeping.watch import Annotator, regexes_of, watch_of
from ..reading.records import SessionKey, key_text
from ..transport.forward import encode_event_time
from ..types import Finding
from .kept import KeptChanges, KeptSaved, LeftRecords

# Sessions are released before they are judged from this share of `keep_size` on. Above the whole,
# nothing is read until the receiver has taken some of it.
_FULL_SHARE = 0.9
# Incidents of alerts that are remembered for records of their sessions that are still to come.
_MOST_INCIDENTS = 10_000
_NS = 10**9


def keep_rule(config: Config) -> TagRule:
    """How the tags of kept records are made."""
    return TagRule(
        "keep_tag", config.keep_tag, config.keep_add_tag_prefix, config.keep_remove_tag_prefix
    )


def check_keep(config: Config) -> None:
    """Raise ConfigError for parameters that no keeper can use."""
    keep_rule(config)
    TagRule("annotate_tag", config.annotate_tag)
    regexes_of(config)


class Segmented(Protocol):
    """The place where records are held, with what the keeper needs of it.

    Segments have growing numbers, and are deleted from the oldest on.
    """

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""

    @property
    def oldest(self) -> int:
        """The number of the oldest segment."""

    @property
    def newest(self) -> int:
        """The number of the segment at work."""

    def has(self, ref: int) -> bool:
        """Whether the record of a reference is still there."""

    def segment_of(self, ref: int) -> int:
        """The segment that a reference, whatever its marks, lies in."""

    def end_segment(self) -> None:
        """Begin a new segment with what comes next."""

    def drop_before(self, segment: int) -> None:
        """Delete the segments before this one; the one at work always stays."""


class Keeper:
    """The decisions about the records of one engine, which lie in `held`."""

    # Records of one row: what is delivered, or made final, at a time.
    most_in_row = MOST_IN_ROW

    def __init__(
        self, config: Config, held: Segmented, counters: Counter[str], saved: KeptSaved
    ) -> None:
        self.held = held
        self.references = References()
        self._config = config
        self._counters = counters
        self._kept_field = f"{config.keep_prefix}kept"
        self._rules = Keeping(Rules(config.keep_per_kind, config.keep_share))
        self._rules.load(saved.kinds)
        self.references.notes_aside = config.keep and config.keep_outside == "keep"
        # Sessions that have ended and are not decided on yet.
        self._ended: list[Session] = []
        # Sessions that are kept while they go on, and the fields of their records.
        self._passing: dict[Session, dict[str, Any]] = {}
        # Rows since the last commit; the last one may still grow.
        self._rows: list[Row] = []
        self._left = LeftRecords(saved.shared, held.segment_of)
        self._incidents: dict[str, str] = {}
        self._counts: DroppedCounts | None = None
        self._saved = saved
        # The newest segment whose open sessions were released because the spool is full.
        self._emptied = -1
        # The segment at work when the spool was last searched for segments that nobody needs.
        self._searched = -1

    def attach(self, engine: Engine, maker: AlertMaker) -> None:
        """Hold the records of this engine's sessions from now on; it may follow another one."""
        config = self._config
        bundle = maker.bundle
        before = {(s.key, s.instance): fields for s, fields in self._passing.items()}
        self._passing.clear()
        self._engine = engine
        self._maker = maker
        nested = engine.cascade.nested
        if not isinstance(nested, NestedAware):
            nested = None
        self._kinds = Kinds(bundle, config.keep_kind, nested)
        counts = self._saved.counts
        if self._counts is not None:
            counts = self._counts.save()
        self._counts = DroppedCounts(bundle.templates, bundle.hierarchy)
        if counts is not None:
            self._counts.load(counts)
        watch = watch_of(engine, self.references, config, self._new_annotator(bundle))
        if watch.looks:
            engine.read_by(watch.read)
        if self._config.keep:
            engine.note_records(self.references)
            if self._ended.append not in engine.on_close:
                engine.on_close.append(self._ended.append)
            self._recall(before)

    def note_alert(self, finding: Finding, alert_id: str, incident_id: str | None) -> None:
        """An alert was made: the records of its session leave, those to come as well."""
        if incident_id is not None:
            if len(self._incidents) >= _MOST_INCIDENTS:
                self._incidents.pop(next(iter(self._incidents)))
            self._incidents[alert_id] = incident_id
        session = self._engine.sessions.open.get(finding.session)
        if session is not None and session.instance == finding.instance and session.is_abnormal:
            self._pass_on(session, Decision("abnormal", "abnormal"))

    def fed(self) -> None:
        """Some of the events at hand were taken."""

    def sync(self) -> None:
        """Bring what is held to the disk, where it must outlive this process."""

    def finish(self) -> None:
        """The input has ended: the next commit counts what was not kept until now."""
        if self._counts is not None:
            self._counts.is_last = True

    def settle(self) -> None:
        """Decide on what has happened since the last call: sessions that ended, records of none."""
        if self.references.aside:
            self._take_aside()
        if self._ended:
            ended = self._ended[:]
            self._ended.clear()
            for session in ended:
                self._decide(session)

    def gather(self) -> KeptChanges:
        """All that was decided since the last commit, which is the caller's from now on.

        Raises StoreError while there is no room on the disk; nothing is lost then.
        """
        for session, fields in self._passing.items():
            self._release(session, fields)
        counts = None
        if self._config.keep:
            self._make_room()
            counts = self._count()
        rows = self._rows
        self._rows = []
        needed = self._oldest_needed()
        return KeptChanges(rows, self._rules.changes(), self._left.changes(), counts, needed)

    def committed(self, changes: KeptChanges, oldest_outgoing: int | None) -> None:
        """A commit has succeeded: free what nobody refers to any more."""
        oldest = changes.oldest
        if oldest_outgoing is not None:
            oldest = min(oldest, self.held.segment_of(oldest_outgoing))
        if oldest > self.held.oldest:
            self.held.drop_before(oldest)
            self._left.forget_before(oldest)

    @property
    def has_fresh(self) -> bool:
        """Whether something waits for a commit."""
        return bool(self._rows) or self.is_full

    @property
    def is_full(self) -> bool:
        """Whether the spool holds more than it may: nothing more should be read."""
        return self.held.size_bytes > self._config.keep_size

    def stats(self) -> dict[str, float]:
        """Figures by name."""
        return {"spool_size": self.held.size_bytes}

    def _new_annotator(self, bundle: Bundle) -> Annotator | None:
        """What notes what is read in each record; None where records are not annotated."""
        return None

    # -- decisions

    def _recall(self, before: Mapping[tuple[SessionKey, int], dict[str, Any]]) -> None:
        """Go on with the sessions of the last process, or of the bundle before.

        What was added to the records of a session stays as it was `before`.
        """
        for session in self._undecided():
            refs = session.refs
            if refs and not all(map(self.held.has, (refs[0], refs[-1]))):
                # Records of segments that are gone have left already.
                gone = sum(not self.held.has(ref) for ref in refs)
                session.passed = max(session.passed, gone)
            if session.passed or session.is_abnormal:
                fields = before.get((session.key, session.instance))
                if fields is None:
                    fields = self._fields(session, _decision_of(session))
                self._passing[session] = fields

    def _pass_on(self, session: Session, decision: Decision) -> None:
        """A session is kept while it goes on."""
        fields = self._passing[session] = self._fields(session, decision)
        self._release(session, fields)

    def _decide(self, session: Session) -> None:
        assert self._counts is not None, "BUG: a session ended before there was an engine"
        fields = self._passing.pop(session, None)
        decision: Decision | None = Decision("abnormal", "abnormal")
        if fields is None:
            if not session.is_abnormal:
                kind = self._kinds.of(session)
                decision = self._rules.decide(session, kind)
            if decision is None:
                self._counters["sessions_dropped"] += 1
                self._drop(session)
                self._counts.add(kind)
                return
            fields = self._fields(session, decision)
        self._counters[f"kept_sessions_{fields[self._kept_field]}"] += 1
        self._release(session, fields)

    def _release(self, session: Session, fields: Mapping[str, Any]) -> None:
        """Send the records of a session that have not left yet."""
        refs = session.refs
        if not self._config.keep or refs is None or session.passed >= len(refs):
            return
        fresh = refs
        if session.passed:
            fresh = refs[session.passed :]
        session.passed = len(refs)
        self._send(fields, self._left.leave(fresh))

    def _drop(self, session: Session) -> None:
        """Release the records of a session, except those that are kept whatever its verdict is."""
        refs = session.refs
        if not refs:
            return
        self._counters["records_dropped"] += len(refs)
        # Marked references are larger than all others.
        if max(refs) >= MARKED:
            marked = array("q", [ref for ref in refs if ref & MARKED])
            decision = Decision("always", "normal")
            self._send(self._fields(session, decision), self._left.leave(marked))
            self._counters["records_dropped"] -= len(marked)

    def _take_aside(self) -> None:
        """Records that belong to no session leave at once."""
        refs = [ref for ref, reason in self.references.aside if reason in _CAN_LEAVE]
        self.references.aside.clear()
        if refs:
            fields = {self._kept_field: "outside", f"{self._config.keep_prefix}sampled": 1}
            self._send(fields, plain_refs(refs))

    def _fields(self, session: Session, decision: Decision) -> dict[str, Any]:
        """What is added to each record of a session."""
        prefix = self._config.keep_prefix
        fields: dict[str, Any] = {
            f"{prefix}session": key_text(session.key),
            f"{prefix}verdict": decision.verdict,
            self._kept_field: decision.reason,
            f"{prefix}sampled": decision.sampled,
        }
        alert_id = self._maker.session_alert_id(session)
        if alert_id is not None:
            fields[f"{prefix}alert_id"] = alert_id
            incident = self._incidents.get(alert_id)
            if incident is not None:
                fields[f"{prefix}incident_id"] = incident
        return fields

    def _send(self, fields: Mapping[str, Any], refs: array[int]) -> None:
        if not refs:
            return
        self._counters[f"records_kept_{fields[self._kept_field]}"] += len(refs)
        for at in range(0, len(refs), self.most_in_row):
            self._row().add_records(fields, refs[at : at + self.most_in_row])

    def _row(self) -> Row:
        if not self._rows or self._rows[-1].records >= self.most_in_row:
            self._rows.append(Row())
        return self._rows[-1]

    def _count(self) -> Mapping[str, Any] | None:
        """Make the event that counts what was not kept, when it is due; the counts to save."""
        assert self._counts is not None, "BUG: a commit before there was an engine"
        every_ns = int(self._config.keep_summary * _NS)
        now_ns = self._engine.watermark
        if not every_ns or not now_ns:
            return None
        record = self._counts.summary(now_ns, every_ns)
        if record is not None:
            entry = msgpack.packb([encode_event_time(now_ns), record])
            self._row().add_event(self._config.keep_summary_tag, entry)
        elif not self._counts.is_changed:
            return None
        return self._counts.save()

    # -- room

    def _make_room(self) -> None:
        """Above the limit, release the sessions that hold the oldest segment, as they are."""
        oldest = self.held.oldest
        is_filling = self.held.size_bytes > _FULL_SHARE * self._config.keep_size
        if not is_filling or oldest <= self._emptied:
            return
        # From here on nothing is added to it, so that it can be deleted once all of it has left.
        self.held.end_segment()
        self._emptied = oldest
        for session in self._undecided():
            first = _first_ref(session)
            if first is not None and self.held.segment_of(first) == oldest:
                self._pass_on(session, Decision("size", "undecided"))

    def _undecided(self) -> list[Session]:
        """Sessions that are open, and those that have ended and wait for what is not known yet."""
        return [*self._engine.sessions.open.values(), *self._engine.settling.held]

    def _oldest_needed(self) -> int:
        """The oldest segment that an undecided session, or an event that waits, refers to.

        Looking through all sessions is done once for each segment that is begun, and while
        the spool is full.
        """
        newest = self.held.newest
        if newest == self._searched and not self.is_full:
            return 0
        self._searched = newest
        if not self._config.keep:
            return newest
        engine = self._engine
        in_order = not engine.session_settings.allowed_lateness
        firsts = [_first_ref(session, in_order=in_order) for session in self._undecided()]
        refs = [first for first in firsts if first is not None]
        if engine.in_order is not None:
            refs += engine.in_order.refs()
        if not refs:
            return newest
        return min(map(self.held.segment_of, refs))


# Reasons for which a record that became no event can still leave: it is a map, to which fields can
# be added.
_CAN_LEAVE = frozenset(("no_message", "line_format", "continuation", "no_session_key"))


def _first_ref(session: Session, *, in_order: bool = True) -> int | None:
    """The oldest of a session's references that have not left.

    They are in order where events are taken as they come.
    """
    refs = session.refs
    if not refs or session.passed >= len(refs):
        return None
    if in_order:
        return refs[session.passed] & PLAIN
    return min(ref & PLAIN for ref in refs[session.passed :])


def _decision_of(session: Session) -> Decision:
    """Why a session of the last process is kept while it goes on."""
    if session.is_abnormal:
        return Decision("abnormal", "abnormal")
    return Decision("size", "undecided")
