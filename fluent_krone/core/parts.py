"""What an engine is built from: a bundle's parts, the operator's limits, and what engines share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..reading.events import EventReader
from ..reading.records import InputSettings, RecordReader
from ..reading.templates import TemplateMatcher
from .cascade import Cascade, Clearing
from .hierarchy import Hierarchy
from .localise import NestedDetector, SeqDetector
from .odd_events import odd_events_of
from .sessions import SessionSettings
from .steps import NO_WITNESSES, StepJudge
from .stream.delays import NO_SILENCE_NS
from .stream.flow import FlowWatch
from .stream.flow_findings import FlowNode
from .stream.sources import Sources

# What a remembered message shape takes on average, with its objects: `cache_size` counts shapes,
# and the cache is bounded in bytes, since one shape may have a kilobyte.
_SHAPE_BYTES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The engine's parameters that are no part of a bundle.

    Names, meanings and units are those of `Config`, where the defaults stand; times in seconds.
    """

    max_message_size: int
    max_keys_per_record: int
    max_sessions: int
    cache_size: int
    keep_lines: int
    max_lines: int
    max_future: float
    max_leap: float
    novelty_interval: float
    change_settle: float
    version_field: str | None
    idle_clock: str
    alert_fields: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine is built from besides its limits: all of it comes from a bundle.

    `templates` are in the order of the hierarchy's rows; `seen` tells which of them normal
    training had, and `wide` which wildcards of each take several tokens (see `TemplateMatcher`).
    Without `nested`, patterns alone judge.
    """

    templates: Sequence[str]
    wide: Sequence[Collection[int] | None] | None = None
    seen: Sequence[bool]
    hierarchy: Hierarchy
    patterns: SeqDetector
    nested: NestedDetector | None = None
    clearing: Clearing | None = None
    steps: StepJudge = NO_WITNESSES
    # What is usual of the stream as a whole; without nodes nothing is.
    flow_nodes: Sequence[FlowNode] = ()
    input_settings: InputSettings
    session_settings: SessionSettings

    @property
    def novel(self) -> frozenset[int]:
        """The log keys that normal training never had, the unknown leaf among them."""
        return frozenset(i for i, seen in enumerate([*self.seen, False]) if not seen)

    @property
    def ends(self) -> frozenset[int]:
        """The log keys after which a session ends."""
        texts = self.session_settings.end_templates
        return frozenset(i for i, text in enumerate(self.templates) if text in texts)

    def reader(self, limits: Limits) -> RecordReader:
        """What reads text, session keys and time of a record."""
        return RecordReader(
            self.input_settings,
            max_message_size=limits.max_message_size,
            max_keys=limits.max_keys_per_record,
        )

    def cascade(self, limits: Limits, idle_ns: int) -> Cascade:
        """What decides on a session; `idle_ns` is its idle timeout."""
        cascade = Cascade(
            self.hierarchy,
            self.patterns,
            self.nested,
            self.clearing,
            limits.cache_size,
            self.steps,
            idle_ns,
        )
        cascade.tracker.max_events = self.session_settings.max_events
        return cascade

    def flow(self) -> FlowWatch:
        """What counts the events of the whole stream."""
        return FlowWatch(len(self.templates) + 1, self.flow_nodes)

    def sources(self, reader: RecordReader) -> Sources:
        """What tells the sources of events apart."""
        if self.input_settings.line_format is None:
            return Sources()
        return Sources(reader.fields)

    @property
    def silence_ns(self) -> int:
        """How long a silence of the whole stream counts as waiting."""
        return self.steps.silence_ns or NO_SILENCE_NS


class Shared:
    """Reader, matcher, cascade and judge of single steps, of one bundle, for one thread.

    The engines of one bundle in one process share everything that remembers no stream. Where each
    partition of a topic has its own engine, their caches would hold the same shapes of messages and
    the same states of sessions many times over. The open sessions stay with their engines.
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
