"""Where a session ran: fields of its first record that an alert shows, such as pod, host, version.

They are read once for each session, from the record that it begins with. Of a record whose event
was held back (`allowed_lateness`), they were read as it came (`Excerpt` of `reading/levels.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..reading.accessor import Fields, field_getter, first_field
from ..reading.levels import Excerpt

# Names and values, in the order of the names.
Context = tuple[tuple[str, str], ...]

# Fields that say where a record comes from, as Kubernetes filters, container runtimes, tracing
# libraries and shippers name them. They hardly ever change within one execution.
USUAL_FIELDS = (
    "$.kubernetes.namespace_name",
    "$.kubernetes.pod_name",
    "$.kubernetes.container_name",
    "$.kubernetes.host",
    "$.kubernetes.labels.app",
    "$.kubernetes.labels.version",
    "container_name",
    "host",
    "hostname",
    "service",
    "service_name",
    "version",
    "trace_id",
)
# Bytes of a value that is shown. Names and ids are shorter; a longer one is cut.
_LONGEST = 200
# Contexts that sessions share, so that each host or pod is held once.
_MOST_SHARED = 1_000


class ContextReader:
    """Reads the context of a session; `fields` are names or record accessors, None for the usual.

    >>> reader = ContextReader(["$.kubernetes.pod_name", "host"])
    >>> reader.of({b"kubernetes": {b"pod_name": b"web-1"}, b"host": b"a"})
    (('host', 'a'), ('kubernetes.pod_name', 'web-1'))
    """

    def __init__(self, fields: Sequence[str] | None) -> None:
        names = USUAL_FIELDS if fields is None else fields
        # By the field of the record that each begins with: most records have none of them.
        self._getters: dict[bytes, list[tuple[str, Callable[[Fields], Any]]]] = {}
        for name in names:
            getters = self._getters.setdefault(first_field(name), [])
            getters.append((name.removeprefix("$."), field_getter(name)))
        self._tops = frozenset(self._getters)
        self._shared: dict[Context, Context] = {}

    def of(self, record: Any) -> Context:
        """What a record says of where it comes from; empty for one that is no map."""
        if record.__class__ is Excerpt:
            return record.context
        if not isinstance(record, dict) or self._tops.isdisjoint(record):
            return ()
        found = []
        for top in self._tops & record.keys():
            for name, get in self._getters[top]:
                value = get(record)
                if value is not None and not isinstance(value, dict | list):
                    found.append((name, _text(value)))
        if not found:
            return ()
        context = tuple(sorted(found))
        if len(self._shared) >= _MOST_SHARED:
            self._shared.clear()
        return self._shared.setdefault(context, context)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value[:_LONGEST].decode("utf-8", "replace")
    return str(value)[:_LONGEST]
