"""Where events come from: hosts or files with clocks of their own, if records name them.

The time of a stream follows what several sources agree on (`stream_time.py`). One host whose clock
is ahead may write most of the lines, so a run of its events is no agreement:

1. The source of an event is the host that its record names. Where it names none, it is the file
   that it was read from, with its tag; else the tag alone.
2. A leap is believed when `needed` sources had it: most of those that are known, and three where
   more are known than five.
3. While one source alone has it, the others may have nothing to say. When its own time has gone on
   by `_ALONE_NS` without a word of them, they are taken for gone, and it is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import RecordError
from ...reading.accessor import Fields, field_getter, first_field

# Fields that name the machine whose clock a record's time is from, as Kubernetes filters, journald,
# syslog parsers and shippers name them. The first one that a record has counts.
_HOST_FIELDS = (
    "host",
    "hostname",
    "$.kubernetes.host",
    "$.kubernetes.node_name",
    "_HOSTNAME",
    "source_host",
    "node",
    "$.host.name",
    "$.agent.hostname",
)
# Fields that name the file a line was read from, as in_tail's `path_key` and others call it.
_PATH_FIELDS = ("path", "file_path", "filepath", "filename", "file", "$.log.file.path")
# Bytes of a name. A longer one is cut: two sources are then taken for one, which agrees later.
_LONGEST = 200
# Sources that have to agree where many are known: with more, a stream that really moved on would be
# believed late, since a shipper sends a whole chunk of one file after the other.
_SEVERAL = 3
# Sources that are remembered. More would not change how many have to agree.
_MOST_KNOWN = 2 * _SEVERAL
# How far a source's own time goes on, in ns, until the others are taken for gone: ten minutes, in
# which a source that still runs writes something.
_ALONE_NS = 600 * 10**9


class Sources:
    """The sources of one stream; `fields_of` gives the fields of a record as they are read.

    >>> sources = Sources()
    >>> [sources.of(b"app", record) for record in ({b"host": b"db-1"}, {b"path": b"/a.log"}, {})]
    [b'db-1', b'app /a.log', b'app']
    """

    def __init__(self, fields_of: Callable[[Any], Fields] | None = None) -> None:
        self._fields_of = fields_of
        self._hosts = [field_getter(name) for name in _HOST_FIELDS]
        self._paths = [field_getter(name) for name in _PATH_FIELDS]
        # What all of these fields begin with: most records have none of them.
        self._tops = frozenset(map(first_field, (*_HOST_FIELDS, *_PATH_FIELDS)))
        self._known: dict[bytes, None] = {}
        # The sources that have a leap which is not believed yet, and the first of its times.
        self._agreeing: dict[bytes, None] = {}
        self._since_ns = 0

    @property
    def needed(self) -> int:
        """How many sources have to have a leap until it is believed."""
        return min(len(self._known) // 2 + 1, _SEVERAL)

    def of(self, tag: bytes, record: Any) -> bytes:
        """The name of an event's source."""
        fields = self._fields(record)
        if self._tops.isdisjoint(fields):
            return tag
        host = _first(self._hosts, fields)
        if host is not None:
            return host
        path = _first(self._paths, fields)
        if path is not None:
            return tag + b" " + path
        return tag

    def note(self, tag: bytes, record: Any) -> None:
        """An event whose time is the stream's. It is asked of the first event of each session."""
        if len(self._known) < _MOST_KNOWN:
            self._known[self.of(tag, record)] = None

    def has_another(self, tag: bytes, record: Any) -> bool:
        """Whether any source is known that an event does not come from."""
        return bool(self._known.keys() - {self.of(tag, record)})

    def agree(self, tag: bytes, record: Any, time_ns: int) -> bool:
        """An event has the leap, too; returns whether it is to be believed by now."""
        if not self._agreeing:
            self._since_ns = time_ns
        source = self.of(tag, record)
        if len(self._agreeing) < _MOST_KNOWN:
            self._agreeing[source] = None
        self.note(tag, record)
        if len(self._agreeing) >= self.needed:
            return True
        if time_ns - self._since_ns < _ALONE_NS:
            return False
        self._known = dict(self._agreeing)
        return True

    def disagree(self) -> None:
        """The leap is over: it was believed, or an event without it came."""
        self._agreeing.clear()

    def save(self) -> list[Any]:
        """What a snapshot holds of it."""
        return [list(self._known), list(self._agreeing), self._since_ns]

    def load(self, saved: list[Any] | None) -> None:
        """Go on from a snapshot. Those of an earlier version lack it."""
        if saved is not None:
            known, agreeing, self._since_ns = saved
            self._known = dict.fromkeys(known)
            self._agreeing = dict.fromkeys(agreeing)

    def _fields(self, record: Any) -> Mapping[bytes, Any]:
        if not isinstance(record, dict):
            return {}
        if self._fields_of is None:
            return record
        try:
            return self._fields_of(record)
        except RecordError:
            return record


def _first(getters: list[Callable[[Fields], Any]], fields: Fields) -> bytes | None:
    """The first value that is text, cut."""
    for get in getters:
        value = get(fields)
        if value.__class__ is bytes and value:
            return bytes(value[:_LONGEST])
    return None
