"""Keeps the messages of one partition: what leaves is written with the commit that decides it.

A message waits in two places: in the partition's log, where it is safe, and in a spool on this
machine, from which it can be read at once. Why nothing is lost or written twice:

1. A commit is one transaction (`transactions.py`): the sessions that are still open with references
   to their records, the kept records of those that have ended, and the position. So a record is
   either still referred to, or written, or was decided against.
2. The changelog says which offset is the oldest that anything refers to. Whoever takes the
   partition over reads the log again from there to the position, into a spool of its own, and feeds
   none of it.
3. What one transaction does not hold, because thousands of sessions have ended at once, is saved as
   rows, and written by the next ones.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..alerts.tags import TagRule
from ..config import Config
from ..detect.bundle import Bundle
from ..errors import RecordError
from ..keeping.entries import NotARecord, events_of, id_of, plain
from ..keeping.releases import EVENT, first_ref_of, items_of
from ..keeping.watch import Annotator
from ..reading.values import as_bytes
from ..runtime.keeper import Keeper, keep_rule
from .changelog import KeptRows, Row, row_saved
from .clients import LARGEST_BYTES, Topics
from .forms import TAG, Fields, HeldMessage, error_copy_of, form_of
from .message_spool import MessageSpool, offset_of, place_of, ref_of
from .records import Decoder
from .transactions import Out

# Bytes of kept records that one transaction holds, unless a single row has more: written in
# seconds, and far from what its time-out allows.
_MOST_BYTES = 32 * 2**20
# Bytes that a message needs besides its value, key and headers.
_AROUND_BYTES = 2**16
_MS = 1_000_000
# Tags that are remembered.
_MOST_TAGS = 1_000
# Time and record, and the message that they came with.
FedEvent = tuple[tuple[int, Any], Any]


class MessageKeeper(Keeper):
    """The messages that are held for one partition, and the decisions about them."""

    most_in_row = 5_000

    def __init__(
        self,
        config: Config,
        place: tuple[str, int],
        spool: MessageSpool,
        counters: Counter[str],
        rows: KeptRows,
        decoder: Callable[[], Decoder],
    ) -> None:
        self._form = form_of(config.record_format, decoder())
        self._decoder = decoder
        super().__init__(config, spool, counters, rows.saved)
        self._spool = spool
        self._place = b"%s-%d" % (place[0].encode(), place[1])
        self._source = place
        self._topics = Topics.of(config.group)
        self._saved_rows = rows
        self._keep_tags = _Tags(keep_rule(config))
        self._annotate_tags = _Tags(TagRule("annotate_tag", config.annotate_tag))
        self._annotator: Annotator | None = None
        # Packed rows that wait for a transaction, their numbers, and whether they are saved.
        self._waiting = deque((number, data, True) for number, data in rows.waiting)
        self._number = max((number for number, _, _ in self._waiting), default=0)
        self._decided: Any = None
        self.missing = 0

    @property
    def has_more(self) -> bool:
        """Whether rows wait that the last transaction had no room for."""
        return bool(self._waiting)

    def hold(self, messages: Sequence[HeldMessage]) -> None:
        """Hold messages before they are fed. Raises StoreError where there is no room."""
        if self._config.keep:
            self._spool.hold(messages)

    def point_at(self, offset: int, place: int) -> None:
        """The record that is fed next is this one of a message."""
        self.references.current = ref_of(offset, place)

    def annotated(self, messages: Sequence[HeldMessage]) -> Iterator[Out]:
        """Messages that were fed, with what was read in each of their records."""
        if self._annotator is None:
            return
        by_offset = {message.offset: message for message in messages}
        for ref, (log_key, keys) in self._annotator.noted():
            message = by_offset[offset_of(ref)]
            fields = (0, b"")
            if log_key >= 0:
                fields = self._annotator.fields(log_key, keys)
            tag = self._annotate_tags.of(self._tag(message))
            out = self._out(self._topics.annotated, tag, message, place_of(ref), fields)
            if out is not None:
                self._counters["records_annotated"] += 1
                yield out

    def outs(self, position: int) -> tuple[list[Out], list[Row]]:
        """What the next commit writes of kept records, and what it saves; all before it was fed."""
        if not self._config.keep:
            return [], []
        changes = self.gather()
        for row in changes.rows:
            self._number += 1
            self._waiting.append((self._number, row.pack(), False))
        found: list[Out] = []
        rows: list[Row] = []
        size = 0
        while self._waiting and size < _MOST_BYTES:
            number, data, is_saved = self._waiting.popleft()
            for out in self._written(data):
                size += len(out.value or b"")
                found.append(out)
            if is_saved:
                rows.append(row_saved(number, None))
        rows += (row_saved(number, data) for number, data, saved in self._waiting if not saved)
        self._waiting = deque((number, data, True) for number, data, _ in self._waiting)
        self._decided = changes
        oldest = self._spool.first_offset(self._oldest(changes.oldest))
        if oldest is None:
            oldest = position
        rows += self._saved_rows.changes(changes, oldest)
        rows += self._saved_rows.forget_before(ref_of(oldest, 0))
        return found, rows

    def was_committed(self) -> None:
        """The transaction succeeded: free what nobody refers to any more."""
        if self._decided is not None:
            first = self._first_waiting()
            self.committed(self._decided, first)
            self._decided = None

    def stats(self) -> dict[str, float]:
        """Figures by name."""
        return super().stats() | {"kept_missing": self.missing}

    def _new_annotator(self, bundle: Bundle) -> Annotator | None:
        if not self._config.annotate:
            return None
        self._annotator = Annotator(
            bundle.templates, bundle.hierarchy, self._config.keep_prefix, self._form.pack
        )
        return self._annotator

    def _first_waiting(self) -> int | None:
        firsts = (first_ref_of(data) for _, data, _ in self._waiting)
        return min((first for first in firsts if first is not None), default=None)

    def _oldest(self, segment: int) -> int:
        """The oldest segment that is needed; `segment` is that of the sessions, 0: not looked."""
        segment = max(segment, self._spool.oldest)
        first = self._first_waiting()
        if first is not None:
            segment = min(segment, self._spool.segment_of(first))
        return segment

    def _written(self, data: bytes) -> Iterator[Out]:
        """The messages of a row."""
        for kind, *rest in items_of(data):
            if kind == EVENT:
                yield self._summary(*rest)
                continue
            fields, refs = rest
            packed = self._form.pack(fields)
            for ref in memoryview(refs).cast("q"):
                out = self._kept(ref, packed)
                if out is not None:
                    yield out

    def _kept(self, ref: int, fields: Fields) -> Out | None:
        message = self._spool.message(ref)
        if message is None:
            self.missing += 1
            return None
        place = place_of(ref)
        tag = self._tag(message)
        where = b"%s-%d" % (self._place, message.offset)
        record_id = id_of(
            tag.encode("utf-8", "surrogateescape"), b"%d" % message.time_ms, where, b"%d" % place
        )
        own = self._form.pack({f"{self._config.keep_prefix}record_id": record_id})
        whole = (fields[0] + own[0], fields[1] + own[1])
        return self._out(self._topics.keep, self._keep_tags.of(tag), message, place, whole)

    def _out(
        self, topic: str, tag: bytes, message: HeldMessage, place: int, fields: Fields
    ) -> Out | None:
        """A message with fields; None for one that is no record."""
        try:
            value, headers = self._form.with_fields(message, place, fields)
        except (NotARecord, ValueError, LookupError):
            return None
        if len(value) + len(message.key or b"") > LARGEST_BYTES - _AROUND_BYTES:
            error = RecordError("too_large", f"with its fields it has more than {LARGEST_BYTES} B")
            return error_copy_of(self._topics.errors, self._source, message, error)
        headers.append((TAG, tag))
        return Out(topic, message.key, value, headers=headers, timestamp=message.time_ms)

    def _tag(self, message: HeldMessage) -> str:
        return self._decoder().tag_of(message.headers, message.value)

    def _summary(self, tag: str, entry: bytes) -> Out:
        [(time_ns, record)] = events_of(entry)
        text = json.dumps(plain(record), ensure_ascii=False)
        return Out(
            self._topics.summary,
            None,
            text.encode("utf-8", "replace"),
            headers=[(TAG, as_bytes(tag))],
            timestamp=time_ns // _MS,
        )


class _Tags:
    """Tags as a rule makes them, each worked out once."""

    def __init__(self, rule: TagRule) -> None:
        self._rule = rule
        self._known: dict[str, bytes] = {}

    def of(self, tag: str) -> bytes:
        """The tag of what is written of a record with this tag."""
        found = self._known.get(tag)
        if found is None:
            if len(self._known) >= _MOST_TAGS:
                self._known.clear()
            found = self._known[tag] = as_bytes(self._rule.of(tag))
        return found


def pointed(keeper: MessageKeeper, events: Iterable[FedEvent]) -> Iterator[FedEvent]:
    """The same events; for each of them the keeper learns which record it is."""
    last = -1
    place = 0
    for event, message in events:
        offset = message.offset()
        place += 1
        if offset != last:
            last = offset
            place = 0
        keeper.point_at(offset, place)
        yield event, message
