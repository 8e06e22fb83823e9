"""What the engines of one bundle share in one process: everything that remembers no stream.

Where each partition of a topic has its own engine, their caches would hold the same shapes of
messages and the same states of sessions many times over. What is cached depends on the bundle and
its settings alone, so one cache serves all of them; the open sessions stay with their engines.
"""

from __future__ import annotations

from ..reading.events import EventReader
from ..reading.templates import TemplateMatcher
from .odd_events import odd_events_of
from .parts import EngineParts, Limits

# What a remembered message shape takes on average, with its objects: `cache_size` counts shapes,
# and the cache is bounded in bytes, since one shape may have a kilobyte.
_SHAPE_BYTES = 400


class Shared:
    """Reader, matcher, cascade and judge of single steps, of one bundle, for one thread.

    An input whose records need more than `EventReader` does gives its own `reads`.
    """

    def __init__(
        self, parts: EngineParts, limits: Limits, reads: type[EventReader] = EventReader
    ) -> None:
        self.reader = parts.reader(limits)
        self.matcher = TemplateMatcher(
            parts.templates, unmatched=parts.hierarchy.unknown, wide=parts.wide
        )
        self.odd = odd_events_of(parts, self.reader)
        self.events = reads(
            self.reader, self.matcher, limits.cache_size * _SHAPE_BYTES, self.odd.checks_of
        )
        idle_ns = int(parts.session_settings.idle_timeout * 1e9)
        self.cascade = parts.cascade(limits, idle_ns)
